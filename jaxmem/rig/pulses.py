"""Trains of pulses, with every edge where it belongs, also after hours in float32."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from jaxmem.membrane.mechanism import Current, Number, parameter
from jaxmem.rig.drive import Driver, Memory, Moment
from jaxmem.rig.extent import earliest, latest, place
from jaxmem.rig.stimuli import Stimulus
from jaxmem.rig.timecourse import NEVER, edge

MOST_EDGES = 20_000


class PulseTrain(Stimulus):
    """``count`` rectangular pulses of ``width`` ms, one every ``period`` ms, the first at ``start``.

    ``PulseTrain(amplitude=10.0, width=1.0, frequency=50.0)``: ``frequency`` (Hz) says the period as 1000/frequency. Each
    pulse delivers exactly ``amplitude*width``. Raises ValueError where both or neither of period and frequency are given,
    or where a pulse is wider than the period.
    """

    amplitude: Number = parameter("uA/cm^2", "current density of a pulse, positive depolarises", default=0.0)
    width: Number = parameter("ms", "how long a pulse lasts", default=1.0, positive=True)
    period: Number = parameter("ms", "from the beginning of a pulse to that of the next", default=20.0, positive=True)
    start: Number = parameter("ms", "beginning of the first pulse", default=0.0)
    count: Number = parameter("1", "how many pulses", default=np.inf, minimum=0.0)
    carrier: str | None = eqx.field(static=True, default=None)

    def __init__(
        self,
        amplitude: Number = 0.0,
        width: Number = 1.0,
        period: Number | None = None,
        start: Number = 0.0,
        count: Number = np.inf,
        carrier: str | None = None,
        *,
        frequency: Number | None = None,
    ):
        if (period is None) == (frequency is None):
            raise ValueError("a pulse train has a period (ms) or a frequency (Hz), one of the two")
        self.amplitude, self.width, self.start, self.count, self.carrier = amplitude, width, start, count, carrier
        self.period = period if period is not None else 1000.0 / frequency  # type: ignore[operator]
        if not isinstance(self.period, jax.core.Tracer) and not isinstance(width, jax.core.Tracer):
            if np.any(np.asarray(width) > np.asarray(self.period)):
                raise ValueError(
                    f"a pulse ends before the next begins; found a width of {np.max(width):g} ms and a period of "
                    f"{np.min(self.period):g} ms"
                )

    def on_grid(self, dt: float) -> "TrainOnGrid":
        """Raises ValueError where the period is shorter than dt."""
        if isinstance(self.period, jax.core.Tracer):
            raise ValueError("the period of a pulse train is counted in whole numbers and cannot be traced")
        steps = np.asarray(self.period, float) / dt
        if np.any(steps < 1 - 1e-9):
            raise ValueError(
                f"the period of {np.min(self.period):g} ms is shorter than dt {dt:g} ms; take a smaller dt"
            )
        whole, part = edge(self.period, dt)
        part = np.minimum(np.round(np.asarray(part) * 2.0**32), 2.0**32 - 1).astype(np.uint32)
        most = np.minimum(np.asarray(self.count, float), NEVER).astype(np.int32)
        return TrainOnGrid(
            self.amplitude, *edge(self.start, dt), *edge(self.width, dt), whole.astype(np.uint32), part, 1 / steps, most
        )

    def at(self, t: jax.Array, v: jax.Array) -> Current:
        since = t - self.start
        number = jnp.floor(since / self.period)
        on = (since >= 0) & (number < self.count) & (since - number * self.period < self.width)
        return Current(jnp.where(on, self.amplitude, 0.0), 0.0)

    @property
    def edges(self) -> list[ArrayLike]:
        count = float(np.max(np.asarray(self.count)))
        if not 2 * count <= MOST_EDGES:
            raise ValueError(f"{count:g} pulses have more edges than the {MOST_EDGES} that are listed; give a count")
        on = [self.start + k * self.period for k in range(int(count))]
        return [x for begin in on for x in (begin, begin + self.width)]

    @property
    def onset(self) -> float:
        return earliest(self.start)

    @property
    def offset(self) -> float | None:
        return latest(self.start + np.maximum(np.asarray(self.count) - 1, 0) * self.period + self.width)

    @property
    def charge_density(self) -> ArrayLike:
        return self.amplitude * (self.width / self.period)


class TrainOnGrid(Driver):
    """A pulse train in steps: the period is ``whole`` steps and ``part``/2^32 of one.

    The beginning of pulse k is counted in integers, so that nothing is lost after hours (2^-33 steps a pulse, by the
    rounding of the period, where it is no whole number of steps).
    """

    amplitude: Number = parameter("uA/cm^2", "current density")
    on: Any = parameter("1", "step in which the first pulse begins")
    on_fraction: Any = parameter("1", "part of that step before it begins")
    width: Any = parameter("1", "whole steps of a pulse")
    width_fraction: Any = parameter("1", "part of a step beyond these")
    whole: Any = parameter("1", "whole steps of a period")
    part: Any = parameter("1", "part of a step beyond these, over 2^32")
    rate: Any = parameter("1", "periods per step")
    most: Any = parameter("1", "how many pulses")

    def drive(self, moment: Moment, v: jax.Array, memory: Memory) -> tuple[Current, Memory]:
        # which pulse is under way: an estimate, off by one at most, then put right
        since = (moment.step - self.on).astype(v.dtype)
        k = jnp.maximum(jnp.floor(since * jnp.asarray(self.rate, v.dtype)), 0).astype(jnp.int32)
        for _ in range(2):
            k = jnp.where(self._begins(k, v.dtype)[0] > moment.step, k - 1, k)
        k = jnp.where(self._begins(k + 1, v.dtype)[0] <= moment.step, k + 1, k)
        k = jnp.maximum(k, 0)
        share = self._share(k, moment.step, v.dtype) + self._share(k + 1, moment.step, v.dtype)
        return Current(self.amplitude * share, 0.0), memory

    def _begins(self, k: jax.Array, dtype: Any) -> tuple[jax.Array, jax.Array]:
        """The step in which pulse k begins, and the part of that step before."""
        n = k.astype(jnp.uint32)
        high, low = _product(n, self.part)
        fraction = (low >> np.uint32(8)).astype(jnp.int32).astype(dtype) * np.asarray(2.0**-24, dtype)
        fraction = fraction + jnp.asarray(self.on_fraction, dtype)
        over = fraction >= 1
        step = self.on + (n * self.whole + high).astype(jnp.int32) + over.astype(jnp.int32)
        return step, jnp.where(over, fraction - 1, fraction)

    def _share(self, k: jax.Array, step: jax.Array, dtype: Any) -> jax.Array:
        """The part of this step in which pulse k flows."""
        begin, fraction = self._begins(k, dtype)
        end = fraction + jnp.asarray(self.width_fraction, dtype)
        over = end >= 1
        on = place(begin, fraction, step, dtype)
        off = place(begin + self.width + over.astype(jnp.int32), jnp.where(over, end - 1, end), step, dtype)
        return jnp.where((k >= 0) & (k < self.most), off - on, 0)


def _product(a: jax.Array, b: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """The product of two words of 32 bits: its upper and its lower word."""
    b = jnp.asarray(b).astype(jnp.uint32)
    half, mask = np.uint32(16), np.uint32(0xFFFF)
    a1, a0, b1, b0 = a >> half, a & mask, b >> half, b & mask
    low, cross, other = a0 * b0, a0 * b1, a1 * b0
    middle = (low >> half) + (cross & mask) + (other & mask)
    return a1 * b1 + (cross >> half) + (other >> half) + (middle >> half), a * b
