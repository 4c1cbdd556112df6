"""The attractor that a point goes to: implicit steps that grow until they are Newton steps.

C. T. Kelley & D. E. Keyes (1998), SIAM J Numer Anal 35:508, doi:10.1137/S0036142996304796. Each cell has its own
pseudo-time step h and solves ``(1/h - J) d = f``. A step longer than the time constant of a growing mode would run
backwards in time, on to a saddle; the determinant then has the other sign, and the step is made shorter instead, so that
the cell leaves an unstable state as it would in time.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmem.analysis.small_systems import Matrix, jacobian, solve

Vector = tuple[jax.Array, ...]

FIRST_STEP, SHORTEST_STEP, SETTLED, LONGEST_STEP = 0.1, 1e-12, 1e9, 1e15  # ms of pseudo-time
NEWTON = 1e25  # ms: a step so long that it is Newton's, but an entry that nothing moves stays where it is
AIM, GROWTH, SHRINK = 0.9, 100.0, 0.1  # size of a step that is aimed at, and how fast the pseudo-time step changes
NEAR = 1e-2  # size of a step, in units of the scale, from which on Newton's are taken
CLOSE = 0.1  # the same of a start that is given
HITS = 20  # times at the wall before a cell is given up
TOLERANCE = {"float64": 1e-10, "float32": 1e-5}  # of the largest move in units of the scale
SEARCHING, ARRIVED, AWAY, FIRES, BROKEN = 0, 1, 2, 3, 4


class Search(NamedTuple):
    """Where each cell stands: unknowns, pseudo-time step, outcome, iterations used, hits at the wall, and whether the
    voltage makes any difference to anything (``moves``)."""

    u: Vector
    h: jax.Array
    outcome: jax.Array
    steps: jax.Array
    hits: jax.Array
    moves: jax.Array


def begin(u: Vector) -> Search:
    v = u[0]
    none = jnp.zeros(v.shape, jnp.int32)
    outcome = jnp.where(jnp.isfinite(sum(u)), SEARCHING, BROKEN).astype(jnp.int32)
    return Search(u, jnp.full_like(v, FIRST_STEP), outcome, none, none, none > 0)


class Task(NamedTuple):
    """What is sought and how: ``change`` gives d/dt of the unknowns, ``valid`` whether a point is allowed (amounts above
    zero); no entry moves more than ``scale`` in a step, or leaves +-``box``. Where ``fires`` says that voltage and gates by
    themselves run away, a search ends."""

    change: Callable[[Vector], Vector]
    valid: Callable[[Vector], jax.Array]
    scale: tuple[float, ...]
    box: tuple[float, ...]
    fires: Callable[[Vector], jax.Array] | None


def warmed(task: Task, begun: Search) -> Search:
    """One Newton step from a start that is so close to an attractor that the step is short, and Newton's from there on."""
    change, valid, scale, _, fires = task
    d, positive, matrix = jax.lax.optimization_barrier(correction(change, begun.u, NEWTON))
    size = jnp.max(jnp.stack([jnp.abs(x) / most for x, most in zip(d, scale, strict=True)]), 0)
    trial = tuple(a + b for a, b in zip(begun.u, d, strict=True))
    close = (size < CLOSE) & positive & valid(trial) & (begun.outcome == SEARCHING)
    if fires is not None:
        close &= ~(matrix[0][0] > 0)
    u = tuple(jnp.where(close, b, a) for a, b in zip(begun.u, trial, strict=True))
    return begun._replace(u=u, h=jnp.where(close, NEWTON, begun.h), steps=begun.steps + 1)


def search(task: Task, start: Search, iterations: int) -> Search:
    """Go on with those cells that are still searching: one has arrived when a whole Newton step hardly moves it."""
    change, valid, scale, box, fires = task
    tolerance = TOLERANCE[str(start.u[0].dtype)]

    def one(carry: tuple[Search, jax.Array]) -> tuple[Search, jax.Array]:
        s, i = carry
        # behind a barrier, or every entry of the carry would compute it again
        d, positive, matrix = jax.lax.optimization_barrier(correction(change, s.u, s.h))
        live = s.outcome == SEARCHING
        size = jnp.max(jnp.stack([jnp.abs(x) / most for x, most in zip(d, scale, strict=True)]), 0)
        damped = 1 / jnp.maximum(size, 1)
        trial = tuple(a + b * damped for a, b in zip(s.u, d, strict=True))
        finite = jnp.isfinite(size)
        outside = jnp.any(jnp.stack([jnp.abs(x) > most for x, most in zip(trial, box, strict=True)]), 0)
        wall = finite & positive & outside
        move = finite & positive & ~outside & valid(trial)
        hits = s.hits + (wall & live)
        newton = s.h == NEWTON
        done = move & newton & (size < tolerance)
        lost = ~move & (s.h < SHORTEST_STEP)
        away = jnp.zeros_like(live) if fires is None else (matrix[0][0] > 0) | fires(s.u)
        gone = (hits > HITS) | (lost & finite)
        news = jnp.where(done, ARRIVED, jnp.where(gone, AWAY, jnp.where(lost, BROKEN, SEARCHING)))
        news = jnp.where(away, FIRES, news)
        factor = jnp.where(move, jnp.clip(AIM / size, 0.1, GROWTH), SHRINK)
        h = jnp.where(newton, jnp.where(move & (size < NEAR), NEWTON, SETTLED / 100), s.h * factor)
        h = jnp.where(move & (size < NEAR) & (h >= SETTLED), NEWTON, jnp.minimum(h, LONGEST_STEP))
        keep = lambda new, old: jnp.where(live, new, old)
        return Search(
            tuple(jnp.where(move & live & ~away, b, a) for a, b in zip(s.u, trial, strict=True)), keep(h, s.h),
            keep(news, s.outcome).astype(jnp.int32), s.steps + live, hits,
            keep(jnp.any(jnp.stack([row[0] != 0 for row in matrix]), 0), s.moves),
        ), i + 1  # fmt: skip

    going = lambda c: (c[1] < iterations) & jnp.any(c[0].outcome == SEARCHING)
    return jax.lax.while_loop(going, one, (start, jnp.zeros((), jnp.int32)))[0]


def correction(
    change: Callable[[Vector], Vector], u: Vector, h: jax.Array | float
) -> tuple[list[jax.Array], jax.Array, Matrix]:
    """The implicit step of length h, whether its determinant is positive, and the Jacobian."""
    value, matrix = jacobian(change, u)
    n = len(u)
    shifted = [[(1 / h if i == j else 0.0) - matrix[i][j] for j in range(n)] for i in range(n)]
    return *solve(shifted, list(value)), matrix


def attached(change: Callable[[Vector], Vector], u: Vector) -> Vector:
    """The same numbers with the derivatives of the root of ``change``, by the implicit function theorem, to any order.

    ``du/dp = -(df/du)^-1 df/dp``. ``change`` may close over traced parameters.
    """

    def tangent(linear: Callable[[Vector], Vector], right: Vector) -> Vector:
        _, matrix = jacobian(linear, tuple(jnp.zeros_like(b) for b in right))
        n = len(right)
        held = [[matrix[i][j] - (1 / NEWTON if i == j else 0.0) for j in range(n)] for i in range(n)]
        return tuple(solve(held, list(right))[0])

    return jax.lax.custom_root(change, u, lambda _, guess: guess, tangent)
