"""From the columns of a table, and the numbers in the file, to what each cell is and what it shall meet.

Rows that cannot be fitted keep their place with the reason; what is wrong with the file itself is a problem.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxmem import units
from jaxmem.analysis.fitting.quantities import quantity, unit_of
from jaxmem.electrochemistry import membrane_area
from jaxmem.membrane.membrane import Membrane, out_of_range
from jaxmem.membrane.parameters import declared, path_error
from jaxmem.study.fit_tables import ColumnTable, SpreadColumn, TargetTable, percent
from jaxmem.study.measured import Rows
from jaxmem.study.problems import Path, Problems

AREA_FROM = {"time_constant": "ms", "input_resistance": "MOhm"}  # what a derived area needs
JUNCTION = "junction_potential"


class Aim(NamedTuple):
    """What is to be met: ``value`` and ``sd`` (conditions..., cells), ``at`` which parameters, ``of`` what."""

    value: np.ndarray
    sd: np.ndarray
    at: list[dict[str, float]]
    of: str

    def part(self, cells: np.ndarray) -> "Aim":
        return self._replace(value=self.value[:, cells], sd=self.sd[:, cells])


@dataclasses.dataclass
class Cells:
    """``count`` rows: ``given`` parameters by path, ``aims`` by name, ``extra`` numbers, why some are ``excluded``.

    ``lacking``: what was not measured of a cell and is needed, by path.
    """

    count: int
    given: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    extra: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    aims: dict[str, Aim] = dataclasses.field(default_factory=dict)
    excluded: dict[int, list[str]] = dataclasses.field(default_factory=dict)
    lacking: dict[int, list[str]] = dataclasses.field(default_factory=dict)

    def exclude(self, which: np.ndarray, why: Callable[[int], str]) -> None:
        for i in map(int, np.flatnonzero(which)):
            self.excluded.setdefault(i, []).append(why(i))

    @property
    def kept(self) -> np.ndarray:
        return np.array([i for i in range(self.count) if i not in self.excluded], int)


def read_cells(
    columns: Mapping[str, Any],
    rows: Rows | None,
    targets: Mapping[str, Any],
    membrane: Membrane,
    derived: bool,
    problems: Problems,
) -> Cells:
    """Everything that is said of the cells. Without a table there is one."""
    cells = Cells(1 if rows is None else len(rows))
    for key, raw in columns.items():
        where: Path = ("data", "columns", key)
        entries = [problems.table(ColumnTable, x, *place) for x, place in _entries(raw, where)]
        found = [x for x in entries if x is not None]
        if rows is None or len(found) < len(entries):
            continue
        with problems.at(*where):
            if found[0].sd is None:
                _number(key, found, rows, membrane, derived, cells)
            else:
                parts = [_measured(key, x, rows, membrane) for x in found]
                cells.aims[key] = _together(parts)
    for key, raw in targets.items():
        where = ("fit", "targets", key)
        asked = [problems.table(TargetTable, x, *place) for x, place in _entries(raw, where)]
        goals = [x for x in asked if x is not None]
        if len(goals) < len(asked):
            continue
        if key in cells.aims:
            problems.add(where, "is in [data.columns] too; give it once (another name says what it is with of = ...)")
            continue
        with problems.at(*where):
            cells.aims[key] = _together([_wanted(key, x, membrane, cells.count) for x in goals])
    return cells


def _entries(raw: Any, where: Path) -> list[tuple[Any, Path]]:
    """One entry, or a list of them: one for each condition."""
    return [(x, (*where, i)) for i, x in enumerate(raw)] if isinstance(raw, list) and raw else [(raw, where)]


def _number(key: str, entries: list[ColumnTable], rows: Rows, membrane: Membrane, derived: bool, cells: Cells) -> None:
    """A column of numbers that the cells have."""
    if len(entries) > 1:
        raise ValueError("only what is fitted, with sd, is measured under several conditions; give one column")
    entry, known = entries[0], {path: d for path, _, d in declared(membrane, absent=True)}
    unit = known[key].unit if key in known else {JUNCTION: "mV", **(AREA_FROM if derived else {})}.get(key)
    if unit is None:
        try:
            quantity(membrane, key)
        except ValueError:
            raise path_error(key, [*known, JUNCTION]) from None
        hint = ' (or fix "geometry.area" = "derived", which uses it)' if key in AREA_FROM else ""
        raise ValueError(f'is no parameter; what is fitted needs a standard deviation: add sd = "5 %"{hint}')
    x = rows.numbers(entry.column, entry.unit, unit)
    if entry.missing is not None:
        x = np.where(np.isnan(x), units.parse_quantity(entry.missing, unit), x)
    if key not in known:
        cells.extra[key] = x
        return
    cells.given[key] = x
    for i in map(int, np.flatnonzero(np.isnan(x))):
        cells.lacking.setdefault(i, []).append(key)
    for i, one in enumerate(x):
        if np.isfinite(one) and (said := out_of_range(one, known[key])):
            cells.excluded.setdefault(i, []).append(f"{key} {said}")


def _measured(key: str, entry: ColumnTable, rows: Rows, membrane: Membrane) -> Aim:
    of = entry.of or key
    unit = _checked(of, membrane)
    x = rows.numbers(entry.column, entry.unit, unit)
    if isinstance(entry.sd, SpreadColumn):
        sd = rows.numbers(entry.sd.column, entry.sd.unit, unit)
        if np.any(np.isnan(sd) & np.isfinite(x)):
            i = int(np.flatnonzero(np.isnan(sd) & np.isfinite(x))[0])
            raise ValueError(
                f"{rows.names[i]!r} has a number in {entry.column!r} and none in {entry.sd.column!r}, its sd"
            )
    else:
        sd = _sd(entry.sd, x, unit)
    return Aim(x, np.where(np.isnan(x), 1.0, sd), [_at(entry.at, membrane)], of)


def _wanted(key: str, entry: TargetTable, membrane: Membrane, count: int) -> Aim:
    of = entry.of or key
    unit = _checked(of, membrane)
    x = np.full(count, units.parse_quantity(entry.value, unit))
    return Aim(x, _sd(entry.sd, x, unit), [_at(entry.at, membrane)], of)


def _sd(written: Any, x: np.ndarray, unit: str) -> np.ndarray:
    """The standard deviation of each number; "5 %" is of its size."""
    part = percent(written)
    sd = np.full(x.shape, units.parse_quantity(written, unit)) if part is None else part * np.abs(x)
    if np.any(sd[np.isfinite(x)] <= 0) or not np.all(np.isfinite(sd[np.isfinite(x)])):
        raise ValueError(f"sd must be above 0; found {written!r}" + ("" if part is None else " of a number that is 0"))
    return sd


def _checked(of: str, membrane: Membrane) -> str:
    """The unit of what is fitted, which this membrane must have."""
    name, _, side = of.rpartition(".")
    if side in ("inside", "outside") and name in membrane.species and (name, side) not in membrane.pools():
        living = ", ".join(f"{n}.{side}" for n, side in membrane.pools()) or "none"
        raise ValueError(
            f"{of} does not change in this membrane and cannot be fitted (dynamic are: {living}); without sd it is given"
        )
    quantity(membrane, of)
    return unit_of(membrane, of)


def _at(raw: Mapping[str, Any], membrane: Membrane) -> dict[str, float]:
    from jaxmem.study.membrane_table import number
    from jaxmem.study.toml_file import flat

    found = {path: number(text, path, membrane) for path, text in flat(dict(raw), set()).items()}
    membrane.with_parameters(found)  # says what is out of range
    return found


def _together(parts: list[Aim]) -> Aim:
    """Several conditions of one thing."""
    if len({p.of for p in parts}) > 1:
        raise ValueError("the conditions of one target are of one thing; give another name to what is of another")
    if len(parts) > 1 and len({tuple(sorted(p.at[0].items())) for p in parts}) < len(parts):
        raise ValueError("two of its conditions are the same; say at = { ... } what is different in each")
    return Aim(
        np.stack([p.value for p in parts]), np.stack([p.sd for p in parts]), [p.at[0] for p in parts], parts[0].of
    )


# ---------------------------------------------------------------------- what follows from the recording
def corrected(cells: Cells, junction: float, notes: list[str]) -> None:
    """Subtract each cell's junction potential from its resting potentials, in place."""
    x = np.full(cells.count, junction)
    if JUNCTION in cells.extra:
        own = cells.extra[JUNCTION]
        unknown = np.isnan(own)
        x = np.where(unknown, junction, own)
        if unknown.any():
            notes.append(
                f"the junction potential of {unknown.sum():,} cells is not known; {junction:g} mV of [recording] is taken for them"
            )
    done = [name for name, aim in cells.aims.items() if aim.of == "resting_potential"]
    if not done or not np.any(x):
        return
    for name in done:
        cells.aims[name] = cells.aims[name]._replace(value=cells.aims[name].value - x)
    size = f"{x.min():g}" if np.ptp(x) == 0 else f"{x.min():g} to {x.max():g}"
    before, one = cells.aims[done[0]].value[0], int(np.argmax(x != 0))
    notes.append(
        f"{' and '.join(done)}: a junction potential of {size} mV was subtracted from what was measured "
        f"({before[one] + x[one]:.4g} mV became {before[one]:.4g} mV)"
    )


