"""A mechanism alone in a membrane, at every voltage where formulas are known to break, in one precision."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.membrane.environment import Environment
from jaxmem.membrane.mechanism import Linear, Mechanism, Rates, Scheme, States
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import map_declared
from jaxmem.membrane.species import Species

NAME = "mechanism"
NODES = np.array([-0.06, -0.03, 0.03, 0.06])  # mV beside each voltage: between them a formula is smooth
NEAR = np.array([0.0, 1e-9, 1e-6, 1e-4, 1e-3, 1e-2])  # mV, on both sides
SPACING = 0.1  # mV; 0/0 happens at voltages that people write down

Outputs = dict[str, jax.Array]


def usual_species() -> dict[str, Species]:
    """What a mechanism may meet: the concentrations of a mammalian cell, rounded. Of no cell in particular."""
    alive: dict[str, Any] = {"dynamic": ("inside", "outside")}
    return {
        "na": Species(10.0, 145.0, valence=1, **alive),
        "k": Species(140.0, 5.0, valence=1, **alive),
        "cl": Species(8.0, 120.0, valence=-1, **alive),
        "ca": Species(1e-4, 1.5, valence=2, **alive),
        "mg": Species(0.5, 1.0, valence=2, **alive),
        "hco3": Species(15.0, 25.0, valence=-1, **alive),
        "h": Species(6e-5, 4e-5, valence=1, **alive),
        "atp": Species(2.0, 0.0, valence=0, dynamic=("inside",)),
        "adp": Species(0.1, 0.0, valence=0, dynamic=("inside",)),
        "pi": Species(1.0, 0.0, valence=0, dynamic=("inside",)),
        "nonspecific": Species(valence=1),
    }


def environment(membrane: Membrane, v: jax.Array) -> Environment:
    return membrane.environment({name: jnp.zeros_like(v) for name in [*membrane.species, "electrode"]})


def rates_of(kinetics: Mapping[str, Rates | Linear | Scheme]) -> dict[str, Any]:
    """Every number that kinetics states, by what it is called in a sentence."""
    found: dict[str, Any] = {}
    for name, k in kinetics.items():
        if isinstance(k, Rates):
            found |= {f"the opening rate of {name!r}": k.opening, f"the closing rate of {name!r}": k.closing}
        elif isinstance(k, Linear):
            found |= {f"the gain of {name!r}": k.gain, f"the rate of {name!r}": k.rate}
        else:
            for (a, b), (forward, backward) in k.edges.items():
                found |= {f"the rate from {a!r} to {b!r}": forward, f"the rate from {b!r} to {a!r}": backward}
    return found


def outputs(membrane: Membrane, v: jax.Array, states: States) -> dict[str, Any]:
    """All that the mechanism says at these voltages and states, as it says it."""
    env, it = environment(membrane, v), membrane.mechanisms[NAME]
    found = rates_of(it.kinetics(v, states, env))
    for ion, c in it.fluxes(v, states, env).items():
        found |= {f"the current of {ion!r}": c.value, f"the slope of {ion!r}": c.slope}
    for (a, b), (forward, backward) in it.transfers(v, states, env).items():
        found |= {f"the transfer from {a} to {b}": forward, f"the transfer from {b} to {a}": backward}
    return found | {f"the initial {name!r}": x for name, x in it.initial(v, env).items()}


def alone(mechanism: Mechanism, species: Mapping[str, Species], celsius: float) -> Membrane:
    return Membrane({NAME: mechanism}, species, celsius=celsius)


def in_precision(membrane: Membrane, precision: str) -> Membrane:
    """With every array of floats in this precision, declared or not, as the engine has them in a run."""
    cast = lambda x: np.asarray(x, precision) if np.ndim(x) and jnp.issubdtype(jnp.result_type(x), jnp.floating) else x
    return jax.tree.map(cast, membrane)


def lattice(membrane: Membrane, low: float, high: float) -> np.ndarray:
    """The voltages to look at: every tenth of a mV, also counted from each of the mechanism's own voltages."""
    count = int(np.floor((high - low) / SPACING + 1e-9))
    found = [np.round(low + SPACING * np.arange(count + 1), 10)]
    for path, p in membrane.parameters().items():
        if path.startswith(f"{NAME}.") and p.unit == "mV" and np.ndim(p.value) == 0:
            shift = float(p.value)
            if abs(shift / SPACING - round(shift / SPACING)) > 1e-9:
                found.append(shift + np.arange(np.ceil(2 * (low - shift)), np.floor(2 * (high - shift)) + 1) / 2)
    return np.concatenate(found)


