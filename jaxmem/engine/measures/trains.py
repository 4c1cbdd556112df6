"""Measures of when spikes come: count, rate, latency, times, interspike intervals, adaptation, bursts."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.engine.measures.base import Result, StepView, wide
from jaxmem.engine.measures.detect import Event, Peak, Spikes, at_least_one, put
from jaxmem.membrane.mechanism import parameter


class Counted(eqx.Module):
    """Spikes so far."""

    peak: Peak | None
    count: jax.Array


class _Counting(Spikes):
    """Base of what only needs the number of spikes."""

    def init(self, v: jax.Array) -> Counted:
        return Counted(self.look(v), jnp.zeros(v.shape, jnp.int32))

    def update(self, fold: Counted, view: StepView) -> Counted:
        peak, event = self.find(fold.peak, view)
        return Counted(peak, fold.count + event.happened.astype(jnp.int32))


class SpikeCount(_Counting):
    """Spikes in the whole run unless told otherwise."""

    unit, description = "1", "number of spikes"
    stretch: str = eqx.field(static=True, default="run")

    def result(self, fold: Counted, run: Result) -> np.ndarray:
        return wide(fold.count)


class FiringRate(_Counting):
    """Spikes during the stimulus over its duration (of the whole run where there is no stimulus)."""

    unit, description = "Hz", "spikes per second during the stimulus"
    stretch: str = eqx.field(static=True, default="during")

    def result(self, fold: Counted, run: Result) -> np.ndarray:
        first, last = self.span(run.plan)
        count = wide(fold.count)
        return count / ((last - first) / 1e3) if last > first else np.full(np.shape(count), np.nan)


class Marks(eqx.Module):
    """Spikes so far, the first and the last of them: ``(step + part)*dt`` is when they came."""

    peak: Peak | None
    count: jax.Array
    first_step: jax.Array
    first_part: jax.Array
    last_step: jax.Array
    last_part: jax.Array

    @classmethod
    def none(cls, peak: Peak | None, v: jax.Array) -> "Marks":
        steps, parts = jnp.zeros(v.shape, jnp.int32), jnp.zeros_like(v)
        return cls(peak, steps, steps, parts, steps, parts)

    def interval(self, event: Event, dt: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The interval (ms) that a spike ends, and whether it ends one."""
        since = (event.step - self.last_step).astype(event.part.dtype) + (event.part - self.last_part)
        return since * dt, event.happened & (self.count > 0)

    def after(self, peak: Peak | None, event: Event) -> "Marks":
        first, now = event.happened & (self.count == 0), event.happened
        return Marks(
            peak, self.count + now.astype(jnp.int32),
            jnp.where(first, event.step, self.first_step), jnp.where(first, event.part, self.first_part),
            jnp.where(now, event.step, self.last_step), jnp.where(now, event.part, self.last_part),
        )  # fmt: skip

    @property
    def number(self) -> np.ndarray:
        return np.asarray(self.count)

    def first(self, dt: float) -> np.ndarray:
        return np.where(self.number > 0, (wide(self.first_step) + wide(self.first_part)) * dt, np.nan)

    def last(self, dt: float) -> np.ndarray:
        return np.where(self.number > 0, (wide(self.last_step) + wide(self.last_part)) * dt, np.nan)


class _Timed(Spikes):
    """Base of what only needs the number of spikes, the first and the last."""

    def init(self, v: jax.Array) -> Marks:
        return Marks.none(self.look(v), v)

    def update(self, fold: Marks, view: StepView) -> Marks:
        peak, event = self.find(fold.peak, view)
        return fold.after(peak, event)


class FirstSpikeTime(_Timed):
    """When v first crosses the threshold upwards, from t = 0."""

    unit, description = "ms", "time of the first spike"
    stretch: str = eqx.field(static=True, default="run")

    def result(self, fold: Marks, run: Result) -> np.ndarray:
        return fold.first(run.plan.dt)


