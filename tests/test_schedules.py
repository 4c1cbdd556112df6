"""Schedules and drugs in runs: what they do to a parameter, to a cell, to the books, and to nothing else."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import point_of, random_state

import jaxmem as jm
from jaxmem.engine.interval import refresh_steps
from jaxmem.engine.runge_kutta import RungeKutta4
from jaxmem.rig.protocol import Protocol, Window, check_changes

DT = 0.025
NEURON = jm.presets.pumped_neuron()
DRIVE = jm.ConstantCurrent(amplitude=3.0)
TTX = jm.Drug("sodium.g", jm.TimeCourse([30.0], [1e-4], tau=5.0), half=4e-6, name="TTX")
EVERYTHING = (
    jm.Schedule("k.outside", [10.0, 30.0], [8.0, 3.5], tau=4.0),
    jm.Schedule("celsius", [5.0, 40.0], [36.0, 33.0], "linear"),
    jm.Schedule("na.outside", [20.0], [120.0]),
    jm.Drug("sodium.g", jm.TimeCourse([15.0, 25.0], [2e-6, 0.0], tau=3.0), half=4e-6, name="TTX"),
    jm.Drug("pump.i_max", 1e-3, half=48e-3, name="ouabain"),
    jm.Drug("potassium.v_shift", 1e-3, half=1e-3, hill=2.0, mode="shift", shift=6.0, name="divalent"),
)


def bits(tree: Any) -> list[bytes]:
    return [np.asarray(x).tobytes() for x in jax.tree.leaves(tree)]


def run(membrane: jm.Membrane, duration: float, changes: Any = EVERYTHING, **how: Any) -> jm.Simulation:
    return jm.simulate(membrane, duration, stimulus=DRIVE, changes=changes, **{"precision": "float64", "dt": DT} | how)


# ---------------------------------------------------------------------- what they do
def test_occupancy_is_hills_equation() -> None:
    c = np.array([0.0, 1e-9, 1e-6, 4e-6, 1e-3, 1e3])
    for n in (0.5, 1.0, 2.3):
        np.testing.assert_allclose(jm.occupancy(c, 4e-6, n), c**n / (c**n + 4e-6**n), rtol=1e-12)
    slope = jax.grad(lambda c: jm.occupancy(c, 4e-6, 1.0))
    assert slope(0.0) == 0 and np.isfinite(slope(1e-30)) and np.isclose(slope(4e-6), 1 / (4 * 4e-6))


def test_a_blocked_conductance_follows_hills_equation() -> None:
    """The parameter itself, in a run's own terms: by step, by time, over an interval."""
    dose = np.array([0.0, 4e-7, 4e-6, 4e-5])
    drug = jm.Drug("sodium.g", dose, half=4e-6, hill=1.5, efficacy=0.9)
    g = NEURON.mechanisms["sodium"].g * (1 - 0.9 * dose**1.5 / (dose**1.5 + 4e-6**1.5))
    protocol = Protocol(None, drug)
    like = jnp.zeros(4)
    for there in (
        protocol.on_grid(DT).during(NEURON, Window(jnp.int32(40), 20), like),
        protocol.on_grid(DT).at(NEURON, jnp.int32(40), like),
        protocol.at(NEURON, jnp.asarray(1.0)),
    ):
        np.testing.assert_allclose(there.mechanisms["sodium"].g, g, rtol=1e-14)


def test_ten_times_the_half_effect_of_tetrodotoxin_stops_the_spikes() -> None:
    """And the rate of rise falls with the dose: dV/dt at the steepest is sodium current over capacitance."""
    dose = 4e-6 * np.array([0.0, 0.1, 0.5, 10.0])
    drug = jm.Drug("sodium.g", dose, half=4e-6, name="TTX")
    sim = run(NEURON, 60.0, drug, record=jm.Record("v", DT), measures=["spike_count"])
    spikes = sim.measures["spike_count"]
    assert spikes[0] >= 2 and spikes[3] == 0
    steepest = np.diff(sim.traces["v"], axis=0).max(0) / DT
    assert (np.diff(steepest) < 0).all()


def test_ouabain_stops_the_pump() -> None:
    """At the half-effect the pump uses half the ATP that it would at the same sodium; at a thousand times, none."""
    cell = jm.presets.pump_leak()
    drug = jm.Drug("pump.i_max", np.array([0.0, 48e-3, 48.0]), half=48e-3, name="ouabain")
    sim = jm.simulate(cell, 1000.0, dt=0.05, changes=drug, precision="float64", record=jm.Record("pump.i_na", 10.0))
    first, last = sim.traces["pump.i_na"][1], sim.traces["pump.i_na"][-1]
    np.testing.assert_allclose(first / first[0], [1.0, 0.5, 1 / 1001], rtol=1e-3)
    assert last[1] > first[1]  # sodium rises and drives what is left of the pump
    na = np.asarray(cell.amount("na", "inside", sim.final_state.book))
    assert na[2] > na[1] > na[0]


