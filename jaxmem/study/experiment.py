"""Experiment files: a question, a membrane, a population, a stimulus and what is wanted of it, in one TOML file.

``load(path)`` reads and checks everything before anything runs; ``Experiment.run()`` runs it.
"""

import dataclasses
import difflib
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxmem.analysis.readings import readings
from jaxmem.analysis.resting import resting_state
from jaxmem.engine.adaptive import Adaptive
from jaxmem.engine.integrators import Integrator, Staggered
from jaxmem.engine.measures import Measure
from jaxmem.engine.records import Record, steps_between
from jaxmem.engine.request import Execution
from jaxmem.engine.runge_kutta import RungeKutta4
from jaxmem.engine.rush_larsen import RushLarsen
from jaxmem.engine.simulate import simulate
from jaxmem.engine.simulation import Labels, Simulation
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import select
from jaxmem.membrane.state import State
from jaxmem.rig.amplifier import Amplifier
from jaxmem.rig.protocol import Change
from jaxmem.rig.stimuli import Stimulus
from jaxmem.study import (
    amplifier_table,
    changes_table,
    measure_table,
    membrane_table,
    population,
    protocol_table,
    stimulus_table,
    tables,
    toml_file,
)
from jaxmem.study.population_tables import DistributionTable
from jaxmem.study.problems import ExperimentError, Override, Problems

INTEGRATORS: dict[str, type[Integrator]] = {
    "staggered": Staggered, "rk4": RungeKutta4, "rush_larsen": RushLarsen, "adaptive": Adaptive,
}  # fmt: skip


class Setup(NamedTuple):
    """What :func:`jaxmem.simulate` needs: ``simulate(membrane, stimulus=..., initial=..., **how)``."""

    membrane: Membrane
    initial: State
    stimulus: Stimulus | None
    how: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Experiment:
    """An experiment that can be run: everything checked, in documented units, per cell.

    ``membrane`` holds the whole population. ``initial`` is "given" (start at ``initial_v`` with steady gates) or
    "steady" (each cell starts in its own steady state). ``measures``: what is measured, names and objects by the names
    of their results. ``labels["group"]`` says which cell is of which group. ``amplifier`` shows what is
    recorded as ``reading.v`` or ``reading.i`` too. ``text`` is the file as read, with what was
    overridden; ``notes`` tell what a reader of the results should know.
    """

    file: str
    text: str
    question: str
    preset: str
    membrane: Membrane
    stimulus: Stimulus | None
    initial: str
    duration: float
    dt: float
    precision: str
    measures: dict[str, str | Measure]
    records: tuple[Record, ...]
    cells: int
    seed: int
    varied: tuple[str, ...]
    changes: tuple[Change, ...] = ()
    integrator: Integrator = dataclasses.field(default_factory=Staggered)
    notes: tuple[str, ...] = ()
    labels: dict[str, Labels] = dataclasses.field(default_factory=dict)
    amplifier: Amplifier | None = None

    @property
    def steps(self) -> int:
        return round(self.duration / self.dt)

    def part(self, cells: np.ndarray) -> "Experiment":
        """The same experiment with some of its cells (indices), and without traces."""
        driven = None if self.stimulus is None else select(self.stimulus, cells)
        labels = {name: dataclasses.replace(x, values=x.values[cells]) for name, x in self.labels.items()}
        return dataclasses.replace(
            self,
            membrane=select(self.membrane, cells),
            stimulus=driven,
            cells=len(cells),
            records=(),
            changes=select(self.changes, cells),
            labels=labels,
            amplifier=None,
        )

    def finished(self, simulation: Simulation) -> Simulation:
        """What was simulated of this experiment, with the names of its cells and what the amplifier shows of them."""
        shown = {} if self.amplifier is None else readings(simulation, self.amplifier)
        width = np.float32 if self.precision == "float32" else np.float64
        shown = {name: dataclasses.replace(x, values=x.values.astype(width)) for name, x in shown.items()}
        return dataclasses.replace(simulation, labels=self.labels, recorded=simulation.recorded | shown)

    def build(self) -> Setup:
        """Find the initial state. Cells without a steady state keep the status NO_STEADY_STATE and are not run."""
        state = resting_state(self.membrane).state if self.initial == "steady" else self.membrane.initial_state()
        how = {
            "duration": self.duration, "dt": self.dt, "precision": self.precision,
            "record": self.records, "measures": self.measures, "changes": self.changes, "integrator": self.integrator,
        }  # fmt: skip
        return Setup(self.membrane, state, self.stimulus, how)

    def run(self, progress: Callable[[int, int], None] | None = None, execution: Execution | None = None) -> Simulation:
        """Build and simulate; arguments as for :func:`jaxmem.simulate`, whose errors it raises."""
        s = self.build()
        return self.finished(
            simulate(
                s.membrane, stimulus=s.stimulus, initial=s.initial, execution=execution, progress=progress, **s.how
            )
        )


