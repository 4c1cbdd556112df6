"""Baths, temperatures and drugs: parameters that change in time.

In a run of fixed steps a changing parameter is its mean over each refresh interval (at most 0.5 ms), so that slow changes
are second order in that interval and a jump within one is smeared over it; integrators that choose their steps take it
as it is and stop at its edges. What only the currents read is second order; what gates read (``celsius``, ``v_shift``)
the default integrator, whose gates run half a step ahead, reads dt/2 early.
"""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from jaxmem.membrane.mechanism import Declaration, Number, parameter
from jaxmem.membrane.membrane import out_of_range
from jaxmem.rig.protocol import Change, ChangeOnGrid, Window
from jaxmem.rig.timecourse import CourseOnGrid, TimeCourse


class Schedule(Change):
    """The parameter ``path`` takes ``values`` at ``times`` (ms); before the first it is what the membrane says.

    ``Schedule("k.outside", times=[1000.0, 60_000.0], values=[8.0, 3.5], tau=500.0)``: values in the unit of the
    parameter, numbers or arrays over cells; ``interpolation`` and ``tau`` as in :class:`TimeCourse`.
    """

    course: TimeCourse
    path: str = eqx.field(static=True)

    def __init__(
        self,
        path: str,
        times: Any,
        values: Any,
        interpolation: Literal["step", "linear"] = "step",
        tau: Number | None = None,
    ):
        self.path, self.course = path, TimeCourse(times, values, interpolation, tau)

    def on_grid(self, dt: float) -> "ScheduleOnGrid":
        return ScheduleOnGrid(path=self.path, course=self.course.on_grid(dt))

    def at(self, before: ArrayLike, t: jax.Array) -> ArrayLike:
        return self.course.at(before, t)

    def refused(self, declaration: Declaration) -> str | None:
        values = [knot.value for knot in self.course.knots if not isinstance(knot.value, jax.core.Tracer)]
        return next((why for x in values if (why := out_of_range(x, declaration))), None)

    @property
    def told(self) -> str:
        return f"{self.path}: {_told(self.course)}"

    @property
    def edges(self) -> list[ArrayLike]:
        return self.course.edges


class ScheduleOnGrid(ChangeOnGrid):
    """A schedule in steps."""

    course: CourseOnGrid
    path: str = eqx.field(static=True)

    def mean(self, before: ArrayLike, window: Window, dtype: Any) -> ArrayLike:
        return self.course.mean(before, window.first, window.steps, dtype)

    def level(self, before: ArrayLike, step: jax.Array, dtype: Any) -> ArrayLike:
        return self.course.level(before, step, dtype)