def test_a_drug_that_is_washed_out_leaves_the_parameter_as_it_was() -> None:
    change = jm.Drug("sodium.g", jm.TimeCourse([1.0, 2.0, 3.0], [1e-6, 3e-5, 0.0]), half=4e-6)
    slow = jm.Drug("sodium.g", jm.TimeCourse([1.0, 3.0], [3e-5, 0.0], tau=2.0), half=4e-6)
    for precision in ("float32", "float64"):
        like = jnp.zeros(2, precision)
        during = lambda c, step, like=like: (
            Protocol(None, c).on_grid(DT).during(NEURON, Window(jnp.int32(step), 20), like)
        )
        g = np.dtype(precision).type(NEURON.mechanisms["sodium"].g)
        assert (during(change, 100).mechanisms["sodium"].g < g / 5).all()
        assert (during(change, 120).mechanisms["sodium"].g == g).all()
        assert (during(slow, 20 * 200).mechanisms["sodium"].g == g).all()


def test_a_shift_moves_the_gates_and_nothing_else() -> None:
    """v_shift = 5 mV at v is no shift at v - 5 mV; the driving force stays."""
    v, env = jnp.linspace(-90.0, 40.0, 7), None
    for name in ("hodgkin_huxley_1952", "pumped_neuron"):
        cell = jm.presets.get(name)
        env = cell.environment({k: jnp.zeros(7) for k in [*cell.species, "electrode"]})
        for channel in ("sodium", "potassium"):
            old = cell.mechanisms[channel]
            new = cell.with_parameters({f"{channel}.v_shift": "5 mV"}).mechanisms[channel]
            assert old.v_shift is None and new.v_shift == 5.0
            for a, b in zip(
                jax.tree.leaves(new.kinetics(v, {}, env)), jax.tree.leaves(old.kinetics(v - 5.0, {}, env)), strict=True
            ):
                np.testing.assert_array_equal(a, b)
            states = old.initial(v, env)
            assert bits(new.fluxes(v, states, env)) == bits(old.fluxes(v, states, env))


def test_a_shift_acts_on_a_channel_that_has_none() -> None:
    """At saturation as if the shift stood in the membrane."""
    drug = jm.Drug("sodium.v_shift", 1e6, half=1e-3, mode="shift", shift=5.0)
    there = run(NEURON.with_parameters({"sodium.v_shift": 5.0}), 20.0, ())
    by_drug = run(NEURON, 20.0, drug)
    np.testing.assert_allclose(by_drug.final_state.v, there.final_state.v, atol=1e-5)
    assert "sodium.v_shift" not in NEURON.parameters()


# ---------------------------------------------------------------------- in time
def test_a_jump_at_a_refresh_is_a_run_cut_there() -> None:
    """To round-off: the values are the same to the last bit, but each program rounds its own way."""
    edge = 20 * refresh_steps(DT) * DT
    whole = run(NEURON, 30.0, jm.Schedule("k.outside", [edge], [8.0]))
    before = run(NEURON, edge, ())
    after = run(NEURON.with_parameters({"k.outside": 8.0}), 30.0 - edge, (), initial=before.final_state)
    np.testing.assert_allclose(whole.final_state.v, after.final_state.v, atol=1e-10)
    for name, x in whole.final_state.book.items():
        np.testing.assert_allclose(x, after.final_state.book[name], rtol=1e-10, atol=1e-12)


@pytest.mark.slow
def test_a_jump_between_refreshes_is_smeared_over_one() -> None:
    """As documented: the parameter has its mean over the interval; the error is there at once, and forgotten soon."""
    interval = refresh_steps(DT) * DT
    cell = NEURON.with_parameters({"sodium.g": 0.0})  # no spikes: what is left is a leaky capacitor
    edge = 20 * interval + 0.4 * interval
    how = {"record": jm.Record("v", DT)}
    smeared = run(cell, 20.0, jm.Schedule("k_leak.g", [edge], [0.3]), **how)
    first = run(cell, edge, (), **how)
    second = run(cell.with_parameters({"k_leak.g": 0.3}), 20.0 - edge, (), initial=first.final_state, **how)
    sharp = np.concatenate([first.traces["v"], second.traces["v"]])
    error = np.abs(smeared.traces["v"] - sharp)
    response = np.abs(sharp - sharp[round(edge / DT)]).max()
    began, ended = round(20 * interval / DT), round(21 * interval / DT)
    assert error[: began + 1].max() < 1e-12
    assert 1e-3 < error.max() / response < 0.05 and np.argmax(error) in range(began, ended + 1)
    assert error[ended] < 0.1 * error.max()  # the interval's charge is right to second order


