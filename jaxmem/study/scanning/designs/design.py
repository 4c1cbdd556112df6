"""What every design is: axes by path, a number of points, and the numbers of any of them, made alone from their index."""

import abc
import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np

from jaxmem.study.scanning.axis import Axis

MOST = 2**52  # an index must be exact as a float, and leave bits to place a point within its stratum


class Design(abc.ABC):
    """Points of parameter space in a fixed order; frozen, picklable, of no size that grows with the points.

    ``axes``: by parameter path; each has its name. ``points``: how many there are. A final class says ``told`` and
    ``_made``.
    """

    axes: Mapping[str, Axis]
    points: int

    def values(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """The numbers of the points ``start`` to ``stop - 1``: axis name -> (stop - start,) float64.

        Exactly the slice of the whole, to the bit, whatever was asked before. Raises IndexError beyond the points, and
        ValueError while an axis has texts with a unit (see :meth:`resolved`).
        """
        start, stop = int(start), int(stop)
        if not 0 <= start <= stop <= self.points:
            raise IndexError(f"found the points {start} to {stop}; the design has those from 0 to {self.points}")
        if start == stop:
            return {axis.called(path): np.empty(0) for path, axis in self.axes.items()}
        return self._made(start, stop)

    @abc.abstractmethod
    def _made(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """``values`` where there is at least one point."""

    @property
    @abc.abstractmethod
    def told(self) -> dict[str, Any]:
        """The design in words that JSON has: ``kind``, ``points``, ``axes`` by name, and all else that decides it."""

    def resolved(self, known: Mapping[str, Any], *, area: Any = None, capacitance: Any = None) -> Self:
        """The same design in plain numbers: ``known`` has a ``unit`` for every path that an axis may be.

        Raises ValueError for an axis that cannot be read, PathError (a ValueError) for a path that is not known; the
        text begins with the axis' path.
        """
        check_paths(self.axes, known)
        return self._resolved(known, area, capacitance)

    def _resolved(self, known: Mapping[str, Any], area: Any, capacitance: Any) -> Self:
        axes = {p: resolved_axis(p, axis, known, area, capacitance) for p, axis in self.axes.items()}
        return dataclasses.replace(self, axes=axes)  # type: ignore[type-var]

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}  # type: ignore[arg-type]

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.told == other.told  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(json.dumps(self.told))


def named(axes: Mapping[str, Axis]) -> dict[str, Axis]:
    """The axes with the names that results call them; raises ValueError for what cannot be together."""
    if not axes:
        raise ValueError("a design has at least one axis")
    found: dict[str, Axis] = {}
    paths: dict[str, str] = {}
    for path, axis in axes.items():
        if not isinstance(axis, Axis):
            raise ValueError(f"{path}: found {axis!r}; an Axis(low, high) is wanted")
        name = axis.called(path)
        if name in paths:
            raise ValueError(f"{path}: the axis of {paths[name]} is called {name!r} too; give one another name")
        paths[name] = path
        found[path] = dataclasses.replace(axis, name=name)
    for path in found:
        chain = [path]
        while (then := found.get(chain[-1])) is not None and then.times not in (None, chain[-1]):
            assert then.times is not None
            if then.times in chain:
                told = " times ".join([*chain[chain.index(then.times) :], then.times])
                raise ValueError(f"{path}: these factors go round in a circle: {told}; one of them needs a value")
            chain.append(then.times)
    return found


def ranges(axes: Mapping[str, Axis], kind: str) -> dict[str, Axis]:
    """The axes of a design that draws between low and high."""
    found = named(axes)
    for path, axis in found.items():
        if axis.low is None or axis.points is not None:
            odd = "values" if axis.values is not None else "points" if axis.points is not None else "neither"
            raise ValueError(
                f"{path}: an axis of a {kind} design goes from low to high; found {odd}. Levels belong to the axes of a "
                "grid, or to the grid outside of a nested design"
            )
    return found


def count(points: Any, what: str = "points") -> int:
    """A number of points; raises ValueError for what is none."""
    if isinstance(points, bool) or not isinstance(points, int | np.integer) or not 1 <= points <= MOST:
        raise ValueError(f"{what} is a whole number from 1 to 2^52; found {points!r}")
    return int(points)


def whole_seed(seed: Any) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**64:
        raise ValueError(f"seed is a whole number from 0 to 2^64 - 1; found {seed!r}")
    return int(seed)


def told_axes(axes: Mapping[str, Axis]) -> dict[str, Any]:
    return {axis.called(path): axis.told(path) for path, axis in axes.items()}


def check_paths(axes: Mapping[str, Axis], known: Iterable[str]) -> None:
    """Raise PathError for the first path, or factor of one, that is not known."""
    known = list(known)
    for path, axis in axes.items():
        for wanted, field in ((path, ""), (axis.times, "times: ")):
            if wanted is not None and wanted not in known:
                from jaxmem.membrane.parameters import PathError, path_error  # needs JAX, which a design does not

                raise PathError(f"{path}: {field}{path_error(wanted, known)}")


def resolved_axis(path: str, axis: Axis, known: Mapping[str, Any], area: Any, capacitance: Any) -> Axis:
    try:
        return axis.resolved(known[path].unit, area=area, capacitance=capacitance)
    except ValueError as error:
        raise type(error)(f"{path}: {error}") from None
