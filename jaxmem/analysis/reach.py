"""Which voltages a membrane can rest at while some of its conductances are free, and which it cannot, in words."""

import itertools
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.analysis.setting import in_float64, widened
from jaxmem.membrane.membrane import Membrane

MOST = 10  # free parameters; beyond that there are too many corners to look at
STRAIGHT = 1e-6  # of the current's size: how far from a straight line a parameter may act
Bounds = Mapping[str, tuple[float, float]]


@in_float64
def out_of_reach(
    membrane: Membrane, v: np.ndarray, bounds: Bounds, tied: Mapping[str, tuple[str, float]] | None = None
) -> dict[int, str]:
    """The cells that cannot rest at ``v`` (cells,) in mV with any values of the free parameters, and why.

    A cell rests where no net current flows. The current at one voltage is a straight line in each conductance,
    permeability and pump rate, so over the box of their ``bounds`` (low, high) it is largest and smallest in corners:
    where it has one sign in all of them the cell cannot rest there. ``tied``: path -> (free path, ratio).

    Certain, not complete: nothing is said of cells with dynamic ions, whose concentrations at rest are not known before,
    of parameters that do not act along a straight line, of NaN and of more than 10 free parameters.
    """
    v = np.atleast_1d(np.asarray(v, float))
    if membrane.pools() or len(bounds) > MOST:
        return {}
    membrane, held = widened(membrane), np.where(np.isfinite(v), v, -65.0)
    low, high = ({path: float(x[i]) for path, x in bounds.items()} for i in (0, 1))

    @jax.jit
    def current(values: dict[str, float]) -> jax.Array:
        m = membrane.with_parameters(values | {p: values[to] * r for p, (to, r) in (tied or {}).items()})
        state = m.initial_state(v=held)
        flows = m.fluxes(state.v, state.states, m.environment(state.book))
        return sum((c.value for ion, c in flows.items() if m.species[ion].valence), jnp.zeros_like(state.v))

    at = lambda values: np.broadcast_to(np.asarray(current(values)), v.shape)
    middle = {path: (low[path] + high[path]) / 2 for path in bounds}
    for path in bounds:
        ends = [at(middle | {path: end[path]}) for end in (low, high)]
        if np.any(
            np.abs(at(middle) - (ends[0] + ends[1]) / 2) > STRAIGHT * (np.abs(ends[0]) + np.abs(ends[1]) + 1e-12)
        ):
            return {}
    corners = np.stack(
        [
            at(dict(zip(bounds, c, strict=True)))
            for c in itertools.product(*zip(low.values(), high.values(), strict=True))
        ]
    )
    least, most = corners.min(0), corners.max(0)
    stuck = np.isfinite(v) & np.isfinite(least) & np.isfinite(most) & ((least > 0) | (most < 0))
    reversals = {k: np.broadcast_to(x, v.shape) for k, x in _reversals(membrane, bounds, tied or {}).items()}
    told = {}
    for i in np.flatnonzero(stuck):
        here = {name: float(x[i]) for name, x in reversals.items() if np.isfinite(x[i])}
        told[int(i)] = _words(float(v[i]), here, float(least[i] if least[i] > 0 else most[i]))
    return told


def _reversals(membrane: Membrane, free: Bounds, tied: Mapping[str, tuple[str, float]]) -> dict[str, np.ndarray]:
    """The reversal potential of everything that conducts: "E_K" of an ion, "E of leak" where it is fixed."""
    env = membrane.environment(membrane.initial_state().book)
    found = {}
    for name in membrane.order:
        part = membrane.mechanisms[name]
        field = next((f for f in ("g", "p") if hasattr(part, f)), None)
        ion = getattr(part, "ion", None)
        if field is None or ion is None:
            continue
        path = f"{name}.{field}"
        if path in free or path in tied or np.any(np.asarray(getattr(part, field)) > 0):
            fixed = getattr(part, "e", None)
            if fixed is not None:
                found[f"E of {name}"] = np.asarray(fixed, float)
            elif ion in env.e:
                found[f"E_{ion.capitalize()}"] = np.asarray(env.e[ion])
    return found


def _words(v: float, reversals: Mapping[str, float], current: float) -> str:
    order: Sequence[str] = sorted(reversals, key=reversals.__getitem__)
    if order and v < reversals[order[0]]:
        where = f"below {order[0]} = {reversals[order[0]]:.4g} mV"
    elif order and v > reversals[order[-1]]:
        where = f"above {order[-1]} = {reversals[order[-1]]:.4g} mV"
    else:
        way = "outward" if current > 0 else "inward"
        return (
            f"rests at {v:.4g} mV, out of reach: with all values of what is free the current there is {way}, at least "
            f"{abs(current):.2g} uA/cm^2 (wider bounds, or another fixed number, may help)"
        )
    return f"rests at {v:.4g} mV, {where}: no mixture of these conductances can rest there"
