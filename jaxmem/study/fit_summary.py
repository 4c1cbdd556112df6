"""Fits at a glance: how well each target is met, where each parameter came out and how sure that is."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxmem.study.fits import CONVERGED, Fits


class TargetSummary(NamedTuple):
    """Over the ``measured`` cells at their best start: the median and the largest misfit in ``unit``, the largest in sd."""

    told: str
    measured: int
    typical: float
    largest: float
    in_sd: float
    unit: str


class ParameterSummary(NamedTuple):
    """Over the fitted cells at their best start: median, ``low`` and ``high`` (5 and 95 %) in ``unit``.

    ``error`` is the median standard error of those ``identified``, ``over_starts`` the median range over a cell's converged
    starts; both of the logarithm where ``logarithmic``. None where it is not known.
    """

    path: str
    unit: str
    low: float
    median: float
    high: float
    logarithmic: bool
    error: float | None
    identified: int | None
    at_bound: int | None
    over_starts: float | None


def targets(found: Fits) -> list[TargetSummary]:
    told = []
    for row in found.rows:
        sd = np.abs(found.best(f"residual_{row.name}"))
        off = np.abs(found.best(f"fitted_{row.name}") - found.best(f"measured_{row.name}"))
        off, sd = off[np.isfinite(sd)], sd[np.isfinite(sd)]
        three = (float(np.median(off)), float(off.max()), float(sd.max())) if sd.size else (np.nan,) * 3
        told.append(TargetSummary(row.told, sd.size, *three, row.unit))
    return told


def _width(free: Mapping[str, Any]) -> float:
    """Between the bounds, in the coordinate that errors are of."""
    low, high = (np.median(np.asarray(free[end], float)) for end in ("low", "high"))
    return float(np.log(high / low) if free["scale"] == "log" else high - low)


def parameters(found: Fits) -> list[ParameterSummary]:
    good, told = found["status"] == CONVERGED, []
    for path in [*found.free, *found.tied]:
        x = found.best(path)
        x = x[np.isfinite(x)]
        low, middle, high = np.quantile(x, (0.05, 0.5, 0.95)).tolist() if x.size else (np.nan,) * 3
        logarithmic = found.free.get(path, {"scale": "log"})["scale"] == "log"
        error, identified, edge, spread = None, None, None, None
        if (name := f"{path}_standard_error") in found:
            e = found.best(name)[found.fitted]
            told_by_bounds = found.best(f"{path}_at_bound")[found.fitted] > 0
            e = e[(e < _width(found.free[path])) & ~told_by_bounds]  # wider than the bounds is not known
            error, identified = float(np.median(e)) if e.size else None, e.size
        if (name := f"{path}_at_bound") in found:
            edge = int(np.sum(found.best(name)[found.fitted] > 0))
        if (several := good.sum(0) > 1).any():
            y = np.where(good, np.log(found[path]) if logarithmic else found[path], np.nan)[:, several]
            spread = float(np.median(np.nanmax(y, 0) - np.nanmin(y, 0)))
        unit = found.variables[path].unit
        told.append(ParameterSummary(path, unit, low, middle, high, logarithmic, error, identified, edge, spread))
    return told
