"""Measured cells of a fit: the chosen rows of a CSV file and numbers from its columns, NaN where nothing was measured."""

import dataclasses
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmem import units
from jaxmem.study.columns import MISSING, Table, read


@dataclasses.dataclass(frozen=True)
class Rows:
    """The ``chosen`` rows (indices) of a table and their ``names``, from one of its columns."""

    table: Table
    chosen: tuple[int, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.chosen)

    def numbers(self, column: str, unit: str | None, wanted: str) -> np.ndarray:
        """The numbers of a column, which are in ``unit`` (None: in the one wanted), in the unit wanted.

        Raises ValueError for what is no number, with its line; what was not measured is NaN.
        """
        texts = self.table.column(column)
        found = np.array([self._number(i, column, texts[i]) for i in self.chosen])
        if unit is None:
            return found
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(units.convert(found, unit, wanted), float)

    def _number(self, row: int, column: str, text: str) -> float:
        if text.lower() in MISSING:
            return math.nan
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            comma = "; the decimal sign is '.'" if "," in text else ""
            raise ValueError(
                f"{self.table.file}:{self.table.lines[row]}: column {column!r}: found {text!r}; a bare number is wanted "
                f"(the unit is the key 'unit'), or nothing where nothing was measured{comma}"
            )
        return value


def rows(path: pathlib.Path, shown: str, named_by: str, where: Mapping[str, Any]) -> Rows:
    """The rows in which every column of ``where`` has its text, or one of its list, named by a column.

    Raises ValueError where there is no such file or column, no row is left, or two have one name.
    """
    table = read(path, shown)
    chosen = list(range(len(table.rows)))
    for column, wanted in where.items():
        texts = table.column(column)
        allowed = wanted if isinstance(wanted, list) else [wanted]
        kept = [i for i in chosen if any(_same(texts[i], x) for x in allowed)]
        if not kept:
            there = sorted({texts[i] for i in chosen})
            more = f" and {len(there) - 8} more" if len(there) > 8 else ""
            raise ValueError(
                f"where: no row has {' or '.join(map(repr, allowed))} in {column!r}; there are "
                f"{', '.join(map(repr, there[:8]))}{more}"
            )
        chosen = kept
    names = [table.column(named_by)[i] for i in chosen]
    first: dict[str, int] = {}
    for name, i in zip(names, chosen, strict=True):
        if name in first:
            raise ValueError(
                f"one_fit_per: the rows on lines {table.lines[first[name]]} and {table.lines[i]} of {shown} are both called "
                f"{name!r}; name a column that is different in every row"
            )
        first[name] = i
    return Rows(table, tuple(chosen), tuple(names))


def _same(text: str, wanted: Any) -> bool:
    if isinstance(wanted, str):
        return text == wanted
    try:
        return float(text) == float(wanted)
    except (TypeError, ValueError):
        return False
