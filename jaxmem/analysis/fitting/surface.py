"""Steps on a level surface of some functions, many walkers at once: projection, a walk along a line, a uniform sample.

A walker is a lane: coordinates z (lanes, n) in which 1 is a sizeable change, within a box. Surfaces are numpy on the host;
what is evaluated in bulk is the function.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

NEWTON_STEPS = 10
SPARSE = 0.5  # of the lanes: where fewer are still on their way only these are evaluated
BACK = 1e-6  # how near a projection must come to where it began, to be the way back
WANTED = 0.4  # share of moves to be accepted, towards which the step is tuned while walkers spread


class At(NamedTuple):
    """What is found at z: ``values`` (lanes, rows) less those of the surface, ``slopes`` (lanes, rows, n), whether there is a
    value at all, and what the function wants back for a guess (a tree with lanes last)."""

    values: np.ndarray
    slopes: np.ndarray
    found: np.ndarray
    guess: Any


Function = Callable[[np.ndarray, Any, np.ndarray | None], At]  # of z and a guess, of all lanes or only of these


class Frame(NamedTuple):
    """A point on the surface with orthonormal bases of its normals (lanes, r, n) and tangents (lanes, n - r, n)."""

    z: np.ndarray
    guess: Any
    normals: np.ndarray
    tangents: np.ndarray


class Surface(NamedTuple):
    """``function`` has the same values everywhere on it; of codimension ``rank`` in the box from ``low`` to ``high`` (lanes, n).

    ``tolerance`` (lanes, rows) of the values.
    """

    function: Function
    rank: int
    low: np.ndarray
    high: np.ndarray
    tolerance: np.ndarray

    def frame(self, z: np.ndarray, at: At) -> Frame:
        length = np.linalg.norm(at.slopes, axis=-1, keepdims=True)
        even = at.slopes / np.where(length > 0, length, 1.0)
        n = z.shape[-1]
        even = np.concatenate([even, np.zeros((len(z), n, n))], -2)
        turned = np.linalg.svd(np.where(np.isfinite(even), even, 0.0), full_matrices=False)[2]
        return Frame(z, at.guess, turned[:, : self.rank], turned[:, self.rank :])

    def inside(self, z: np.ndarray) -> np.ndarray:
        return np.all((z >= self.low) & (z <= self.high), -1)

    def projected(self, here: Frame, z: np.ndarray) -> tuple[np.ndarray, At, np.ndarray]:
        """From z along the normals of ``here`` to the surface, by Newton's method; whether it came there."""
        at = self.function(z, here.guess, None)
        z = z.copy()
        for _ in range(NEWTON_STEPS):
            left = np.flatnonzero(~self._met(at))
            if not left.size:
                break
            normals = here.normals[left]
            across = at.slopes[left] @ np.swapaxes(normals, -1, -2)
            inverse = np.linalg.pinv(np.where(np.isfinite(across), across, 0.0), rcond=1e-10)
            step = (inverse @ -np.nan_to_num(at.values[left])[..., None])[..., 0]
            moved = np.clip(np.nan_to_num(np.einsum("lr,lrn->ln", step, normals)), -1.0, 1.0)
            z[left] += moved
            some = left.size < SPARSE * len(z)
            guess = None if at.guess is None else tuple(x[..., left] for x in at.guess) if some else at.guess
            new = self.function(z[left], guess, left) if some else self.function(z, guess, None)
            at = _put(at, left, new) if some else new
        return z, at, self._met(at)

    def _met(self, at: At) -> np.ndarray:
        return at.found & np.all(np.abs(at.values) <= self.tolerance, -1)


def _put(at: At, left: np.ndarray, new: At) -> At:
    """The same with other lanes evaluated anew."""
    values, slopes, found = at.values.copy(), at.slopes.copy(), at.found.copy()
    values[left], slopes[left], found[left] = new.values, new.slopes, new.found
    if at.guess is None:
        return At(values, slopes, found, None)
    guess = tuple(x.copy() for x in at.guess)
    for old, x in zip(guess, new.guess, strict=True):
        old[..., left] = x
    return At(values, slopes, found, guess)


class Path(NamedTuple):
    """A line walked: points (steps, lanes, n), NaN after its end, each with its guess (a tuple of (steps, ..., lanes)); why it
    ended: "bound", "lost", "closed" or "long"."""

    points: np.ndarray
    guess: Any
    ended: np.ndarray