def load(path: str | os.PathLike[str], overrides: Sequence[Override | str] = (), *, rest: bool = False) -> Experiment:
    """Read, check and assemble an experiment file.

    With ``rest`` it is the cells at rest that are asked for: the table ``run`` may be missing.

    ``overrides`` replace what the file says: ``"run.dt=0.01"``, ``"population.cells=100"``, or a parameter as under
    [membrane.parameters], ``"pump.i_max=1.2 uA/cm^2"``.

    Raises :class:`ExperimentError`, which lists everything that is wrong with file, line and field; OSError where the
    file cannot be read.
    """
    file = pathlib.Path(path)
    text, raw = toml_file.read(path)
    problems = Problems(path, text)
    _flatten_paths(raw)
    changes = [Override.parse(o) if isinstance(o, str) else o for o in overrides]
    for change in changes:
        _override(raw, change, problems)
    if rest and isinstance(raw.setdefault("run", {}), dict):
        raw["run"].setdefault("duration", 1.0)
    whole = problems.table(tables.ExperimentTable, raw)
    read = lambda name: problems.table(tables.SECTIONS[name], raw.get(name, getattr(whole, name, {})), name)
    sections = {name: read(name) for name in tables.SECTIONS if name in raw or name not in ("membrane", "run")}
    sections["stimulus"], sections["amplifier"] = raw.get("stimulus", {"kind": "none"}), raw.get("amplifier")
    text += "".join(f"\n# overridden: {change.written}" for change in changes) + "\n" * bool(changes)
    plan = _assemble(file, text, whole, sections, problems)
    if rest or plan.stimulus is None:
        return plan
    imbalance = protocol_table.imbalance(plan.stimulus, plan.membrane, plan.duration)
    return plan if imbalance is None else dataclasses.replace(plan, notes=(*plan.notes, imbalance))


