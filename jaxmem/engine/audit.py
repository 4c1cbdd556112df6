"""Does the book close? Computed in float64 on the host, stored with every run."""

import dataclasses

import numpy as np

from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.state import State


@dataclasses.dataclass(frozen=True)
class Audit:
    """Per cell, relative to all charge (amount) that moved; at least to 1 mV on the capacitor (to what a pool held).

    - ``charge``: C * (change of v) = electrode - sum over ions of the charge they carried.
    - ``mass``: every dynamic amount is its start plus what the book says, and what transfers took from one pool they gave
      to another, or to the bath; the worst pool counts.
    """

    charge: np.ndarray
    mass: np.ndarray

    @property
    def worst_charge(self) -> float:
        return float(np.nanmax(self.charge, initial=0.0))

    @property
    def worst_mass(self) -> float:
        return float(np.nanmax(self.mass, initial=0.0))


def charge_moved(before: State, after: State) -> dict[str, np.ndarray]:
    """What each account moved between two states, in float64: part by part, so that a large total hides nothing."""
    change = lambda new, old: np.asarray(new, np.float64) - np.asarray(old, np.float64)
    return {
        k: change(after.total[k], before.total[k])
        + (change(after.total_low[k], before.total_low[k]) + change(after.pending[k], before.pending[k]))
        for k in after.total
    }


def audit(membrane: Membrane, before: State, after: State) -> Audit:
    """Close the books between two states of one run."""
    wide = lambda x: np.asarray(x, np.float64)
    book = lambda s: {k: wide(s.total[k]) + (wide(s.total_low[k]) + wide(s.pending[k])) for k in s.total}
    new, moved = book(after), charge_moved(before, after)
    rise = (wide(after.v) - wide(before.v)) + (wide(after.v_low) - wide(before.v_low))
    ions = [moved[k] for k, s in membrane.species.items() if s.valence]
    error = moved["electrode"] - sum(ions) - wide(membrane.capacitance) * rise
    everything = abs(moved["electrode"]) + sum(abs(x) for x in ions)
    charge = abs(error) / np.maximum(everything, wide(membrane.capacitance) * 1.0)
    return Audit(charge, _mass(membrane, after, new))


def _mass(membrane: Membrane, after: State, book: dict[str, np.ndarray]) -> np.ndarray:
    wide = lambda x: np.asarray(x, np.float64)
    env = membrane.environment(after.book)
    volume = wide(env.volume)
    worst = np.zeros_like(book["electrode"])
    depth: dict[str, np.ndarray] = {}
    for name, side in membrane.pools():
        s, pool = membrane.species[name], f"{name}.{side}"
        carried = book[name] - (book["electrode"] if name == membrane.carrier and side == "inside" else 0.0)
        by_flux = wide(membrane.per_charge(name, side)) * carried
        by_transfer = wide(book.get(pool, 0.0))
        seen = wide(getattr(env, side)[name])
        if side == "inside" and name != membrane.water:
            seen = seen * volume
        elif name == membrane.water:
            seen = wide(s.inside) * volume
        start = wide(getattr(s, side))
        scale = np.maximum(abs(by_flux) + abs(by_transfer), start)
        worst = np.maximum(worst, abs(seen - (start + by_flux + by_transfer)) / np.where(scale > 0, scale, 1.0))
        inverse = wide(membrane.inverse_depth(name, side))
        depth[pool] = 1 / np.where(inverse > 0, inverse, np.inf)
    transfers = [k for k in book if "." in k]
    if transfers:
        amounts = {k: book[k] * depth[k.split("|")[0]] for k in transfers}
        net, gross = abs(sum(amounts.values())), sum(abs(x) for x in amounts.values())
        worst = np.maximum(worst, net / np.where(gross > 0, gross, 1.0))
    return worst
