"""From one time to another, counted in steps; and what stimuli that begin and end have in common."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from jaxmem.membrane.mechanism import parameter
from jaxmem.rig.timecourse import edge


class Extent(eqx.Module):
    """A stretch of time on the grid: whole steps and fractions of one, made in float64 on the host."""

    on: Any = parameter("1", "step in which it begins")
    on_fraction: Any = parameter("1", "part of that step before it begins")
    off: Any = parameter("1", "step in which it ends")
    off_fraction: Any = parameter("1", "part of that step before it ends")

    @classmethod
    def of(cls, start: ArrayLike, stop: ArrayLike, dt: float) -> "Extent":
        return cls(*edge(start, dt), *edge(stop, dt))

    def within(self, step: jax.Array, dtype: Any) -> tuple[jax.Array, jax.Array]:
        """Where in this step it begins and where it ends, both from 0 to 1: equal where it has no part in the step."""
        begin, end = place(self.on, self.on_fraction, step, dtype), place(self.off, self.off_fraction, step, dtype)
        return begin, jnp.maximum(begin, end)


def place(whole: Any, fraction: Any, step: jax.Array, dtype: Any) -> jax.Array:
    """Where in this step a time lies, from 0 (its beginning, or before) to 1 (its end, or after)."""
    return jnp.clip(jnp.clip(whole - step, -2, 2).astype(dtype) + jnp.asarray(fraction, dtype), 0, 1)


def earliest(time: ArrayLike) -> float:
    return float(np.min(np.asarray(time)))


def latest(time: ArrayLike) -> float | None:
    """The last of these times; None where it never comes."""
    last = float(np.max(np.asarray(time)))
    return last if np.isfinite(last) else None


def shown(on: ArrayLike, t: ArrayLike, off: ArrayLike, value: ArrayLike) -> jax.Array:
    """A value from one time to another, else 0."""
    return jnp.where((t >= on) & (t < off), value, 0.0)
