"""Which voltages a membrane can rest at while some of its conductances are free, and which it cannot, in words."""

import itertools
from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from jaxmem.analysis.setting import in_float64, widened
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import replaced

MOST = 6  # free parameters; beyond that there are too many corners to look at
STRAIGHT = 1e-6  # of the largest current: how far from a straight line a parameter may act
NEAR = 1e-6  # mV: what rounding may do to a potential
Bounds = Mapping[str, tuple[float, float]]


@in_float64
def out_of_reach(
    membrane: Membrane,
    v: ArrayLike,
    bounds: Bounds,
    tied: Mapping[str, tuple[str, float]] | None = None,
    *,
    within: ArrayLike = 0.0,
) -> dict[int, str]:
    """The cells that cannot rest at ``v`` (cells,) in mV with any values of the free parameters, and why.

    A cell rests where no net current flows. The current at one voltage is a straight line in each conductance,
    permeability and pump rate, so over the box of their ``bounds`` (low, high) it is largest and smallest in corners:
    where it has one sign in all of them the cell cannot rest there. ``tied``: path -> (free path, ratio). ``within`` (mV):
    a cell that could rest so near to ``v`` is not refused on account of bounds, which are a choice; beyond all reversal
    potentials it is, which are none.

    Certain, not complete: nothing is said of cells with dynamic ions, whose concentrations at rest are not known before,
    of parameters that do not act along a straight line, of NaN and of more than 6 free parameters.
    """
    if membrane.pools() or len(bounds) > MOST:
        return {}
    membrane, v = widened(membrane), np.atleast_1d(np.asarray(v, float))
    ties = dict(tied or {})

    def current(values: dict[str, np.ndarray], here: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Net current and its slope at a voltage, for each row of values."""
        m = replaced(membrane, values | {p: values[to] * r for p, (to, r) in ties.items()})
        state = m.initial_state(
            v=np.where(np.isfinite(here), here, -65.0) + np.zeros((len(next(iter(values.values()))), 1))
        )
        flows = m.fluxes(state.v, state.states, m.environment(state.book))
        charged, none = [c for ion, c in flows.items() if m.species[ion].valence], jnp.zeros_like(state.v)
        return np.asarray(sum((c.value for c in charged), none)), np.asarray(sum((c.slope for c in charged), none))

    def ends(here: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whether the current is outward in all corners, and whether it is inward in all."""
        corners = np.array(list(itertools.product(*bounds.values())))
        found, slopes = current({path: corners[:, i, None] for i, path in enumerate(bounds)}, here)
        nothing = NEAR * np.abs(slopes).max(0)
        return found.min(0) > nothing, found.max(0) < -nothing

    if not _straight(lambda values: current(values, v)[0], bounds):
        return {}
    outward, inward = ends(v)
    reversals = {k: np.broadcast_to(x, v.shape) for k, x in _reversals(membrane, bounds, ties).items()}
    lowest, highest = (f(list(reversals.values()), 0) if reversals else np.nan for f in (np.min, np.max))
    beyond = (v < lowest) | (v > highest)
    near = np.broadcast_to(np.asarray(within, float), v.shape)
    refused = (outward & (beyond | ends(v - near)[0])) | (inward & (beyond | ends(v + near)[1]))
    told = {}
    for i in map(int, np.flatnonzero(refused & np.isfinite(v))):
        here = {name: float(x[i]) for name, x in reversals.items() if np.isfinite(x[i])}
        told[i] = _words(float(v[i]), here, "outward" if outward[i] else "inward")
    return told


def _straight(current: Callable[[dict[str, np.ndarray]], np.ndarray], bounds: Bounds) -> bool:
    """Whether the current lies on a straight line between the bounds of each parameter, the others in the middle."""
    middle = {path: np.full((3, 1), (low + high) / 2) for path, (low, high) in bounds.items()}
    for path, (low, high) in bounds.items():
        x = current(middle | {path: np.array([[low], [(low + high) / 2], [high]])})
        if np.any(np.abs(x[1] - (x[0] + x[2]) / 2) > STRAIGHT * np.abs(x).max()):
            return False
    return True


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


def _words(v: float, reversals: Mapping[str, float], way: str) -> str:
    order = sorted(reversals, key=reversals.__getitem__)
    if order and v < reversals[order[0]]:
        where = f"below {order[0]} = {reversals[order[0]]:.4g} mV"
    elif order and v > reversals[order[-1]]:
        where = f"above {order[-1]} = {reversals[order[-1]]:.4g} mV"
    else:
        return (
            f"rests at {v:.4g} mV, out of reach: with all values of what is free the current there is {way} (wider bounds, "
            "or another fixed number, may help)"
        )
    return f"rests at {v:.4g} mV, {where}: no mixture of these conductances can rest there"
