"""Stimuli: what the electrode does. Positive current depolarises.

A stimulus is put on the grid of a run with ``on_grid(dt)``; what comes back is a :class:`jaxmem.rig.drive.Driver`. Edges
are a whole step and a fraction of one, made in float64 on the host, so a step that an edge falls into gets its share and
the delivered charge is exact at any dt. Integrators that choose their own steps ask for ``at(t, v)`` between ``edges``.
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from jaxmem.membrane.mechanism import Current, Number, parameter
from jaxmem.rig.drive import Drive, Driver, Memory, Moment
from jaxmem.rig.extent import earliest, latest
from jaxmem.rig.timecourse import edge


class Stimulus(eqx.Module):
    """Base of all stimuli. ``carrier`` names the ion that carries the current (None: as the membrane says)."""

    carrier: eqx.AbstractVar[str | None]

    @abc.abstractmethod
    def on_grid(self, dt: float) -> Driver:
        """The same stimulus in steps of dt ms."""

    def at(self, t: jax.Array, v: jax.Array) -> Drive:
        """Current or imposed voltage at time t (ms), at an edge the one after it. Raises ValueError where it has none."""
        raise ValueError(
            f"{type(self).__name__} is defined by steps of dt, not at points in time; choose an integrator of fixed steps"
        )

    @property
    def edges(self) -> list[ArrayLike]:
        """Times (ms) at which it or its slope jumps: each a number or an array over cells."""
        return []

    @property
    def onset(self) -> float | None:
        """When it begins (ms; of the first cell to be stimulated), None if it never changes."""
        return None

    @property
    def offset(self) -> float | None:
        """When it ends (ms; of the last cell), None if it never does."""
        return None

    @property
    def charge_density(self) -> ArrayLike:
        """Charge delivered per ms of stimulation, nC/cm^2: to warn of what a carrier does to its ion."""
        return 0.0

    @property
    def imposes_voltage(self) -> bool:
        """Whether it is an ideal clamp, beside which no current of another stimulus means anything."""
        return False

    @property
    def readings(self) -> dict[str, tuple[str, str]]:
        """What can be recorded of it beside ``stimulus``: name -> (unit, long name)."""
        return {}

    def __add__(self, other: "Stimulus") -> "Stimulus":
        """Both at once."""
        from jaxmem.rig.sums import Sum  # which is itself a stimulus

        return Sum((self, other)) if isinstance(other, Stimulus) else NotImplemented


class Timed(Stimulus):
    """Base of what happens from ``start`` to ``stop`` (ms)."""

    start: eqx.AbstractVar[Number]
    stop: eqx.AbstractVar[Number]

    @property
    def edges(self) -> list[ArrayLike]:
        return [self.start, self.stop]

    @property
    def onset(self) -> float:
        return earliest(self.start)

    @property
    def offset(self) -> float | None:
        return latest(self.stop)


class ConstantCurrent(Stimulus):
    """The same current all the time."""

    amplitude: Number = parameter("uA/cm^2", "current density, positive depolarises", default=0.0)
    carrier: str | None = eqx.field(static=True, default=None)

    def on_grid(self, dt: float) -> "ConstantOnGrid":
        return ConstantOnGrid(self.amplitude)

    def at(self, t: jax.Array, v: jax.Array) -> Current:
        return Current(self.amplitude, 0.0)

    @property
    def charge_density(self) -> ArrayLike:
        return self.amplitude


class ConstantOnGrid(Driver):
    """The same current in every step."""

    amplitude: Number = parameter("uA/cm^2", "current density")

    def drive(self, moment: Moment, v: jax.Array, memory: Memory) -> tuple[Current, Memory]:
        return Current(self.amplitude, 0.0), memory


class StepCurrent(Timed):
    """A current from ``start`` to ``stop``."""

    amplitude: Number = parameter("uA/cm^2", "current density, positive depolarises", default=0.0)
    start: Number = parameter("ms", "beginning", default=0.0)
    stop: Number = parameter("ms", "end", default=np.inf)
    carrier: str | None = eqx.field(static=True, default=None)

    def on_grid(self, dt: float) -> "StepOnGrid":
        on, off = (edge(x, dt) for x in (self.start, self.stop))
        return StepOnGrid(self.amplitude, on[0], on[1], off[0], off[1])

    def at(self, t: jax.Array, v: jax.Array) -> Current:
        return Current(jnp.where((t >= self.start) & (t < self.stop), self.amplitude, 0.0), 0.0)

    @property
    def charge_density(self) -> ArrayLike:
        return self.amplitude


class StepOnGrid(Driver):
    """A step current whose edges are counted in steps: ``on`` + ``on_fraction``, ``off`` + ``off_fraction``."""

    amplitude: Number = parameter("uA/cm^2", "current density")
    on: Any = parameter("1", "step in which it begins")
    on_fraction: Any = parameter("1", "part of that step before it begins")
    off: Any = parameter("1", "step in which it ends")
    off_fraction: Any = parameter("1", "part of that step before it ends")

    def drive(self, moment: Moment, v: jax.Array, memory: Memory) -> tuple[Current, Memory]:
        def after(edge: jax.Array, fraction: jax.Array) -> jax.Array:
            """The part of this step that lies after the edge."""
            steps = jnp.clip(moment.step - edge, -2, 2).astype(v.dtype)
            return jnp.clip(steps + (1 - jnp.asarray(fraction, v.dtype)), 0, 1)

        share = after(self.on, self.on_fraction) - after(self.off, self.off_fraction)
        return Current(self.amplitude * share, 0.0), memory
