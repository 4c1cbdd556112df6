"""Levenberg-Marquardt where cells have parameters in common: shared values, and values that cells spread around.

J'J has the shape of an arrow: a small block per cell, and a border of what is common. Eliminating the blocks leaves a small
system per start (the Schur complement), so that the work grows with the number of cells and no faster.
"""

from collections.abc import Callable

import numpy as np

from jaxmem.analysis.fitting import levenberg_marquardt as lm
from jaxmem.analysis.fitting.method import FLAT, MET, SEARCHING, Improved, Method
from jaxmem.analysis.fitting.problem import Layout, Numbers, Vector
from jaxmem.analysis.fitting.residuals import weighted, weighted_slopes


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

    here, guess = by_start(np.stack(y)), [np.array(x) for x in u]
    kept, kept_u = here.copy(), [x.copy() for x in guess]
    cost, damping = np.full(starts, np.inf), np.full(starts, lm.FIRST_DAMPING)
    outcome, steps = np.full(starts, SEARCHING), np.zeros(starts, np.int32)
    slope, curvature = np.zeros((k, starts, cells)), np.zeros((k, k, starts, cells))
    ways: np.ndarray | None = None
    for _ in range(method.iterations):
        live = outcome == SEARCHING
        if not live.any():
            break
        flat = tuple(x.reshape(members).astype(dtype) for x in here)
        at = lm.looked(layout, numbers, flat, tuple(x.astype(dtype) for x in guess))
        one = np.ones(members)
        rows = by_start(np.stack(weighted(layout, numbers, flat, at.values))) * once[:, None, None]
        slopes = by_start(np.stack([np.stack(x) for x in weighted_slopes(layout, numbers, at.slopes, one)]))
        rows, slopes = np.where(part > 0, rows, 0.0), np.where(part > 0, slopes * once[:, None, None, None], 0.0)
        found = (np.isfinite(by_start(at.cost)) | (part == 0)).all(-1)
        new = np.sum(rows**2, (0, 2))
        better = live & found & (new < cost)
        wide = np.repeat(better, cells)
        kept = np.where(better[:, None], here, kept)
        kept_u = [np.where(wide, a, b) for a, b in zip(at.u, kept_u, strict=True)]
        new_ways = np.stack([np.stack(way) for way in at.ways])
        ways = new_ways if ways is None else np.where(wide, new_ways, ways)
        slope = np.where(better[:, None], np.einsum("rsc,rasc->asc", rows, slopes), slope)
        curvature = np.where(better[:, None], np.einsum("rasc,rbsc->absc", slopes, slopes), curvature)
        largest = np.where(better, np.abs(rows).max((0, 2)), np.inf)
        cost = np.where(better, new, cost)
        damping = np.where(
            better, np.maximum(damping * lm.EASE, lm.LEAST_DAMPING), np.maximum(damping, lm.STIFF) * lm.STIFFEN
        )
        diagonal = np.einsum("aasc->asc", curvature)
        total, bend = slope.copy(), diagonal.copy()
        for a in common:
            total[a], bend[a] = slope[a].sum(-1, keepdims=True), diagonal[a].sum(-1, keepdims=True)
        held = ((kept <= low) & (total > 0)) | ((kept >= high) & (total < 0))
        with np.errstate(invalid="ignore"):
            along = np.abs(np.where(held, 0, total)) / np.sqrt(
                np.where(bend > 0, bend, 1) * np.where(cost > 0, cost, 1)[:, None]
            )
        done = np.where((along.max((0, 2)) < lm.ALONG[str(dtype)]) | (damping > lm.MOST_DAMPING), FLAT, SEARCHING)
        done = np.where(largest < tolerance, MET, done)
        outcome = np.where(live, done, outcome)
        steps += live
        move = _step(slope, curvature, held, damping, own, common)
        shrink = np.maximum((np.abs(move) / reach).max((0, 2)) / lm.LONGEST, 1)
        here = np.clip(kept + move / shrink[:, None], low, high)
        moved = (here - kept).reshape(k, members)
        guess = [x + np.einsum("acm,am->cm", ways[:, i], moved) for i, x in enumerate(kept_u)]
        tell(int(np.sum(outcome != SEARCHING)) * cells)
    each = lambda x: np.repeat(x, cells).astype(np.int32)
    return Improved(
        tuple(x.reshape(members).astype(dtype) for x in kept),
        tuple(x.astype(dtype) for x in kept_u),
        each(outcome),
        each(steps),
    )


def _step(
    slope: np.ndarray, curvature: np.ndarray, held: np.ndarray, damping: np.ndarray, own: list[int], common: list[int]
) -> np.ndarray:
    """The damped Gauss-Newton step (coordinates, starts, cells), by the Schur complement of the cells' own blocks."""
    k, starts, cells = slope.shape
    h = np.moveaxis(np.where(held[:, None] | held[None], 0.0, curvature), (0, 1), (2, 3))  # starts, cells, a, b
    g = np.moveaxis(np.where(held, 0.0, slope), 0, -1)
    still = np.moveaxis(held, 0, -1)
    damp = lambda a, d: (
        a + damping.reshape((-1,) + (1,) * (a.ndim - 1)) * np.where(d > 0, d, 1.0)[..., None] * np.eye(d.shape[-1])
    )
    free = lambda a, s: a + s[..., None] * np.eye(s.shape[-1])
    diagonal = lambda a: np.einsum("...ii->...i", a)
    hoo, hoc, hcc = h[:, :, own][..., own], h[:, :, own][..., common], h[:, :, common][..., common].sum(1)
    gc = g[..., common].sum(1)
    solved = np.linalg.solve(
        free(damp(hoo, diagonal(hoo)), still[..., own]), np.concatenate([hoc, g[..., own][..., None]], -1)
    ) if own else np.zeros((starts, cells, 0, len(common) + 1))  # fmt: skip
    x, z = solved[..., :-1], solved[..., -1]
    schur = damp(hcc, diagonal(hcc)) - np.einsum("scoa,scob->sab", hoc, x)
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
