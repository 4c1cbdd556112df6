"""An axis of a design: which numbers a parameter takes, on which scale, and whether it is a factor of another one.

Numbers are bare, in the axis' unit, or texts with a unit (``"2 mM"``); :meth:`Axis.resolved` reads them where the
parameter's unit is known.
"""

import dataclasses
import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxmem import units

SCALES = ("linear", "log")
FACTOR = "1"  # the unit of an axis that multiplies


@dataclasses.dataclass(frozen=True)
class Axis:
    """The numbers that one parameter takes.

    Either ``low`` and ``high`` with a ``scale`` ("linear", which is what None means, or "log"), and for a grid how many
    ``points``, evenly spaced on the scale, both ends included; or the ``values`` themselves. Bare numbers are in ``unit``,
    by default the one that the parameter is documented in.

    With ``times`` the axis is a factor without unit: the parameter becomes factor times the value that the parameter
    ``times`` has at this point, which may be an axis of its own; times itself it is a factor of the typical cell's value.
    ``name`` is what results call the axis: by default the parameter's path, or ``path_per_times``.

    Raises ValueError for what cannot be an axis; texts with a unit are looked at by :meth:`resolved`.
    """

    low: float | str | None = None
    high: float | str | None = None
    _: dataclasses.KW_ONLY
    scale: str | None = None
    points: int | None = None
    values: Sequence[float | str] | None = None
    times: str | None = None
    name: str | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        if self.values is not None:
            if isinstance(self.values, str) or np.ndim(self.values) != 1:
                raise ValueError(f"values is a list of numbers; found {self.values!r}")
            object.__setattr__(self, "values", tuple(_plain(x) for x in self.values))
        for key in ("low", "high"):
            object.__setattr__(self, key, _plain(getattr(self, key)))
        _check_keys(self)
        if self.times is not None and self.unit not in (None, FACTOR):
            raise ValueError(f"an axis that multiplies {self.times} is a factor and has no unit; found {self.unit!r}")
        if not any(isinstance(x, str) for x in (self.low, self.high, *(self.values or ()))):
            _check_numbers(self)

    def called(self, path: str) -> str:
        """The name in results of the axis of this parameter."""
        return self.name or (path if self.times is None else f"{path}_per_{self.times}")

    def resolved(self, unit: str, *, area: Any = None, capacitance: Any = None) -> "Axis":
        """The same axis with plain numbers in ``unit``, the parameter's, whatever they were written in.

        ``area`` (um^2) and ``capacitance`` (uF/cm^2) turn values of the whole cell and those per farad into densities,
        as in :func:`jaxmem.units.parse_quantity`. Raises ValueError (UnitError) for texts that are no such quantity.
        """
        to = FACTOR if self.times is not None else unit

        def read(x: Any, key: str) -> Any:
            if x is None:
                return None
            try:
                if isinstance(x, str):
                    bare = self.unit is not None and _bare(x)
                    x = f"{x} {self.unit}" if bare else x
                    return units.parse_quantity(x, to, area=area, capacitance=capacitance)
                return float(units.convert(x, self.unit or to, to, area=area, capacitance=capacitance))
            except units.UnitError as error:
                raise units.UnitError(f"{key}: {error}") from None

        values = None if self.values is None else tuple(read(x, "values") for x in self.values)
        low, high = read(self.low, "low"), read(self.high, "high")
        return dataclasses.replace(self, low=low, high=high, values=values, unit=to)

    @property
    def levels(self) -> int | None:
        """How many levels a grid has on this axis; None where it has none."""
        return self.points if self.values is None else len(self.values)

    def level(self, index: np.ndarray) -> np.ndarray:
        """The levels of a grid at these places, float64; the first and the last are ``low`` and ``high`` themselves."""
        numeric(self)
        if self.values is not None:
            return np.asarray(self.values, float)[index]
        assert self.points is not None
        last = self.points - 1
        x = self.at(np.asarray(index, float) / last)
        x[index == 0], x[index == last] = self.low, self.high
        return x

    def at(self, u: np.ndarray) -> np.ndarray:
        """The numbers at these fractions of the way from ``low`` to ``high`` on the scale, float64."""
        numeric(self)
        low, high = float(self.low), float(self.high)  # type: ignore[arg-type]
        u = np.ascontiguousarray(u, float)
        x = low * (high / low) ** u if self.scale == "log" else low * (1 - u) + high * u
        return np.clip(x, low, high)

    def told(self, path: str) -> dict[str, Any]:
        """In words for a file; what is not set is left out."""
        told = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "name"}
        told["values"] = None if self.values is None else list(self.values)
        return {"path": path} | {key: x for key, x in told.items() if x is not None}


