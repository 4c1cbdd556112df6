"""Sobol indices from points that were not made for them: means of bins along each axis, or all lines of a full grid."""

import dataclasses
import functools

import numpy as np

from jaxmem.study.scanning.bootstrap import interval
from jaxmem.study.scanning.points import PIECE, STATUS, OutputLike, Points, column, numbers

FEWEST = 16  # points or base samples; below, no index is given
BINS = 128  # along an axis; fewer where there are fewer points than the square of this
CHOSEN = 2**18  # points of which the places of the bins are found
BLOCKS = 512  # of points, thrown together by chance
GRID, BINNED = "all lines of the grid", "binned means (Plischke et al. 2013)"
Ends = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Found:
    """Indices with the ends of their intervals; what was used (``unit``), ``why`` some was not, what else to say."""

    first: np.ndarray
    first_ends: Ends
    total: np.ndarray | None
    total_ends: Ends | None
    used: int
    left_out: int
    method: str
    unit: str
    why: str
    told: str
    trouble: str = ""


def nothing(axes: int, total: bool, used: int, left_out: int, method: str, unit: str, why: str, trouble: str) -> Found:
    """No index at all, and the reason."""
    none = np.full(axes, np.nan)
    ends = none.copy(), none.copy()
    told = f"no indices: {used:,} {unit}"
    totals, their_ends = (none.copy(), ends) if total else (None, None)
    return Found(none, ends, totals, their_ends, used, left_out, method, unit, why, told, trouble)


def flat(low: float, high: float, output: OutputLike) -> bool:
    """Whether an output varies by no more than its rounding."""
    kind = np.dtype(output.dtype)
    rounding = np.finfo(kind).eps if kind.kind == "f" else 0.0
    return not high - low > 8 * rounding * max(abs(low), abs(high))


def indices(scan: Points, name: str, confidence: float, resamples: int, seed: int) -> Found:
    """First-order indices of one output from all points that have a number; of a whole full grid the total ones too."""
    if scan.design.get("kind") == "grid" and all(axis.levels is not None for axis in scan.axes.values()):
        shape = tuple(len(axis.levels) for axis in scan.axes.values())
        if int(np.prod(shape)) == scan.points:
            y = column(scan, name)
            if y.size >= FEWEST and np.isfinite(y).all() and not flat(y.min(), y.max(), scan.outputs[name]):
                return _grid(y.reshape(shape))
    return _binned(scan, name, confidence, resamples, seed)


def _grid(y: np.ndarray) -> Found:
    """Every level weighs the same; nothing was drawn by chance, so there are no intervals."""
    variance = y.var()
    others = lambda i: tuple(j for j in range(y.ndim) if j != i)
    first = np.array([y.mean(others(i)).var() for i in range(y.ndim)]) / variance
    total = np.array([y.var(i).mean() for i in range(y.ndim)]) / variance
    none = np.full(y.ndim, np.nan)
    told = f"exact for the levels of the grid ({y.size:,} points), each weighing the same: there is no interval"
    return Found(first, (none, none), total, (none, none), y.size, 0, GRID, "points", "", told)


def _binned(scan: Points, name: str, confidence: float, resamples: int, seed: int) -> Found:
    axes = tuple(scan.axes)
    why = "they failed or have no number"
    noise = 0.0 if scan.design.get("kind") == "grid" else 1.0  # all levels of a grid meet the same other points
    most = int(np.clip(np.sqrt(scan.points), 2, BINS))
    edges = [_edges(scan, axis, most, seed) for axis in axes]
    blocks = min(BLOCKS, scan.points)
    # of each block and each bin of each axis: how many, their sum, the sum of their squares
    sums = [np.zeros((blocks, 3 * (len(e) + 1))) for e in edges]
    shift, seen = 0.0, False
    low, high, used = np.inf, -np.inf, 0
    for start in range(0, scan.points, PIECE):
        stop = min(start + PIECE, scan.points)
        y = numbers(scan.part(name, start, stop), scan.part(STATUS, start, stop))
        there = np.isfinite(y)
        block = np.random.default_rng((seed, start)).integers(0, blocks, len(y))[there]
        if scan.points == blocks:
            block = np.arange(start, stop)[there]
        y = y[there]
        used += len(y)
        if not len(y):
            continue
        if not seen:
            shift, seen = float(y.mean()), True
        low, high = min(low, float(y.min())), max(high, float(y.max()))
        y = y - shift
        for axis, edge, mine in zip(axes, edges, sums, strict=True):
            bins = len(edge) + 1
            place = block * bins + np.searchsorted(edge, scan.part(axis, start, stop)[there], side="right")
            for k, x in enumerate((None, y, y**2)):
                found = np.bincount(place, x, blocks * bins).reshape(blocks, bins)
                mine[:, k * bins : (k + 1) * bins] += found
    left_out = scan.points - used
    if used < FEWEST or flat(low, high, scan.outputs[name]):
        trouble = "the output does not vary" if used >= FEWEST else f"fewer than {FEWEST} points have a number"
        return nothing(len(axes), False, used, left_out, BINNED, "points", why, trouble)
    first, ends = np.empty(len(axes)), (np.empty(len(axes)), np.empty(len(axes)))
    for i, mine in enumerate(sums):
        mine = mine[mine[:, : mine.shape[1] // 3].sum(1) > 0]
        estimate = functools.partial(_correlation, noise=noise)
        # a resample adds the scatter of its bins' means to the sample's own, which is in it already
        again = functools.partial(_correlation, noise=noise + 1)
        first[i] = estimate(mine.sum(0)[None])[0, 0]
        ends[0][i], ends[1][i] = (end[0] for end in interval(mine, estimate, confidence, resamples, seed, again))
    counts = [len(inner) + 1 for inner in edges]
    told_bins = " to ".join(map(str, sorted({min(counts), max(counts)})))
    told = f"first-order indices alone, from {used:,} points as they are, in {told_bins} bins along each axis"
    return Found(first, ends, None, None, used, left_out, BINNED, "points", why, told)


def _edges(scan: Points, axis: str, most: int, seed: int) -> np.ndarray:
    """Inner edges of bins of equal counts, or between the levels where there are no more than ``most``."""
    chosen = []
    for start in range(0, scan.points, PIECE):
        x = scan.part(axis, start, min(start + PIECE, scan.points))
        if scan.points > CHOSEN:
            random = np.random.default_rng((seed, start))
            x = x[random.random(len(x)) < CHOSEN / scan.points]
        chosen.append(np.asarray(x, float))
    x = np.concatenate(chosen)
    levels = np.unique(x[np.isfinite(x)])
    if len(levels) <= most:
        return (levels[1:] + levels[:-1]) / 2
    return np.unique(np.quantile(x[np.isfinite(x)], np.arange(1, most) / most))


def _correlation(sums: np.ndarray, noise: float) -> np.ndarray:
    """(r, 3 bins) to (r, 1): variance between bins over all variance, less ``noise`` times what scatter adds to it.

    Between = sum n_j (m_j - m)^2, within = all - between, noise (bins - 1) within / (n - bins).
    """
    count, total, squares = np.split(sums, 3, axis=1)
    n = count.sum(1)
    mean_square = total.sum(1) ** 2 / n
    whole = squares.sum(1) - mean_square
    between = np.divide(total**2, count, out=np.zeros_like(total), where=count > 0).sum(1) - mean_square
    bins = (count > 0).sum(1)
    scatter = (bins - 1) * (whole - between) / np.maximum(n - bins, 1)
    return ((between - noise * scatter) / whole)[:, None]
