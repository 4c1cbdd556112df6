"""Any optimiser of Optax, on every member by itself."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxmem.analysis.blocks import in_blocks
from jaxmem.analysis.fitting.method import FLAT, LOST, MET, SEARCHING, Improved, Method
from jaxmem.analysis.fitting.problem import Layout, Numbers, Vector
from jaxmem.analysis.fitting.residuals import evaluate, sum_of_squares, weighted, weighted_slopes

LEARNING_RATE = 0.05  # in units of the logit of a parameter's place between its bounds
INSIDE = 1e-6  # of the way between the bounds: where a start at a bound is moved to
TOLERANCE = {"float64": 1e-6, "float32": 1e-4}
ALONG = {"float64": 1e-6, "float32": 1e-4}


def is_optimiser(x: Any) -> bool:
    return isinstance(x, optax.GradientTransformation)


@dataclasses.dataclass(frozen=True)
class GradientDescent(Method):
    """Steps down the gradient by an optimiser of Optax: its name ("adam", "lbfgs", ...) or the optimiser itself.

    ``learning_rate`` is a number or one of Optax's schedules, for an optimiser given by name (None: 0.05; the line search
    of "lbfgs"). Bounds are kept by a transform: the optimiser walks along the logit of the place between them, each member
    with a state of its own. A member is done when every residual is below ``tolerance`` (standard deviations; None: 1e-6 in
    float64, 1e-4 in float32), at a minimum, or after ``steps``. Raises ValueError for an unknown name.
    """

    optimiser: Any = "adam"
    steps: int = 500
    learning_rate: Any = None
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps are at least 1; found {self.steps}")
        if not is_optimiser(self.optimiser):
            _optimiser(self.optimiser, self.learning_rate)
        elif self.learning_rate is not None:
            raise ValueError("an optimiser has its own learning rate: give one where the optimiser is a name")

    def improve(
        self, layout: Layout, numbers: Numbers, y: Vector, u: Vector, progress: Callable[[int], None]
    ) -> Improved:
        dtype, members = y[0].dtype, y[0].shape[-1]
        optimiser = self.optimiser if is_optimiser(self.optimiser) else _optimiser(self.optimiser, self.learning_rate)
        tolerance = dtype.type(TOLERANCE[str(dtype)] if self.tolerance is None else self.tolerance)
        given = (numbers, y, u, tolerance, np.int32(self.steps))
        found = in_blocks(_gone_down, given, members, layout, optimiser)
        progress(members)
        return found


@functools.lru_cache(maxsize=32)  # the same optimiser is the same program
def _optimiser(name: str, learning_rate: Any) -> Any:
    make = getattr(optax, name, None) if isinstance(name, str) and not name.startswith("_") else None
    rate = learning_rate if learning_rate is not None or name == "lbfgs" else LEARNING_RATE
    try:
        made = make(rate)  # type: ignore[misc]
        assert is_optimiser(made)
    except Exception:
        raise ValueError(
            f"there is no optimiser {name!r} that takes a learning rate; 'adam', 'lbfgs' and 'sgd' are some of Optax's, and an "
            "optimiser can be given as an object"
        ) from None
    return made


class _Walk(NamedTuple):
    z: jax.Array
    guess: Vector
    kept: jax.Array  # the last z whose rest was found, and the best
    u: Vector
    memory: Any
    best: tuple[jax.Array, jax.Array, Vector]
    outcome: jax.Array
    steps: jax.Array


def _gone_down(given: tuple[Numbers, Vector, Vector, jax.Array, jax.Array], layout: Layout, optimiser: Any) -> Improved:
    numbers, y, u, tolerance, steps = given
    mine = jax.tree.map(lambda x: -1 if jnp.ndim(x) else None, (numbers, y, u))
    walk = lambda numbers, y, u: _one(layout, optimiser, numbers, y, u, tolerance, steps)
    return jax.vmap(walk, in_axes=mine, out_axes=-1)(numbers, y, u)


def _one(
    layout: Layout, optimiser: Any, numbers: Numbers, y: Vector, u: Vector, tolerance: jax.Array, steps: jax.Array
) -> Improved:
    """One member."""
    optimiser = optax.with_extra_args_support(optimiser)
    dtype = y[0].dtype
    low, high = (jnp.stack([jnp.asarray(x, dtype) for x in ends]) for ends in (numbers.low, numbers.high))
    place = lambda z: low + (high - low) * jax.nn.sigmoid(z)

    def step(w: _Walk) -> _Walk:
        y = tuple(place(w.z))
        at = evaluate(layout, numbers, y, w.guess)
        rows = jnp.stack(weighted(layout, numbers, y, at.values))
        slopes = jnp.stack([jnp.stack(row) for row in weighted_slopes(layout, numbers, at.slopes, rows[0] * 0)])
        cost = jnp.sum(rows**2)
        slope = rows @ slopes
        part = jax.nn.sigmoid(w.z)
        gradient = 2 * slope * (high - low) * part * (1 - part)
        _, best, _ = w.best
        found = at.found & jnp.isfinite(cost)
        better = found & (cost < best)
        put = lambda new, old: jnp.where(better, new, old)
        length = jnp.sqrt(jnp.sum(slopes**2, 0) * cost)
        along = jnp.max(jnp.abs(slope) / jnp.where(length > 0, length, 1))
        news = jnp.where(jnp.max(jnp.abs(rows)) < tolerance, MET, jnp.where(along < ALONG[str(dtype)], FLAT, SEARCHING))
        value = lambda z: sum_of_squares(layout, numbers, tuple(place(z)), at.u)
        updates, memory = optimiser.update(gradient, w.memory, w.z, value=cost, grad=gradient, value_fn=value)
        # where the rest was lost, half of the way back
        z = jnp.where(found, w.z + updates, (w.z + w.kept) / 2)
        keep = lambda new, old: jnp.where(found, new, old)
        base, ways = jax.tree.map(keep, (w.z, at.u), (w.kept, w.u)), at.ways
        moved = place(z) - place(base[0])
        ahead = tuple(x + sum(way[i] * d for way, d in zip(ways, moved, strict=True)) for i, x in enumerate(at.u))
        guess = tuple(keep(a, b) for a, b in zip(ahead, base[1], strict=True))
        return _Walk(
            z, guess, base[0], base[1], jax.tree.map(keep, memory, w.memory),
            (put(place(w.z), w.best[0]), put(cost, best), jax.tree.map(put, at.u, w.best[2])),
            jnp.where(found, news, SEARCHING).astype(jnp.int32), w.steps + 1,
        )  # fmt: skip

    whole = (jnp.stack(y) - low) / (high - low)
    whole = jnp.clip(whole, INSIDE, 1 - INSIDE)
    z = jnp.log(whole) - jnp.log1p(-whole)
    start = _Walk(
        z, u, z, u, optimiser.init(z), (jnp.stack(y), jnp.asarray(jnp.inf, dtype), u), jnp.int32(0), jnp.int32(0)
    )
    w = jax.lax.while_loop(lambda w: (w.outcome == SEARCHING) & (w.steps < steps), step, start)
    outcome = jnp.where(jnp.isfinite(w.best[1]), w.outcome, LOST).astype(jnp.int32)
    return Improved(tuple(w.best[0]), w.best[2], outcome, w.steps)
