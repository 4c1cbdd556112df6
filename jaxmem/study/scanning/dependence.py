"""Whether the axes of a scan depend on each other: by its design, or among the points that have an answer.

Sobol indices divide a variance between axes that do not; where they do, the same part of it counts for several axes.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxmem.study.scanning.given_data import FEWEST
from jaxmem.study.scanning.paired import fits
from jaxmem.study.scanning.points import PIECE, STATUS, Points, numbers

CLEAR = 0.1  # rank correlation from which two axes are said to depend on each other
CHANCE = 4.0  # standard errors of it, 1 / sqrt(n); few points are correlated by chance
CHOSEN = 2**16  # points that are ranked
INDEPENDENT = ("grid", "sobol", "latin_hypercube", "random", "sensitivity")  # kinds of designs, as they are made
DESIGN, FAILURES = "design", "failures"


class Dependence(NamedTuple):
    """What makes the axes depend on each other ("design", "failures", "" where nothing does), and the warning."""

    cause: str
    words: str


class Dependences:
    """Those of the outputs of a scan; the points of the design are ranked once."""

    def __init__(self, scan: Points, seed: int):
        self.scan, self.seed = scan, seed
        self.free = _independent(scan.design)

    @functools.cached_property
    def design(self) -> tuple[int, np.ndarray]:
        return _correlations(self.scan, None, self.seed)

    def of(self, name: str, left_out: int) -> Dependence:
        """Of the points that an output's indices are from."""
        axes = tuple(self.scan.axes)
        if len(axes) < 2:
            return Dependence("", "")
        if not self.free and (pair := _strongest(*self.design)) is not None:
            x, y, r = pair
            return Dependence(
                DESIGN,
                f"warning: the axes of this design depend on each other ({axes[x]} and {axes[y]}: rank correlation {r:.2f}),"
                " so that the same variance counts for several of them and the indices may add up to more than 1",
            )
        if not left_out:
            return Dependence("", "")
        n, left = _correlations(self.scan, name, self.seed)
        if _strongest(n, left) is None:
            return Dependence("", "")
        moved = np.where(np.abs(left - self.design[1]) > CLEAR / 2, left, 0.0)  # what the design itself has is chance
        if (pair := _strongest(n, moved)) is None:
            return Dependence("", "")
        x, y, r = pair
        return Dependence(
            FAILURES,
            f"warning: among the points that are left the axes depend on each other ({axes[x]} and {axes[y]}: rank"
            f" correlation {r:.2f}), so that the same variance counts for several of them and the indices may add up to"
            " more than 1",
        )


def _independent(design: Mapping[str, Any]) -> bool:
    if design.get("kind") == "nested":
        return all(_independent(design.get(part, {})) for part in ("outer", "inner"))
    return design.get("kind") in INDEPENDENT


def _strongest(n: int, r: np.ndarray) -> tuple[int, int, float] | None:
    """The pair of axes that depend most on each other, and their correlation; None where it is none or chance."""
    x, y = np.unravel_index(np.abs(r).argmax(), r.shape)
    if n < FEWEST or abs(r[x, y]) <= max(CLEAR, CHANCE / n**0.5):
        return None
    return int(min(x, y)), int(max(x, y)), float(r[x, y])


def _correlations(scan: Points, name: str | None, seed: int) -> tuple[int, np.ndarray]:
    """How many points, and the rank correlations of the axes among them (Spearman's), 0 of an axis with itself: of all
    points, or of those that count for an output.
    """
    names = tuple(scan.axes)
    each = len(names) + 2 if fits(scan) else 1
    read = max(1, PIECE // each) * each
    chosen = []
    for start in range(0, scan.points, read):
        stop = min(start + read, scan.points)
        there = np.ones(stop - start, bool)
        if name is not None:
            there = np.isfinite(numbers(scan.part(name, start, stop), scan.part(STATUS, start, stop)))
        if each > 1:  # a base sample counts as a whole; its points A and B hold all its numbers
            there = np.repeat(there.reshape(-1, each).all(1), each) & (np.arange(stop - start) % each < 2)
        if scan.points > CHOSEN:
            there &= np.random.default_rng((seed, start)).random(stop - start) < CHOSEN / scan.points
        if there.any():
            chosen.append(np.stack([scan.part(axis, start, stop)[there] for axis in names]))
    found = np.zeros((len(names), len(names)))
    if not chosen:
        return 0, found
    ranks = np.stack([_ranks(x) for x in np.concatenate(chosen, axis=1)])
    length = np.sqrt((ranks**2).sum(1))
    ranks = np.divide(ranks, length[:, None], out=np.zeros_like(ranks), where=length[:, None] > 0)
    found = ranks @ ranks.T
    np.fill_diagonal(found, 0.0)
    return ranks.shape[1], found


def _ranks(x: np.ndarray) -> np.ndarray:
    """Ranks about their mean; equal values share the mean of theirs."""
    _, place, count = np.unique(x, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2
    return (rank - (len(x) + 1) / 2)[place.ravel()]
