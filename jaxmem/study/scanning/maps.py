"""Maps of a scan: one output along an axis, or over two of them, all other axes pooled.

Counts, shares and means are those of all points, added up piece by piece. Medians and quantiles are exact up to
`GATHERED` points; beyond, they are those of a random choice of about so many, and `sampled` says how many.
"""

import dataclasses
from typing import Literal

import numpy as np

from jaxmem.study.scanning.points import OK, PIECE, Points, axis_of, numbers, output_of, words_of

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
    output = output_of(scan, name)
    if words_of(scan, name):
        raise ValueError(
            f"{name} is a code and has no median; 'pairwise' maps its shares, or take an output of numbers"
        )
    places = bins_of(scan, axis, min(50, max(5, scan.points // 200)) if bins is None else bins)
    found = _Gathered(scan.points, len(places))
    for piece in scan.pieces((axis, name, "status"), PIECE):
        found.add(places.of(piece[axis]), numbers(piece[name], piece["status"]), piece["status"])
    low, median, high = found.quantiles((LOW, MEDIAN, HIGH))
    failed = sum((n for code, n in found.statuses.items() if code != OK), start=np.zeros(len(places)))
    return Marginal(
        places,
        name,
        output.unit,
        output.description,
        median,
        low,
        high,
        found.mean,
        found.count,
        found.points,
        _ratio(failed, found.points),
        found.sampled,
    )


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
    if statistic not in ("median", "mean"):
        raise ValueError(f"found the statistic {statistic!r}; allowed are 'median' and 'mean'")
    if x == y:
        raise ValueError(f"a map needs two axes; found {x!r} twice")
    output, codes = output_of(scan, name), words_of(scan, name)
    usual = min(64, max(6, round((scan.points / 20) ** 0.5)))
    of_x, of_y = bins if isinstance(bins, tuple) else (bins, bins)
    across, up = bins_of(scan, x, usual if of_x is None else of_x), bins_of(scan, y, usual if of_y is None else of_y)
    shape = (len(up), len(across))
    if shape[0] * shape[1] > TILES:
        raise ValueError(f"a map of {x} and {y} would have {shape[0]} x {shape[1]} tiles; at most {TILES:,} are drawn")
    found = _Gathered(scan.points, shape[0] * shape[1], keep=statistic == "median" and not codes, codes=codes)
    for piece in scan.pieces(tuple(dict.fromkeys((x, y, name, "status"))), PIECE):
        i, j, status = across.of(piece[x]), up.of(piece[y]), piece["status"]
        values = np.asarray(piece[name], float) if name == "status" else numbers(piece[name], status)
        found.add(np.where((i < 0) | (j < 0), -1, j * shape[1] + i), values, status)
    value = found.mode() if codes else found.mean if statistic == "mean" else found.quantiles((MEDIAN,))[0]
    points = found.points.reshape(shape)
    return Map(
        x=across,
        y=up,
        name=name,
        unit=output.unit,
        description=output.description,
        statistic="mode" if codes else statistic,
        value=value.reshape(shape),
        count=found.count.reshape(shape),
        points=points,
        shares={code: _ratio(n.reshape(shape), points) for code, n in sorted(found.statuses.items())},
        words={code: scan.statuses[code] for code in sorted(found.statuses) if code in scan.statuses},
        codes=codes,
        sampled=found.sampled if statistic == "median" and not codes else None,
    )


def bins_of(scan: Points, name: str, count: int) -> Bins:
    """The levels of a grid axis, or ``count`` bins between its bounds, even on its scale."""
    axis = axis_of(scan, name)
    scale = "log" if axis.scale == "log" else "linear"
    if axis.levels is not None:
        centres = np.unique(np.asarray(axis.levels, float))
        if scale == "log" and centres[0] <= 0:
            scale = "linear"
        return Bins(name, axis.unit, axis.description, scale, True, _between(centres, scale), centres)
    if count < 1:
        raise ValueError(f"found {count} bins of {name}; at least one is wanted")
    low, high = axis.low, axis.high
    if low is None or high is None:
        low, high = _bounds(scan, name)
    if scale == "log" and low <= 0:
        scale = "linear"
    if low == high:
        centres = np.array([float(low)])
        return Bins(name, axis.unit, axis.description, scale, False, _between(centres, scale), centres)
    edges = np.geomspace(low, high, count + 1) if scale == "log" else np.linspace(low, high, count + 1)
    centres = np.sqrt(edges[1:] * edges[:-1]) if scale == "log" else (edges[1:] + edges[:-1]) / 2
    return Bins(name, axis.unit, axis.description, scale, False, edges, centres)


def _between(levels: np.ndarray, scale: str) -> np.ndarray:
    """Edges half way between levels, the outer ones as far beyond."""
    x = np.log(levels) if scale == "log" else levels
    if len(x) == 1:
        half = 0.5 if scale == "log" else 0.5 * abs(float(x[0])) or 0.5
        edges = np.array([x[0] - half, x[0] + half])
    else:
        middle = (x[1:] + x[:-1]) / 2
        edges = np.concatenate([[2 * x[0] - middle[0]], middle, [2 * x[-1] - middle[-1]]])
    return np.exp(edges) if scale == "log" else edges


def _bounds(scan: Points, name: str) -> tuple[float, float]:
    low, high = np.inf, -np.inf
    for piece in scan.pieces((name,), PIECE):
        there = piece[name][np.isfinite(piece[name])]
        low, high = min(low, there.min(initial=np.inf)), max(high, there.max(initial=-np.inf))
    return (float(low), float(high)) if low <= high else (0.0, 1.0)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)


class _Gathered:
    """What fell into each bin, added up piece by piece."""

    def __init__(self, points: int, bins: int, keep: bool = True, codes: dict[int, str] | None = None):
        self.bins, self.keep = bins, keep
        self.chance = min(1.0, GATHERED / max(points, 1))
        self.random = np.random.default_rng(0)  # the same choice each time
        self.points, self.count = np.zeros(bins, np.int64), np.zeros(bins, np.int64)
        self.total = np.zeros(bins)
        self.statuses: dict[int, np.ndarray] = {}
        self.codes = {code: np.zeros(bins, np.int64) for code in codes or ()}
        self.values: list[np.ndarray] = []
        self.places: list[np.ndarray] = []

    def add(self, place: np.ndarray, values: np.ndarray, status: np.ndarray) -> None:
        inside = place >= 0
        place, values, status = place[inside], values[inside], status[inside]
        self.points += self._number(place)
        for code in np.unique(status):
            mine = self.statuses.setdefault(int(code), np.zeros(self.bins, np.int64))
            mine += self._number(place[status == code])
        there = ~np.isnan(values)
        place, values = place[there], values[there]
        self.count += self._number(place)
        self.total += np.bincount(place, values, self.bins)
        for code, mine in self.codes.items():
            mine += self._number(place[values == code])
        if self.keep and self.chance < 1:
            chosen = self.random.random(len(place)) < self.chance
            place, values = place[chosen], values[chosen]
        if self.keep:
            self.places.append(place.astype(np.int32))
            self.values.append(values)

    def _number(self, place: np.ndarray) -> np.ndarray:
        return np.bincount(place, minlength=self.bins)

    @property
    def sampled(self) -> int | None:
        """How many values the quantiles are from; None where from all."""
        return sum(map(len, self.values)) if self.keep and self.chance < 1 else None

    @property
    def mean(self) -> np.ndarray:
        return _ratio(self.total, self.count)

    def mode(self) -> np.ndarray:
        """The code that most points of a bin have; the first of several."""
        counts = np.stack(list(self.codes.values()))
        return np.where(counts.sum(0) > 0, np.array(list(self.codes), float)[counts.argmax(0)], np.nan)

    def quantiles(self, shares: tuple[float, ...]) -> list[np.ndarray]:
        """Of each bin, between neighbouring values (NumPy's "linear")."""
        place, values = np.concatenate([*self.places, np.zeros(0, np.int32)]), np.concatenate([*self.values, []])
        self.places, self.values = [place], [values]
        values = values[np.lexsort((values, place))]
        count = self._number(place)
        first = np.concatenate([[0], np.cumsum(count)[:-1]])
        found = []
        for share in shares:
            at = share * np.maximum(count - 1, 0)
            below = np.floor(at).astype(np.int64)
            above = np.minimum(below + 1, np.maximum(count - 1, 0))
            mine = np.full(self.bins, np.nan)
            there = count > 0
            low, high = values[(first + below)[there]], values[(first + above)[there]]
            mine[there] = low + (at - below)[there] * (high - low)
            found.append(mine)
        return found