def numeric(axis: Axis) -> None:
    """Raise ValueError for an axis whose texts with a unit have not been read yet."""
    if texts := [x for x in (axis.low, axis.high, *(axis.values or ())) if isinstance(x, str)]:
        raise ValueError(
            f"found {texts[0]!r}: a text is read where the parameter's unit is known; call resolved(...) first, or "
            "give a bare number"
        )


def _plain(x: Any) -> Any:
    if x is None or isinstance(x, str):
        return x
    if isinstance(x, bool | np.bool_) or not isinstance(x, numbers.Real):
        raise ValueError(f"found {x!r}; a number or a text with a unit is wanted")
    return float(x)


def _bare(x: str) -> bool:
    try:
        float(x)
    except ValueError:
        return False
    return True


def _check_keys(axis: Axis) -> None:
    if axis.scale not in (None, *SCALES):
        raise ValueError(f"found the scale {axis.scale!r}; allowed are {' and '.join(map(repr, SCALES))}")
    for key in ("times", "name", "unit"):
        if (x := getattr(axis, key)) is not None and (not isinstance(x, str) or not x.strip()):
            raise ValueError(f"{key} is a text; found {x!r}")
    if axis.name is not None and "/" in axis.name:
        raise ValueError(f"a name has no '/'; found {axis.name!r}")
    if axis.points is not None:
        if isinstance(axis.points, bool) or not isinstance(axis.points, numbers.Integral) or axis.points < 2:
            raise ValueError(
                f"points is a whole number of at least 2, both ends included; found {axis.points!r} (for a single level "
                "give values = [x])"
            )
        object.__setattr__(axis, "points", int(axis.points))
    if axis.values is not None:
        if odd := [key for key in ("low", "high", "scale", "points") if getattr(axis, key) is not None]:
            raise ValueError(f"values are the levels themselves; leave out {' and '.join(odd)}")
        if not axis.values:
            raise ValueError("values is empty; give at least one level")
    elif (axis.low is None) != (axis.high is None):
        lacking = "high" if axis.high is None else "low"
        raise ValueError(f"{lacking} is missing; an axis goes from low to high")
    elif axis.low is None and (axis.points is not None or axis.scale is not None):
        raise ValueError("low and high are missing; give them, or the levels themselves as values")


def _check_numbers(axis: Axis) -> None:
    unit = "" if axis.unit in (None, FACTOR) else f" {axis.unit}"
    if bad := [x for x in (axis.low, axis.high, *(axis.values or ())) if x is not None and not math.isfinite(float(x))]:
        raise ValueError(f"found {bad[0]}; an axis has finite numbers")
    if axis.low is not None:
        low, high = float(axis.low), float(axis.high)  # type: ignore[arg-type]
        if not low < high:
            raise ValueError(f"low must be below high; found {low:g} and {high:g}{unit}")
        if axis.scale == "log" and low <= 0:
            raise ValueError(
                f'a log scale needs low above 0; found {low:g}{unit}. Give a small positive low, or scale = "linear"'
            )
    elif axis.values is not None and (twice := [x for x in axis.values if axis.values.count(x) > 1]):
        raise ValueError(f"the level {twice[0]:g}{unit} stands twice in values; give each level once")
