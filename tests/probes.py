"""Five membranes that stretch the contract, written as a user would write them: nothing here touches the engine.

Each is a pumped neuron with one piece of later physiology added: a calcium shell with buffer and SK channel, a Markov
sodium channel, KCC2 with water, a finite pool of ATP, a depleting synapse.
"""

from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp

import jaxmem as jm
from jaxmem.electrochemistry import exprel_inverse
from jaxmem.membrane.mechanism import Number, States
from jaxmem.units import FARADAY


def neuron(
    extra: Mapping[str, jm.Mechanism] | None = None,
    species: Mapping[str, jm.Species] | None = None,
    without: tuple[str, ...] = (),
    radius: float = 10.0,
    cl: float = 8.6,
    water: str | None = None,
) -> jm.Membrane:
    """A cortical cell with pump, leaks and living Na+, K+ and Cl-, plus ``extra`` mechanisms and ``species``."""
    ions = {
        "na": jm.Species(10.0, 145.0, valence=1, dynamic=("inside",)),
        "k": jm.Species(140.0, 3.5, valence=1, dynamic=("inside",)),
        "cl": jm.Species(cl, 120.0, valence=-1, dynamic=("inside",)),
    }
    mechanisms: dict[str, jm.Mechanism] = {
        "sodium": jm.TraubMilesSodium(g=50.0),
        "potassium": jm.TraubMilesPotassium(g=5.0),
        "na_leak": jm.Leak(g=0.02, ion="na"),
        "k_leak": jm.Leak(g=0.06, ion="k"),
        "cl_leak": jm.Leak(g=0.03, ion="cl"),
        "pump": jm.NaKATPase(i_max=3.0, atp=None),
    }
    return jm.Membrane(
        {name: x for name, x in (mechanisms | dict(extra or {})).items() if name not in without},
        ions | dict(species or {}) | {"other": jm.impermeant(ions)},
        initial_v=-70.0,
        geometry=jm.Sphere(radius=radius),
        water=water,
    )


# ---------------------------------------------------------------------- 1. a calcium shell with buffer and SK channel
class CalciumChannel(jm.Mechanism):
    """High-voltage-activated calcium current, ``i = g s^2 (v - E_Ca)``."""

    g: Number = jm.parameter("mS/cm^2", "maximal conductance", default=0.5, minimum=0.0)

    def kinetics(self, v: jax.Array, states: States, env: jm.Environment) -> dict[str, jm.Rates]:
        return {"s": jm.Rates(1.6 / (1 + jnp.exp(-0.072 * (v - 5))), 0.1 * exprel_inverse((v + 8.9) / 5))}

    def fluxes(self, v: jax.Array, states: States, env: jm.Environment) -> dict[str, jm.Current]:
        g = self.g * states["s"] ** 2
        return {"ca": jm.Current(g * (v - env.e["ca"]), g)}


class CalciumBuffer(jm.Mechanism):
    """Sites that bind calcium, and its extrusion towards the resting level."""

    sites: Number = jm.parameter("mM", "binding sites", default=0.1, minimum=0.0)
    on: Number = jm.parameter("1/ms", "binding rate per mM of free sites", default=100.0, minimum=0.0)
    off: Number = jm.parameter("1/ms", "unbinding rate", default=0.03, minimum=0.0)
    extrusion: Number = jm.parameter("1/ms", "rate of extrusion", default=0.05, minimum=0.0)
    rest: Number = jm.parameter("mM", "calcium at which extrusion stands still", default=5e-5, minimum=0.0)

    def transfers(self, v: jax.Array, states: States, env: jm.Environment) -> dict:
        free = self.sites - env.inside["bound"]
        return {
            ("ca.inside", "bound.inside"): (self.on * free, self.off),
            ("ca.inside", "bath"): (self.extrusion, self.extrusion * self.rest),
        }


