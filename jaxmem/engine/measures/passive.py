"""Measures of the answer to a current step below threshold: base, steady state, sag, input resistance, time constant.

The base is the mean of the samples in the last tenth of the time before the stimulus, its onset included; the steady
state that of the samples in the last tenth of the stimulus, its end excluded. Both are eFEL's where the run starts at 0.
With ``window`` another stretch than the stimulus counts as the step.
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.engine.measures.base import Average, Measure, Plan, Result, Samples, StepView, Total, filled, wide
from jaxmem.membrane.mechanism import parameter


def base_samples(plan: Plan) -> Samples:
    """The last tenth of the time before the stimulus."""
    start, stop = plan.before
    return Samples(plan.sample(start + 0.9 * (stop - start)), plan.step(stop) + 1, plan.step(plan.start))


def steady_samples(plan: Plan) -> Samples:
    """The last tenth of the stimulus."""
    start, stop = plan.during
    return Samples(plan.sample(stop - 0.1 * (stop - start)), plan.sample(stop), plan.step(plan.start))


class _OfStep(Measure):
    """Base of measures of a current step: the stimulus, or what ``window`` (start and stop, ms) says is the step."""

    window: tuple[Any, Any] | None = parameter("ms", "start and stop of the step", default=None)

    def seen(self, plan: Plan) -> Plan:
        """The run with this step for its stimulus."""
        return plan if self.window is None else plan._replace(onset=float(self.window[0]), offset=float(self.window[1]))


class _Mean(_OfStep):
    """Base of a mean over samples."""

    samples: Samples = filled(Samples)

    def init(self, v: jax.Array) -> Average:
        return self.samples.begin(v)

    def update(self, fold: Average, view: StepView) -> Average:
        return self.samples.add(fold, view)

    def result(self, fold: Average, run: Result) -> np.ndarray:
        return fold.number


class VoltageBase(_Mean):
    """Mean voltage in the last tenth of the time before the stimulus."""

    unit, description = "mV", "mean voltage in the last tenth before the stimulus"

    def on_grid(self, plan: Plan) -> "VoltageBase":
        return dataclasses.replace(self, samples=base_samples(self.seen(plan)))


class SteadyVoltage(_Mean):
    """Mean voltage in the last tenth of the stimulus."""

    unit, description = "mV", "mean voltage in the last tenth of the stimulus"

    def on_grid(self, plan: Plan) -> "SteadyVoltage":
        return dataclasses.replace(self, samples=steady_samples(self.seen(plan)))


class Answer(eqx.Module):
    """Base, steady state and lowest voltage of an answer to a step; charge (nC/cm^2) in the first two."""

    base: Average
    steady: Average
    lowest: jax.Array | None
    base_charge: Total | None
    steady_charge: Total | None

    @property
    def deflection(self) -> np.ndarray:
        return self.steady.number - self.base.number


class _Step(_OfStep):
    """Base of what compares the steady state in a step with the base before it."""

    base: Samples = filled(Samples)
    steady: Samples = filled(Samples)
    onset: Any = filled()

    def on_grid(self, plan: Plan) -> "_Step":
        plan = self.seen(plan)
        onset = plan.sample(plan.during[0])
        return dataclasses.replace(self, base=base_samples(plan), steady=steady_samples(plan), onset=onset)

    def init(self, v: jax.Array) -> Answer:
        here = jnp.asarray((self.onset <= self.base.first) & (self.base.first < self.steady.stop))
        lowest = jnp.where(jnp.broadcast_to(here, v.shape), v, jnp.inf)
        return Answer(self.base.begin(v), self.steady.begin(v), lowest, None, None)

    def update(self, fold: Answer, view: StepView) -> Answer:
        assert fold.lowest is not None, "init makes it"
        inside = (view.step + 1 >= self.onset) & (view.step + 1 < self.steady.stop)
        lowest = jnp.where(inside, jnp.minimum(fold.lowest, view.v_after), fold.lowest)
        return Answer(self.base.add(fold.base, view), self.steady.add(fold.steady, view), lowest, None, None)


class SagAmplitude(_Step):
    """Steady state minus the lowest voltage of a hyperpolarising step; NaN where the step depolarises."""

    unit, description = "mV", "sag: steady state less the lowest voltage in the stimulus"

    def result(self, fold: Answer, run: Result) -> np.ndarray:
        return np.where(fold.deflection <= 0, fold.steady.number - wide(fold.lowest), np.nan)


class SagRatio(_Step):
    """Sag over the largest deflection: 0 for a membrane without, 1 for one that returns to rest."""

    unit, description = "1", "sag over the largest deflection in the stimulus"

    def result(self, fold: Answer, run: Result) -> np.ndarray:
        lowest, base = wide(fold.lowest), fold.base.number
        largest = np.where((fold.deflection <= 0) & (base > lowest), base - lowest, np.nan)
        return (fold.steady.number - lowest) / largest


class VoltageDeflection(_Mean):
    """eFEL's voltage_deflection: the mean of five samples, ten to five before the first that is later than the stimulus,
    less the mean of all before the stimulus. It depends on dt."""

    unit, description = "mV", "voltage near the end of the stimulus less the mean before it"
    base: Samples = filled(Samples)

    def on_grid(self, plan: Plan) -> "VoltageDeflection":
        plan = self.seen(plan)
        (start, onset), first = plan.before, plan.step(plan.start)
        end = int(plan.step(plan.during[1])) + 1
        return dataclasses.replace(
            self, base=Samples(plan.step(start), plan.sample(onset), first),
            samples=Samples(np.int32(end - 10), np.int32(end - 5), first),
        )  # fmt: skip

    def init(self, v: jax.Array) -> tuple[Average, Average]:
        return self.base.begin(v), self.samples.begin(v)

    def update(self, fold: tuple[Average, Average], view: StepView) -> tuple[Average, Average]:
        return self.base.add(fold[0], view), self.samples.add(fold[1], view)

    def result(self, fold: tuple[Average, Average], run: Result) -> np.ndarray:
        return fold[1].number - fold[0].number


class InputResistance(_Step):
    """Deflection of the voltage over the current that causes it, of the whole cell: ``(steady - base)/(I_steady - I_base)``.

    The current is the electrode's, mean over the same two stretches, times the area; with ``current`` (pA) it is that
    number instead, so that a voltage trace is enough. NaN where no current flows.
    """

    unit, description = "MOhm", "input resistance, from the steady state in the stimulus"
    current: float | None = parameter("pA", "current step into the cell; measured if it is not given", default=None)

    def init(self, v: jax.Array) -> Answer:
        none = Total.zero(v) if self.current is None else None
        return Answer(self.base.begin(v), self.steady.begin(v), None, none, none)

    def update(self, fold: Answer, view: StepView) -> Answer:
        base, steady = self.base.add(fold.base, view), self.steady.add(fold.steady, view)
        if fold.base_charge is None or fold.steady_charge is None:
            return Answer(base, steady, None, None, None)
        charge, step = view.charge("electrode"), view.step
        before = fold.base_charge.plus(charge, (step >= self.base.start) & (step < self.base.stop - 1))
        during = fold.steady_charge.plus(charge, (step >= self.steady.start) & (step < self.steady.stop))
        return Answer(base, steady, None, before, during)

    def result(self, fold: Answer, run: Result) -> np.ndarray:
        if self.current is not None or fold.base_charge is None or fold.steady_charge is None:
            picoampere = np.asarray(self.current, float)
        else:
            assert run.membrane is not None, "a trace has no flow"
            lengths = [(self.base.stop - 1 - self.base.start), (self.steady.stop - self.steady.start)]
            base, steady = (
                total.number / (max(int(n), 1) * run.plan.dt)
                for total, n in zip((fold.base_charge, fold.steady_charge), lengths, strict=True)
            )
            # uA/cm^2 times um^2 is 1e-2 pA
            picoampere = (steady - base) * np.asarray(run.membrane.geometry.area, float) * 1e-2
        return 1e3 * fold.deflection / np.where(picoampere != 0, picoampere, np.nan)  # mV/pA = GOhm


class Line(eqx.Module):
    """A straight line through points as they come: means, and sums of squares and products about them."""

    reference: jax.Array
    n: jax.Array
    x: jax.Array
    y: jax.Array
    xx: jax.Array
    xy: jax.Array


class TimeConstant(_OfStep):
    """Membrane time constant from the decay after the stimulus: log|v - v at its onset| falls as -t/tau.

    Least squares over the samples from ``after[0]`` (included) to ``after[1]`` ms after the stimulus' end; as eFEL's
    decay_time_constant_after_stim. Of a step below threshold; NaN where the voltage returns to that at onset exactly.
    """

    unit, description = "ms", "time constant of the decay after the stimulus"
    after: tuple[Any, Any] = parameter("ms", "stretch after the stimulus' end that is fitted", default=(1.0, 10.0))
    samples: Samples = filled(Samples)
    onset: Any = filled()

    def on_grid(self, plan: Plan) -> "TimeConstant":
        plan = self.seen(plan)
        start, stop = (plan.sample(plan.during[1] + float(x)) for x in self.after)
        samples = Samples(start, stop, plan.step(plan.start))
        return dataclasses.replace(self, samples=samples, onset=plan.sample(plan.during[0]))

    def init(self, v: jax.Array) -> Line:
        zero = jnp.zeros_like(v)
        return Line(v, zero, zero, zero, zero, zero)

    def update(self, fold: Line, view: StepView) -> Line:
        here = self.samples.has(view.step)
        n = fold.n + jnp.where(here, 1, 0).astype(fold.n.dtype)
        x = (view.step + 1 - self.samples.start).astype(fold.x.dtype) * view.dt
        y = jnp.log(jnp.where(here, jnp.abs(view.v_after - fold.reference), 1.0))
        dx, dy = jnp.where(here, x - fold.x, 0), jnp.where(here, y - fold.y, 0)
        mean = fold.x + dx / jnp.maximum(n, 1)
        rest = jnp.where(here, x - mean, 0)
        reference = jnp.where(view.step + 1 == self.onset, view.v_after, fold.reference)
        height = fold.y + dy / jnp.maximum(n, 1)
        return Line(reference, n, mean, height, fold.xx + dx * rest, fold.xy + rest * dy)

    def result(self, fold: Line, run: Result) -> np.ndarray:
        xx, xy = wide(fold.xx), wide(fold.xy)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where((wide(fold.n) > 1) & np.isfinite(xy) & (xy != 0), np.abs(xx / xy), np.nan)
