"""The budget of a membrane, its input resistance and time constant: closed forms, current steps, differences."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmem as jm
from jaxmem.units import AVOGADRO, ELEMENTARY_CHARGE, FARADAY

AREA = 4 * np.pi * 10.0**2  # um^2, of the presets' sphere


def scattered(n: int = 16) -> tuple[jm.Membrane, jm.State]:
    """Leaky pumped cells of many sizes, not at rest."""
    random = np.random.default_rng(5)
    spread = lambda x: x * np.exp(0.3 * random.standard_normal(n))
    cells = jm.presets.pump_leak_ghk().with_parameters({
        "na_leak.p": spread(1e-8), "k_leak.p": spread(2e-7), "pump.i_max": spread(1.0), "na.inside": spread(12.0),
        "geometry.radius": spread(8.0), "celsius": random.uniform(20, 40, n),
    })  # fmt: skip
    return cells, cells.initial_state(random.uniform(-90, -40, n))


def test_the_textbook_cell_pays_what_the_textbook_says() -> None:
    """Issue's cell: 37 degC, -70 mV, K 140/5, Na 10/145, g_K 0.05: I_pump 0.476 uA/cm^2 from 2 I = g_K (V - E_K)."""
    cell = jm.presets.pump_leak()
    told = jm.budget(cell, jm.resting_state(cell))
    e_k, e_na = (float(jm.electrochemistry.nernst(*c, 1, 37.0)) for c in ((140.0, 5.0), (10.0, 145.0)))
    current = 0.05 * (-70.0 - e_k) / 2
    assert told.pumps["pump"] == pytest.approx(current, rel=1e-9) and current == pytest.approx(0.476, abs=5e-4)
    assert told.currents["na_leak"]["na"] == pytest.approx(-3 * current, rel=1e-9)
    assert told.currents["k_leak"]["k"] == pytest.approx(2 * current, rel=1e-9)
    assert max(abs(float(i)) for i in (*told.totals.values(), told.membrane_current)) < 1e-9
    assert told.pump_current == pytest.approx(current * 1e-6 * AREA * 1e-8 * 1e12, rel=1e-9)  # pA
    cycles = current * 1e-6 * AREA * 1e-8 / ELEMENTARY_CHARGE  # a net charge per cycle, an ATP per cycle
    assert told.atp_per_second == told.atp["pump"] == pytest.approx(cycles, rel=1e-9)
    assert 3e7 < cycles < 5e7
    assert told.power == pytest.approx(cycles / AVOGADRO * 50e3 * 1e12, rel=1e-9)  # pW
    twice = jm.budget(cell, jm.resting_state(cell), free_energy=100.0)
    assert twice.power == pytest.approx(2 * float(told.power), rel=1e-12)
    # it pays for at least the work: 3 Na+ up and 2 K+ up
    work = (3 * (e_na + 70.0) + 2 * (-70.0 - e_k)) * 1e-3 * ELEMENTARY_CHARGE * cycles
    assert 0.5 < work * 1e12 / told.power < 1.0


def test_currents_sum_to_what_the_membrane_says() -> None:
    cells, state = scattered()
    told = jm.budget(cells, state)
    change = cells.derivative(jm.Point(state.v, state.states, state.book))
    np.testing.assert_allclose(told.membrane_current, -np.asarray(change.v) * cells.capacitance, rtol=1e-12, atol=1e-12)
    for ion, total in told.totals.items():
        np.testing.assert_allclose(total, change.book[ion], rtol=1e-12, atol=1e-14)
    assert set(told.currents["pump"]) == {"na", "k"} and set(told.atp) == set(told.pumps) == {"pump"}
    np.testing.assert_allclose(told.atp_per_second / AVOGADRO * FARADAY, told.pump_current * 1e-12, rtol=1e-12)


