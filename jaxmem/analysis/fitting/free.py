"""Parameters that a fit may change: bounds, priors, and what is common to all cells."""

import dataclasses
from typing import Literal

import numpy as np
from jaxtyping import ArrayLike

Scale = Literal["log", "linear"]


@dataclasses.dataclass(frozen=True)
class Free:
    """A parameter between ``low`` and ``high`` (in its documented unit; numbers or arrays over cells), both included.

    ``scale``: a fit walks along ln(parameter) ("log", the default where ``low`` is above 0) or along the parameter itself
    ("linear", for potentials and shifts). ``prior`` is ``(median, spread)``, normal in that coordinate: the spread of a
    logarithm of 0.5 is a factor of 1.65 up or down. ``shared``: one value for all cells of a start. ``pooled`` is a
    spread too: every cell has its own value, normal around a common one that is fitted with them (a hierarchical model).

    Raises ValueError where the bounds do not enclose anything, a logarithmic parameter could reach 0, a spread is not
    above 0, or a shared parameter is pooled.
    """

    low: ArrayLike
    high: ArrayLike
    scale: Scale | None = None
    prior: tuple[ArrayLike, ArrayLike] | None = None
    shared: bool = False
    pooled: float | None = None

    def __post_init__(self) -> None:
        low, high = np.asarray(self.low, float), np.asarray(self.high, float)
        if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
            raise ValueError(
                f"a free parameter needs bounds low < high, both finite; found {_told(low)} and {_told(high)}"
            )
        if self.scale is None:
            object.__setattr__(self, "scale", "log" if (low > 0).all() else "linear")
        if self.scale not in ("log", "linear"):
            raise ValueError(f"the scale of a free parameter is 'log' or 'linear', not {self.scale!r}")
        if self.scale == "log" and not (low > 0).all():
            raise ValueError(f"a parameter on a logarithmic scale needs bounds above 0; found {_told(low)}")
        if self.prior is not None:
            median, spread = (np.asarray(x, float) for x in self.prior)
            if (
                not (spread > 0).all()
                or not np.isfinite(median).all()
                or (self.scale == "log" and not (median > 0).all())
            ):
                where = "above 0" if self.scale == "log" else "finite"
                raise ValueError(
                    f"a prior is (median, spread), the median {where}, the spread above 0; found {self.prior}"
                )
        if self.pooled is not None and not self.pooled > 0:
            raise ValueError(f"the spread of a pooled parameter must be above 0; found {self.pooled}")
        if self.shared and self.pooled is not None:
            raise ValueError("a shared parameter has one value for all cells and cannot be pooled: give one of the two")
        if self.shared and any(np.ndim(x) for x in (self.low, self.high, *(self.prior or ()))):
            raise ValueError(
                "a shared parameter has one value for all cells: its bounds and prior are numbers, not arrays"
            )

    @classmethod
    def of(cls, given: "Free | tuple[ArrayLike, ArrayLike]") -> "Free":
        if isinstance(given, Free):
            return given
        try:
            low, high = given
        except (TypeError, ValueError):
            raise ValueError(
                f"a free parameter is given as (low, high) or as jm.Free(low, high); found {given!r}"
            ) from None
        return cls(low, high)

    def coordinate(self, value: ArrayLike) -> np.ndarray:
        """Where a fit walks: ln(value), or the value."""
        x = np.asarray(value, np.float64)
        return np.log(x) if self.scale == "log" else x

    def value(self, coordinate: ArrayLike) -> np.ndarray:
        y = np.asarray(coordinate, np.float64)
        return np.exp(y) if self.scale == "log" else y


def _told(x: np.ndarray) -> str:
    return f"{x.min():g}" if x.ndim == 0 or np.ptp(x) == 0 else f"{x.min():g} to {x.max():g}"
