"""Ions and other substances with an inside and an outside."""

from collections.abc import Mapping
from typing import Literal

import equinox as eqx
import numpy as np
from jaxtyping import ArrayLike

from jaxmem.membrane.mechanism import Number, parameter

Side = Literal["inside", "outside"]


def pool_of(path: str) -> tuple[str, str]:
    """Species and side of a pool's path: ``"ca.inside"`` -> ``("ca", "inside")``."""
    name, _, side = path.partition(".")
    return name, side


class Species(eqx.Module):
    """An ion, or with valence 0 a substance without charge (ATP, water, transmitter).

    ``inside`` and ``outside`` are the concentrations at the start. The sides named in ``dynamic`` change as charge is
    carried across, the others are clamped. Without concentrations (both None) a species is only counted: the ion of a
    mechanism with a fixed reversal potential, or a nonspecific current.

    ``every_step``: its concentrations are refreshed at every step instead of every half millisecond: for pools so small
    that a spike changes them (a calcium shell, periaxonal space). ``depth`` (um) is the volume over area of its own pool
    inside, where that is not the cell's (a shell); ``outside_depth`` likewise outside.
    """

    inside: Number | None = parameter("mM", "concentration inside at the start", default=None, minimum=0.0)
    outside: Number | None = parameter("mM", "concentration outside at the start", default=None, minimum=0.0)
    depth: Number | None = parameter("um", "volume over area of its own pool inside", default=None, positive=True)
    outside_depth: Number | None = parameter(
        "um", "volume over area of its own pool outside", default=None, positive=True
    )
    valence: int = eqx.field(static=True, default=1)
    dynamic: tuple[Side, ...] = eqx.field(static=True, default=(), converter=tuple)
    every_step: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        if int(self.valence) != self.valence:
            raise ValueError(f"a valence is a whole number, not {self.valence!r}")
        if (self.inside is None) != (self.outside is None):
            raise ValueError("a species has concentrations on both sides or on none (0 mM where there is none of it)")
        for side in self.dynamic:
            if side not in ("inside", "outside"):
                raise ValueError(f"dynamic names 'inside' or 'outside', not {side!r}")
            if getattr(self, side) is None:
                raise ValueError(f"a dynamic {side} needs a concentration to start from")

    @property
    def counted_only(self) -> bool:
        return self.inside is None or self.outside is None


def impermeant(species: Mapping[str, Species], valence: int = -1) -> Species:
    """The charge that does not move: an impermeant species that makes both sides electroneutral.

    Its concentration on each side is ``-sum(z c)/valence`` over the other ``species`` (mM). Raises ValueError where that
    would be negative, which says by how much the published numbers miss.
    """

    def missing(side: Side) -> ArrayLike:
        charge = sum(
            s.valence * getattr(s, side) for s in species.values() if s.valence and getattr(s, side) is not None
        )
        amount = -charge / valence
        if np.any(np.asarray(amount) < 0):
            sign = "positive" if valence < 0 else "negative"
            raise ValueError(
                f"{side}: the ions sum to {np.min(np.asarray(charge)):.4g} mM of charge; an impermeant species of valence "
                f"{valence} cannot balance that. Add the missing {sign} ions or give it the opposite valence."
            )
        return amount

    return Species(inside=missing("inside"), outside=missing("outside"), valence=valence)