@dataclasses.dataclass(frozen=True)
class Specimen:
    """Points (lattice times offsets, in that order): voltage, states and every parameter of its own at each.

    The first offsets are the :data:`NODES`; all points of one lattice voltage share their states.
    """

    membrane: Membrane
    v: np.ndarray
    states: dict[str, np.ndarray]
    values: dict[str, np.ndarray]
    kinetics: Any
    offsets: int

    def rows(self, x: Any) -> np.ndarray:
        """(lattice, offsets), in float64."""
        return np.asarray(x, np.float64).reshape(-1, self.offsets)


def specimen(membrane: Membrane, voltages: np.ndarray, precision: str, seed: int = 0) -> Specimen:
    """The mechanism at these voltages, their neighbours in this precision, and random states."""
    membrane = in_precision(membrane, precision)
    x = voltages.astype(precision)[:, None]
    up, down = np.nextafter(x, x.dtype.type(1e4)), np.nextafter(x, x.dtype.type(-1e4))
    beside = np.concatenate([NODES, NEAR, -NEAR[1:]]).astype(precision)
    v = np.concatenate([x + beside, up, down], axis=1).ravel()
    offsets = len(beside) + 2
    values = {
        path: np.full(v.shape, p.value, precision)
        for path, p in membrane.parameters().items()
        if not path.startswith(("geometry.", "initial_v", "capacitance")) and np.ndim(p.value) == 0
    }
    wide = map_declared(lambda path, old: values.get(path, old), membrane)
    states, kinetics = _states(wide, v, offsets, np.random.default_rng(seed))
    return Specimen(membrane, v, states, values, kinetics, offsets)


def _states(
    membrane: Membrane, v: np.ndarray, offsets: int, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], Any]:
    """Occupancies at random, shut and fully open gates among them; what is no gate within half of where it starts."""
    rest, kinetics = start_of(membrane, v)
    draw = lambda low, high: np.repeat(rng.uniform(low, high, v.size // offsets), offsets)
    # what is no number at rest is found when rest is looked at, and shall not hide what else is wrong
    start = {name: np.nan_to_num(np.broadcast_to(np.asarray(x), v.shape), posinf=1.0) for name, x in rest.items()}
    found = {name: x * draw(0.5, 1.5) for name, x in start.items()}
    for name, k in kinetics.items():
        if isinstance(k, Rates):
            found[name] = np.clip(draw(-0.05, 1.05), 0, 1)
        elif isinstance(k, Scheme):
            share = {state: draw(0.0, 1.0) for state in k.names}
            found |= {state: x / sum(share.values()) for state, x in share.items()}
    return {name: np.asarray(x, v.dtype) for name, x in found.items()}, kinetics


def start_of(membrane: Membrane, v: np.ndarray) -> tuple[States, Any]:
    """The initial states, and what kinetics gives, as shapes."""

    def initial(membrane: Membrane, v: jax.Array) -> States:
        return membrane.mechanisms[NAME].initial(v, environment(membrane, v))

    def kinetics(membrane: Membrane, v: jax.Array, states: States) -> Any:
        return membrane.mechanisms[NAME].kinetics(v, states, environment(membrane, v))

    rest = jax.jit(initial)(membrane, v)
    return rest, jax.eval_shape(kinetics, membrane, v, rest)