class Latency(_Timed):
    """From the stimulus' onset (of the run's start where there is none) to the first spike after it."""

    unit, description = "ms", "time from the stimulus' onset to the first spike"

    def result(self, fold: Marks, run: Result) -> np.ndarray:
        onset = run.plan.onset
        return fold.first(run.plan.dt) - (run.plan.start if onset is None else onset)


class MeanFrequency(_Timed):
    """Spikes during the stimulus over the time from its onset to the last of them: insensitive to silence at the end."""

    unit, description = "Hz", "spikes per second, from the stimulus' onset to the last spike in it"
    stretch: str = eqx.field(static=True, default="during")

    def result(self, fold: Marks, run: Result) -> np.ndarray:
        elapsed = fold.last(run.plan.dt) - self.span(run.plan)[0]
        return fold.number * 1e3 / np.where(elapsed > 0, elapsed, np.nan)


class InterspikeInterval(_Timed):
    """Mean interval between successive spikes; NaN below two of them."""

    unit, description = "ms", "mean interspike interval"

    def result(self, fold: Marks, run: Result) -> np.ndarray:
        n = fold.number
        return (fold.last(run.plan.dt) - fold.first(run.plan.dt)) / np.where(n > 1, n - 1.0, np.nan)


class FirstInterval(Spikes):
    """Interval between the first two spikes."""

    unit, description = "ms", "first interspike interval"

    def init(self, v: jax.Array) -> tuple[Marks, jax.Array]:
        return Marks.none(self.look(v), v), jnp.full_like(v, jnp.nan)

    def update(self, fold: tuple[Marks, jax.Array], view: StepView) -> tuple[Marks, jax.Array]:
        marks, found = fold
        peak, event = self.find(marks.peak, view)
        interval, ends = marks.interval(event, view.dt)
        return marks.after(peak, event), jnp.where(ends & (marks.count == 1), interval, found)

    def result(self, fold: tuple[Marks, jax.Array], run: Result) -> np.ndarray:
        return wide(fold[1])


class Spread(eqx.Module):
    """Running mean and squared deviations: B. P. Welford (1962), Technometrics 4:419, doi:10.1080/00401706.1962.10490022."""

    marks: Marks
    mean: jax.Array
    squares: jax.Array


class IntervalCV(Spikes):
    """Standard deviation (of a sample, n - 1) of the interspike intervals over their mean; the first ``skip`` are left out.

    NaN below two intervals.
    """

    unit, description = "1", "coefficient of variation of the interspike intervals"
    skip: int = eqx.field(static=True, default=0)

    def init(self, v: jax.Array) -> Spread:
        return Spread(Marks.none(self.look(v), v), jnp.zeros_like(v), jnp.zeros_like(v))

    def update(self, fold: Spread, view: StepView) -> Spread:
        peak, event = self.find(fold.marks.peak, view)
        interval, ends = fold.marks.interval(event, view.dt)
        n = fold.marks.count - self.skip
        ends &= n > 0
        away = jnp.where(ends, interval - fold.mean, 0)
        mean = fold.mean + away / jnp.maximum(n, 1).astype(away.dtype)
        squares = fold.squares + away * jnp.where(ends, interval - mean, 0)
        return Spread(fold.marks.after(peak, event), mean, squares)

    def result(self, fold: Spread, run: Result) -> np.ndarray:
        n = fold.marks.number - 1.0 - self.skip
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(n > 1, np.sqrt(wide(fold.squares) / (n - 1)) / wide(fold.mean), np.nan)


class Adapting(eqx.Module):
    """The last interval and the sum over pairs of intervals."""

    marks: Marks
    interval: jax.Array
    total: jax.Array