CURRENTS = (
    jm.Schedule("k.outside", [0.0], [9.0], tau=3.0),
    jm.Drug("sodium.g", jm.TimeCourse([0.0], [1e-6], tau=2.0), half=4e-6, hill=2.0),
)
GATES = (
    jm.Schedule("celsius", [0.0, 5.0], [37.0, 32.0], "linear"),
    jm.Drug("potassium.v_shift", jm.TimeCourse([0.0], [1e-6], tau=2.0), half=4e-6, mode="shift", shift=5.0),
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes, integrator, order",
    [(CURRENTS, None, 1.9), (GATES, RungeKutta4(), 1.9), (GATES, None, 1.9)],
    ids=["currents", "gates, runge-kutta", "gates"],
)
def test_order_for_smooth_changes(changes: tuple, integrator: Any, order: float) -> None:
    """Of v and the books of a firing cell, with the interval refined with dt."""
    state = random_state(NEURON, 4, seed=3)
    duration, protocol, injected = 3.2, Protocol(None, changes), jm.Current(jnp.asarray(5.0), 0.0)

    @jax.jit
    def reference(point: jm.Point) -> jm.Point:
        n = 6400
        h = duration / n
        slope = lambda t, y: protocol.at(NEURON, t).derivative(y, injected)
        add = lambda y, k, h: jax.tree.map(lambda a, b: a + h * b, y, k)

        def step(i: jax.Array, y: jm.Point) -> jm.Point:
            t = i * h
            a = slope(t, y)
            b = slope(t + h / 2, add(y, a, h / 2))
            c = slope(t + h / 2, add(y, b, h / 2))
            d = slope(t + h, add(y, c, h))
            return jax.tree.map(lambda y, a, b, c, d: y + h / 6 * (a + 2 * b + 2 * c + d), y, a, b, c, d)

        return jax.lax.fori_loop(0, n, step, point)

    true = reference(point_of(state))

    def error(dt: float) -> tuple[float, float]:
        end = jm.integrate(
            NEURON, state, jm.ConstantCurrent(5.0), changes=changes, steps=round(duration / dt), dt=dt, refresh=4,
            checkpoint=False, integrator=integrator,
        ).final_state  # fmt: skip
        books = [float(np.abs(end.book[k] - true.book[k]).max()) for k in ("na", "k")]
        return float(np.sqrt(np.mean((end.v - true.v) ** 2))), max(books)

    coarse, fine = error(0.01), error(0.005)
    assert all(np.log2(a / b) > order for a, b in zip(coarse, fine, strict=True)), (coarse, fine)
    assert fine[0] < 3e-3  # mV


# ---------------------------------------------------------------------- the same bits
@pytest.fixture(scope="module")
def whole() -> jm.Simulation:
    g = NEURON.mechanisms["sodium"].g * np.linspace(0.7, 1.3, 7)
    return run(
        NEURON.with_parameters({"sodium.g": g}), 45.0, per_cell(), record=jm.Record("v", 1.0), precision="float32"
    )


def per_cell() -> tuple:
    return (*EVERYTHING, jm.Schedule("cl.outside", [12.0], [np.linspace(100.0, 130.0, 7)]))


def test_neither_sampling_nor_cuts_nor_company_change_a_bit(whole: jm.Simulation) -> None:
    cell, how = whole.membrane, {"precision": "float32"}
    assert bits(run(cell, 45.0, per_cell(), **how).final_state) == bits(whole.final_state)
    first = run(cell, 13.375, per_cell(), **how)  # 535 steps, in the middle of an interval
    second = run(cell, 45.0 - 13.375, per_cell(), initial=first.final_state, record=jm.Record("k_leak.i_k", 0.5), **how)
    assert bits(second.final_state) == bits(whole.final_state)
    one = [jm.membrane.parameters.select(x, slice(4, 5)) for x in per_cell()]
    alone = run(cell[4:5], 45.0, one, initial=whole.initial_state[4:5], **how)
    assert bits(alone.final_state) == bits(whole.final_state[4:5])


def test_a_change_shared_by_all_is_one_given_to_each(whole: jm.Simulation) -> None:
    spread = jax.tree.map(
        lambda x: np.full(7, x) if np.ndim(x) == 0 else x, per_cell(), is_leaf=lambda x: isinstance(x, float)
    )
    again = run(whole.membrane, 45.0, spread, precision="float32")
    assert bits(again.final_state) == bits(whole.final_state)