class Drug(Change):
    """A drug that acts on the parameter ``path``; its sites are occupied to ``y = c^n/(c^n + half^n)``.

    ``mode`` "block" leaves ``1 - efficacy*y`` of the parameter (a conductance, a permeability, a pump rate); "shift" adds
    ``shift*y`` mV to it (``v_shift`` of a channel, also where that is None). ``concentration`` (mM) is a number, there
    from t = 0 on, an array over cells, or a :class:`TimeCourse` before whose first time there is none; its ``tau`` is the
    exchange of the bath. Binding is at equilibrium. A. V. Hill (1910), J Physiol 40:iv-vii.
    """

    concentration: TimeCourse
    half: Number = parameter("mM", "concentration of half-maximal effect", positive=True)
    hill: Number = parameter("1", "Hill number", default=1.0, positive=True)
    efficacy: Number = parameter("1", "part that is blocked at saturation", default=1.0, minimum=0.0, maximum=1.0)
    shift: Number = parameter("mV", "shift at saturation", default=0.0)
    path: str = eqx.field(static=True, default="")
    mode: Literal["block", "shift"] = eqx.field(static=True, default="block")
    name: str = eqx.field(static=True, default="drug")

    def __init__(
        self,
        path: str,
        concentration: Number | TimeCourse,
        half: Number,
        hill: Number = 1.0,
        efficacy: Number = 1.0,
        mode: Literal["block", "shift"] = "block",
        shift: Number = 0.0,
        name: str = "drug",
    ):
        if mode not in ("block", "shift"):
            raise ValueError(f"a drug's mode is 'block' or 'shift', not {mode!r}")
        course = concentration if isinstance(concentration, TimeCourse) else TimeCourse([0.0], [concentration])
        self.path, self.concentration, self.half, self.hill = path, course, half, hill
        self.efficacy, self.mode, self.shift, self.name = efficacy, mode, shift, name

    def on_grid(self, dt: float) -> "DrugOnGrid":
        return DrugOnGrid(path=self.path, drug=self, course=self.concentration.on_grid(dt))

    def at(self, before: ArrayLike, t: jax.Array) -> ArrayLike:
        return self.effect(before, self.concentration.at(0.0, t))

    def refused(self, declaration: Declaration) -> str | None:
        if self.mode == "shift" and declaration.unit != "mV":
            return f"is in {declaration.unit}: a drug of mode 'shift' adds mV, for instance to the v_shift of a channel"
        if self.mode == "block" and (declaration.positive or declaration.unit in ("mV", "degC")):
            return "cannot be blocked: that scales a conductance, a permeability or a pump's maximal rate towards 0"
        levels = [knot.value for knot in self.concentration.knots if not isinstance(knot.value, jax.core.Tracer)]
        if any(np.any(np.asarray(c) < 0) for c in levels):
            return f"is acted on by {self.name}, whose concentration must not be below 0 mM"
        return None

    @property
    def told(self) -> str:
        binding = f"half {_range(self.half)} mM, Hill number {_range(self.hill)}"
        what = f"shifts it by up to {_range(self.shift)} mV" if self.mode == "shift" else "blocks it"
        return f"{self.name} on {self.path}: {_told(self.concentration, ' mM')}; {what}, {binding}"

    @property
    def edges(self) -> list[ArrayLike]:
        return self.concentration.edges

    def effect(self, before: ArrayLike, concentration: ArrayLike) -> ArrayLike:
        """The parameter under the drug, where without it it would be ``before``."""
        y = occupancy(concentration, self.half, self.hill)
        return before + self.shift * y if self.mode == "shift" else before * (1 - self.efficacy * y)


class DrugOnGrid(ChangeOnGrid):
    """A drug whose concentration is counted in steps; over a window, the effect of its mean concentration."""

    drug: Drug
    course: CourseOnGrid
    path: str = eqx.field(static=True)

    def mean(self, before: ArrayLike, window: Window, dtype: Any) -> ArrayLike:
        return self.drug.effect(before, self.course.mean(0.0, window.first, window.steps, dtype))

    def level(self, before: ArrayLike, step: jax.Array, dtype: Any) -> ArrayLike:
        return self.drug.effect(before, self.course.level(0.0, step, dtype))


def _told(course: TimeCourse, unit: str = "") -> str:
    """The first few values and times, those of several cells as a range."""
    shown = ", ".join(f"{_range(k.value)}{unit} from {_range(k.time)} ms" for k in course.knots[:4])
    more = f" and {len(course.knots) - 4} more" if len(course.knots) > 4 else ""
    how = " in straight lines" if course.interpolation == "linear" else ""
    return f"{shown}{more}{how}" + (f" (tau {_range(course.tau)} ms)" if course.tau is not None else "")


def _range(x: ArrayLike) -> str:
    low, high = np.min(np.asarray(x)), np.max(np.asarray(x))
    return f"{low:.4g}" if low == high else f"{low:.4g} … {high:.4g}"


def occupancy(concentration: ArrayLike, half: ArrayLike, hill: ArrayLike) -> jax.Array:
    """``c^n/(c^n + half^n)``: 0 where there is none, also in its gradient."""
    there = jnp.asarray(concentration) > 0
    ratio = jnp.exp(hill * jnp.log(jnp.where(there, half / jnp.where(there, concentration, 1.0), 1.0)))
    return jnp.where(there, 1 / (1 + ratio), 0.0)
