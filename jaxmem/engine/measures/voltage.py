"""Measures of the voltage alone: extremes, means, the end, the drift at rest."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.engine.measures.base import Average, Measure, Plan, Result, StepView, Windowed, wide


class MinimumV(Measure):
    unit, description = "mV", "lowest voltage at the end of a step"

    def init(self, v: jax.Array) -> jax.Array:
        return v

    def update(self, fold: jax.Array, view: StepView) -> jax.Array:
        return jnp.minimum(fold, view.v_after)

    def result(self, fold: jax.Array, run: Result) -> np.ndarray:
        return wide(fold)


class MaximumV(Measure):
    unit, description = "mV", "highest voltage at the end of a step"

    def init(self, v: jax.Array) -> jax.Array:
        return v

    def update(self, fold: jax.Array, view: StepView) -> jax.Array:
        return jnp.maximum(fold, view.v_after)

    def result(self, fold: jax.Array, run: Result) -> np.ndarray:
        return wide(fold)


class MeanV(Windowed):
    """Mean voltage between two steps (the whole run unless told otherwise), by the trapezium rule."""

    unit, description = "mV", "mean voltage"
    stretch: str = eqx.field(static=True, default="run")

    def init(self, v: jax.Array) -> Average:
        return Average.empty(v)

    def update(self, fold: Average, view: StepView) -> Average:
        middle = 0.5 * ((view.v_before - fold.reference) + (view.v_after - fold.reference))
        return fold.plus(middle, self.inside(view.step))

    def result(self, fold: Average, run: Result) -> np.ndarray:
        return fold.number


class RestingPotential(MeanV):
    """Mean voltage over the last 20 ms before the stimulus, or of the run where there is none."""

    unit, description = "mV", "mean voltage over the last 20 ms before the stimulus"
    stretch: str = eqx.field(static=True, default="before")

    def span(self, plan: Plan) -> tuple[float, float]:
        first, last = super().span(plan)
        return max(first, last - 20.0), last


class FinalV(Measure):
    unit, description = "mV", "voltage at the end"

    def init(self, v: jax.Array) -> jax.Array:
        return v

    def update(self, fold: jax.Array, view: StepView) -> jax.Array:
        return view.v_after

    def result(self, fold: jax.Array, run: Result) -> np.ndarray:
        return wide(fold)


class Drift(Windowed):
    """How fast the voltage moves before the stimulus (or in the whole run): end minus start, per minute."""

    unit, description = "mV/min", "drift of the voltage before the stimulus"
    stretch: str = eqx.field(static=True, default="before")

    def init(self, v: jax.Array) -> jax.Array:
        return jnp.zeros_like(v)

    def update(self, fold: jax.Array, view: StepView) -> jax.Array:
        # the change in each step, small and with its remainder, so that float32 sees microvolts at -70 mV
        change = (view.v_after - view.v_before) + (view.v_after_low - view.v_before_low)
        return fold + jnp.where(self.inside(view.step), change, 0)

    def result(self, fold: jax.Array, run: Result) -> np.ndarray:
        first, last = self.span(run.plan)
        minutes = (last - first) / 60e3
        return wide(fold) / minutes if minutes > 0 else np.full(np.shape(fold), np.nan)
