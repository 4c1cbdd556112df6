"""What targets say about parameters: Fisher information, standard errors, and the directions that nothing fixes."""

import dataclasses
import functools
import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from jaxmem.analysis.fitting import wording
from jaxmem.analysis.fitting.free import Free
from jaxmem.analysis.fitting.rows import row_labels
from jaxmem.analysis.fitting.subspaces import ROUNDING, Seen, from_others, null_basis, seen

if TYPE_CHECKING:
    from jaxmem.analysis.fitting.result import Fit

COMMON = " (common)"  # after the path of a pooled parameter, for the value that cells are spread around
IDENTIFIED = 1e-6  # of the square of a unit step in a parameter, the largest part that lies along unseen directions


@dataclasses.dataclass(frozen=True)
class Identifiability:
    """Local identifiability at a fit, per cell: ``F = J^T J`` from the residuals' derivatives, in standard deviations.

    Coordinates are ln(parameter) where its scale is logarithmic, else the parameter. For a fit that meets its targets F
    is the Fisher information of normal errors with the standard deviations given, and F^-1 the smallest covariance that
    an unbiased estimate can have (the Cramer-Rao bound). Small eigenvalues are the "sloppy" directions of Gutenkunst et
    al. (2007, doi:10.1371/journal.pcbi.0030189).

    ``jacobian`` (rows, free, *S) is of residuals over coordinates, NaN where a cell has none; ``rows`` names the rows of
    targets, of which rows in excess are priors. ``free``: what was free, by path. ``rounding`` is the relative accuracy
    of the derivatives, which decides a rank (:func:`jaxmem.analysis.fitting.subspaces.seen`).

    ``common``: which coordinates all cells (the last axis) have in common. What the other cells say of these, their own
    parameters left open, then counts as further rows of each cell, so that all is as from the matrix of all cells
    together. The last ``pooled`` coordinates are values that cells are spread around. ``spoken_of`` (S) bool: which cells
    the words are about (None: all). ``measured`` (rows of targets, *S) bool: what was measured in which cell (None: all).
    """

    jacobian: np.ndarray
    free: Mapping[str, Free]
    rows: tuple[str, ...]
    rounding: float = ROUNDING["float64"]
    common: tuple[int, ...] = ()
    pooled: int = 0
    spoken_of: np.ndarray | None = None
    measured: np.ndarray | None = None

    def __post_init__(self) -> None:
        if (
            self.jacobian.ndim < 2
            or self.jacobian.shape[1] != len(self.free)
            or len(self.rows) > self.jacobian.shape[0]
        ):
            raise ValueError(
                f"a Jacobian of {len(self.rows)} rows of targets or more and {len(self.free)} parameters is expected; "
                f"found shape {self.jacobian.shape}"
            )

    # ------------------------------------------------------------------ shapes
    @property
    def shape(self) -> tuple[int, ...]:
        """S: () for one cell, (cells,), or (starts, cells)."""
        return self.jacobian.shape[2:]

    @property
    def known(self) -> np.ndarray:
        """(S) bool: where there are derivatives."""
        return np.isfinite(self.jacobian).all((0, 1))

    @property
    def told_of(self) -> np.ndarray:
        """(S) bool: the cells that words are about."""
        return self.known if self.spoken_of is None else self.known & self.spoken_of

    @functools.cached_property
    def units(self) -> np.ndarray:
        """A sizeable change of each coordinate, (free, *S): an e-fold, or the width of the bounds."""
        of = lambda f: np.ones(()) if f.scale == "log" else np.subtract(f.high, f.low, dtype=float)
        return np.stack([np.broadcast_to(of(f), self.shape) for f in self.free.values()])

    @functools.cached_property
    def scaled(self) -> np.ndarray:
        """(*S, rows, free): the Jacobian in those units, 0 where there are no derivatives; then rows of the other cells."""
        own = np.moveaxis(np.where(self.known, self.jacobian, 0.0) * self.units, (0, 1), (-2, -1))
        if not self.common or not self.shape:
            return own
        return np.concatenate([own, from_others(own, self.common, len(self.rows))], -2)

    @functools.cached_property
    def seen(self) -> Seen:
        """What is seen in those units."""
        return seen(self.scaled, self.rounding)

    # ------------------------------------------------------------------ numbers
    @functools.cached_property
    def of_targets(self) -> "Identifiability":
        """The same without priors and pools: what the targets alone say."""
        n = len(self.free) - self.pooled
        return dataclasses.replace(
            self, jacobian=self.jacobian[: len(self.rows), :n], free=dict(itertools.islice(self.free.items(), n)),
            common=tuple(i for i in self.common if i < n), pooled=0,
        )  # fmt: skip

    @functools.cached_property
    def fisher(self) -> np.ndarray:
        """F (free, free, *S), per square of a coordinate; priors are rows like targets."""
        matrix = np.where(self.known, np.moveaxis(self.scaled, (-2, -1), (0, 1)) / self.units, np.nan)
        return np.einsum("ri...,rj...->ij...", matrix, matrix)

    @functools.cached_property
    def eigenvalues(self) -> np.ndarray:
        """Of F, (free, *S), the largest first; squares of singular values, so that small ones are right too."""
        values = np.linalg.svd(self.scaled / np.moveaxis(self.units, 0, -1)[..., None, :], compute_uv=False) ** 2
        full = np.zeros((*self.shape, len(self.free)))
        full[..., : values.shape[-1]] = values
        return np.where(self.known, np.moveaxis(full, -1, 0), np.nan)

    @property
    def rank(self) -> np.ndarray:
        """How many directions are fixed (S); -1 where there are no derivatives."""
        return np.where(self.known, self.seen.rank, -1)

    @functools.cached_property
    def identified(self) -> dict[str, np.ndarray]:
        """{path: (S) bool}: whether the parameter itself is fixed, not only combinations of it with others."""
        part = np.einsum("...ii->...i", self.seen.unseen)
        return {path: (part[..., i] < IDENTIFIED) & self.known for i, path in enumerate(self.free)}

    @functools.cached_property
    def covariance(self) -> np.ndarray:
        """F^-1 (free, free, *S) in coordinates; of a parameter that is not identified inf, and NaN with all others."""
        units = np.moveaxis(self.units, 0, -1)
        covariance = self.seen.covariance * units[..., None] * units[..., None, :]
        good = np.stack(list(self.identified.values()), -1)
        covariance = np.where(good[..., None] & good[..., None, :], covariance, np.nan)
        alone = np.eye(len(self.free), dtype=bool) & ~good[..., None] & self.known[..., None, None]
        return np.moveaxis(np.where(alone, np.inf, covariance), (-2, -1), (0, 1))

    @functools.cached_property
    def standard_errors(self) -> dict[str, np.ndarray]:
        """{path: S} of the coordinate: of ln(parameter), or of the parameter; inf where it is not identified."""
        return {path: np.sqrt(self.covariance[i, i]) for i, path in enumerate(self.free)}

    @functools.cached_property
    def factors(self) -> dict[str, np.ndarray]:
        """{path: S} for logarithmic parameters: one standard error up or down multiplies or divides by this."""
        told = {path: f for path, f in self.free.items() if f.scale == "log"}
        with np.errstate(over="ignore"):
            return {path: np.exp(self.standard_errors[path]) for path in told}

    @functools.cached_property
    def correlations(self) -> np.ndarray:
        """(free, free, *S), NaN with parameters that are not identified."""
        error = np.stack(list(self.standard_errors.values()))
        with np.errstate(invalid="ignore"):
            return self.covariance / (error[:, None] * error[None])

    @functools.cached_property
    def null_directions(self) -> np.ndarray:
        """Of each cell an orthonormal basis (k, free) of what nothing fixes: an array of arrays, of shape S.

        In coordinates, those of linear parameters in widths of their bounds.
        """
        found = np.empty(self.shape, object)
        for index in np.ndindex(*self.shape):
            found[index] = null_basis(self.seen.unseen[index])
        return found[()] if not self.shape else found

    # ------------------------------------------------------------------ words
    @functools.cached_property
    def words(self) -> list[str]:
        """What is fixed and what is not, in sentences that hold for most cells; how many is said where it is not all."""
        return wording.told(self)

    def __str__(self) -> str:
        return "\n".join(self.words)


def identifiability(fit: "Fit", known: np.ndarray, spoken_of: np.ndarray | None) -> Identifiability:
    """What the targets of a fit say about its parameters where it is ``known`` (S), see :class:`Identifiability`."""
    layout = fit.problem.layout
    names = list(fit.free)
    pooled = {names[i] + COMMON: fit.free[names[i]] for i in layout.pooled}
    common = tuple(i for i, f in enumerate(fit.free.values()) if f.shared)
    common += tuple(range(len(names), len(names) + len(pooled)))
    rows = tuple(label for labels in row_labels(fit).values() for label in labels)
    jacobian = np.where(known, np.asarray(fit.jacobian, np.float64), np.nan)
    rounding = ROUNDING[str(fit.jacobian.dtype)]
    there = [np.isfinite(np.asarray(x, float)).reshape(-1, *np.shape(fit.cost)) for x in fit.residuals.values()]
    return Identifiability(
        jacobian, {**fit.free, **pooled}, rows, rounding, common, len(pooled), spoken_of, np.concatenate(there)
    )
