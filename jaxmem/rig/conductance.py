"""A conductance clamp: the current of a conductance that a computer adds to the cell (dynamic clamp)."""

import equinox as eqx
import jax
from jaxtyping import ArrayLike

from jaxmem.membrane.mechanism import Current, Number, parameter
from jaxmem.rig.courses import CurrentCourse
from jaxmem.rig.drive import Driver, Memory, Moment
from jaxmem.rig.stimuli import ConstantCurrent, Stimulus
from jaxmem.rig.timecourse import TimeCourse


class ConductanceClamp(Stimulus):
    """``i = g(t)*(e - v)``, g in mS/cm^2.

    ``g`` is a number, a :class:`TimeCourse`, or any stimulus of current whose numbers are taken as mS/cm^2: a pulse
    train, a waveform, Ornstein-Uhlenbeck noise. H. P. C. Robinson & N. Kawai (1993), J Neurosci Methods 49:157,
    doi:10.1016/0165-0270(93)90119-C; A. A. Sharp et al. (1993), J Neurophysiol 69:992, doi:10.1152/jn.1993.69.3.992.
    """

    g: Stimulus
    e: Number = parameter("mV", "reversal potential", default=0.0)
    carrier: str | None = eqx.field(static=True, default=None)

    def __init__(self, g: Stimulus | TimeCourse | Number, e: Number = 0.0, carrier: str | None = None):
        if isinstance(g, TimeCourse):
            g = CurrentCourse(course=g)
        self.g = g if isinstance(g, Stimulus) else ConstantCurrent(amplitude=g)
        self.e, self.carrier = e, carrier
        if isinstance(self.g, ConductanceClamp) or self.g.imposes_voltage:
            raise ValueError(f"a {type(self.g).__name__} is no course of a conductance; take a course in time")

    @property
    def seed(self) -> int | None:
        return getattr(self.g, "seed", None)

    def on_grid(self, dt: float) -> "ConductanceOnGrid":
        return ConductanceOnGrid(self.g.on_grid(dt), self.e)

    def at(self, t: jax.Array, v: jax.Array) -> Current:
        return _through(self.g.at(t, v), self.e, v)

    @property
    def edges(self) -> list[ArrayLike]:
        return self.g.edges

    @property
    def onset(self) -> float | None:
        return self.g.onset

    @property
    def offset(self) -> float | None:
        return self.g.offset


class ConductanceOnGrid(Driver):
    """A conductance in steps: its mean over each, and the current linear in v."""

    g: Driver
    e: Number = parameter("mV", "reversal potential")

    def begin(self, v: jax.Array, cell: jax.Array) -> Memory:
        return self.g.begin(v, cell)

    def drive(self, moment: Moment, v: jax.Array, memory: Memory) -> tuple[Current, Memory]:
        course, memory = self.g.drive(moment, v, memory)
        return _through(course, self.e, v), memory


def _through(course: object, e: ArrayLike, v: jax.Array) -> Current:
    assert isinstance(course, Current)
    return Current(course.value * (e - v), -course.value)
