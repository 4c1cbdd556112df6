"""The voltage clamp: the 1952 family in closed form, a series resistance against a tight solution, charge, leaks."""

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import book, point_of, steps_down

import jaxmem as jm

HOLD, START, STOP, END, DT = -65.0, 2.0, 8.0, 12.0, 0.025
LEVELS = HOLD + np.array(
    [109, 100, 88, 76, 63, 51, 38, 32, 26, 19, 10, 6.0]
)  # fig 3 of doi:10.1113/jphysiol.1952.sp004764


def squid(cells: int = 12) -> jm.Membrane:
    return jm.presets.get("hodgkin_huxley_1952").with_parameters({"initial_v": np.full(cells, HOLD)})


def rates(v: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(steady state, time constant) of the gates of 1952 at 6.3 degC, v in mV."""
    u = np.asarray(v) - HOLD
    with np.errstate(invalid="ignore", divide="ignore"):
        both = {
            "n": (0.01 * (10 - u) / np.expm1((10 - u) / 10), 0.125 * np.exp(-u / 80)),
            "m": (0.1 * (25 - u) / np.expm1((25 - u) / 10), 4 * np.exp(-u / 18)),
            "h": (0.07 * np.exp(-u / 20), 1 / (np.exp((30 - u) / 10) + 1)),
        }
    both["n"] = np.where(abs(u - 10) < 1e-9, 0.1, both["n"][0]), both["n"][1]
    return {k: (a / (a + b), 1 / (a + b)) for k, (a, b) in both.items()}


def closed_form(time: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Gates and total ionic current (samples, 12), just after each time."""
    t = time[:, None]
    rest, up = rates(np.array(HOLD)), rates(LEVELS)
    gates = {}
    for name, (steady, tau) in up.items():
        first, back = rest[name]
        during = lambda t, s=steady, tau=tau, first=first: s + (first - s) * np.exp(-(t - START) / tau)
        after = first + (during(STOP) - first) * np.exp(-(t - STOP) / back)
        gates[name] = np.where(t < START, first, np.where(t < STOP, during(t), after))
    v = np.where((t >= START - 1e-9) & (t < STOP - 1e-9), LEVELS, HOLD)
    m = jm.presets.get("hodgkin_huxley_1952").parameters()
    p = lambda path: float(m[path].value)
    current = p("sodium.g") * gates["m"] ** 3 * gates["h"] * (v - p("sodium.e"))
    current = current + p("potassium.g") * gates["n"] ** 4 * (v - p("potassium.e")) + p("leak.g") * (v - p("leak.e"))
    return gates, current


@pytest.fixture(scope="module")
def family() -> jm.Simulation:
    record = jm.Record(["v", "sodium.m", "sodium.h", "potassium.n", "command", "clamp", "stimulus"], DT)
    clamp = jm.VoltageClamp.steps(HOLD, LEVELS, START, STOP)
    return jm.simulate(squid(), END, dt=DT, stimulus=clamp, precision="float64", record=record)


def test_the_family_of_1952_in_closed_form(family: jm.Simulation) -> None:
    gates, current = closed_form(family.time)
    t = family.traces
    for path, name in (("sodium.m", "m"), ("sodium.h", "h"), ("potassium.n", "n")):
        np.testing.assert_allclose(t[path], gates[name], rtol=0, atol=1e-6)
    conductance = t["sodium.m"] ** 3 * t["sodium.h"], t["potassium.n"] ** 4
    np.testing.assert_allclose(conductance[0], gates["m"] ** 3 * gates["h"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(conductance[1], gates["n"] ** 4, rtol=0, atol=1e-6)
    np.testing.assert_allclose(t["clamp"], current, rtol=0, atol=1e-6 * abs(current).max())
    np.testing.assert_array_equal(t["clamp"], t["stimulus"])  # no pipette, no seal
    after = (family.time >= START - 1e-9) & (family.time < STOP - 1e-9)
    np.testing.assert_allclose(t["command"], np.where(after[:, None], LEVELS, HOLD), rtol=1e-15)


def test_the_charge_of_the_electrode_is_the_integral_of_the_current(family: jm.Simulation) -> None:
    fine = np.linspace(0, END, 480_001)
    middle = 0.5 * (fine[1:] + fine[:-1])
    charge = closed_form(middle)[1].sum(0) * (fine[1] - fine[0])
    np.testing.assert_allclose(book(family.final_state)["electrode"], charge, atol=1e-5 * abs(charge).max())
    up = jm.simulate(
        squid(), 4.0, dt=DT, stimulus=jm.VoltageClamp.steps(HOLD, LEVELS, START, STOP), precision="float64"
    )
    part = closed_form(middle[middle < 4.0])[1].sum(0) * (fine[1] - fine[0])
    np.testing.assert_allclose(book(up.final_state)["electrode"], part + (LEVELS - HOLD), atol=1e-4 * abs(part).max())
    assert family.audit.worst_charge < 1e-12 and up.audit.worst_charge < 1e-12


@pytest.mark.slow
def test_series_resistance_against_a_tight_solution() -> None:
    membrane, state = squid(3), squid(3).initial_state()
    clamp = jm.VoltageClamp.steps(
        HOLD, np.array([-40.0, -10.0, 30.0]), 1.0, 3.0, series_resistance=0.02, compensation=0.5, seal_conductance=0.1
    )
    g, level, point, true = 1 / 0.01, [HOLD, np.array([-40.0, -10.0, 30.0]), HOLD], point_of(state), []
    for k, (a, b) in enumerate(((0.0, 1.0), (1.0, 3.0), (3.0, 5.0))):
        field = lambda t, y, command: membrane.derivative(y, jm.Current((command - y.v) * g - 0.1 * y.v, -g - 0.1))
        point = diffrax.diffeqsolve(
            diffrax.ODETerm(field), diffrax.Dopri8(), a, b, 1e-3, point, jnp.asarray(level[k]) + jnp.zeros(3),
            stepsize_controller=diffrax.PIDController(rtol=1e-9, atol=1e-9), max_steps=200_000,
        ).ys  # fmt: skip
        point = jax.tree.map(lambda x: x[-1], point)
        true.append(np.asarray(point.v))
    errors = []
    for dt in (0.02, 0.01):
        sim = jm.simulate(
            membrane, 5.0, dt=dt, stimulus=clamp, precision="float64", record=jm.Record(["v", "clamp"], 1.0)
        )
        errors.append(np.sqrt(np.mean((sim.traces["v"][[1, 3, 5]] - np.array(true)) ** 2)))
        assert sim.audit.worst_charge < 1e-12
    assert errors[1] < 2e-2 and 1.7 < np.log2(errors[0] / errors[1]) < 2.5
    np.testing.assert_allclose(
        sim.traces["clamp"][2], (clamp.command.knots[0].value - sim.traces["v"][2]) * g, rtol=1e-12
    )


def test_pipette_and_seal_show_in_the_reading_alone() -> None:
    ramp = lambda **fields: jm.VoltageClamp.ramp(HOLD, -90.0, 10.0, 1.0, 11.0, **fields)
    how: dict[str, Any] = dict(precision="float64", record=jm.Record(["clamp", "stimulus", "v"], 0.5))
    bare = jm.simulate(squid(1), 10.0, stimulus=ramp(), **how)
    dressed = jm.simulate(squid(1), 10.0, stimulus=ramp(pipette_capacitance=0.2, seal_conductance=0.05), **how)
    np.testing.assert_array_equal(bare.traces["stimulus"], dressed.traces["stimulus"])
    extra = dressed.traces["clamp"] - bare.traces["clamp"]
    rising = (bare.time >= 1.0)[:, None]
    np.testing.assert_allclose(extra, 0.05 * bare.traces["v"] + (0.2 * 10.0) * rising, atol=0.06 * 25, rtol=0)
    np.testing.assert_allclose(extra[3:], 0.05 * bare.traces["v"][3:] + 2.0, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("precision", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
def test_books_close_under_every_clamp(precision: str) -> None:
    cells = jm.presets.pumped_neuron().with_parameters({"initial_v": np.full(3, -65.0)})
    levels = np.array([-90.0, -30.0, 20.0])
    course = jm.Waveform(-60 + 20 * np.sin(np.arange(40.0)), 0.4)
    for clamp in (
        jm.VoltageClamp.tail(-65.0, levels, -50.0, 2.0, 6.0, 9.0),
        jm.VoltageClamp.tail(-65.0, levels, -50.0, 2.013, 6.0, 9.0, series_resistance=0.05),
        jm.VoltageClamp(course),
    ):
        sim = jm.simulate(cells, 12.0, stimulus=clamp, precision=precision)
        limit = 1e-12 if precision == "float64" else 1e-4
        assert np.all(sim.status == jm.Status.OK)
        assert sim.audit.worst_charge < limit and sim.audit.worst_mass < limit


def test_a_clamp_runs_again_from_a_file(tmp_path: Any) -> None:
    for i, clamp in enumerate(
        (
            jm.VoltageClamp.steps(HOLD, LEVELS, START, STOP),
            jm.VoltageClamp(-40.0, series_resistance=0.1, pipette_capacitance=0.1),
        )
    ):
        record = jm.Record(["clamp", "command"], 0.5)
        sim = jm.simulate(squid(), 5.0, stimulus=clamp, precision="float32", record=record)
        sim.save(tmp_path / f"{i}.h5")
        back = jm.load(tmp_path / f"{i}.h5")
        assert jax.tree.all(jax.tree.map(np.array_equal, back.stimulus, clamp))
        again = jm.simulate(back.membrane, 5.0, stimulus=back.stimulus, precision="float32", record=record)
        assert again.traces["clamp"].tobytes() == sim.traces["clamp"].tobytes()
        assert sim.recorded["clamp"].unit == "uA/cm^2" and sim.recorded["command"].unit == "mV"


@pytest.mark.slow
def test_gradient_through_a_series_resistance() -> None:
    membrane = jm.presets.get("hodgkin_huxley_1952")

    def end(r: Any) -> Any:
        clamp = jm.VoltageClamp.steps(HOLD, 0.0, 1.0, 9.0, series_resistance=r)
        return jm.integrate(membrane, membrane.initial_state(), clamp, steps=120).final_state.v

    np.testing.assert_allclose(jax.grad(end)(0.05), steps_down(jax.jit(end), 0.05, 1e-4), rtol=1e-6)


def test_jumps_lie_on_the_grid() -> None:
    with pytest.raises(ValueError, match=r"2\.013 ms is no multiple of dt 0\.025 ms, the nearest is 2\.025 ms"):
        jm.VoltageClamp.steps(HOLD, 0.0, 2.013, 8.0).on_grid(0.025)
    jm.VoltageClamp.steps(HOLD, 0.0, 2.013, 8.0, series_resistance=0.1).on_grid(0.025)
    with pytest.raises(ValueError, match="needs a command or a holding"):
        jm.VoltageClamp()


def test_leak_subtraction_takes_away_what_is_linear() -> None:
    """Of a passive membrane nothing is left; of the squid the gated currents, from a holding where none is open."""
    passive = squid().with_parameters({"sodium.g": 0.0, "potassium.g": 0.0})
    clamp = jm.VoltageClamp.steps(HOLD, LEVELS, START, STOP, series_resistance=0.01, seal_conductance=0.2)
    none = jm.leak_subtracted(passive, clamp, 10.0, n=4)
    assert abs(none.raw).max() > 10 and abs(none.current[none.time > 1.0]).max() < 1e-9 * abs(none.raw).max()
    found = jm.leak_subtracted(squid(), jm.VoltageClamp.steps(HOLD, LEVELS, START, STOP), 10.0, n=-8, holding=-120.0)
    current = closed_form(found.time)[1]
    inside = (found.time > START) & (found.time < STOP)
    v = np.where(inside[:, None], LEVELS, HOLD)
    gated = current - 0.3 * (v + 54.387)
    gated = gated - gated[:1]
    assert abs((found.current - gated)[inside]).max() < 0.02 * abs(gated).max()
    with pytest.raises(ValueError, match="n is how many"):
        jm.leak_subtracted(squid(), clamp, 5.0, n=0)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_prediction_charges_a_passive_cell_by_its_part_at_once(precision: str) -> None:
    part = np.array([0.25, 0.8, 1.0])
    fields = dict(series_resistance=0.5, compensation=0.6, prediction=part, cell_capacitance=1.25)
    clamp = jm.VoltageClamp.steps(-70.0, 10.0, 1.0, 100.0, **fields)
    cell = jm.Membrane({}, {}, capacitance=1.25, initial_v=np.full(3, -70.0))
    tau = 0.5 * 0.4 * 1.25  # ms: what is left of the resistance, times the capacitance (no leak)
    runs = []
    for dt in (0.01, 0.005):
        record = jm.Record(["v", "stimulus"], 0.1)
        runs.append(jm.simulate(cell, 3.0, dt=dt, stimulus=clamp, precision=precision, record=record))
    time, v = runs[0].time[:, None], [run.traces["v"] for run in runs]
    after = np.where(time > 1.05, np.exp(-(time - 1.0) / tau), np.nan)
    closed = 10.0 - (1 - part) * 80.0 * after
    inside = time[:, 0] > 1.05
    limit = 2e-2 if precision == "float64" else 3e-2
    np.testing.assert_allclose(
        (2 * v[1] - v[0])[inside], closed[inside], atol=limit
    )  # first order in dt, so this is it
    error = np.abs(v[1] - closed)[inside].max(0)
    assert np.all(error < 80.0 * part * 0.005 / tau)  # the charge flows within one step, not at its beginning
    assert np.all(v[0][~inside] == -70.0) or np.abs(v[0][~inside] + 70.0).max() < 1e-4
    charge = runs[1].audit.worst_charge
    assert charge < (1e-12 if precision == "float64" else 1e-4)


def test_where_prediction_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="give it a series_resistance"):
        jm.VoltageClamp(0.0, prediction=0.5)
    clamp = jm.VoltageClamp.steps(-65.0, 0.0, 1.0, 2.0, series_resistance=0.1, prediction=0.5)
    with pytest.raises(ValueError, match="choose an integrator of fixed steps"):
        jm.simulate(squid(1), 3.0, stimulus=clamp, integrator=jm.Adaptive())
    plain = jm.VoltageClamp(0.0, series_resistance=0.1, prediction=0.0)  # none: the adaptive integrator takes it
    assert plain.at(jnp.asarray(0.0), jnp.asarray(-1.0)).value == pytest.approx(10.0)
