"""Any waveform, sampled: a recorded current to be played back, or the command of a clamp."""

import os
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from jaxmem import units
from jaxmem.membrane.mechanism import Current, Number, parameter
from jaxmem.rig.drive import Driver, Memory, Moment
from jaxmem.rig.extent import earliest, latest
from jaxmem.rig.stimuli import Stimulus
from jaxmem.rig.timecourse import edge
from jaxmem.rig.waves import pick


class Waveform(Stimulus):
    """Samples every ``interval`` ms from ``start`` on, times ``scale``; nothing before and after.

    ``Waveform(samples, interval)``: (samples,), shared by all cells, or (samples, cells). They are uA/cm^2 where it is a
    stimulus of its own, mV as the command of a clamp, mS/cm^2 of a conductance. ``interpolation`` "linear" draws straight
    lines between samples; "step" holds each for one interval, as a converter does. Each step of a run gets the exact mean
    over it (of starts that differ between cells and lie off the grid: a mean of neighbouring steps', charge exact).
    """

    shared: Any
    samples: Any = parameter(
        "1", "samples of each cell (samples, cells), in the unit of what follows them", default=None
    )
    interval: float = eqx.field(static=True, default=0.1)
    scale: Number = parameter("1", "factor", default=1.0)
    start: Number = parameter("ms", "time of the first sample", default=0.0)
    interpolation: Literal["linear", "step"] = eqx.field(static=True, default="linear")
    carrier: str | None = eqx.field(static=True, default=None)

    def __init__(
        self,
        samples: ArrayLike,
        interval: float,
        scale: Number = 1.0,
        start: Number = 0.0,
        interpolation: Literal["linear", "step"] = "linear",
        carrier: str | None = None,
    ):
        """Raises ValueError for fewer than two samples, samples that are not finite, or an interval that is no time."""
        if interpolation not in ("linear", "step"):
            raise ValueError(f"interpolation is 'linear' or 'step', not {interpolation!r}")
        values = np.asarray(samples, float)
        if values.ndim not in (1, 2) or len(values) < 2:
            raise ValueError(f"samples are (samples,) or (samples, cells), two at least; found shape {values.shape}")
        if not np.all(np.isfinite(values)):
            raise ValueError(f"samples must be finite; sample {int(np.argwhere(~np.isfinite(values))[0][0])} is not")
        if not (interval > 0 and np.isfinite(interval)):
            raise ValueError(f"the interval between samples must be a time above 0 ms; found {interval!r}")
        self.shared, self.samples = (values, None) if values.ndim == 1 else (None, values)
        self.interval, self.scale, self.start = float(interval), scale, start
        self.interpolation, self.carrier = interpolation, carrier

    @classmethod
    def from_csv(
        cls, path: str | os.PathLike[str], column: str | int, unit: str, *, to: str = "uA/cm^2", interval: float | None = None,
        time: str | int = 0, time_unit: str = "ms", area: float | None = None, capacitance: float | None = None, **fields: Any,
    ) -> "Waveform":  # fmt: skip
        """A column of a CSV file with one line of names above; numbers in ``unit``, converted to ``to``.

        The sampling interval is that of the column ``time``, which must be even, or ``interval`` (ms). ``area`` (um^2)
        turns pA into a density. Raises ValueError for a column that is not there, gaps, or uneven times.
        """
        with open(path, encoding="utf-8") as file:
            names = [name.strip().strip('"') for name in file.readline().split(",")]
            table = np.atleast_2d(np.genfromtxt(file, delimiter=","))

        def find(wanted: str | int) -> np.ndarray:
            if isinstance(wanted, int) and 0 <= wanted < table.shape[1]:
                return table[:, wanted]
            if wanted in names:
                return table[:, names.index(wanted)]
            raise ValueError(f"{os.fspath(path)} has no column {wanted!r}; it has {', '.join(names)}")

        if interval is None:
            t = np.asarray(units.convert(find(time), time_unit, "ms"), float)
            gaps = np.diff(t)
            if t.size < 2 or not np.all(gaps > 0) or np.ptp(gaps) > 1e-3 * np.mean(gaps):
                raise ValueError(
                    f"{os.fspath(path)}: times in column {time!r} must rise evenly; or give interval= (ms)"
                )
            interval = float((t[-1] - t[0]) / (t.size - 1))
        return cls(units.convert(find(column), unit, to, area=area, capacitance=capacitance), interval, **fields)

    @classmethod
    def from_abf(
        cls, path: str | os.PathLike[str], sweep: int = 0, channel: int = 0, *, command: bool = False, to: str = "uA/cm^2",
        area: float | None = None, capacitance: float | None = None, **fields: Any,
    ) -> "Waveform":  # fmt: skip
        """A sweep of an ABF file of Axon Instruments: what the channel recorded, or its ``command``.

        Raises ImportError without pyabf (``pip install jaxmem[abf]``), ValueError for a sweep or channel that is not
        there, UnitError for a channel whose unit does not become ``to``.
        """
        try:
            import pyabf
        except ImportError as error:
            raise ImportError("reading ABF files needs pyabf: pip install 'jaxmem[abf]'") from error
        file = pyabf.ABF(os.fspath(path))
        for name, wanted, there in (("sweep", sweep, file.sweepCount), ("channel", channel, file.channelCount)):
            if not 0 <= wanted < there:
                raise ValueError(f"{os.fspath(path)} has no {name} {wanted}; there are {there}, counted from 0")
        file.setSweep(sweep, channel=channel)
        values, unit = (file.sweepC, file.sweepUnitsC) if command else (file.sweepY, file.sweepUnitsY)
        numbers = units.convert(np.asarray(values, float), unit, to, area=area, capacitance=capacitance)
        return cls(numbers, 1000.0 / file.dataRate, **fields)

    @property
    def values(self) -> np.ndarray:
        """The samples, (samples,) or (samples, cells), without the factor."""
        return np.asarray(self.shared if self.samples is None else self.samples)

    @property
    def length(self) -> float:
        """How long it lasts, ms: a held last sample lasts an interval, a straight line ends at it."""
        return self.interval * (len(self.values) - (self.interpolation == "linear"))

    def on_grid(self, dt: float) -> "WaveformOnGrid":
        on, fraction = edge(self.start, dt)
        offset = 0.0
        if np.ndim(self.start) == 0 and not isinstance(self.start, jax.core.Tracer):
            offset, fraction = float(fraction), np.zeros(())
        steps = int(np.ceil(self.length / dt + offset - 1e-9))
        times = (np.arange(steps + 1) - offset) * dt  # from the first sample
        means = np.diff(self._integral(times), axis=0) / dt
        levels = self._level(times)
        if self.samples is None:
            return WaveformOnGrid(on, fraction, self.scale, None, None, means, levels)
        return WaveformOnGrid(on, fraction, self.scale, means, levels, None, None)

    def _integral(self, times: np.ndarray) -> np.ndarray:
        """From the first sample to these times (sample*ms), exactly."""
        x, h = self.values, self.interval
        place = np.clip(times / h, 0, self.length / h)
        near = np.round(place)
        place = np.where(abs(place - near) < 1e-9 * np.maximum(1, place), near, place)
        k = np.minimum(place.astype(int), len(x) - 1 - (self.interpolation == "linear"))
        part = (place - k).reshape(-1, *[1] * (x.ndim - 1))
        zero = np.zeros_like(x[:1])
        if self.interpolation == "step":
            return h * (np.concatenate([zero, np.cumsum(x, 0)])[k] + part * x[k])
        whole = np.concatenate([zero, np.cumsum(0.5 * (x[1:] + x[:-1]), 0)])
        return h * (whole[k] + part * (x[k] + 0.5 * part * (x[k + 1] - x[k])))

    def _level(self, times: np.ndarray) -> np.ndarray:
        """The value at these times; at a jump the one after it, at the end the last."""
        x, place = self.values, times / self.interval
        k = np.clip(np.floor(place + 1e-9).astype(int), 0, len(x) - 1)
        if self.interpolation == "step":
            return x[k]
        next_ = np.minimum(k + 1, len(x) - 1)
        part = np.clip(place - k, 0, 1).reshape(-1, *[1] * (x.ndim - 1))
        return x[k] + part * (x[next_] - x[k])

    def level(self, before: ArrayLike, t: ArrayLike) -> jax.Array:
        """The value at time t (ms), ``before`` where it has not begun or is over."""
        x, place = jnp.asarray(self.values), (jnp.asarray(t) - self.start) / self.interval
        k = jnp.clip(jnp.floor(place + 1e-9).astype(jnp.int32), 0, len(x) - 1)
        value = pick(x, k)
        if self.interpolation == "linear":
            value = value + jnp.clip(place - k, 0, 1) * (pick(x, jnp.minimum(k + 1, len(x) - 1)) - value)
        inside = (place >= 0) & (place < self.length / self.interval)
        return jnp.where(inside, self.scale * value, before)

    def at(self, t: jax.Array, v: jax.Array) -> Current:
        return Current(self.level(0.0, t), 0.0)

    @property
    def edges(self) -> list[ArrayLike]:
        """Beginning and end; what happens between samples is left to the control of the step."""
        return [self.start, self.start + self.length]

    @property
    def onset(self) -> float:
        return earliest(self.start)

    @property
    def offset(self) -> float | None:
        return latest(self.start + self.length)

    @property
    def charge_density(self) -> ArrayLike:
        return self.scale * np.mean(self.values, 0)


