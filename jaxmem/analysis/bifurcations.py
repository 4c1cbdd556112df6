"""Folds and Hopf points of curves of rests, each found to round-off."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.analysis.blocks import in_blocks
from jaxmem.analysis.curve import Track, corrected, described, problem, tangent
from jaxmem.analysis.small_systems import jacobian
from jaxmem.analysis.unknowns import Unknowns, Vector, changes, point, start_from, unknowns
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import replaced, select

SECTIONS = 60  # of an interval in which a fold or a Hopf point lies


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


class _Event(NamedTuple):
    """Between two neighbouring points of a curve something changes; ``y`` and ``along`` are where the section begins."""

    cell: int
    kind: str
    y: np.ndarray
    along: np.ndarray
    length: float
    stable_side: bool


def events(cell: int, track: Track) -> list[_Event]:
    found = []
    y = np.stack([*track.u, track.p], -1)
    along = np.stack([*track.du, track.dp], -1)
    for i in range(len(y) - 1):
        chord = y[i + 1] - y[i]
        forward = along[i] @ chord > 0
        begin = i if forward else i + 1  # the half that went down was walked from its other end
        other = i + 1 if forward else i
        length = float(np.abs(along[begin] @ (y[other] - y[begin])))
        stable = 0 in (track.growing[i], track.growing[i + 1])
        turned = along[begin][-1] * (along[other][-1] if (along[other] @ along[begin]) > 0 else -along[other][-1]) < 0
        both = min(track.growing[i], track.growing[i + 1]) >= 0
        difference = abs(int(track.growing[i + 1]) - int(track.growing[i]))
        if turned:
            found.append(_Event(cell, "fold", y[begin], along[begin], length, stable))
        if both and difference >= 2:
            found.append(_Event(cell, "hopf", y[begin], along[begin], length, stable))
    return found


def located(
    membrane: Membrane, path: str, limits: tuple[float, float], layout: Unknowns, sections: list[_Event]
) -> tuple[Bifurcation, ...]:
    """Each event to round-off: its test function has a zero on the way from the section's beginning to its end."""
    some = select(membrane, np.array([e.cell for e in sections]))
    n = len(sections)
    y, along = (tuple(np.stack([getattr(e, name) for e in sections], -1)) for name in ("y", "along"))
    is_fold = np.array([e.kind == "fold" for e in sections])

    def test(s: np.ndarray) -> tuple[np.ndarray, Any]:
        out = in_blocks(_section, (some, y, along, s), n, path, *map(float, limits), layout)
        modes = np.linalg.eigvals(np.moveaxis(np.where(np.isfinite(out[2]), out[2], 0.0), -1, 0))
        i, j = np.triu_indices(modes.shape[-1], 1)
        pairs = modes[:, i] + modes[:, j]
        size = np.abs(modes[:, i]) + np.abs(modes[:, j])
        hopf = np.prod(pairs / np.where(size == 0, 1, size), -1).real
        return np.where(is_fold, out[1], hopf), (out, modes)

    a, b = np.zeros(n), np.array([e.length for e in sections])
    fa, fb = test(a)[0], test(b)[0]
    proper = fa * fb <= 0
    for _ in range(SECTIONS):
        # regula falsi that halves the value at an end kept twice (Illinois), and the middle where that is not inside
        denominator = np.where(fb == fa, 1.0, fb - fa)
        s = np.where(fb == fa, 0.5 * (a + b), b - fb * (b - a) / denominator)
        s = np.where((s > np.minimum(a, b)) & (s < np.maximum(a, b)), s, 0.5 * (a + b))
        f, (out, modes) = test(s)
        crossed = f * fb < 0
        a, fa = np.where(crossed, b, a), np.where(crossed, fb, 0.5 * fa)
        b, fb = s, f
        if np.all((np.abs(b - a) < 1e-13) | (f == 0) | ~proper):
            break
    value, v, concentrations = in_blocks(
        described, (some, out[0][:-1], out[0][-1]), n, path, *map(float, limits), layout
    )
    found = []
    for k, event in enumerate(sections):
        pair = modes[k][np.abs(modes[k].imag) > 0]
        if not proper[k] or (event.kind == "hopf" and not pair.size):
            continue  # two real modes of opposite sign: no oscillation is born
        turning = pair[np.argmin(np.abs(pair.real))] if event.kind == "hopf" else 0j
        found.append(
            Bifurcation(
                event.cell, event.kind, float(value[k]), float(v[k]), {name: float(x[k]) for name, x in concentrations.items()},
                float(abs(turning.imag) / (2 * np.pi) * 1e3), event.stable_side,
            )
        )  # fmt: skip
    return tuple(found)


def _section(
    given: tuple[Membrane, Vector, Vector, jax.Array], path: str, low: float, high: float, layout: Unknowns
) -> tuple[Vector, jax.Array, jax.Array]:
    """The point of the curve a length s along, the tangent's share of the parameter there, and the whole Jacobian."""
    membrane, y, along, s = given
    change, scale = problem(membrane, path, low, high, layout)
    new, _, matrix = corrected(change, tuple(a + s * b for a, b in zip(y, along, strict=True)), along)
    here = replaced(membrane, {path: low + (high - low) * new[-1]})
    full = unknowns(membrane, full=True)
    whole = start_from(here, full, point(here, layout, tuple(a * k for a, k in zip(new, scale, strict=False))))
    matrix_whole = jacobian(functools.partial(changes, here, full), whole)[1]
    return new, tangent(matrix, along)[-1], jnp.stack([jnp.stack(row) for row in matrix_whole])
