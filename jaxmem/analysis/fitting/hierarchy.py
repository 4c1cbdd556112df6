"""Fits where cells have parameters in common: shared values, and values that cells spread around.

What a cell has for itself is fitted cell by cell with the common values held, so that no cell waits for another. The common
values take damped Gauss-Newton steps on what is then left: J'J has the shape of an arrow, a small block per cell and a border
of what is common, and eliminating the blocks leaves one small system per start (the Schur complement). G. H. Golub &
V. Pereyra (1973), SIAM J Numer Anal 10:413, doi:10.1137/0710036, for functions linear in what is eliminated.
"""

from collections.abc import Callable

import numpy as np

from jaxmem.analysis.fitting import levenberg_marquardt as lm
from jaxmem.analysis.fitting.method import FLAT, MET, SEARCHING, Improved, Method
from jaxmem.analysis.fitting.problem import Layout, Numbers, Vector, taken
from jaxmem.analysis.fitting.residuals import weighted, weighted_slopes

INNER = 30  # steps of the cells at most, between two of the common values
FIRM = 1e-9  # damping of the cells' blocks, which are at their minimum
LITTLE = 1e-13  # of the cost: what a step of the common values must gain


def fit_together(
    layout: Layout, numbers: Numbers, y: Vector, u: Vector, resting: np.ndarray, cells: int, methods: list[Method],
    tell: Callable[[int], None],
) -> Improved:  # fmt: skip
    """All cells of a start at once; cells without a resting state take no part. Raises ValueError for other methods."""
    method = methods[-1]
    if len(methods) > 1 or not isinstance(method, lm.LevenbergMarquardt):
        raise ValueError(
            "shared and pooled parameters are fitted by Levenberg-Marquardt alone; leave out the other methods"
        )
    members, dtype = resting.size, y[0].dtype
    starts, k = members // cells, len(y)
    tolerance = lm.TOLERANCE[str(dtype)] if method.tolerance is None else method.tolerance
    own, common = [a for a in range(k) if a not in layout.common], list(layout.common)
    by_start = lambda x: np.asarray(x, np.float64).reshape((*np.shape(x)[:-1], starts, cells))
    low, high = (
        np.stack([np.broadcast_to(np.asarray(x, np.float64), members) for x in e]) for e in (numbers.low, numbers.high)
    )
    low, high, part = by_start(low), by_start(high), by_start(resting)
    logarithmic = np.array([*layout.logarithmic, *(layout.logarithmic[i] for i in layout.pooled)])
    reach = np.where(logarithmic[:, None, None], 1.0, (high - low) / 8)
    once = np.ones(len(layout.rows) + len(layout.priors) + len(layout.pooled))
    for row, i in enumerate(layout.priors):  # the prior of what is shared counts once, not for every cell
        if i in layout.shared:
            once[len(layout.rows) + row] = 1 / np.sqrt(cells)

    inner = lm.LevenbergMarquardt(tolerance=0.0, iterations=INNER)

    def settled(here: np.ndarray, guess: list[np.ndarray], live: np.ndarray) -> tuple[np.ndarray, lm.Descent]:
        """What cells have for themselves at its best, with these common values; and what there is to know there."""
        flat = tuple(x.reshape(members).astype(dtype) for x in here)
        u = tuple(x.astype(dtype) for x in guess)
        if own:
            pinned = lambda ends: tuple(flat[a] if a in common else np.asarray(x) for a, x in enumerate(ends))
            held = numbers._replace(low=pinned(numbers.low), high=pinned(numbers.high))
            which = np.flatnonzero(np.repeat(live, cells) & resting)
            part, cut = taken(held, which), lambda x: x[..., which]
            news = inner.improve(layout, part, tuple(map(cut, flat)), tuple(map(cut, u)), lambda done: None)
            good = which[np.isfinite(news.cost)]
            put = lambda old, new: _put(good, old, new[..., np.isfinite(news.cost)])
            flat, u = tuple(map(put, flat, news.y)), tuple(map(put, u, news.u))
        return by_start(np.stack(flat)), lm.looked(layout, numbers, flat, u)

    here, at = settled(by_start(np.stack(y)), [np.asarray(x) for x in u], np.ones(starts, bool))
    kept, kept_u, ways = here, [np.asarray(x) for x in at.u], np.stack([np.stack(way) for way in at.ways])
    cost, damping = np.full(starts, np.inf), np.full(starts, lm.FIRST_DAMPING)
    outcome, steps = np.full(starts, SEARCHING), np.zeros(starts, np.int32)
    slope, curvature = np.zeros((k, starts, cells)), np.zeros((k, k, starts, cells))
    for _ in range(method.iterations):
        live = outcome == SEARCHING
        flat = tuple(x.reshape(members).astype(dtype) for x in here)
        rows = by_start(weighted(layout, numbers, flat, at.values)) * once[:, None, None]
        slopes = by_start(weighted_slopes(layout, numbers, at.slopes)) * once[:, None, None, None]
        rows, slopes = np.where(part > 0, rows, 0.0), np.where(part > 0, slopes, 0.0)
        found = (np.isfinite(by_start(at.cost)) | (part == 0)).all(-1)
        new = np.sum(rows**2, (0, 2))
        better = live & found & (new < cost)
        before = np.where(np.isfinite(cost) & (cost > 0), cost, 1.0)
        gain = np.where(better & np.isfinite(cost), (before - new) / before, 1.0)
        wide = np.repeat(better, cells)
        kept = np.where(better[:, None], here, kept)
        kept_u = [np.where(wide, a, b) for a, b in zip(at.u, kept_u, strict=True)]
        ways = np.where(wide, np.stack([np.stack(way) for way in at.ways]), ways)
        slope = np.where(better[:, None], np.einsum("rsc,rasc->asc", rows, slopes), slope)
        curvature = np.where(better[:, None], np.einsum("rasc,rbsc->absc", slopes, slopes), curvature)
        largest = np.where(better, np.abs(rows).max((0, 2)), np.inf)
        cost = np.where(better, new, cost)
        damping = np.where(
            better, np.maximum(damping * lm.EASE, lm.LEAST_DAMPING), np.maximum(damping, lm.STIFF) * lm.STIFFEN
        )
        total, bend = slope[common].sum(-1), np.einsum("aasc->as", curvature[common][:, common])
        ends = kept[common][:, :, 0]
        held = np.zeros_like(kept, bool)
        held[common] = (
            ((ends <= low[common][:, :, 0]) & (total > 0)) | ((ends >= high[common][:, :, 0]) & (total < 0))
        )[..., None]
        held[own] = ((kept <= low) & (slope > 0) | (kept >= high) & (slope < 0))[own]
        size = np.sqrt(np.where(bend > 0, bend, 1) * np.where(cost > 0, cost, 1))
        along = np.abs(np.where(held[common][:, :, 0], 0, total)) / size
        still = (along.max(0) < lm.ALONG[str(dtype)]) | (damping > lm.MOST_DAMPING) | (better & (gain < LITTLE))
        news = np.where(largest < tolerance, MET, np.where(still, FLAT, SEARCHING))
        outcome = np.where(live, news, outcome)
        steps += live
        tell(int(np.sum(outcome != SEARCHING)) * cells)
        live = outcome == SEARCHING
        if not live.any():
            break
        move = _step(slope, curvature, held, damping, own, common)
        longest = (np.abs(move[common]) / reach[common]).max((0, 2)) / lm.LONGEST
        move = np.clip(move / np.maximum(longest, 1)[:, None], -lm.LONGEST * reach, lm.LONGEST * reach)
        here = np.clip(kept + move, low, high)
        moved = (here - kept).reshape(k, members)
        here, at = settled(here, [x + np.einsum("acm,am->cm", ways[:, i], moved) for i, x in enumerate(kept_u)], live)
    each = lambda x: np.repeat(x, cells).astype(np.int32)
    flat = tuple(x.reshape(members).astype(dtype) for x in kept)
    return Improved(flat, tuple(x.astype(dtype) for x in kept_u), each(outcome), each(steps))


