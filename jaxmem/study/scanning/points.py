"""What sensitivity, regions, maps and tables ask of a finished scan, and its columns as numbers, piece by piece."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from jaxmem.study.problems import unknown

PIECE = 2**18  # points read at a time
OK = 0
STATUS = "status"


class AxisLike(Protocol):
    @property
    def unit(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def scale(self) -> Any: ...
    @property
    def low(self) -> Any: ...
    @property
    def high(self) -> Any: ...
    @property
    def levels(self) -> Any: ...


class OutputLike(Protocol):
    @property
    def unit(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def dtype(self) -> Any: ...
    @property
    def entries(self) -> int | None: ...
    @property
    def codes(self) -> dict[int, str] | None: ...


class Points(Protocol):
    """A finished scan: columns of numbers over its points; ``jaxmem.Scan`` is one."""

    @property
    def points(self) -> int: ...
    @property
    def axes(self) -> Mapping[str, Any]: ...
    @property
    def outputs(self) -> Mapping[str, Any]: ...
    @property
    def design(self) -> Mapping[str, Any]: ...
    @property
    def statuses(self) -> Mapping[int, tuple[str, str]]: ...
    def part(self, name: str, start: int, stop: int) -> np.ndarray: ...
    def pieces(self, names: Sequence[str], size: int) -> Iterator[dict[str, np.ndarray]]: ...


def axis_of(scan: Points, name: str) -> AxisLike:
    """The axis of this name; ValueError with the nearest ones where there is none."""
    if name not in scan.axes:
        raise ValueError(unknown(name, scan.axes, "axis"))
    return scan.axes[name]


def output_of(scan: Points, name: str) -> OutputLike:
    """The output of this name, one number per point; ValueError where there is none or it has several."""
    if name not in scan.outputs:
        raise ValueError(unknown(name, scan.outputs, "output"))
    output: OutputLike = scan.outputs[name]
    if output.entries is not None:
        raise ValueError(f"{name} has {output.entries} numbers per point; an output with one of them is wanted")
    return output


def words_of(scan: Points, name: str) -> dict[int, str]:
    """Code -> word of an output of codes ("ok", "stable"), empty for one of numbers."""
    if name == "status":
        return {code: word.lower() for code, (word, _) in scan.statuses.items()}
    codes = scan.outputs[name].codes if name in scan.outputs else None
    return {int(code): word.lower() for code, word in (codes or {}).items()}


def numbers(x: np.ndarray, status: np.ndarray) -> np.ndarray:
    """A column as float64, NaN where the point failed or has no finite number."""
    found = np.array(x, np.float64)
    found[(status != OK) | ~np.isfinite(found)] = np.nan
    return found


def column(scan: Points, name: str) -> np.ndarray:
    """The whole column as :func:`numbers` gives it (8 bytes per point)."""
    whole, start = np.empty(scan.points), 0
    for piece in scan.pieces((name, "status"), PIECE):
        stop = start + len(piece["status"])
        whole[start:stop] = numbers(piece[name], piece["status"])
        start = stop
    return whole
