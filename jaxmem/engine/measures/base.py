"""What a measure is, what it sees of a step and of the run, and the stretch of time that it looks at."""

import abc
import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.membrane.mechanism import parameter
from jaxmem.membrane.membrane import Membrane

BEYOND = 2**30  # a step that no run reaches


GRID = "jaxmem_grid"  # metadata of fields that on_grid fills in


def filled(default: Any = 0, static: bool = False) -> Any:
    """A field that ``on_grid`` fills in, not the user."""
    how: dict[str, Any] = {"default_factory": default} if callable(default) else {"default": default}
    return eqx.field(static=static, metadata={GRID: True}, **how)


class StepView(eqx.Module):
    """What a measure sees of a step from ``step*dt`` to ``(step + 1)*dt``.

    Voltages (mV) with what rounding left out; ``flow``: charge moved in the step (nC/cm^2) per species, outward positive,
    and by the ``"electrode"``, inward positive, so that under a clamp its current is the membrane's, outward positive.
    """

    v_before: jax.Array
    v_after: jax.Array
    v_before_low: jax.Array
    v_after_low: jax.Array
    spiked: jax.Array
    step: jax.Array
    dt: jax.Array
    flow: Mapping[str, jax.Array] = eqx.field(default_factory=dict)

    def charge(self, name: str) -> jax.Array:
        """What ``name`` moved in this step; ValueError where nothing of that name flows."""
        if not self.flow:
            raise ValueError(
                f"this measure needs the charge moved by {name!r}, which a voltage trace does not tell; pass it to "
                "simulate(measures=...)"
            )
        if name not in self.flow:
            raise ValueError(f"nothing carries {name!r} through this membrane; there are {', '.join(self.flow)}")
        return self.flow[name]


class Plan(NamedTuple):
    """The run a measure is for; times in ms, ``onset`` and ``offset`` of the stimulus (None where it has none)."""

    dt: float
    start: float
    stop: float
    onset: float | None
    offset: float | None

    def step(self, time: float) -> np.int32:
        return np.int32(min(round(time / self.dt), BEYOND))

    def sample(self, time: float) -> np.int32:
        """The first sample at or after this time (sample i is the voltage at i*dt)."""
        return np.int32(min(math.ceil(time / self.dt - 1e-6), BEYOND))

    @property
    def before(self) -> tuple[float, float]:
        """The stretch before the stimulus; the whole run where there is none."""
        return self.start, self.stop if self.onset is None else min(max(self.onset, self.start), self.stop)

    @property
    def during(self) -> tuple[float, float]:
        """The stretch of the stimulus; the whole run where there is none."""
        first = self.start if self.onset is None else max(self.onset, self.start)
        return first, self.stop if self.offset is None else min(self.offset, self.stop)

    @property
    def after(self) -> tuple[float, float]:
        """From the stimulus' onset to the end of the run; the whole run where there is none."""
        return self.during[0], self.stop


class Result(NamedTuple):
    """The run as a measure sees it when it is over: books (nC/cm^2) and concentrations (mM), before and after.

    ``membrane`` is None for a recorded trace.
    """

    membrane: Membrane | None
    plan: Plan
    book_change: dict[str, np.ndarray]
    concentrations_before: dict[str, np.ndarray]
    concentrations_after: dict[str, np.ndarray]


Values = np.ndarray | dict[str, np.ndarray]


class Measure(eqx.Module):
    """Base of all measures. ``unit`` and ``description`` name what ``result`` returns.

    A measure has three parts: ``init(v)`` makes what is carried (arrays whose last axis is the cells, as of v),
    ``update(fold, view)`` adds one step, ``result(fold, run)`` makes the answer on the host, in float64, NaN where there
    is none: an array over cells or (entries, cells), or several of them by name. What only ``update`` needs is left out
    by ``kept``, so that it takes no memory once a block of cells is through.
    """

    unit: ClassVar[str] = "1"
    description: ClassVar[str] = ""

    def on_grid(self, plan: Plan) -> "Measure":
        """The same measure for this run's steps."""
        return self

    def init(self, v: jax.Array) -> Any:
        return ()

    def update(self, fold: Any, view: StepView) -> Any:
        return fold

    def kept(self, fold: Any) -> Any:
        """What of the fold ``result`` needs."""
        return fold

    @abc.abstractmethod
    def result(self, fold: Any, run: Result) -> Values:
        """The answer over cells, or several by name, from what was folded and from the run's books."""


