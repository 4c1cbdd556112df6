"""All parameters that fit as well: the solutions of a fit whose targets leave directions free, walked and sampled."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.analysis.blocks import in_blocks
from jaxmem.analysis.fitting.problem import Layout, Numbers, Vector, fitted_membrane, in_conditions, taken
from jaxmem.analysis.fitting.residuals import evaluate
from jaxmem.analysis.fitting.result import Fit, FitStatus
from jaxmem.analysis.fitting.rows import coordinates
from jaxmem.analysis.fitting.subspaces import ROUNDING, seen
from jaxmem.analysis.fitting.surface import At, Path, Surface, moves, walk
from jaxmem.analysis.fitting.wording import among, joined
from jaxmem.analysis.resting import resting_state
from jaxmem.analysis.unknowns import start_from
from jaxmem.membrane.state import Point

STEP = 0.05  # of a line, in e-folds or widths of bounds
LONGEST = 4000  # steps of a line
MET, EXACT = 1e-9, 1e-13  # how far a target may be from where the fit has it: standard deviations, and relative
WALKERS, SPREAD, EVERY = 50, 60, 5  # walkers of a cell, moves to spread over the surface, moves from sample to sample
FIRST_STEP = 0.5
TOGETHER = 2000  # cells walked at a time, which bounds the memory


@dataclasses.dataclass(frozen=True)
class Manifold:
    """Samples of all that fits as well, uniform in length (area, volume) of the manifold.

    - ``parameters``: ``{path: (samples, *S)}``; NaN where a fit did not end at a minimum.
    - ``residual`` (samples, *S): the largest difference of a target from where the fit has it, in its standard deviations.
    - ``dimension`` (S): of the manifold; 0 where the fit is the only solution near by, -1 where there is none.
    - ``accepted`` (S): share of random moves that were accepted, NaN where none were needed.

    Length is measured in coordinates: ln(parameter), or where the scale is linear the parameter over the width of its
    bounds. That is what "uniform" refers to; it is no prior.
    """

    parameters: dict[str, np.ndarray]
    residual: np.ndarray
    dimension: np.ndarray
    accepted: np.ndarray

    @functools.cached_property
    def words(self) -> list[str]:
        """How large the manifold is, and what each parameter spans on it (in a typical cell)."""
        dimension = self.dimension[self.dimension >= 0]
        if not dimension.size:
            return ["No fit ended at a minimum: there is no manifold."]
        most = int(np.bincount(dimension.reshape(-1)).argmax())
        count = among(int((dimension == most).sum()), int(self.dimension.size))
        if most == 0:
            return [f"The fit is the only solution near by{count}."]
        shape = {1: "a line", 2: "a surface"}.get(most, f"a manifold of {most} dimensions")
        spans = []
        for path, x in self.parameters.items():
            some = x[:, self.dimension == most] if self.dimension.shape else x[:, None]
            low, high = np.median(np.nanmin(some, 0)), np.median(np.nanmax(some, 0))
            spans.append(
                f"{path} {low:.3g}" if high - low <= 1e-6 * abs(high) else f"{path} from {low:.3g} to {high:.3g}"
            )
        return [f"The solutions form {shape}{count}: {joined(spans)}."]


@dataclasses.dataclass(frozen=True)
class Line:
    """Manifolds of one dimension from end to end: ``parameters`` {path: (points, *S)}, NaN after the end and for others.

    ``ended`` (2, *S): why at either end: "bound", "lost" (no resting state goes on), "closed" (a loop), "long", "" if none.
    """

    parameters: dict[str, np.ndarray]
    ended: np.ndarray


def solution_manifold(fit: Fit, samples: int = 1000, seed: int = 0, step: float = STEP) -> Manifold:
    """Parameters within the bounds that leave every target where the fit has it (to 1e-9 standard deviations).

    For every fit that ended at a minimum. Priors have no say; what cells have in common stays as fitted. A manifold of one
    dimension is walked from end to end (steps of ``step``: along the tangent, then corrected by Newton's method along the
    normals, rests kept warm) and sampled evenly at random along its length. Of more dimensions it is sampled by
    many walkers from the fit, whose moves are accepted so that the density is uniform in area (Zappa, Holmes-Cerfon & Goodman
    2018, doi:10.1002/cpa.21783); a move across a bound is not made. Samples are of the part that is connected with the fit;
    those of one walker are correlated. Raises ValueError for fewer than one sample.
    """
    if samples < 1:
        raise ValueError(f"samples are at least 1; found {samples}")
    if not step > 0:
        raise ValueError(f"step is above 0; found {step}")
    rng = np.random.default_rng(seed)
    problem = _Members(fit)
    points = np.full((samples, problem.size, problem.own.size), np.nan)
    residual = np.full((samples, problem.size), np.nan)
    accepted = np.full(problem.size, np.nan)
    for k, which in problem.parts():
        if k == 0:
            points[:, which] = problem.z[which]
            residual[:, which] = 0.0
        elif k == 1:
            points[:, which], residual[:, which] = _along(problem, which, rng, samples, step)
        else:
            walkers = min(samples, WALKERS)
            lanes = np.tile(which, walkers)
            surface, at = problem.surface(lanes, k)
            here = surface.frame(problem.z[lanes], at)
            count = -(-samples // walkers)
            done = moves(surface, here, rng, np.full(which.size, FIRST_STEP), which.size, SPREAD, count, EVERY)
            every = lambda x, which=which: x.reshape(-1, which.size, x.shape[-1])[:samples]
            points[:, which], accepted[which] = every(done.kept), done.accepted
            residual[:, which] = np.abs(every(done.residual)).max(-1)
    shaped = lambda x: x.reshape((*x.shape[:-1], *problem.shape))
    return Manifold(problem.parameters(points), shaped(residual), shaped(problem.dimension), shaped(accepted))


def solution_line(fit: Fit, step: float = STEP) -> Line:
    """The manifold of solutions walked from end to end, of every fit where it has one dimension (see
    :func:`solution_manifold`)."""
    problem = _Members(fit)
    ended = np.full((2, problem.size), "", object)
    every = np.full((0, problem.size, problem.own.size), np.nan)
    for which in (part for k, part in problem.parts() if k == 1):
        path = _walked(problem, which, step)
        points = _joined(path, which.size)
        longer = max(len(points) - len(every), 0)
        every = np.concatenate([every, np.full((longer, *every.shape[1:]), np.nan)])
        every[: len(points), which] = points
        ended[:, which] = path.ended.reshape(2, -1)
    return Line(problem.parameters(every), ended.reshape(2, *problem.shape))


# ------------------------------------------------------------------ one dimension
def _walked(problem: "_Members", which: np.ndarray, step: float) -> Path:
    """Backwards (the first half of the lanes), and forwards."""
    lanes = np.tile(which, 2)
    surface, at = problem.surface(lanes, 1)
    sign = np.repeat([-1.0, 1.0], which.size)
    return walk(surface, problem.z[lanes], at.guess, sign, step, LONGEST)


def _joined(path: Path, count: int) -> np.ndarray:
    """Both halves as one line (points, count, n), NaN at its end."""
    back, forth = path.points[:, :count], path.points[1:, count:]
    both = np.concatenate([back[::-1], forth])
    order = np.argsort(np.isnan(both[..., 0]), axis=0, kind="stable")
    packed = np.take_along_axis(both, order[..., None], 0)
    closed = path.ended[:count] == "closed"  # then either half is all of it
    if closed.any():
        packed[:, closed] = np.nan
        packed[: len(back), closed] = back[:, closed]
    return packed[: int((~np.isnan(packed[..., 0])).any(-1).sum())]


def _along(
    problem: "_Members", which: np.ndarray, rng: np.random.Generator, samples: int, step: float
) -> tuple[np.ndarray, np.ndarray]:
    """Points drawn evenly along the lines, and their residuals."""
    path = _walked(problem, which, step)
    gaps = np.nan_to_num(np.linalg.norm(np.diff(path.points, axis=0), axis=-1))
    length = np.concatenate([np.zeros((1, gaps.shape[-1])), np.cumsum(gaps, 0)])  # (points, lanes)
    half = length[-1].reshape(2, -1)
    closed = path.ended[: which.size] == "closed"
    half[0, closed] = 0.0  # forwards is all of it
    s = rng.random((samples, which.size)) * half.sum(0)
    forth = s >= half[0]
    lane = np.arange(which.size) + which.size * forth
    s = np.where(forth, s - half[0], s)
    index = np.empty(s.shape, int)
    for j in range(length.shape[-1]):
        mine = lane == j
        index[mine] = np.searchsorted(length[:, j], s[mine], "right") - 1
    count = np.sum(~np.isnan(path.points[..., 0]), 0)
    index = np.clip(index, 0, np.maximum(count - 2, 0)[lane])
    last = np.minimum(index + 1, count[lane] - 1)
    start, end = path.points[index, lane], path.points[last, lane]
    size = length[last, lane] - length[index, lane]
    part = np.where(size > 0, (s - length[index, lane]) / np.where(size > 0, size, 1.0), 0.0)
    z = np.where(size[..., None] > 0, start + part[..., None] * (end - start), start).reshape(-1, problem.own.size)
    flat = lambda x: x.reshape(-1)
    guess = tuple(np.moveaxis(np.moveaxis(x, -1, 1)[flat(index), flat(lane)], 0, -1) for x in path.guess)
    surface, _ = problem.surface(np.tile(which, samples), 1)
    there, at, good = surface.projected(surface.frame(z, surface.function(z, guess, None)), z)
    there = np.clip(np.where(good[:, None], there, np.nan), surface.low, surface.high)
    left = np.where(good, np.abs(at.values).max(-1), np.nan)
    return there.reshape(samples, which.size, -1), left.reshape(samples, which.size)


# ------------------------------------------------------------------ the function
class _Here(NamedTuple):
    values: jax.Array
    slopes: jax.Array
    u: Vector
    ways: tuple[Vector, ...]
    found: jax.Array


def _evaluated(given: tuple[Numbers, Vector, Vector], layout: Layout) -> _Here:
    at = evaluate(layout, *given)
    return _Here(jnp.stack(at.values), jnp.stack([jnp.stack(row) for row in at.slopes]), at.u, at.ways, at.found)


def _started(given: tuple[Numbers, Vector, Point], layout: Layout) -> Vector:
    numbers, y, here = given
    u = start_from(in_conditions(fitted_membrane(layout, numbers, y), numbers, here.v), layout.unknowns, here)
    return tuple(jnp.broadcast_to(x, here.v.shape) for x in u)


class _Members:
    """A fit as functions of the free coordinates that each cell has for itself, z in sizeable units (members, n)."""

    def __init__(self, fit: Fit):
        self.fit, self.layout, self.shape = fit, fit.problem.layout, np.shape(fit.cost)
        if any(row.trial is not None for row in self.layout.rows):
            raise ValueError("solutions are walked for targets at rest; this fit has targets during a trial")
        self.size = int(np.prod(self.shape))
        wide = lambda x: np.asarray(x, np.float64) if np.asarray(x).dtype.kind == "f" else np.asarray(x)
        self.numbers = jax.tree.map(wide, fit.problem.members(fit.starts or 1))
        self.own = np.array([i for i in range(len(fit.free)) if i not in self.layout.common], int)
        self.y = np.asarray(coordinates(fit), np.float64).reshape(-1, self.size)
        self.units = fit.identifiability.units[self.own].reshape(-1, self.size).T
        self.z = self.y[self.own].T / self.units
        ends = (np.stack([np.broadcast_to(x, self.size) for x in e]) for e in (self.numbers.low, self.numbers.high))
        self.low, self.high = (e[self.own].T / self.units for e in ends)
        self.z = np.clip(self.z, self.low, self.high)
        self.u = self._rests()
        at = self._at(np.arange(self.size), self.z, self._guess(np.arange(self.size)), None)
        self.held = at.values
        rank = seen(np.where(np.isfinite(at.slopes), at.slopes, 0.0), ROUNDING["float64"]).rank
        status = np.asarray(fit.status).reshape(-1)
        good = at.found & np.isfinite(at.values).all(-1) & (status <= FitStatus.AT_BOUND)
        self.dimension = np.where(good, self.own.size - rank, -1)
        self.tolerance = MET + EXACT * np.abs(self.numbers.goal * self.numbers.weight).reshape(-1, self.size).T

    def parts(self) -> Iterator[tuple[int, np.ndarray]]:
        """Members of one dimension of solutions, so many at a time."""
        for k in np.unique(self.dimension[self.dimension >= 0]).tolist():
            which = np.flatnonzero(self.dimension == k)
            for first in range(0, which.size, TOGETHER):
                yield k, which[first : first + TOGETHER]

    def _rests(self) -> Vector:
        """The unknowns at rest in every condition, sought from where the fit has the rest."""
        shape = (self.layout.conditions, self.size)
        y: Any = tuple(self.y)
        like: Any = np.zeros(shape)
        with jax.enable_x64(True):
            everywhere = in_conditions(fitted_membrane(self.layout, self.numbers, y), self.numbers, like)
        mine = lambda x: self.shape and np.shape(x)[max(np.ndim(x) - len(self.shape), 0) :] == self.shape
        flat = lambda x: (
            np.asarray(x, float).reshape(-1) if mine(x) and np.asarray(x).dtype.kind == "f" else np.asarray(x)
        )
        rest = resting_state(everywhere, initial=jax.tree.map(flat, self.fit.rest.state))
        whole = lambda x: np.broadcast_to(np.asarray(x, float), shape)
        here = jax.tree.map(whole, Point(rest.v, rest.state.states, rest.state.book))
        return in_blocks(_started, (self.numbers, y, here), self.size, self.layout)

    def _guess(self, lanes: np.ndarray) -> tuple:
        none = tuple(np.zeros_like(x[..., lanes]) for _ in range(len(self.y)) for x in self.u)
        return (*(x[..., lanes] for x in self.u), *none, *self.y[:, lanes])

    def _at(self, lanes: np.ndarray, z: np.ndarray, guess: tuple, numbers: Numbers | None) -> At:
        """Values and slopes at z, from the rest of the guess moved along its derivatives."""
        k, count = len(self.u), len(self.y)
        u, ways, before = guess[:k], guess[k : k * (1 + count)], guess[k * (1 + count) :]
        y = self.y[:, lanes].copy()
        y[self.own] = (z * self.units[lanes]).T
        u = tuple(x + sum(ways[j * k + i] * (y[j] - before[j]) for j in range(count)) for i, x in enumerate(u))
        some = taken(self.numbers, lanes) if numbers is None else numbers
        at = in_blocks(_evaluated, (some, tuple(y), u), len(lanes), self.layout)
        found = at.found & np.isfinite(at.values).all(0)
        slopes = np.moveaxis(at.slopes[:, self.own] * some.weight[:, None], -1, 0) * self.units[lanes][:, None]
        flat = tuple(x for way in at.ways for x in way)
        return At((at.values * some.weight).T, slopes, found, (*at.u, *flat, *y))

    def surface(self, lanes: np.ndarray, dimension: int) -> tuple[Surface, At]:
        """The solutions of these members, and what is found at the fits."""
        numbers, held = taken(self.numbers, lanes), self.held[lanes]

        def function(z: np.ndarray, guess: Any, some: np.ndarray | None) -> At:
            if some is None:
                at = self._at(lanes, z, guess, numbers)
                return at._replace(values=at.values - held)
            at = self._at(lanes[some], z, guess, taken(numbers, some))
            return at._replace(values=at.values - held[some])

        surface = Surface(function, self.own.size - dimension, self.low[lanes], self.high[lanes], self.tolerance[lanes])
        return surface, function(self.z[lanes], self._guess(lanes), None)

    def parameters(self, points: np.ndarray) -> dict[str, np.ndarray]:
        """{path: (points, *S)} of everything free, from z (points, members, n)."""
        shaped = lambda x: x.reshape((len(points), *self.shape))
        found = {}
        for i, (path, f) in enumerate(self.fit.free.items()):
            at = np.flatnonzero(self.own == i)
            x = points[..., at[0]] * self.units[:, at[0]] if at.size else np.broadcast_to(self.y[i], points.shape[:-1])
            found[path] = f.value(shaped(x))
        return found
