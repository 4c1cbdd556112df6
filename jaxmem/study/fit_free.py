"""What a fit may change: free parameters with their bounds, and those that follow them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmem import units
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import declared, path_error
from jaxmem.study.fit_tables import FitTable, FreeTable, TiedTable
from jaxmem.study.problems import Problems


def free_parameters(fit: FitTable, membrane: Membrane, derived: bool, problems: Problems) -> dict[str, FreeTable]:
    known = {path: d for path, _, d in declared(membrane, absent=True)}
    found = {}
    for path, raw in fit.free.items():
        where = ("fit", "free", path)
        if isinstance(raw, list):
            if len(raw) != 2:
                problems.add(where, f"found {len(raw)} numbers; a list is the lower and the upper bound")
                continue
            raw = {"low": raw[0], "high": raw[1]}
        entry = problems.table(FreeTable, raw, *where)
        if entry is None:
            continue
        with problems.at(*where):
            if path not in known:
                raise path_error(path, list(known))
            area = None if derived else membrane.geometry.area
            read = lambda x, path=path, area=area: units.parse_quantity(
                x, known[path].unit, area=area, capacitance=membrane.capacitance
            )
            new: dict[str, Any] = {"low": read(entry.low), "high": read(entry.high)}
            if not new["low"] < new["high"]:
                raise ValueError(
                    f"the lower bound {new['low']:g} is not below the upper {new['high']:g} {known[path].unit}"
                )
            membrane.with_parameters({path: new["low"]}).with_parameters({path: new["high"]})
            scale = entry.scale or ("log" if new["low"] > 0 else "linear")
            if scale == "log" and new["low"] <= 0:
                raise ValueError(f"a log scale needs a lower bound above 0; found {new['low']:g} {known[path].unit}")
            if entry.prior is not None:
                spread = units.parse_quantity(entry.prior[1], "1" if scale == "log" else known[path].unit)
                if not spread > 0:
                    raise ValueError(f"the spread of a prior must be above 0; found {spread:g}")
                new["prior"] = [read(entry.prior[0]), spread]
            found[path] = entry.model_copy(update=new)
    return found


def tied_parameters(
    fit: FitTable, membrane: Membrane, free: Mapping[str, Any], problems: Problems
) -> dict[str, tuple[str, float]]:
    """path -> (free path, ratio); a ratio that is not given is the membrane's own."""
    known = {path: value for path, value, _ in declared(membrane)}
    found = {}
    for path, raw in fit.tied.items():
        where = ("fit", "tied", path)
        entry = problems.table(TiedTable, {"to": raw} if isinstance(raw, str) else raw, *where)
        if entry is None:
            continue
        with problems.at(*where):
            if path not in known:
                raise path_error(path, list(known))
            if entry.to not in fit.free:
                raise ValueError(f"is tied to {entry.to!r}, which is not free; free are {', '.join(fit.free)}")
            ratio = entry.ratio
            if ratio is None:
                own = float(np.asarray(known[entry.to]))
                if not own:
                    raise ValueError(f"the membrane has {entry.to} 0, so there is no ratio to keep; give ratio = ...")
                ratio = float(np.asarray(known[path])) / own
            found[path] = (entry.to, ratio)
    return found


def each_once(
    free: Mapping[str, Any],
    tied: Mapping[str, Any],
    fixed: Mapping[str, Any],
    given: Mapping[str, Any],
    problems: Problems,
) -> None:
    """A parameter has one place."""
    places = {"[fit.free]": free, "[fit.tied]": tied, "[fit.fixed]": fixed, "[data.columns]": given}
    for path in dict.fromkeys(p for place in places.values() for p in place):
        there = [name for name, place in places.items() if path in place]
        if len(there) > 1:
            problems.add(
                tuple(there[-1].strip("[]").split(".")) + (path,),
                f"is in {' and '.join(there)}; it can be in one of them",
            )
