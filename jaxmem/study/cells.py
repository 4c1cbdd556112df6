"""The numbers per cell of a result that is no scan, a row each: measures of a simulation, rests, fits, variables."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

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
        kind = index.get("kind", "a simulation")
        told = dict(index["variables"])
        if kind == "fits":
            return _fits(path, index)
        row = CELL if any(CELL in v["dims"] for v in told.values()) else _longest_shared(told)
        if row is None and kind == "a simulation" and "status" in told:
            row = None  # one cell without a cell axis: one row
        elif row is None:
            raise StoreError(f"{path} holds {kind} without a dimension to give rows; xarray.open_dataset opens it")
        values, outputs = {}, {}
        for name, v in told.items():
            dims = v["dims"]
            if dims == [name] or (dims[-1:] != [row] if row else dims not in ([], ["entry"])):
                continue
            if any(d.startswith("time") for d in dims) and row == CELL or len(dims) > 2:
                continue
            x = np.asarray(file.array(name))
            x = x if row else x[..., None]
            values[name] = x
            outputs[name] = Kept(v["unit"], v["description"], x.dtype, len(x) if x.ndim == 2 else None)
        names = index.get("labelled", {})
        outputs |= {
            k["variable"]: outputs[k["variable"]]._replace(codes=dict(enumerate(k["names"])))
            for k in names.values()
            if k["variable"] in outputs
        }
        if kind == "a simulation" and row is not None:
            values, outputs = _varied(file, index["varied"], values, outputs)
        reasons = {int(code): reason for code, reason in index.get("reasons", {}).items()}
        if kind in ("a simulation", "resting states"):
            outputs = _words(outputs)
        return Cells(
            row or CELL, len(next(iter(values.values()))[..., :].T) if values else 0, outputs, values,
            _statuses(outputs, reasons), index["provenance"].get("question") or "",
        )  # fmt: skip


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


def _varied(
    file: Reader, paths: Sequence[str], values: dict[str, np.ndarray], outputs: dict[str, Kept]
) -> tuple[dict[str, np.ndarray], dict[str, Kept]]:
    """With the parameters that differ between cells before what came of them."""
    found, told = {}, {}
    for path in paths:
        name = f"parameters/{plain(path)}"
        if name not in file.file or path in values:
            continue
        x = np.asarray(file.array(name))
        if x.ndim == 1:
            attributes = file.file[name].attrs
            text = lambda key: str(attributes.get(key, ""))
            found[path], told[path] = x, Kept(text("units"), text("long_name"), x.dtype)
    return found | values, told | outputs


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


def _longest_shared(told: Mapping[str, Any]) -> str | None:
    """The dimension that most variables are a row over."""
    counts: dict[str, int] = {}
    for name, v in told.items():
        if len(v["dims"]) == 1 and v["dims"] != [name]:
            counts[v["dims"][0]] = counts.get(v["dims"][0], 0) + 1
    return max(counts, key=lambda dim: counts[dim]) if counts else None