def _assemble(file: pathlib.Path, text: str, whole: Any, sections: dict[str, Any], problems: Problems) -> Experiment:
    run, stimulus, notes = sections.get("run"), None, list[str]()
    if run is not None:
        with problems.at("run", "duration"):
            steps_between(run.duration, run.dt, "run.duration")
    membrane = None
    if sections.get("membrane") is not None:
        membrane = membrane_table.membrane(sections["membrane"], file.parent, problems, notes)
    initial = sections["initial"] or tables.InitialTable()
    people = sections["population"] or tables.PopulationTable()
    if problems.touches("population", "cells"):  # some number, so that what depends on it is not called wrong as well
        people = people.model_copy(update={"cells": _likely_cells(people)})
    measures: dict[str, str | Measure] = {}
    records: tuple[Record, ...] = ()
    changes: tuple[Change, ...] = ()
    amplifier: Amplifier | None = None
    if membrane is not None:
        if initial.v is not None:
            membrane = membrane.with_parameters({"initial_v": initial.v})
        duration = np.inf if run is None else run.duration
        amplifier, clamp = amplifier_table.read(sections["amplifier"], sections["stimulus"], membrane, problems)
        stimulus = stimulus_table.stimulus(sections["stimulus"], membrane, duration, file.parent, problems, clamp)
        if sections["output"] is not None:
            measures = measure_table.measures(sections["output"].measures, membrane, file.parent, problems)
            dt = 0.025 if run is None else run.dt
            records = protocol_table.records(sections["output"], membrane, people.cells, dt, problems, stimulus)
            if amplifier is not None:
                amplifier_table.check(amplifier, records, duration, problems)
        if whole is not None:
            changes = changes_table.changes(
                whole.schedule, whole.drug, membrane, people.cells, duration, file.parent, problems, notes
            )
        cells = population.varied(people, membrane, stimulus, problems, file.parent)
    problems.stop()
    assert whole is not None and run is not None and membrane is not None, "missing tables are problems"
    membrane, stimulus = cells.membrane, cells.stimulus
    return Experiment(
        file=str(file), text=text, question=whole.question, preset=sections["membrane"].preset, membrane=membrane,
        stimulus=stimulus, initial=initial.state, duration=run.duration, dt=run.dt, precision=run.precision,
        measures=measures, records=records, cells=people.cells, seed=people.seed, varied=cells.varied,
        changes=changes, integrator=_integrator(run), notes=tuple(notes), labels=cells.labels, amplifier=amplifier,
    )  # fmt: skip


def _integrator(run: tables.RunTable) -> Integrator:
    tolerances = {name: x for name in ("rtol", "atol") if (x := getattr(run, name)) is not None}
    return INTEGRATORS[run.integrator](**tolerances)


def _likely_cells(people: tables.PopulationTable) -> int:
    lists = [x["values"] for x in people.vary.values() if isinstance(x, dict) and isinstance(x.get("values"), list)]
    return max([1, *map(len, lists)]) if lists else 1000


# ---------------------------------------------------------------------- parameter paths in TOML, and overrides
def _flatten_paths(raw: dict[str, Any]) -> None:
    """``sodium.g = 50`` is a table in a table to TOML; here it is the path ``sodium.g``."""
    for section, table in (("membrane", "parameters"), ("population", "vary")):
        holder = raw.get(section)
        if isinstance(holder, dict) and isinstance(holder.get(table), dict):
            holder[table] = toml_file.flat(holder[table], _SPREAD)
    people = raw.get("population")
    kinds = people.get("group") if isinstance(people, dict) else None
    for group in kinds if isinstance(kinds, list) else ():
        for table in ("parameters", "vary", "between") if isinstance(group, dict) else ():
            if isinstance(group.get(table), dict):
                group[table] = toml_file.flat(group[table], _SPREAD)


_SPREAD = set(DistributionTable.model_fields)


def _override(raw: dict[str, Any], change: Override, problems: Problems) -> None:
    """Put a value into the raw tables."""
    parts = change.path.split(".")
    if parts[0] not in tables.ExperimentTable.model_fields:
        if near := difflib.get_close_matches(
            parts[0], [*tables.SECTIONS, "stimulus", "amplifier", "scan"], n=1, cutoff=0.75
        ):
            raise ExperimentError(
                [f"{change.written}: there is no {change.path!r}; did you mean '{'.'.join([*near, *parts[1:]])}'?"]
            )
        parts = ["membrane", "parameters", *parts]
    if parts[:2] == ["membrane", "parameters"] and len(parts) > 2:
        parts = [*parts[:2], ".".join(parts[2:])]
    elif parts[:2] == ["population", "vary"] and len(parts) > 2:
        field = parts[-1:] if parts[-1] in _SPREAD and len(parts) > 3 else []
        parts = [*parts[:2], ".".join(parts[2 : len(parts) - len(field)]), *field]
    toml_file.put(raw, parts, change, problems)
