"""A number that changes in time: steps, straight lines, or steps low-passed by the exchange of a bath.

Times are kept as a whole step and a fraction of one, made in float64 on the host, so that means over steps are exact in
float32 after hours.
"""

import itertools
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from jaxmem.electrochemistry import exprel_inverse
from jaxmem.membrane.mechanism import Number, parameter

NEVER = 2**30  # a step that no run reaches: later edges are kept here, within int32
MOST_KNOTS = 64  # each is a line of code in the loop; longer ones are waveforms


class Knot(eqx.Module):
    """From ``time`` on (ms) the value is ``value``, in the unit of what changes; each a scalar or an array over cells."""

    time: Number = parameter("ms", "when")
    value: Number = parameter("1", "value from then on, in the unit of what changes")


class TimeCourse(eqx.Module):
    """Values from given times on; before the first one, whatever held before.

    ``interpolation`` "step" holds each value until the next time; "linear" draws straight lines from knot to knot (with a
    jump at the first). ``tau`` (ms) makes the steps of a bath that is exchanged: dy/dt = (value - y)/tau.
    """

    knots: tuple[Knot, ...]
    tau: Number | None = parameter("ms", "time constant of the exchange", default=None, positive=True)
    interpolation: Literal["step", "linear"] = eqx.field(static=True, default="step")

    def __init__(
        self, times: Any, values: Any, interpolation: Literal["step", "linear"] = "step", tau: Number | None = None
    ):
        """``times`` and ``values`` are sequences of one length, each entry a number or an array over cells.

        Raises ValueError for lengths that differ, times that do not increase, values that are infinite or no numbers,
        ``tau`` with straight lines.
        """
        times, values = list(times), list(values)
        if len(times) != len(values) or not times:
            raise ValueError(
                f"times and values go together, one at least; found {len(times)} times, {len(values)} values"
            )
        if len(times) > MOST_KNOTS:
            raise ValueError(f"{len(times)} times are more than {MOST_KNOTS}; give a long course as a Waveform")
        if interpolation not in ("step", "linear"):
            raise ValueError(f"interpolation is 'step' or 'linear', not {interpolation!r}")
        if tau is not None and interpolation == "linear":
            raise ValueError("tau is the exchange of a bath between steps; it does not go with linear interpolation")
        for a, b in itertools.pairwise(times):
            concrete = not isinstance(a, jax.core.Tracer) and not isinstance(b, jax.core.Tracer)
            if concrete and not np.all(np.asarray(a) < np.asarray(b)):
                raise ValueError(f"times must increase; found {np.max(a):g} ms and after it {np.min(b):g} ms")
        for x in values:
            if not isinstance(x, jax.core.Tracer) and not np.all(np.isfinite(np.asarray(x, float))):
                raise ValueError(f"values must be finite numbers; found {x!r}")
        self.knots = tuple(Knot(t, x) for t, x in zip(times, values, strict=True))
        self.tau, self.interpolation = tau, interpolation

    def on_grid(self, dt: float) -> "CourseOnGrid":
        lengths: list[Any] = [None] * len(self.knots)
        if self.interpolation == "linear":  # of the times as given: an edge beyond the counter's end is kept at its end
            lengths[:-1] = [(b.time - a.time) / dt for a, b in itertools.pairwise(self.knots)]
        return CourseOnGrid(
            tuple(KnotOnGrid(*edge(k.time, dt), k.value, n) for k, n in zip(self.knots, lengths, strict=True)),
            None if self.tau is None else self.tau / dt,
            self.interpolation,
        )

    @property
    def edges(self) -> list[ArrayLike]:
        """Times at which the value or its slope jumps, ms."""
        return [knot.time for knot in self.knots]

    def at(self, before: ArrayLike, t: ArrayLike) -> ArrayLike:
        """The value at t (ms), and at an edge the one after it."""

        def jump(knot: Knot) -> jax.Array:
            if self.tau is None:
                return jnp.where(t >= knot.time, 1.0, 0.0)
            return -jnp.expm1(-jnp.maximum(t - knot.time, 0) / self.tau)

        line = lambda a, b: jnp.clip((t - a.time) / (b.time - a.time), 0, 1)
        return _sum(self, before, jump, line)


