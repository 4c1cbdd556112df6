"""The experiment file of a fit: what is free, what is to be met, for one cell or for each row of a table.

``load(path)`` reads and checks everything before anything is fitted; see :mod:`jaxmem.study.fit_tables` for the file.
"""

import dataclasses
import difflib
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxmem.analysis.fitting.fit import MET
from jaxmem.analysis.reach import out_of_reach
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import select
from jaxmem.study import fit_cells, fit_free, fit_membrane, measured, membrane_table, toml_file
from jaxmem.study.fit_cells import Aim, Cells
from jaxmem.study.fit_membrane import AREA
from jaxmem.study.fit_tables import (
    DERIVED,
    SECTIONS,
    ColumnTable,
    FitFileTable,
    FreeTable,
    RecordingTable,
    ReportTable,
    TargetTable,
    TiedTable,
)
from jaxmem.study.problems import ExperimentError, Override, Problems

# tables whose keys are paths with points in them, and the keys that tell an entry from a path
PATHS: dict[tuple[str, str], frozenset[str]] = {
    ("membrane", "parameters"): frozenset(),
    ("data", "columns"): frozenset(ColumnTable.model_fields),
    ("fit", "free"): frozenset(FreeTable.model_fields),
    ("fit", "tied"): frozenset(TiedTable.model_fields),
    ("fit", "fixed"): frozenset(),
    ("fit", "targets"): frozenset(TargetTable.model_fields),
}


@dataclasses.dataclass(frozen=True)
class FitPlan:
    """A fit that can be run.

    ``membrane`` holds the cells that can be fitted, ``kept`` says which rows they are (None: one cell, no table) and
    ``excluded`` why the others cannot be. ``names``: of all rows. ``free``, ``tied``: as :func:`jaxmem.fit` takes them.
    ``aims``: what is to be met by the kept cells. ``notes`` tell what a reader of the results should know.
    """

    file: str
    text: str
    question: str
    preset: str
    membrane: Membrane
    free: dict[str, FreeTable]
    tied: dict[str, tuple[str, float]]
    aims: dict[str, Aim]
    method: str | list[str]
    starts: int | None
    seed: int
    precision: str
    names: tuple[str, ...]
    kept: np.ndarray
    table: str | None
    excluded: dict[int, str]
    report: ReportTable
    notes: tuple[str, ...] = ()

    @property
    def cells(self) -> int | None:
        """How many cells are fitted; None where there is no table."""
        return None if self.table is None else len(self.kept)

    def part(self, cells: np.ndarray) -> "FitPlan":
        """The same fit of some of its cells (indices among those that are fitted)."""
        if self.cells is None:
            return self
        aims = {name: aim.part(cells) for name, aim in self.aims.items()}
        return dataclasses.replace(self, membrane=select(self.membrane, cells), kept=self.kept[cells], aims=aims)


def load(path: str | os.PathLike[str], overrides: Sequence[Override | str] = ()) -> FitPlan:
    """Read, check and assemble the file of a fit.

    ``overrides`` replace what the file says: ``"fit.starts=16"``, ``"data.table=mine.csv"``, or a parameter.

    Raises :class:`ExperimentError`, which lists everything that is wrong with file, line and field, or says why no cell
    can be fitted; OSError where the file cannot be read.
    """
    file = pathlib.Path(path)
    text, raw = toml_file.read(path)
    problems = Problems(path, text)
    for (section, table), leaves in PATHS.items():
        holder = raw.get(section)
        if isinstance(holder, dict) and isinstance(holder.get(table), dict):
            holder[table] = toml_file.flat(holder[table], leaves)
    changes = [Override.parse(o) if isinstance(o, str) else o for o in overrides]
    for change in changes:
        _override(raw, change, problems)
    whole = problems.table(FitFileTable, raw)
    sections = {}
    for name, model in SECTIONS.items():
        given = raw.get(name, {} if name in ("recording", "report") else None)
        sections[name] = None if given is None else problems.table(model, given, name)
    text += "".join(f"\n# overridden: {change.written}" for change in changes) + "\n" * bool(changes)
    return _assemble(file, text, whole, sections, problems)


def _override(raw: dict[str, Any], change: Override, problems: Problems) -> None:
    parts = change.path.split(".")
    if parts[0] not in FitFileTable.model_fields:
        if near := difflib.get_close_matches(parts[0], list(FitFileTable.model_fields), n=1, cutoff=0.75):
            told = ".".join([*near, *parts[1:]])
            raise ExperimentError([f"{change.written}: there is no {change.path!r}; did you mean {told!r}?"])
        parts = ["membrane", "parameters", *parts]
    if (leaves := PATHS.get((parts[0], parts[1]) if len(parts) > 2 else ("", ""))) is not None:
        field = parts[-1:] if parts[-1] in leaves and len(parts) > 3 else []
        parts = [*parts[:2], ".".join(parts[2 : len(parts) - len(field)]), *field]
    if parts == ["data", "table"] and isinstance(change.value, str):  # typed here, so meant from here
        change = dataclasses.replace(change, value=str(pathlib.Path(change.value).absolute()))
    toml_file.put(raw, parts, change, problems)


