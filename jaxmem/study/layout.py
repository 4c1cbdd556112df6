"""What a result looks like from outside: named variables over named dimensions, each with unit and meaning.

The file and the :class:`xarray.Dataset` are both made from this one table. Dimensions: ``cell`` (all cells; none for a
membrane without a cell axis), ``time`` of the first record. A record of other times or of a choice of cells has its
own: ``time_<name>``, ``cell_<name>`` after the record's name, or ``time_2``, ``cell_recorded``.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from jaxmem.analysis import readings
from jaxmem.engine.simulation import Simulation
from jaxmem.membrane.state import Status
from jaxmem.study.hdf5 import Variable
from jaxmem.study.tree import Leaf, plain

CONVENTIONS = "CF-1.8"
GROUPS = ("parameters", "stimulus", "changes", "integrator", "initial_state", "final_state", "provenance", "structure")
# no trace or measure is called so: HDF5 has one place for a name, be it a variable or a group
RESERVED = ("cell", "time", "status", "failed_at", "audit_charge", "audit_mass", *GROUPS)


@dataclasses.dataclass(frozen=True)
class Layout:
    """A simulation as a table: ``coordinates`` (one per dimension) and ``variables``, by name.

    ``recorded``: name of a trace -> names of its variable, its times and its cells (None: no cell axis). ``measured``:
    name of a measure -> name of its variable, ``labelled``: the same of labels. The names
    differ only where two things would have the same.
    """

    coordinates: dict[str, Variable]
    variables: dict[str, Variable]
    recorded: dict[str, dict[str, str | None]]
    measured: dict[str, str]
    labelled: dict[str, str]
    cells: int | None


class Axes:
    """The dimensions met so far; equal coordinates share one, and none has the name of a variable."""

    def __init__(self, cells: int | None):
        self.cells = cells
        self.coordinates: dict[str, Variable] = {}
        self.variables: dict[str, Variable] = {}
        if cells is not None:
            self.index("cell", np.arange(cells), "index of the cell")

    def index(self, name: str, values: np.ndarray, meaning: str) -> str:
        return self._axis(name, Variable(values, (), "1", meaning))

    def time(self, values: np.ndarray, label: str) -> str:
        first = not any(c.unit == "ms" for c in self.coordinates.values())
        return self._axis("time" if first or not label else f"time_{label}", Variable(values, (), "ms", "time"))

    def recorded_cells(self, cells: np.ndarray, label: str) -> str | None:
        if self.cells is None:
            return None
        if np.array_equal(cells, np.arange(self.cells)):
            return "cell"
        return self.index(f"cell_{label or 'recorded'}", cells, "index of the recorded cell")

    def of(self, values: np.ndarray, per_cell: bool) -> tuple[str, ...]:
        """The dimensions of a parameter or a part of a state; what has no cell axis counts its entries."""
        shape: tuple[int, ...] = values.shape
        last: tuple[str, ...] = ()
        if per_cell and self.cells is not None and shape[-1:] == (self.cells,):
            shape, last = shape[:-1], ("cell",)
        if last and len(shape) == 1:
            return (self.index("compartment", np.arange(shape[0]), "index of the compartment"), *last)
        return (*(self.index(f"axis{i}_{n}", np.arange(n), "index") for i, n in enumerate(shape)), *last)

    def entries(self, values: np.ndarray) -> tuple[str, ...]:
        """The dimensions of a measure: cells, or entries of cells."""
        cells = () if self.cells is None else ("cell",)
        leading = values.shape[: values.ndim - len(cells)]
        return (*(self.index("entry", np.arange(n), "number of the entry, from 0") for n in leading), *cells)

    def add(self, name: str, kind: str, variable: Variable) -> str:
        """Take in a variable under its name, with ``kind`` before it where something else is called so."""
        mine = plain(name)
        while mine in self.variables or mine in self.coordinates or mine in RESERVED:
            mine = f"{kind}_{mine}"
        self.variables[mine] = variable
        return mine

    def _axis(self, name: str, wanted: Variable) -> str:
        for i in itertools.count(1):
            candidate = name if i == 1 else f"{name}_{i}"
            if candidate not in self.variables:
                there = self.coordinates.setdefault(candidate, dataclasses.replace(wanted, dims=(candidate,)))
                if there.unit == wanted.unit and np.array_equal(there.values, wanted.values):
                    return candidate
        raise AssertionError("numbers do not end")


def layout(simulation: Simulation) -> tuple[Layout, Axes]:
    """The table of a simulation, and its dimensions to add to."""
    shape = np.shape(simulation.final_state.v)
    axes = Axes(shape[-1] if shape else None)
    recorded: dict[str, dict[str, str | None]] = {}
    parts = {*simulation.membrane.mechanisms, *simulation.membrane.species, readings.RECORD}
    for name, trace in simulation.recorded.items():
        first, _, rest = name.partition(".")
        label = plain(first) if rest and first not in parts else ""
        time, cells = axes.time(np.asarray(trace.time), label), axes.recorded_cells(np.asarray(trace.cells), label)
        dims = (time,) if cells is None else (time, cells)
        mine = axes.add(name, "trace", Variable(trace.values, dims, trace.unit, trace.description))
        recorded[name] = {"variable": mine, "time": time, "cells": cells}
    measured = {}
    for name, m in simulation.measured.items():
        values = np.asarray(m.values)
        measured[name] = axes.add(name, "measure", Variable(values, axes.entries(values), m.unit, m.description))
    labelled = {}
    for name, known in simulation.labels.items():
        values = np.asarray(known.values, np.int32)
        words = {"flag_values": np.arange(len(known.names), dtype=np.int32), "flag_meanings": " ".join(known.names)}
        labelled[name] = axes.add(name, "label", Variable(values, axes.of(values, True), "1", known.description, words))
    axes.variables |= {name: variable for name, variable in _outcome(simulation, axes)}
    return Layout(axes.coordinates, dict(axes.variables), recorded, measured, labelled, axes.cells), axes


def _outcome(simulation: Simulation, axes: Axes) -> Iterator[tuple[str, Variable]]:
    """What became of each cell, and whether its books close."""
    codes = {"flag_values": np.array(list(Status), np.int32), "flag_meanings": " ".join(s.name.lower() for s in Status)}
    closed = simulation.audit
    for name, values, unit, told, more in (
        ("status", simulation.status.astype(np.int32), "1", "what became of the cell", codes),
        ("failed_at", simulation.failed_at, "ms", "time at which the cell was found to have failed", {}),
        ("audit_charge", closed.charge, "1", "relative gap between the voltage and the charge that moved", {}),
        ("audit_mass", closed.mass, "1", "relative gap between the amounts and what moved them", {}),
    ):
        yield name, Variable(np.asarray(values), axes.of(np.asarray(values), True), unit, told, more)


def parameters(leaves: Mapping[str, Leaf], axes: Axes) -> dict[str, Variable]:
    """Numbers of a membrane or stimulus."""
    found = {}
    for name, (values, declared) in leaves.items():
        unit, told = (declared.unit, declared.description) if declared else ("1", "numbers that are no parameter")
        found[name] = Variable(values, axes.of(values, declared is not None), unit, told)
    return found


_STATE = {
    "v": ("mV", "membrane potential"),
    "v_low": ("mV", "what rounding left out of the membrane potential"),
    "states": ("1", "state of a mechanism"),
    "pending": ("nC/cm^2", "moved since the current refresh interval began"),
    "total": ("nC/cm^2", "moved since the start, up to the current refresh interval"),
    "total_low": ("nC/cm^2", "what rounding left out of the total"),
    "trend": ("nC/cm^2", "moved in the last whole refresh interval"),
    "last": ("nC/cm^2", "moved in the last step"),
    "status": ("1", "what became of the cell"),
    "failed_at": ("1", "step at which the cell was found to have failed, -1 if it did not"),
    "step": ("1", "steps since t = 0"),
    "lag": ("ms", "how far the states of the mechanisms lag the voltage"),
    "cell": ("1", "index of the cell that keys its random draws"),
    "rig": ("1", "what the stimulus remembers"),
}


def state(leaves: Mapping[str, Leaf], axes: Axes) -> dict[str, Variable]:
    """All parts of a state; names are ``group/part.account``, with ``start.`` before the parts of the snapshot."""
    found = {}
    for name, (values, _) in leaves.items():
        path = name.rpartition("/")[2]
        part, _, account = path.removeprefix("start.").partition(".")
        unit, told = _STATE.get(part, ("1", f"{part} of the state"))
        if unit == "nC/cm^2" and "." in account:
            unit = "mM"  # accounts of pools, see jaxmem.membrane.state.Point
        told += f": {account}" if account else ""
        told += ", at the start of the current refresh interval" if path.startswith("start.") else ""
        found[name] = Variable(values, axes.of(values, True), unit, told)
    return found


def dataset_attributes(simulation: Simulation, more: Mapping[str, Any]) -> dict[str, Any]:
    """Global attributes of the file and the Dataset."""
    return {
        "Conventions": CONVENTIONS,
        "title": str(more.get("title") or "Population of excitable membranes simulated by jaxmem"),
        **({"question": str(more["question"])} if more.get("question") else {}),
        "start_ms": simulation.start,
        "duration_ms": simulation.duration,
        "dt_ms": simulation.dt,
        "precision": simulation.precision,
    }
