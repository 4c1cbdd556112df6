"""Rests of whatever the contract can say: schemes, pools, a finite outside, volume, states that feed on themselves.

Each specimen has to be a steady state of ``Membrane.derivative`` (which the solver's elimination of states and amounts
could miss), to keep what is conserved, and to stand still in a simulation whose books close.
"""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import probes
import pytest
from scipy.optimize import brentq

import jaxmem as jm

OK, NONE = jm.Status.OK, jm.Status.NO_STEADY_STATE
BOTH = {"dynamic": ("inside", "outside")}


def assert_steady(rest: jm.RestingState) -> None:
    """Nothing moves: voltage (mV/ms), states (1/ms), amounts (mM/ms), by the equations as they stand."""
    m, s = rest.membrane, rest.state
    assert (rest.status == OK).all() and (rest.stability != jm.Stability.UNSTABLE).all()
    assert np.max(rest.residual) < 1e-9
    here = jm.Point(*(jax.tree.map(jnp.asarray, x) for x in (s.v, s.states, s.book)))
    there = m.derivative(here)
    assert np.abs(there.v).max() < 1e-9
    assert max([np.abs(x).max() for states in there.states.values() for x in states.values()], default=0.0) < 1e-10
    for name, side in m.pools():
        account = there.book.get(f"{name}.{side}", 0.0)
        assert np.abs(m.per_charge(name, side) * there.book[name] + account).max() < 1e-11, (name, side)
        level = getattr(m.environment(here.book), side)[name] if name != m.water else m.environment(here.book).volume
        np.testing.assert_allclose(rest.concentrations[f"{name}.{side}"], level, rtol=1e-12)


def assert_stays(rest: jm.RestingState, duration: float = 500.0, dt: float = 0.05) -> None:
    """In steps that know nothing of the search, with books that close."""
    run = jm.simulate(
        rest.membrane, duration, dt=dt, initial=rest.state, precision="float64", integrator=jm.RungeKutta4(),
        measures=["final_v", "concentration_change"],
    )  # fmt: skip
    assert (run.status == OK).all() and run.audit.worst_charge < 1e-12 and run.audit.worst_mass < 1e-12
    np.testing.assert_allclose(run.measures["final_v"], rest.v, rtol=0, atol=1e-8)
    changes = {k: np.abs(x).max() for k, x in run.measures.items() if k.startswith("concentration_change")}
    assert changes and max(changes.values()) < 1e-8


def charge_kept(rest: jm.RestingState, outside: bool = False) -> np.ndarray:
    """mM: charge that came inside since the start, less what the capacitor took."""
    m = rest.membrane
    carried = sum(
        s.valence * (rest.concentrations[f"{k}.inside"] * rest.concentrations.get("water.inside", 1.0) - s.inside)
        for k, s in m.species.items() if s.valence and "inside" in s.dynamic
    )  # fmt: skip
    per_mv = 10 * m.capacitance / (jm.units.FARADAY * m.geometry.depth)
    return np.asarray(carried - per_mv * (rest.v - m.initial_v))


# ---------------------------------------------------------------------- states that feed on themselves
class Cooperative(jm.Mechanism):
    """A gate that its own open state helps to open."""

    g: jm.Number = jm.parameter("mS/cm^2", "maximal conductance", default=0.1, minimum=0.0)
    help: jm.Number = jm.parameter("1", "how much an open gate helps", default=2.0, minimum=0.0)

    def kinetics(self, v: jax.Array, states: dict, env: jm.Environment) -> dict[str, jm.Rates]:
        return {"x": jm.Rates(0.05 * (1 + self.help * states["x"]), 0.2 * jnp.exp(-(v + 60) / 20))}

    def fluxes(self, v: jax.Array, states: dict, env: jm.Environment) -> dict[str, jm.Current]:
        g = self.g * states["x"]
        return {"k": jm.Current(g * (v + 90.0), g)}

    def initial(self, v: jax.Array, env: jm.Environment) -> dict[str, jax.Array]:
        return {"x": 0.1 + 0.0 * v}


def test_a_mechanism_whose_rates_depend_on_its_own_states() -> None:
    """Against a root of the two equations: x (1 - x) of the gate in closed form, the voltage by bracketing."""
    helped = np.array([0.0, 0.5, 2.0])
    cells = jm.Membrane({"it": Cooperative(help=helped), "leak": jm.Leak(g=0.05, e=-50.0)}, {"k": jm.Species()})
    rest = jm.resting_state(cells)
    assert_steady(rest)

    def gate(v: float, a: float) -> float:  # 0.05 (1 + a x)(1 - x) = b x
        b = 4 * np.exp(-(v + 60) / 20)
        linear = a - 1 - b
        return 2 / (np.sqrt(linear**2 + 4 * a) - linear)

    for i, a in enumerate(helped):
        v = brentq(lambda u, a=a: 0.1 * gate(u, a) * (u + 90) + 0.05 * (u + 50), -89, -51, xtol=1e-14)
        assert rest.v[i] == pytest.approx(v, abs=1e-10)
        assert rest.state.states["it"]["x"][i] == pytest.approx(gate(v, a), rel=1e-11)
    assert np.ptp(rest.v) > 1.0


# ---------------------------------------------------------------------- specimens
def calcium() -> jm.Membrane:
    """The shell's calcium lives, the other ions are clamped: what comes in by the channel has to be pumped out."""
    cell = probes.calcium_shell()
    still = {
        k: jm.Species(s.inside, s.outside, valence=s.valence) for k, s in cell.species.items() if k in ("na", "k", "cl")
    }
    return cell.with_species(still)


