"""Measured cells: columns of a CSV file, a row per cell.

The first line names the columns; lines that begin with "#" are comments; cells are separated by commas, semicolons or
tabs, whichever the first line has most of. Empty, NA and NaN say that something was not measured.
"""

import csv
import dataclasses
import math
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from jaxmem import units
from jaxmem.study.draws import uniform
from jaxmem.study.population_tables import DistributionTable
from jaxmem.study.problems import unknown

MISSING = ("", "na", "nan", "n/a", "null", "none")


@dataclasses.dataclass(frozen=True)
class Table:
    """A file: ``names`` of its columns, ``rows`` of text, and the ``lines`` on which they stand."""

    file: str
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def column(self, name: str) -> tuple[str, ...]:
        if name not in self.names:
            raise ValueError(f"{self.file}: {unknown(name, self.names, 'column')}")
        i = self.names.index(name)
        return tuple(row[i] for row in self.rows)


def read(path: pathlib.Path, shown: str) -> Table:
    """The file as text. ValueError where there is none, or a row has more or fewer cells than the first line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"there is no file {path} (paths are relative to the experiment file)") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    kept = [(i, line) for i, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("#")]
    if len(kept) < 2:
        raise ValueError(f"{shown} has no rows; its first line names the columns, and each line after it is a cell")
    mark = max(",;\t", key=kept[0][1].count)
    table = [tuple(x.strip() for x in row) for row in csv.reader([line for _, line in kept], delimiter=mark)]
    if len(table) != len(kept):
        raise ValueError(f"{shown} has a line break within quotes, which is not understood")
    names = table[0]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{shown} has two columns called {twice[0]!r}")
    for (line, _), row in zip(kept[1:], table[1:], strict=True):
        if len(row) != len(names):
            raise ValueError(f"{shown}:{line}: found {len(row)} cells; the first line names {len(names)} columns")
    return Table(shown, names, tuple(table[1:]), tuple(i for i, _ in kept[1:]))


class Files:
    """The files of an experiment, each read once, and which of their columns are used.

    Of a row that lacks one of the columns used with ``missing = "drop"`` nothing is used, so that what was measured in
    one cell stays together.
    """

    def __init__(self, folder: pathlib.Path, seed: int, used: Iterable[DistributionTable]):
        self.folder, self.seed = folder, seed
        self.tables: dict[str, Table] = {}
        self.dropping: dict[str, set[str]] = {}
        for spread in used:
            if spread.file is not None and spread.column is not None and spread.missing == "drop":
                self.dropping.setdefault(spread.file, set()).add(spread.column)

    def values(
        self, spread: DistributionTable, unit: str, cells: np.ndarray, area: Any, capacitance: Any
    ) -> np.ndarray:
        """A number in ``unit`` for each of the ``cells`` (indices); the same row for every column of one file."""
        assert spread.file is not None and spread.column is not None
        if spread.file not in self.tables:
            self.tables[spread.file] = read(self.folder / spread.file, spread.file)
        table = self.tables[spread.file]
        texts = table.column(spread.column)
        columns = [table.column(name) for name in self.dropping.get(spread.file, ())]
        whole = [i for i in range(len(texts)) if not any(c[i].lower() in MISSING for c in columns)]
        found = np.array([number(table, i, spread.column, texts[i]) for i in whole])
        if spread.unit is not None:
            with np.errstate(divide="ignore"):
                found = np.asarray(units.convert(found, spread.unit, unit, area=area, capacitance=capacitance))
            if bad := [i for i, x in zip(whole, found, strict=True) if not math.isfinite(x)]:
                raise ValueError(
                    f"{table.file}:{table.lines[bad[0]]}: column {spread.column!r}: {texts[bad[0]]} {spread.unit} "
                    f"is no finite number of {unit}"
                )
        return found[self._rows(spread, found.size, cells)]

    def _rows(self, spread: DistributionTable, there: int, cells: np.ndarray) -> Sequence[int] | np.ndarray:
        if there == 0:
            raise ValueError(f"{spread.file} has no row in which everything was measured")
        if spread.rows == "resample":  # a cell's draw does not depend on the company
            draws = uniform(self.seed, f"rows of {spread.file}", int(cells.max(initial=0)) + 1)[cells]
            return np.minimum((draws * there).astype(int), there - 1)
        if there < cells.size or (there > cells.size and spread.rows == "each"):
            first = ', rows = "first" to take the first of them,' if there > cells.size else ""
            raise ValueError(
                f'{spread.file} has {there} rows for {cells.size} cells; give as many{first} or rows = "resample" to '
                "draw among them"
            )
        return np.arange(cells.size)


def number(
    table: Table, row: int, column: str, text: str, advice: str = 'missing = "drop" leaves such rows out',
    lacks: str = "nothing was measured",
) -> float:  # fmt: skip
    """The number in a cell of the file; ValueError, with its line, where there is none."""
    where = f"{table.file}:{table.lines[row]}: column {column!r}"
    if text.lower() in MISSING:
        raise ValueError(f"{where}: {lacks} ({text!r}); fill it in, or {advice}")
    try:
        value = float(text)
    except ValueError:
        comma = "; the decimal sign is '.'" if "," in text else ""
        raise ValueError(
            f"{where}: found {text!r}; a bare number is wanted (the unit is the key 'unit'){comma}"
        ) from None
    if not math.isfinite(value):
        raise ValueError(f"{where}: found {text!r}; a finite number is wanted")
    return value
