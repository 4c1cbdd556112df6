"""A finished scan, read from its file a column at a time."""

import functools
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxmem.study.files import StoreError
from jaxmem.study.hdf5 import opened
from jaxmem.study.scanning.merge import KIND
from jaxmem.study.scanning.question import OK, STATUS, Output
from jaxmem.study.scanning.regions import Region, region

PIECE = 1_000_000
VERIFIED = 2**30  # bytes; a larger file is not read through for its checksum when it is opened


class AxisTold(NamedTuple):
    """An axis of the design: the parameter's ``path`` (of a factor, what it multiplies), ``levels`` of a grid."""

    path: str
    unit: str
    description: str
    scale: str
    low: float
    high: float
    levels: tuple[float, ...] | None
    times: str | None


class Scan:
    """The answers at every point of a design, from the file that a scan wrote; nothing is in memory until asked for.

    - ``points``, ``question`` (in words), ``design`` (its kind, shape, seed).
    - ``axes`` by name: what was varied; ``outputs`` by name: unit, description and type of each number.
    - ``statuses``: (NAME, reason) by code; ``counts``: how many points have each; 0 is good.
    - ``regions``: conditions by name, ``errors``: texts of errors by point, ``provenance``, ``experiment`` (its file).
    - ``scan[name]``: the values of an axis, an output or "status", (points,), or (entries, points); NaN where a point
      has no number.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        with opened(path, check_up_to=VERIFIED) as file:
            told = json.loads(file.text("structure/index") or "{}")
            if told.get("kind") != KIND:
                raise StoreError(f"{path} holds {told.get('kind', 'a simulation')}, no scan")
            self.provenance: dict[str, Any] = json.loads(file.text("provenance/index") or "{}")
            self.experiment = file.text("provenance/experiment")
            seconds = json.loads(file.text("provenance/chunk_seconds") or "[]")
        self.chunk_seconds = np.array([np.nan if x is None else x for x in seconds])
        self.told: dict[str, Any] = told
        self.points: int = told["points"]
        self.question: str = told["title"]
        self.kind: str = told["question"]["kind"]
        self.identity: str = told["identity"]
        self.design: dict[str, Any] = told["design"]
        self.axes = {name: _axis(x) for name, x in told["axes"].items()}
        self.outputs = {name: _output(x) for name, x in told["outputs"].items()}
        self.statuses = {int(code): (words[0], words[1]) for code, words in told["statuses"].items()}
        self.counts = {int(code): int(n) for code, n in told["counts"].items()}
        self.regions: dict[str, str] = told["regions"]
        self.errors: dict[str, str] = told["errors"]

    def __repr__(self) -> str:
        return f"Scan of {self.points:,} points over {', '.join(self.axes)}: {self.counts.get(OK, 0):,} ok"

    @functools.cached_property
    def chunks(self) -> dict[str, np.ndarray]:
        """Where each chunk starts, and the seconds that it took."""
        size = int(self.provenance["chunk"])
        return {"start": np.arange(len(self.chunk_seconds)) * size, "seconds": self.chunk_seconds}

    def __contains__(self, name: str) -> bool:
        return name in self.axes or name in self.outputs

    def __getitem__(self, name: str) -> np.ndarray:
        return self.part(name, 0, self.points)

    def part(self, name: str, start: int, stop: int) -> np.ndarray:
        """The same of the points from ``start`` up to ``stop``. Raises KeyError for a name that is none."""
        if name not in self:
            raise KeyError(f"there is no {name!r} in {self.path}; there are {', '.join([*self.axes, *self.outputs])}")
        with opened(self.path, check_up_to=0) as file:
            return file.part(name, start, stop)

    def pieces(self, names: Sequence[str], size: int = PIECE) -> Iterator[dict[str, np.ndarray]]:
        """Values of all points, so many at a time, in order."""
        for start in range(0, self.points, size):
            yield {name: self.part(name, start, min(start + size, self.points)) for name in names}

    def grid(self, name: str) -> np.ndarray:
        """An output over the levels of a full grid, an axis each in the order of ``axes``; ValueError for other designs."""
        if self.design["kind"] != "grid":
            raise ValueError(
                f"the design is a {self.design['kind']}, no full grid; scan[{name!r}] has its points in a row"
            )
        x = self[name]
        return x.reshape((*x.shape[:-1], *self.design["shape"]))

    def where(self, condition: str) -> Region:
        """The points where a condition holds, such as "v between -72 mV and -68 mV and atp_per_second < 2e8".

        It may use and, or, not, parentheses, comparisons with units, and words of codes ("status is ok"). Raises
        ValueError, which shows the place, for one that cannot be read.
        """
        return region(self, condition)

    def report(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write one HTML page about the scan that needs nothing else: to show, to send around, to print.

        Raises FileExistsError where the file exists, unless ``overwrite``, and what else :meth:`Simulation.save` raises.
        """
        from jaxmem.report.page import write_page  # figures are made only when they are asked for

        write_page(self, path, overwrite=overwrite)

    @property
    def ok(self) -> np.ndarray:
        """Which points have an answer."""
        return self[STATUS] == OK


def read_scan(path: str | os.PathLike[str]) -> Scan:
    """The scan in a file. Raises FileNotFoundError, and StoreError for what is no scan, or damaged."""
    return Scan(path)


def _axis(x: dict[str, Any]) -> AxisTold:
    levels = None if x.get("levels") is None else tuple(map(float, x["levels"]))
    return AxisTold(
        x["path"], x["unit"], x["description"], x["scale"], float(x["low"]), float(x["high"]), levels, x.get("times")
    )


def _output(x: dict[str, Any]) -> Output:
    codes = None if x["codes"] is None else {int(code): word for code, word in x["codes"].items()}
    return Output(x["unit"], x["description"], np.dtype(x["dtype"]), x["entries"], codes)
