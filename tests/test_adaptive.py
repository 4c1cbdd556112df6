"""The adaptive integrator: published spike times, hours against Radau's method, edges, clamps, spikes, and no neighbours."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import probes
import pytest
from scipy.integrate import solve_ivp

import jaxmem as jm
from jaxmem.rig.drive import Driver, Voltage

# upward crossings of 0 mV under 10 uA/cm^2, integrated at 1e-13 by other means, ms
FROM_65 = [1.900972, 16.822583, 31.471827, 46.109002, 60.745283, 75.381498, 90.017709]
FROM_REST = [
    1.899838,
    16.806708,
    31.441831,
    46.064893,
    60.687061,
    75.309163,
    89.931260,
]  # E_L -54.3 mV, from -64.974 mV
HOUR = 3600e3  # ms


class SpikeTimes(jm.Measure):
    """Stands for a measure of that name in the package."""

    count: int = eqx.field(static=True, default=8)

    def update(self, fold, view):
        return fold

    def result(self, fold, run):
        return fold


SpikeTimes.__module__ = "jaxmem.engine.measures"


@pytest.mark.slow
def test_squid_spike_times():
    """Two squids in one run, and the same measures that fixed steps answer."""
    squid = jm.presets.hodgkin_huxley_1952()
    e = float(squid.parameters()["leak.e"].value)
    membrane = squid.with_parameters({"leak.e": np.array([e, -54.3])})
    state = membrane.initial_state(v=np.array([-65.0, -64.974052451627]))
    names = ("spike_count", "first_spike_time", "mean_v", "maximum_v")
    sim = jm.simulate(
        membrane, 100.0, dt=0.1, initial=state, stimulus=jm.ConstantCurrent(10.0),
        integrator=jm.Adaptive(rtol=1e-10, atol=1e-10), record=jm.Record("v", 0.5),
        measures={"times": SpikeTimes()} | {k: jm.MEASURES[k]() for k in names},
    )  # fmt: skip
    times = sim.measures["times"]
    assert abs(e + 54.387) < 1e-9 and np.isnan(times[7:]).all()
    np.testing.assert_allclose(times[:7].T, [FROM_65, FROM_REST], atol=2e-6, rtol=0)
    np.testing.assert_array_equal(sim.measures["spike_count"], [7, 7])
    np.testing.assert_array_equal(sim.measures["first_spike_time"], times[0])
    v = sim.traces["v"]
    assert abs(v.mean(0) - sim.measures["mean_v"]).max() < 0.2
    assert np.all(sim.measures["maximum_v"] >= v.max(0)) and np.all(sim.measures["maximum_v"] < 50)
    assert sim.audit.worst_charge < 1e-14


def radau(membrane: jm.Membrane, times: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """One cell, v and charges of three ions, by scipy at rtol 1e-10: v and concentrations."""
    start, ions = membrane.initial_state(), ("na", "k", "cl")
    none = {name: jnp.asarray(0.0) for name in start.book}
    states = {name: {} for name in membrane.order}
    book = lambda y: none | {ion: y[1 + i] for i, ion in enumerate(ions)}

    @jax.jit
    def slope(y):
        rates = membrane.derivative(jm.Point(y[0], states, book(y)))
        return jnp.stack([rates.v, *(rates.book[ion] for ion in ions)])

    matrix = jax.jit(jax.jacfwd(slope))
    y0 = np.array([float(start.v), 0.0, 0.0, 0.0])
    found = solve_ivp(
        lambda t, y: np.asarray(slope(y)), (0, times[-1]), y0, method="Radau", jac=lambda t, y: np.asarray(matrix(y)),
        rtol=1e-10, atol=1e-10, t_eval=times,
    ).y  # fmt: skip
    env = membrane.environment(book(jnp.asarray(found)))
    return found[0], {ion: np.asarray(env.inside[ion]) for ion in ions}


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["pump_leak", "pump_leak_ghk"])
def test_ouabain_to_donnan_equilibrium_in_hours(preset):
    """The pump is poisoned at t = 0; after 15 hours the ions are at one potential. A block of cells, two of them checked."""
    membrane = getattr(jm.presets, preset)()
    path = "k_leak.g" if preset == "pump_leak" else "k_leak.p"
    value = float(membrane.parameters()[path].value)
    membrane = membrane.with_parameters({path: value * np.linspace(0.5, 2.0, 16)})
    ouabain = jm.Schedule("pump.i_max", [0.0], [0.0])
    sim = jm.simulate(
        membrane, 15 * HOUR, dt=1000.0, changes=ouabain, integrator=jm.Adaptive(),
        record=jm.Record(("v", "concentrations", "reversals"), every=0.25 * HOUR),
    )  # fmt: skip
    assert np.all(sim.status == jm.Status.OK) and sim.audit.worst_charge < 1e-13 and sim.audit.worst_mass < 1e-13
    for cell in (0, 15):
        v, inside = radau(membrane.with_parameters({"pump.i_max": 0.0})[cell], sim.time)
        assert abs(sim.traces["v"][:, cell] - v).max() < 1e-4  # mV
        for ion, x in inside.items():
            assert abs(sim.traces[f"{ion}.inside"][:, cell] - x).max() < 1e-4  # mM
    last = [sim.traces[f"{ion}.e"][-1] for ion in ("na", "k", "cl")]
    assert np.ptp(last, axis=0).max() < 0.5 and -11 < sim.traces["v"][-1, 0] < -9


@pytest.mark.slow
def test_neighbours_change_no_bit_and_samples_no_step():
    """Alone, among seven, in another block and with other samples: the same numbers."""
    g = np.linspace(100, 130, 70)
    squid = jm.presets.hodgkin_huxley_1952()
    stimulus = lambda index: jm.StepCurrent(np.linspace(5, 15, 70)[index], np.linspace(0.11, 0.9, 70)[index], 7.0)

    def run(index, every):
        index = np.asarray(index)
        return jm.simulate(
            squid.with_parameters({"sodium.g": g[index]}), 8.0, dt=0.25, stimulus=stimulus(index),
            integrator=jm.Adaptive(1e-6, 1e-6), record=jm.Record(("v", "states", "stimulus"), every),
            measures=["first_spike_time", "mean_v"],
        )  # fmt: skip

    everyone = run(range(70), 1.0)
    for cells, every in (([68], 0.25), (range(62, 69), 2.0)):
        few = run(cells, every)
        assert few.time[-1] == 8.0
        for name in everyone.traces:
            both = np.intersect1d(few.time, everyone.time)
            mine, all_ = (s.traces[name][np.isin(s.time, both)] for s in (few, everyone))
            np.testing.assert_array_equal(mine[:, -1], all_[:, 68])
        for a, b in zip(
            jax.tree.leaves(few.final_state.states), jax.tree.leaves(everyone.final_state.states), strict=True
        ):
            np.testing.assert_array_equal(a[-1], b[68])
        for name, x in everyone.measures.items():
            np.testing.assert_array_equal(few.measures[name][-1], x[68])
    # what the electrode gave is exact, whatever the edges
    width = 7.0 - np.linspace(0.11, 0.9, 70)
    np.testing.assert_allclose(everyone.final_state.book["electrode"], np.linspace(5, 15, 70) * width, rtol=1e-12)


class Command(jm.Stimulus):
    """An ideal clamp: a holding voltage, a jump, and a ramp of 2 mV/ms after it."""

    carrier: str | None = eqx.field(static=True, default=None)

    def on_grid(self, dt):
        return Nothing()

    def at(self, t, v):
        x = jnp.where(t >= 3.0, -20.0 + 2.0 * (t - 3.0), -70.0)
        return Voltage(x, x, x)

    @property
    def edges(self):
        return [3.0]


class Nothing(Driver):
    def drive(self, moment, v, memory):
        return jm.Current(0.0, 0.0), memory


@pytest.mark.slow
def test_ideal_clamp_of_a_leak():
    """Charge in closed form: the capacitor's at jump and ramp, and the leak's."""
    membrane = jm.Membrane({"leak": jm.Leak(g=0.3, e=-60.0, ion="cl")}, {"cl": jm.Species(valence=-1)}, capacitance=1.5)
    sim = jm.simulate(membrane, 5.0, dt=0.5, stimulus=Command(), integrator=jm.Adaptive(), record=jm.Record("v", 0.5))
    np.testing.assert_allclose(sim.traces["v"][-1], -16.0, rtol=1e-12)
    np.testing.assert_allclose(sim.traces["v"][1:6], -70.0, rtol=1e-12)
    through_leak = 0.3 * (-10 * 3 + 40 * 2 + 0.5 * 2 * 2**2)
    on_capacitor = 1.5 * (-16 - float(membrane.initial_v))
    np.testing.assert_allclose(sim.final_state.book["cl"], through_leak, rtol=1e-5)
    np.testing.assert_allclose(sim.final_state.book["electrode"], through_leak + on_capacitor, rtol=1e-5)


@pytest.mark.slow
def test_events_strike_at_the_spike():
    membrane = probes.depleting_synapse()
    sim = jm.simulate(
        membrane, 3.0, dt=0.05, stimulus=jm.ConstantCurrent(40.0), integrator=jm.Adaptive(1e-7, 1e-7),
        measures=["first_spike_time", "spike_count"],
    )  # fmt: skip
    assert sim.measures["spike_count"] == 1
    since = 3.0 - float(sim.measures["first_spike_time"])
    ready = float(sim.final_state.states["synapse"]["ready"])
    assert 0 < since < 3 and ready == pytest.approx(1 - 0.4 * np.exp(-since / 300), rel=1e-7)


@pytest.mark.slow
def test_what_it_refuses_and_where_it_gives_up():
    squid = jm.presets.hodgkin_huxley_1952()
    few = jm.Adaptive(1e-6, 1e-6, max_steps=20)
    sim = jm.simulate(squid, 8.0, dt=0.25, stimulus=jm.StepCurrent(10.0, 1.0, 7.0), integrator=few)
    assert sim.status == jm.Status.NO_STEP and 0 < sim.failed_at < 8.0
    assert "max_steps" in next(iter(sim.failures))

    class Sum(jm.Measure):
        def update(self, fold, view):
            return fold

        def result(self, fold, run):
            return fold

    with pytest.raises(ValueError, match=r"'sum'.*adaptive"):
        jm.simulate(squid, 1.0, dt=0.25, measures=[Sum()], integrator=few)
    with pytest.raises(ValueError, match="rtol must be above 0"):
        jm.Adaptive(rtol=0.0)
    with pytest.raises(ValueError, match="means nothing"):
        jm.Adaptive(atol=0.5)
