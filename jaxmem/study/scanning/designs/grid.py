"""The full grid: every level of every axis with every level of the others."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmem.study.scanning.axis import Axis
from jaxmem.study.scanning.designs.design import MOST, Design, named, told_axes


@dataclasses.dataclass(frozen=True, eq=False)
class Grid(Design):
    """Every combination of the axes' levels; the last axis runs fastest, as in an array of that shape.

    Each axis has ``points`` between low and high, or ``values``. Raises ValueError where one has neither.
    """

    axes: Mapping[str, Axis]

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", named(self.axes))
        for path, axis in self.axes.items():
            if axis.levels is None:
                raise ValueError(
                    f"{path}: an axis of a grid needs points (how many levels from low to high) or values (the levels)"
                )
        if self.points > MOST:
            raise ValueError(
                f"a grid of {' x '.join(map(str, self.shape))} has more than 2^52 points; take fewer levels"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(axis.levels or 0 for axis in self.axes.values())

    @property
    def points(self) -> int:  # type: ignore[override]
        return math.prod(self.shape)

    @property
    def told(self) -> dict[str, Any]:
        return {"kind": "grid", "points": self.points, "shape": list(self.shape), "axes": told_axes(self.axes)}

    def _made(self, start: int, stop: int) -> dict[str, np.ndarray]:
        rest, found = np.arange(start, stop), dict[str, np.ndarray]()
        for (path, axis), levels in reversed(list(zip(self.axes.items(), self.shape, strict=True))):
            rest, place = np.divmod(rest, levels)
            found[axis.called(path)] = axis.level(place)
        return dict(reversed(list(found.items())))
