"""Sinusoids and chirps. Phases are reduced in integers and float64 on the host, so that float32 keeps them for hours."""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from jaxmem.membrane.mechanism import Current, Number, parameter
from jaxmem.rig.drive import Driver, Memory, Moment
from jaxmem.rig.extent import Extent, shown
from jaxmem.rig.stimuli import Timed

ANCHORS = 128  # places of a chirp from which its phase is counted
CYCLE = 2.0**32


class Sinusoid(Timed):
    """``offset + amplitude*sin(2 pi f (t - start) + phase)`` from ``start`` to ``stop``, f in Hz, phase in degrees."""

    amplitude: Number = parameter("uA/cm^2", "amplitude of the sine", default=0.0)
    frequency: Number = parameter("Hz", "frequency", default=10.0, positive=True)
    start: Number = parameter("ms", "beginning", default=0.0)
    stop: Number = parameter("ms", "end", default=np.inf)
    phase: Number = parameter("1", "phase at the beginning, degrees", default=0.0)
    mean: Number = parameter("uA/cm^2", "mean current density, positive depolarises", default=0.0)
    carrier: str | None = eqx.field(static=True, default=None)

    def on_grid(self, dt: float) -> "WaveOnGrid":
        """Raises ValueError where a step is longer than half a period."""
        per_step = _cycles_per_step(self.frequency, dt)
        turn = _split(per_step)
        return WaveOnGrid(
            Extent.of(self.start, self.stop, dt), self.amplitude, self.mean, self.phase / 360.0, *turn, per_step
        )

    def at(self, t: jax.Array, v: jax.Array) -> Current:
        angle = 2 * np.pi * (1e-3 * self.frequency * (t - self.start) + self.phase / 360.0)
        return Current(shown(self.start, t, self.stop, self.mean + self.amplitude * jnp.sin(angle)), 0.0)

    @property
    def charge_density(self) -> ArrayLike:
        return self.mean


class WaveOnGrid(Driver):
    """A sinusoid in steps: ``turn``/2^32 + ``more`` cycles a step, of which whole cycles fall out of the integer."""

    extent: Extent
    amplitude: Number = parameter("uA/cm^2", "amplitude")
    mean: Number = parameter("uA/cm^2", "mean current density")
    phase: Number = parameter("1", "phase at the beginning, cycles")
    turn: Any = parameter("1", "cycles per step, in 2^-32")
    more: Any = parameter("1", "what that leaves out, cycles per step")
    per_step: Any = parameter("1", "cycles per step")

    def drive(self, moment: Moment, v: jax.Array, memory: Memory) -> tuple[Current, Memory]:
        number = lambda x: jnp.asarray(x, v.dtype)
        begin, end = self.extent.within(moment.step, v.dtype)
        n = moment.step - self.extent.on
        middle = 0.5 * (begin + end) - number(self.extent.on_fraction)
        cycles = _reduced(n, self.turn, v.dtype) + number(self.more) * n.astype(v.dtype)
        cycles = cycles + number(self.per_step) * middle + number(self.phase)
        sine = _mean_sine(cycles, number(self.per_step) * (end - begin))
        return Current((self.mean + self.amplitude * sine) * (end - begin), 0.0), memory


