"""Shapes of a cell. A membrane needs only area and volume; ions outside need the volume of the space around it.

``outside_volume_fraction`` is V_out/(V_in + V_out): 0.2 is neural tissue (Nicholson & Sykova 1998, Trends Neurosci 21:207,
doi:10.1016/S0166-2236(98)01261-2), 1 an infinite bath.
"""

from typing import TYPE_CHECKING, Any

import equinox as eqx
import numpy as np
from jaxtyping import ArrayLike

from jaxmem.membrane.mechanism import Number, parameter


def _outside() -> Number:
    return parameter(
        "1",
        "volume outside over volume inside plus outside; 1 is an infinite bath",
        default=1.0,
        positive=True,
        maximum=1.0,
    )


class Geometry(eqx.Module):
    """Abstract: something with an ``area`` (um^2), a ``volume`` (um^3) and an ``outside_volume_fraction``."""

    if TYPE_CHECKING:  # a type checker would take the fields for arguments of every shape

        @property
        def area(self) -> Any: ...
        @property
        def volume(self) -> Any: ...

    else:
        area: eqx.AbstractVar[ArrayLike]
        volume: eqx.AbstractVar[ArrayLike]
    outside_volume_fraction: eqx.AbstractVar[Number]

    @property
    def depth(self) -> ArrayLike:
        """Volume over area in um."""
        return self.volume / self.area

    @property
    def inverse_outside_depth(self) -> ArrayLike:
        """Area over the volume outside in 1/um: 0 for an infinite bath, which so needs no special case."""
        return (1 - self.outside_volume_fraction) / (self.outside_volume_fraction * self.depth)


class Sphere(Geometry):
    """A round cell."""

    radius: Number = parameter("um", "radius of the cell", default=10.0, positive=True)
    outside_volume_fraction: Number = _outside()

    @property
    def area(self) -> ArrayLike:
        return 4 * np.pi * self.radius**2

    @property
    def volume(self) -> ArrayLike:
        return self.area * self.radius / 3

    @classmethod
    def from_capacitance(cls, picofarad: ArrayLike, specific: ArrayLike = 1.0, **fields: ArrayLike) -> "Sphere":
        """The sphere whose membrane has this capacitance (pF) at ``specific`` uF/cm^2 (1 pF at 1 uF/cm^2 is 100 um^2)."""
        return cls(radius=np.sqrt(100 * np.asarray(picofarad) / np.asarray(specific) / (4 * np.pi)), **fields)


class Cylinder(Geometry):
    """A stretch of axon or dendrite, ends not counted."""

    diameter: Number = parameter("um", "diameter", default=1.0, positive=True)
    length: Number = parameter("um", "length", default=100.0, positive=True)
    outside_volume_fraction: Number = _outside()

    @property
    def area(self) -> ArrayLike:
        return np.pi * self.diameter * self.length

    @property
    def volume(self) -> ArrayLike:
        return self.area * self.diameter / 4


class AreaVolume(Geometry):
    """Area and volume as measured."""

    area: Number = parameter("um^2", "membrane area", positive=True)
    volume: Number = parameter("um^3", "volume inside", positive=True)
    outside_volume_fraction: Number = _outside()
