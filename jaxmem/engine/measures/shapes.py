"""Measures of the shape of spikes: peak, amplitude, threshold, width, afterhyperpolarisation.

Voltages are those of samples (the ends of steps), as in eFEL. A spike begins where its slope, taken over two steps, rises
to ``slope`` (mV/ms) for the last time before the peak and stays there for three samples: at 10 mV/ms and three samples
eFEL's AP_begin_indices. One without such a beginning has no amplitude, threshold or width.
"""

import abc
import dataclasses
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.engine.measures.base import Average, Plan, Result, Samples, StepView, Windowed, filled, wide
from jaxmem.engine.measures.detect import Gathered, Peak, at_least_one, follow
from jaxmem.engine.measures.passive import base_samples
from jaxmem.membrane.mechanism import parameter

HELD = 3  # samples for which the slope stays at a spike's beginning


class Beginning(eqx.Module):
    """The latest beginning of a spike: its voltage, its sample, whether there is one; and what finds it."""

    v: jax.Array
    sample: jax.Array
    there: jax.Array
    rising: jax.Array
    earlier: jax.Array
    earliest: jax.Array

    @classmethod
    def none(cls, v: jax.Array) -> "Beginning":
        zero = jnp.zeros(v.shape, jnp.int32)
        return cls(v, zero, jnp.zeros(v.shape, bool), zero, v, v)

    def after(self, view: StepView, slope: Any, peak: Peak) -> "Beginning":
        """One step on: the slope at the step's start is known now."""
        steep = (view.v_after - self.earlier) >= 2 * slope * view.dt
        rising = jnp.where(steep, self.rising + 1, 0)
        found = (rising == HELD) & (~peak.above | (view.step <= peak.sample))
        return Beginning(
            jnp.where(found, self.earliest, self.v), jnp.where(found, view.step + (1 - HELD), self.sample),
            self.there | found, rising, view.v_before, self.earlier,
        )  # fmt: skip

    def used(self, where: jax.Array) -> "Beginning":
        return eqx.tree_at(lambda b: b.there, self, self.there & ~where)


class Shape(Windowed):
    """Base of measures of each spike (a peak above ``threshold``, in mV) whose peak lies in the stretch.

    ``of`` says what is told of them: their "mean", the "first", the "last", or "each" of the first ``count``, which makes
    an array (count, cells), NaN where there are fewer.
    """

    unit: ClassVar[str] = "mV"
    threshold: float = parameter("mV", "a spike crosses it upwards", default=0.0)
    of: str = eqx.field(static=True, default="mean")
    count: int = eqx.field(static=True, default=20)
    stretch: str = eqx.field(static=True, default="after")

    def __check_init__(self) -> None:
        if self.of not in ("mean", "first", "last", "each"):
            raise ValueError(f"of spikes there is told the 'mean', 'first', 'last' or 'each'; found {self.of!r}")
        at_least_one("count", self.count)

    def none(self, v: jax.Array) -> Gathered:
        return Gathered.none(v, self.of, self.count)


class SpikePeak(Shape):
    """Highest voltage of the spikes."""

    description = "peak voltage of the spikes"

    def init(self, v: jax.Array) -> tuple[Peak, Gathered]:
        return Peak.none(v), self.none(v)

    def update(self, fold: tuple[Peak, Gathered], view: StepView) -> tuple[Peak, Gathered]:
        peak, turn = follow(fold[0], view, self.threshold)
        return peak, fold[1].plus(peak.v, turn.down & self.holds(peak.sample), self.of)

    def kept(self, fold: Any) -> Gathered:
        return fold[1]

    def result(self, fold: Gathered, run: Result) -> np.ndarray:
        return fold.answer(self.of)


class _Begun(Shape):
    """Base of what compares a spike's peak with its beginning, once it is over."""

    slope: float = parameter("mV/ms", "slope at which a spike begins", default=10.0)

    @abc.abstractmethod
    def told(self, peak: Peak, beginning: Beginning) -> jax.Array:
        """What there is to tell of a spike from its beginning to its peak."""

    def init(self, v: jax.Array) -> tuple[Peak, Beginning, Gathered]:
        return Peak.none(v), Beginning.none(v), self.none(v)

    def update(self, fold: tuple[Peak, Beginning, Gathered], view: StepView) -> tuple[Peak, Beginning, Gathered]:
        peak, turn = follow(fold[0], view, self.threshold)
        beginning = fold[1].after(view, self.slope, peak)
        counts = turn.down & beginning.there & self.holds(peak.sample)
        return peak, beginning.used(turn.down), fold[2].plus(self.told(peak, beginning), counts, self.of)

    def kept(self, fold: Any) -> Gathered:
        return fold[2]

    def result(self, fold: Gathered, run: Result) -> np.ndarray:
        return fold.answer(self.of)