def test_a_file_runs_again_to_the_same_bits(whole: jm.Simulation, tmp_path: Any) -> None:
    whole.save(tmp_path / "run.h5")
    found = jm.load(tmp_path / "run.h5")
    assert bits(found.changes) == bits(whole.changes) and [c.told for c in found.changes] == [
        c.told for c in whole.changes
    ]
    again = jm.simulate(
        found.membrane, found.duration, dt=found.dt, stimulus=found.stimulus, changes=found.changes,
        initial=found.initial_state, precision=found.precision,
    )  # fmt: skip
    assert bits(again.final_state) == bits(whole.final_state)
    from jaxmem.study.summary import summary

    assert summary(tmp_path / "run.h5").changes[3].startswith("TTX on sodium.g: 2e-06 mM from 15 ms")


# ---------------------------------------------------------------------- books and gradients
@pytest.mark.parametrize("precision, allowed", [("float64", 1e-12), ("float32", 1e-4)])
def test_books_close_under_every_change(precision: str, allowed: float) -> None:
    k = NEURON.species["k"]
    small = NEURON.with_species({"k": jm.Species(k.inside, k.outside, dynamic=("inside", "outside"))})
    small = small.with_geometry(jm.Sphere(10.0, 0.3)).with_mechanisms({"bath": jm.BathExchange("k", 50.0, k.outside)})
    small = small.with_parameters({"capacitance": np.array([0.9, 1.1])})
    others = [c for c in EVERYTHING if c.path != "k.outside"]
    sim = run(
        small,
        200.0,
        [*others, jm.Schedule("bath.level", [50.0, 100.0], [8.0, 3.5])],
        precision=precision,
        measures=["spike_count"],
    )
    assert (sim.status == jm.Status.OK).all() and (sim.measures["spike_count"] > 2).all()
    assert sim.audit.worst_charge < allowed and sim.audit.worst_mass < allowed


@pytest.mark.slow
def test_gradient_by_a_dose() -> None:
    """d v(end)/d concentration, half, time of the wash and tau, through spikes' flanks, against float64 differences."""
    state = NEURON.initial_state()

    def end(x: jax.Array) -> jax.Array:
        course = jm.TimeCourse([1.0, x[2]], [1e-6 * x[0], 0.0], tau=x[3])
        change = (jm.Drug("sodium.g", course, half=1e-6 * x[1]), jm.Schedule("k.outside", [x[2]], [5.0 + x[0]]))
        return jm.integrate(NEURON, state, DRIVE, changes=change, steps=160, dt=DT).final_state.v

    end = jax.jit(end)
    x = jnp.array([2.0, 4.0, 2.2, 1.5])
    found = jax.grad(end)(x)
    for i in range(4):
        h = 1e-4
        np.testing.assert_allclose(found[i], (end(x.at[i].add(h)) - end(x.at[i].add(-h))) / (2 * h), rtol=1e-5)
    assert (np.abs(np.asarray(found)) > 1e-6).all()


# ---------------------------------------------------------------------- what cannot be
@pytest.mark.parametrize(
    "change, told",
    [
        (jm.Schedule("k.inside", [1.0], [8.0]), "k.inside cannot change in time: .* BathExchange"),
        (jm.Schedule("capacitance", [1.0], [8.0]), "capacitance cannot change"),
        (jm.Schedule("geometry.radius", [1.0], [8.0]), "geometry.radius cannot change"),
        (jm.Schedule("initial_v", [1.0], [8.0]), "where the run starts from"),
        (jm.Schedule("k.outsid", [1.0], [8.0]), "did you mean 'k.outside'"),
        (jm.Schedule("pump.v_half", [1.0], [8.0]), "pump.v_half is None in this membrane: give it a number"),
        (jm.Schedule("sodium.g", [1.0], [-8.0]), r"sodium.g must be at least 0 mS/cm\^2; found -8"),
        (jm.Drug("sodium.q10", 1.0, 1.0), "sodium.q10 cannot be blocked"),
        (jm.Drug("sodium.v_t", 1.0, 1.0), "sodium.v_t cannot be blocked"),
        (jm.Drug("sodium.g", 1.0, 1.0, mode="shift", shift=3.0), "sodium.g is in mS/cm.2: a drug of mode 'shift' adds mV"),
        (jm.Drug("sodium.g", -1.0, 1.0, name="TTX"), "TTX, whose concentration must not be below 0"),
    ],
)  # fmt: skip
def test_what_cannot_change_is_refused(change: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        check_changes(NEURON, [change])


def test_a_mode_that_is_none() -> None:
    with pytest.raises(ValueError, match="'block' or 'shift', not 'open'"):
        jm.Drug("sodium.g", 1.0, 1.0, mode="open")  # type: ignore[arg-type]
