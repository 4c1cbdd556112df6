"""Channel noise: the variance and the time course of so many independent channels, the same draws wherever a cell runs."""

import jax
import numpy as np
import pytest

import jaxmem as jm

N = {"sodium": 6000.0, "potassium": 1800.0}


def squid(channels: bool, cells: int = 1) -> jm.Membrane:
    """The squid axon with whole channels: infinitely many, or the numbers of 100 um^2."""
    count = {name: np.full(cells, n) if channels else None for name, n in N.items()}
    return jm.presets.hodgkin_huxley_1952().with_mechanisms({
        "sodium": jm.HodgkinHuxleySodiumStates(e=50.0, channels=count["sodium"]),
        "potassium": jm.HodgkinHuxleyPotassiumStates(e=-77.0, channels=count["potassium"]),
    })  # fmt: skip


def clamped(v: float, cells: int, duration: float, dt: float) -> jm.Simulation:
    """Fluctuations at a voltage that a huge capacitor holds."""
    held = squid(True, cells).with_parameters({"capacitance": 1e12, "initial_v": v})
    record = jm.Record(("sodium.m3h1", "potassium.n4"), every=0.5)
    return jm.simulate(held, duration, dt=dt, record=record, precision="float32")


@pytest.mark.slow
def test_infinitely_many_channels_are_gates() -> None:
    """Occupancies of whole channels follow m^3 h and n^4; what is between them falls as dt^2 at least."""
    gates, stimulus, record = jm.presets.hodgkin_huxley_1952(), jm.ConstantCurrent(10.0), jm.Record("v", 0.5)
    gates = gates.with_parameters({"sodium.e": 50.0, "potassium.e": -77.0})
    errors = []
    for dt in (0.01, 0.005):
        a, b = (jm.simulate(m, 10.0, dt=dt, stimulus=stimulus, record=record) for m in (gates, squid(False)))
        errors.append(np.sqrt(np.mean((a.traces["v"] - b.traces["v"].reshape(a.traces["v"].shape)) ** 2)))
    assert errors[1] < 0.05 and errors[0] / errors[1] > 3.5


@pytest.mark.parametrize("dt", [pytest.param(dt, marks=pytest.mark.slow) for dt in (0.025, 0.1)])
def test_variance_and_memory_are_those_of_independent_channels(dt: float) -> None:
    """At a held voltage: variance p(1 - p)/N, and for n^4 the covariance p4 ((p + (1 - p) exp(-t/tau))^4 - p4)/N."""
    v, cells = -40.0, 512
    sim = clamped(v, cells, 60.0, dt)
    env = sim.membrane.environment({k: np.zeros(1) for k in [*sim.membrane.species, "electrode"]})
    n = jm.HodgkinHuxleyPotassium().kinetics(np.full(1, v), {}, env)["n"]
    s = jm.HodgkinHuxleySodium().kinetics(np.full(1, v), {}, env)
    steady = lambda r: float(np.asarray(r.opening / (r.opening + r.closing))[0])
    p, tau = steady(n), 1 / float(np.asarray(n.opening + n.closing)[0])
    open_na, open_k = steady(s["m"]) ** 3 * steady(s["h"]), p**4
    k, na = sim.traces["potassium.n4"][40:], sim.traces["sodium.m3h1"][40:]
    # the mean of 512 independent cells and of what they forget in 40 ms: errors of four standard errors would fail
    independent = cells * 40.0 / (2 * tau)
    for x, open_, count in ((k, open_k, N["potassium"]), (na, open_na, N["sodium"])):
        variance = open_ * (1 - open_) / count
        assert abs(x.mean() - open_) < 5 * np.sqrt(variance / independent)
        assert x.var() == pytest.approx(variance, rel=5 * np.sqrt(2 / independent) + 0.01)
    for lag in (2, 6, 12):  # samples of 0.5 ms
        found = np.mean((k[lag:] - open_k) * (k[:-lag] - open_k))
        told = open_k * ((p + (1 - p) * np.exp(-lag * 0.5 / tau)) ** 4 - open_k) / N["potassium"]
        assert found == pytest.approx(told, abs=0.05 * open_k * (1 - open_k) / N["potassium"])


