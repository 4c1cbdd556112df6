"""Which directions of parameter space a Jacobian sees, for all cells at once, and sparse bases of what it sees or not."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# A derivative at a rest is good to about 1e-10 of itself in float64, to 1e-5 in float32. What is exactly 0 in theory
# comes out as large as that; what a target tells is seldom below 1e-4 of what it tells most. The cut lies in between.
ROUNDING = {"float64": 1e-7, "float32": 2e-3}
WHOLE = 1e-5  # within which a direction is one of whole numbers; ten times the rounding where that is more
NEARLY_ALL = 0.95  # of the cells of which a direction must be true
MOST_CANDIDATES = 4000


class Seen(NamedTuple):
    """Per cell: how many directions are seen, and the projector (n, n) on those that are not.

    ``covariance`` (n, n) is the inverse of J^T J on the directions that are seen, 0 on the others; ``alive`` (n,): whether a
    coordinate changes anything.
    """

    rank: np.ndarray
    alive: np.ndarray
    unseen: np.ndarray
    covariance: np.ndarray


def seen(jacobian: np.ndarray, rounding: float) -> Seen:
    """What a Jacobian (*S, rows, n) sees, in coordinates whose unit is a sizeable change (an e-fold, a width of bounds).

    A rank does not depend on the units of rows and columns, and is decided where they have none: rows of length 1, then
    columns of length 1; a singular value below ``rounding`` of the largest is 0. A row that moves by less than
    ``rounding`` of its standard deviation per unit, and a column that is below ``rounding`` of the longest, are 0.
    """
    n = jacobian.shape[-1]
    rows = np.linalg.norm(jacobian, axis=-1, keepdims=True)
    even = np.where(rows > rounding, jacobian / np.where(rows > rounding, rows, 1.0), 0.0)
    columns = np.linalg.norm(even, axis=-2, keepdims=True)
    alive = columns > rounding * columns.max(-1, keepdims=True, initial=0.0)
    size = np.where(alive, columns, 1.0)
    even = np.where(alive, even / size, 0.0)
    values, turned = _decomposed(even)
    kept = values > rounding * np.maximum(values[..., :1], np.finfo(float).tiny)
    rank = kept.sum(-1)

    # directions in the coordinates themselves: what is seen are the rows' combinations, turned @ diag(size)
    order = np.arange(n) < rank[..., None]
    spanned = np.where(order[..., None], turned, 0.0) * size
    values, basis = _decomposed(spanned / np.maximum(np.linalg.norm(spanned, axis=-1, keepdims=True), 1e-300))
    basis = np.where(order[..., None], basis, 0.0)
    unseen = np.eye(n) - np.swapaxes(basis, -1, -2) @ basis

    # the inverse where columns have length 1, which keeps it well conditioned
    length = np.linalg.norm(jacobian, axis=-2, keepdims=True)
    length = np.where(length > 0, length, 1.0)
    within = _decomposed(basis / length)[1]  # of z = length * u, an orthonormal basis of what is seen
    within = np.where(order[..., None], within, 0.0)
    values, turned = _decomposed(jacobian / length @ np.swapaxes(within, -1, -2) @ within)
    inverse = np.where(order, 1.0 / np.where(order & (values > 0), values, 1.0), 0.0)
    half = inverse[..., None] * turned
    covariance = np.swapaxes(half, -1, -2) @ half / (length * np.swapaxes(length, -1, -2))
    return Seen(rank, alive[..., 0, :], unseen, covariance)


def _decomposed(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All n singular values, the largest first, and the right vectors as rows."""
    rows, n = matrix.shape[-2:]
    if rows < n:
        matrix = np.concatenate([matrix, np.zeros((*matrix.shape[:-2], n - rows, n))], -2)
    _, values, turned = np.linalg.svd(matrix, full_matrices=False)
    return values, turned


def null_basis(unseen: np.ndarray) -> np.ndarray:
    """An orthonormal basis (k, n) of what one projector (n, n) projects on."""
    values, vectors = np.linalg.eigh(unseen)
    return vectors[:, values > 0.5].T


