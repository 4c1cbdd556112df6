"""The points of a scan that satisfy a condition: how many there are, where they lie, and which."""

import dataclasses
import os
from collections.abc import Iterator, Sequence

import numpy as np

from jaxmem.study.scanning.conditions import Condition, Known, read
from jaxmem.study.scanning.points import OK, PIECE, STATUS, Points, numbers, words_of

LOW, HIGH = 0.05, 0.95
CHOSEN = 2**20  # points inside from which the ranges are; a random choice of about so many of more


@dataclasses.dataclass(frozen=True)
class Region:
    """Where ``condition`` holds: ``count`` of the ``points`` of the scan.

    ``failed``: points of the whole scan whose status is not ok. They have no outputs, so no condition on outputs holds
    there; conditions on axes and on the status can. ``ranges``: axis -> 5 and 95 % of its values inside, NaN where none is.
    """

    condition: str
    count: int
    points: int
    failed: int
    ranges: dict[str, tuple[float, float]]
    scan: Points = dataclasses.field(repr=False)
    read: Condition = dataclasses.field(repr=False)

    @property
    def share(self) -> float:
        """Of all points, failed ones counted."""
        return self.count / self.points if self.points else 0.0

    def mask(self, start: int, stop: int) -> np.ndarray:
        """Which of the points ``start`` ... ``stop - 1`` are inside."""
        return _mask(self.scan, self.read, start, stop)

    def masks(self, size: int = PIECE) -> Iterator[tuple[int, np.ndarray]]:
        """The same of all points, so many at a time: (index of the first, mask)."""
        for start in range(0, self.points, size):
            yield start, self.mask(start, min(start + size, self.points))

    def indices(self) -> np.ndarray:
        """The points inside (int64, ascending): 8 bytes for each of ``count``."""
        found, done = np.empty(self.count, np.int64), 0
        for start, mask in self.masks():
            inside = np.flatnonzero(mask)
            found[done : done + len(inside)] = start + inside
            done += len(inside)
        return found

    def export(
        self, path: str | os.PathLike[str], *, columns: Sequence[str] | None = None, overwrite: bool = False
    ) -> None:
        """Write a CSV file of the points inside, a row each, whole or not at all; see :func:`jaxmem.study.csv_file.write_csv`.

        ``columns``: axes and outputs; None takes all. Raises ValueError for unknown ones, FileExistsError where the
        file exists, unless ``overwrite``, OSError where the disk is full.
        """
        from jaxmem.study.csv_file import write_csv

        write_csv(path, self.scan, columns=columns, region=self, overwrite=overwrite)

    def __str__(self) -> str:
        return f"{self.count:,} of {self.points:,} points ({self.share:.2%}) are where {self.condition}"


def region(scan: Points, condition: str) -> Region:
    """The points of the scan for which the condition is true; its language is that of :mod:`jaxmem.study.scanning.conditions`.

    Raises ValueError, which shows the place, for a condition that cannot be read.
    """
    asked = read(condition, known_of(scan))
    chance = min(1.0, CHOSEN / max(scan.points, 1))
    count, failed = 0, 0
    inside: dict[str, list[np.ndarray]] = {axis: [] for axis in scan.axes}
    for start in range(0, scan.points, PIECE):
        stop = min(start + PIECE, scan.points)
        mask = _mask(scan, asked, start, stop)
        count += int(mask.sum())
        failed += int(np.sum(scan.part(STATUS, start, stop) != OK)) if STATUS in scan.outputs else 0
        if chance < 1:
            mask &= np.random.default_rng((0, start)).random(len(mask)) < chance
        if mask.any():
            for axis, kept in inside.items():
                kept.append(np.asarray(scan.part(axis, start, stop)[mask], float))
    return Region(condition, count, scan.points, failed, {a: _range(x) for a, x in inside.items()}, scan, asked)


def known_of(scan: Points) -> dict[str, Known]:
    """What a condition may name: axes, and outputs of one number per point."""
    there = {name: Known(axis.unit, {}) for name, axis in scan.axes.items()}
    single = {n: o for n, o in scan.outputs.items() if o.entries is None and np.dtype(o.dtype).kind in "iuf"}
    return there | {name: Known(o.unit, words_of(scan, name)) for name, o in single.items()}


def _mask(scan: Points, asked: Condition, start: int, stop: int) -> np.ndarray:
    columns = {name: np.asarray(scan.part(name, start, stop), float) for name in asked.names}
    measured = [name for name in asked.names if name in scan.outputs and name != STATUS]
    if measured and STATUS in scan.outputs:
        status = scan.part(STATUS, start, stop)
        columns |= {name: numbers(columns[name], status) for name in measured}
    return np.broadcast_to(asked.holds(columns), (stop - start,)).copy()


def _range(kept: list[np.ndarray]) -> tuple[float, float]:
    x = np.concatenate([*kept, []])
    x = x[~np.isnan(x)]
    return (float(np.quantile(x, LOW)), float(np.quantile(x, HIGH))) if x.size else (np.nan, np.nan)
