"""From [[schedule]] and [[drug]] of an experiment file to what changes in time, noting all that is wrong.

    [[schedule]]
    path = "k.outside"
    times = ["1 s", "61 s"]
    values = ["8 mM", 3.5]        # in the parameter's unit, or with one; a list in place of a number is one for each cell
    tau = "500 ms"                # or interpolation = "linear"

    [[drug]]
    name = "TTX"
    file = "../data/drugs.toml"   # half, hill, mode and target come from there, unless they are given here
    concentration = "10 nM"       # or { times = [...], values = [...], tau = ... }, or a list with one for each cell

Schedules act in the order of the file, then drugs: a drug acts on what a schedule made of its target.
"""

import pathlib
import tomllib
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from jaxmem import units
from jaxmem.membrane.membrane import Membrane, out_of_range
from jaxmem.membrane.parameters import declared
from jaxmem.rig.protocol import Change, check_changes
from jaxmem.rig.schedules import Drug, Schedule
from jaxmem.rig.timecourse import TimeCourse
from jaxmem.study import tables
from jaxmem.study.problems import Path, Problems, unknown


def _per_cell(x: Any) -> Any:
    """A number or a text, or a list of such, one for each cell."""
    if isinstance(x, list) and x:
        return [tables._written(one) for one in x]
    return tables._written(x)


PerCell = Annotated[Any, BeforeValidator(_per_cell)]
Duration = Annotated[tables.Time, Field(gt=0)]


class CourseTable(tables.Table):
    """Values from given times on."""

    times: list[tables.Time] = Field(min_length=1, description="a list of times")
    values: list[PerCell] = Field(min_length=1, description="a list of values, one for each time")
    interpolation: Literal["step", "linear"] = "step"
    tau: Duration | None = None

    @model_validator(mode="after")
    def _together(self) -> "CourseTable":
        TimeCourse(self.times, [0.0] * len(self.values), self.interpolation, self.tau)  # says what does not go together
        return self


class ScheduleTable(CourseTable):
    path: str = Field(description='the parameter that changes, for example "k.outside"')


class DrugTable(tables.Table):
    """A drug; what is left out is as in its file."""

    name: str = Field(min_length=1, description='what the drug is called, for example "TTX"')
    file: str | None = None
    target: str | None = None
    concentration: Any = Field(
        description='how much of it there is, for example "10 nM" or {times = [...], values = [...]}'
    )
    half: PerCell | None = None
    hill: PerCell | None = None
    efficacy: PerCell | None = None
    mode: Literal["block", "shift"] | None = None
    shift: PerCell | None = None

    @model_validator(mode="after")
    def _belongs(self) -> "DrugTable":
        if self.mode == "block" and self.shift is not None:
            raise ValueError("a drug of mode 'block' has no shift; mode = \"shift\" moves a voltage")
        return self


class KnownDrug(tables.Table):
    """A drug in a file such as data/drugs.toml."""

    description: str
    acts_on: str
    half: tables.Written
    hill: tables.Written
    mode: Literal["block", "shift"]
    preparation: str
    source: str
    target: str | None = None
    efficacy: tables.Written | None = None
    shift: tables.Written | None = None
    doi: str | None = None
    celsius: tables.Temperature | None = None


class _Asked(NamedTuple):
    """What the readers below share."""

    membrane: Membrane
    cells: int
    duration: float
    problems: Problems

    def number(self, written: Any, unit: str) -> Any:
        """A value, or an array over cells."""
        if not isinstance(written, list):
            m = self.membrane
            return units.parse_quantity(written, unit, area=m.geometry.area, capacitance=m.capacitance)
        if len(written) != self.cells:
            raise ValueError(f"{len(written)} values for {self.cells} cells; give one for each, or one for all")
        return np.asarray([self.number(x, unit) for x in written], float)

    def course(self, table: CourseTable, unit: str, where: Path) -> TimeCourse | None:
        values = []
        for i, x in enumerate(table.values):
            with self.problems.at(*where, "values", i):
                values.append(self.number(x, unit))
        if len(values) < len(table.values):
            return None
        if table.times[0] >= self.duration:
            text = f"found {table.times[0]:g} ms, but the run ends at {self.duration:g} ms: nothing would change"
            self.problems.add((*where, "times"), text)
        return TimeCourse(table.times, values, table.interpolation, table.tau)

    def accepts(self, change: Change, where: Path) -> bool:
        before = len(self.problems.found)
        with self.problems.at(*where):
            check_changes(self.membrane, [change])
        return len(self.problems.found) == before


