"""Several rests of the same cell, with all its ions: what it goes to from several starts."""

from collections.abc import Sequence

import equinox as eqx
import jax
import numpy as np

from jaxmem.analysis.resting import RestingState, resting_state
from jaxmem.analysis.setting import in_float64, widened
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.state import State, Status

SAME_V, SAME_LEVEL = 1e-5, 1e-7  # mV, and relative, within which two rests are one


class Attractors(eqx.Module):
    """The different stable rests that were found, per cell in ascending order of v; NaN where there are fewer.

    ``v`` (starts, cells) in mV, ``concentrations`` (starts, cells) in mM by path, ``stability`` (starts, cells),
    ``residual`` (starts, cells) in uA/cm^2, ``count`` (cells,): how many there are. ``rests``: what came of each start.
    """

    v: np.ndarray
    concentrations: dict[str, np.ndarray]
    stability: np.ndarray
    residual: np.ndarray
    count: np.ndarray
    rests: tuple[RestingState, ...]


@in_float64
def attractors(
    membrane: Membrane,
    *,
    run_down: Sequence[float] = (0.0, 0.2, 0.4, 0.6, 0.8),
    starts: Sequence[State] = (),
) -> Attractors:
    """The stable rests that each cell goes to from several starts, duplicates merged.

    A start that is ``run_down`` by a fraction has let its ions go so far of the way to where inside and outside are mixed
    (cations in exchange for the ion that electrodes carry, anions as they are), its voltage likewise to 0 mV. ``starts``
    are further states to search from. What is conserved is the same for all: they are rests of one cell. Not every
    attractor need be found. ValueError where there is no start at all.
    """
    wide = widened(membrane)
    first = jax.tree.map(np.asarray, wide.initial_state())
    states = [_run_down(wide, first, float(x)) for x in run_down] + list(starts)
    if not states:
        raise ValueError("attractors needs at least one start: fractions in run_down, or states in starts")
    rests = tuple(resting_state(membrane, initial=state) for state in states)
    stack = lambda get: np.stack([np.where(r.status == Status.OK, get(r), np.nan) for r in rests])
    v, residual = stack(lambda r: r.v), stack(lambda r: r.residual)
    levels = {k: stack(lambda r, k=k: r.concentrations[k]) for k in rests[0].concentrations}
    kinds = np.stack([np.asarray(r.stability) for r in rests])
    order = np.argsort(v, axis=0, kind="stable")
    sorted_ = lambda x: np.take_along_axis(x, order, 0)
    v, residual, kinds = sorted_(v), sorted_(residual), sorted_(kinds)
    levels = {k: sorted_(x) for k, x in levels.items()}
    keep = np.isfinite(v)
    for i in range(1, len(states)):
        for j in range(i):
            same = np.abs(v[i] - v[j]) < SAME_V
            for x in levels.values():
                same &= np.abs(x[i] - x[j]) <= SAME_LEVEL * np.abs(x[j])
            keep[i] &= ~(same & keep[j])
    place = np.argsort(~keep, axis=0, kind="stable")
    put = lambda x: np.take_along_axis(np.where(keep, x, np.nan), place, 0)
    kinds = np.take_along_axis(np.where(keep, kinds, 3), place, 0).astype(np.int32)
    return Attractors(put(v), {k: put(x) for k, x in levels.items()}, kinds, put(residual), keep.sum(0), rests)


def _run_down(membrane: Membrane, state: State, fraction: float) -> State:
    """The state with part of each cation exchanged between inside and outside, and the voltage gone as far."""
    total = dict(state.total)
    for name, s in membrane.species.items():
        if not s.dynamic or s.valence <= 0 or name == membrane.carrier:
            continue
        inside = np.asarray(s.inside, float)
        depth_out, depth_in = membrane.inverse_depth(name, "outside"), membrane.inverse_depth(name, "inside")
        inverse = np.asarray(depth_out, float) * ("outside" in s.dynamic)  # 0 where the bath is infinite or clamped
        mixed = (inside * inverse + np.asarray(s.outside, float) * depth_in) / (inverse + depth_in)
        total[name] = state.total[name] + fraction * (mixed - inside) / membrane.per_charge(name, "inside")
    v = (1 - fraction) * state.v
    return eqx.tree_at(lambda x: (x.v, x.total), state, (v, total))
