"""A design within a design: every point of the outer one with every point of the inner one."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from jaxmem.study.scanning.axis import Axis
from jaxmem.study.scanning.designs.design import MOST, Design, named


@dataclasses.dataclass(frozen=True, eq=False)
class Nested(Design):
    """Every point of ``outer`` with every point of ``inner``: point ``i_outer * inner.points + i_inner``.

    A grid over two axes with Sobol points over the rest shows, at each place of the map, what the rest does there; the
    inner points are the same at each place. Raises ValueError where both have an axis of one path or name.
    """

    outer: Design
    inner: Design

    def __post_init__(self) -> None:
        for key in ("outer", "inner"):
            if not isinstance(getattr(self, key), Design):
                raise ValueError(f"{key} is a design; found {getattr(self, key)!r}")
        if both := sorted(set(self.outer.axes) & set(self.inner.axes)):
            raise ValueError(f"{both[0]}: is an axis of the outer and of the inner design; leave it out of one of them")
        named(self.axes)
        if self.points > MOST:
            raise ValueError(f"{self.outer.points} x {self.inner.points} points are more than 2^52; take fewer")

    @property
    def axes(self) -> Mapping[str, Axis]:  # type: ignore[override]
        return {**self.outer.axes, **self.inner.axes}

    @property
    def points(self) -> int:  # type: ignore[override]
        return self.outer.points * self.inner.points

    @property
    def told(self) -> dict[str, Any]:
        axes = {**self.outer.told["axes"], **self.inner.told["axes"]}
        told = {"kind": "nested", "points": self.points, "outer": self.outer.told, "inner": self.inner.told}
        return told | {"axes": axes}

    def _resolved(self, known: Mapping[str, Any], area: Any, capacitance: Any) -> Self:
        parts = (part._resolved(known, area, capacitance) for part in (self.outer, self.inner))
        return dataclasses.replace(self, **dict(zip(("outer", "inner"), parts, strict=True)))

    def _made(self, start: int, stop: int) -> dict[str, np.ndarray]:
        n = self.inner.points
        first, last = start // n, (stop - 1) // n + 1
        place, within = np.divmod(np.arange(start, stop), n)
        outside = {name: x[place - first] for name, x in self.outer.values(first, last).items()}
        if last - first == 1:
            return outside | self.inner.values(start - first * n, stop - first * n)
        if stop - start < n:  # the end of one round and the beginning of the next
            ends = self.inner.values(start - first * n, n), self.inner.values(0, stop - (last - 1) * n)
            return outside | {name: np.concatenate([ends[0][name], ends[1][name]]) for name in ends[0]}
        return outside | {name: x[within] for name, x in self.inner.values(0, n).items()}