class Chirp(Timed):
    """A sine whose frequency goes from ``first`` to ``last`` (Hz) between ``start`` and ``stop``.

    ``sweep`` "linear": f = first + (last - first) x; "exponential": f = first*(last/first)^x, with x from 0 to 1. It
    begins with phase 0. The mean over a step is that of a sine with the frequency in its middle and the mean phase: of
    the amplitude it misses less than 1e-6 where the frequency grows by 5 Hz/ms and dt is 0.13 ms.
    """

    amplitude: Number = parameter("uA/cm^2", "amplitude of the sine", default=0.0)
    first: Number = parameter("Hz", "frequency at the beginning", default=1.0, minimum=0.0)
    last: Number = parameter("Hz", "frequency at the end", default=100.0, minimum=0.0)
    start: Number = parameter("ms", "beginning", default=0.0)
    stop: Number = parameter("ms", "end", default=1000.0)
    mean: Number = parameter("uA/cm^2", "mean current density, positive depolarises", default=0.0)
    sweep: Literal["linear", "exponential"] = eqx.field(static=True, default="linear")
    carrier: str | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        if self.sweep not in ("linear", "exponential"):
            raise ValueError(f"sweep is 'linear' or 'exponential', not {self.sweep!r}")
        if self.sweep == "exponential" and not isinstance(self.first, jax.core.Tracer | str):
            if np.any(np.asarray(self.first) <= 0) or np.any(np.asarray(self.last) <= 0):
                raise ValueError("an exponential sweep goes between frequencies above 0")

    def on_grid(self, dt: float) -> "ChirpOnGrid":
        """Raises ValueError where a step is longer than half a period, or where the sweep never ends."""
        concrete = [self.first, self.last, self.start, self.stop]
        if any(isinstance(x, jax.core.Tracer) for x in concrete):
            raise ValueError("the frequencies and times of a chirp are reduced on the host and cannot be traced")
        a, b = _cycles_per_step(self.first, dt), _cycles_per_step(self.last, dt)
        length = (np.asarray(self.stop, float) - np.asarray(self.start, float)) / dt
        if not np.all(np.isfinite(length) & (length > 0)):
            raise ValueError("a chirp ends after it begins; give it a finite stop")
        pace = np.ceil(length / ANCHORS).astype(np.int32)
        a, b, length, steps = np.broadcast_arrays(a, b, length, pace)
        at = np.arange(ANCHORS + 1).reshape(-1, *[1] * a.ndim) * steps
        cycles, rates = _sweep(self.sweep, a, b, length, at)
        turn, more = _split(rates[0])
        table = AnchorsOnGrid if a.ndim else SharedAnchors
        start = np.floor(np.mod(cycles, 1.0) * CYCLE).astype(np.uint32)
        return ChirpOnGrid(
            Extent.of(self.start, self.stop, dt), table(start, turn, more, *rates), self.amplitude, self.mean, pace
        )

    def at(self, t: jax.Array, v: jax.Array) -> Current:
        length = self.stop - self.start
        x = jnp.clip((t - self.start) / length, 0, 1)
        if self.sweep == "linear":
            cycles = 1e-3 * length * (self.first * x + 0.5 * (self.last - self.first) * x**2)
        else:
            cycles = 1e-3 * length * self.first * _power_integral(jnp.log(self.last / self.first), x)
        sine = self.mean + self.amplitude * jnp.sin(2 * np.pi * cycles)
        return Current(shown(self.start, t, self.stop, sine), 0.0)

    @property
    def charge_density(self) -> ArrayLike:
        return self.mean


class AnchorsOnGrid(eqx.Module):
    """The phase of a chirp around its anchors: (anchors, cells)."""

    start: Any = parameter("1", "phase at the anchor, in 2^-32 cycles")
    turn: Any = parameter("1", "cycles per step there, in 2^-32")
    more: Any = parameter("1", "what that leaves out, cycles per step")
    rate: Any = parameter("1", "cycles per step there")
    second: Any = parameter("1", "its derivative, cycles per step^2")
    third: Any = parameter("1", "its second derivative")
    fourth: Any = parameter("1", "its third derivative")


class SharedAnchors(eqx.Module):
    """The same for a chirp that all cells share: (anchors,), with no axis over cells."""

    start: Any
    turn: Any
    more: Any
    rate: Any
    second: Any
    third: Any
    fourth: Any


