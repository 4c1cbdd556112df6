"""The curve of rests of a cell along a parameter: steps along its own length, so that it is followed around folds.

H. B. Keller (1977), in Applications of Bifurcation Theory, ed. P. H. Rabinowitz: a tangent predictor, and Newton steps
perpendicular to it. The unknowns are scaled, and so is the parameter: its range is 1.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.analysis.small_systems import jacobian, solve
from jaxmem.analysis.stability import stability
from jaxmem.analysis.unknowns import Unknowns, Vector, changes, point, start_from, start_of, unknowns
from jaxmem.membrane.mechanism import Number
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import declared, replaced
from jaxmem.membrane.state import State

SCALE_V, SCALE_AMOUNT, SCALE_STATE = 20.0, 0.5, 0.2  # what counts as one unit of the way; the parameter's range is 1
FIRST, SHORTEST, LONGEST = 0.01, 1e-9, 0.08  # units of a step
CORRECTIONS = 6  # Newton steps back to the curve
CLOSE = 1e-10  # units, of the last of them


Limits = tuple[Number, Number]  # of the parameter: numbers, so that another range needs no other program


class _Walk(NamedTuple):
    """Where each cell is on its curve: unknowns and parameter, direction, length of the next step, and whether it walks."""

    u: Vector
    p: jax.Array
    du: Vector
    dp: jax.Array
    step: jax.Array
    walking: jax.Array
    reached: jax.Array


class Track(NamedTuple):
    """What is kept of each attempted step (attempts, cells)."""

    accepted: jax.Array
    u: Vector
    p: jax.Array
    du: Vector
    dp: jax.Array
    step: jax.Array  # that led here
    kind: jax.Array
    growing: jax.Array


def problem(
    membrane: Membrane, path: str, low: Number, high: Number, layout: Unknowns
) -> tuple[Any, tuple[float, ...]]:
    """d/dt of the unknowns as a function of scaled unknowns and a scaled parameter (the last), and the scales."""
    scale = (SCALE_V, *[SCALE_AMOUNT] * len(layout.followed), *[SCALE_STATE] * len(layout.states))

    def change(y: Vector) -> Vector:
        *x, p = y
        here = replaced(membrane, {path: low + (high - low) * p})
        return changes(here, layout, tuple(a * s for a, s in zip(x, scale, strict=True)))

    return change, scale


def corrected(change: Any, guess: Vector, across: Vector) -> tuple[Vector, jax.Array, list[list[jax.Array]]]:
    """The point of the curve nearest to ``guess`` in the plane across ``across``, the size of the last step, and the Jacobian."""

    n = len(guess)
    zero = jnp.zeros_like(guess[0])

    def newton(_: Any, carry: tuple) -> tuple:
        y, _, _ = carry
        value, matrix = jax.lax.optimization_barrier(jacobian(change, y))
        rows = [[a / _size(row) for a in row] for row in matrix]
        right = [-f / _size(row) for f, row in zip(value, matrix, strict=True)]
        off = sum((t * (a - b) for t, a, b in zip(across, y, guess, strict=True)), zero)
        move, _ = solve([*rows, list(across)], [*right, -off])
        return tuple(a + b for a, b in zip(y, move, strict=True)), jnp.max(jnp.abs(jnp.stack(move)), 0), matrix

    # the last step is of the size of rounding: it is there for the Jacobian where it begins
    return jax.lax.fori_loop(0, CORRECTIONS, newton, (guess, zero, [[zero] * n for _ in range(n - 1)]))


def _size(row: list[jax.Array]) -> jax.Array:
    """Rows differ by how fast their unknowns are: without this milliseconds would drown hours."""
    most = functools.reduce(jnp.maximum, [jnp.abs(a) for a in row])
    return jnp.where(most > 0, most, 1.0)


def tangent(matrix: list[list[jax.Array]], along: Vector) -> Vector:
    """The unit tangent of the curve that goes on in the direction ``along``."""
    rows = [[a / _size(row) for a in row] for row in matrix]
    zero = jnp.zeros_like(along[0])
    raw, _ = solve([*rows, list(along)], [*[zero] * len(rows), jnp.ones_like(zero)])
    length = jnp.sqrt(sum(a * a for a in raw))
    return tuple(a / length for a in raw)


def followed(
    given: tuple[Membrane, State, jax.Array, Limits], path: str, layout: Unknowns, attempts: int
) -> tuple[Track, jax.Array]:
    membrane, state, direction, (low, high) = given
    change, scale = problem(membrane, path, low, high, layout)
    full = unknowns(membrane, full=True)
    value = {p: x for p, x, _ in declared(membrane)}[path]
    none = jnp.zeros_like(direction)
    u = tuple(none + a / s for a, s in zip(start_of(membrane, layout, state), scale, strict=True))
    p = none + (value - low) / (high - low)
    at_edge = ((p <= 0) & (direction < 0)) | ((p >= 1) & (direction > 0))  # nothing to follow

    def linearised(y: Vector) -> tuple[jax.Array, jax.Array]:
        here = replaced(membrane, {path: low + (high - low) * y[-1]})
        u = tuple(a * s for a, s in zip(y, scale, strict=False))
        whole = start_from(here, full, point(here, layout, u))
        return stability(
            _amounts_last(jacobian(functools.partial(changes, here, full), whole)[1], full), len(full.followed)
        )

    def attempt(walk: _Walk, _: Any) -> tuple[_Walk, Track]:
        y, along = (*walk.u, walk.p), (*walk.du, walk.dp)
        beyond = lambda p: (p < 0) | (p > 1)
        ahead = walk.p + walk.step * walk.dp
        # the last step ends on the edge of the range: there the parameter, not the length of the way, is given
        leaving = beyond(ahead)
        edge = jnp.where(ahead > 1, 1.0, 0.0)
        shorter = jnp.where(leaving, (edge - walk.p) / jnp.where(walk.dp == 0, 1.0, walk.dp), walk.step)
        guess = tuple(a + shorter * b for a, b in zip(y, along, strict=True))
        across = tuple(jnp.where(leaving, b, a) for a, b in zip(along, _unit(along), strict=True))
        new, size, matrix = corrected(change, guess, across)
        turned = tangent(matrix, along)
        straight = sum(a * b for a, b in zip(along, turned, strict=True))
        near = jnp.max(jnp.abs(jnp.stack([a - b for a, b in zip(new, guess, strict=True)])), 0)
        inside = ~beyond(new[-1]) | leaving
        begins = walk.step == 0  # to where the curve begins; its direction comes with that point
        good = walk.walking & (size < CLOSE) & ((straight > 0.9) | begins) & (near < 0.5 * LONGEST) & inside
        good &= jnp.isfinite(sum(new))
        take = lambda a, b: jnp.where(good, a, b)
        step = jnp.where(
            good, jnp.clip(walk.step * jnp.where(straight > 0.995, 1.5, 0.8), SHORTEST, LONGEST), walk.step * 0.4
        )
        step = jnp.where(good & begins, FIRST, step)
        reached = walk.reached | (good & (leaving | (begins & at_edge)))
        lost = ~good & (step < SHORTEST)
        u, du = (
            tuple(take(a, b) for a, b in zip(new_, old, strict=False))
            for new_, old in ((new, walk.u), (turned, walk.du))
        )
        on = _Walk(
            u,
            take(jnp.where(leaving, edge, jnp.clip(new[-1], 0, 1)), walk.p),
            du,
            take(turned[-1], walk.dp),
            step,
            walk.walking & ~reached & ~lost,
            reached,
        )
        kind, growing = linearised((*on.u, on.p))
        return on, Track(good, on.u, on.p, on.du, on.dp, shorter, kind, growing)

    along = tuple(none for _ in u)
    walk = _Walk(u, p, along, direction, none, direction != 0, jnp.zeros_like(at_edge))
    end, track = jax.lax.scan(attempt, walk, None, length=attempts)
    return track, end.reached


def _unit(along: Vector) -> Vector:
    """The direction of the parameter alone."""
    return (*(jnp.zeros_like(a) for a in along[:-1]), jnp.ones_like(along[-1]))


def _amounts_last(matrix: list[list[jax.Array]], full: Unknowns) -> jax.Array:
    n = len(full)
    last = (0, *range(1 + len(full.followed), n), *range(1, 1 + len(full.followed)))
    return jnp.stack([jnp.stack([matrix[i][j] for j in last]) for i in last])


def joined(up: Track, down: Track, cell: int) -> Track:
    """One curve from its two halves, the half that went down reversed (its directions stay as walked)."""
    mine = lambda track: jax.tree.map(lambda x: x[track.accepted[:, cell], cell], track)
    a, b = mine(down), mine(up)
    return jax.tree.map(lambda x, y: np.concatenate([x[:0:-1], y]), a, b)


def described(
    given: tuple[Membrane, Vector, jax.Array, Limits], path: str, layout: Unknowns
) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
    """Parameter, voltage and concentrations of points of curves."""
    membrane, u, p, (low, high) = given
    _, scale = problem(membrane, path, low, high, layout)
    value = jnp.where(p == 1, high, low + (high - low) * p)  # both edges exactly
    here = replaced(membrane, {path: value})
    at = point(here, layout, tuple(a * s for a, s in zip(u, scale, strict=True)))
    env = here.environment(at.book)
    level = lambda k, side: env.volume if k == here.water else getattr(env, side)[k]
    return value, at.v, {f"{k}.{side}": jnp.zeros_like(at.v) + level(k, side) for k, side in here.pools()}
