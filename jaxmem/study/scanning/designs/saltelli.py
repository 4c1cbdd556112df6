"""The design from which Sobol's sensitivity indices are computed: two independent samples, and one with columns of both."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmem.study.scanning.axis import Axis
from jaxmem.study.scanning.designs.design import MOST, Design, count, ranges, told_axes, whole_seed
from jaxmem.study.scanning.designs.sobol_sequence import directions, points, scrambled


@dataclasses.dataclass(frozen=True, eq=False)
class Saltelli(Design):
    """``base * (d + 2)`` points for d axes. Of the base sample i // (d + 2), the point i is, with k = i % (d + 2):

        k = 0: A;   k = 1: B;   k = 2 + j: A with axis j from B.

    A and B are the first and the second d dimensions of one scrambled Sobol sequence of 2 d, as in
    :func:`scipy.stats.sobol_indices`, which wants ``base`` a power of two; raises ValueError where it is none.
    A. Saltelli et al. (2010), Comput Phys Commun 181:259, doi:10.1016/j.cpc.2009.09.018.
    """

    axes: Mapping[str, Axis]
    base: int
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", ranges(self.axes, "sensitivity"))
        base = count(self.base, "base, the number of base samples,")
        if base & (base - 1):
            below = 1 << (base.bit_length() - 1)
            raise ValueError(
                f"the number of base samples is a power of two (else the two samples are not balanced); found {base}, take "
                f"{below} or {2 * below}"
            )
        object.__setattr__(self, "base", base)
        object.__setattr__(self, "seed", whole_seed(self.seed))
        if self.points > MOST:
            raise ValueError(f"{base} base samples make more than 2^52 points; take fewer")

    @property
    def points(self) -> int:  # type: ignore[override]
        return self.base * (len(self.axes) + 2)

    @property
    def told(self) -> dict[str, Any]:
        told = {"kind": "sensitivity", "points": self.points, "base": self.base, "seed": self.seed}
        return told | {"axes": told_axes(self.axes)}

    @functools.cached_property
    def _scrambled(self) -> list[list[tuple[np.ndarray, np.uint64]]]:
        """For A and B, for each axis."""
        names = [axis.called(path) for path, axis in self.axes.items()]
        keys = [f"scramble of {name} in {sample}" for sample in "AB" for name in names]
        found = [scrambled(v, self.seed, k) for v, k in zip(directions(len(keys)), keys, strict=True)]
        return [found[: len(names)], found[len(names) :]]

    def _made(self, start: int, stop: int) -> dict[str, np.ndarray]:
        block = len(self.axes) + 2
        first, last = start // block, (stop - 1) // block + 1
        sample, k = np.divmod(np.arange(start, stop), block)
        found = {}
        for j, (path, axis) in enumerate(self.axes.items()):
            a, b = (axis.at(points(*half[j], first, last))[sample - first] for half in self._scrambled)
            found[axis.called(path)] = np.where((k == 1) | (k == 2 + j), b, a)
        return found
