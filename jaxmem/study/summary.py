"""What a file holds, without loading its traces and without starting JAX."""

import dataclasses
import json
import os
from typing import Any

import numpy as np

from jaxmem.study.hdf5 import Reader, opened

VERIFIED = 2**30  # bytes; reading a larger file through for its checksum would make a summary slow


@dataclasses.dataclass(frozen=True)
class VariableSummary:
    """A variable of the file: ``unit`` as in :mod:`jaxmem.units`."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    unit: str
    description: str


@dataclasses.dataclass(frozen=True)
class MeasureSummary:
    """A measure over the ``count`` cells that have one: median and ``low``, ``high`` (5 and 95 %); NaN if none has."""

    unit: str
    description: str
    median: float
    low: float
    high: float
    count: int


@dataclasses.dataclass(frozen=True)
class FileSummary:
    """A result at a glance.

    Times in ms, ``size`` in bytes. ``cells`` is None without a cell axis. ``status``: how many cells, by what became of
    them ("ok" is one). ``labels``: how many cells have each name ("group"). ``varied``: paths of the parameters that are
    arrays over cells. ``changes``: schedules and drugs, a line each. ``audit_charge`` and ``audit_mass``: the worst
    cell's, see :class:`jaxmem.Audit`. ``provenance``: versions, device, wall time and what the run was told.
    ``experiment``: the text of the experiment file.
    """

    path: str
    size: int
    cells: int | None
    start: float
    duration: float
    dt: float
    precision: str
    question: str | None
    preset: str | None
    experiment: str | None
    varied: tuple[str, ...]
    changes: tuple[str, ...]
    variables: dict[str, VariableSummary]
    measures: dict[str, MeasureSummary]
    status: dict[str, int]
    labels: dict[str, dict[str, int]]
    audit_charge: float
    audit_mass: float
    provenance: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class VariablesSummary:
    """A file of :func:`jaxmem.save_variables` at a glance; names as in :class:`FileSummary`.

    ``kind``: "variables", or what sort of result they are. ``measures``: the spread of every variable of numbers.
    """

    path: str
    size: int
    kind: str
    question: str | None
    experiment: str | None
    varied: tuple[str, ...]
    variables: dict[str, VariableSummary]
    measures: dict[str, MeasureSummary]
    status: dict[str, int]
    provenance: dict[str, Any]


def summary(path: Any) -> FileSummary | VariablesSummary:
    """The summary of a file written by :meth:`jaxmem.Simulation.save` or :func:`jaxmem.save_variables`.

    Errors as :func:`jaxmem.load`.
    """
    with opened(path, check_up_to=VERIFIED) as file:
        index = json.loads(file.text("structure/index") or "")
        known = {
            name: VariableSummary(tuple(v["dims"]), tuple(v["shape"]), v["unit"], v["description"])
            for name, v in index["variables"].items()
        }
        if "kind" in index:
            return _variables(path, file, index, known)
        measures = {name: _measure(file.array(mine), known[mine]) for name, mine in index["measured"].items()}
        worst = lambda name: float(np.nanmax(file.array(name), initial=0.0))
        told = index["provenance"]
        return FileSummary(
            path=str(path),
            size=os.path.getsize(path),
            cells=index["cells"],
            start=index["start"],
            duration=index["duration"],
            dt=index["dt"],
            precision=index["precision"],
            question=told.get("question"),
            preset=told.get("preset"),
            experiment=file.text("provenance/experiment"),
            varied=tuple(index["varied"]),
            changes=tuple(index.get("changes", ())),
            variables=known,
            measures=measures,
            status=_fates(file, index),
            labels={
                name: {word: int(np.sum(file.array(k["variable"]) == i)) for i, word in enumerate(k["names"])}
                for name, k in index.get("labelled", {}).items()
            },
            audit_charge=worst("audit_charge"),
            audit_mass=worst("audit_mass"),
            provenance=told,
        )


def kind_of(path: Any) -> str:
    """What a file holds: "a simulation", "variables", "resting states"."""
    with opened(path, check_up_to=0) as file:
        return json.loads(file.text("structure/index") or "").get("kind", "a simulation")


def _variables(path: Any, file: Reader, index: dict[str, Any], known: dict[str, VariableSummary]) -> VariablesSummary:
    values = {name: np.asarray(file.array(name)) for name in known}
    return VariablesSummary(
        path=str(path),
        size=os.path.getsize(path),
        kind=index["kind"],
        question=index["provenance"].get("question"),
        experiment=file.text("provenance/experiment"),
        varied=tuple(index.get("varied", ())),
        variables=known,
        measures={name: _measure(x, known[name]) for name, x in values.items() if x.dtype.kind in "iuf"},
        status=_fates(file, index) if "reasons" in index else {},
        provenance=index["provenance"],
    )


def _fates(file: Reader, index: dict[str, Any]) -> dict[str, int]:
    codes, counts = np.unique(file.array("status"), return_counts=True)
    return {index["reasons"][str(c)]: int(n) for c, n in zip(codes, counts, strict=True)}


def _measure(values: Any, known: VariableSummary) -> MeasureSummary:
    """Over the cells that have one; of a measure with several entries per cell over all of them."""
    there = np.asarray(values, float)
    count = np.isfinite(there).any(0) if known.dims[:1] == ("entry",) else ~np.isnan(there)
    good = there[np.isfinite(there)]
    low, median, high = np.quantile(good, (0.05, 0.5, 0.95)) if good.size else (np.nan,) * 3
    return MeasureSummary(known.unit, known.description, float(median), float(low), float(high), int(np.sum(count)))
