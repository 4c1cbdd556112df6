"""Folds and Hopf points of curves of rests, each found to round-off."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.analysis.blocks import in_blocks
from jaxmem.analysis.curve import Limits, corrected, described, problem, tangent
from jaxmem.analysis.small_systems import jacobian
from jaxmem.analysis.unknowns import Unknowns, Vector, changes, point, start_from, unknowns
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import replaced, select

SECTIONS = 60  # at most, of an interval in which a fold or a Hopf point lies
CLOSE = 1e-13  # units of the way


@dataclasses.dataclass(frozen=True)
class Bifurcation:
    """A fold (two rests meet and vanish) or a Hopf point (a rest begins to oscillate).

    ``cell``, ``kind`` ("fold" or "hopf"), ``parameter``, ``v`` in mV, ``concentrations`` in mM by path, ``frequency`` in Hz
    (Hopf: of the oscillation at its birth; fold: 0), ``stable_side``: whether on one of its sides the rest is stable.
    """

    cell: int
    kind: str
    parameter: float
    v: float
    concentrations: dict[str, float]
    frequency: float
    stable_side: bool


class Sections(NamedTuple):
    """Stretches of curves in which something happens, one per entry of the last axis.

    ``cell``, ``fold`` (else a Hopf point), ``y`` and ``along``: where the stretch is measured from and in which direction,
    ``low`` and ``high``: its ends in units of the way, ``growing``: modes that grow at its ends, ``place`` and ``sense``:
    the index along the curve that it is measured from, and whether it grows along the stretch.
    """

    cell: np.ndarray
    fold: np.ndarray
    y: np.ndarray
    along: np.ndarray
    low: np.ndarray
    high: np.ndarray
    growing: np.ndarray
    place: np.ndarray
    sense: np.ndarray

    def chosen(self, which: Any) -> "Sections":
        return Sections(*(x[..., which] for x in self))


def sections(y: np.ndarray, along: np.ndarray, growing: np.ndarray) -> Sections:
    """Where the parameter turns back, or two more modes grow or decay, between neighbours of curves.

    ``y`` and ``along`` are (points, unknowns, cells), ``growing`` (points, cells); NaN beyond a curve's end.
    """
    dot = lambda a, b: (a * b).sum(1)
    chord = y[1:] - y[:-1]
    forward = dot(along[:-1], chord) > 0  # the half that went down was walked from its other end
    pick = lambda x, first: np.where((forward if first else ~forward)[:, None], x[:-1], x[1:])
    y0, along0, y1, along1 = pick(y, True), pick(along, True), pick(y, False), pick(along, False)
    counts = np.where(
        forward[:, None], np.stack([growing[:-1], growing[1:]], 1), np.stack([growing[1:], growing[:-1]], 1)
    )
    length = np.abs(dot(along0, y1 - y0))
    turned = along0[:, -1] * along1[:, -1] * np.where(dot(along0, along1) > 0, 1, -1) < 0
    oscillates = (np.abs(counts[:, 1] - counts[:, 0]) >= 2) & (counts.min(1) >= 0)
    found = []
    for fold, here in ((True, turned), (False, oscillates & ~turned)):
        i, cell = np.nonzero(here & np.isfinite(length))
        at = lambda x, i=i, cell=cell: np.moveaxis(x[i, :, cell], 0, -1)
        place, sense = i + ~forward[i, cell], np.where(forward[i, cell], 1, -1)
        none = np.zeros(i.size)
        found.append(
            Sections(cell, np.full(i.size, fold), at(y0), at(along0), none, length[i, cell], at(counts), place, sense)
        )
    return Sections(*(np.concatenate(x, -1) for x in zip(*found, strict=True)))


class Curves(NamedTuple):
    """The cells, and what :func:`jaxmem.analysis.curve.problem` wants to know."""

    membrane: Membrane
    path: str
    limits: tuple[float, float]
    layout: Unknowns


def located(curves: Curves, found: Sections) -> tuple[Bifurcation, ...]:
    """Each event to round-off, in order along each cell's curve."""
    if not found.cell.size:
        return ()
    at, points = _zeros(curves, found)
    folds = found.fold & np.isfinite(at)
    parted, beside = _beside(curves, found.chosen(folds), at[folds])
    growing = found.growing.copy()
    growing[:, folds] = beside  # right beside the fold: a Hopf point may lie between it and the stretch's end
    every = [(found._replace(growing=growing), at, points)]
    if parted.cell.size:
        every.append((parted, *_zeros(curves, parted)))
    events = []
    for some, s, (value, v, concentrations, modes) in every:
        for k in np.flatnonzero(np.isfinite(s)):
            pair = modes[k][np.abs(modes[k].imag) > 0]
            if not some.fold[k] and not pair.size:
                continue  # two real modes of opposite sign: no oscillation is born
            turning = 0j if some.fold[k] else pair[np.argmin(np.abs(pair.real))]
            levels = {name: float(x[k]) for name, x in concentrations.items()}
            frequency = float(abs(turning.imag) / (2 * np.pi) * 1e3)
            kind = "fold" if some.fold[k] else "hopf"
            stable = bool((some.growing[:, k] == 0).any())
            event = Bifurcation(int(some.cell[k]), kind, float(value[k]), float(v[k]), levels, frequency, stable)
            events.append(
                (some.cell[k], some.place[k] + some.sense[k] * min(1.0, s[k] / max(found.high.max(), 1e-30)), event)
            )
    return tuple(event for *_, event in sorted(events, key=lambda e: e[:2]))


