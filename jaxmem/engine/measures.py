"""Measures: numbers folded over a run on the device, so that a million cells need no stored trace.

A measure has three parts: ``init(v)`` makes what is carried (arrays shaped like v), ``update(fold, view)`` adds one step,
``result(fold, run)`` makes the answer on the host, in float64, NaN where there is none.
"""

import abc
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.membrane.membrane import Membrane
from jaxmem.units import FARADAY


class StepView(eqx.Module):
    """What a measure sees of a step from ``step*dt`` to ``(step + 1)*dt``: voltages (mV) with what rounding left out.

    ``flow`` is the charge that moved in it (nC/cm^2): outward per species, inward by "electrode".
    """

    v_before: jax.Array
    v_after: jax.Array
    v_before_low: jax.Array
    v_after_low: jax.Array
    spiked: jax.Array
    step: jax.Array
    dt: jax.Array
    flow: dict[str, jax.Array]


class Plan(NamedTuple):
    """The run a measure is for; times in ms, ``onset`` and ``offset`` of the stimulus (None where it has none)."""

    dt: float
    start: float
    stop: float
    onset: float | None
    offset: float | None

    def step(self, time: float) -> np.int32:
        return np.int32(round(time / self.dt))

    @property
    def before(self) -> tuple[float, float]:
        """The stretch before the stimulus; the whole run where there is none."""
        return self.start, self.stop if self.onset is None else min(max(self.onset, self.start), self.stop)

    @property
    def during(self) -> tuple[float, float]:
        """The stretch of the stimulus; the whole run where there is none."""
        first = self.start if self.onset is None else max(self.onset, self.start)
        return first, self.stop if self.offset is None else min(self.offset, self.stop)


class Result(NamedTuple):
    """The run as a measure sees it when it is over: books (nC/cm^2) and concentrations (mM), before and after."""

    membrane: Membrane
    plan: Plan
    book_change: dict[str, np.ndarray]
    concentrations_before: dict[str, np.ndarray]
    concentrations_after: dict[str, np.ndarray]


Values = np.ndarray | dict[str, np.ndarray]


class Measure(eqx.Module):
    """Base of all measures. ``unit`` and ``description`` name what ``result`` returns."""

    unit: ClassVar[str] = "1"
    description: ClassVar[str] = ""

    def on_grid(self, plan: Plan) -> "Measure":
        """The same measure for this run's steps."""
        return self

    def init(self, v: jax.Array) -> Any:
        return ()

    def update(self, fold: Any, view: StepView) -> Any:
        return fold

    @abc.abstractmethod
    def result(self, fold: Any, run: Result) -> Values:
        """The answer over cells, or several by name, from what was folded and from the run's books."""


class MinimumV(Measure):
    unit, description = "mV", "lowest voltage at the end of a step"

    def init(self, v: jax.Array) -> jax.Array:
        return v

    def update(self, fold: jax.Array, view: StepView) -> jax.Array:
        return jnp.minimum(fold, view.v_after)

    def result(self, fold: jax.Array, run: Result) -> np.ndarray:
        return np.asarray(fold, float)


class MaximumV(Measure):
    unit, description = "mV", "highest voltage at the end of a step"

    def init(self, v: jax.Array) -> jax.Array:
        return v

    def update(self, fold: jax.Array, view: StepView) -> jax.Array:
        return jnp.maximum(fold, view.v_after)

    def result(self, fold: jax.Array, run: Result) -> np.ndarray:
        return np.asarray(fold, float)


class _Average(eqx.Module):
    """A compensated sum of deviations from the first voltage: in float32 a plain sum of 10^6 voltages loses 3 digits."""

    reference: jax.Array
    total: jax.Array
    low: jax.Array
    count: jax.Array