def derived_area(cells: Cells, capacitance: Any, notes: list[str]) -> np.ndarray:
    """Each cell's area (um^2) from its time constant and input resistance; cells without one are excluded."""
    both = {}
    for what, unit in AREA_FROM.items():
        aim = next((a for a in cells.aims.values() if a.of == what and not a.at[0]), None)
        x = cells.extra.get(what, None if aim is None else aim.value[0])
        if x is None:
            raise ValueError(f"a derived area needs the {what} of each cell, in [data.columns] or [fit.targets]")
        both[what] = x
        for i in map(int, np.flatnonzero(np.isnan(x))):
            cells.lacking.setdefault(i, []).append(what)
        if aim is None:  # else it is said with all that is fitted
            cells.exclude(x <= 0, lambda i, x=x, what=what, unit=unit: f"{what} is {x[i]:.4g} {unit}, not above 0")
    spent = [name for name, a in cells.aims.items() if a.of == "time_constant" and not a.at[0]]
    for name in spent:  # what it says is in the area: to count it as a target too would be to count it twice
        del cells.aims[name]
        notes.append(f"{name} makes the area and is no target besides")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(
            membrane_area(both["time_constant"], both["input_resistance"], np.asarray(capacitance, float)), float
        )


def check_numbers(cells: Cells, membrane: Membrane) -> None:
    """Exclude cells of which something was not measured that is needed, or is what cannot be."""
    for i, paths in cells.lacking.items():
        listed = ", ".join(paths[:-1]) + " and " + paths[-1] if len(paths) > 1 else paths[0]
        cells.excluded.setdefault(i, []).insert(0, f"{listed} {'were' if len(paths) > 1 else 'was'} not measured")
    for name, aim in cells.aims.items():
        if aim.of in AREA_FROM or aim.of.endswith((".inside", ".outside")):
            unit = unit_of(membrane, aim.of)
            for x in aim.value:
                cells.exclude(x <= 0, lambda i, x=x, name=name, unit=unit: f"{name} is {x[i]:.4g} {unit}, not above 0")
    nothing = np.all([np.isnan(a.value).all(0) for a in cells.aims.values()], axis=0)
    cells.exclude(nothing, lambda i: "nothing was measured of what is fitted")