def test_a_gate_with_few_channels_has_their_variance() -> None:
    """The noise of a single gate (Rates) has the stationary variance p(1 - p)/N at any dt."""
    sim = jm.simulate(
        jm.Membrane({"flicker": Flicker(channels=np.full(4096, 50.0))}, {}),
        50.0,
        dt=0.5,
        record=jm.Record("flicker.x", 50.0),
    )
    x = sim.traces["flicker.x"][-1]
    assert x.mean() == pytest.approx(0.25, abs=5 * np.sqrt(0.25 * 0.75 / 50 / 4096))
    assert x.var() == pytest.approx(0.25 * 0.75 / 50, rel=0.12)


class Flicker(jm.Mechanism):
    """A gate that opens at 0.1 and closes at 0.3 per ms, whatever the voltage."""

    channels: jm.Number = jm.parameter("1", "how many", default=50.0)

    def kinetics(self, v: jax.Array, states: dict, env: jm.Environment) -> dict:
        return {"x": jm.Rates(0.1 + 0 * v, 0.3 + 0 * v, channels=self.channels, seed=3)}


@pytest.mark.parametrize("precision", [pytest.param(p, marks=pytest.mark.slow) for p in ("float32", "float64")])
def test_draws_are_the_cell_s_own(precision: str) -> None:
    """Alone, among seven, after a cut anywhere: the same bits; other cells and seeds: other numbers."""
    cells = squid(True, 300)
    state = cells.initial_state(dtype=precision)
    whole = jm.simulate(cells, 20.0, initial=state, precision=precision)
    few = np.array([3, 255, 256, 299])
    part = jm.simulate(cells[few], 20.0, initial=state[few], precision=precision)
    assert np.asarray(whole.final_state.v)[few].tobytes() == np.asarray(part.final_state.v).tobytes()
    first = jm.simulate(cells, 7.325, initial=state, precision=precision)
    rest = jm.simulate(cells, 12.675, initial=first.final_state, precision=precision)
    assert np.asarray(rest.final_state.v).tobytes() == np.asarray(whole.final_state.v).tobytes()
    assert np.unique(np.asarray(whole.final_state.v)).size > 290
    other = jm.simulate(cells.with_parameters({"sodium.seed": 9}), 20.0, initial=state, precision=precision)
    assert not np.any(np.asarray(other.final_state.v) == np.asarray(whole.final_state.v))
    assert whole.audit.worst_charge < (1e-12 if precision == "float64" else 1e-4)
    sums = sum(
        np.asarray(whole.final_state.states["sodium"][s], np.float64) for s in whole.final_state.states["sodium"]
    )
    assert abs(sums - 1).max() < (1e-12 if precision == "float64" else 1e-4)


@pytest.mark.slow
def test_a_patch_fires_by_itself_and_a_large_membrane_does_not() -> None:
    patch = squid(True, 256)
    large = patch.with_parameters({"sodium.channels": 6e7, "potassium.channels": 1.8e7})
    fired = [
        jm.simulate(m, 200.0, dt=0.05, measures=["spike_count"], precision="float32").measures["spike_count"]
        for m in (patch, large)
    ]
    assert fired[0].mean() > 0.5 and fired[1].max() == 0


@pytest.mark.slow
def test_integrators_without_its_noise_refuse() -> None:
    with pytest.raises(ValueError, match=r"sodium has a number of channels.*Staggered"):
        jm.simulate(squid(True), 1.0, integrator=jm.RungeKutta4())
    assert jm.simulate(squid(True), 1.0, integrator=jm.RushLarsen()).failures == {}
