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
    axes, design = tuple(scan.axes), scan.design
    why = "they failed or have no number"
    # Of a nested design every point of the inner one is met by all of the outer one: it is drawn as a whole, and of the
    # inner axes what counts is its mean.
    inner = dict(design["inner"]) if design.get("kind") == "nested" else {}
    size = int(inner.get("points", scan.points))
    within = [axis in inner.get("axes", ()) for axis in axes]
    exact = design.get("kind") in ("grid", "nested")  # all levels meet the same other points: no scatter to take off
    edges = [_edges(scan, a, size if w else scan.points, seed) for a, w in zip(axes, within, strict=True)]
    blocks = min(BLOCKS, size)
    sums = [np.zeros((blocks, 3 * (len(edge) + 1))) for edge in edges]
    whole = np.zeros((blocks, 3))
    clusters = np.zeros((2, size if any(within) else 0))
    shift, seen = 0.0, False
    low, high, used = np.inf, -np.inf, 0
    for start in range(0, scan.points, PIECE):
        stop = min(start + PIECE, scan.points)
        y = numbers(scan.part(name, start, stop), scan.part(STATUS, start, stop))
        there = np.isfinite(y)
        if inner or scan.points == blocks:
            block = np.arange(start, stop) % size * blocks // size
        else:
            block = np.random.default_rng((seed, start)).integers(0, blocks, len(y))
        block, y = block[there], y[there]
        used += len(y)
        if not len(y):
            continue
        if not seen:
            shift, seen = float(y.mean()), True
        low, high = min(low, float(y.min())), max(high, float(y.max()))
        y = y - shift
        whole += _sums(block, blocks, np.zeros(0), y, y)
        if any(within):
            place = np.arange(start, stop)[there] % size
            clusters += np.bincount(place, minlength=size), np.bincount(place, y, size)
        for axis, edge, mine, inside in zip(axes, edges, sums, within, strict=True):
            if not inside:
                mine += _sums(block, blocks, edge, scan.part(axis, start, stop)[there], y)
    left_out = scan.points - used
    met = clusters[0] > 0
    few = used < FEWEST or (any(within) and met.sum() < FEWEST)
    if few or flat(low, high, scan.outputs[name]):
        trouble = f"fewer than {FEWEST} points have a number" if few else "the output does not vary"
        return nothing(len(axes), False, used, left_out, BINNED, "points", why, trouble)
    for i in [i for i, inside in enumerate(within) if inside]:
        means = clusters[1, met] / clusters[0, met]
        sums[i] = _sums(
            (np.arange(size) * blocks // size)[met], blocks, edges[i], scan.part(axes[i], 0, size)[met], means
        )
    first, ends = np.empty(len(axes)), (np.empty(len(axes)), np.empty(len(axes)))
    for i, mine in enumerate(sums):
        drawn = np.hstack([mine, whole])[whole[:, 0] > 0]
        noise = 0.0 if exact and not within[i] else 1.0
        estimate = functools.partial(_correlation, noise=noise)
        # a resample adds the scatter of its bins' means to the sample's own, which is in it already
        again = functools.partial(_correlation, noise=noise + 1)
        first[i] = estimate(drawn.sum(0)[None])[0, 0]
        ends[0][i], ends[1][i] = (end[0] for end in interval(drawn, estimate, confidence, resamples, seed, again))
    counts = [len(edge) + 1 for edge in edges]
    bins = " to ".join(map(str, sorted({min(counts), max(counts)})))
    told = f"first-order indices alone, from {used:,} points as they are, in {bins} bins along each axis"
    return Found(first, ends, None, None, used, left_out, BINNED, "points", why, told)


def _sums(block: np.ndarray, blocks: int, edge: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(blocks, 3 bins): of each bin of ``x`` how many there are, the sum of their ``y``, the sum of its squares."""
    bins = len(edge) + 1
    place = block * bins + np.searchsorted(edge, x, side="right")
    return np.hstack([np.bincount(place, w, blocks * bins).reshape(blocks, bins) for w in (None, y, y**2)])


def _edges(scan: Points, axis: str, points: int, seed: int) -> np.ndarray:
    """Inner edges of bins of equal counts of the first ``points``, or between the levels where these are few."""
    most = int(np.clip(np.sqrt(points), 2, BINS))
    chosen = []
    for start in range(0, points, PIECE):
        x = np.asarray(scan.part(axis, start, min(start + PIECE, points)), float)
        if points > CHOSEN:
            x = x[np.random.default_rng((seed, start)).random(len(x)) < CHOSEN / points]
        chosen.append(x[np.isfinite(x)])
    x = np.concatenate(chosen)
    levels = np.unique(x)
    if len(levels) <= most:
        return (levels[1:] + levels[:-1]) / 2
    return np.unique(np.quantile(x, np.arange(1, most) / most))


def _correlation(sums: np.ndarray, noise: float) -> np.ndarray:
    """(r, 3 bins + 3) to (r, 1): variance between bins, less ``noise`` times what scatter adds to it, over all variance.

    Between = sum n_j (m_j - m)^2 / n, scatter (bins - 1) within / ((n - bins) n), with the sums over the bins; all
    variance from the last three, which are over all points.
    """
    count, total, squares = np.split(sums[:, :-3], 3, axis=1)
    n = count.sum(1)
    mean_square = total.sum(1) ** 2 / n
    between = np.divide(total**2, count, out=np.zeros_like(total), where=count > 0).sum(1) - mean_square
    within = squares.sum(1) - mean_square - between
    bins = (count > 0).sum(1)
    scatter = (bins - 1) * within / np.maximum(n - bins, 1)
    points, whole, whole_squares = sums[:, -3:].T
    variance = whole_squares / points - (whole / points) ** 2
    return ((between - noise * scatter) / n / variance)[:, None]
