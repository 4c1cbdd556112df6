"""One attempted step of one cell under the adaptive integrator, made of Diffrax's solver and controller.

The unknowns are what v, the states and the book gain in the step, each in units of its own tolerance, and time runs from
0 to 1: so one tolerance of 1 serves Newton's iteration and the controller, and what a step moves is not lost in what was
there before.
"""

from typing import NamedTuple

import diffrax
import jax
import jax.numpy as jnp

from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.species import pool_of
from jaxmem.membrane.state import Accounts, Point
from jaxmem.rig.drive import Voltage
from jaxmem.rig.protocol import Protocol
from jaxmem.units import FARADAY

USUAL_LEVEL = 100.0  # mM: a clamped species is followed as exactly as one of such a concentration
SOLVER = diffrax.Kvaerno5(root_finder=diffrax.VeryChord(rtol=0.0, atol=1.0))
CONTROLLER = diffrax.PIDController(rtol=0.0, atol=1.0, pcoeff=0.3, icoeff=0.4)


class Stretch(NamedTuple):
    """A step from ``t`` + ``t_low`` on (ms), within a stretch without edges that lies between ``first`` and ``last``."""

    t: jax.Array
    t_low: jax.Array
    first: jax.Array
    last: jax.Array

    def at(self, later: jax.Array) -> jax.Array:
        """A time so much later, not beyond the stretch: right-hand sides are those of this side of an edge."""
        beginning = jnp.asarray(0, self.t.dtype)
        before = jnp.nextafter(self.last, beginning - jnp.inf)
        return jnp.clip(self.t + (self.t_low + later), self.first, jnp.maximum(before, self.first))


class Attempt(NamedTuple):
    """``change`` of the flat point over the step, its slopes there times the step (``k0``, ``k1``), error over tolerance."""

    change: jax.Array
    k0: jax.Array
    k1: jax.Array
    error: jax.Array


def flat(point: Point) -> jax.Array:
    return jnp.stack(jax.tree.leaves(point))


def unflat(x: jax.Array, like: Point) -> Point:
    return jax.tree.unflatten(jax.tree.structure(like), list(x))


def tolerances(membrane: Membrane, point: Point, rtol: jax.Array, atol: jax.Array) -> Point:
    """The error allowed to each unknown in a step, in its own unit."""
    ordinary = lambda x: atol + rtol * jnp.abs(x)
    book = {name: _charge(membrane, point.book, name, rtol, atol) for name in point.book}
    return Point(ordinary(point.v), jax.tree.map(ordinary, point.states), book)


def _charge(membrane: Membrane, book: Accounts, account: str, r: jax.Array, a: jax.Array) -> jax.Array:
    """Of an account: nC/cm^2 of a species or the electrode, mM of a pool that transfers name."""
    like = jnp.zeros_like(book[account])

    def level(name: str, side: str) -> jax.Array:
        start = jnp.asarray(getattr(membrane.species[name], side))
        unit = jnp.where(start > 0, jnp.minimum(start, 1.0), 1.0)
        return a * unit + r * jnp.abs(membrane.amount(name, side, book))

    if "|" in account:
        return like + a + r * jnp.maximum(1.0, jnp.abs(book[account]))
    if "." in account:
        return like + level(*pool_of(account))
    usual = a + r * USUAL_LEVEL
    if account == "electrode":
        return like + usual * 0.1 * FARADAY * membrane.geometry.depth
    sides = membrane.species[account].dynamic
    if not sides:
        return like + usual / jnp.abs(membrane.per_charge(account, "inside"))
    found = [level(account, side) / jnp.abs(membrane.per_charge(account, side)) for side in sides]
    return like + (found[0] if len(found) == 1 else jnp.minimum(*found))


def slopes(membrane: Membrane, protocol: Protocol, point: Point, t: jax.Array) -> Point:
    """d/dt of the point at t (ms), per ms; of an imposed voltage, the electrode gives what membrane and capacitor take."""
    there = protocol.at(membrane, t)
    drive = protocol.stimulus.at(t, point.v)
    if not isinstance(drive, Voltage):
        return there.derivative(point, drive)
    command = lambda t: jnp.asarray(protocol.stimulus.at(t, point.v).start, point.v.dtype)  # type: ignore[union-attr]
    v, rise = jax.jvp(command, (t,), (jnp.ones_like(t),))
    rates = there.derivative(Point(v, point.states, point.book))
    return Point(rise, rates.states, rates.book | {"electrode": there.capacitance * (rise - rates.v)})


def attempt(
    membrane: Membrane, protocol: Protocol, base: Point, stretch: Stretch, h: jax.Array, weight: jax.Array
) -> Attempt:
    """A step of h ms from ``base``; a step that Newton's iteration does not finish has an infinite error."""
    start = flat(base)

    def right(place: jax.Array, gained: jax.Array, _: None) -> jax.Array:
        point = unflat(start + weight * gained, base)
        return flat(slopes(membrane, protocol, point, stretch.at(place * h))) * (h / weight)

    term = diffrax.ODETerm(right)
    zero, one, nothing = jnp.zeros_like(h), jnp.ones_like(h), jnp.zeros_like(start)
    state = SOLVER.init(term, zero, one, nothing, None)
    gained, error, dense, _, result = SOLVER.step(term, zero, one, nothing, None, state, False)
    assert error is not None
    fine = (result == diffrax.RESULTS.successful) & jnp.all(jnp.isfinite(gained)) & jnp.all(jnp.isfinite(error))
    k = next(x for name, x in dense.items() if name not in ("y0", "y1"))  # slopes at the stages, the last at the end
    return Attempt(weight * gained, weight * k[0], weight * k[-1], jnp.where(fine, error, jnp.inf))


def judged(error: jax.Array, memory: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, tuple]:
    """(whether the step is kept, by what factor the next differs, the controller's memory)."""
    zero, one, nothing = jnp.zeros_like(memory[0]), jnp.ones_like(memory[0]), jnp.zeros_like(error)
    order = SOLVER.order(None)
    keep, t0, t1, _, state, _ = CONTROLLER.adapt_step_size(
        zero, one, nothing, nothing, None, error, order, (*memory, jnp.asarray(False))
    )
    return keep, t1 - t0, state[:2]


def first_step(slope: jax.Array, weight: jax.Array, rtol: jax.Array) -> jax.Array:
    """A step in which nothing moves by more than a thousandth of what is its size (rtol of it being its tolerance)."""
    pace = jnp.max(jnp.abs(slope) / weight)
    return 1e-3 / (rtol * jnp.maximum(pace, 1e-3))
