"""All resting states of each cell while its concentrations stand still: where the steady-state current crosses zero."""

import functools
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from jaxmem.analysis.blocks import in_blocks
from jaxmem.analysis.setting import checked, flattened, healed, widest
from jaxmem.analysis.small_systems import jacobian
from jaxmem.analysis.stability import Stability, stability
from jaxmem.analysis.unknowns import changes, clamped_unknowns, structure_of
from jaxmem.membrane.mechanism import steady_states
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import is_traced
from jaxmem.membrane.state import Status

SPACING = 1.0  # mV between the voltages first looked at: twice that missed 6 of 159 triples of rests
SLOTS = 5  # rests kept per cell
HALVINGS = 60  # at most, of a bracket
TOLERANCE = {"float64": 1e-11, "float32": 2e-5}  # mV
NEARLY = 0.1  # mV: the largest last step in the wider precision
Current = Any


class RestingStates(eqx.Module):
    """All zero crossings of each cell's steady-state current. A JAX tree, differentiable in the parameters.

    - ``v`` (5, cells) in mV, ascending, NaN where there are fewer.
    - ``slope`` (5, cells): dI/dv there, mS/cm^2; a rest with a negative one is unstable, one with a positive one may be.
    - ``stability`` (5, cells): :class:`jaxmem.Stability`, of voltage and gates.
    - ``count`` (cells,): how many there are, also beyond five.
    - ``status`` (cells,): OK, NO_STEADY_STATE (no crossing in the range) or NOT_FINITE.
    """

    v: jax.Array
    slope: jax.Array
    stability: jax.Array
    count: jax.Array
    status: jax.Array


class _Found(NamedTuple):
    v: jax.Array
    slope: jax.Array
    stability: jax.Array
    crossings: jax.Array


def all_resting_states(
    membrane: Membrane, *, low: float = -120.0, high: float = 60.0, precision: str = "float64"
) -> RestingStates:
    """Every voltage between ``low`` and ``high`` (mV) at which each cell can rest while concentrations stay as they are.

    ``I(v) = 0`` of the total current with gates and schemes at their steady states: all sign changes on a grid of 1 mV,
    and pairs of crossings that an extremum hides within a millivolt, each closed in on by Newton steps inside its
    bracket. Derivatives with respect to every parameter are those of the implicit function theorem, to any order. In
    ``precision`` for concrete numbers, in that of what is traced inside ``jit``, ``grad`` and ``vmap``.

    Raises ValueError for a mechanism whose rates depend on its own states, :class:`MembraneError` for numbers out of
    range.
    """
    if coupled := structure_of(membrane).coupled:
        raise ValueError(
            f"the states of {', '.join(coupled)} depend on each other; resting_state(membrane) finds its rest"
        )
    if not (low < high and np.isfinite([low, high]).all()):
        raise ValueError(f"low and high are finite, low below high; {low:g} to {high:g} mV is no such range")
    if is_traced(membrane):
        return _differentiable(membrane, float(low), float(high), jnp.result_type(float, *jax.tree.leaves(membrane)))
    if precision not in ("float32", "float64"):
        raise ValueError(f"precision is 'float32' or 'float64', not {precision!r}")
    finite = checked(membrane)
    flat, _, shape = flattened(jax.tree.map(lambda x: np.asarray(x, precision), membrane), None)
    cells = int(np.prod(shape))
    with jax.enable_x64(True):
        found = in_blocks(
            _searched, (flat, np.zeros(cells, precision), (float(low), float(high))), cells, _points(low, high)
        )
    found = jax.tree.map(lambda x: x.reshape((*x.shape[:-1], *shape)), found)
    return _result(found, finite)


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _differentiable(membrane: Membrane, low: float, high: float, dtype: Any) -> RestingStates:
    shape = jnp.broadcast_shapes(*(jnp.shape(x) for x in jax.tree.leaves(membrane)))
    zero = jnp.zeros(shape, dtype)
    found = jax.lax.stop_gradient(_searched((jax.lax.stop_gradient(membrane), zero, (low, high)), _points(low, high)))
    finite = functools.reduce(
        jnp.logical_and, [jnp.isfinite(x) for x in jax.tree.leaves(membrane)], jnp.ones(shape, bool)
    )
    current = _current(healed(membrane, finite & (found.crossings > 0)), zero)
    absent = jnp.isnan(found.v)
    # an empty slot is the root of a line, so that no NaN is ever multiplied by a zero cotangent
    line = lambda x: jnp.where(absent, x, current(jnp.where(absent, 0.0, x)))
    v = jax.lax.custom_root(line, jnp.where(absent, 0.0, found.v), lambda _, x: x, lambda g, y: y / g(jnp.ones_like(y)))
    slope = jax.jvp(current, (v,), (jnp.ones_like(v),))[1]
    nan = lambda x: jnp.where(absent, jnp.nan, x)
    return _result(_Found(nan(v), nan(slope), found.stability, found.crossings), finite)