def _look(curves: Curves, some: Sections, s: np.ndarray) -> tuple[tuple, np.ndarray, np.ndarray, np.ndarray]:
    """Points, the parameter's share of the tangent, the test for Hopf points and the eigenvalues, a length s along."""
    membrane = select(curves.membrane, some.cell)
    y, share, matrix = in_blocks(
        _section, (membrane, tuple(some.y), tuple(some.along), s, curves.limits), s.size, curves.path, curves.layout
    )
    modes = np.linalg.eigvals(np.moveaxis(np.where(np.isfinite(matrix), matrix, 0.0), -1, 0))
    i, j = np.triu_indices(modes.shape[-1], 1)
    size = np.abs(modes[:, i]) + np.abs(modes[:, j])
    pairs = (modes[:, i] + modes[:, j]) / np.where(size == 0, 1, size)
    return y, share, np.prod(pairs, -1).real, modes


def _zeros(curves: Curves, some: Sections) -> tuple[np.ndarray, tuple]:
    """How far along each stretch its test function vanishes (NaN where it does not change sign), and what is there."""

    def test(s: np.ndarray) -> np.ndarray:
        _, share, hopf, _ = _look(curves, some, s)
        return np.where(some.fold, share, hopf)

    a, b = some.low, some.high
    fa, fb = test(a), test(b)
    for _ in range(SECTIONS):
        # a neutral saddle in the same stretch hides the change of sign: halve towards where modes begin to grow or decay
        hidden = ~some.fold & (fa * fb > 0) & (np.abs(b - a) > CLOSE)
        if not hidden.any():
            break
        s = 0.5 * (a + b)
        _, _, f, modes = _look(curves, some, s)
        before = np.abs((modes.real > 0).sum(-1) - some.growing[0]) < 2
        a, fa = np.where(hidden & before, s, a), np.where(hidden & before, f, fa)
        b, fb = np.where(hidden & ~before, s, b), np.where(hidden & ~before, f, fb)
    proper = fa * fb <= 0
    for _ in range(SECTIONS):
        # regula falsi that halves the value at an end kept twice (Illinois), and the middle where that is not inside
        s = np.where(fb == fa, 0.5 * (a + b), b - fb * (b - a) / np.where(fb == fa, 1.0, fb - fa))
        s = np.where((s > np.minimum(a, b)) & (s < np.maximum(a, b)), s, 0.5 * (a + b))
        f = test(s)
        crossed = f * fb < 0
        a, fa = np.where(crossed, b, a), np.where(crossed, fb, 0.5 * fa)
        b, fb = s, f
        if np.all((np.abs(b - a) < CLOSE) | (f == 0) | ~proper):
            break
    y, _, _, modes = _look(curves, some, b)
    membrane = select(curves.membrane, some.cell)
    value, v, concentrations = in_blocks(
        described, (membrane, y[:-1], y[-1], curves.limits), b.size, curves.path, curves.layout
    )
    return np.where(proper, b, np.nan), (value, v, concentrations, modes)


def _beside(curves: Curves, folds: Sections, at: np.ndarray) -> tuple[Sections, np.ndarray]:
    """The stretches beside folds in which there is a Hopf point too: beyond the fold's own mode, two changed.

    And how many modes grow right before and right after each fold.
    """
    if not at.size:
        return folds, folds.growing
    parts, beside = [], []
    gap = 1e-5 * folds.high
    for side, (low, high) in enumerate(((folds.low, at - gap), (at + gap, folds.high))):
        near = (_look(curves, folds, high if side == 0 else low)[-1].real > 0).sum(-1)
        far = folds.growing[side]
        beside.append(near)
        growing = np.stack([far, near] if side == 0 else [near, far])
        part = folds._replace(fold=np.zeros_like(folds.fold), low=low, high=high, growing=growing)
        parts.append(part.chosen((np.abs(near - far) >= 2) & (high > low)))
    return Sections(*(np.concatenate(x, -1) for x in zip(*parts, strict=True))), np.stack(beside)


def _section(
    given: tuple[Membrane, Vector, Vector, jax.Array, Limits], path: str, layout: Unknowns
) -> tuple[Vector, jax.Array, jax.Array]:
    """The point of the curve a length s along, the tangent's share of the parameter there, and the whole Jacobian."""
    membrane, y, along, s, (low, high) = given
    change, scale = problem(membrane, path, low, high, layout)
    new, _, matrix = corrected(change, tuple(a + s * b for a, b in zip(y, along, strict=True)), along)
    here = replaced(membrane, {path: low + (high - low) * new[-1]})
    full = unknowns(membrane, full=True)
    here, new = jax.lax.optimization_barrier((here, new))
    whole = start_from(here, full, point(here, layout, tuple(a * k for a, k in zip(new, scale, strict=False))))
    matrix_whole = jacobian(functools.partial(changes, here, full), whole)[1]
    return new, tangent(matrix, along)[-1], jnp.stack([jnp.stack(row) for row in matrix_whole])