class SmallConductance(jm.Mechanism):
    """SK channel: potassium conductance opened by calcium inside."""

    g: Number = jm.parameter("mS/cm^2", "maximal conductance", default=1.0, minimum=0.0)
    half: Number = jm.parameter("mM", "half-activating calcium", default=1e-3, positive=True)

    def kinetics(self, v: jax.Array, states: States, env: jm.Environment) -> dict[str, jm.Rates]:
        return {"q": jm.Rates(0.1 * (env.inside["ca"] / self.half) ** 2, 0.1)}

    def fluxes(self, v: jax.Array, states: States, env: jm.Environment) -> dict[str, jm.Current]:
        g = self.g * states["q"]
        return {"k": jm.Current(g * (v - env.e["k"]), g)}


def calcium_shell(sk: float = 1.0) -> jm.Membrane:
    """0.1 um under the membrane: a pool so small that it is refreshed at every step."""
    rest, sites, on, off = 5e-5, 0.1, 100.0, 0.03
    shell = {"valence": 2, "dynamic": ("inside",), "every_step": True, "depth": 0.1}
    bound = sites * rest / (rest + off / on)
    return neuron(
        {"calcium": CalciumChannel(), "buffer": CalciumBuffer(), "sk": SmallConductance(g=sk)},
        {"ca": jm.Species(rest, 2.0, **shell), "bound": jm.Species(bound, 0.0, **shell | {"valence": 0})},
    )


# ---------------------------------------------------------------------- 2. a four-state Markov channel
class MarkovSodium(jm.Mechanism):
    """Sodium channel as a ring: closed, half open, open, inactivated, and back."""

    g: Number = jm.parameter("mS/cm^2", "maximal conductance", default=50.0, minimum=0.0)

    def kinetics(self, v: jax.Array, states: States, env: jm.Environment) -> dict[str, jm.Scheme]:
        opening = 3 * exprel_inverse(-(v + 12) / 9)
        closing = 4 * jnp.exp(-(v + 50) / 18)
        recovery = 0.05 * jnp.exp(-(v + 65) / 20)
        return {
            "gate": jm.Scheme({
                ("closed", "half"): (2 * opening, closing),
                ("half", "open"): (opening, 2 * closing),
                ("open", "inactivated"): (0.6, 0.002),
                ("inactivated", "closed"): (recovery, 0.02 / (1 + jnp.exp(-(v + 35) / 10))),
            })
        }  # fmt: skip

    def fluxes(self, v: jax.Array, states: States, env: jm.Environment) -> dict[str, jm.Current]:
        g = self.g * states["open"]
        return {"na": jm.Current(g * (v - env.e["na"]), g)}


def markov_channel() -> jm.Membrane:
    return neuron({"markov": MarkovSodium()}, without=("sodium",))


# ---------------------------------------------------------------------- 3. KCC2, water and a changing volume
class KCC2(jm.Mechanism):
    """Potassium-chloride cotransport out of the cell, electroneutral."""

    u: Number = jm.parameter("uA/cm^2", "rate per mM^2 of driving product", default=2e-3, minimum=0.0)

    def fluxes(self, v: jax.Array, states: States, env: jm.Environment) -> dict[str, jm.Current]:
        out = self.u * (env.inside["k"] * env.inside["cl"] - env.outside["k"] * env.outside["cl"])
        return {"k": jm.Current(out, 0.0), "cl": jm.Current(-out, 0.0)}


class Aquaporin(jm.Mechanism):
    """Water follows osmolarity: ``P (osmolarity outside - inside)`` in mol, counted as charge-equivalents."""

    p: Number = jm.parameter("cm/s", "osmotic water permeability", default=2e-2, minimum=0.0)

    def fluxes(self, v: jax.Array, states: States, env: jm.Environment) -> dict[str, jm.Current]:
        return {"water": jm.Current(-self.p * FARADAY * osmotic_gradient(env), 0.0)}


