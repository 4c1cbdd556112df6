"""Levenberg-Marquardt, one small problem per member, all members at once.

K. Levenberg (1944), Q Appl Math 2:164, doi:10.1090/qam/10666; D. W. Marquardt (1963), J Soc Ind Appl Math 11:431,
doi:10.1137/0111030. Steps solve ``(J'J + lambda diag(J'J)) d = -J'r``; where one would leave a bound it ends there, and a
coordinate that its bound holds takes no part. Rests are kept along the way (:mod:`jaxmem.analysis.fitting.residuals`).
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.analysis.blocks import WIDTH, in_blocks
from jaxmem.analysis.fitting.method import FLAT, LOST, MET, SEARCHING, Improved, Method
from jaxmem.analysis.fitting.problem import Layout, Numbers, Vector, taken
from jaxmem.analysis.fitting.residuals import evaluate, weighted, weighted_slopes
from jaxmem.analysis.small_systems import solve

ROUNDS = (7, 4, 8, 20)  # iterations; members that are through leave between rounds, the last round takes the rest
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}
FIRST_DAMPING, LEAST_DAMPING, MOST_DAMPING = 1e-5, 1e-12, 1e10
EASE, STIFFEN, STIFF = 0.03, 10.0, 1e-2  # how the damping goes after a good and after a bad step
LONGEST = 2.0  # largest step in a logarithm, and in parts of 8 between bounds on a linear scale
FLOOR = {
    "float64": 1e-12,
    "float32": 1e-6,
}  # of the largest curvature: what damps a coordinate that does next to nothing
IDLE = {"float64": 1e-12, "float32": 1e-6}  # of the largest slope: what is less is rounding, and its parameter stays
ALONG = {"float64": 1e-8, "float32": 1e-4}  # cosine between the residuals and every column of J, at a minimum


@dataclasses.dataclass(frozen=True)
class LevenbergMarquardt(Method):
    """The default method of :func:`jaxmem.fit`: damped Gauss-Newton steps with exact Jacobians and warm rests.

    A member is done when every residual is below ``tolerance`` (in standard deviations; None: 1e-9 in float64, 1e-4 in
    float32), or at a minimum: the residuals stand at right angles to all that the parameters can do to them. ``iterations``
    at most. ``redraws``: so many times a member begins again from a drawn start, where its start has no resting state or its
    minimum does not meet the targets; the best is kept. A sharp target beside one that cannot be met makes a narrow valley in
    which steps are short: aim with wide standard deviations first, then with sharp ones from there.
    """

    tolerance: float | None = None
    iterations: int = 100
    redraws: int = 0

    def __post_init__(self) -> None:
        if self.iterations < 1 or self.redraws < 0:
            raise ValueError(f"iterations are at least 1, redraws at least 0; found {self.iterations}, {self.redraws}")

    def improve(
        self, layout: Layout, numbers: Numbers, y: Vector, u: Vector, progress: Callable[[int], None]
    ) -> Improved:
        members, dtype = y[0].shape[-1], y[0].dtype
        tolerance = dtype.type(TOLERANCE[str(dtype)] if self.tolerance is None else self.tolerance)
        found = in_blocks(_begun, (y, u), members, len(layout.rows))
        for iterations in (*ROUNDS, self.iterations):
            left = np.flatnonzero(found.outcome == SEARCHING)
            if not left.size:
                break
            more = np.int32(min(iterations, self.iterations - int(found.steps[left].max())))
            here = jax.tree.map(lambda x, left=left: x[..., left], found)
            some = (taken(numbers, left), here, more, tolerance)
            news = in_blocks(_continued, some, left.size, layout, width=_width(layout, left.size))
            found = jax.tree.map(functools.partial(_put, left), found, news)
            progress(int(np.sum(found.outcome != SEARCHING)))
        return _kept(found)


class Descent(NamedTuple):
    """Where each member stands (coordinates, rests, what is measured there, derivatives) and where it looks next (``trial``)."""

    y: Vector
    u: Vector
    trial: Vector
    guess: Vector
    values: jax.Array
    slopes: jax.Array
    ways: tuple[Vector, ...]
    cost: jax.Array
    largest: jax.Array
    damping: jax.Array
    outcome: jax.Array
    steps: jax.Array


def begin(y: Vector, u: Vector, rows: int) -> Descent:
    one, k = y[0], len(y)
    none = jnp.zeros(one.shape, jnp.int32)
    endless, empty = jnp.full_like(one, jnp.inf), lambda *n: jnp.zeros((*n, *one.shape), one.dtype)
    ways = (tuple(jnp.zeros_like(x) for x in u),) * k
    damping = jnp.full_like(one, FIRST_DAMPING)
    return Descent(y, u, y, u, empty(rows), empty(rows, k), ways, endless, endless, damping, none, none)


def descend(layout: Layout, numbers: Numbers, start: Descent, iterations: jax.Array, tolerance: jax.Array) -> Descent:
    """So many iterations further with the members that are still searching."""
    dtype = start.cost.dtype
    k = len(start.y)
    low, high = ([jnp.asarray(x, dtype) for x in ends] for ends in (numbers.low, numbers.high))
    logarithmic = [*layout.logarithmic, *(layout.logarithmic[i] for i in layout.pooled)]
    reach = [1.0 if log else (b - a) / 8 for log, a, b in zip(logarithmic, low, high, strict=True)]

    def one(carry: tuple[Descent, jax.Array]) -> tuple[Descent, jax.Array]:
        s, i = carry
        at = jax.lax.optimization_barrier(evaluate(layout, numbers, s.trial, s.guess))
        rows = weighted(layout, numbers, s.trial, at.values)
        cost = jnp.sum(rows**2, 0)
        live = s.outcome == SEARCHING
        better = live & at.found & (cost < s.cost)
        put = lambda new, old: jnp.where(better, new, old)
        y, u, ways, measured, slopes = jax.tree.map(
            put, (s.trial, at.u, at.ways, at.values, at.slopes), (s.y, s.u, s.ways, s.values, s.slopes)
        )
        kept, largest = put(cost, s.cost), put(jnp.max(jnp.abs(rows), 0), s.largest)
        rows = weighted(layout, numbers, y, measured)
        matrix = weighted_slopes(layout, numbers, slopes)
        slope = [jnp.sum(rows * matrix[:, a], 0) for a in range(k)]
        curvature = [[jnp.sum(matrix[:, a] * matrix[:, b], 0) for b in range(k)] for a in range(k)]

        strength = [curvature[a][a] * reach[a] ** 2 for a in range(k)]
        idle = IDLE[str(dtype)] ** 2 * functools.reduce(jnp.maximum, strength)
        held = [
            ((y[a] <= low[a]) & (slope[a] > 0)) | ((y[a] >= high[a]) & (slope[a] < 0)) | (strength[a] <= idle)
            for a in range(k)
        ]
        free = [jnp.where(h, 0.0, g) for h, g in zip(held, slope, strict=True)]
        along = jnp.max(jnp.stack([
            jnp.abs(g) / jnp.sqrt(jnp.where(curvature[a][a] > 0, curvature[a][a] * jnp.where(kept > 0, kept, 1), 1.0))
            for a, g in enumerate(free)
        ]), 0)  # fmt: skip
        damping = jnp.where(
            better, jnp.maximum(s.damping * EASE, LEAST_DAMPING), jnp.maximum(s.damping, STIFF) * STIFFEN
        )
        lost = ~jnp.isfinite(kept)
        news = jnp.where((along < ALONG[str(dtype)]) | (damping > MOST_DAMPING), FLAT, SEARCHING)
        news = jnp.where(lost, LOST, jnp.where(largest < tolerance, MET, news))
        outcome = jnp.where(live, news, s.outcome).astype(jnp.int32)

        step = _step(curvature, free, held, damping)
        # each by itself, or one that does next to nothing would hold up the others
        step = [jnp.clip(d, -LONGEST * r, LONGEST * r) for d, r in zip(step, reach, strict=True)]
        trial = tuple(jnp.clip(y[a] + step[a], low[a], high[a]) for a in range(k))
        guess = tuple(
            x + sum(way[i] * (t - z) for way, t, z in zip(ways, trial, y, strict=True)) for i, x in enumerate(u)
        )
        ahead = Descent(
            y, u, trial, guess, measured, slopes, ways, kept, largest, jnp.where(live, damping, s.damping), outcome,
            s.steps + live,
        )  # fmt: skip
        return ahead, i + 1

    going = lambda c: (c[1] < iterations) & jnp.any(c[0].outcome == SEARCHING)
    return jax.lax.while_loop(going, one, (start, jnp.zeros((), jnp.int32)))[0]


def _step(
    curvature: list[list[jax.Array]], slope: list[jax.Array], held: list[jax.Array], damping: jax.Array
) -> list[jax.Array]:
    k = len(slope)
    diagonal = [curvature[a][a] for a in range(k)]
    floor = FLOOR[str(damping.dtype)] * jnp.max(jnp.stack(diagonal), 0)
    rows = []
    for a in range(k):
        weight = jnp.maximum(diagonal[a], floor)
        weight = jnp.where(weight > 0, weight, 1.0)
        own = jnp.where(held[a], weight, diagonal[a]) + damping * weight
        rows.append([own if a == b else jnp.where(held[a] | held[b], 0.0, curvature[a][b]) for b in range(k)])
    return [-x for x in solve(rows, slope)[0]]


def looked(layout: Layout, numbers: Numbers, y: Vector, u: Vector) -> Descent:
    """What there is to say of these coordinates, by the program that fits: an infinite cost where no rest is near ``u``."""
    members = y[0].shape[-1]
    begun = in_blocks(_begun, (y, u), members, len(layout.rows))
    given = (numbers, begun, np.int32(1), y[0].dtype.type(0))
    return in_blocks(_continued, given, members, layout, width=_width(layout, members))


def _width(layout: Layout, members: int) -> int:
    """Of a block: simulations are dear enough to compile for fewer members than a whole one holds."""
    simulated = any(row.trial is not None for row in layout.rows)
    if simulated and layout.width is not None:
        return layout.width
    return min(WIDTH, max(8, 1 << (members - 1).bit_length())) if simulated else WIDTH


def seen(layout: Layout, numbers: Numbers, found: Improved) -> Improved:
    """The same with what there is to know of where it stands."""
    return found if found.values is not None else _kept(looked(layout, numbers, found.y, found.u))


def _kept(found: Descent) -> Improved:
    return Improved(found.y, found.u, found.outcome, found.steps, found.values, found.slopes, found.cost)


def _begun(given: tuple[Vector, Vector], rows: int) -> Descent:
    return begin(*given, rows)


def _continued(given: tuple[Numbers, Descent, jax.Array, jax.Array], layout: Layout) -> Descent:
    return descend(layout, *given)


def _put(which: np.ndarray, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    old = old.copy()
    old[..., which] = new
    return old