class ChirpOnGrid(Driver):
    """A chirp in steps, with an anchor every ``pace`` steps."""

    extent: Extent
    anchors: AnchorsOnGrid | SharedAnchors
    amplitude: Number = parameter("uA/cm^2", "amplitude")
    mean: Number = parameter("uA/cm^2", "mean current density")
    pace: Any = parameter("1", "steps between anchors")

    def drive(self, moment: Moment, v: jax.Array, memory: Memory) -> tuple[Current, Memory]:
        begin, end = self.extent.within(moment.step, v.dtype)
        n = jnp.maximum(moment.step - self.extent.on, 0)
        k = jnp.minimum(n // self.pace, ANCHORS)
        here = jax.tree.map(lambda table: pick(table, k), self.anchors)
        number = lambda x: jnp.asarray(x, v.dtype)
        since = n - k * self.pace
        middle = 0.5 * (begin + end) - number(self.extent.on_fraction)
        j, x = since.astype(v.dtype), since.astype(v.dtype) + middle
        phase = (here.start + since.astype(jnp.uint32) * here.turn).astype(jnp.int32).astype(v.dtype) * (1 / CYCLE)
        bend = x * x * (number(here.second) / 2 + x * (number(here.third) / 6 + x * number(here.fourth) / 24))
        cycles = phase + number(here.more) * j + number(here.rate) * middle + bend
        rate = number(here.rate) + x * (
            number(here.second) + x * (number(here.third) / 2 + x * number(here.fourth) / 6)
        )
        bend = number(here.second) + x * (number(here.third) + 0.5 * x * number(here.fourth))
        sine = _mean_sine(cycles + bend * (end - begin) ** 2 / 24, rate * (end - begin))
        return Current((self.mean + self.amplitude * sine) * (end - begin), 0.0), memory


def pick(table: Any, row: jax.Array) -> jax.Array:
    """Row ``row`` of a table (rows,) or (rows, cells), where the row may differ between cells."""
    table = jnp.asarray(table)
    if table.ndim == 1 or jnp.ndim(row) == 0:
        return table[row]
    return jnp.take_along_axis(table, row[None], 0)[0]


def _sweep(kind: str, a: Any, b: Any, length: Any, x: Any) -> tuple[Any, tuple[Any, ...]]:
    """Cycles after x steps, and their first four derivatives."""
    if kind == "linear":
        bend = (b - a) / length
        zero = np.zeros_like(a * x)
        return a * x + 0.5 * bend * x**2, (a + bend * x, bend + zero, zero, zero)
    growth = np.log(b / a) / length
    rate = a * np.exp(growth * x)
    return a * length * _power_integral(growth * length, x / length), tuple(rate * growth**i for i in range(4))


def _power_integral(growth: Any, x: Any) -> Any:
    """``(exp(growth*x) - 1)/growth``."""
    xp: Any = np if isinstance(growth, np.ndarray | np.generic) else jnp
    safe = xp.where(abs(growth) < 1e-9, 1.0, growth)
    return xp.where(abs(growth) < 1e-9, x + 0.0 * growth, xp.expm1(safe * x) / safe)


def _cycles_per_step(frequency: ArrayLike, dt: float) -> Any:
    xp: Any = jnp if isinstance(frequency, jax.core.Tracer) else np
    found = xp.asarray(frequency, float) * 1e-3 * dt
    if xp is np and np.any(found > 0.5):
        raise ValueError(
            f"{np.max(frequency):g} Hz has less than two steps of {dt:g} ms to a period; dt must be at most "
            f"{500 / np.max(frequency):.4g} ms"
        )
    return found


def _split(cycles: Any) -> tuple[Any, Any]:
    """Cycles per step as a whole number of 2^-32 and a rest."""
    if isinstance(cycles, jax.core.Tracer):  # its derivative is in the rest
        turn: Any = jnp.round(jax.lax.stop_gradient(cycles) * CYCLE)
    else:
        turn = np.round(np.asarray(cycles) * CYCLE)
    return turn.astype(np.uint32), cycles - turn / CYCLE


def _reduced(n: jax.Array, turn: Any, dtype: Any) -> jax.Array:
    """n times a turn, in cycles from -1/2 to 1/2."""
    return (n.astype(jnp.uint32) * turn).astype(jnp.int32).astype(dtype) * np.asarray(1 / CYCLE, dtype)


def _mean_sine(cycles: jax.Array, width: jax.Array) -> jax.Array:
    """The mean of a sine over ``width`` <= 1/2 cycles around a phase: ``sin(2 pi c)*sin(pi w)/(pi w)``."""
    y = (np.pi * width) ** 2
    sinc = jnp.ones_like(y)
    for k in range(8, 0, -1):
        sinc = 1 - y / (2 * k * (2 * k + 1)) * sinc
    return jnp.sin(2 * np.pi * cycles) * sinc
