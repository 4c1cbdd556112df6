"""Currents that follow straight lines or any other course in time."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from jaxmem.membrane.mechanism import Current, Number, parameter
from jaxmem.rig.drive import Driver, Memory, Moment
from jaxmem.rig.extent import Extent, earliest, latest, shown
from jaxmem.rig.stimuli import Stimulus, Timed
from jaxmem.rig.timecourse import CourseOnGrid, TimeCourse


class Ramp(Timed):
    """A straight line from ``initial`` at ``start`` to ``amplitude`` at ``stop``; no current before and after."""

    amplitude: Number = parameter("uA/cm^2", "current density at the end, positive depolarises", default=0.0)
    start: Number = parameter("ms", "beginning", default=0.0)
    stop: Number = parameter("ms", "end", default=100.0)
    initial: Number = parameter("uA/cm^2", "current density at the beginning", default=0.0)
    carrier: str | None = eqx.field(static=True, default=None)

    def on_grid(self, dt: float) -> "RampOnGrid":
        return RampOnGrid(
            Extent.of(self.start, self.stop, dt), self.initial, (self.amplitude - self.initial) / self._length * dt
        )

    def at(self, t: jax.Array, v: jax.Array) -> Current:
        line = self.initial + (self.amplitude - self.initial) * ((t - self.start) / self._length)
        return Current(shown(self.start, t, self.stop, line), 0.0)

    @property
    def _length(self) -> ArrayLike:
        return self.stop - self.start

    @property
    def charge_density(self) -> ArrayLike:
        return 0.5 * (self.initial + self.amplitude)


class RampOnGrid(Driver):
    """A ramp in steps: the mean of a line over a part of a step is its value in the middle of that part."""

    extent: Extent
    initial: Number = parameter("uA/cm^2", "current density at the beginning")
    slope: Number = parameter("uA/cm^2", "what a step adds")

    def drive(self, moment: Moment, v: jax.Array, memory: Memory) -> tuple[Current, Memory]:
        begin, end = self.extent.within(moment.step, v.dtype)
        middle = 0.5 * (begin + end) - jnp.asarray(self.extent.on_fraction, v.dtype)
        since = (moment.step - self.extent.on).astype(v.dtype) + middle
        return Current((self.initial + self.slope * since) * (end - begin), 0.0), memory


class CurrentCourse(Stimulus):
    """A current that follows a :class:`TimeCourse` of uA/cm^2; none before its first time."""

    course: TimeCourse
    carrier: str | None = eqx.field(static=True, default=None)

    def on_grid(self, dt: float) -> "CurrentCourseOnGrid":
        return CurrentCourseOnGrid(self.course.on_grid(dt))

    def at(self, t: jax.Array, v: jax.Array) -> Current:
        return Current(self.course.at(0.0, t), 0.0)

    @property
    def edges(self) -> list[ArrayLike]:
        return self.course.edges

    @property
    def onset(self) -> float:
        return earliest(self.course.edges[0])

    @property
    def offset(self) -> float | None:
        ends = not np.any(np.asarray(self.course.knots[-1].value))
        return latest(self.course.edges[-1]) if ends else None

    @property
    def charge_density(self) -> ArrayLike:
        values = [np.abs(np.asarray(knot.value)) for knot in self.course.knots]
        return np.max(np.stack(np.broadcast_arrays(*values)), 0)


class CurrentCourseOnGrid(Driver):
    """A course of current in steps."""

    course: CourseOnGrid

    def drive(self, moment: Moment, v: jax.Array, memory: Memory) -> tuple[Current, Memory]:
        return Current(self.course.mean(0.0, moment.step, 1, v.dtype), 0.0), memory
