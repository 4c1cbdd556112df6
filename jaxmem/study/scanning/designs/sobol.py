"""Scrambled Sobol points: the most even filling of many dimensions, and extensible."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmem.study.scanning.axis import Axis
from jaxmem.study.scanning.designs.design import Design, count, ranges, told_axes, whole_seed
from jaxmem.study.scanning.designs.sobol_sequence import directions, points, scrambled


@dataclasses.dataclass(frozen=True, eq=False)
class Sobol(Design):
    """The first ``points`` of a scrambled Sobol sequence, an axis a dimension, in the order of the axes.

    The first n are the same for any number of points. Of 2^m points each axis has exactly one in each of 2^m equal
    strata; a power of two is therefore the best number. I. M. Sobol' (1967), doi:10.1016/0041-5553(67)90144-9; see
    :mod:`jaxmem.study.scanning.designs.sobol_sequence`.
    """

    axes: Mapping[str, Axis]
    points: int
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", ranges(self.axes, "sobol"))
        object.__setattr__(self, "points", count(self.points))
        object.__setattr__(self, "seed", whole_seed(self.seed))

    @property
    def told(self) -> dict[str, Any]:
        return {"kind": "sobol", "points": self.points, "seed": self.seed, "axes": told_axes(self.axes)}

    @functools.cached_property
    def _scrambled(self) -> dict[str, tuple[np.ndarray, np.uint64]]:
        names = [axis.called(path) for path, axis in self.axes.items()]
        return {
            name: scrambled(numbers, self.seed, f"scramble of {name}")
            for name, numbers in zip(names, directions(len(names)), strict=True)
        }

    def _made(self, start: int, stop: int) -> dict[str, np.ndarray]:
        names = {axis.called(path): axis for path, axis in self.axes.items()}
        return {name: axis.at(points(*self._scrambled[name], start, stop)) for name, axis in names.items()}