class KnotOnGrid(eqx.Module):
    """A knot in steps: whole steps and a fraction of one; ``length`` steps from the next (of straight lines)."""

    on: Any = parameter("1", "step in which it begins")
    fraction: Any = parameter("1", "part of that step before it begins")
    value: Any = parameter("1", "value from then on")
    length: Any = parameter("1", "steps to the next", default=None)


class CourseOnGrid(eqx.Module):
    """A time course in steps; ``tau`` in steps too."""

    knots: tuple[KnotOnGrid, ...]
    tau: Any = parameter("1", "time constant in steps", default=None)
    interpolation: str = eqx.field(static=True, default="step")

    def mean(self, before: ArrayLike, first: ArrayLike, steps: ArrayLike, dtype: Any) -> jax.Array:
        """The mean from step ``first`` over so many ``steps``, where before the first knot it was ``before``."""
        width = jnp.asarray(steps, dtype)

        def since(knot: KnotOnGrid) -> jax.Array:
            """Steps from the beginning of the window to the knot."""
            return (knot.on - first).astype(dtype) + jnp.asarray(knot.fraction, dtype)

        def jump(knot: KnotOnGrid) -> jax.Array:
            """The mean over the window of what rises from 0 to 1 at the knot."""
            begin = jnp.clip(since(knot), 0, width)
            left = width - begin
            if self.tau is None:
                return left / width
            tau = jnp.asarray(self.tau, dtype)
            mean = 1 / exprel_inverse(-left / tau)  # (1 - exp(-z))/z
            return left / width * (1 - jnp.exp(-jnp.maximum(begin - since(knot), 0) / tau) * mean)

        def line(a: KnotOnGrid, b: KnotOnGrid) -> jax.Array:
            """The mean over the window of what rises from 0 at a to 1 at b."""
            start = since(a)
            low, high = jnp.clip(start, 0, width), jnp.clip(since(b), 0, width)
            rising = (high - low) * (0.5 * (low - start) + 0.5 * (high - start)) / jnp.asarray(a.length, dtype)
            return (rising + width - high) / width

        return _sum(self, before, jump, line)

    def level(self, before: ArrayLike, step: ArrayLike, dtype: Any, after: bool = True) -> jax.Array:
        """The value at the beginning of a step: after what happens at that very time, or just before it."""

        def elapsed(knot: KnotOnGrid) -> jax.Array:
            return (step - knot.on).astype(dtype) - jnp.asarray(knot.fraction, dtype)

        def jump(knot: KnotOnGrid) -> jax.Array:
            past = elapsed(knot) >= 0 if after else elapsed(knot) > 0
            if self.tau is None:
                return jnp.where(past, 1.0, 0.0).astype(dtype)
            return -jnp.expm1(-jnp.maximum(elapsed(knot), 0) / jnp.asarray(self.tau, dtype))

        def line(a: KnotOnGrid, b: KnotOnGrid) -> jax.Array:
            return jnp.clip(elapsed(a) / jnp.asarray(a.length, dtype), 0, 1)

        return _sum(self, before, jump, line)


def _sum(course: Any, before: ArrayLike, jump: Any, line: Any) -> Any:
    """What held before, and each value by its share of the time: shares of 0 and 1 give the values themselves.

    ``jump`` and ``line`` rise from 0 to 1 from one value to the next, one after the other.
    """
    way = [jump(course.knots[0])]
    for a, b in itertools.pairwise(course.knots):
        way.append(line(a, b) if course.interpolation == "linear" else jump(b))
    y = (1 - way[0]) * before
    for knot, here, there in zip(course.knots, way, [*way[1:], 0.0], strict=True):
        y = y + (here - there) * knot.value
    return y


def edge(time: ArrayLike, dt: float) -> tuple[Any, Any]:
    """A time as a whole step and the fraction of that step before it, in float64."""
    xp: Any = jnp if isinstance(time, jax.core.Tracer) else np
    cut = xp.clip(xp.asarray(time, float) / dt, -NEVER, NEVER)
    near = xp.round(cut)  # 100.0 ms at dt 0.025 ms is step 4000, not 3999.9999999999995
    on_grid = abs(cut - near) < xp.maximum(1e-9, 4 * np.finfo(cut.dtype).eps * abs(cut))
    whole = xp.where(on_grid, near, xp.floor(cut))
    over = cut - whole
    rounding = jax.lax.stop_gradient(over) if xp is jnp else over  # an edge on the grid can be moved, too
    return whole.astype(np.int32), xp.where(on_grid, over - rounding, over)
