"""Points or cells as a CSV file: what a spreadsheet, pandas and a design of listed points read.

Lines that begin with "#" come first: what the rows are, and the units, cell by cell above the names. Then the names, then
a row per point. Numbers are written so that they are read back to the same bits; codes as their words ("ok"); what is not
known is left empty. ``pandas.read_csv(path, comment="#")`` and :mod:`jaxmem.study.columns` read it.
"""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from jaxmem.study.files import build_text
from jaxmem.study.problems import unknown
from jaxmem.study.scanning.points import Points, words_of

if TYPE_CHECKING:
    from jaxmem.study.scanning.regions import Region

INDEX = "point"  # the column that says which point of the scan a row is
PIECE = 2**16  # points written at a time
WIDEST = 26  # characters of a number and its comma


def write_csv(
    path: str | os.PathLike[str] | TextIO,
    scan: Points,
    *,
    columns: Sequence[str] | None = None,
    region: "Region | None" = None,
    title: str = "",
    index: str = INDEX,
    overwrite: bool = False,
) -> int:
    """Write all points, or those of a region, and return how many; whole or not at all, a piece in memory at a time.
    Into a stream it is written as it comes.

    ``columns``: axes and outputs in their order, after the number of the point (``index``); of several numbers per
    point each is a column, ``name.0``, ``name.1``. None takes all; choosing leaves out the number of the point unless it is
    among them. Raises ValueError for unknown columns and those given twice, FileExistsError where the file exists,
    unless ``overwrite``, and OSError where the disk is full.
    """
    known = [*scan.axes, *scan.outputs]
    chosen = [index, *known] if columns is None else list(columns)
    for name in chosen:
        if name not in (index, *known):
            raise ValueError(unknown(name, (index, *known), "column"))
    if twice := [name for name in chosen if chosen.count(name) > 1]:
        raise ValueError(f"the column {twice[0]!r} is given twice")
    headed = [(n, u) for name in chosen for n, u in _headings(scan, name, index)]
    rows = scan.points if region is None else region.count

    def fill(file: TextIO) -> None:
        for line in (title, "" if region is None else str(region)):
            if line:
                file.write(f"# {' '.join(line.split())}\n")
        names, units = zip(*headed, strict=True)
        file.write("# units: " + _line(units))
        file.write(_line(names))
        for text in _rows(scan, chosen, region, index):
            file.write(text)

    def build(temporary: Path) -> None:
        with temporary.open("x", encoding="utf-8", newline="") as file:
            fill(file)

    if not isinstance(path, str | os.PathLike):
        fill(path)
        return rows
    build_text(path, build, (rows + 2) * len(headed) * WIDEST + 4096, overwrite=overwrite)
    return rows


def _headings(scan: Points, name: str, index: str) -> list[tuple[str, str]]:
    if name == index and name not in scan.axes and name not in scan.outputs:
        return [(name, "1")]
    if name in scan.axes:
        return [(name, scan.axes[name].unit)]
    output = scan.outputs[name]
    if output.entries is None:
        return [(name, output.unit)]
    return [(f"{name}.{i}", output.unit) for i in range(output.entries)]


def _rows(scan: Points, chosen: Sequence[str], region: "Region | None", index: str) -> Iterator[str]:
    for start in range(0, scan.points, PIECE):
        stop = min(start + PIECE, scan.points)
        which: Any = slice(None) if region is None else np.flatnonzero(region.mask(start, stop))
        if region is not None and not len(which):
            continue
        columns: list[list[Any]] = []
        for name in chosen:
            if name == index and name not in scan.axes and name not in scan.outputs:
                columns.append(np.arange(start, stop)[which].tolist())
                continue
            x = scan.part(name, start, stop)[..., which]
            words = {} if name in scan.axes else words_of(scan, name)
            columns += [_texts(row, words, len(chosen) == 1) for row in np.atleast_2d(x)]
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(zip(*columns, strict=True))
        yield out.getvalue()


def _texts(x: np.ndarray, words: dict[int, str], alone: bool) -> list[Any]:
    """What a column's cells say; shortest decimals that are read back to the same number in the column's own type."""
    if words:
        return [words.get(code, code) for code in x.tolist()]
    if x.dtype.kind != "f":
        return [t.decode() if isinstance(t, bytes) else t for t in x.tolist()]
    said = x.tolist() if x.dtype == float else x.astype(str).tolist()
    nothing = "NaN" if alone else ""  # an empty line is no row
    return [nothing if gap else t for t, gap in zip(said, np.isnan(x).tolist(), strict=True)]


def _line(cells: Sequence[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()
