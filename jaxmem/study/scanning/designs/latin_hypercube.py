"""The Latin hypercube: as many strata on each axis as there are points, and one point in each."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmem.study.draws import raw
from jaxmem.study.scanning.axis import Axis
from jaxmem.study.scanning.designs.design import Design, count, ranges, told_axes, whole_seed
from jaxmem.study.scanning.designs.permutation import permuted


@dataclasses.dataclass(frozen=True, eq=False)
class LatinHypercube(Design):
    """``points`` points of which exactly one lies in each of as many equal strata of every axis, at a random place of it.

    M. D. McKay, R. J. Beckman and W. J. Conover (1979), Technometrics 21:239, doi:10.2307/1268522. The permutation of an
    axis' strata depends on the seed and its name; the points are others for another number of points.
    """

    axes: Mapping[str, Axis]
    points: int
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", ranges(self.axes, "latin_hypercube"))
        object.__setattr__(self, "points", count(self.points))
        object.__setattr__(self, "seed", whole_seed(self.seed))

    @property
    def told(self) -> dict[str, Any]:
        return {"kind": "latin_hypercube", "points": self.points, "seed": self.seed, "axes": told_axes(self.axes)}

    def fractions(self, name: str, start: int, stop: int) -> np.ndarray:
        """Where the points lie between 0 and 1 on the axis of this name."""
        stratum = permuted(np.arange(start, stop), self.points, self.seed, f"strata of {name}")
        # so few bits within the stratum that no rounding carries a point over its border
        bits = max(1, 50 - self.points.bit_length())
        within = raw(self.seed, f"within the strata of {name}", start, stop) >> np.uint64(64 - bits)
        return (stratum + (within + 0.5) * 2.0**-bits) / self.points

    def _made(self, start: int, stop: int) -> dict[str, np.ndarray]:
        names = {axis.called(path): axis for path, axis in self.axes.items()}
        return {name: axis.at(self.fractions(name, start, stop)) for name, axis in names.items()}
