"""Targets through time: what is measured in simulations, and its derivatives, as rows of a fit."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.analysis.fitting.derivatives import derivative_mode, jacobian_columns
from jaxmem.analysis.fitting.problem import Layout, Numbers, Row, Vector, fitted_membrane, in_conditions
from jaxmem.analysis.fitting.trials import observed
from jaxmem.analysis.resting import rest_at


def rows_of(layout: Layout, trial: int | None) -> list[int]:
    """The rows that are measured in this trial, or at rest."""
    return [i for i, row in enumerate(layout.rows) if row.trial == trial]


def seen(layout: Layout, numbers: Numbers, trial: int, y: Vector, u: Vector, checkpoint: bool = True) -> jax.Array:
    """(rows, members): the rows of a trial, from one simulation in all its conditions at once; of one member (rows,)."""
    rows = [layout.rows[i] for i in rows_of(layout, trial)]
    conditions = list(dict.fromkeys(row.condition for row in rows))
    chosen = lambda x: x[np.array(conditions)] if np.ndim(x) == u[0].ndim else x
    everywhere = in_conditions(fitted_membrane(layout, numbers, y), numbers, u[0])
    rest = jax.tree.map(chosen, rest_at(everywhere, layout.unknowns, u).state)
    wanted: tuple[Any, ...] = tuple(dict.fromkeys(row.of for row in rows))
    found = observed(jax.tree.map(chosen, everywhere), numbers.trials[trial], wanted, rest, checkpoint)
    values = dict(zip(wanted, found.values, strict=True))
    shape = (len(conditions), *u[0].shape[1:])

    def number(row: Row) -> jax.Array:
        x = values[row.of] if row.sample is None else values[row.of][row.sample]
        return jnp.broadcast_to(x, shape)[conditions.index(row.condition)].astype(u[0].dtype)

    return jnp.stack([number(row) for row in rows])


def seen_with_slopes(
    layout: Layout, numbers: Numbers, trial: int, y: Vector, u: Vector, ways: tuple[Vector, ...]
) -> tuple[jax.Array, jax.Array]:
    """:func:`seen` and its derivatives (rows, coordinates, members); the rest ``u`` goes along by ``ways``."""
    mode = derivative_mode(len(y), len(rows_of(layout, trial)))

    def along(s: jax.Array) -> jax.Array:
        there = tuple(x + s[j] for j, x in enumerate(y))
        rest = tuple(x + sum(s[j] * way[i] for j, way in enumerate(ways)) for i, x in enumerate(u))
        return seen(layout, numbers, trial, there, rest, checkpoint=mode == "reverse")

    return jacobian_columns(along, jnp.zeros((len(y), *y[0].shape), y[0].dtype), mode)


def modes_in_words(layout: Layout) -> str:
    """How derivatives through time are taken, and why."""
    trials = sorted({row.trial for row in layout.rows if row.trial is not None})
    counts = [len(rows_of(layout, t)) for t in trials]
    k = layout.coordinates
    return "; ".join(f"{derivative_mode(k, n)}, {k} parameters to {n} numbers of a trial" for n in counts)
