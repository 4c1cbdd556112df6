"""The pump as a cycle of states: detailed balance against thermodynamics, its rates against the printed equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmem as jm
from jaxmem.electrochemistry import atp_free_energy, pump_cycle_work, pump_reversal_potential, thermal_energy
from jaxmem.membrane.pump_cycle import EDGES

RNG = np.random.default_rng(4)


def membrane(mechanism: jm.PumpCycle, celsius: float = 37.0, **pools: np.ndarray) -> jm.Membrane:
    species = {
        "na": jm.Species(10.0, 145.0), "k": jm.Species(140.0, 5.0),
        **{name: jm.Species(x, 0.0, valence=0) for name, x in (("atp", 5.0), ("adp", 0.05), ("pi", 2.0))},
    }  # fmt: skip
    cell = jm.Membrane({"pump": mechanism}, species, celsius=celsius)
    return cell.with_parameters({name.replace("_", "."): x for name, x in pools.items()})


def environment(cell: jm.Membrane, v: jax.Array) -> jm.Environment:
    return cell.environment({name: jnp.zeros_like(v) for name in [*cell.species, "electrode"]})


def random_pools(n: int) -> dict[str, np.ndarray]:
    return {
        name: RNG.uniform(0.3, 3.0, n) * middle
        for name, middle in (
            ("na_inside", 15.0), ("na_outside", 140.0), ("k_inside", 130.0), ("k_outside", 5.0),
            ("atp_inside", 3.0), ("adp_inside", 0.5), ("pi_inside", 3.0),
        )
    }  # fmt: skip


@pytest.mark.parametrize("celsius", [20.0, 37.0])
def test_the_product_of_its_rates_is_the_free_energy_of_a_cycle(celsius: float) -> None:
    """At random concentrations, voltages and parameters: no choice of them can break it."""
    n = 200
    pools, v = random_pools(n), jnp.asarray(RNG.uniform(-200.0, 100.0, n))
    cell = membrane(jm.PumpCycle(standard=-32.0), celsius, **pools)
    known = cell.parameters()
    free = [
        p
        for p in known
        if p.startswith("pump.") and p.rpartition(".")[2] not in ("standard", "density", "q10", "q10_celsius")
    ]
    cell = cell.with_parameters({p: known[p].value * RNG.uniform(0.5, 2.0, n) for p in free})
    rates = cell.mechanisms["pump"].rates(v, environment(cell, v))
    found = sum(np.log(np.asarray(a / b)) for a, b in rates)
    inside = {ion: pools[f"{ion}_inside"] for ion in ("na", "k")}
    outside = {ion: pools[f"{ion}_outside"] for ion in ("na", "k")}
    atp = atp_free_energy(pools["atp_inside"], pools["adp_inside"], pools["pi_inside"], celsius, -32.0)
    gained = -(atp + pump_cycle_work(v, inside, outside, celsius=celsius)) / thermal_energy(celsius)
    np.testing.assert_allclose(found, gained, rtol=0, atol=1e-11)


def test_it_stands_still_at_the_reversal_potential_and_turns_round_there() -> None:
    n = 100
    pools = random_pools(n)
    inside = {ion: pools[f"{ion}_inside"] for ion in ("na", "k")}
    outside = {ion: pools[f"{ion}_outside"] for ion in ("na", "k")}
    atp = atp_free_energy(pools["atp_inside"], pools["adp_inside"], pools["pi_inside"])
    reversal = jnp.asarray(pump_reversal_potential(atp, inside, outside))
    cell = membrane(jm.PumpCycle(), **pools)
    pump = cell.mechanisms["pump"]

    def currents(v: jax.Array) -> dict[str, np.ndarray]:
        env = environment(cell, v)
        return {ion: np.asarray(c.value) for ion, c in pump.fluxes(v, pump.initial(v, env), env).items()}

    still, above, below = (currents(reversal + shift) for shift in (0.0, 10.0, -10.0))
    assert all(np.abs(still[x] / above[x]).max() < 1e-8 for x in still)
    assert np.all(above["na"] > 0) and np.all(below["na"] < 0) and np.all(below["atp"] < 0)
    for flow in (above, below):  # one cycle: 3 Na+ out, 2 K+ in, an ATP spent, ADP and phosphate made
        for name, per_cycle in (("na", 3.0), ("k", -2.0), ("adp", -1.0), ("pi", -1.0)):
            np.testing.assert_allclose(flow[name], per_cycle * flow["atp"], rtol=1e-8)


def test_its_turnover_is_that_of_the_printed_equations() -> None:
    """Without products (of K+ inside a trace) no step but the second goes back; by hand from the paper's numbers."""
    v, na_o = -40.0, 100.0
    cell = membrane(
        jm.PumpCycle(),
        na_inside=50.0,
        na_outside=na_o,
        k_inside=1e-6,
        k_outside=5.4,
        atp_inside=10.0,
        adp_inside=0.0,
        pi_inside=0.0,
    )
    pump, at = cell.mechanisms["pump"], jnp.asarray([v])
    env = environment(cell, at)
    i_k = float(pump.fluxes(at, pump.initial(at, env), env)["k"].value[0])
    x = v / (8.314462618 * 310.15 / 96485.33212 * 1e3)
    inner, two_in = 50.0 / (579.7295 * np.exp(-0.055 * x)), 50.0 / 5.6399
    outer, two_out, k = na_o / (0.0349 * np.exp(0.945 * x)), na_o / 10617.0, 5.4 / 1.0817
    a1 = 1423.2 * inner * two_in**2 / (inner * two_in**2 + (1 + two_in) ** 2)
    low = outer * two_out**2 + (1 + two_out) ** 2 + (1 + k) ** 2 - 1
    a2, b2, a3 = 11565.0, 36355.0 * outer * two_out**2 / low, 194.4506 * k**2 / low
    bound = 10.0 / 140.3709
    a4 = 30630.0 * bound / (1 + bound)
    # mean times in the states of a cycle that only e1_p <-> e2_p interrupts
    cycle = 1 / a1 + 1 / a4 + (1 / a2) * (1 + b2 / a3) + 1 / a3
    assert -i_k / (2 * 1000 * 1.602176634e-2) * 1e3 == pytest.approx(1 / cycle, rel=1e-9)
    assert 40 < 1 / cycle < 80  # per second, what is measured at 37 degC with much Na+ inside


