"""Weighted residuals of a fit and their Jacobian, elementwise in the members; the rests go along.

With unknowns u at rest in every condition (``f(u, y) = 0``) and coordinates y of what is free, the implicit function theorem
gives ``du/dy = -(df/du)^-1 df/dy``; residuals are functions of u and y. A rest is not sought anew: from that of the last
step, moved along its derivative, a few Newton steps suffice.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmem.analysis.fitting.problem import Layout, Numbers, fitted_membrane, in_conditions
from jaxmem.analysis.fitting.quantities import quantity
from jaxmem.analysis.pseudo_transient import NEWTON, Vector, attached, correction
from jaxmem.analysis.resting import SCALE_AMOUNT, SCALE_STATE, SCALE_V, rest_at
from jaxmem.analysis.small_systems import jacobian, solve
from jaxmem.analysis.unknowns import changes
from jaxmem.membrane.membrane import Membrane

CORRECTIONS = 8  # Newton steps from the rest before; a step of the fit that needs more was too long
SETTLED = {"float64": 1e-7, "float32": 1e-4}  # size of the last correction, in units of the scale: its square is left


class Evaluation(NamedTuple):
    """At coordinates y: weighted residuals (rows first those of targets, then priors), their Jacobian ``slopes[row][j]``, the
    unknowns at rest (each over conditions and members), their derivatives ``ways[j][i]``, and whether the rest was found."""

    rows: list[jax.Array]
    slopes: list[list[jax.Array]]
    u: Vector
    ways: list[Vector]
    found: jax.Array


def evaluate(layout: Layout, numbers: Numbers, y: Sequence[jax.Array], u: Vector) -> Evaluation:
    """Everything at ``y``, from a guess of the rest."""
    y = tuple(y)
    u, found, matrix = _settled(layout, numbers, y, u)
    columns = []
    for j in range(len(y)):
        along = lambda t, j=j: tuple(t if i == j else x for i, x in enumerate(y))
        f = lambda t, along=along: changes(_everywhere(layout, numbers, along(t), u[0]), layout.unknowns, u)
        columns.append(jax.jvp(f, (y[j],), (jnp.ones_like(y[j]),))[1])
    n = len(u)
    held = [[(1 / NEWTON if i == j else 0.0) - matrix[i][j] for j in range(n)] for i in range(n)]
    stacked, _ = solve(held, [jnp.stack([c[i] for c in columns]) for i in range(n)])
    ways = [tuple(x[j] for x in stacked) for j in range(len(y))]
    rows, slopes = [], []
    for j, way in enumerate(ways):
        unit = tuple(jnp.ones_like(x) if i == j else jnp.zeros_like(x) for i, x in enumerate(y))
        values, slope = jax.jvp(lambda a, b: residuals(layout, numbers, a, b), (y, u), (unit, way))
        rows, slopes = values, [*slopes, slope]
    return Evaluation(list(rows), [[s[i] for s in slopes] for i in range(len(rows))], u, ways, found)


def sum_of_squares(layout: Layout, numbers: Numbers, y: Sequence[jax.Array], u: Vector) -> jax.Array:
    """The cost as a function that JAX differentiates, forward and reverse; infinite where the rest is lost."""
    fixed = jax.lax.stop_gradient(tuple(y))
    u, found, _ = _settled(layout, numbers, fixed, jax.lax.stop_gradient(u))
    membrane = _everywhere(layout, numbers, y, u[0])
    u = attached(lambda w: changes(membrane, layout.unknowns, w), jax.lax.stop_gradient(u))
    cost = sum(r * r for r in residuals(layout, numbers, y, u))
    return jnp.where(found, cost, jnp.inf)


def residuals(layout: Layout, numbers: Numbers, y: Sequence[jax.Array], u: Vector) -> list[jax.Array]:
    """Weighted residuals at coordinates y and rests u, each over members."""
    shape = u[0].shape[1:]
    whole = [
        jnp.broadcast_to((x - goal) * weight, shape)
        for x, goal, weight in zip(values(layout, numbers, y, u), numbers.goal, numbers.weight, strict=True)
    ]
    for i, centre, spread in zip(layout.priors, numbers.centre, numbers.spread, strict=True):
        whole.append(jnp.broadcast_to((y[i] - centre) / spread, shape))
    for k, (i, spread) in enumerate(zip(layout.pooled, numbers.pool, strict=True)):
        whole.append(jnp.broadcast_to((y[i] - y[len(layout.free) + k]) / spread, shape))
    return whole


def values(layout: Layout, numbers: Numbers, y: Sequence[jax.Array], u: Vector) -> list[jax.Array]:
    """What is measured, row by row, each over members."""
    membrane = _everywhere(layout, numbers, y, u[0])
    rest = rest_at(membrane, layout.unknowns, u)
    known: dict[Any, jax.Array] = {}
    out = []
    for row in layout.rows:
        if row.of not in known:
            function = quantity(membrane, row.of) if isinstance(row.of, str) else row.of
            known[row.of] = jnp.broadcast_to(jnp.asarray(function(membrane, rest), u[0].dtype), u[0].shape)
        out.append(known[row.of][row.condition])
    return out


def _everywhere(layout: Layout, numbers: Numbers, y: Sequence[jax.Array], like: jax.Array) -> Membrane:
    return in_conditions(fitted_membrane(layout, numbers, y), numbers, like)


def _settled(
    layout: Layout, numbers: Numbers, y: Sequence[jax.Array], u: Vector
) -> tuple[Vector, jax.Array, list[list[jax.Array]]]:
    """Newton steps until they are short; whether they became so in every condition at a point that can be stable."""
    membrane = _everywhere(layout, numbers, y, u[0])
    change = lambda w: changes(membrane, layout.unknowns, w)
    scale = (SCALE_V, *[SCALE_AMOUNT] * len(layout.unknowns.followed), *[SCALE_STATE] * len(layout.unknowns.states))
    settled = SETTLED[str(u[0].dtype)]

    def step(carry: tuple[Vector, jax.Array, jax.Array]) -> tuple[Vector, jax.Array, jax.Array]:
        u, size, i = carry
        d, _, _ = jax.lax.optimization_barrier(correction(change, u, NEWTON))
        size = jnp.max(jnp.stack([jnp.abs(x) / most for x, most in zip(d, scale, strict=True)]), 0)
        damped = 1 / jnp.maximum(size, 1)
        return tuple(a + b * damped for a, b in zip(u, d, strict=True)), size, i + 1

    going = lambda c: (c[2] < CORRECTIONS) & jnp.any(c[1] > settled)
    endless = jnp.full(u[0].shape, jnp.inf, u[0].dtype)
    u, size, _ = jax.lax.while_loop(going, step, (u, endless, jnp.int32(0)))
    value, matrix = jacobian(change, u)
    n = len(u)
    shifted = [[(1 / NEWTON if i == j else 0.0) - matrix[i][j] for j in range(n)] for i in range(n)]
    _, positive = solve(shifted, list(value))
    found = (size < settled) & positive & jnp.isfinite(sum(u))
    if layout.unknowns.eliminated:
        found &= ~(matrix[0][0] > 0)
    return u, jnp.all(found, 0), matrix