def _points(low: float, high: float) -> int:
    return int(np.ceil((high - low) / SPACING)) + 1


def _result(found: _Found, finite: Any) -> RestingStates:
    xp = np if isinstance(found.crossings, np.ndarray) else jnp
    status = xp.where(found.crossings == 0, int(Status.NO_STEADY_STATE), int(Status.OK))
    status = xp.where(finite, status, int(Status.NOT_FINITE)).astype(np.int32)
    return RestingStates(*found, status)


def _current(membrane: Membrane, zero: jax.Array) -> Current:
    """The steady-state current (uA/cm^2) as a function of v; concentrations as at the start."""
    env = membrane.environment({k: jnp.zeros_like(zero) for k in [*membrane.species, "electrode"]})

    def current(v: jax.Array) -> jax.Array:
        states = {name: steady_states(membrane.mechanisms[name].kinetics(v, {}, env)) for name in membrane.order}
        flows = membrane.fluxes(v, states, env)
        return sum((flows[k].value for k in flows if membrane.species[k].valence), jnp.zeros_like(v))

    return current


def _searched(given: tuple[Membrane, jax.Array, tuple[ArrayLike, ArrayLike]], points: int) -> _Found:
    membrane, zero, (low, high) = given
    current = _current(membrane, zero)
    slope = lambda v: jax.jvp(current, (v,), (jnp.ones_like(v),))
    left, right, count = _brackets(slope, jnp.linspace(low, high, points).astype(zero.dtype), zero)
    v = jax.lax.map(
        lambda x: jax.lax.cond(
            jnp.any(count > x[2]), functools.partial(_closed_in, current, slope), lambda a, _: jnp.full_like(a, jnp.nan),
            x[0], x[1],
        ),
        (jnp.stack(left), jnp.stack(right), jnp.arange(SLOTS)),
    )  # fmt: skip
    if v.dtype != jnp.result_type(float):  # where the current is flat, the last digit of a narrow one is too much
        fine = _current(*jax.tree.map(widest, (membrane, zero)))
        value, steepness = jax.jvp(fine, (widest(v),), (jnp.ones_like(widest(v)),))
        move = (value / steepness).astype(v.dtype)
        v = jnp.where(jnp.abs(move) < NEARLY, v - move, v)
    v = jnp.sort(v, axis=0)
    absent = jnp.isnan(v)
    safe = jnp.where(absent, 0.0, v)
    kinds = jax.lax.map(
        lambda x: jax.lax.cond(
            jnp.any(~jnp.isnan(x)),
            lambda: _kind(membrane, x),
            lambda: jnp.full(zero.shape, int(Stability.UNKNOWN), jnp.int32),
        ),
        v,
    )
    kinds = jnp.where(absent, int(Stability.UNKNOWN), kinds).astype(jnp.int32)
    slopes = jax.lax.map(lambda x: jnp.zeros_like(x) + slope(x)[1], safe)
    return _Found(v, jnp.where(absent, jnp.nan, slopes), kinds, count)