class WaveformOnGrid(Driver):
    """A waveform in steps: its mean over each, and its value at the beginning of each (one more)."""

    on: Any = parameter("1", "step in which it begins")
    fraction: Any = parameter("1", "part of that step before it begins")
    scale: Any = parameter("1", "factor")
    means: Any = parameter("1", "means over steps, (steps, cells)")
    levels: Any = parameter("1", "values at the beginning of steps, (steps + 1, cells)")
    shared_means: Any = None
    shared_levels: Any = None

    def drive(self, moment: Moment, v: jax.Array, memory: Memory) -> tuple[Current, Memory]:
        return Current(self.mean(0.0, moment.step, 1, v.dtype), 0.0), memory

    def mean(self, before: ArrayLike, first: jax.Array, steps: ArrayLike, dtype: Any) -> jax.Array:
        """The mean over step ``first``, where outside of the waveform it is ``before``; of one step at a time."""
        table = self.shared_means if self.means is None else self.means
        fraction = jnp.asarray(self.fraction, dtype)

        def of(j: jax.Array) -> jax.Array:
            value = jnp.asarray(pick(table, jnp.clip(j, 0, len(table) - 1)), dtype)
            return jnp.where((j >= 0) & (j < len(table)), self.scale * value, before)

        j = first - self.on
        return of(j) if np.ndim(self.fraction) == 0 else (1 - fraction) * of(j) + fraction * of(j - 1)

    def level(self, before: ArrayLike, step: jax.Array, dtype: Any, after: bool = True) -> jax.Array:
        """The value at the beginning of a step: after what happens at that very time, or just before it."""
        table = self.shared_levels if self.levels is None else self.levels
        j = step - self.on
        inside = (j >= 0) & (j < len(table) - 1) if after else (j > 0) & (j <= len(table) - 1)
        value = jnp.asarray(pick(table, jnp.clip(j, 0, len(table) - 1)), dtype)
        return jnp.where(inside, self.scale * value, before)
