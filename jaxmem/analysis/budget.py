"""What a membrane costs and how it answers: currents, pump, ATP; input resistance and time constant.

Pure functions of a membrane and a state, elementwise in the cells: jit, grad and vmap go through them.
"""

import functools
from typing import Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from jaxmem import units
from jaxmem.membrane.environment import Environment
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import map_declared
from jaxmem.membrane.state import State

PICOAMPERE = 1e-2  # uA/cm^2 times um^2
CHARGES = 1e-14 / units.ELEMENTARY_CHARGE  # per second, of 1 uA/cm^2 through 1 um^2
PICOMOLES = 1e-14 / units.FARADAY * 1e12  # per second, likewise
MEGAOHM = 1e5  # of 1 mS/cm^2 in 1 um^2
FREE_ENERGY = 50.0  # kJ/mol, see Budget


class HasState(Protocol):
    """What knows a state: a :class:`jaxmem.RestingState`."""

    @property
    def state(self) -> State: ...


class Budget(eqx.Module):
    """Who carries what, and what it costs.

    Per membrane area (uA/cm^2, outward positive): ``currents`` by mechanism and ion, ``totals`` by ion over all
    mechanisms (0 for each ion of a cell at rest whose ions are dynamic), ``membrane_current`` (0 at rest), and ``pumps``:
    the net current of each mechanism that uses ATP.

    Of the whole cell, with the area of its geometry: ``pump_current`` (pA), the sum of these; ``atp`` by mechanism
    and ``atp_per_second`` in molecules per second, from the currents of the species that counts ATP (i/F moles per
    area and time); ``power`` (pW), that ATP times its free energy of hydrolysis. A mechanism that makes ATP by a current
    counts as negative; one that counts no ATP costs nothing here.
    """

    currents: dict[str, dict[str, Float[Array, "*cells"]]]
    totals: dict[str, Float[Array, "*cells"]]
    membrane_current: Float[Array, "*cells"]
    pumps: dict[str, Float[Array, "*cells"]]
    pump_current: Float[Array, "*cells"]
    atp: dict[str, Float[Array, "*cells"]]
    atp_per_second: Float[Array, "*cells"]
    power: Float[Array, "*cells"]


def budget(
    membrane: Membrane, state: State | HasState, *, free_energy: ArrayLike = FREE_ENERGY, atp: str = "atp"
) -> Budget:
    """The :class:`Budget` of each cell in ``state``, with its gates and concentrations as they are there.

    ``state`` is a :class:`jaxmem.State` or has one (a :class:`jaxmem.RestingState`). ``free_energy`` (kJ/mol) is what the
    hydrolysis of ATP yields in the cell; the default of 50 is a round number of the usual size, not seen in a source:
    give the value you trust. ``atp`` names the species that counts ATP. The precision is that of the state.
    """
    return _budget(membrane, _state_of(state), free_energy, atp)


@functools.partial(jax.jit, static_argnums=3)
def _budget(membrane: Membrane, state: State, free_energy: ArrayLike, atp: str) -> Budget:
    membrane, env = _at(membrane, state)
    zero = jnp.zeros_like(state.v)
    area = membrane.geometry.area
    currents: dict[str, dict[str, jax.Array]] = {}
    totals: dict[str, jax.Array] = {}
    used: dict[str, jax.Array] = {}
    for name in membrane.order:
        flows = membrane.mechanisms[name].fluxes(state.v, state.states[name], env)
        moved = {k: zero + c.value for k, c in flows.items()}
        if atp in moved:
            used[name] = moved[atp]
        currents[name] = {k: i for k, i in moved.items() if membrane.species[k].valence}
        for k, i in currents[name].items():
            totals[k] = totals[k] + i if k in totals else i
    net = {name: sum(ions.values(), zero) for name, ions in currents.items()}
    pumps = {name: net[name] for name in used}
    consumed = sum(used.values(), zero) * area
    return Budget(
        currents=currents,
        totals=totals,
        membrane_current=sum(net.values(), zero),
        pumps=pumps,
        pump_current=sum(pumps.values(), zero) * area * PICOAMPERE,
        atp={name: i * area * CHARGES for name, i in used.items()},
        atp_per_second=consumed * CHARGES,
        power=consumed * PICOMOLES * (1e3 * free_energy),
    )


def input_resistance(membrane: Membrane, state: State | HasState) -> Float[Array, "*cells"]:
    """Input resistance in MOhm at the voltage and concentrations of ``state``: ``R = 1/(A dI_inf/dV)``.

    ``I_inf(V)`` is the current of all charged species with every gate at its steady state for V, the concentrations
    fixed, and A the area of the geometry: what a current step measures that is small, and long beside the gates but
    short beside the ions. It differs from the resistance at fixed gates by what the channels do: smaller where they
    oppose a change of voltage (a delayed rectifier at rest), larger where they help it; negative beyond the turn of the
    steady-state current, where a cell cannot rest.

    ``state`` as in :func:`budget`; its gates do not matter.
    """
    return _input_resistance(membrane, _state_of(state))


@jax.jit
def _input_resistance(membrane: Membrane, state: State) -> jax.Array:
    membrane, env = _at(membrane, state)

    def current(v: jax.Array) -> jax.Array:
        states = {name: dict(membrane.mechanisms[name].initial(v, env)) for name in membrane.order}
        flows = membrane.fluxes(v, states, env)
        return sum((flows[k].value for k in flows if membrane.species[k].valence), jnp.zeros_like(v))

    _, slope = jax.jvp(current, (state.v,), (jnp.ones_like(state.v),))
    return MEGAOHM / (slope * membrane.geometry.area)


def membrane_time_constant(membrane: Membrane, state: State | HasState) -> Float[Array, "*cells"]:
    """Membrane time constant in ms: ``tau = C / sum of dI/dV`` at the gates and concentrations of ``state``.

    How fast the voltage follows a current at first, before gates move: of a membrane of leaks the time constant of its
    exponential. ``state`` as in :func:`budget`.
    """
    return _membrane_time_constant(membrane, _state_of(state))


@jax.jit
def _membrane_time_constant(membrane: Membrane, state: State) -> jax.Array:
    membrane, env = _at(membrane, state)
    flows = membrane.fluxes(state.v, state.states, env)
    slope = sum((flows[k].slope for k in flows if membrane.species[k].valence), jnp.zeros_like(state.v))
    return membrane.capacitance / slope


def _state_of(state: State | HasState) -> State:
    return state if isinstance(state, State) else state.state


def _at(membrane: Membrane, state: State) -> tuple[Membrane, Environment]:
    """The membrane in the state's precision, and the surroundings there."""
    membrane = map_declared(lambda _, x: jnp.asarray(x, state.v.dtype), membrane)
    return membrane, membrane.environment(state.book)