@pytest.mark.slow
def test_it_costs_what_a_run_counts() -> None:
    """The measure of a run of a resting cell, times its area, is the budget's."""
    cell = jm.presets.pumped_neuron()
    rest = jm.resting_state(cell)
    run = jm.simulate(
        cell, 50.0, initial=rest.state, precision="float64", measures=["pump_turnover", "energy_per_second"]
    )
    told = jm.budget(cell, rest)
    assert run.measures["pump_turnover"] == pytest.approx(float(told.atp_per_second), rel=1e-6)
    assert run.measures["energy_per_second"] * AREA * 1e-8 * 1e3 == pytest.approx(float(told.power), rel=1e-6)


def test_a_membrane_without_a_pump_costs_nothing() -> None:
    cell = jm.presets.hodgkin_huxley_1952()
    told = jm.budget(cell, cell.initial_state())
    assert told.pumps == told.atp == {} and float(told.power) == float(told.pump_current) == 0.0


def test_attwell_and_laughlin_count_the_same() -> None:
    """D. Attwell & S. B. Laughlin (2001), doi:10.1097/00004647-200110000-00001: 200 MOhm, -70, +50, -100 mV: 3.42e8 ATP/s.

    Of a cell of Na+ and K+ leaks and a 3:2 pump the budget is their number, from the resistance that it has.
    """
    rt_f = float(jm.electrochemistry.thermal_voltage(37.0))
    ions = {
        "na": jm.Species(inside=145.0 * np.exp(-50 / rt_f), outside=145.0, dynamic=("inside",)),
        "k": jm.Species(inside=140.0, outside=140.0 * np.exp(-100 / rt_f), dynamic=("inside",)),
        "atp": jm.Species(inside=2.0, outside=0.0, valence=0),
    }
    leaks = {"na_leak": jm.Leak(ion="na"), "k_leak": jm.Leak(g=0.05), "pump": jm.NaKATPase()}
    cell = jm.balance(jm.Membrane(leaks, ions, geometry=jm.Sphere(radius=np.array([10.0, 20.0, 30.0]))), -70.0)
    state = cell.initial_state()
    told = jm.electrochemistry.atp_per_second(jm.input_resistance(cell, state), -70.0, 50.0, -100.0)
    used = jm.budget(cell, state).atp_per_second
    np.testing.assert_allclose(used, told, rtol=1e-9)
    np.testing.assert_allclose(used * jm.input_resistance(cell, state) / 200.0, 3.42e8, rtol=0.01)


def test_a_leak_is_a_resistor() -> None:
    cell = jm.Membrane({"leak": jm.Leak(g=np.array([0.02, 0.5]), e=-60.0)}, {"k": jm.Species()}, capacitance=0.8)
    state = cell.initial_state()
    np.testing.assert_allclose(jm.membrane_time_constant(cell, state), 0.8 / np.array([0.02, 0.5]), rtol=1e-14)
    ohm = 1 / (np.array([0.02, 0.5]) * 1e-3 * AREA * 1e-8)
    np.testing.assert_allclose(jm.input_resistance(cell, state), ohm * 1e-6, rtol=1e-14)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "name",
    ["hodgkin_huxley_1952", pytest.param("pumped_neuron", marks=SLOW), pytest.param("wang_buzsaki_1996", marks=SLOW)],
)
def test_a_small_current_measures_the_same(name: str) -> None:
    """The deflection at the end of a long step, and how fast that of a very short one decays before gates move."""
    cell = jm.presets.get(name)
    rest = jm.resting_state(cell)
    expected = float(jm.input_resistance(cell, rest))
    species = {k: jm.Species(s.inside, s.outside, valence=s.valence) for k, s in cell.species.items() if s.dynamic}
    cell = cell.with_species(species)  # nothing dynamic: short beside the ions
    area = float(cell.geometry.area) * 1e-2
    start = cell.initial_state(rest.v)
    step = jm.StepCurrent(amplitude=-5e-4 / expected * 1e3 / area, start=300.0, stop=600.0, carrier="none")
    run = jm.simulate(
        cell, 600.0, dt=0.02, stimulus=step, initial=start, precision="float64", measures=["input_resistance"]
    )
    assert run.measures["input_resistance"] == pytest.approx(expected, rel=1e-4)
    pulse = jm.StepCurrent(amplitude=10.0, start=0.1, stop=0.101, carrier="none")
    run = jm.simulate(
        cell, 0.11, dt=2e-4, stimulus=pulse, initial=start, precision="float64",
        measures={"tau": jm.measures.TimeConstant(after=(0.0, 2e-3))},
    )  # fmt: skip
    assert run.measures["tau"] == pytest.approx(float(jm.membrane_time_constant(cell, rest)), rel=0.01)


