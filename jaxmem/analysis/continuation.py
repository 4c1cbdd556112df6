"""Rests followed along a parameter, through folds, with the Hopf points on the way: a bifurcation diagram per cell."""

import dataclasses
from typing import Any

import jax
import numpy as np

from jaxmem.analysis.bifurcations import Bifurcation, Curves, located, sections
from jaxmem.analysis.blocks import in_blocks
from jaxmem.analysis.curve import described, followed, joined
from jaxmem.analysis.resting import resting_state
from jaxmem.analysis.setting import flattened, widened
from jaxmem.analysis.unknowns import unknowns
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import declared, path_error
from jaxmem.membrane.state import State, Status


@dataclasses.dataclass(frozen=True)
class Continuation:
    """The curve of rests of each cell, in order along the curve (points, cells), NaN after its end.

    ``parameter`` (in the unit of ``path``), ``v`` (mV), ``concentrations`` (mM by path), ``stability``
    (:class:`jaxmem.Stability`), ``growing``: how many modes grow. ``bifurcations``: all folds and Hopf points.
    ``status`` (cells,): OK where both ends of the range were reached, NOT_FOUND where points ran out or the curve was lost,
    NO_STEADY_STATE where there was no rest to begin from.
    """

    path: str
    parameter: np.ndarray
    v: np.ndarray
    concentrations: dict[str, np.ndarray]
    stability: np.ndarray
    growing: np.ndarray
    status: np.ndarray
    bifurcations: tuple[Bifurcation, ...]

    def of(self, kind: str, cell: int = 0) -> list[Bifurcation]:
        """The "fold" or "hopf" points of a cell, in order along its curve."""
        return [b for b in self.bifurcations if b.kind == kind and b.cell == cell]


def continuation(
    membrane: Membrane, path: str, low: float, high: float, *, attempts: int = 400, initial: State | None = None
) -> Continuation:
    """Follow each cell's rest while the parameter ``path`` goes from its value to ``low`` and to ``high``.

    Steps along the curve's own length, so that it is followed around folds (H. B. Keller (1977), in Applications of
    Bifurcation Theory, ed. P. H. Rabinowitz): a tangent predictor, and Newton steps perpendicular to it. Folds are where
    the parameter turns back, Hopf points where two more modes grow or decay, each found by sectioning to round-off; a
    Hopf point is a zero of the product of the sums of all pairs of eigenvalues (L. Orlando (1911), Math Ann 71:233,
    doi:10.1007/BF01456650). ``attempts`` is the most steps in each direction. ``initial`` is a state to search the first
    rest from (another attractor). Float64, a population at once.

    Raises PathError for a path that is not there, ValueError where a cell's value is outside of the range.
    """
    known = {p: value for p, value, _ in declared(membrane)}
    if path not in known:
        raise path_error(path, list(known))
    start_value = np.asarray(known[path], float)
    if not (low < high and np.all((start_value >= low) & (start_value <= high))):
        found = " to ".join(dict.fromkeys(f"{x:g}" for x in (start_value.min(), start_value.max())))
        raise ValueError(f"{path} is {found}, which is not between {low:g} and {high:g}; the curve begins at its value")
    rest = resting_state(membrane, initial=initial)
    wide, state, shape = flattened(widened(membrane), jax.tree.map(np.asarray, rest.state))
    cells = int(np.prod(shape))
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda x: np.broadcast_to(x, (cells,)) if np.ndim(x) == 0 else x, wide)
        state = jax.tree.map(lambda x: np.broadcast_to(x, (cells,)) if np.ndim(x) == 0 else x, state)
        layout = unknowns(wide)
        limits = (float(low), float(high))
        up, done_up = in_blocks(followed, (wide, state, np.ones(cells), limits), cells, path, layout, attempts)
        down, done_down = in_blocks(followed, (wide, state, -np.ones(cells), limits), cells, path, layout, attempts)
        tracks = [joined(up, down, i) for i in range(cells)]
        length = max(t.p.size for t in tracks)
        table = lambda get, fill: np.stack([_padded(get(t), length, fill) for t in tracks], -1)
        u = tuple(table(lambda t, k=k: t.u[k], np.nan) for k in range(len(layout)))
        p, kind, growing = table(lambda t: t.p, np.nan), table(lambda t: t.kind, 3), table(lambda t: t.growing, -1)
        du = [table(lambda t, k=k: t.du[k], np.nan) for k in range(len(layout))] + [table(lambda t: t.dp, np.nan)]
        rested = rest.status.reshape(-1) == Status.OK
        y = np.where(rested, np.stack([*u, p], 1), np.nan)
        special = located(Curves(wide, path, limits, layout), sections(y, np.stack(du, 1), growing))
        value, v, levels = in_blocks(described, (wide, u, p, limits), cells, path, layout)
    status = np.where(done_up & done_down, int(Status.OK), int(Status.NOT_FOUND))
    status = np.where(rested, status, int(Status.NO_STEADY_STATE)).astype(np.int32)
    put = lambda x: x.reshape((*x.shape[:-1], *shape))
    blank = lambda x: put(np.where(rested, x, np.nan))
    return Continuation(
        path, blank(value), blank(v), {k: blank(x) for k, x in levels.items()}, put(kind),
        put(growing), put(status), special,
    )  # fmt: skip


def _padded(x: np.ndarray, length: int, fill: Any) -> np.ndarray:
    return np.concatenate([x, np.full(length - x.size, fill, x.dtype)])
