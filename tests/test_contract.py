"""The contract carries later physiology: five probes, their physics, their books, their order of convergence.

The probes stand in probes.py and are made of public parts alone; the exact solutions are ``Membrane.derivative`` under
another integrator (diffrax), so that the engine's step is compared with the equations and not with itself.
"""

import equinox as eqx
import jax
import numpy as np
import probes
import pytest
from helpers import book, charge_error, exact, gained_by_flux, mass_error, orders, random_state

import jaxmem as jm

LIMIT = {"float64": 1e-14, "float32": 1e-6}  # relative; promised are 1e-12 and 1e-4
PRECISIONS = ("float64", "float32")
CURRENT = np.array([0.0, 2.0, 4.0, 8.0, 0.0, 2.0, 4.0, 8.0])  # uA/cm^2; the second four cells differ in what is probed
START, STOP, DURATION = 100.0, 800.0, 1000.0  # ms


def population(name: str) -> jm.Membrane:
    """Eight cells; of the second four the probed mechanism is taken away or pushed."""
    halves = lambda a, b: np.repeat([a, b], 4)
    if name == "calcium_shell":
        return probes.calcium_shell().with_parameters({"sk.g": halves(1.0, 0.0)})
    if name == "markov_channel":
        return probes.markov_channel().with_parameters({"markov.g": halves(50.0, 35.0)})
    if name == "swelling_cell":
        normal, hypotonic = (probes.swelling_cell(bath).species["solute"].outside for bath in (1.0, 0.8))
        return probes.swelling_cell().with_parameters({"solute.outside": halves(normal, hypotonic)})
    if name == "energy_cell":
        return probes.energy_cell().with_parameters({"synthesis.rate": halves(5e-3, 0.0)})
    return probes.depleting_synapse().with_parameters({"synapse.use": halves(0.4, 0.0)})


def simulated(name: str, precision: str, dt: float = 0.05, stretch: float = 1.0) -> jm.Simulation:
    """A run whose books have been closed: every test of a probe's physics stands on audited ground."""
    record = jm.Record(("v", "states", "concentrations"), every=0.5 * stretch)
    stimulus = jm.StepCurrent(CURRENT, START, STOP * stretch)
    sim = jm.simulate(
        population(name), DURATION * stretch, dt=dt, stimulus=stimulus, precision=precision, record=record
    )
    assert_books_close(sim, LIMIT[precision])
    return sim


def assert_books_close(sim: jm.Simulation, limit: float) -> None:
    trace, moved = sim.traces, book(sim.final_state)
    assert np.all(sim.status == jm.Status.OK) and all(np.isfinite(x).all() for x in trace.values())
    assert sim.audit.charge.shape == sim.audit.mass.shape == (8,)
    assert sim.audit.worst_charge < limit and sim.audit.worst_mass < limit
    assert charge_error(sim).max() < limit  # (a), from the accounts
    volume = 1 + gained_by_flux(sim, "water") / probes.WATER if sim.membrane.water else 1.0
    last = {f"{name}.{side}": trace[f"{name}.{side}"][-1] for name, side in sim.membrane.pools()}
    pools = mass_error(sim, last, volume)  # (b), from the recorded concentrations
    assert len(pools) >= 3
    assert {k: x.max() for k, x in pools.items() if not x.max() < limit} == {}
    # what transfers took from one pool they gave to another or to the bath (all pools here have one volume)
    given = [x for account, x in moved.items() if "." in account]
    if given:
        assert (abs(sum(given)) / np.maximum(sum(abs(x) for x in given), 1e-30)).max() < limit


def at(sim: jm.Simulation, time: float) -> int:
    return int(np.argmin(abs(sim.time - time)))


def spikes(sim: jm.Simulation) -> np.ndarray:
    v = sim.traces["v"]
    return ((v[:-1] < 0) & (v[1:] >= 0)).sum(0)


