"""Which axes a scan's outputs depend on: Sobol indices with confidence intervals, failed points left out and counted."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from jaxmem.study.scanning import given_data, paired
from jaxmem.study.scanning.dependence import FAILURES, Dependence, Dependences
from jaxmem.study.scanning.points import PIECE, STATUS, Points, numbers, output_of, words_of

COMPUTING = ("residual", "iterations", "failed_at")  # outputs that describe the computation, not the cell
FEW = 0.05  # share of points left out above which the indices are said to be those of a part of the space


@dataclasses.dataclass(frozen=True)
class Sensitivity:
    """Sobol indices of one output, arrays over the ``axes`` in their order.

    ``first``: share of the output's variance that an axis explains alone, Var(E(Y | X_i)) / Var(Y). ``total``: share
    that is lost when all axes but this one are known, E(Var(Y | all but X_i)) / Var(Y); interactions count in it; None
    where the design does not tell. ``first_low`` ... ``total_high``: ends of the confidence intervals, NaN where there
    is none. Estimates scatter: an axis without effect may have an index just below 0. All are NaN where the output
    does not vary or too few points are left.

    ``used`` and ``left_out``: how many points; of a sensitivity design how many base samples, each of which is left out
    as a whole when one of its points has no number. ``method`` names the estimator, ``words`` says what to know.
    ``dependent``: what makes the axes depend on each other, so that the indices do not divide the variance: "design",
    "failures" (the points that are left) or "" (nothing does).
    """

    name: str
    axes: tuple[str, ...]
    first: np.ndarray
    first_low: np.ndarray
    first_high: np.ndarray
    total: np.ndarray | None
    total_low: np.ndarray | None
    total_high: np.ndarray | None
    used: int
    left_out: int
    confidence: float
    method: str
    words: str
    dependent: str = ""

    @property
    def sure(self) -> bool:
        """Whether any index has an interval; those of a whole grid are exact."""
        return bool(np.isfinite(self.first_low).any())

    def __str__(self) -> str:
        """A table, a line per axis, and the words, a line per saying."""
        known: list[tuple[str, np.ndarray, np.ndarray | None, np.ndarray | None]]
        known = [("first order", self.first, self.first_low, self.first_high)]
        if self.total is not None:
            known.append(("total", self.total, self.total_low, self.total_high))
        rows = [(self.name, *(head for head, *_ in known))]
        rows += [(axis, *(_cell(i, x, a, b) for _, x, a, b in known)) for i, axis in enumerate(self.axes)]
        wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(n) for cell, n in zip(row, wide, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, *self.words.split("; ")])


def _cell(i: int, x: np.ndarray, low: np.ndarray | None, high: np.ndarray | None) -> str:
    """An index and its interval, where there are such."""
    if not np.isfinite(x[i]):
        return "-"
    if low is None or high is None or not np.isfinite([low[i], high[i]]).all():
        return f"{x[i]:.3f}"
    return f"{x[i]:.3f} [{low[i]:.3f}, {high[i]:.3f}]"


def sensitivity(
    scan: Points,
    names: Sequence[str] | None = None,
    confidence: float = 0.95,
    resamples: int = 999,
    seed: int = 0,
) -> dict[str, Sensitivity]:
    """Sobol indices of the outputs of a scan, by name; each axis spread as the design spreads it.

    Of a ``sensitivity`` design (:class:`jaxmem.designs.Saltelli`) first-order and total indices, by the estimators of
    Saltelli et al. 2010, doi:10.1016/j.cpc.2009.09.018. Of a full grid whose points all have a number both, exactly,
    for its levels. Of every other design first-order indices alone, from the points as they are: the variance of the
    means of bins along each axis (Plischke, Borgonovo and Smith 2013, doi:10.1016/j.ejor.2012.11.047) less what scatter
    within the bins adds to it (Kelley 1935, doi:10.1073/pnas.21.9.554). All this needs axes that do not depend on each
    other; where their rank correlation says that they do, by the design or among the points that did not fail, the
    words warn. Intervals are bias-corrected and accelerated bootstraps; for points that fill space evenly (Sobol, Latin
    hypercube) they are wider than they need be.

    ``names``: which outputs; None takes all real numbers, one per point, that any point has, and leaves out whole numbers
    and codes (status, stability) and what describes the computation (residual, iterations, failed_at). Memory does not
    grow with the points, except for a full grid (one column at a time).

    Raises ValueError for unknown outputs, those with several numbers per point, and a confidence outside 0 to 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"the confidence must be between 0 and 1, such as 0.95; found {confidence}")
    if resamples < 100:
        raise ValueError(f"found {resamples} resamples; intervals need at least 100")
    known = {name: output_of(scan, name) for name in names or ()}
    if names is None:
        known = {name: o for name, o in scan.outputs.items() if _asked(scan, name)}
    axes = tuple(scan.axes)
    estimate = paired.indices if paired.fits(scan) else given_data.indices
    dependences, told = Dependences(scan, seed), {}
    for name in known:
        found = estimate(scan, name, confidence, resamples, seed)
        if names is None and not found.used and not _any(scan, name):
            continue
        dependence = dependences.of(name, found.left_out) if np.isfinite(found.first).any() else Dependence("", "")
        told[name] = _told(name, axes, found, dependence, confidence)
    return told


def _asked(scan: Points, name: str) -> bool:
    """Whether an output is one that is meant where none is named."""
    output = scan.outputs[name]
    real = output.entries is None and np.dtype(output.dtype).kind == "f" and not words_of(scan, name)
    return real and name != STATUS and name not in COMPUTING


def _any(scan: Points, name: str) -> bool:
    """Whether any point has this number."""
    return any(np.isfinite(numbers(p[name], p[STATUS])).any() for p in scan.pieces((name, STATUS), PIECE))


def _told(
    name: str, axes: tuple[str, ...], found: given_data.Found, dependence: Dependence, confidence: float
) -> Sensitivity:
    said = [found.told]
    whole = found.used + found.left_out
    if found.left_out:
        share = found.left_out / whole
        said.append(f"{found.left_out:,} of {whole:,} {found.unit} ({share:.1%}) are left out: {found.why}")
        if share > FEW:
            said.append(
                "warning: these indices describe only the part of the space that answers; maps of the status show it"
            )
    if not dependence.cause and found.left_out and _too_much(found):
        words = (
            f"warning: the first-order indices add up to {np.nansum(found.first):.2f}; those of independent axes cannot"
        )
        dependence = Dependence(FAILURES, words)
    said += [x for x in (dependence.words, found.trouble) if x]
    (first, total), (low, high) = (found.first, found.total), found.first_ends
    total_low, total_high = (None, None) if found.total_ends is None else found.total_ends
    return Sensitivity(
        name, axes, first, low, high, total, total_low, total_high, found.used, found.left_out, confidence,
        found.method, "; ".join(said), dependence.cause,
    )  # fmt: skip


def _too_much(found: given_data.Found) -> bool:
    """Whether the first-order indices add up to more than 1, beyond their intervals: those of independent axes cannot."""
    low = np.where(np.isfinite(found.first_ends[0]), found.first_ends[0], found.first)
    return bool(np.nansum(found.first) - np.sqrt(np.nansum((found.first - low) ** 2)) > 1)
