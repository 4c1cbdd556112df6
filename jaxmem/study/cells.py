"""The numbers per cell of a result that is no scan, a row each: measures of a simulation, rests, fits, variables."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxmem import units
from jaxmem.study.files import StoreError
from jaxmem.study.hdf5 import Reader, opened
from jaxmem.study.tree import plain

CELL = "cell"


class Kept(NamedTuple):
    """A column: ``entries`` numbers per row, or one; ``codes``: what whole numbers stand for."""

    unit: str
    description: str
    dtype: np.dtype
    entries: int | None = None
    codes: dict[int, str] | None = None


@dataclasses.dataclass(frozen=True)
class Cells:
    """Columns in memory, which conditions and CSV files take as they take a scan. ``row``: what one row is ("cell")."""

    row: str
    points: int
    outputs: dict[str, Kept]
    values: dict[str, np.ndarray]
    statuses: dict[int, tuple[str, str]]
    question: str
    axes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    design: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def part(self, name: str, start: int, stop: int) -> np.ndarray:
        return self.values[name][..., start:stop]

    def pieces(self, names: Sequence[str], size: int) -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, self.points, size):
            yield {name: self.part(name, start, start + size) for name in names}


def read_cells(path: Any) -> Cells:
    """What the file holds for each cell; of fits from several starts each cell's best. Traces are left out.

    Of a file of variables without cells, what it has over the dimension that most of them share. Raises StoreError where
    there is nothing of the kind, and for what is no result of jaxmem.
    """
    with opened(path) as file:
        index = json.loads(file.text("structure/index") or "")
        kind, told = index.get("kind", "a simulation"), index["variables"]
        if kind == "fits":
            return _fits(path, index)
        row = CELL if any(CELL in v["dims"] for v in told.values()) else _most_shared(told)
        if kind == "a simulation" and index["cells"] is None:
            row = None  # a membrane without a cell axis: its single numbers are one row
        elif row is None:
            raise StoreError(f"{path} holds {kind} without a dimension to give rows; xarray.open_dataset opens it")
        values, outputs = _varied(file, index["varied"]) if kind == "a simulation" and row else ({}, {})
        for name, v in told.items():
            if not _per_row(name, v["dims"], row):
                continue
            x = np.asarray(file.array(name))
            x = x[..., None] if row is None else x
            values[name] = x
            outputs[name] = Kept(v["unit"], v["description"], x.dtype, len(x) if x.ndim == 2 else None)
        for known in index.get("labelled", {}).values():
            name = known["variable"]
            outputs[name] = outputs[name]._replace(codes=dict(enumerate(known["names"])))
        if "reasons" in index:
            outputs = _words(outputs)
        rows = next(iter(values.values())).shape[-1] if values else 0
        reasons = {int(code): reason for code, reason in index.get("reasons", {}).items()}
        question = index["provenance"].get("question") or ""
        return Cells(row or CELL, rows, outputs, values, _statuses(outputs, reasons), question)


def _per_row(name: str, dims: Sequence[str], row: str | None) -> bool:
    """Whether a variable has one number per row, or a few: not a trace, nor the rows' own coordinate."""
    if row is None:
        return not dims or (len(dims) == 1 and dims[0].startswith("entry"))
    return (
        dims[-1] == row and len(dims) <= 2 and list(dims) != [name] and not dims[0].startswith("time")
        if dims
        else False
    )


def _words(outputs: dict[str, Kept]) -> dict[str, Kept]:
    from jaxmem.analysis.stability import Stability
    from jaxmem.membrane.state import Status

    for name, words in (("status", Status), ("stability", Stability)):
        if name in outputs and outputs[name].dtype.kind in "iu":
            outputs[name] = outputs[name]._replace(codes={int(w): w.name.lower() for w in words})
    return outputs


def _statuses(outputs: dict[str, Kept], reasons: dict[int, str]) -> dict[int, tuple[str, str]]:
    codes = outputs["status"].codes if "status" in outputs else None
    return {code: (word.upper(), reasons.get(code, word)) for code, word in (codes or {}).items()}


def _varied(file: Reader, paths: Sequence[str]) -> tuple[dict[str, np.ndarray], dict[str, Kept]]:
    """The parameters that differ between cells."""
    written = {units.cf(unit): unit for unit in units.UNITS.values()}
    values: dict[str, np.ndarray] = {}
    outputs: dict[str, Kept] = {}
    for path in paths:
        name = f"parameters/{plain(path)}"
        if (unit := file.attribute(name, "units")) is not None and (x := np.asarray(file.array(name))).ndim == 1:
            values[path] = x
            told = file.attribute(name, "long_name") or ""
            outputs[path] = Kept(written.get(unit, unit), told, x.dtype)
    return values, outputs


def _fits(path: Any, index: dict[str, Any]) -> Cells:
    from jaxmem.study.fits import read_fits

    fits = read_fits(path)
    values = {
        n: fits.best(n) for n, v in fits.variables.items() if v.dims in ((CELL,), ("start", CELL)) and n != "name"
    }
    outputs = {n: Kept(fits.variables[n].unit, fits.variables[n].description, x.dtype) for n, x in values.items()}
    names = np.array(fits.names, object)
    values, outputs = {"name": names} | values, {"name": Kept("1", "name of the cell", names.dtype)} | outputs
    outputs["status"] = outputs["status"]._replace(codes={c: name.lower() for c, (name, _) in fits.statuses.items()})
    question = index["provenance"].get("question") or ""
    return Cells(CELL, len(names), outputs, values, fits.statuses, question)


def _most_shared(told: Mapping[str, Any]) -> str | None:
    """The dimension that most variables are a row over."""
    counts: dict[str, int] = {}
    for name, v in told.items():
        if len(v["dims"]) == 1 and v["dims"] != [name]:
            counts[v["dims"][0]] = counts.get(v["dims"][0], 0) + 1
    return max(counts, key=lambda dim: counts[dim]) if counts else None
