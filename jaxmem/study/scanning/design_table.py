"""From the tables [scan] and [scan.axes] to a design in plain numbers."""

import contextlib
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmem.membrane.parameters import path_error
from jaxmem.study import columns
from jaxmem.study.problems import Problems
from jaxmem.study.scanning import designs
from jaxmem.study.scanning.axis import Axis
from jaxmem.study.scanning.designs.design import Design
from jaxmem.study.scanning.question import Question
from jaxmem.study.scanning.tables import AxisTable, ScanTable

DRAWN: dict[str, Any] = {
    "sobol": designs.Sobol, "latin_hypercube": designs.LatinHypercube, "random": designs.Random,
}  # fmt: skip


def axis_tables(table: ScanTable, problems: Problems) -> dict[str, AxisTable]:
    """The axes, each looked at alone."""
    found = {}
    for path, raw in table.axes.items():
        axis = problems.table(AxisTable, raw, "scan", "axes", path)
        if axis is None:
            continue
        if table.design == "list":
            if odd := sorted(axis.model_fields_set & {"low", "high", "scale", "points", "values"}):
                problems.add(
                    ("scan", "axes", path), f"the numbers of a list are in its table: leave out {', '.join(odd)}"
                )
                continue
        elif axis.column is not None:
            text = f'a column belongs to design = "list"; found design = {table.design!r}'
            problems.add(("scan", "axes", path, "column"), text)
            continue
        found[path] = axis
    return found


def read_design(
    table: ScanTable,
    tables: Mapping[str, AxisTable],
    question: Question | None,
    folder: pathlib.Path,
    problems: Problems,
) -> Design | None:
    """The design; what is wrong is noted with its line. Without a question paths and units are not looked at."""
    known = None if question is None else question.known
    whole = {} if question is None else question.whole_cell
    axes: dict[str, Axis] = {}
    for path, told in tables.items():
        with problems.at("scan", "axes", path):
            if known is not None:  # first of all: of a path that is misspelt nobody wants to hear what its axis lacks
                for wanted in (path, told.times):
                    if wanted is not None and wanted not in known:
                        raise path_error(wanted, list(known))
            axis = Axis(**told.model_dump(exclude={"column"}))
            if known is not None:
                axis = axis if table.design == "list" else axis.resolved(known[path].unit, **whole)
            axes[path] = axis
    if len(axes) < len(table.axes):
        return None
    design: Design | None = None
    with _placed(problems, axes):
        design = _design(table, axes, tables, folder, problems)
        if design is not None and known is not None:
            design = design.resolved(known, **whole)
    return design


def _design(
    table: ScanTable, axes: dict[str, Axis], tables: Mapping[str, AxisTable], folder: pathlib.Path, problems: Problems
) -> Design | None:
    if table.design == "grid":
        return designs.Grid(axes)
    if table.design == "list":
        return _listed(table, axes, tables, folder, problems)
    assert table.points is not None
    if table.design == "sensitivity":
        return designs.Saltelli(axes, table.points, seed=table.seed)
    if table.design == "nested":
        outer = {path: axis for path, axis in axes.items() if axis.levels is not None}
        inner = {path: axis for path, axis in axes.items() if axis.levels is None}
        if not outer or not inner:
            lacking = "a grid outside: give some axes points or values" if not outer else "axes without points inside"
            raise ValueError(f"a nested design has {lacking}; those with only low and high are the inner design")
        return designs.Nested(designs.Grid(outer), DRAWN[table.inner](inner, table.points, seed=table.seed))
    return DRAWN[table.design](axes, table.points, seed=table.seed)


def _listed(
    table: ScanTable, axes: dict[str, Axis], tables: Mapping[str, AxisTable], folder: pathlib.Path, problems: Problems
) -> Design | None:
    assert table.table is not None
    there = None
    with problems.at("scan", "table"):
        there = columns.read(folder / table.table, table.table)
    if there is None:
        return None
    found: dict[str, tuple[np.ndarray, str | None]] = {}
    for path, told in tables.items():
        with problems.at("scan", "axes", path):
            name = told.column or axes[path].called(path)  # as "jaxmem export" heads it
            if name not in there.names and told.column is None:
                raise ValueError(f'{table.table} has no column {name!r}; name the one that is meant: column = "..."; '
                                 f"there are {', '.join(there.names)}")  # fmt: skip
            texts = there.column(name)
            read = lambda row, text, name=name: columns.number(
                there, row, name, text, "leave the row out", "has no number"
            )
            numbers = [read(i, text) for i, text in enumerate(texts)]
            found[path] = np.array(numbers), told.unit
    return designs.Listed(found, axes) if len(found) == len(tables) else None


@contextlib.contextmanager
def _placed(problems: Problems, axes: Mapping[str, Axis]) -> Any:
    """A ValueError inside is a problem of the axis whose path it begins with, or of the table [scan]."""
    try:
        yield
    except ValueError as error:
        path, _, text = str(error).partition(": ")
        if path in axes:
            problems.add(("scan", "axes", path), text)
        else:
            problems.add(("scan",), str(error))
