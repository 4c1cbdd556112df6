"""Maps of a scan: one output along an axis, or over two of them, all other axes pooled.

Counts, shares and means are those of all points, added up piece by piece. Medians and quantiles are exact up to
`GATHERED` points; beyond, they are those of a random choice of about so many, and `sampled` says how many.
"""

import dataclasses
from typing import Literal

import numpy as np

from jaxmem.study.scanning.points import OK, Points

GATHERED = 2**23  # points whose values are held at a time: 64 MB of values, thrice that while they are sorted
LOW, MEDIAN, HIGH = 0.05, 0.5, 0.95
TILES = 2**22  # of a map


@dataclasses.dataclass(frozen=True)
class Bins:
    """Places along an axis: ``edges`` (n + 1,) and ``centres`` (n,), in ``unit``.

    ``levels``: each bin is one level of a grid, and its centre is that level. ``scale``: "linear" or "log", which the
    bins are even on.
    """

    axis: str
    unit: str
    description: str
    scale: str
    levels: bool
    edges: np.ndarray
    centres: np.ndarray

    def __len__(self) -> int:
        return len(self.centres)

    def of(self, x: np.ndarray) -> np.ndarray:
        """The bin of each value (int32); what rounding put outside belongs to the first or last, -1 is no number."""
        found = np.searchsorted(self.edges[1:-1], x, side="right").astype(np.int32)
        return np.where(np.isnan(x), np.int32(-1), found)


@dataclasses.dataclass(frozen=True)
class Marginal:
    """An output along an axis: ``median``, ``low`` and ``high`` (5 and 95 %), ``mean`` per bin, all other axes pooled.

    ``points``: how many fell into the bin; ``count``: how many of them have a number (NaN above where none has);
    ``failed``: share of the points whose status is not ok, NaN where no point fell. ``sampled``: how many points the
    quantiles are from, None if from all.
    """

    bins: Bins
    name: str
    unit: str
    description: str
    median: np.ndarray
    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    count: np.ndarray
    points: np.ndarray
    failed: np.ndarray
    sampled: int | None = None


@dataclasses.dataclass(frozen=True)
class Map:
    """An output over two axes: every array is (len(y), len(x)), all other axes pooled.

    ``value``: the median or mean (``statistic``) of the points that have a number, NaN where none has; of an output of
    codes the most frequent one ("mode"), those of failed points left out. ``points`` that fell into the tile, ``count``
    of them with a number. ``shares``: status -> share of the tile's points that have it, every status that occurs; NaN
    where no point fell. ``words``: the name and the reason of each status. ``codes``: code -> word of an output of codes.
    """

    x: Bins
    y: Bins
    name: str
    unit: str
    description: str
    statistic: str
    value: np.ndarray
    count: np.ndarray
    points: np.ndarray
    shares: dict[int, np.ndarray]
    words: dict[int, tuple[str, str]]
    codes: dict[int, str]
    sampled: int | None = None

    @property
    def failed(self) -> np.ndarray:
        """Share of the points of each tile whose status is not ok."""
        bad = [share for code, share in self.shares.items() if code != OK]
        return np.sum(bad, axis=0) if bad else np.where(self.points > 0, 0.0, np.nan)


def marginal(scan: Points, axis: str, name: str, bins: int | None = None) -> Marginal:
    """``name`` along ``axis``: levels of a grid axis are its bins, others have ``bins`` of them, even on their scale.

    Raises ValueError for an unknown axis or output, an output of codes and one of several numbers per point.
    """
    raise NotImplementedError


def pairwise(
    scan: Points,
    x: str,
    y: str,
    name: str,
    bins: int | tuple[int, int] | None = None,
    statistic: Literal["median", "mean"] = "median",
) -> Map:
    """``name`` over the axes ``x`` and ``y``; ``bins`` (of x, of y) as for :func:`marginal`.

    Raises ValueError for unknown axes or outputs, twice the same axis, and outputs of several numbers per point.
    """
    raise NotImplementedError