class SpikeAmplitude(_Begun):
    """Peak minus the voltage at which the spike begins."""

    description = "amplitude of the spikes, from where they begin to their peak"

    def told(self, peak: Peak, beginning: Beginning) -> jax.Array:
        return peak.v - beginning.v


class SpikeThreshold(_Begun):
    """Voltage at which the spikes begin."""

    description = "voltage at which the spikes begin, by their slope"

    def told(self, peak: Peak, beginning: Beginning) -> jax.Array:
        return beginning.v


class Rising(eqx.Module):
    """The spike so far, the last samples of v (a ring: sample i in row i modulo its length), and what waits to be told."""

    peak: Peak
    beginning: Beginning
    ring: jax.Array
    width: jax.Array
    fallen: jax.Array
    over: jax.Array
    found: Gathered


class SpikeWidth(Shape):
    """Width at half height, half-way from where the spike begins to its peak, both flanks interpolated linearly.

    ``nearest`` takes the sample nearest to half height on either flank instead, which is eFEL's AP_duration_half_width. The
    last ``reach`` ms are kept in mind to find the rising flank; a spike that takes longer from beginning to half height
    has no width. The search at each spike costs in proportion to ``reach/dt`` (measured: at 80 Hz, in float32 on a CPU, a
    run takes four times as long). eFEL's spike_half_width takes half height from the minimum that follows, which is not
    known on the way.
    """

    unit, description = "ms", "width of the spikes at half height"
    slope: float = parameter("mV/ms", "slope at which a spike begins", default=10.0)
    reach: float = eqx.field(static=True, default=3.0)
    nearest: bool = eqx.field(static=True, default=False)
    rows: int = filled(static=True)

    def on_grid(self, plan: Plan) -> "SpikeWidth":
        return dataclasses.replace(super().on_grid(plan), rows=int(np.ceil(self.reach / plan.dt)) + 2)

    def init(self, v: jax.Array) -> Rising:
        no = jnp.zeros(v.shape, bool)
        ring = jnp.broadcast_to(v, (self.rows, *v.shape))
        return Rising(Peak.none(v), Beginning.none(v), ring, jnp.zeros_like(v), no, no, self.none(v))

    def update(self, fold: Rising, view: StepView) -> Rising:
        peak, turn = follow(fold.peak, view, self.threshold)
        beginning = fold.beginning.after(view, self.slope, peak)
        ring = jax.lax.dynamic_update_index_in_dim(fold.ring, view.v_after, (view.step + 1) % self.rows, 0)
        # a higher peak starts it anew; a spike is told when it is over and has fallen to half its height
        fresh, over = turn.higher, (fold.over & ~turn.up) | turn.down
        fallen, half = fold.fallen & ~fresh, 0.5 * (peak.v + beginning.v)
        falls = (peak.above | over) & ~fallen & ~fresh & beginning.there & (view.v_after <= half)
        width = jax.lax.cond(
            jnp.any(falls),
            lambda: jnp.where(falls, self._width(ring, view, peak, beginning, half), fold.width),
            lambda: fold.width,
        )
        fallen |= falls
        told = over & fallen
        found = fold.found.plus(width, told & self.holds(peak.sample) & jnp.isfinite(width), self.of)
        return Rising(peak, beginning.used(told), ring, width, fallen & ~told, over & ~told, found)

    def _width(self, ring: jax.Array, view: StepView, peak: Peak, beginning: Beginning, half: jax.Array) -> jax.Array:
        """Where v passed half height, now and on its way up, in ms; NaN where the beginning is out of reach."""
        now, dt = view.step + 1, view.dt
        row = jnp.arange(self.rows).reshape(-1, *[1] * half.ndim)
        sample = now - (now - row) % self.rows  # that each row holds
        at = lambda i: jnp.sum(jnp.where(sample == i, ring, 0), 0)
        flank = (sample >= beginning.sample) & (sample < peak.sample)
        if self.nearest:
            away = jnp.where(flank, jnp.abs(ring - half), jnp.inf)
            rise = jnp.min(jnp.where(away == jnp.min(away, 0), sample, now), 0)
            fall = jnp.where(view.v_before - half <= half - view.v_after, view.step, now)
            width = (fall - rise).astype(half.dtype) * dt
        else:
            reached = (sample > beginning.sample) & (sample <= peak.sample) & (ring >= half)
            rise = jnp.min(jnp.where(reached, sample, now), 0)
            v0, v1 = at(rise - 1), at(rise)
            up = (half - v0) / jnp.where(v1 == v0, 1, v1 - v0)
            drop = view.v_before - view.v_after
            down = (view.v_before - half) / jnp.where(drop == 0, 1, drop)
            width = ((view.step - (rise - 1)).astype(half.dtype) + (down - up)) * dt
        return jnp.where(now - beginning.sample < self.rows - 1, width, jnp.nan)

    def kept(self, fold: Any) -> Gathered:
        return fold.found

    def result(self, fold: Gathered, run: Result) -> np.ndarray:
        return fold.answer(self.of)