class Adaptation(Spikes):
    """Mean over successive intervals of (b - a)/(b + a): positive where firing slows down. The first ``skip`` spikes are
    left out; NaN below three more spikes than that."""

    unit, description = "1", "adaptation index of the interspike intervals"
    skip: int = eqx.field(static=True, default=1)

    def init(self, v: jax.Array) -> Adapting:
        return Adapting(Marks.none(self.look(v), v), jnp.ones_like(v), jnp.zeros_like(v))

    def update(self, fold: Adapting, view: StepView) -> Adapting:
        peak, event = self.find(fold.marks.peak, view)
        interval, ends = fold.marks.interval(event, view.dt)
        pair = ends & (fold.marks.count >= self.skip + 2)
        both = jnp.where(pair, interval + fold.interval, 1.0)
        total = fold.total + jnp.where(pair, (interval - fold.interval) / both, 0.0)
        return Adapting(fold.marks.after(peak, event), jnp.where(ends, interval, fold.interval), total)

    def result(self, fold: Adapting, run: Result) -> np.ndarray:
        pairs = fold.marks.number - self.skip - 2.0
        return wide(fold.total) / np.where(pairs > 0, pairs, np.nan)


class BurstCount(Spikes):
    """Bursts: at least ``least`` spikes, each within ``gap`` ms of the one before.

    The defaults (10 ms, 3 spikes) are a choice, not a finding. eFEL's ``burst_number`` and ``strict_burst_number`` compare
    each interval with the median of those before, which cannot be folded, and have no counterpart here.
    """

    unit, description = "1", "number of bursts"
    gap: float = parameter("ms", "longest interval within a burst", default=10.0, positive=True)
    least: int = eqx.field(static=True, default=3)

    def __check_init__(self) -> None:
        at_least_one("least", self.least)

    def init(self, v: jax.Array) -> tuple[Marks, jax.Array, jax.Array]:
        none = jnp.zeros(v.shape, jnp.int32)
        return Marks.none(self.look(v), v), none, none

    def update(self, fold: tuple[Marks, jax.Array, jax.Array], view: StepView) -> tuple[Marks, jax.Array, jax.Array]:
        marks, length, bursts = fold
        peak, event = self.find(marks.peak, view)
        interval, ends = marks.interval(event, view.dt)
        grown = jnp.where(ends & (interval <= self.gap), length + 1, 1)
        length = jnp.where(event.happened, grown, length)
        full = event.happened & (length == self.least)
        return marks.after(peak, event), length, bursts + full.astype(jnp.int32)

    def result(self, fold: tuple[Marks, jax.Array, jax.Array], run: Result) -> np.ndarray:
        return wide(fold[2])


class Times(eqx.Module):
    """Spikes so far and when the first of them came."""

    peak: Peak | None
    count: jax.Array
    step: jax.Array
    part: jax.Array


class SpikeTimes(Spikes):
    """Times (ms, from t = 0) of the first ``count`` spikes, in order: (count, cells), NaN where there are fewer.

    A cell takes 8 bytes (12 in float64) per spike of ``count``, fired or not.
    """

    unit, description = "ms", "times of the spikes"
    count: int = eqx.field(static=True, default=20)

    def __check_init__(self) -> None:
        at_least_one("count", self.count)

    def init(self, v: jax.Array) -> Times:
        rows = (self.count, *v.shape)
        return Times(
            self.look(v), jnp.zeros(v.shape, jnp.int32), jnp.full(rows, -1, jnp.int32), jnp.zeros(rows, v.dtype)
        )

    def update(self, fold: Times, view: StepView) -> Times:
        peak, event = self.find(fold.peak, view)
        step = put(fold.step, fold.count, jnp.broadcast_to(event.step, fold.count.shape), event.happened)
        part = put(fold.part, fold.count, event.part, event.happened)
        return Times(peak, fold.count + event.happened.astype(jnp.int32), step, part)

    def kept(self, fold: Times) -> Any:
        return fold.step, fold.part

    def result(self, fold: Any, run: Result) -> np.ndarray:
        step, part = wide(fold[0]), wide(fold[1])
        return np.where(step >= 0, (step + part) * run.plan.dt, np.nan)
