"""Weighted residuals of a fit and their Jacobian, elementwise in the members; the rests go along.

With unknowns u at rest in every condition (``f(u, y) = 0``) and coordinates y of what is free, the implicit function theorem
gives ``du/dy = -(df/du)^-1 df/dy``; residuals are functions of u and y. A rest is not sought anew: from that of the last
step, moved along its derivative, a few Newton steps suffice.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmem.analysis.fitting.problem import Layout, Numbers, Vector, fitted_membrane, in_conditions
from jaxmem.analysis.fitting.quantities import quantity
from jaxmem.analysis.fitting.through_time import rows_of, seen, seen_with_slopes
from jaxmem.analysis.pseudo_transient import NEWTON, attached
from jaxmem.analysis.resting import SCALE_AMOUNT, SCALE_STATE, SCALE_V, rest_at
from jaxmem.analysis.small_systems import Matrix, jacobian, solve
from jaxmem.analysis.unknowns import changes
from jaxmem.membrane.membrane import Membrane

CORRECTIONS = 8  # Newton steps from the rest before; a step of the fit that needs more was too long
SETTLED = {
    "float64": 1e-6,
    "float32": 1e-4,
}  # size of the last correction, in units of the scale; what is left is its square


class Evaluation(NamedTuple):
    """At coordinates y: what is measured (a number per row), its derivatives ``slopes[row][j]``, the unknowns at rest (each over
    conditions and members), their derivatives ``ways[j][i]``, and whether the rest was found."""

    values: Vector
    slopes: tuple[Vector, ...]
    u: Vector
    ways: tuple[Vector, ...]
    found: jax.Array


def evaluate(layout: Layout, numbers: Numbers, y: Sequence[jax.Array], u: Vector) -> Evaluation:
    """Everything at ``y``, from a guess of the rest."""
    y = tuple(y)
    u, found, held = _settled(layout, numbers, y, u)
    columns = []
    for j in range(len(y)):  # one by one: XLA leaves out what a parameter does not touch, which a batch would not
        along = lambda t, j=j: tuple(t if i == j else x for i, x in enumerate(y))
        f = lambda t, along=along: changes(_everywhere(layout, numbers, along(t), u[0]), layout.unknowns, u)
        columns.append(jax.jvp(f, (y[j],), (jnp.ones_like(y[j]),))[1])
    stacked, _ = solve(held, [jnp.stack([c[i] for c in columns]) for i in range(len(u))])
    ways = tuple(tuple(x[j] for x in stacked) for j in range(len(y)))
    found_values: Vector = ()
    slopes = []
    for j, way in enumerate(ways):
        unit = tuple(jnp.ones_like(x) if i == j else jnp.zeros_like(x) for i, x in enumerate(y))
        found_values, slope = jax.jvp(lambda a, b: at_rest(layout, numbers, a, b), (y, u), (unit, way))
        slopes.append(slope)
    parts: list[Any] = [list(zip(found_values, zip(*slopes, strict=True), strict=True))]
    for trial in range(len(numbers.trials)):
        value, slope = seen_with_slopes(layout, numbers, trial, y, u, ways)
        parts.append([(x, tuple(s)) for x, s in zip(value, slope, strict=True)])
    rows = _in_order(layout, parts)
    return Evaluation(tuple(x for x, _ in rows), tuple(s for _, s in rows), u, ways, found)


def weighted(layout: Layout, numbers: Numbers, y: Sequence[Any], measured: Sequence[Any]) -> list[Any]:
    """Residuals in standard deviations: of the targets, then of priors, then of what spreads around a common value."""
    # a number that was not measured may be none in the model either
    rows = [
        jnp.where(w > 0, (x - goal) * w, 0) for x, goal, w in zip(measured, numbers.goal, numbers.weight, strict=True)
    ]
    rows += [(y[i] - c) / s for i, c, s in zip(layout.priors, numbers.centre, numbers.spread, strict=True)]
    common = range(len(layout.free), layout.coordinates)
    return rows + [(y[i] - y[k]) / s for i, k, s in zip(layout.pooled, common, numbers.pool, strict=True)]


def weighted_slopes(layout: Layout, numbers: Numbers, slopes: Sequence[Sequence[Any]], like: Any) -> list[list[Any]]:
    """The Jacobian of :func:`weighted`."""
    k = layout.coordinates
    rows = [[jnp.where(w > 0, x * w, 0) for x in row] for row, w in zip(slopes, numbers.weight, strict=True)]
    unit = lambda i, s: [(like * 0 + 1) / s if a == i else like * 0 for a in range(k)]
    rows += [unit(i, s) for i, s in zip(layout.priors, numbers.spread, strict=True)]
    for c, (i, s) in enumerate(zip(layout.pooled, numbers.pool, strict=True)):
        away, there = unit(i, s), unit(len(layout.free) + c, s)
        rows.append([a - b for a, b in zip(away, there, strict=True)])
    return rows


def sum_of_squares(layout: Layout, numbers: Numbers, y: Sequence[jax.Array], u: Vector) -> jax.Array:
    """The cost as a function that JAX differentiates, forward and reverse; infinite where the rest is lost."""
    fixed = jax.lax.stop_gradient(tuple(y))
    u, found, _ = _settled(layout, numbers, fixed, jax.lax.stop_gradient(u))
    membrane = _everywhere(layout, numbers, y, u[0])
    u = attached(lambda w: changes(membrane, layout.unknowns, w), jax.lax.stop_gradient(u))
    cost = sum(r * r for r in weighted(layout, numbers, y, values(layout, numbers, y, u)))
    return jnp.where(found, cost, jnp.inf)


def values(layout: Layout, numbers: Numbers, y: Sequence[jax.Array], u: Vector) -> Vector:
    """What is measured, row by row, each over members."""
    parts = [list(at_rest(layout, numbers, y, u))]
    parts += [list(seen(layout, numbers, trial, tuple(y), u)) for trial in range(len(numbers.trials))]
    return tuple(_in_order(layout, parts))


def at_rest(layout: Layout, numbers: Numbers, y: Sequence[jax.Array], u: Vector) -> Vector:
    """Those of :func:`values` that are measured at rest."""
    membrane = _everywhere(layout, numbers, y, u[0])
    rest = rest_at(membrane, layout.unknowns, u)
    known: dict[Any, jax.Array] = {}
    out = []
    for row in (layout.rows[i] for i in rows_of(layout, None)):
        if row.of not in known:
            function = quantity(membrane, row.of) if isinstance(row.of, str) else row.of
            known[row.of] = jnp.broadcast_to(jnp.asarray(function(membrane, rest), u[0].dtype), u[0].shape)
        out.append(known[row.of][row.condition])
    return tuple(out)


def _in_order(layout: Layout, parts: Sequence[Sequence[Any]]) -> list[Any]:
    """What was found for the rows at rest, then for those of each trial, in the order of all rows."""
    places = [i for trial in (None, *range(len(parts) - 1)) for i in rows_of(layout, trial)]
    found = dict(zip(places, (x for part in parts for x in part), strict=True))
    return [found[i] for i in range(len(layout.rows))]


def _everywhere(layout: Layout, numbers: Numbers, y: Sequence[jax.Array], like: jax.Array) -> Membrane:
    return in_conditions(fitted_membrane(layout, numbers, y), numbers, like)


def _settled(layout: Layout, numbers: Numbers, y: Sequence[jax.Array], u: Vector) -> tuple[Vector, jax.Array, Matrix]:
    """Newton steps until they are short; whether they became so in every condition at a point that can be stable; and -df/du."""
    membrane = _everywhere(layout, numbers, y, u[0])
    change = lambda w: changes(membrane, layout.unknowns, w)
    scale = (SCALE_V, *[SCALE_AMOUNT] * len(layout.unknowns.followed), *[SCALE_STATE] * len(layout.unknowns.states))
    settled, n = SETTLED[str(u[0].dtype)], len(u)

    def step(carry: tuple) -> tuple:
        u, _, _, _, i = carry
        value, matrix = jacobian(change, u)
        held = [[(1 / NEWTON if i == j else 0.0) - matrix[i][j] for j in range(n)] for i in range(n)]
        held, value = jax.lax.optimization_barrier((held, value))
        d, positive = solve(held, list(value))
        size = jnp.max(jnp.stack([jnp.abs(x) / most for x, most in zip(d, scale, strict=True)]), 0)
        damped = 1 / jnp.maximum(size, 1)
        return tuple(a + b * damped for a, b in zip(u, d, strict=True)), size, positive, held, i + 1

    going = lambda c: (c[4] < CORRECTIONS) & jnp.any(c[1] > settled)
    endless = jnp.full(u[0].shape, jnp.inf, u[0].dtype)
    none = [[jnp.zeros_like(u[0])] * n] * n
    u, size, positive, held, _ = jax.lax.while_loop(going, step, (u, endless, endless > 0, none, jnp.int32(0)))
    found = (size <= settled) & positive & jnp.isfinite(sum(u))
    if layout.unknowns.eliminated:  # a slope that drives the voltage away: beyond the threshold
        found &= ~(held[0][0] < 0)
    return u, jnp.all(found, 0), held