def _put(which: np.ndarray, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    old = np.array(old)
    old[..., which] = new
    return old


def _step(
    slope: np.ndarray, curvature: np.ndarray, held: np.ndarray, damping: np.ndarray, own: list[int], common: list[int]
) -> np.ndarray:
    """The damped Gauss-Newton step (coordinates, starts, cells), by the Schur complement of the cells' own blocks."""
    k, starts, cells = slope.shape
    h = np.moveaxis(np.where(held[:, None] | held[None], 0.0, curvature), (0, 1), (2, 3))  # starts, cells, a, b
    g = np.moveaxis(np.where(held, 0.0, slope), 0, -1)
    still = np.moveaxis(held, 0, -1)
    damp = lambda a, d, by: a + (by * np.where(d > 0, d, 1.0))[..., None] * np.eye(d.shape[-1])
    free = lambda a, s: a + s[..., None] * np.eye(s.shape[-1])
    diagonal = lambda a: np.einsum("...ii->...i", a)
    hoo, hoc, hcc = h[:, :, own][..., own], h[:, :, own][..., common], h[:, :, common][..., common].sum(1)
    gc = g[..., common].sum(1)
    solved = np.linalg.solve(
        free(damp(hoo, diagonal(hoo), FIRM), still[..., own]), np.concatenate([hoc, g[..., own][..., None]], -1)
    ) if own else np.zeros((starts, cells, 0, len(common) + 1))  # fmt: skip
    x, z = solved[..., :-1], solved[..., -1]
    schur = damp(hcc, diagonal(hcc), damping[:, None]) - np.einsum("scoa,scob->sab", hoc, x)
    right = gc - np.einsum("scoa,sco->sa", hoc, z)
    schur = free(schur, still[:, 0][..., common] | (diagonal(schur) <= 0))
    dc = -np.linalg.solve(schur, right[..., None])[..., 0]
    do = -(z + np.einsum("scoa,sa->sco", x, dc))
    step = np.zeros((k, starts, cells))
    for j, a in enumerate(common):
        step[a] = dc[:, j][:, None]
    for j, a in enumerate(own):
        step[a] = do[..., j]
    return step