# ---------------------------------------------------------------------- physics
@pytest.mark.parametrize("precision", PRECISIONS)
def test_calcium_rises_with_spikes_and_opens_sk(precision):
    sim = simulated("calcium_shell", precision)
    calcium, open_sk, fired = sim.traces["ca.inside"], sim.traces["sk.q"], spikes(sim)
    assert list(fired[[0, 4]]) == [0, 0] and np.all(fired[[2, 3, 6, 7]] >= 2)
    assert np.all(calcium.min(0) > 0)
    assert np.all(calcium[:, [0, 4]].max(0) < 1e-4) and np.all(calcium[:, [2, 3, 6, 7]].max(0) > 1e-3)
    assert np.all(open_sk[:, [2, 3]].max(0) > 0.3)
    # the channel hyperpolarises: fewer spikes, and deeper after the train than the same cell without the channel
    assert np.all(fired[[2, 3]] < 0.5 * fired[[6, 7]])
    after = sim.traces["v"][at(sim, STOP + 60)]
    assert np.all(after[[2, 3]] < after[[6, 7]] - 3.0)
    # most of what came in sits on the buffer
    gain = {k: sim.traces[k][at(sim, STOP)] - sim.traces[k][0] for k in ("ca.inside", "bound.inside")}
    assert np.all(gain["bound.inside"][[2, 3]] > 20 * gain["ca.inside"][[2, 3]])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_markov_occupancies_are_probabilities(precision):
    sim = simulated("markov_channel", precision)
    occupancies = np.stack([sim.traces[f"markov.{s}"] for s in ("closed", "half", "open", "inactivated")])
    rounding = np.finfo(precision).eps * np.sqrt(DURATION / sim.dt)  # a random walk of one rounding a step
    assert abs(occupancies.astype(float).sum(0) - 1).max() < 4 * rounding
    assert occupancies.min() >= 0
    assert occupancies[2].max() > 0.3 and occupancies[3].max() > 0.8
    fired = spikes(sim)
    assert list(fired[[0, 4]]) == [0, 0] and np.all(fired[[3, 7]] > 10)
    assert fired[7] != fired[3]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_water_brings_osmotic_balance(precision):
    sim = simulated("swelling_cell", precision)
    membrane, trace = sim.membrane, sim.traces
    inside = sum(trace[f"{ion}.inside"] for ion in ("na", "k", "cl", "other", "solute"))
    outside = sum(np.asarray(s.outside) for name, s in membrane.species.items() if name != "water")
    gradient = inside - outside  # mM
    volume = trace["other.inside"][0] / trace["other.inside"]  # the anions that cannot leave tell the volume
    by_water = 1 + gained_by_flux(sim, "water") / probes.WATER
    np.testing.assert_allclose(volume[-1], by_water, rtol=4 * np.finfo(precision).eps)
    assert np.all(gradient[0, 4:] > 50) and np.all(abs(gradient[-1]) < 4)
    assert 1.15 < volume[-1, 4] < 1.3 and 0.95 < volume[-1, 0] < 1.05
    # the cotransporter holds chloride below equilibrium
    e_cl = np.asarray(jm.electrochemistry.nernst(trace["cl.inside"][-1, 0], 120.0, -1))
    assert e_cl < trace["v"][-1, 0] - 0.5
    # the electric charge of the inside has not changed by more than the capacitor holds
    charge = volume * (trace["na.inside"] + trace["k.inside"] - trace["cl.inside"] - trace["other.inside"])
    assert abs(charge - charge[0]).max() < 0.05


@pytest.mark.parametrize("precision", PRECISIONS)
def test_pump_stops_when_atp_runs_out(precision):
    sim = simulated("energy_cell", precision)
    atp, adp = sim.traces["atp.inside"].astype(float), sim.traces["adp.inside"].astype(float)
    whole = atp[0] + adp[0]
    assert abs(atp + adp - whole).max() / whole.max() < (1e-13 if precision == "float64" else 1e-6)
    assert atp.min() >= 0 and adp.min() >= 0
    assert np.all(atp[-1, :4] > 0.35) and np.all(atp[-1, 4:] < 0.2)
    # without synthesis the cells load up with sodium and the resting ones depolarise
    na, v = sim.traces["na.inside"], sim.traces["v"]
    assert np.all(na[-1, 4:] > na[-1, :4] + 0.2)
    assert v[-1, 4] > v[-1, 0] + 1.0


@pytest.mark.parametrize("precision", PRECISIONS)
def test_synapse_depletes_and_recovers(precision):
    sim = simulated("depleting_synapse", precision)
    ready, open_, fired = sim.traces["synapse.ready"], sim.traces["synapse.open"], spikes(sim)
    assert list(fired[[0, 4]]) == [0, 0] and np.all(fired[[2, 3, 6, 7]] > 10)
    rounding = 1e-12 if precision == "float64" else 1e-4
    assert abs(ready[:, [0, 4, 5, 6, 7]] - 1).max() < rounding and not open_[:, [0, 4, 5, 6, 7]].any()
    assert np.all(ready[at(sim, STOP)][[2, 3]] < 0.2)
    # after the train what is missing comes back with the time constant of 300 ms
    last, end = at(sim, STOP + 20), at(sim, DURATION)
    missing = (1 - ready[end, [2, 3]]) / (1 - ready[last, [2, 3]])
    np.testing.assert_allclose(missing, np.exp(-(sim.time[end] - sim.time[last]) / 300), rtol=1e-3)


