"""Measures of the electrode's current, for current-voltage relations without traces: outward positive under a clamp.

Currents are means over steps (uA/cm^2); the steps that lie wholly in the stretch count. A step of the command charges the
capacitor, so let a window begin after the transient.
"""

import dataclasses
import math
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.engine.measures.base import BEYOND, Plan, Result, StepView, Total, Windowed, wide


class _Current(Windowed):
    """Base: the steps that lie in the stretch."""

    unit: ClassVar[str] = "uA/cm^2"

    def on_grid(self, plan: Plan) -> "_Current":
        start, stop = self.span(plan)
        last = np.int32(min(math.floor(stop / plan.dt + 1e-6), BEYOND))
        return dataclasses.replace(self, steps=(plan.sample(start), last))

    def init(self, v: jax.Array) -> Any:
        return jnp.full_like(v, jnp.nan)


class PeakInwardCurrent(_Current):
    """The most inward, that is lowest, current of the electrode."""

    description = "most inward current of the electrode"

    def update(self, fold: jax.Array, view: StepView) -> jax.Array:
        return jnp.where(self.inside(view.step), jnp.fmin(fold, view.charge("electrode") / view.dt), fold)

    def result(self, fold: jax.Array, run: Result) -> np.ndarray:
        return wide(fold)


class PeakOutwardCurrent(_Current):
    """The most outward, that is highest, current of the electrode."""

    description = "most outward current of the electrode"

    def update(self, fold: jax.Array, view: StepView) -> jax.Array:
        return jnp.where(self.inside(view.step), jnp.fmax(fold, view.charge("electrode") / view.dt), fold)

    def result(self, fold: jax.Array, run: Result) -> np.ndarray:
        return wide(fold)


class SteadyCurrent(_Current):
    """Mean current of the electrode over the last ``part`` of the stretch (a tenth)."""

    description = "current of the electrode at the end of the stretch"
    part: float = eqx.field(static=True, default=0.1)

    def on_grid(self, plan: Plan) -> "SteadyCurrent":
        start, stop = self.span(plan)
        first, last = plan.sample(stop - self.part * (stop - start)), plan.step(stop)
        return dataclasses.replace(self, steps=(np.int32(min(first, last - 1)), last))

    def init(self, v: jax.Array) -> tuple[Total, jax.Array]:
        return Total.zero(v), jnp.zeros(v.shape, jnp.int32)

    def update(self, fold: tuple[Total, jax.Array], view: StepView) -> tuple[Total, jax.Array]:
        here = self.inside(view.step)
        return fold[0].plus(view.charge("electrode"), here), fold[1] + jnp.where(here, 1, 0)

    def result(self, fold: tuple[Total, jax.Array], run: Result) -> np.ndarray:
        n = wide(fold[1])
        return fold[0].number / (np.where(n > 0, n, np.nan) * run.plan.dt)
