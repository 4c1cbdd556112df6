"""One point of a scan again: what was asked there, every number beside that of the file, and a simulation to look into."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxmem.analysis.resting import resting_state
from jaxmem.engine.records import GROUPS, Record
from jaxmem.engine.simulate import simulate
from jaxmem.engine.simulation import Simulation
from jaxmem.study.scanning.checking import question_of
from jaxmem.study.scanning.fits import LOST, Fits
from jaxmem.study.scanning.of_a_cell import at_points
from jaxmem.study.scanning.plan import parameters
from jaxmem.study.scanning.question import ERROR, INVALID, OK, POISON, STATUS, Question
from jaxmem.study.scanning.rests import Rests
from jaxmem.study.scanning.result import Scan
from jaxmem.study.scanning.simulations import Simulations

STILL = 100.0  # ms for which a cell is simulated from its rest
DT = 0.025  # ms
SAMPLES = 50_000  # of each variable that is recorded: every step of a second, rarer beyond
RECORDED = ("v", "stimulus", *GROUPS)


class Again(NamedTuple):
    """A point that was asked again. ``coordinates`` by axis, ``values`` by path; ``before`` are the outputs in the file, ``after``
    those computed now (None where it was not asked), ``reason`` what became of it in words."""

    point: int
    coordinates: dict[str, float]
    values: dict[str, np.ndarray]
    question: Question | None
    before: dict[str, np.ndarray]
    after: dict[str, np.ndarray] | None
    reason: str

    @property
    def index(self) -> np.ndarray:
        return np.array([self.point], np.int64)

    @property
    def different(self) -> list[str]:
        """Outputs whose bits are not those of the file; a number that is none is the same as another that is none."""
        odd = []
        for name, x in (self.after or {}).items():
            y = self.before[name]
            if x.dtype != y.dtype or not np.array_equal(x, y, equal_nan=x.dtype.kind == "f"):
                odd.append(name)
        return odd


def asked_at(scan: Scan, point: int) -> Again:
    """Ask at one point (index) again. Raises IndexError where there is none, StoreError where the question was not stored.

    A point with an invalid parameter is not asked, nor one that killed its worker, which would kill this process too.
    """
    if not 0 <= point < scan.points:
        raise IndexError(f"{scan.path} has no point {point:,}; its points are 0 to {scan.points - 1:,}")
    coordinates = {name: float(scan.part(name, point, point + 1)[0]) for name in scan.axes}
    before = {name: scan.part(name, point, point + 1)[..., 0] for name in scan.outputs}
    status = int(before[STATUS])
    name, words = scan.statuses[status]
    reason = f"{name}: {words}"
    if status >= INVALID:
        return Again(point, coordinates, {}, None, before, None, reason)
    if told := _error(scan, point):
        reason += f" ({told})"
    if status == POISON:
        return Again(point, coordinates, {}, None, before, None, reason)
    question, axes = question_of(scan)
    values = parameters(axes, question, {name: np.array([x]) for name, x in coordinates.items()})
    try:
        found = question.ask(values, np.array([point], np.int64))
    except (ValueError, ArithmeticError, RuntimeError) as error:
        if status != ERROR:
            raise
        return Again(
            point, coordinates, values, question, before, None, f"{reason}; now {type(error).__name__}: {error}"
        )
    return Again(point, coordinates, values, question, before, {k: x[..., 0] for k, x in found.items()}, reason)


def simulated_at(
    found: Again, execution: Any = None, progress: Callable[[int, int], None] | None = None
) -> Simulation | None:
    """Every variable in time: the simulation that was asked for, or :data:`STILL` ms from the rest that was found or fitted.

    None where there is no such thing: other questions, and points that have no rest.
    """
    question, how = found.question, {"execution": execution, "progress": progress}
    if isinstance(question, Simulations):
        steps = round(question.duration / question.dt)
        every = question.dt * -(-steps // SAMPLES)
        return question.simulated(found.values, found.index, record=Record(RECORDED, every=every), **how)
    if isinstance(question, Rests) and int(found.before[STATUS]) == OK:
        cell = at_points(question.membrane, found.values, 1)
        return _still(cell, resting_state(cell).state, how)
    if isinstance(question, Fits) and int(found.before[STATUS]) not in LOST:
        fit = question.fitted(found.values, found.index)
        return _still(fit.membrane, fit.rest.state, how)
    return None


def _still(cell: Any, state: Any, how: Mapping[str, Any]) -> Simulation:
    record = Record(RECORDED, every=DT)
    measures = ("resting_potential", "drift")
    return simulate(cell, STILL, dt=DT, initial=state, record=record, measures=measures, precision="float64", **how)


def _error(scan: Scan, point: int) -> str | None:
    """The text of the error at a point, or of its chunk."""
    if (own := scan.errors.get(str(point))) is not None:
        return own
    for places, text in scan.errors.items():
        first, _, last = places.partition(" to ")
        if last and int(first) <= point <= int(last):
            return text
    return None
