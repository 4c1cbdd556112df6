"""Measures as JAX can differentiate them: from what was folded to the answer, without leaving the device.

``Measure.result`` makes the answer on the host. Here the same answers are made of traced folds, for the measures that have
a derivative; the others are refused, each with its reason. A derivative exists where the answer is continuous in the
parameters: a count or a time that is that of a sample moves in jumps, and its slope between them, 0, tells nothing.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmem.engine.measures import clamp, energy, passive, shapes, trains, voltage
from jaxmem.engine.measures.base import Average, Measure, Plan, Total
from jaxmem.engine.measures.detect import Gathered, Spikes
from jaxmem.engine.measures.energy import PICOMOLES
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.state import State
from jaxmem.units import AVOGADRO


class Ended(NamedTuple):
    """The run when it is over: whose it was, its times, its state before and after."""

    membrane: Membrane
    plan: Plan
    before: State
    after: State


Answer = jax.Array | dict[str, jax.Array]


def _over(x: Any, n: Any) -> jax.Array:
    """x/n; NaN where n is 0, without a derivative that would be NaN too."""
    some = jnp.asarray(n) != 0
    return jnp.where(some, x / jnp.where(some, n, 1), jnp.nan)


def _sum(total: Total) -> jax.Array:
    return total.value + total.low


def _mean(average: Average) -> jax.Array:
    return average.reference + _over(_sum(average.total), average.count)


# ------------------------------------------------------------------ the voltage
def _fold(measure: Any, fold: Any, run: Ended) -> Answer:
    return fold


def _average(measure: Any, fold: Average, run: Ended) -> Answer:
    return _mean(fold)


def _drift(measure: voltage.Drift, fold: jax.Array, run: Ended) -> Answer:
    first, last = measure.span(run.plan)
    return _over(fold, (last - first) / 60e3)


# ------------------------------------------------------------------ the answer to a step
def _deflection(fold: passive.Answer) -> jax.Array:
    return _mean(fold.steady) - _mean(fold.base)


def _sag_amplitude(measure: Any, fold: Any, run: Ended) -> Answer:
    return jnp.where(_deflection(fold) <= 0, _mean(fold.steady) - fold.lowest, jnp.nan)


def _sag_ratio(measure: Any, fold: Any, run: Ended) -> Answer:
    base = _mean(fold.base)
    deep = (_deflection(fold) <= 0) & (base > fold.lowest)
    return _over(_mean(fold.steady) - fold.lowest, jnp.where(deep, base - fold.lowest, 0))


def _voltage_deflection(measure: Any, fold: tuple[Average, Average], run: Ended) -> Answer:
    return _mean(fold[1]) - _mean(fold[0])


def _input_resistance(measure: passive.InputResistance, fold: passive.Answer, run: Ended) -> Answer:
    picoampere: Any = measure.current
    if picoampere is None:
        assert fold.base_charge is not None and fold.steady_charge is not None, "init makes them"
        parts = [(fold.base_charge, measure.base, 1), (fold.steady_charge, measure.steady, 0)]
        base, steady = (_sum(q) / (max(int(s.stop - less - s.start), 1) * run.plan.dt) for q, s, less in parts)
        picoampere = (steady - base) * run.membrane.geometry.area * 1e-2  # uA/cm^2 times um^2 is 1e-2 pA
    return _over(1e3 * _deflection(fold), picoampere)


def _time_constant(measure: Any, fold: passive.Line, run: Ended) -> Answer:
    fine = (fold.n > 1) & jnp.isfinite(fold.xy)
    return jnp.abs(_over(fold.xx, jnp.where(fine, fold.xy, 0)))


# ------------------------------------------------------------------ the electrode
def _steady_current(measure: Any, fold: tuple[Total, jax.Array], run: Ended) -> Answer:
    return _over(_sum(fold[0]), fold[1]) / run.plan.dt


# ------------------------------------------------------------------ when spikes come, by their crossings
def _first(marks: trains.Marks, dt: float) -> jax.Array:
    time = (marks.first_step.astype(marks.first_part.dtype) + marks.first_part) * dt
    return jnp.where(marks.count > 0, time, jnp.nan)


def _last(marks: trains.Marks, dt: float) -> jax.Array:
    time = (marks.last_step.astype(marks.last_part.dtype) + marks.last_part) * dt
    return jnp.where(marks.count > 0, time, jnp.nan)


def _first_spike_time(measure: Any, fold: trains.Marks, run: Ended) -> Answer:
    return _first(fold, run.plan.dt)


def _latency(measure: Any, fold: trains.Marks, run: Ended) -> Answer:
    return _first(fold, run.plan.dt) - (run.plan.start if run.plan.onset is None else run.plan.onset)


def _isi_mean(measure: Any, fold: trains.Marks, run: Ended) -> Answer:
    return _over(_last(fold, run.plan.dt) - _first(fold, run.plan.dt), jnp.maximum(fold.count - 1, 0))


def _isi_first(measure: Any, fold: tuple[trains.Marks, jax.Array], run: Ended) -> Answer:
    return fold[1]


def _mean_frequency(measure: trains.MeanFrequency, fold: trains.Marks, run: Ended) -> Answer:
    elapsed = _last(fold, run.plan.dt) - measure.span(run.plan)[0]
    return _over(fold.count * 1e3, jnp.where(elapsed > 0, elapsed, 0))


def _isi_cv(measure: trains.IntervalCV, fold: trains.Spread, run: Ended) -> Answer:
    n = fold.marks.count - 1 - measure.skip
    some = (n > 1) & (fold.squares > 0)
    spread = jnp.sqrt(jnp.where(some, fold.squares, 1) / jnp.where(some, n - 1, 1))
    return jnp.where(n > 1, jnp.where(some, _over(spread, fold.mean), 0.0), jnp.nan)


def _adaptation(measure: trains.Adaptation, fold: trains.Adapting, run: Ended) -> Answer:
    return _over(fold.total, jnp.maximum(fold.marks.count - measure.skip - 2, 0))


def _spike_times(measure: Any, fold: tuple[jax.Array, jax.Array], run: Ended) -> Answer:
    step, part = fold
    return jnp.where(step >= 0, (step.astype(part.dtype) + part) * run.plan.dt, jnp.nan)


# ------------------------------------------------------------------ what they look like
def _gathered(found: Gathered, of: str) -> jax.Array:
    return jnp.where(found.count > 0, found.value, jnp.nan) if of == "mean" else found.value


def _spike_peak(measure: shapes.SpikePeak, fold: Gathered, run: Ended) -> Answer:
    return _gathered(fold, measure.of)


def _afterhyperpolarisation(measure: shapes.Afterhyperpolarisation, fold: shapes.Falling, run: Ended) -> Answer:
    """With the minimum that still waited to be told when the run ended."""
    peak, of, value, count = fold.peak, measure.of, _gathered(fold.found, measure.of), fold.found.count
    left = fold.waiting & ~peak.above & (peak.sample >= measure.steps[0]) & (peak.sample <= measure.steps[1])
    left &= fold.sample != run.plan.step(run.plan.stop)
    depth = peak.v - fold.v if measure.below == "peak" else fold.v
    if of == "each":
        left, new = left & (jnp.arange(value.shape[0]).reshape(-1, *[1] * count.ndim) == count), depth
    elif of == "mean":
        new = (jnp.where(count > 0, fold.found.value, 0) * count + depth) / (count + 1)
    else:
        new = depth if of == "last" else jnp.where(count > 0, value, depth)
    found = jnp.where(left, new, value)
    return found - _mean(fold.base) if measure.below == "rest" else found


# ------------------------------------------------------------------ ions and energy
def _concentration_change(measure: Any, fold: Any, run: Ended) -> Answer:
    before, after = (run.membrane.environment(s.book) for s in (run.before, run.after))

    def level(env: Any, name: str, side: str) -> jax.Array:
        if name == run.membrane.water:
            return env.volume * run.membrane.starting_level(f"{name}.{side}")
        return getattr(env, side)[name]

    return {
        f"{name}.{side}": level(after, name, side) - level(before, name, side) for name, side in run.membrane.pools()
    }


def _atp(measure: Any, fold: Any, run: Ended) -> jax.Array:
    if measure.species not in run.after.total:
        raise ValueError(
            f"{type(measure).__name__} needs a species {measure.species!r}, which this membrane does not have"
        )
    moved = run.after.book[measure.species] - run.before.book[measure.species]
    return moved * PICOMOLES / ((run.plan.stop - run.plan.start) / 1e3)


def _pump_turnover(measure: Any, fold: Any, run: Ended) -> Answer:
    return _atp(measure, fold, run) * run.membrane.geometry.area * (1e-8 * 1e-12 * AVOGADRO)  # um^2, pmol


def _energy(measure: energy.Energy, fold: Any, run: Ended) -> Answer:
    return _atp(measure, fold, run) * measure.per_mole


def _atp_per_spike(measure: energy.ATPPerSpike, fold: energy.Entry, run: Ended) -> Answer:
    first, last = (run.plan.step(t) for t in (run.plan.start, run.plan.stop))
    steps = float(min(measure.steps[1], last) - max(measure.steps[0], first))
    resting = _over(_sum(fold.resting) * steps, float(measure.rest[1] - measure.rest[0]))
    ions = PICOMOLES / run.membrane.species[measure.species].valence / measure.per_atp
    return _over((resting - _sum(fold.during)) * ions, fold.count)


_ANSWERS: dict[type[Measure], Callable[[Any, Any, Ended], Answer]] = {
    voltage.MinimumV: _fold, voltage.MaximumV: _fold, voltage.FinalV: _fold, voltage.MeanV: _average,
    voltage.RestingPotential: _average, voltage.Drift: _drift,
    passive.VoltageBase: _average, passive.SteadyVoltage: _average, passive.VoltageDeflection: _voltage_deflection,
    passive.SagAmplitude: _sag_amplitude, passive.SagRatio: _sag_ratio, passive.InputResistance: _input_resistance,
    passive.TimeConstant: _time_constant,
    clamp.PeakInwardCurrent: _fold, clamp.PeakOutwardCurrent: _fold, clamp.SteadyCurrent: _steady_current,
    trains.FirstSpikeTime: _first_spike_time, trains.Latency: _latency, trains.InterspikeInterval: _isi_mean,
    trains.FirstInterval: _isi_first, trains.MeanFrequency: _mean_frequency, trains.IntervalCV: _isi_cv,
    trains.Adaptation: _adaptation, trains.SpikeTimes: _spike_times, shapes.SpikePeak: _spike_peak,
    shapes.Afterhyperpolarisation: _afterhyperpolarisation, energy.ATPPerSpike: _atp_per_spike,
    energy.ConcentrationChange: _concentration_change, energy.ATP: _atp, energy.PumpTurnover: _pump_turnover,
    energy.Energy: _energy,
}  # fmt: skip

_COUNTS = (
    "it counts spikes, so that its derivative is 0 wherever it has one; fit spike times, intervals or a trace instead"
)
_BEGINS = (
    "it is told from the sample at which a spike begins, so that it jumps from sample to sample as a parameter moves; fit "
    "'spike_peak', spike times or a trace instead"
)
_REFUSED: dict[type[Measure], str] = {
    trains.SpikeCount: _COUNTS, trains.FiringRate: _COUNTS, trains.BurstCount: _COUNTS,
    shapes.SpikeAmplitude: _BEGINS, shapes.SpikeThreshold: _BEGINS, shapes.SpikeWidth: _BEGINS,
}  # fmt: skip


def refusal(measure: Measure) -> str | None:
    """Why a measure cannot be fitted by gradients; None where it can."""
    kind = type(measure)
    if kind in _REFUSED:
        return _REFUSED[kind]
    if kind not in _ANSWERS:
        return (
            "its answer is made on the host, where derivatives do not go; fit a trace, or one of the measures that can be: "
            + ", ".join(sorted(k.__name__ for k in _ANSWERS))
        )
    if isinstance(measure, Spikes) and measure.at == "peak":
        return (
            "it times spikes at their highest sample, so that it moves in steps of dt; time them at the 'crossing' instead, "
            "as jaxmem's own names do"
        )
    return None


def told(measure: Measure) -> Callable[[Any, Any, Ended], Answer]:
    """What makes the answer of this measure: ``told(measure)(measure, fold, ended)``, (cells,), (entries, cells) or by name."""
    return _ANSWERS[type(measure)]
