"""Sobol indices of a Saltelli design: each base sample has a point A, a point B, and A with one axis of B, for each axis.

First order: mean(f_B (f_AB - f_A)) / Var; total: mean((f_A - f_AB)^2) / (2 Var), with Var of all f_A and f_B (Saltelli
et al. 2010, doi:10.1016/j.cpc.2009.09.018, table 2, b and f). With the mean taken off beforehand these are what
scipy.stats.sobol_indices gives; here they are made of sums, so that a scan of any size is read once, piece by piece.
"""

import numpy as np

from jaxmem.study.scanning.bootstrap import BLOCKS, interval
from jaxmem.study.scanning.given_data import FEWEST, Found, flat, nothing
from jaxmem.study.scanning.points import PIECE, STATUS, Points, numbers

KIND = "sensitivity"
METHOD = "Saltelli et al. 2010"


def fits(scan: Points) -> bool:
    """Whether the points are base samples of this design."""
    return scan.design.get("kind") == KIND


def indices(scan: Points, name: str, confidence: float, resamples: int, seed: int) -> Found:
    """First-order and total indices of one output, from the base samples that are whole."""
    axes = len(scan.axes)
    each = axes + 2
    rows = scan.points // each
    blocks = min(BLOCKS, rows)
    sums = np.zeros((blocks, 3 + 3 * axes))
    read = max(1, PIECE // each)
    shift, seen = 0.0, False
    low, high = np.inf, -np.inf
    for start in range(0, rows, read):
        stop = min(start + read, rows)
        place = start * each, stop * each
        y = numbers(scan.part(name, *place), scan.part(STATUS, *place)).reshape(-1, each)
        whole = ~np.isnan(y).any(1)
        y = y[whole]
        if not len(y):
            continue
        if not seen:  # near the mean, so that sums of squares keep their digits; the rest of it is taken off below
            shift, seen = float(y[:, :2].mean()), True
        low, high = min(low, float(y.min())), max(high, float(y.max()))
        y = y - shift
        a, b, ab = y[:, 0], y[:, 1], y[:, 2:]
        parts = np.column_stack([np.ones(len(a)), a + b, a**2 + b**2, b[:, None] * (ab - a[:, None]), ab - a[:, None],
                                 (a[:, None] - ab) ** 2])  # fmt: skip
        mine = np.arange(start, stop)[whole] * blocks // rows
        first, count = int(mine[0]), int(mine[-1] - mine[0] + 1)
        for k in range(parts.shape[1]):
            sums[first : first + count, k] += np.bincount(mine - first, parts[:, k], count)
    used = int(sums[:, 0].sum())
    why = "a point of theirs has no number"
    if used < FEWEST or flat(low, high, scan.outputs[name]):
        trouble = "the output does not vary" if used >= FEWEST else f"fewer than {FEWEST} base samples are whole"
        return nothing(axes, True, used, rows - used, METHOD, "base samples", why, trouble)
    sums = sums[sums[:, 0] > 0]
    found = _statistic(sums.sum(0)[None])[0]
    ends = interval(sums, _statistic, confidence, resamples, seed)
    return Found(
        found[:axes], (ends[0][:axes], ends[1][:axes]), found[axes:], (ends[0][axes:], ends[1][axes:]), used, rows - used,
        METHOD, "base samples", why, f"first-order and total indices from {used:,} base samples",
    )  # fmt: skip


def _statistic(sums: np.ndarray) -> np.ndarray:
    """(r, 3 + 3 d) sums to (r, 2 d): first-order, then total indices."""
    n, both, squares = sums[:, :1], sums[:, 1:2], sums[:, 2:3]
    product, gap, apart = np.split(sums[:, 3:], 3, axis=1)
    mean = both / (2 * n)
    variance = squares / (2 * n) - mean**2
    return np.hstack([(product - mean * gap) / n, apart / (2 * n)]) / variance
