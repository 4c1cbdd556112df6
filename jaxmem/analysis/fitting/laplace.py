"""The normal approximation of what parameters may be, given targets and priors, within the bounds."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri, ndtri_exp

from jaxmem.analysis.fitting.free import Free
from jaxmem.analysis.fitting.identifiability import Identifiability
from jaxmem.analysis.fitting.rows import coordinates, residual_rows
from jaxmem.analysis.fitting.wording import joined

if TYPE_CHECKING:
    from jaxmem.analysis.fitting.result import Fit

ROUNDS = 20  # of rejection; what is left then goes on by Gibbs steps
SWEEPS = 25  # of Gibbs steps along every eigenvector and every axis, from the fit: each draw is the end of a chain of its own
FLAT = 1e-12  # change of the exponent over the chord of the bounds below which a density is uniform on it
FAR = -6.0  # standard deviations beyond which logarithms of probabilities keep more digits


@dataclasses.dataclass(frozen=True, repr=False)
class Laplace:
    """``p(x) ~ exp(-(x - x_fit)' F (x - x_fit) / 2 - s' (x - x_fit))`` within the bounds, in coordinates x (ln(parameter),
    or the parameter).

    For a fit inside its bounds this is the normal density N(x_fit, F^-1), F = J'J, of targets and priors together,
    uniform in the coordinates where there is no prior; at a bound the slope that presses against it is kept. Directions
    that nothing fixes are uniform between the bounds. It is an approximation: exact for targets linear in the
    coordinates, good where a standard error is a small part of an e-fold; a manifold of solutions that bends is drawn
    straight (:func:`jaxmem.analysis.fitting.manifold.solution_manifold` follows it).

    ``found``: the :class:`Identifiability`; ``center`` (free, *S): coordinates of the fit; ``slope`` s (free, *S): J' r,
    0 for a fit inside its bounds. What cells have in common is drawn in each cell by itself.
    """

    found: Identifiability
    center: np.ndarray
    slope: np.ndarray

    def __repr__(self) -> str:
        return f"Laplace posterior of {', '.join(self.free)}"

    @property
    def free(self) -> Mapping[str, Free]:
        return self.found.free

    @property
    def mean(self) -> dict[str, np.ndarray]:
        """{path: S}: the fit, in coordinates."""
        return dict(zip(self.free, self.center, strict=True))

    @property
    def covariance(self) -> np.ndarray:
        """(free, free, *S) in coordinates, bounds left out of account: inf for what only they limit, NaN with others."""
        return self.found.covariance

    @functools.cached_property
    def words(self) -> list[str]:
        """Which parameters are limited by their bounds alone, in most cells."""
        known = self.found.known
        loose = [p for p, x in self.found.identified.items() if known.any() and np.mean(~x[known]) > 0.5]
        if not loose:
            return []
        return [f"{joined(loose)} {'is' if len(loose) == 1 else 'are'} not fixed by targets or priors: only bounds limit "
                f"{'it' if len(loose) == 1 else 'them'}, uniformly in the coordinate along what is free."]  # fmt: skip

    @functools.cached_property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """(free, *S) each, in coordinates."""
        shape = self.found.shape
        full = lambda x: np.broadcast_to(x, shape)
        low = np.stack([full(f.coordinate(f.low)) for f in self.free.values()])
        return low, np.stack([full(f.coordinate(f.high)) for f in self.free.values()])

    def sample(self, samples: int, seed: int = 0) -> dict[str, np.ndarray]:
        """``{path: (samples, *S)}`` independent draws of the parameters; NaN where a cell has no derivatives.

        Draws of the normal density that fall outside the bounds are rejected and drawn again. Where that does not get
        them inside, or a direction is not fixed, a draw is the end of a Gibbs chain from the fit, along the eigenvectors
        of F, each step exact: normal, or uniform where flat, on the chord that the bounds leave (Smith 1984,
        doi:10.1287/opre.32.6.1296).
        """
        rng = np.random.default_rng(seed)
        n, shape = len(self.free), self.found.shape
        units = np.moveaxis(self.found.units, 0, -1).reshape(-1, n)
        known = self.found.known.reshape(-1)
        flat = lambda x: np.moveaxis(x, 0, -1).reshape(-1, n)[known] / units[known]
        center, low, high = flat(self.center), *map(flat, self.bounds)
        matrix = self.found.scaled.reshape(-1, *self.found.scaled.shape[-2:])[known]
        full = self.found.rank.reshape(-1)[known] == n

        # eigenvectors of F and the widths along them; what is not seen is flat whatever its rounding
        _, values, turned = np.linalg.svd(
            np.concatenate([matrix, np.zeros((len(matrix), n, n))], 1), full_matrices=False
        )
        seen = np.arange(n) < self.found.rank.reshape(-1)[known][:, None]
        width = np.where(seen, 1.0 / np.where(seen, values, 1.0), np.inf)
        slope = flat(self.slope) * units[known] ** 2
        offset = -np.einsum("cki,ci->ck", turned, slope) * np.where(seen, width, 0.0) ** 2  # of the peak from the fit
        fisher = np.einsum("cki,ck,ckj->cij", turned, np.where(seen, values, 0.0) ** 2, turned)

        cell = np.repeat(np.arange(len(center)), samples)  # one lane per draw
        x = center[cell]
        left = np.flatnonzero(full[cell])
        done = np.zeros(len(cell), bool)
        for _ in range(ROUNDS):
            if not left.size:
                break
            at = cell[left]
            along = offset[at] + rng.standard_normal((left.size, n)) * width[at]
            drawn = center[at] + np.einsum("lk,lki->li", along, turned[at])
            good = ((drawn >= low[at]) & (drawn <= high[at])).all(-1)
            x[left[good]], done[left[good]] = drawn[good], True
            left = left[~good]
        rest = np.flatnonzero(~done)
        if rest.size:
            x[rest] = _gibbs(rng, *(y[cell[rest]] for y in (center, low, high, turned, fisher, slope)))

        every = np.full((samples, len(known), n), np.nan)
        every[:, known] = np.moveaxis(x.reshape(-1, samples, n), 0, 1) * units[known]
        every = every.reshape(samples, *shape, n)
        return {path: f.value(every[..., i]) for i, (path, f) in enumerate(self.free.items())}


def _gibbs(
    rng: np.random.Generator, center: np.ndarray, low: np.ndarray, high: np.ndarray, turned: np.ndarray,
    fisher: np.ndarray, slope: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """The ends (chains, n) of chains from the centers. Axes too, since along a bound the eigenvectors only creep."""
    x = np.clip(center, low, high)
    n = x.shape[-1]
    axes = np.broadcast_to(np.eye(n), turned.shape)
    directions = [*np.moveaxis(turned, 1, 0), *np.moveaxis(axes, 1, 0)]
    bent = [np.einsum("lij,lj->li", fisher, d) for d in directions]
    stiff = [np.einsum("li,li->l", b, d) for b, d in zip(bent, directions, strict=True)]
    pull = [np.einsum("li,li->l", slope, d) for d in directions]
    for _ in range(SWEEPS):
        for d, b, curvature, drift in zip(directions, bent, stiff, pull, strict=True):
            start, end = _chord(x, d, low, high)
            uniform = curvature * (end - start) ** 2 < FLAT
            wide = 1.0 / np.sqrt(np.where(uniform, 1.0, curvature))
            peak = -(np.einsum("li,li->l", b, x - center) + drift) * wide**2
            u = rng.random(len(x))
            normal = peak + wide * _truncated(u, (start - peak) / wide, (end - peak) / wide)
            step = np.where(uniform, start + u * (end - start), np.clip(normal, start, end))
            x = np.clip(x + step[:, None] * d, low, high)
    return x


def _chord(x: np.ndarray, direction: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far one may go back and forth along a direction within the bounds."""
    flat = np.abs(direction) < 1e-12
    safe = np.where(flat, 1.0, direction)
    a, b = (low - x) / safe, (high - x) / safe
    start = np.where(flat, -np.inf, np.minimum(a, b)).max(-1)
    end = np.where(flat, np.inf, np.maximum(a, b)).min(-1)
    return np.minimum(start, 0.0), np.maximum(end, 0.0)


