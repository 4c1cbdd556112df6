"""How spikes are found on the way: upward through a threshold, timed by the crossing or by the peak.

A crossing is timed within its step by linear interpolation. A peak is the highest sample between an upward crossing and
the next downward one, timed at that sample: a spike that does not come down again is none. Both are what eFEL does, whose
spikes are peaks; a sample that lies on the threshold exactly counts as above it here.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from jaxmem.engine.measures.base import StepView, Windowed, wide
from jaxmem.membrane.mechanism import parameter


class Peak(eqx.Module):
    """Whether v is above threshold since an upward crossing, and the highest sample since: its voltage and number."""

    above: jax.Array
    v: jax.Array
    sample: jax.Array

    @classmethod
    def none(cls, v: jax.Array) -> "Peak":
        return cls(jnp.zeros(v.shape, bool), v, jnp.zeros(v.shape, jnp.int32))


class Turn(NamedTuple):
    """What a step did to a cell: crossed ``up``, rose ``higher`` than before in this spike, came ``down``."""

    up: jax.Array
    higher: jax.Array
    down: jax.Array


def follow(peak: Peak, view: StepView, threshold: ArrayLike) -> tuple[Peak, Turn]:
    """One step of a spike's rise and fall."""
    up = (view.v_before < threshold) & (view.v_after >= threshold)
    down = peak.above & (view.v_after < threshold)
    above = (peak.above | up) & ~down
    higher = up | (above & (view.v_after > peak.v))
    v = jnp.where(higher, view.v_after, peak.v)
    return Peak(above, v, jnp.where(higher, view.step + 1, peak.sample)), Turn(up, higher, down)


class Event(NamedTuple):
    """A spike in this step, if it ``happened``: at ``(step + part)*dt``, in two numbers so that float32 loses nothing."""

    happened: jax.Array
    step: jax.Array
    part: jax.Array


class Spikes(Windowed):
    """Base of measures of spikes: upward through ``threshold`` (mV), timed ``at`` their "crossing" or their "peak".

    Those count that lie in the stretch, by default from the stimulus' onset to the end of the run.
    """

    threshold: float = parameter("mV", "a spike crosses it upwards", default=0.0)
    at: str = eqx.field(static=True, default="crossing")
    stretch: str = eqx.field(static=True, default="after")

    def __check_init__(self) -> None:
        if self.at not in ("crossing", "peak"):
            raise ValueError(f"a spike is timed at its 'crossing' or its 'peak'; found {self.at!r}")

    def look(self, v: jax.Array) -> Peak | None:
        """What :meth:`find` carries."""
        return Peak.none(v) if self.at == "peak" else None

    def find(self, peak: Peak | None, view: StepView) -> tuple[Peak | None, Event]:
        """The spike of this step, of those in the stretch."""
        if peak is None:
            happened = (view.v_before < self.threshold) & (view.v_after >= self.threshold)
            rise = jnp.where(happened, view.v_after - view.v_before, 1.0)
            part = jnp.where(happened, (self.threshold - view.v_before) / rise, 0.0)
            return None, Event(happened & self.inside(view.step), view.step, part)
        peak, turn = follow(peak, view, self.threshold)
        return peak, Event(turn.down & self.holds(peak.sample), peak.sample, jnp.zeros_like(view.v_after))


class Gathered(eqx.Module):
    """How many numbers came, and what is kept of them: their mean, the first, the last, or each of the first so many."""

    count: jax.Array
    value: jax.Array

    @classmethod
    def none(cls, v: jax.Array, of: str, count: int) -> "Gathered":
        shape = (count, *v.shape) if of == "each" else v.shape
        return cls(jnp.zeros(v.shape, jnp.int32), jnp.full(shape, 0 if of == "mean" else jnp.nan, v.dtype))

    def plus(self, x: jax.Array, where: jax.Array, of: str) -> "Gathered":
        count = self.count + where.astype(jnp.int32)
        if of == "mean":
            step = (x - self.value) / jnp.maximum(count, 1).astype(x.dtype)
            return Gathered(count, self.value + jnp.where(where, step, 0))
        if of == "first":
            return Gathered(count, jnp.where(where & (self.count == 0), x, self.value))
        if of == "last":
            return Gathered(count, jnp.where(where, x, self.value))
        return Gathered(count, put(self.value, self.count, x, where))

    def answer(self, of: str) -> np.ndarray:
        """In float64, on the host."""
        value = wide(self.value)
        return np.where(np.asarray(self.count) > 0, value, np.nan) if of == "mean" else value

    def ending(self, x: np.ndarray, where: np.ndarray, of: str) -> np.ndarray:
        """The answer with one number more in some cells, found only when the run was over."""
        value, count = self.answer(of), np.asarray(self.count)
        if of == "mean":
            new = (np.where(count > 0, value, 0) * count + x) / (count + 1)
        elif of == "each":
            return np.where(where & (np.arange(len(value)).reshape(-1, *[1] * count.ndim) == count), x, value)
        else:
            new = np.where(count > 0, value, x) if of == "first" else x
        return np.where(where, new, value)


def put(rows: jax.Array, index: jax.Array, x: jax.Array, where: jax.Array) -> jax.Array:
    """``rows`` (entries, ..., cells) with x in row ``index`` of each cell that is meant and has the row."""
    number = jnp.arange(rows.shape[0]).reshape(-1, *[1] * index.ndim)
    # rare, so that the rows need not be looked through at every step
    return jax.lax.cond(
        jnp.any(where),
        lambda r: jnp.where(where & (number == index), x.astype(r.dtype), r),
        lambda r: r,
        rows,
    )


def at_least_one(name: str, number: int) -> None:
    """ValueError for what is no whole number of at least 1."""
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(f"{name} is a whole number of at least 1; found {number!r}")