class MeanV(Measure):
    """Mean voltage between two steps (the whole run unless told otherwise), by the trapezium rule."""

    unit, description = "mV", "mean voltage"
    window: tuple[Any, Any] | None = None  # ms; None: the whole run
    steps: tuple[Any, Any] = (0, 0)

    def on_grid(self, plan: Plan) -> "MeanV":
        start, stop = self.span(plan)
        return eqx.tree_at(lambda m: m.steps, self, (plan.step(start), plan.step(stop)))

    def span(self, plan: Plan) -> tuple[float, float]:
        return (plan.start, plan.stop) if self.window is None else self.window

    def init(self, v: jax.Array) -> _Average:
        zero = jnp.zeros_like(v)
        return _Average(v, zero, zero, zero)

    def update(self, fold: _Average, view: StepView) -> _Average:
        inside = (view.step >= self.steps[0]) & (view.step < self.steps[1])
        middle = 0.5 * ((view.v_before - fold.reference) + (view.v_after - fold.reference))
        change = jnp.where(inside, middle, 0) + fold.low
        total = fold.total + change
        return _Average(
            fold.reference,
            total,
            change - (total - fold.total),
            fold.count + jnp.where(inside, 1, 0).astype(total.dtype),
        )

    def result(self, fold: _Average, run: Result) -> np.ndarray:
        reference, total, low, count = (
            np.asarray(x, float) for x in (fold.reference, fold.total, fold.low, fold.count)
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            return reference + (total + low) / np.where(count > 0, count, np.nan)


class RestingPotential(MeanV):
    """Mean voltage over the last 20 ms before the stimulus, or of the run where there is none."""

    unit, description = "mV", "mean voltage over the last 20 ms before the stimulus"

    def span(self, plan: Plan) -> tuple[float, float]:
        first, last = plan.before if self.window is None else self.window
        return max(first, last - 20.0), last


class FinalV(Measure):
    unit, description = "mV", "voltage at the end"

    def init(self, v: jax.Array) -> jax.Array:
        return v

    def update(self, fold: jax.Array, view: StepView) -> jax.Array:
        return view.v_after

    def result(self, fold: jax.Array, run: Result) -> np.ndarray:
        return np.asarray(fold, float)


class Drift(Measure):
    """How fast the voltage moves before the stimulus (or in the whole run): end minus start, per minute."""

    unit, description = "mV/min", "drift of the voltage before the stimulus"
    steps: tuple[Any, Any] = (0, 0)

    def on_grid(self, plan: Plan) -> "Drift":
        first, last = plan.before
        return eqx.tree_at(lambda m: m.steps, self, (plan.step(first), plan.step(last)))

    def init(self, v: jax.Array) -> jax.Array:
        return jnp.zeros_like(v)

    def update(self, fold: jax.Array, view: StepView) -> jax.Array:
        # the change in each step, small and with its remainder, so that float32 sees microvolts at -70 mV
        inside = (view.step >= self.steps[0]) & (view.step < self.steps[1])
        change = (view.v_after - view.v_before) + (view.v_after_low - view.v_before_low)
        return fold + jnp.where(inside, change, 0)

    def result(self, fold: jax.Array, run: Result) -> np.ndarray:
        first, last = run.plan.before
        minutes = (last - first) / 60e3
        return np.asarray(fold, float) / minutes if minutes > 0 else np.full(np.shape(fold), np.nan)


class SpikeCount(Measure):
    unit, description = "1", "upward crossings of 0 mV in the run"

    def init(self, v: jax.Array) -> jax.Array:
        return jnp.zeros(v.shape, jnp.int32)

    def update(self, fold: jax.Array, view: StepView) -> jax.Array:
        return fold + view.spiked.astype(jnp.int32)

    def result(self, fold: jax.Array, run: Result) -> np.ndarray:
        return np.asarray(fold, float)


class FiringRate(Measure):
    """Spikes during the stimulus over its duration (of the whole run where there is no stimulus)."""

    unit, description = "Hz", "spikes per second during the stimulus"
    steps: tuple[Any, Any] = (0, 0)

    def on_grid(self, plan: Plan) -> "FiringRate":
        first, last = plan.during
        return eqx.tree_at(lambda m: m.steps, self, (plan.step(first), plan.step(last)))

    def init(self, v: jax.Array) -> jax.Array:
        return jnp.zeros(v.shape, jnp.int32)

    def update(self, fold: jax.Array, view: StepView) -> jax.Array:
        inside = (view.step >= self.steps[0]) & (view.step < self.steps[1])
        return fold + (view.spiked & inside).astype(jnp.int32)

    def result(self, fold: jax.Array, run: Result) -> np.ndarray:
        first, last = run.plan.during
        return np.asarray(fold, float) / ((last - first) / 1e3) if last > first else np.full(np.shape(fold), np.nan)


class FirstSpikeTime(Measure):
    """When v first crosses 0 mV upwards, from t = 0, interpolated linearly within the step."""

    unit, description = "ms", "time of the first upward crossing of 0 mV"

    def init(self, v: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jnp.full(v.shape, -1, jnp.int32), jnp.zeros_like(v)

    def update(self, fold: tuple[jax.Array, jax.Array], view: StepView) -> tuple[jax.Array, jax.Array]:
        step, fraction = fold
        first = view.spiked & (step < 0)
        rise = jnp.where(view.spiked, view.v_after - view.v_before, 1.0)
        return jnp.where(first, view.step, step), jnp.where(first, -view.v_before / rise, fraction)

    def result(self, fold: tuple[jax.Array, jax.Array], run: Result) -> np.ndarray:
        step, fraction = (np.asarray(x, float) for x in fold)
        return np.where(step >= 0, (step + fraction) * run.plan.dt, np.nan)


class ConcentrationChange(Measure):
    """Change of every dynamic concentration over the run, from the book: exact in float32 too."""

    unit, description = "mM", "change of concentration over the run"

    def result(self, fold: Any, run: Result) -> dict[str, np.ndarray]:
        return {path: after - run.concentrations_before[path] for path, after in run.concentrations_after.items()}


class ATP(Measure):
    """ATP used per membrane area and second, the mean over the run: charge-equivalents of the species ``atp`` over F.

    Needs a membrane that counts ATP: a species ``atp`` and a pump that names it. 1 pmol/(cm^2 s) of a 3:2 pump is a net
    current of 0.0965 uA/cm^2.
    """

    unit, description = "pmol/(cm^2*s)", "ATP used, mean over the run"
    species: str = eqx.field(static=True, default="atp")

    def result(self, fold: Any, run: Result) -> np.ndarray:
        if self.species not in run.book_change:
            raise ValueError(f"the measure 'atp' needs a species {self.species!r}, which this membrane does not have")
        seconds = (run.plan.stop - run.plan.start) / 1e3
        return (
            run.book_change[self.species] / FARADAY * 1e3 / seconds
        )  # nC/cm^2 over F is 1e-9 mol/cm^2 = 1e3 pmol/cm^2


MEASURES: dict[str, type[Measure]] = {
    "minimum_v": MinimumV, "maximum_v": MaximumV, "mean_v": MeanV, "final_v": FinalV,
    "resting_potential": RestingPotential, "drift": Drift, "spike_count": SpikeCount, "firing_rate": FiringRate,
    "first_spike_time": FirstSpikeTime, "concentration_change": ConcentrationChange, "atp": ATP,
}  # fmt: skip