def _truncated(u: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A standard normal number between a and b, from a uniform one; by the lower tail, where digits are."""
    turn = a + b > 0
    below, above = np.where(turn, -b, a), np.where(turn, -a, b)
    mass = ndtr(below) + u * (ndtr(above) - ndtr(below))
    z = ndtri(np.clip(mass, 1e-300, 1.0 - 1e-16))
    far = above < FAR
    if far.any():
        left, right = (
            log_ndtr(below[far]) + np.log1p(-u[far]),
            log_ndtr(above[far]) + np.log(np.maximum(u[far], 1e-300)),
        )
        z[far] = ndtri_exp(np.logaddexp(left, right))
    return np.where(turn, -z, z)


def laplace(fit: "Fit") -> Laplace:
    """The Laplace posterior of every cell of a fit, see :class:`Laplace`."""
    found = fit.identifiability
    edge = np.stack([np.broadcast_to(fit.at_bound[path], found.shape) for path in fit.free])
    edge = np.concatenate([edge, np.zeros((len(found.free) - len(edge), *found.shape), bool)])
    parts = residual_rows(fit)[:, None] * np.nan_to_num(found.jacobian)
    targets = len(found.rows)
    slope = parts.sum(0)
    for j in found.common if found.shape else ():  # all cells press together; its prior counts once
        slope[j] = parts[:targets, j].sum((0, -1))[..., None] + parts[targets:, j].sum(0)
    return Laplace(found, coordinates(fit), np.where(edge, slope, 0.0))
