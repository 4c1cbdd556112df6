"""The measures that a run of adaptive steps can answer: from spikes at their times, extremes, and windows of time.

Measures fold over steps of one length; here steps are of all lengths, so the same names are answered from what is watched.
Measures that fold nothing (from the books and concentrations of the run) answer as always; any other is refused.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from jaxmem.engine.adaptive_watch import Watch
from jaxmem.engine.measures import Measure, Plan, Result, Values

Span = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Seen:
    """What was watched of all cells, in float64: arrays (cells,), (room, cells) for ``times``, per window ``windows``."""

    spikes: np.ndarray
    times: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    final_v: np.ndarray
    mean: dict[Span, np.ndarray]
    rise: dict[Span, np.ndarray]
    within: dict[Span, np.ndarray]

    @classmethod
    def of(cls, watch: Watch, final_v: np.ndarray, windows: tuple[Span, ...]) -> "Seen":
        wide = lambda x: np.asarray(x, np.float64)
        mean, rise, within = {}, {}, {}
        for i, (first, last) in enumerate(windows):
            area = wide(watch.integral[0])[:, i] + wide(watch.integral[1])[:, i]
            mean[first, last] = wide(watch.reference) + (area / (last - first) if last > first else np.nan)
            rise[first, last] = wide(watch.end)[:, i] - wide(watch.beginning)[:, i]
            within[first, last] = wide(watch.within)[:, i]
        times = (wide(watch.times[0]) + wide(watch.times[1])).T
        return cls(wide(watch.spikes), times, wide(watch.lowest), wide(watch.highest), final_v, mean, rise, within)


def per(amount: np.ndarray, time: float) -> np.ndarray:
    return amount / time if time > 0 else np.full(np.shape(amount), np.nan)


Answer = Callable[[Seen, Span], np.ndarray]
# by the name of the measure's class: (the stretch it looks at where it does not say, the answer)
ANSWERS: dict[str, tuple[str, Answer]] = {
    "MinimumV": ("run", lambda seen, span: seen.lowest),
    "MaximumV": ("run", lambda seen, span: seen.highest),
    "FinalV": ("run", lambda seen, span: seen.final_v),
    "MeanV": ("run", lambda seen, span: seen.mean[span]),
    "RestingPotential": ("before", lambda seen, span: seen.mean[span]),
    "Drift": ("before", lambda seen, span: per(seen.rise[span], (span[1] - span[0]) / 60e3)),
    "SpikeCount": ("run", lambda seen, span: seen.within[span]),
    "FiringRate": ("during", lambda seen, span: per(seen.within[span], (span[1] - span[0]) / 1e3)),
    "FirstSpikeTime": ("run", lambda seen, span: seen.times[0]),
    "SpikeTimes": ("run", lambda seen, span: seen.times),
}
WHOLE_RUN = ("MinimumV", "MaximumV", "FirstSpikeTime", "SpikeTimes")


@dataclasses.dataclass(frozen=True)
class Watched:
    """A measure that is answered from what was seen; ``count`` spikes are to be remembered for it."""

    measure: Measure
    span: Span
    answer: Answer | None
    count: int

    @property
    def unit(self) -> str:
        return self.measure.unit

    @property
    def description(self) -> str:
        return self.measure.description

    def result(self, seen: Seen, run: Result) -> Values:
        if self.answer is None:
            return self.measure.result((), run)
        found = self.answer(seen, self.span)
        return found[: self.count] if found.ndim > 1 else found


def watched(measures: dict[str, Measure], plan: Plan) -> dict[str, Watched]:
    """The measures as this run answers them; ValueError names one that it cannot."""
    return {name: _watched(name, measure, plan) for name, measure in measures.items()}


def _watched(name: str, measure: Measure, plan: Plan) -> Watched:
    kind, run = type(measure).__name__, (plan.start, plan.stop)
    if type(measure).update is Measure.update:
        return Watched(measure, run, None, 0)
    if kind not in ANSWERS or not type(measure).__module__.startswith("jaxmem."):
        raise ValueError(
            f"the measure {name!r} folds over steps of one length, which an adaptive run has not; it answers spike_count, "
            "firing_rate, first_spike_time, spike_times, mean_v, resting_potential, drift, final_v, minimum_v, maximum_v "
            "and what is told by the books (concentration_change, atp). Record v and take it from the trace, or choose an "
            "integrator of fixed steps"
        )
    stretch, answer = ANSWERS[kind]
    span = measure.span(plan) if hasattr(measure, "span") else run if stretch == "run" else getattr(plan, stretch)
    first, last = (float(x) for x in span)
    span = max(first, plan.start), min(last, plan.stop)
    if kind in WHOLE_RUN and span != run:
        raise ValueError(f"the measure {name!r} looks at the whole run where steps are adaptive; leave out its window")
    return Watched(measure, span, answer, int(getattr(measure, "count", 1)))