class Falling(eqx.Module):
    """The lowest voltage since the last peak and its sample; whether it may still sink, and whether it is still to be told."""

    peak: Peak
    v: jax.Array
    sample: jax.Array
    since: jax.Array
    sinking: jax.Array
    waiting: jax.Array
    base: Average
    found: Gathered


class Afterhyperpolarisation(Shape):
    """Lowest voltage after a spike, less the mean before the stimulus: its depth, negative below rest.

    The first minimum after the peak (two samples in a row that are not lower end the search), at the latest the next
    spike; one at the very last sample of the run is none. ``below``: "rest" (the mean over the last tenth of the time
    before the stimulus), "peak" (then the depth is positive, peak minus minimum), or "zero" for the voltage itself.
    """

    description = "depth of the minimum after the spikes"
    below: str = eqx.field(static=True, default="rest")
    resting: Samples = filled(Samples)

    def __check_init__(self) -> None:
        if self.below not in ("rest", "peak", "zero"):
            raise ValueError(f"an afterhyperpolarisation lies below 'rest', 'peak' or 'zero'; found {self.below!r}")

    def on_grid(self, plan: Plan) -> "Afterhyperpolarisation":
        return dataclasses.replace(super().on_grid(plan), resting=base_samples(plan))

    def init(self, v: jax.Array) -> Falling:
        no, zero = jnp.zeros(v.shape, bool), jnp.zeros(v.shape, jnp.int32)
        return Falling(Peak.none(v), v, zero, zero, no, no, self.resting.begin(v), self.none(v))

    def update(self, fold: Falling, view: StepView) -> Falling:
        peak, turn = follow(fold.peak, view, self.threshold)
        lower = turn.higher | (fold.sinking & (view.v_after < fold.v))
        since = jnp.where(lower, 0, fold.since + 1)
        sinking = turn.higher | (fold.sinking & (since < 2))
        # told when it is certain and the spike is over, or as far as it got when the next spike begins
        told = fold.waiting & (turn.up | (~peak.above & ~sinking))
        depth = fold.peak.v - fold.v if self.below == "peak" else fold.v
        found = fold.found.plus(depth, told & self.holds(fold.peak.sample), self.of)
        v, sample = jnp.where(lower, view.v_after, fold.v), jnp.where(lower, view.step + 1, fold.sample)
        waiting = turn.higher | (fold.waiting & ~told)
        return Falling(peak, v, sample, since, sinking, waiting, self.resting.add(fold.base, view), found)

    def result(self, fold: Falling, run: Result) -> np.ndarray:
        peak, v, sample = wide(fold.peak.v), wide(fold.v), np.asarray(fold.peak.sample)
        left = np.asarray(fold.waiting) & ~np.asarray(fold.peak.above) & (sample >= self.steps[0])
        left &= (sample <= self.steps[1]) & (np.asarray(fold.sample) != run.plan.step(run.plan.stop))
        found = fold.found.ending(peak - v if self.below == "peak" else v, left, self.of)
        return found - fold.base.number if self.below == "rest" else found