class Windowed(Measure):
    """Base of measures of a stretch of time.

    ``window`` (start and stop, ms from t = 0) says which; without it ``stretch`` does: "run", "before" the stimulus,
    "during" it, or "after" its onset to the end of the run. Where there is no stimulus each is the whole run.
    """

    window: tuple[Any, Any] | None = parameter("ms", "start and stop of what is looked at", default=None)
    stretch: str = eqx.field(static=True, default="during")
    steps: tuple[Any, Any] = filled((0, 0))

    def __check_init__(self) -> None:
        if self.stretch not in ("run", "before", "during", "after"):
            raise ValueError(f"stretch is 'run', 'before', 'during' or 'after'; found {self.stretch!r}")
        if self.window is not None and isinstance(self.window[0], int | float) and self.window[1] <= self.window[0]:
            raise ValueError(f"a window stops after it starts; found {self.window[0]:g} to {self.window[1]:g} ms")

    def span(self, plan: Plan) -> tuple[float, float]:
        """Start and stop in ms."""
        if self.window is not None:
            return float(self.window[0]), float(self.window[1])
        whole = (plan.start, plan.stop)
        return {"run": whole, "before": plan.before, "during": plan.during, "after": plan.after}[self.stretch]

    def on_grid(self, plan: Plan) -> Self:
        start, stop = self.span(plan)
        return dataclasses.replace(self, steps=(plan.step(start), plan.step(stop)))

    def inside(self, step: jax.Array) -> jax.Array:
        """Whether a step is one of the stretch."""
        return (step >= self.steps[0]) & (step < self.steps[1])

    def holds(self, sample: jax.Array) -> jax.Array:
        """Whether a sample is one of the stretch, its ends included."""
        return (sample >= self.steps[0]) & (sample <= self.steps[1])


class Total(eqx.Module):
    """A compensated sum: in float32 a plain sum of 10^6 numbers loses three digits."""

    value: jax.Array
    low: jax.Array

    @classmethod
    def zero(cls, v: jax.Array) -> "Total":
        return cls(jnp.zeros_like(v), jnp.zeros_like(v))

    def plus(self, x: jax.Array, where: jax.Array) -> "Total":
        change = jnp.where(where, x, 0) + self.low
        value = self.value + change
        return Total(value, change - (value - self.value))

    @property
    def number(self) -> np.ndarray:
        return np.asarray(self.value, float) + np.asarray(self.low, float)


class Average(eqx.Module):
    """Mean of voltages, summed as deviations from the first."""

    reference: jax.Array
    total: Total
    count: jax.Array

    @classmethod
    def empty(cls, v: jax.Array) -> "Average":
        return cls(v, Total.zero(v), jnp.zeros_like(v))

    def plus(self, deviation: jax.Array, where: jax.Array) -> "Average":
        count = self.count + jnp.where(where, 1, 0).astype(self.count.dtype)
        return Average(self.reference, self.total.plus(deviation, where), count)

    @property
    def number(self) -> np.ndarray:
        """In float64; NaN where nothing was added."""
        count = np.asarray(self.count, float)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.reference, float) + self.total.number / np.where(count > 0, count, np.nan)


class Samples(eqx.Module):
    """The samples ``start`` to ``stop`` (excluded) of a run whose first is ``first``, and their mean."""

    start: Any = 0
    stop: Any = 0
    first: Any = 0

    def begin(self, v: jax.Array) -> Average:
        here = jnp.asarray((self.start <= self.first) & (self.first < self.stop))
        return Average.empty(v).plus(jnp.zeros_like(v), jnp.broadcast_to(here, v.shape))

    def has(self, step: jax.Array) -> jax.Array:
        """Whether the voltage at the end of this step is one of the samples."""
        return (step + 1 >= self.start) & (step + 1 < self.stop)

    def add(self, fold: Average, view: StepView) -> Average:
        return fold.plus(view.v_after - fold.reference, self.has(view.step))


def wide(x: Any) -> np.ndarray:
    """As float64 on the host."""
    return np.asarray(x, float)