def osmotic_gradient(env: jm.Environment) -> jax.Array:
    """Osmolarity inside minus outside, mM."""
    return sum(env.inside[x] - env.outside[x] for x in env.inside if x != "water")


WATER = 55.5e3  # mM


def swelling_cell(bath: float = 1.0) -> jm.Membrane:
    """A cell of 1 um whose volume is its water; an inert solute on both sides makes them isosmotic at ``bath`` = 1."""
    water = jm.Species(WATER, WATER, valence=0, dynamic=("inside",))
    solute = jm.Species(
        100.0, 0.0, valence=0, dynamic=("inside",)
    )  # shares out with the volume, though nothing moves it
    cell = neuron(
        {"kcc2": KCC2(), "aquaporin": Aquaporin()}, {"water": water, "solute": solute}, radius=1.0, water="water"
    )
    other = jm.Species(cell.species["other"].inside, cell.species["other"].outside, valence=-1, dynamic=("inside",))
    cell = eqx.tree_at(lambda m: m.species["other"], cell, other)
    total = lambda side: sum(getattr(s, side) for name, s in cell.species.items() if name != "water")
    return cell.with_parameters({"solute.outside": bath * total("inside") - total("outside")})


# ---------------------------------------------------------------------- 4. a finite pool of ATP
class Synthesis(jm.Mechanism):
    """ADP becomes ATP at a rate that metabolism sets."""

    rate: Number = jm.parameter("1/ms", "rate of phosphorylation", default=5e-3, minimum=0.0)

    def transfers(self, v: jax.Array, states: States, env: jm.Environment) -> dict:
        return {("adp.inside", "atp.inside"): (self.rate, 0.0)}


def energy_cell(synthesis: float = 5e-3, i_max: float = 6.0) -> jm.Membrane:
    """A cell of 1 um whose pump lives on 0.5 mM of ATP."""
    return neuron(
        {"pump": jm.NaKATPase(i_max=i_max, km_atp=0.2, adp="adp"), "synthesis": Synthesis(rate=synthesis)},
        {
            "atp": jm.Species(0.5, 0.0, valence=0, dynamic=("inside",)),
            "adp": jm.Species(0.05, 0.0, valence=0, dynamic=("inside",)),
        },
        radius=1.0,
    )


# ---------------------------------------------------------------------- 5. a depleting synapse
class DepletingSynapse(jm.Mechanism):
    """A synapse of the cell on itself: each spike releases a share of what is left, which recovers slowly."""

    g: Number = jm.parameter("mS/cm^2", "conductance if all were released", default=0.3, minimum=0.0)
    use: Number = jm.parameter("1", "share released by a spike", default=0.4, minimum=0.0, maximum=1.0)
    recovery: Number = jm.parameter("1/ms", "rate of recovery", default=1 / 300, positive=True)
    decay: Number = jm.parameter("1/ms", "decay of the conductance", default=0.2, positive=True)

    def kinetics(self, v: jax.Array, states: States, env: jm.Environment) -> dict[str, jm.Linear]:
        return {"ready": jm.Linear(self.recovery, self.recovery), "open": jm.Linear(0.0, self.decay)}

    def fluxes(self, v: jax.Array, states: States, env: jm.Environment) -> dict[str, jm.Current]:
        g = 0.5 * self.g * states["open"]  # equally permeable to sodium and potassium
        return {ion: jm.Current(g * (v - env.e[ion]), g) for ion in ("na", "k")}

    def events(self, spiked: jax.Array, states: States) -> States:
        released = jnp.where(spiked, self.use * states["ready"], 0.0)
        return {"ready": states["ready"] - released, "open": states["open"] + released}


def depleting_synapse() -> jm.Membrane:
    return neuron({"synapse": DepletingSynapse()})


PROBES = {
    "calcium_shell": calcium_shell,
    "markov_channel": markov_channel,
    "swelling_cell": swelling_cell,
    "energy_cell": energy_cell,
    "depleting_synapse": depleting_synapse,
}
