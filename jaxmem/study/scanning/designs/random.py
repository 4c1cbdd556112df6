"""Independent uniform points."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmem.study.draws import uniform
from jaxmem.study.scanning.axis import Axis
from jaxmem.study.scanning.designs.design import Design, count, ranges, told_axes, whole_seed


@dataclasses.dataclass(frozen=True, eq=False)
class Random(Design):
    """Independent numbers, uniform on each axis' scale; the first n are the same for any number of points.

    A number depends on the seed, the axis' name and the point's index alone (a counter-based generator: J. K. Salmon et
    al. (2011), SC '11, doi:10.1145/2063384.2063405).
    """

    axes: Mapping[str, Axis]
    points: int
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", ranges(self.axes, "random"))
        object.__setattr__(self, "points", count(self.points))
        object.__setattr__(self, "seed", whole_seed(self.seed))

    @property
    def told(self) -> dict[str, Any]:
        return {"kind": "random", "points": self.points, "seed": self.seed, "axes": told_axes(self.axes)}

    def _made(self, start: int, stop: int) -> dict[str, np.ndarray]:
        names = {axis.called(path): axis for path, axis in self.axes.items()}
        return {
            name: axis.at(uniform(self.seed, f"random design, {name}", stop, start)) for name, axis in names.items()
        }
