"""Weighted residuals of a fit and their Jacobian, elementwise in the members; the rests go along.

With unknowns u at rest in every condition (``f(u, y) = 0``) and coordinates y of what is free, the implicit function theorem
gives ``du/dy = -(df/du)^-1 df/dy``; residuals are functions of u and y. A rest is not sought anew: from that of the last
step, moved along its derivative, a few Newton steps suffice.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.analysis.fitting.problem import Layout, Numbers, Vector, fitted_membrane, in_conditions
from jaxmem.analysis.fitting.quantities import quantity
from jaxmem.analysis.fitting.through_time import rows_of, seen, seen_with_slopes
from jaxmem.analysis.pseudo_transient import NEWTON, attached
from jaxmem.analysis.resting import SCALE_AMOUNT, SCALE_STATE, SCALE_V, rest_at
from jaxmem.analysis.small_systems import Matrix, jacobian, solve
from jaxmem.analysis.unknowns import changes
from jaxmem.membrane.membrane import Membrane

CORRECTIONS = 8  # Newton steps from the rest before; a step of the fit that needs more was too long
# size of the last correction, in units of the scale: its square is left
SETTLED = {"float64": 1e-4, "float32": 1e-4}


class Evaluation(NamedTuple):
    """At coordinates y: what is measured (rows, members), its derivatives (rows, coordinates, members), the unknowns at rest
    (each over conditions and members), their derivatives ``ways[j][i]``, and whether the rest was found."""

    values: jax.Array
    slopes: jax.Array
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
    parts: list[tuple[jax.Array, jax.Array]] = []
    if rows_of(layout, None):
        resting, slopes = jnp.zeros(0), []
        for j, way in enumerate(ways):
            unit = tuple(jnp.ones_like(x) if i == j else jnp.zeros_like(x) for i, x in enumerate(y))
            resting, slope = jax.jvp(lambda a, b: at_rest(layout, numbers, a, b), (y, u), (unit, way))
            slopes.append(slope)
        parts.append((resting, jnp.stack(slopes, 1)))
    parts += [seen_with_slopes(layout, numbers, trial, y, u, ways) for trial in range(len(numbers.trials))]
    measured, matrix = (_in_order(layout, [part[i] for part in parts]) for i in range(2))
    return Evaluation(measured, matrix, u, ways, found)


def weighted(layout: Layout, numbers: Numbers, y: Sequence[Any], measured: Any) -> jax.Array:
    """Residuals in standard deviations (rows, members): of targets, of priors, of what spreads around a common value."""
    # a number that was not measured may be none in the model either
    rows = jnp.where(numbers.weight > 0, (measured - numbers.goal) * numbers.weight, 0)
    more = [(y[i] - c) / s for i, c, s in zip(layout.priors, numbers.centre, numbers.spread, strict=True)]
    common = range(len(layout.free), layout.coordinates)
    more += [(y[i] - y[k]) / s for i, k, s in zip(layout.pooled, common, numbers.pool, strict=True)]
    return jnp.concatenate([rows, jnp.stack(more)]) if more else rows


def weighted_slopes(layout: Layout, numbers: Numbers, slopes: Any) -> jax.Array:
    """The Jacobian of :func:`weighted` (rows, coordinates, members)."""
    weight = numbers.weight[:, None]
    rows = jnp.where(weight > 0, slopes * weight, 0)
    none = jnp.zeros(slopes.shape[1:], slopes.dtype)
    more = [none.at[i].set(1 / s) for i, s in zip(layout.priors, numbers.spread, strict=True)]
    common = range(len(layout.free), layout.coordinates)
    more += [
        none.at[i].set(1 / s).at[k].set(-1 / s) for i, k, s in zip(layout.pooled, common, numbers.pool, strict=True)
    ]
    return jnp.concatenate([rows, jnp.stack(more)]) if more else rows


def sum_of_squares(layout: Layout, numbers: Numbers, y: Sequence[jax.Array], u: Vector) -> jax.Array:
    """The cost as a function that JAX differentiates, forward and reverse; infinite where the rest is lost."""
    fixed = jax.lax.stop_gradient(tuple(y))
    u, found, _ = _settled(layout, numbers, fixed, jax.lax.stop_gradient(u))
    membrane = _everywhere(layout, numbers, y, u[0])
    u = attached(lambda w: changes(membrane, layout.unknowns, w), jax.lax.stop_gradient(u))
    cost = jnp.sum(weighted(layout, numbers, y, values(layout, numbers, y, u)) ** 2, 0)
    return jnp.where(found, cost, jnp.inf)


def values(layout: Layout, numbers: Numbers, y: Sequence[jax.Array], u: Vector) -> jax.Array:
    """What is measured (rows, members)."""
    parts = [at_rest(layout, numbers, y, u)] if rows_of(layout, None) else []
    parts += [seen(layout, numbers, trial, tuple(y), u) for trial in range(len(numbers.trials))]
    return _in_order(layout, parts)


def at_rest(layout: Layout, numbers: Numbers, y: Sequence[jax.Array], u: Vector) -> jax.Array:
    """Those of :func:`values` that are measured at rest."""
    membrane = _everywhere(layout, numbers, y, u[0])
    rest = rest_at(membrane, layout.unknowns, u)
    known: dict[Any, jax.Array] = {}
    out = []
    for row in (layout.rows[i] for i in rows_of(layout, None)):
        if row.of not in known:
            function = quantity(membrane, row.of) if isinstance(row.of, str) else row.of
            known[row.of] = jnp.broadcast_to(_answer(function, membrane, rest, u[0].dtype), u[0].shape)
        out.append(known[row.of][row.condition])
    return jnp.stack(out)


def _answer(function: Any, membrane: Membrane, rest: Any, dtype: Any) -> jax.Array:
    try:
        return jnp.asarray(function(membrane, rest), dtype)
    except TypeError as error:
        raise TypeError(
            f"what a target is `of` is called as function(membrane, rest) and gives an array over cells; {function!r} "
            f"did not go through: {error}"
        ) from error


def _in_order(layout: Layout, parts: Sequence[jax.Array]) -> jax.Array:
    """What was found for the rows at rest, then for those of each trial, in the order of all rows."""
    trials = sorted({row.trial for row in layout.rows if row.trial is not None})
    places = [i for trial in (None, *trials) for i in rows_of(layout, trial)]
    whole = jnp.concatenate(parts) if len(parts) > 1 else parts[0]
    return whole if places == sorted(places) else whole[np.argsort(places)]


def _everywhere(layout: Layout, numbers: Numbers, y: Sequence[jax.Array], like: jax.Array) -> Membrane:
    return in_conditions(fitted_membrane(layout, numbers, y), numbers, like)


def _settled(layout: Layout, numbers: Numbers, y: Sequence[jax.Array], u: Vector) -> tuple[Vector, jax.Array, Matrix]:
    """Newton steps until they are short; whether they became so in every condition at a point that can be stable; and -df/du."""
    membrane = _everywhere(layout, numbers, y, u[0])
    change = lambda w: changes(membrane, layout.unknowns, w)
    scale = (SCALE_V, *[SCALE_AMOUNT] * len(layout.unknowns.followed), *[SCALE_STATE] * len(layout.unknowns.states))
    settled, n = SETTLED[str(u[0].dtype)], len(u)

    def step(carry: tuple) -> tuple:
        *before, i = carry
        u, size, _, _ = before
        moving = size > settled  # the others stay as they are: a rest does not depend on its company
        value, matrix = jacobian(change, u)
        held = [[(1 / NEWTON if i == j else 0.0) - matrix[i][j] for j in range(n)] for i in range(n)]
        held, value = jax.lax.optimization_barrier((held, value))
        d, positive = solve(held, list(value))
        size = jnp.max(jnp.stack([jnp.abs(x) / most for x, most in zip(d, scale, strict=True)]), 0)
        damped = 1 / jnp.maximum(size, 1)
        news = (tuple(a + b * damped for a, b in zip(u, d, strict=True)), size, positive, held)
        return (*jax.tree.map(lambda new, old: jnp.where(moving, new, old), news, tuple(before)), i + 1)

    going = lambda c: (c[4] < CORRECTIONS) & jnp.any(c[1] > settled)
    endless = jnp.full(u[0].shape, jnp.inf, u[0].dtype)
    none = [[jnp.zeros_like(u[0])] * n] * n
    u, size, positive, held, _ = jax.lax.while_loop(going, step, (u, endless, endless > 0, none, jnp.int32(0)))
    found = (size <= settled) & positive & jnp.isfinite(sum(u))
    if layout.unknowns.eliminated:  # a slope that drives the voltage away: beyond the threshold
        found &= ~(held[0][0] < 0)
    return u, jnp.all(found, 0), held
