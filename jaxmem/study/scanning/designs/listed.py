"""Points that are given one by one: measured cells, the corners that one wants to see, points of another scan."""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from jaxmem import units
from jaxmem.study.scanning.axis import FACTOR, Axis
from jaxmem.study.scanning.designs.design import Design, named


@dataclasses.dataclass(frozen=True, eq=False)
class Listed(Design):
    """Given points: ``columns`` has for each path the numbers (n,), or (numbers, unit) where they are in another unit.

    ``called``: axes without low and high that say, by path, the name of a column or what it multiplies:
    ``{"na_leak.g": Axis(times="k_leak.g")}``. Raises ValueError for columns of different lengths, or numbers that are
    not finite.
    """

    columns: Mapping[str, Any]
    called: Mapping[str, Axis] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        columns: dict[str, tuple[np.ndarray, str | None]] = {}
        for path, given in self.columns.items():
            pair = isinstance(given, tuple) and len(given) == 2 and (given[1] is None or isinstance(given[1], str))
            numbers, unit = given if pair else (given, None)
            try:
                x = np.array(numbers, float)
            except (TypeError, ValueError):
                raise ValueError(f"{path}: found {numbers!r}; an array of numbers is wanted") from None
            if x.ndim != 1 or not x.size:
                raise ValueError(f"{path}: found an array of shape {x.shape}; one number for each point is wanted")
            if bad := np.flatnonzero(~np.isfinite(x)).tolist():
                raise ValueError(f"{path}: point {bad[0]} is {x[bad[0]]}; finite numbers are wanted")
            x.flags.writeable = False
            columns[path] = x, unit
        lengths = {x.size: path for path, (x, _) in columns.items()}
        if len(lengths) > 1:
            told = ", ".join(f"{path} has {n}" for n, path in lengths.items())
            raise ValueError(f"each column has one number for each point: {told}")
        if odd := sorted(set(self.called) - set(columns)):
            raise ValueError(f"{odd[0]}: is called something, but has no column")
        for path, axis in self.called.items():
            if axis.low is not None or axis.values is not None:
                raise ValueError(f"{path}: the numbers of a list are in its columns; leave out low, high and values")
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "called", dict(self.called))
        _ = self.axes  # names and factors are checked there

    @functools.cached_property
    def axes(self) -> Mapping[str, Axis]:  # type: ignore[override]
        return named({
            path: dataclasses.replace(self.called.get(path, Axis()), unit=unit)
            for path, (_, unit) in self.columns.items()
        })  # fmt: skip

    @property
    def points(self) -> int:  # type: ignore[override]
        return len(next(iter(self.columns.values()))[0])

    @property
    def told(self) -> dict[str, Any]:
        axes = {}
        for path, axis in self.axes.items():
            x, _ = self.columns[path]
            told = {"low": float(x.min()), "high": float(x.max()), "sha256": hashlib.sha256(x.tobytes()).hexdigest()}
            axes[axis.called(path)] = axis.told(path) | told
        return {"kind": "list", "points": self.points, "axes": axes}

    def _resolved(self, known: Mapping[str, Any], area: Any, capacitance: Any) -> Self:
        columns = {}
        for path, (x, unit) in self.columns.items():
            to = FACTOR if self.axes[path].times is not None else known[path].unit
            try:
                columns[path] = units.convert(x, unit or to, to, area=area, capacitance=capacitance), to
            except units.UnitError as error:
                raise units.UnitError(f"{path}: {error}") from None
        return dataclasses.replace(self, columns=columns)

    def _made(self, start: int, stop: int) -> dict[str, np.ndarray]:
        return {axis.called(path): self.columns[path][0][start:stop].copy() for path, axis in self.axes.items()}