def finite(extra: dict[str, jm.Mechanism] | None = None) -> jm.Membrane:
    """A fifth of the volume outside, every ion alive on both sides."""
    cell = jm.presets.pump_leak()
    alive = {k: dataclasses.replace(cell.species[k], **BOTH) for k in ("na", "k", "cl")}
    return (
        cell.with_species(alive)
        .with_geometry(jm.Sphere(10.0, outside_volume_fraction=0.2))
        .with_mechanisms(extra or {})
    )


def cycling() -> jm.Membrane:
    """The pump as a scheme of four states, nucleotides clamped."""
    cell = jm.presets.pump_leak()
    fuel = {k: jm.Species(c, 0.0, valence=0) for k, c in (("atp", 5.0), ("adp", 0.05), ("pi", 1.0))}
    return cell.with_species(fuel).with_mechanisms({"pump": jm.PumpCycle(density=1500.0)})


SPECIMENS: dict[str, Callable[[], jm.Membrane]] = {
    "markov_channel": probes.markov_channel,
    "depleting_synapse": probes.depleting_synapse,
    "swelling_cell": probes.swelling_cell,
    "energy_cell": probes.energy_cell,
    "calcium": calcium,
    "finite": finite,
    "bath": lambda: finite({"perfusion": jm.BathExchange("k", tau=2000.0, level=4.0)}),
    "cycling": cycling,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECIMENS)
def test_a_specimen_rests(name: str) -> None:
    rest = jm.resting_state(SPECIMENS[name]())
    assert_steady(rest)
    m, c = rest.membrane, {k: float(x) for k, x in rest.concentrations.items()}
    start = {f"{k}.{side}": float(getattr(m.species[k], side)) for k, side in m.pools()}
    if name != "calcium":
        assert abs(charge_kept(rest)) < 1e-10
    if name == "swelling_cell":  # isosmotic, and what cannot cross is diluted
        env = m.environment(rest.state.book)
        assert abs(float(probes.osmotic_gradient(env))) < 1e-9
        for k in ("other", "solute"):
            assert c[f"{k}.inside"] * c["water.inside"] == pytest.approx(start[f"{k}.inside"], rel=1e-12)
        assert abs(c["water.inside"] - 1) > 1e-3
    if name == "energy_cell":  # every adenosine is ATP or ADP, made as fast as it is used
        assert c["atp.inside"] + c["adp.inside"] == pytest.approx(0.55, rel=1e-12)
        assert abs(c["adp.inside"] - 0.05) > 1e-3
    if name == "calcium":  # buffer at its binding constant; extrusion takes what the channel brings
        site = 100.0 * c["ca.inside"] / 0.03
        assert c["bound.inside"] == pytest.approx(0.1 * site / (1 + site), rel=1e-10)
        entered = -jm.budget(m, rest).totals["ca"] * 10 / (2 * jm.units.FARADAY * 0.1)  # mM/ms in 0.1 um
        assert entered == pytest.approx(0.05 * (c["ca.inside"] - 5e-5), rel=1e-9)
    if name in ("finite", "bath"):  # four volumes inside to one outside
        for k in ("na", "cl") if name == "bath" else ("na", "k", "cl"):
            total = c[f"{k}.inside"] * 4 + c[f"{k}.outside"]
            assert total == pytest.approx(start[f"{k}.inside"] * 4 + start[f"{k}.outside"], rel=1e-12)
    if name == "finite":
        assert rest.spectrum.conserved.shape == (4,)
        assert (np.abs(rest.spectrum.conserved) <= 1e-12 * rest.spectrum.norm).all()
    if name == "bath":
        assert c["k.outside"] == pytest.approx(4.0, abs=1e-9)
    if name == "cycling":  # three sodium for two potassium
        moved = jm.budget(m, rest).currents["pump"]
        assert moved["na"] / moved["k"] == pytest.approx(-1.5, rel=1e-9) and moved["na"] > 0.1
    assert_stays(rest)


# ---------------------------------------------------------------------- what has no rest
@pytest.mark.slow
def test_free_volume_and_impermeant_anions_need_a_pump() -> None:
    """Where all that is outside can cross, a cell without a pump swells for ever; with one it has a volume."""
    outside = {"cl.outside": 148.5, "other.outside": 0.0, "solute.inside": 0.0, "solute.outside": 0.0}
    halves = {
        "pump.i_max": np.array([3.0, 0.0]),
        "sodium.g": np.array([50.0, 0.0]),
        "potassium.g": np.array([5.0, 0.0]),
    }
    rest = jm.resting_state(probes.swelling_cell().with_parameters(outside | halves))
    assert rest.status.tolist() == [OK, NONE]
    water = rest.concentrations["water.inside"]
    assert 0.8 < water[0] < 1.2 and water[1] > 3.0


@pytest.mark.slow
def test_an_atp_pool_that_only_runs_down_is_named() -> None:
    """A living pool of ATP that the pump takes from and nothing fills; and one that metabolism stopped filling."""
    atp = jm.Species(inside=2.0, outside=0.0, valence=0, dynamic=("inside",))
    rest = jm.resting_state(jm.presets.pump_leak().with_species({"atp": atp}))
    assert rest.status == NONE


@pytest.mark.slow
def test_calcium_that_enters_as_charge_and_leaves_without_is_named() -> None:
    """The buffer's extrusion is neutral: potassium has to leave for every calcium that came, for ever."""
    assert jm.resting_state(probes.calcium_shell()).status == NONE


def test_a_membrane_that_nothing_moves_has_no_rest() -> None:
    cells = jm.Membrane({"leak": jm.Leak(g=np.array([0.1, 0.0]), e=-60.0)}, {"k": jm.Species()})
    rest = jm.resting_state(cells)
    assert rest.status.tolist() == [OK, NONE] and rest.v[0] == pytest.approx(-60.0, abs=1e-12)
    assert eqx.tree_equal(rest.membrane, cells)