def _assemble(file: pathlib.Path, text: str, whole: Any, sections: dict[str, Any], problems: Problems) -> FitPlan:
    fit, recording, data, notes = (
        sections["fit"],
        sections["recording"] or RecordingTable(),
        sections["data"],
        list[str](),
    )
    membrane = None
    if sections["membrane"] is not None:
        membrane = membrane_table.membrane(sections["membrane"], file.parent, problems, notes)
    rows = None
    if data is not None:
        with problems.at("data"):
            rows = measured.rows(file.parent / data.table, data.table, data.one_fit_per, data.where)
    if membrane is None or fit is None or (data is not None and rows is None):
        problems.stop()
    assert membrane is not None and fit is not None
    derived = fit.fixed.get(AREA) == DERIVED
    if derived:
        fit_membrane.no_whole_cell(sections["membrane"].parameters, fit, membrane, problems)
    membrane = fit_membrane.recorded(membrane, recording, {} if data is None else data.columns, problems, notes)
    membrane = fit_membrane.fixed(membrane, fit, problems)
    free = fit_free.free_parameters(fit, membrane, derived, problems)
    tied = fit_free.tied_parameters(fit, membrane, free, problems)
    columns = {} if data is None else data.columns
    cells = fit_cells.read_cells(columns, rows, fit.targets, membrane, derived, problems)
    fit_free.each_once(free, tied, fit.fixed, cells.given, problems)
    if not cells.aims and not problems.found:
        problems.add(
            ("fit",), "has nothing to meet: give targets in [fit.targets], or columns with sd in [data.columns]"
        )
    area = None
    if derived:
        with problems.at("fit", "fixed", AREA):
            area = fit_cells.derived_area(cells, cells.given.get("capacitance", membrane.capacitance), notes)
    problems.stop()
    assert whole is not None
    fit_cells.corrected(cells, recording.junction_potential, notes)
    fit_cells.check_numbers(cells, membrane)
    names = ("cell",) if rows is None else rows.names
    people = _population(membrane, cells, area, rows is not None)
    bounds = {path: (float(x.low), float(x.high)) for path, x in free.items()}
    _unreachable(people, cells, bounds, tied)
    kept = cells.kept
    reasons = {i: "; ".join(dict.fromkeys(why)) for i, why in sorted(cells.excluded.items())}
    if not kept.size:
        shown = [
            f"{file}: {names[i]}: {why}" if rows is not None else f"{file}: {why}"
            for i, why in list(reasons.items())[:10]
        ]
        raise ExperimentError(
            [f"{file}: none of the {len(names):,} cells can be fitted", *shown] if rows is not None else shown
        )
    aims = {name: aim.part(kept) for name, aim in cells.aims.items()}
    return FitPlan(
        file=str(file), text=text, question=whole.question, preset=sections["membrane"].preset,
        membrane=_population(membrane, cells, area, rows is not None), free=free, tied=tied, aims=aims, method=fit.method,
        starts=fit.starts, seed=fit.seed, precision=fit.precision, names=names, kept=kept,
        table=None if data is None else data.table, excluded=reasons, report=sections["report"] or ReportTable(),
        notes=tuple(notes),
    )  # fmt: skip


def _population(membrane: Membrane, cells: Cells, area: np.ndarray | None, many: bool) -> Membrane:
    """The kept cells, each with its own numbers; the search for its rest begins where it was measured."""
    kept = cells.kept
    pick = (lambda x: x[kept]) if many else (lambda x: float(x[0]))
    rests = [a.value[0] for a in cells.aims.values() if a.of == "resting_potential" and not a.at[0]]
    start = np.full(cells.count, float(np.asarray(membrane.initial_v)))
    for x in rests[:1]:
        start = np.where(np.isfinite(x), x, start)
    given = {path: pick(x) for path, x in cells.given.items()}
    if kept.size == 0:
        return membrane
    if area is not None:
        membrane = fit_membrane.sized(membrane, pick(area))
    return membrane.with_parameters({"initial_v": pick(start)} | given)


def _unreachable(people: Membrane, cells: Cells, bounds: Mapping[str, tuple[float, float]], tied: Any) -> None:
    kept = cells.kept
    for aim in list(cells.aims.values()):
        if aim.of != "resting_potential" or not kept.size:
            continue
        for x, sd, at in zip(aim.value, aim.sd, aim.at, strict=True):
            told = out_of_reach(people.with_parameters(at), x[kept], bounds, tied, within=MET * sd[kept])
            for i, why in told.items():
                with_what = "".join(f" with {path} {value:g}" for path, value in at.items())
                cells.excluded.setdefault(int(kept[i]), []).append(why.replace(" mV,", f" mV{with_what},", 1))
