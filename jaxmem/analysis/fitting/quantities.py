"""What can be measured of a cell at rest, by name: pure functions of a membrane and its resting state."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxmem.analysis.budget import budget, input_resistance, membrane_time_constant
from jaxmem.analysis.resting import RestingState
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import path_error

Quantity = Callable[[Membrane, RestingState], jax.Array]

TOLD = {  # name: (unit, what it is)
    "resting_potential": ("mV", "resting potential"),
    "input_resistance": ("MOhm", "input resistance, gates at their steady states"),
    "time_constant": ("ms", "membrane time constant, gates fixed"),
    "pump_current": ("pA", "net current of the pumps of the cell"),
    "pump_shift": ("mV", "electrogenic shift: what the pump's current does to the voltage, -I_pump/G"),
    "atp_per_second": ("1/s", "molecules of ATP that the cell uses per second"),
}
REVERSAL = ".reversal_potential"  # after the name of an ion (Nernst) or of a mechanism (where its current vanishes)
NEWTON_STEPS = 12  # of a mechanism's own current; one suffices where it is ohmic


def quantity(membrane: Membrane, name: str) -> Quantity:
    """The function of this name for membranes of this structure. Raises PathError for a name that means nothing here."""
    if name in TOLD:
        return _NAMED[name]
    known = [f"{k}.{side}" for k, side in membrane.pools()]
    if name in known:
        return functools.partial(_concentration, path=name)
    ions = [k for k, s in membrane.species.items() if s.valence and not s.counted_only]
    subject = name.removesuffix(REVERSAL)
    if name.endswith(REVERSAL) and subject in ions:
        return functools.partial(_nernst, ion=subject)
    if name.endswith(REVERSAL) and subject in membrane.order:
        return functools.partial(_zero_current, mechanism=subject)
    known = [*TOLD, *known, *(f"{k}{REVERSAL}" for k in (*ions, *membrane.order))]
    raise path_error(name, known, "quantity to aim at called")


def unit_of(membrane: Membrane, name: str) -> str:
    if name in TOLD:
        return TOLD[name][0]
    if name.endswith(REVERSAL):
        return "mV"
    return "1" if name == f"{membrane.water}.inside" else "mM"


def _resting_potential(membrane: Membrane, rest: RestingState) -> jax.Array:
    return rest.v


def _pump_current(membrane: Membrane, rest: RestingState) -> jax.Array:
    return budget(membrane, rest).pump_current


def _atp(membrane: Membrane, rest: RestingState) -> jax.Array:
    return budget(membrane, rest).atp_per_second


def _pump_shift(membrane: Membrane, rest: RestingState) -> jax.Array:
    """-I_pump/G with G the slope conductance of the whole membrane at fixed gates, which is C/tau."""
    carried = sum(budget(membrane, rest).pumps.values(), jnp.zeros_like(rest.v))
    return -carried * membrane_time_constant(membrane, rest) / membrane.capacitance


def _concentration(membrane: Membrane, rest: RestingState, *, path: str) -> jax.Array:
    return rest.concentrations[path]


def _nernst(membrane: Membrane, rest: RestingState, *, ion: str) -> jax.Array:
    return membrane.environment(rest.state.book).e[ion]


def _zero_current(membrane: Membrane, rest: RestingState, *, mechanism: str) -> jax.Array:
    """Where the current of one mechanism vanishes, its gates and all concentrations as at rest."""
    env = membrane.environment(rest.state.book)

    def current(v: jax.Array) -> tuple[jax.Array, jax.Array]:
        flows = membrane.mechanisms[mechanism].fluxes(v, rest.state.states[mechanism], env)
        charged = [flows[k] for k in flows if membrane.species[k].valence]
        zero = jnp.zeros_like(v)
        return sum((c.value for c in charged), zero), sum((c.slope for c in charged), zero)

    v = rest.v
    for _ in range(NEWTON_STEPS):
        value, slope = current(jax.lax.stop_gradient(v))
        v = jax.lax.stop_gradient(v - value / slope)
    value, slope = current(v)  # one more step from a fixed root carries the root's derivative
    return v - value / jax.lax.stop_gradient(slope)


_NAMED: dict[str, Quantity] = {
    "resting_potential": _resting_potential,
    "input_resistance": input_resistance,
    "time_constant": membrane_time_constant,
    "pump_current": _pump_current,
    "pump_shift": _pump_shift,
    "atp_per_second": _atp,
}