@pytest.mark.slow
def test_a_run_keeps_pumps_and_pays_what_it_moves() -> None:
    """Occupancies keep their sum; Na+ moved is three times the ATP, but for cycles under way."""
    cell = membrane(jm.PumpCycle(), na_inside=np.array([10.0, 50.0]))
    clamp = jm.VoltageClamp.steps(-70.0, 0.0, 1.0, 400.0)
    sim = jm.simulate(
        cell, 400.0, dt=0.02, stimulus=clamp, record=jm.Record([f"pump.{a}" for a, _ in EDGES], every=10.0)
    )
    np.testing.assert_allclose(sum(sim.traces.values()), 1.0, rtol=0, atol=1e-12)
    book = sim.final_state.book
    pumps = 1000 * 1.602176634e-2  # nC/cm^2 for a charge of each pump: what a cycle under way can make of a difference
    assert np.abs(np.asarray(book["na"]) - 3 * np.asarray(book["atp"])).max() < 3 * pumps
    assert np.all(np.asarray(book["atp"]) > 2 * pumps) and np.abs(np.asarray(sim.audit.charge)).max() < 1e-12


def test_its_steady_turnover_is_exact_at_any_dt() -> None:
    """By the default integrator, though the fastest steps take less than dt."""
    v = np.array([-100.0, 0.0])
    cell = membrane(jm.PumpCycle())
    rates = [np.array(cell.mechanisms["pump"].rates(jnp.asarray(x), environment(cell, jnp.asarray(x)))) for x in v]
    exact = np.array([turnover(x) for x in rates])
    for dt in (0.1, 0.025):
        steady = jm.measures.SteadyCurrent(window=(20.0, 100.0))
        start = cell.with_parameters({"initial_v": v})
        sim = jm.simulate(start, 100.0, dt=dt, stimulus=jm.VoltageClamp(v), measures={"i": steady})
        np.testing.assert_allclose(sim.measures["i"] / (1000 * 1.602176634e-2), exact, rtol=1e-8)


@pytest.mark.slow
def test_a_rest_with_it_does_not_drift() -> None:
    cell = membrane(jm.PumpCycle(density=1500.0))
    cell = cell.with_mechanisms({"na_leak": jm.Leak(g=0.01, ion="na"), "k_leak": jm.Leak(g=0.1, ion="k")})
    rest = jm.resting_state(cell)
    sim = jm.simulate(cell, 100.0, dt=0.025, initial=rest.state, record=jm.Record("v", 1.0))
    assert np.abs(sim.traces["v"] - np.asarray(rest.v)).max() < 1e-6


def turnover(rates: np.ndarray) -> float:
    """Cycles per ms of a ring of states by its null space."""
    n = len(rates)
    matrix = np.zeros((n, n))
    for a, (forward, backward) in enumerate(rates):
        b = (a + 1) % n
        matrix[[a, b, b, a], [a, a, b, b]] += -forward, forward, -backward, backward
    matrix[-1] = 1.0
    p = np.linalg.solve(matrix, np.eye(n)[-1])
    return float(rates[0, 0] * p[0] - rates[0, 1] * p[1])


def test_a_cell_can_live_on_it() -> None:
    """The pumps that hold the cell of `pump_leak` at -70 mV are counted, and are as many as its pump current asks for."""
    leaky = jm.presets.pump_leak()
    fuel = {name: jm.Species(x, 0.0, valence=0) for name, x in (("atp", 5.0), ("adp", 0.05), ("pi", 2.0))}
    cell = jm.balance(
        leaky.with_mechanisms({"pump": jm.PumpCycle()}).with_species(fuel),
        -70.0,
        ["na_leak.g", "pump.density", "cl.inside"],
    )
    found = cell.parameters()
    assert found["na_leak.g"].value == pytest.approx(leaky.parameters()["na_leak.g"].value, rel=1e-9)
    at = jnp.asarray(-70.0)
    per_pump = turnover(np.array(cell.mechanisms["pump"].rates(at, environment(cell, at))))
    asked = 0.05 * (-70.0 - float(jm.electrochemistry.nernst(140.0, 5.0, 1))) / 2  # uA/cm^2, that K+ comes back
    assert found["pump.density"].value * per_pump * 1.602176634e-2 == pytest.approx(asked, rel=1e-9)