def test_event_is_applied_in_the_step_of_the_spike():
    dt, use = 0.025, np.array([0.4, 0.1])
    membrane = probes.depleting_synapse().with_parameters({"synapse.use": use})
    state = membrane.initial_state()
    run = eqx.filter_jit(
        lambda m, s: jm.integrate(
            m,
            s,
            jm.ConstantCurrent(20.0),
            steps=400,
            dt=dt,
            every=1,
            record=("v", "states"),
            first_step=0,
            checkpoint=False,
        )
    )(membrane, state)
    v, ready, open_ = (np.asarray(run.traces[k]) for k in ("v", "synapse.ready", "synapse.open"))
    for cell in (0, 1):
        crossing = int(np.flatnonzero((v[:-1, cell] < 0) & (v[1:, cell] >= 0))[0])
        assert ready[crossing, cell] == pytest.approx(1.0, abs=1e-12)
        assert open_[crossing, cell] == 0.0
        # the only other thing that happens to them is half a step of recovery and decay
        assert ready[crossing + 1, cell] == pytest.approx(1 - use[cell], abs=dt / 300)
        assert open_[crossing + 1, cell] == pytest.approx(use[cell], rel=dt * 0.2)


# ---------------------------------------------------------------------- the books of a long run
@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", probes.PROBES)
def test_books_close_after_ten_seconds(name, precision):
    sim = simulated(name, precision, dt=0.025, stretch=10.0)
    assert spikes(sim).max() > 10  # seen at every 5 ms only, so there are many more


# ---------------------------------------------------------------------- the order
LONG = ("calcium_shell", "energy_cell", "depleting_synapse", "markov_channel", "swelling_cell")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in LONG)) for n in probes.PROBES])
def test_second_order_to_the_exact_solution(name):
    """Every variable: v, states, concentrations, currents per mechanism and ion; from random gates, over 12 ms."""
    membrane = probes.swelling_cell(bath=0.8) if name == "swelling_cell" else probes.PROBES[name]()
    if name == "depleting_synapse":  # no spike, no event
        membrane = membrane.with_parameters({"sodium.g": 1.0})
    state = random_state(membrane, 4, seed=1)
    found = orders(membrane, state, 12.0, 0.0025, np.linspace(0.0, 3.0, 4))
    assert {"v", "potassium.n", "potassium.i_k", "na.inside", "k.inside"} <= set(found)
    assert {"calcium_shell": "bound.inside", "markov_channel": "markov.open", "swelling_cell": "other.inside",
            "energy_cell": "adp.inside", "depleting_synapse": "synapse.open"}[name] in found  # fmt: skip
    assert {k: x for k, x in found.items() if not x >= 1.9} == {}


# ---------------------------------------------------------------------- pools of two speeds
class Store(jm.Mechanism):
    """A store between a thin shell, refreshed at every step, and what is refreshed at intervals: a bath, a clamped pool."""

    def transfers(self, v: jax.Array, states: dict, env: jm.Environment) -> dict:
        return {
            ("shell.inside", "store.inside"): (0.3, 0.001),
            ("store.inside", "bath"): (0.01, 0.002),
            ("store.inside", "blood.outside"): (0.02, 0.005),
        }


def test_a_pool_may_be_reached_by_fast_and_slow_transfers():
    alive = {"valence": 0, "dynamic": ("inside",)}
    shell = jm.Species(1.0, 0.0, every_step=True, depth=0.1, **alive)
    store, blood = jm.Species(0.2, 0.0, depth=2.0, **alive), jm.Species(0.0, 1.5, valence=0)
    membrane = jm.Membrane({"between": Store()}, {"shell": shell, "store": store, "blood": blood})
    membrane = membrane.with_parameters({"initial_v": np.full(3, -70.0)})
    state, sim = membrane.initial_state(), jm.simulate(membrane, 50.0)
    assert sim.audit.worst_mass < 1e-14
    true = exact(membrane, state, np.array([50.0]))
    for account, moved in book(sim.final_state).items():
        np.testing.assert_allclose(moved, true.book[account][0], rtol=1e-3, atol=1e-12, err_msg=account)
