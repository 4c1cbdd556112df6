"""Noise currents. A number depends on (seed, cell, step) alone, so that no block, cut or company changes it.

Both are defined in continuous time; a step gets the exact distribution of their mean over it, whatever dt is.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from jaxmem.membrane.mechanism import Current, Number, parameter
from jaxmem.rig.drive import Driver, Memory, Moment
from jaxmem.rig.extent import Extent
from jaxmem.rig.random import Source
from jaxmem.rig.stimuli import Timed

COARSE = 0.01  # of tau: with longer steps the mean over a step needs a random number of its own
BEFORE = np.uint32(2**32 - 1)  # the count of a draw that precedes every step


class WhiteNoise(Timed):
    """Current without memory: its mean over any time T has the standard deviation ``sd*sqrt(over/T)``.

    ``sd`` is that of the mean over ``over`` ms (1 ms unless told otherwise), so that results do not depend on dt; the
    two-sided spectral density is ``sd^2*over`` (uA/cm^2)^2 ms at every frequency. ``seed`` is a whole number.
    """

    mean: Number = parameter("uA/cm^2", "mean current density, positive depolarises", default=0.0)
    sd: Number = parameter("uA/cm^2", "standard deviation of its mean over the time `over`", default=1.0, minimum=0.0)
    over: Number = parameter("ms", "time over whose mean the standard deviation is stated", default=1.0, positive=True)
    start: Number = parameter("ms", "beginning", default=0.0)
    stop: Number = parameter("ms", "end", default=np.inf)
    seed: int = eqx.field(static=True, default=0)
    carrier: str | None = eqx.field(static=True, default=None)

    def on_grid(self, dt: float) -> "WhiteOnGrid":
        return WhiteOnGrid(
            Extent.of(self.start, self.stop, dt), self.mean, self.sd * _sqrt(self.over / dt), Source.of(self.seed)
        )

    @property
    def charge_density(self) -> ArrayLike:
        return self.mean


class WhiteOnGrid(Driver):
    """White noise in steps: ``sd`` is that of the mean over one; with its ``source`` of random numbers."""

    extent: Extent
    mean: Number = parameter("uA/cm^2", "mean current density")
    sd: Any = parameter("uA/cm^2", "standard deviation of the mean over a step")
    source: Source = eqx.field(default_factory=lambda: Source.of(0))

    def drive(self, moment: Moment, v: jax.Array, memory: Memory) -> tuple[Current, Memory]:
        begin, end = self.extent.within(moment.step, v.dtype)
        share = end - begin
        noise, _ = self.source.normals(moment.cell, moment.step, v.dtype)
        return Current(self.mean * share + self.sd * jnp.sqrt(share) * noise, 0.0), memory


class OrnsteinUhlenbeck(Timed):
    """Noise with a memory of ``tau`` ms: ``dx = (mean - x)/tau dt + sd*sqrt(2/tau) dW``, stationary from the beginning.

    Variance ``sd^2``, autocovariance ``sd^2*exp(-|t|/tau)``, two-sided spectral density ``2 sd^2 tau/(1 + (2 pi f tau)^2)``.
    x at the end of a step and its mean over the step are drawn together, from their exact distribution; where dt is below
    tau/100, the mean follows from x at both ends to 0.2 % of the variance, and its own random number is saved: G. E. Uhlenbeck &
    L. S. Ornstein (1930), Phys Rev 36:823, doi:10.1103/PhysRev.36.823; D. T. Gillespie (1996), Phys Rev E 54:2084,
    doi:10.1103/PhysRevE.54.2084.
    """

    mean: Number = parameter("uA/cm^2", "mean current density, positive depolarises", default=0.0)
    sd: Number = parameter("uA/cm^2", "standard deviation", default=1.0, minimum=0.0)
    tau: Number = parameter("ms", "correlation time", default=5.0, positive=True)
    start: Number = parameter("ms", "beginning", default=0.0)
    stop: Number = parameter("ms", "end", default=np.inf)
    seed: int = eqx.field(static=True, default=0)
    carrier: str | None = eqx.field(static=True, default=None)

    def on_grid(self, dt: float) -> "OrnsteinUhlenbeckOnGrid":
        xp: Any = jnp if isinstance(self.tau, jax.core.Tracer) else np
        z = dt / xp.asarray(self.tau, float)
        kept, lost = xp.exp(-z), -xp.expm1(-z)
        fresh = xp.sqrt(-xp.expm1(-2 * z))
        # the variance of the mean that x at both ends leaves open is 2z - 4 tanh(z/2) over z^2: a series where it cancels
        small = z < 0.1
        series = z**3 * (1 / 6 - z**2 / 60 + 17 * z**4 / 20160)
        rest = xp.sqrt(xp.where(small, series, 2 * z - 4 * xp.tanh(z / 2))) / z
        return OrnsteinUhlenbeckOnGrid(
            Extent.of(self.start, self.stop, dt), self.mean, self.sd, kept, fresh, lost / z, lost**2 / (z * fresh), rest,
            Source.of(self.seed), isinstance(z, jax.core.Tracer) or bool(np.any(z >= COARSE)),
        )  # fmt: skip

    @property
    def charge_density(self) -> ArrayLike:
        return self.mean


class OrnsteinUhlenbeckOnGrid(Driver):
    """The process in steps, of unit variance in the memory: ``x' = kept*x + fresh*a``, mean ``held*x + shared*a + rest*b``."""

    extent: Extent
    mean: Number = parameter("uA/cm^2", "mean current density")
    sd: Number = parameter("uA/cm^2", "standard deviation")
    kept: Any = parameter("1", "what is left of x after a step")
    fresh: Any = parameter("1", "what the first random number adds to x")
    held: Any = parameter("1", "what x adds to the mean over the step")
    shared: Any = parameter("1", "what the first random number adds to the mean")
    rest: Any = parameter("1", "what the second random number adds to the mean")
    source: Source = eqx.field(default_factory=lambda: Source.of(0))
    coarse: bool = eqx.field(static=True, default=True)

    def begin(self, v: jax.Array, cell: jax.Array) -> Memory:
        return {"noise": jnp.zeros_like(v) + self.source.normals(jnp.asarray(cell), BEFORE, v.dtype)[0]}

    def drive(self, moment: Moment, v: jax.Array, memory: Memory) -> tuple[Current, Memory]:
        begin, end = self.extent.within(moment.step, v.dtype)
        a, b = self.source.normals(moment.cell, moment.step, v.dtype)
        x = memory["noise"]
        number = lambda c: jnp.asarray(c, v.dtype)
        mean = number(self.held) * x + number(self.shared) * a
        if self.coarse:
            mean = mean + number(self.rest) * b
        after = number(self.kept) * x + number(self.fresh) * a
        return Current((self.mean + self.sd * mean) * (end - begin), 0.0), {"noise": after}


def _sqrt(x: ArrayLike) -> Any:
    return jnp.sqrt(x) if isinstance(x, jax.core.Tracer) else np.sqrt(x)