def changes(
    schedules: Any, drugs: Any, membrane: Membrane, cells: int, duration: float,
    folder: pathlib.Path, problems: Problems, notes: list[str],
) -> tuple[Change, ...]:  # fmt: skip
    """All that changes in time, in the order in which it acts: those entries that are right."""
    asked = _Asked(membrane, cells, duration, problems)
    found: list[Change] = []
    for i, raw in _entries(schedules, "schedule", problems):
        table = problems.table(ScheduleTable, raw, "schedule", i)
        if table is not None and (schedule := _schedule(table, asked, ("schedule", i))):
            found.append(schedule)
    for i, raw in _entries(drugs, "drug", problems):
        drug = problems.table(DrugTable, raw, "drug", i)
        if drug is not None and (made := _drug(drug, asked, ("drug", i), folder, notes)):
            found.append(made)
    return tuple(found)


def _entries(raw: Any, name: str, problems: Problems) -> Sequence[tuple[int, Any]]:
    if isinstance(raw, list):
        return list(enumerate(raw))
    problems.add((name,), f"there may be several: write [[{name}]] in double brackets")
    return []


def _schedule(table: ScheduleTable, asked: _Asked, where: Path) -> Schedule | None:
    known = {path: d for path, _, d in declared(asked.membrane, absent=True)}
    if table.path not in known:  # says which there are
        asked.accepts(Schedule(table.path, [0.0], [0.0]), (*where, "path"))
        return None
    course = asked.course(table, known[table.path].unit, where)
    if course is None:
        return None
    values = [knot.value for knot in course.knots]
    for i, x in enumerate(values):
        if why := out_of_range(x, known[table.path]):
            asked.problems.add((*where, "values", i), f"{table.path} {why}")
            return None
    schedule = Schedule(table.path, table.times, values, table.interpolation, table.tau)
    return schedule if asked.accepts(schedule, (*where, "path")) else None


def _drug(table: DrugTable, asked: _Asked, where: Path, folder: pathlib.Path, notes: list[str]) -> Drug | None:
    problems, before = asked.problems, len(asked.problems.found)
    known = None
    if table.file is not None:
        known = _known(table, folder / table.file, where, problems)
        if known is None:
            return None
    told = lambda field: own if (own := getattr(table, field)) is not None else getattr(known, field, None)
    target = told("target")
    if target is None:
        about = f" It acts on {known.acts_on}." if known else ""
        text = f'is missing: the parameter that {table.name} acts on, such as target = "sodium.g".{about}'
        problems.add((*where, "target"), text)
    numbers: dict[str, Any] = {}
    for field, default in (("half", None), ("hill", 1.0), ("efficacy", 1.0), ("shift", 0.0)):
        declaration = next(d for f, _, d in declared(Drug("", 0.0, 1.0)) if f == field)
        with problems.at(*where, field):
            written = told(field)
            if written is None and default is None:
                raise ValueError("is missing: the concentration of half-maximal effect, or a file that has it")
            numbers[field] = asked.number(default if written is None else written, declaration.unit)
            if why := out_of_range(numbers[field], declaration):
                raise ValueError(f"{field} {why}")
    mode: Literal["block", "shift"] = told("mode") or "block"
    if mode == "shift" and told("shift") is None:
        problems.add((*where, "shift"), "is missing: how far the voltage is shifted at saturation (mV)")
    concentration = _concentration(table.concentration, asked, (*where, "concentration"))
    if len(problems.found) > before or concentration is None or target is None:
        return None
    drug = Drug(target, concentration, mode=mode, name=table.name, **numbers)
    if not asked.accepts(drug, (*where, "target")):
        return None
    if known is not None:
        notes.append(f"{drug.told}; numbers not given are those of {table.file}: {known.preparation}, {known.source}")
    return drug


def _concentration(raw: Any, asked: _Asked, where: Path) -> TimeCourse | None:
    if isinstance(raw, dict):
        table = asked.problems.table(CourseTable, raw, *where)
        course = None if table is None else asked.course(table, "mM", where)
    else:
        course = None
        with asked.problems.at(*where):
            course = TimeCourse([0.0], [asked.number(_per_cell(raw), "mM")])
    if course is not None and any(np.any(np.asarray(knot.value) < 0) for knot in course.knots):
        asked.problems.add(where, "a concentration is at least 0 mM")
        return None
    return course


def _known(table: DrugTable, path: pathlib.Path, where: Path, problems: Problems) -> KnownDrug | None:
    """The drug of this name in a file."""
    try:
        drugs = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        problems.add((*where, "file"), f"there is no file {path} (paths are relative to the experiment file)")
        return None
    except (OSError, ValueError) as error:
        problems.add((*where, "file"), f"{path} cannot be read: {error}")
        return None
    if table.name not in drugs:
        problems.add((*where, "name"), f"{unknown(table.name, drugs, 'drug')} (in {table.file})")
        return None
    return problems.table(KnownDrug, drugs[table.name], *where, "file", table.name)