def from_others(jacobian: np.ndarray, common: Sequence[int], targets: int) -> np.ndarray:
    """What all other cells say of the coordinates that all have in common, as rows (*S, len(common), n) of each cell.

    ``jacobian`` (*S, rows, n), the cells on the last axis of S, priors after the first ``targets`` rows. Of each cell that is
    the part of its common columns at right angles to its own ones (the Schur complement of its information); a prior
    of what is common is in the rows of every cell and counts once.
    """
    n, which = jacobian.shape[-1], list(common)
    own = [i for i in range(n) if i not in common]
    prior = (np.arange(jacobian.shape[-2]) >= targets) & ~(jacobian[..., own] != 0).any(-1)
    told = np.where(prior[..., None], 0.0, jacobian)
    length = np.linalg.norm(told[..., own], axis=-2, keepdims=True)
    mine = told[..., own] / np.where(length > 0, length, 1.0)
    left, values, _ = np.linalg.svd(mine, full_matrices=False)
    left = np.where((values > 1e-12 * np.maximum(values[..., :1], 1e-300))[..., None, :], left, 0.0) if own else left
    shared = told[..., which]
    across = shared - left @ (np.swapaxes(left, -1, -2) @ shared)
    across = np.where(np.abs(across) > 1e-12 * np.abs(shared).max(initial=0.0), across, 0.0)
    each = np.swapaxes(across, -1, -2) @ across
    others = each.sum(-3, keepdims=True) - each
    values, vectors = np.linalg.eigh(others)
    values = np.where(values > 1e-12 * each.sum(-3, keepdims=True).max((-2, -1))[..., None], values, 0.0)
    rows = np.zeros((*jacobian.shape[:-2], len(which), n))
    rows[..., which] = np.sqrt(values)[..., None] * np.swapaxes(vectors, -1, -2)
    return rows


class Direction(NamedTuple):
    """A vector; ``whole`` where it is of whole numbers and true of nearly every cell, else it is that of one cell."""

    vector: np.ndarray
    whole: bool


def sparse_basis(
    projectors: np.ndarray, one: np.ndarray, dimension: int, logarithmic: np.ndarray, rounding: float
) -> list[Direction]:
    """A basis of a subspace with as few parameters in each direction as can be.

    ``projectors`` (cells, n, n) project on the subspace of each cell, ``one`` is that of the cell that stands for all.
    First come directions of small whole numbers (over logarithms these are ratios and products; a parameter of another
    scale can only stand alone) that lie in it in nearly every cell, the sparsest first, then the reduced rows of ``one``.
    """
    n = one.shape[-1]
    found: list[Direction] = []

    def add(vector: np.ndarray, whole: bool) -> None:
        together = np.array([d.vector / np.linalg.norm(d.vector) for d in found] + [vector / np.linalg.norm(vector)])
        if len(found) < dimension and np.linalg.matrix_rank(together, tol=1e-3) == len(together):
            found.append(Direction(vector, whole))

    if dimension == n:
        return [Direction(row, True) for row in np.eye(n)]
    for candidate in _candidates(n, logarithmic):
        if len(found) == dimension:
            break
        length = np.linalg.norm(candidate)
        outside = np.linalg.norm(candidate - projectors @ candidate, axis=-1) / length
        if np.mean(outside < max(WHOLE, 10 * rounding)) >= NEARLY_ALL:
            add(candidate, True)
    if len(found) < dimension:
        for row in _reduced(null_basis(one)):
            add(row / row[np.argmax(np.abs(row))], False)
    return found


def _candidates(n: int, logarithmic: np.ndarray) -> list[np.ndarray]:
    """Vectors of small whole numbers, up to a sign, the simplest first."""
    which = np.flatnonzero(logarithmic)
    found = [row for row in np.eye(n)]
    for largest in (2, 1):
        for support in range(2, len(which) + 1):
            count = math.comb(len(which), support) * (2 * largest) ** support / 2
            if len(found) + count > MOST_CANDIDATES or (largest == 1 and any(_support(v) == support for v in found)):
                continue
            values = [k for k in range(-largest, largest + 1) if k]
            for places in itertools.combinations(which.tolist(), support):
                for entries in itertools.product(range(1, largest + 1), *[values] * (support - 1)):
                    if math.gcd(*entries) == 1:
                        vector = np.zeros(n)
                        vector[np.array(places)] = entries
                        found.append(vector)
    if len(which) > 1:
        found.append(np.where(logarithmic, 1.0, 0.0))
    return sorted(found, key=lambda v: (_support(v), np.abs(v).sum(), (v < 0).sum()))


def _support(vector: np.ndarray) -> int:
    return int(np.count_nonzero(vector))


def _reduced(rows: np.ndarray) -> np.ndarray:
    """Row echelon form, reduced, by pivots as large as there are."""
    rows = rows.copy()
    for i in range(len(rows)):
        at = np.argmax(np.abs(rows[i:]).max(0))
        best = i + int(np.argmax(np.abs(rows[i:, at])))
        rows[[i, best]] = rows[[best, i]]
        rows[i] /= rows[i, at]
        for other in range(len(rows)):
            if other != i:
                rows[other] -= rows[other, at] * rows[i]
    return np.where(np.abs(rows) < WHOLE, 0.0, rows)
