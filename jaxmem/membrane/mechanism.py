"""The contract every channel, pump, transporter, buffer and synapse fulfils, and the declaration of its parameters.

A mechanism is a final :class:`equinox.Module`: data in fields, behaviour in up to five methods that are elementwise over
cells. The engine asks for rates and currents and does the rest: it advances states, moves the voltage, keeps the book of
every ion. Units: v in mV, time in ms, currents in uA/cm^2 (outward positive), slopes in mS/cm^2, concentrations in mM.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike

from jaxmem.membrane.environment import Environment

States = dict[str, jax.Array]
Number = jax.Array | float
METADATA = "jaxmem"  # the key under which a field keeps its declaration


@dataclasses.dataclass(frozen=True)
class Declaration:
    """What a parameter is: unit, meaning and the values it may take (``minimum <= x <= maximum``)."""

    unit: str
    description: str
    minimum: float | None = None
    maximum: float | None = None
    positive: bool = False  # strictly above 0
    absent: float | None = None  # the value that None stands for: such a field may be set, and may change in time


def parameter(unit: str, description: str, *, default: Any = dataclasses.MISSING, **limits: Any) -> Any:
    """A field that holds a physical number: a scalar shared by all cells, or an array whose last axis is the cells.

    ``unit`` is one of :mod:`jaxmem.units`; unit and ``description`` feed ``parameters()``, HDF5 attributes, the command
    line and error texts. ``limits``: ``minimum``, ``maximum`` (inclusive), ``positive=True`` (strictly above zero).
    With ``default=None`` and ``absent=x`` a field is not there, and costs nothing, until a path or a change in time sets
    it; ``x`` is what it was.
    """
    declaration = Declaration(unit, description, **limits)
    if default is dataclasses.MISSING:
        return eqx.field(metadata={METADATA: declaration})
    return eqx.field(default=default, metadata={METADATA: declaration})


class Rates(eqx.Module):
    """A gate: dx/dt = opening (1 - x) - closing x, rates in 1/ms.

    With a number of ``channels`` it fluctuates: the noise has the variance ``(opening (1 - x) + closing x)/channels`` per
    ms, as of so many independent channels that have this one gate. ``seed`` keys the draws (a whole number).
    """

    opening: ArrayLike
    closing: ArrayLike
    channels: ArrayLike | None = None
    seed: ArrayLike = 0


class Linear(eqx.Module):
    """A linear state: dx/dt = gain - rate x; gain in (unit of x)/ms, rate in 1/ms."""

    gain: ArrayLike
    rate: ArrayLike


class Scheme(eqx.Module):
    """States that exchange: ``{(a, b): (forward, backward)}`` in 1/ms. Their sum is conserved to round-off.

    A step is third order at fixed rates and exact where the scheme is stationary, however fast its rates. Occupancies stay
    within 0 and 1, but for those that fluctuate.

    With a number of ``channels`` each exchange fluctuates with the variance ``(forward a + backward b)/channels`` per ms
    (R. F. Fox & Y. Lu (1994), Phys Rev E 49:3421, doi:10.1103/PhysRevE.49.3421; per pair of states as P. Orio & D. Soudry
    (2012), PLoS ONE 7:e36670, doi:10.1371/journal.pone.0036670; occupancies are not kept within 0 and 1). ``seed`` keys
    the draws (a whole number). Integrators of fixed steps only.
    """

    edges: dict[tuple[str, str], tuple[ArrayLike, ArrayLike]]
    channels: ArrayLike | None = None
    seed: ArrayLike = 0

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for edge in self.edges for name in edge))


class Current(eqx.Module):
    """A current density (uA/cm^2, outward positive) and its exact derivative dI/dV at fixed states (mS/cm^2)."""

    value: ArrayLike
    slope: ArrayLike


class Mechanism(eqx.Module):
    """Base of all mechanisms. Its methods answer "nothing"; a final class states what it does.

    - ``kinetics``: rates of its states at v, ``{state: Rates | Linear, scheme: Scheme}``.
    - ``fluxes``: currents across the membrane per species, ``{"na": Current(value, slope)}``. A species of valence 0
      (ATP, water) counts as if its valence were 1 and stays out of the membrane current.
    - ``transfers``: exchange without charge across the membrane, ``{("ca.inside", "buffered.inside"): (forward,
      backward)}`` in 1/ms between pools, or with ``"bath"``: then forward is a rate (1/ms) and backward a gain (mM/ms).
    - ``events``: states after a spike, where ``spiked`` (upward through 0 mV in this step) is true.
    - ``initial``: states at rest at v; by default the steady states of ``kinetics``.
    """

    def kinetics(self, v: jax.Array, states: States, env: Environment) -> Mapping[str, Rates | Linear | Scheme]:
        return {}

    def fluxes(self, v: jax.Array, states: States, env: Environment) -> Mapping[str, Current]:
        return {}

    def transfers(
        self, v: jax.Array, states: States, env: Environment
    ) -> Mapping[tuple[str, str], tuple[ArrayLike, ArrayLike]]:
        return {}

    def events(self, spiked: jax.Array, states: States) -> States:
        return states

    def initial(self, v: jax.Array, env: Environment) -> States:
        return steady_states(self.kinetics(v, {}, env))


def steady_states(kinetics: Mapping[str, Rates | Linear | Scheme]) -> States:
    """Where states with these rates come to rest; schemes sum to 1."""
    rest: States = {}
    for name, rates in kinetics.items():
        if isinstance(rates, Scheme):
            rest.update(_stationary(rates))
        elif isinstance(rates, Rates):
            rest[name] = jnp.asarray(rates.opening / (rates.opening + rates.closing))
        else:
            rest[name] = jnp.asarray(rates.gain / rates.rate)
    return rest


def _stationary(scheme: Scheme) -> States:
    """Stationary distribution of a scheme by state reduction, which never subtracts and so loses no digits.

    W. K. Grassmann, M. I. Taksar & D. P. Heyman (1985), Oper Res 33:1107, doi:10.1287/opre.33.5.1107.
    """
    names = scheme.names
    rate: dict[tuple[str, str], ArrayLike] = {}
    for (a, b), (forward, backward) in scheme.edges.items():
        rate[a, b] = rate.get((a, b), 0.0) + forward
        rate[b, a] = rate.get((b, a), 0.0) + backward
    leaving: dict[str, ArrayLike] = {}
    for i in range(len(names) - 1, 0, -1):
        gone, left = names[i], names[:i]
        leaving[gone] = sum(rate.get((gone, b), 0.0) for b in left)
        for a in left:
            for b in left:
                if a != b and (a, gone) in rate and (gone, b) in rate:
                    rate[a, b] = rate.get((a, b), 0.0) + rate[a, gone] * rate[gone, b] / leaving[gone]
    weight: dict[str, ArrayLike] = {names[0]: 1.0}
    for i in range(1, len(names)):
        weight[names[i]] = sum(weight[a] * rate.get((a, names[i]), 0.0) for a in names[:i]) / leaving[names[i]]
    total = sum(weight.values())
    return {name: jnp.asarray(w / total) for name, w in weight.items()}