def test_channels_lower_the_resistance_of_the_squid() -> None:
    """At rest the delayed rectifier opposes a change: the steady state is stiffer than the membrane at fixed gates."""
    cell = jm.presets.hodgkin_huxley_1952()
    rest = jm.resting_state(cell)
    slope = float(cell.capacitance / jm.membrane_time_constant(cell, rest))
    state = cell.initial_state(np.array([-1e-3, 1e-3]) + rest.v)
    total = np.asarray(jm.budget(cell, state).membrane_current)
    steady = (total[1] - total[0]) / 2e-3
    assert jm.input_resistance(cell, rest) == pytest.approx(1e5 / (steady * AREA), rel=1e-6)
    assert steady > 1.2 * slope


PATHS = ("na_leak.p", "k_leak.p", "pump.i_max", "celsius", "geometry.radius", "na.inside")


@pytest.mark.parametrize("what", ["atp_per_second", "power", "input_resistance", "membrane_time_constant"])
def test_gradients_agree_with_differences(what: str) -> None:
    cells, state = scattered(4)
    start = {p: jnp.asarray(cells.parameters()[p].value) for p in PATHS}

    def number(values: dict[str, Any]) -> jax.Array:
        m = cells.with_parameters(values)
        s = m.initial_state(state.v)
        return getattr(jm.budget(m, s), what) if what in ("atp_per_second", "power") else getattr(jm, what)(m, s)

    gradient = jax.jit(jax.grad(lambda x: jnp.sum(number(x))))(start)
    run = jax.jit(number)
    for path in PATHS:
        h = 1e-5 * start[path]
        difference = (run(start | {path: start[path] + h}) - run(start | {path: start[path] - h})) / (2 * h)
        scale = np.abs(np.asarray(run(start)) / np.asarray(start[path]))
        np.testing.assert_allclose(gradient[path] / scale, difference / scale, rtol=1e-6, atol=1e-9)


@pytest.mark.slow
def test_what_rest_costs_has_a_gradient() -> None:
    """Through the resting state of living ions: a leakier cell pays more, by what differences say."""
    cell = jm.presets.pump_leak()

    def cost(g: Any) -> jax.Array:
        leaky = cell.with_parameters({"na_leak.g": g})
        return jm.budget(leaky, jm.resting_state(leaky)).atp_per_second

    h = 1e-6
    difference = (cost(0.0101 + h) - cost(0.0101 - h)) / (2 * h)
    assert jax.grad(cost)(0.0101) == pytest.approx(float(difference), rel=1e-6) and difference > 0


def test_they_are_pure_functions_in_any_precision() -> None:
    cells, state = scattered(4)
    ask = lambda m, s: (jm.budget(m, s).atp_per_second, jm.input_resistance(m, s), jm.membrane_time_constant(m, s))
    whole = ask(cells, state)
    for a, b in zip(jax.jit(ask)(cells, state), whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)
    one = lambda i, v: ask(m := cells.with_parameters({"na_leak.p": i, **{
        p: cells.parameters()[p].value[0] for p in PATHS if p != "na_leak.p"}}), m.initial_state(v))  # fmt: skip
    leaks = jnp.asarray([1e-8, 2e-8, 4e-8])
    many = jax.vmap(one)(leaks, jnp.full(3, -60.0))
    for i in range(3):
        for a, b in zip(many, one(leaks[i], jnp.asarray(-60.0)), strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-13)
    narrow = ask(cells, cells.initial_state(np.asarray(state.v, np.float32), dtype=jnp.float32))
    for a, b in zip(narrow, whole, strict=True):
        assert a.dtype == jnp.float32
        np.testing.assert_allclose(a, b, rtol=2e-5)
