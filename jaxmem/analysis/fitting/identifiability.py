"""What targets say about parameters: Fisher information, standard errors, and the directions that nothing fixes."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from jaxmem.analysis.fitting import wording
from jaxmem.analysis.fitting.free import Free
from jaxmem.analysis.fitting.subspaces import ROUNDING, Seen, null_basis, seen

if TYPE_CHECKING:
    from jaxmem.analysis.fitting.fit import Fit

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
    """

    jacobian: np.ndarray
    free: Mapping[str, Free]
    rows: tuple[str, ...]
    rounding: float = ROUNDING["float64"]

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

    @functools.cached_property
    def units(self) -> np.ndarray:
        """A sizeable change of each coordinate, (free, *S): an e-fold, or the width of the bounds."""
        of = lambda f: np.ones(()) if f.scale == "log" else np.subtract(f.high, f.low, dtype=float)
        return np.stack([np.broadcast_to(of(f), self.shape) for f in self.free.values()])

    @functools.cached_property
    def _scaled(self) -> np.ndarray:
        """(*S, rows, free) in those units, 0 where there are no derivatives."""
        return np.moveaxis(np.where(self.known, self.jacobian, 0.0) * self.units, (0, 1), (-2, -1))

    @functools.cached_property
    def _seen(self) -> Seen:
        return seen(self._scaled, self.rounding)

    # ------------------------------------------------------------------ numbers
    @functools.cached_property
    def of_targets(self) -> "Identifiability":
        """The same without priors: what the targets alone say."""
        return dataclasses.replace(self, jacobian=self.jacobian[: len(self.rows)])

    @functools.cached_property
    def fisher(self) -> np.ndarray:
        """F (free, free, *S), per square of a coordinate; priors are rows like targets."""
        return np.einsum("ri...,rj...->ij...", self.jacobian, self.jacobian)

    @functools.cached_property
    def eigenvalues(self) -> np.ndarray:
        """Of F, (free, *S), the largest first; squares of singular values, so that small ones are right too."""
        matrix = np.moveaxis(np.where(self.known, self.jacobian, 0.0), (0, 1), (-2, -1))
        values = np.linalg.svd(matrix, compute_uv=False) ** 2
        full = np.zeros((*self.shape, len(self.free)))
        full[..., : values.shape[-1]] = values
        return np.where(self.known, np.moveaxis(full, -1, 0), np.nan)

    @property
    def rank(self) -> np.ndarray:
        """How many directions are fixed (S); -1 where there are no derivatives."""
        return np.where(self.known, self._seen.rank, -1)

    @functools.cached_property
    def identified(self) -> dict[str, np.ndarray]:
        """{path: (S) bool}: whether the parameter itself is fixed, not only combinations of it with others."""
        part = np.einsum("...ii->...i", self._seen.unseen)
        return {path: (part[..., i] < IDENTIFIED) & self.known for i, path in enumerate(self.free)}

    @functools.cached_property
    def covariance(self) -> np.ndarray:
        """F^-1 (free, free, *S) in coordinates; of a parameter that is not identified inf, and NaN with all others."""
        units = np.moveaxis(self.units, 0, -1)
        covariance = self._seen.covariance * units[..., None] * units[..., None, :]
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
            found[index] = null_basis(self._seen.unseen[index])
        return found[()] if not self.shape else found

    # ------------------------------------------------------------------ words
    @functools.cached_property
    def words(self) -> list[str]:
        """What is fixed and what is not, in sentences that hold for most cells; how many is said where it is not all."""
        return wording.told(self)

    def __str__(self) -> str:
        return "\n".join(self.words)