def _brackets(slope: Any, grid: jax.Array, zero: jax.Array) -> tuple[list, list, jax.Array]:
    """Left and right ends of up to five brackets, and how many crossings there are.

    Where the current comes nearer to zero and goes away again within a grid cell, its extremum is sought, and if that
    lies beyond zero it parts two brackets.
    """
    full = lambda x: jnp.zeros_like(zero) + x
    at = lambda v: tuple(full(x) for x in slope(v))  # a shared voltage: gates are computed once for all cells

    def add(a: Any, b: Any, here: jax.Array, left: list, right: list, count: jax.Array) -> tuple:
        put = lambda x, slots: [jnp.where(here & (count == k), x, s) for k, s in enumerate(slots)]
        return put(a, left), put(b, right), count + here

    # where the crossings are, as indices of so many bits, several in a number: ten arrays of ends would not stay in cache
    points = grid.size
    bits = points.bit_length()
    room = 31 // bits
    words = -(-SLOTS // room)

    def visit(carry: tuple, here: tuple) -> tuple:
        f, s, places, count, hidden = carry
        i, b = here
        g, t = at(b)
        change = (f > 0) != (g > 0)
        mine = lambda w: change & (count >= w * room) & (count < min((w + 1) * room, SLOTS))
        places = [jnp.where(mine(w), (x << bits) | i, x) for w, x in enumerate(places)]
        # of a convex piece that crosses zero, both ends' tangents do so inside; twice that, for what is not convex
        reach = lambda x, slope: jnp.abs(x) < 2 * (grid[1] - grid[0]) * jnp.abs(slope)
        turns = ~change & (f * s < 0) & (g * t > 0) & reach(f, s) & reach(g, t)
        return (g, t, places, count + change, jnp.where(turns & (hidden < 0), i, hidden)), None

    nought = jnp.zeros(zero.shape, jnp.int32)
    start = (*at(grid[0]), [nought] * words, nought, nought - 1)
    steps = (jnp.arange(points - 1, dtype=jnp.int32), grid[1:])
    (_, _, places, count, first), _ = jax.lax.scan(visit, start, steps)
    hidden = jnp.where(first < 0, jnp.nan, grid[jnp.maximum(first, 0)])

    def ends(k: int) -> tuple[jax.Array, jax.Array]:
        w = k // room
        later = jnp.minimum(count, min((w + 1) * room, SLOTS)) - 1 - k
        place = (places[w] >> (bits * jnp.maximum(later, 0))) & (2**bits - 1)
        held = lambda x: jnp.where(count > k, grid[x], jnp.nan)
        return held(place), held(jnp.minimum(place + 1, points - 1))

    left, right = [list(x) for x in zip(*(ends(k) for k in range(SLOTS)), strict=True)]

    def look_closer(left: list, right: list, count: jax.Array) -> tuple:
        some = ~jnp.isnan(hidden)
        a, b = jnp.where(some, hidden, grid[0]), jnp.where(some, hidden + (grid[1] - grid[0]), grid[-1])
        fa, sa = at(a)

        def halve(_: Any, ends: tuple) -> tuple:
            a, b = ends
            middle = 0.5 * (a + b)
            before = (at(middle)[1] > 0) == (sa > 0)
            return jnp.where(before, middle, a), jnp.where(before, b, middle)

        lowest, highest = jax.lax.fori_loop(0, HALVINGS, halve, (a, b))
        extremum = 0.5 * (lowest + highest)
        beyond = some & ((at(extremum)[0] > 0) != (fa > 0))
        left, right, count = add(a, extremum, beyond, left, right, count)
        return add(extremum, b, beyond, left, right, count)

    found = jax.lax.cond(jnp.any(~jnp.isnan(hidden)), look_closer, lambda *same: same, left, right, count)
    return found


def _closed_in(current: Any, slope: Any, a: jax.Array, b: jax.Array) -> jax.Array:
    """The root inside the bracket: Newton's step where it stays inside and at least halves the last one, else the middle."""
    full = lambda x: jnp.zeros_like(a) + x
    fa, fb = full(current(a)), full(current(b))
    tolerance = TOLERANCE[str(a.dtype)]

    def newton(carry: tuple) -> tuple:
        a, b, x, last, _, i = carry
        f, s = jax.lax.optimization_barrier(slope(x))
        same = (f > 0) == (fa > 0)
        a, b = jnp.where(same, x, a), jnp.where(same, b, x)
        y = x - f / s
        inside = (y >= a) & (y <= b) & (jnp.abs(y - x) < 0.5 * last)
        y = jnp.where(inside, y, 0.5 * (a + b))
        there = last <= tolerance  # a cell that has arrived waits for the others: its numbers are its own
        y, move = jnp.where(there, x, y), jnp.where(there, last, jnp.abs(y - x))
        return a, b, y, move, jnp.any(move > tolerance), i + 1

    x = a - fa * (b - a) / (fb - fa)
    going = lambda c: c[4] & (c[5] < HALVINGS)
    return jax.lax.while_loop(going, newton, (a, b, x, b - a, jnp.bool_(True), 0))[2]


def _kind(membrane: Membrane, v: jax.Array) -> jax.Array:
    """:class:`Stability` of voltage and gates."""
    layout = clamped_unknowns(membrane, full=True)
    wide, v = jax.tree.map(widest, (membrane, v))
    env = wide.environment({k: jnp.zeros_like(v) for k in [*wide.species, "electrode"]})
    names = dict.fromkeys(name for name, _ in layout.states)
    states = {name: steady_states(wide.mechanisms[name].kinetics(v, {}, env)) for name in names}
    whole = (v, *(jnp.zeros_like(v) + states[name][x] for name, x in layout.states))
    _, matrix = jacobian(functools.partial(changes, wide, layout), whole)
    return stability(jnp.stack([jnp.stack(row) for row in matrix]), 0)[0]