def walk(surface: Surface, z: np.ndarray, guess: Any, sign: np.ndarray, step: float, most: int) -> Path:
    """Along a surface of one dimension, in the direction ``sign`` (lanes) of its tangent, to the bounds.

    Steps along the tangent are corrected along the normals. Where one leaves the box or is lost (there is no value
    further on, or the line turns too sharply) it is halved, so that the line ends where it must to 1e-6 of a step.
    """
    here = surface.frame(z, surface.function(z, guess, None))
    way = here.tangents[:, 0] * sign[:, None]
    lead = np.argmax(np.abs(way), -1)[:, None]
    way = way * np.sign(np.take_along_axis(way, lead, -1)) * sign[:, None]
    points, guesses, size = [z], [here.guess], np.full(len(z), step)
    ended = np.full(len(z), "", object)
    first, gone = z, np.zeros(len(z))
    while (ended == "").any() and len(points) <= most:
        going = ended == ""
        trial, at, there = surface.projected(here, here.z + way * np.where(going, size, 0.0)[:, None])
        turn = surface.frame(trial, at)
        next_way = turn.tangents[:, 0] * np.sign(np.einsum("ln,ln->l", turn.tangents[:, 0], way))[:, None]
        smooth = there & (np.einsum("ln,ln->l", next_way, way) > 0.9)
        inside = surface.inside(trial)
        good = going & smooth & inside
        size = np.where(going & ~good, size / 2, np.minimum(size * np.where(size < step, 1.5, 1.0), step))
        short = going & ~good & (size < 1e-6 * step)
        ended[short] = np.where(smooth[short], "bound", "lost")
        keep = functools.partial(_kept, good)
        moved = np.linalg.norm(trial - here.z, axis=-1)
        gone = gone + np.where(good, moved, 0.0)
        here = Frame(
            keep(trial, here.z), merged(good, turn.guess, here.guess), keep(turn.normals, here.normals), here.tangents
        )
        way = keep(next_way, way)
        closed = good & (gone > 3 * step) & (np.linalg.norm(here.z - first, axis=-1) < step)
        ended[closed] = "closed"
        if good.any():
            points.append(np.where(good[:, None], here.z, np.nan))
            guesses.append(here.guess)
    ended[ended == ""] = "long"
    every = np.stack(points)
    order = np.argsort(np.isnan(every[..., 0]), axis=0, kind="stable")  # what is NaN at the end of each lane
    packed = np.take_along_axis(every, order[..., None], 0)
    count = int((~np.isnan(packed[..., 0])).any(-1).sum())
    kept = None
    if here.guess is not None:
        lined = lambda x: order.reshape(len(x), *[1] * (x.ndim - 2), -1)
        kept = tuple(np.take_along_axis(x, lined(x), 0)[:count] for x in map(np.stack, zip(*guesses, strict=True)))
    return Path(packed[:count], kept, ended)


def _kept(good: np.ndarray, new: np.ndarray, old: np.ndarray) -> np.ndarray:
    return np.asarray(np.where(good.reshape(-1, *[1] * (np.ndim(new) - 1)), new, old))


def merged(good: np.ndarray, new: Any, old: Any) -> Any:
    """Guesses of the lanes that moved, and those of the others."""
    return None if new is None else tuple(np.where(good, a, b) for a, b in zip(new, old, strict=True))


class Moves(NamedTuple):
    """The samples that walkers left (kept, lanes, n) and what their values miss by (kept, lanes, rows); per group the share of
    moves that were accepted and the step they were tuned to."""

    kept: np.ndarray
    residual: np.ndarray
    accepted: np.ndarray
    step: np.ndarray


def moves(
    surface: Surface,
    here: Frame,
    rng: np.random.Generator,
    step: np.ndarray,
    groups: int,
    spread: int,
    count: int,
    every: int,
) -> Moves:
    """Random moves whose stationary density is uniform in the area of the surface (Zappa, Holmes-Cerfon & Goodman 2018,
    doi:10.1002/cpa.21783).

    A normal step in the tangent plane, projected back along the normals of where it began; a move is made if it ends
    inside, the way back exists, and by Metropolis with the density of the tangent steps there and back. Lanes lie walker
    after walker, ``lane = walker * groups + group``; during the first ``spread`` moves the ``step`` (groups,) is tuned to the
    share that is accepted. After these, of every ``every`` moves one is kept, ``count`` in all.
    """
    kept, share, total = [], np.zeros(groups), 0
    values, left = surface.function(here.z, here.guess, None).values, []
    for i in range(spread + count * every):
        size = np.tile(step, len(here.z) // groups)
        there, moved, found = _moved(surface, here, rng, size)
        accepted = moved.reshape(-1, groups).mean(0)
        if i < spread:
            step = np.clip(step * np.exp((accepted - WANTED) * 2 / (1 + i / 10)), 1e-6, 1e3)
        else:
            share, total = share + accepted, total + 1
        here, values = there, np.where(moved[:, None], found, values)
        if i >= spread and (i - spread) % every == every - 1:
            kept.append(here.z)
            left.append(values)
    return Moves(np.stack(kept), np.stack(left), share / max(total, 1), step)


def _moved(
    surface: Surface, here: Frame, rng: np.random.Generator, size: np.ndarray
) -> tuple[Frame, np.ndarray, np.ndarray]:
    k = here.tangents.shape[1]
    along = rng.standard_normal((len(here.z), k)) * size[:, None]
    threshold = np.log(rng.random(len(here.z)))
    trial, at, there = surface.projected(here, here.z + np.einsum("lk,lkn->ln", along, here.tangents))
    good = there & surface.inside(trial)
    new = surface.frame(trial, at)
    back = np.einsum("lkn,ln->lk", new.tangents, here.z - trial)
    good &= threshold < (np.sum(along**2, -1) - np.sum(back**2, -1)) / (2 * size**2)
    if good.any():
        home, _, returned = surface.projected(new, trial + np.einsum("lk,lkn->ln", back, new.tangents))
        good &= returned & (np.linalg.norm(home - here.z, axis=-1) < BACK)
    keep = functools.partial(_kept, good)
    return Frame(
        keep(trial, here.z), merged(good, new.guess, here.guess), keep(new.normals, here.normals),
        keep(new.tangents, here.tangents),
    ), good, at.values  # fmt: skip
