"""Experiment files that are scanned: the experiment as it is simulated, or fitted, and a table [scan] that says what differs.

``load_scan(path)`` reads and checks everything before anything runs; see :mod:`jaxmem.study.scanning.tables`.
"""

import dataclasses
import json
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxmem.membrane.parameters import select
from jaxmem.study import experiment, fit_run, fit_table, toml_file
from jaxmem.study.problems import ExperimentError, Override, Problems, unknown
from jaxmem.study.rests import CODES, TOLD, told_of
from jaxmem.study.scanning import conditions, questions
from jaxmem.study.scanning.conditions import Known
from jaxmem.study.scanning.design_table import axis_tables, read_design
from jaxmem.study.scanning.plan import ScanPlan
from jaxmem.study.scanning.question import Question
from jaxmem.study.scanning.tables import AxisTable, ScanTable

POPULATION = ("vary", "group", "correlation", "covariance")


def load_scan(path: str | os.PathLike[str], overrides: Sequence[Override | str] = ()) -> ScanPlan:
    """Read, check and assemble the file of a scan.

    ``overrides`` replace what the file says: ``"scan.points=1000"``, ``"scan.axes.k.outside.points=5"``, and all that
    :func:`jaxmem.experiment.load` takes.

    Raises :class:`ExperimentError`, which lists everything that is wrong with file, line and field; OSError where the
    file cannot be read.
    """
    file = pathlib.Path(path)
    text, raw = toml_file.read(path)
    problems = Problems(path, text)
    changes = [_from_here(Override.parse(o) if isinstance(o, str) else o) for o in overrides]
    ours = [change for change in changes if change.path.split(".")[0] == "scan"]
    others = [change for change in changes if change not in ours]
    scanned = raw.get("scan")
    if scanned is None and not ours:
        raise ExperimentError(
            [
                f"{file}: there is no table [scan]; it says what is asked (ask) and what differs between points (scan.axes)"
            ]
        )
    if isinstance(scanned, dict) and isinstance(scanned.get("axes"), dict):
        scanned["axes"] = toml_file.flat(scanned["axes"], set(AxisTable.model_fields))
    for change in ours:
        _override(raw, change, problems)
    table = problems.table(ScanTable, raw.get("scan"), "scan")
    axes = {} if table is None else axis_tables(table, problems)
    _one_cell(raw, others, problems)
    asked = None
    elsewhere: list[str] = []
    if table is not None:
        try:
            asked = ASK[table.ask](path, others, table, problems)
        except ExperimentError as error:
            elsewhere = error.problems
    design = None
    if table is not None:
        design = read_design(table, axes, None if asked is None else asked.question, file.parent, problems)
    if asked is not None and asked.outputs is not None and design is not None:
        named = {axis.called(path): Known(axis.unit or "1", {}) for path, axis in design.axes.items()}
        for name, condition in (table.regions if table else {}).items():
            with problems.at("scan", "regions", name):
                conditions.read(condition, asked.outputs | named)
    _stop(file, problems, elsewhere)
    assert table is not None and asked is not None and design is not None
    try:
        return ScanPlan(
            question=asked.question, design=design, chunk=table.chunk or 0, title=asked.title,
            text=asked.text + "".join(f"\n# overridden: {change.written}" for change in ours) + "\n" * bool(ours),
            regions=table.regions, about=asked.about,
            source=(str(path), tuple(f"{change.path} = {_toml(change.value)}" for change in changes)),
        )  # fmt: skip
    except ValueError as error:
        raise ExperimentError([f"{file}: {error}"]) from None


class Asked(NamedTuple):
    """What is asked, and the words for it; ``outputs``: what is known of them before anything is asked, None: nothing."""

    question: Question
    title: str
    text: str
    about: dict[str, Any]
    outputs: dict[str, Known] | None = None


def _rest(path: Any, overrides: Sequence[Override], table: ScanTable, problems: Problems) -> Asked:
    plan = experiment.load(path, overrides, rest=True)
    membrane = select(plan.membrane, 0)
    pools = [f"{name}.{side}" for name, side in membrane.pools()]
    there = ["v", *pools, *(x for x in TOLD if x not in ("v", "status"))]
    for i, name in enumerate(table.keep or ()):
        if name not in there:
            problems.add(("scan", "keep", i), unknown(name, there, "number of a rest"))
    keep = None if table.keep is None else tuple(name for name in table.keep if name in there)
    question = questions.Rests(membrane, precision=table.precision or "float64", keep=keep)
    words = {name: {int(w): w.name.lower() for w in kind} for name, kind in CODES.items()}
    kept = {"status", *(there if keep is None else keep)} & {*there, "status"}
    outputs = {name: Known(told_of(membrane, name)[0], words.get(name, {})) for name in kept}
    return _asked(plan, question)._replace(outputs=outputs)


def _simulation(path: Any, overrides: Sequence[Override], table: ScanTable, problems: Problems) -> Asked:
    plan = experiment.load(path, overrides)
    if plan.records:
        problems.add(
            ("output", "traces"), "a scan keeps measures, no traces: leave them out, and measure what they show"
        )
    if not plan.measures:
        problems.add(("output", "measures"), "is empty; a scan of simulations keeps measures: name at least one")
        problems.stop()
    question = questions.Simulations(
        select(plan.membrane, 0), plan.duration, plan.measures, dt=plan.dt,
        stimulus=None if plan.stimulus is None else select(plan.stimulus, 0), changes=select(plan.changes, 0),
        initial=plan.initial, precision=plan.precision, integrator=plan.integrator,
    )  # fmt: skip
    return _asked(plan, question)


def _fit(path: Any, overrides: Sequence[Override], table: ScanTable, problems: Problems) -> Asked:
    plan = fit_table.load(path, overrides)
    if plan.cells is not None:
        text = "is not part of a scan, which fits one cell at every point: give [fit.targets], and as axes what differs, such "
        problems.add(("data",), text + 'as targets.resting_potential = { low = "-90 mV", high = "-40 mV" }')
        problems.stop()
    try:
        question = questions.Fits(plan.membrane, **fit_run.arguments(plan))
    except ValueError as error:
        problems.add(("fit",), str(error))
        problems.stop()
        raise AssertionError("a problem was noted") from None
    outputs = {name: Known(x.unit, x.codes or {}) for name, x in question.outputs.items() if x.entries is None}
    about = {"preset": plan.preset} | ({"notes": "; ".join(plan.notes)} if plan.notes else {})
    return Asked(question, plan.question, plan.text, about, outputs)


ASK = {"rest": _rest, "simulation": _simulation, "fit": _fit}


def _asked(plan: experiment.Experiment, question: Question) -> Asked:
    about = {"preset": plan.preset} | ({"notes": "; ".join(plan.notes)} if plan.notes else {})
    return Asked(question, plan.question, plan.text, about)


def _one_cell(raw: dict[str, Any], overrides: Sequence[Override], problems: Problems) -> None:
    """What differs between points is an axis, and nothing differs between cells."""
    people = dict(x) if isinstance(x := raw.get("population"), dict) else {}
    set_here = {o.path.split(".")[1]: o for o in overrides if o.path.startswith("population.")}
    people |= {key: o.value for key, o in set_here.items()}
    cells = people.get("cells", 1)
    advice = 'a scan asks the typical cell at every point: what differs is an axis, such as k_leak.g = { low = "0.1 '
    advice += 'mS/cm^2", high = "1 mS/cm^2" } under [scan.axes]'
    if isinstance(cells, int) and cells > 1:
        _note(problems, ("population", "cells"), f"found {cells} cells; {advice}. Leave it out", set_here)
    for key in POPULATION:
        if people.get(key):
            _note(problems, ("population", key), f"is not part of a scan; {advice}. Leave it out", set_here)


def _note(problems: Problems, path: tuple[str, str], text: str, set_here: dict[str, Override]) -> None:
    if path[1] in set_here:
        problems.override(path, set_here[path[1]].written)
    problems.add(path, text)


def _override(raw: dict[str, Any], change: Override, problems: Problems) -> None:
    parts = change.path.split(".")
    if parts[:2] == ["scan", "axes"] and len(parts) > 2:
        inside = parts[-1] in AxisTable.model_fields and len(parts) > 3 and not isinstance(change.value, dict)
        field = parts[-1:] if inside else []
        parts = ["scan", "axes", ".".join(parts[2 : len(parts) - len(field)]), *field]
    elif parts[:2] == ["scan", "regions"] and len(parts) > 2:
        parts = ["scan", "regions", ".".join(parts[2:])]
    toml_file.put(raw, parts, change, problems)


def _from_here(change: Override) -> Override:
    """A table that is typed is meant from where one types, not from where the file is."""
    if change.path == "scan.table" and isinstance(change.value, str):
        return dataclasses.replace(change, value=str(pathlib.Path(change.value).absolute()))
    return change


def _toml(value: Any) -> str:
    """A value as TOML writes it in one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(x)}" for key, x in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


def _stop(file: pathlib.Path, problems: Problems, elsewhere: list[str]) -> None:
    """Raise what [scan] and the rest of the file have wrong, in the order of the file."""
    line = re.compile(re.escape(str(problems.file)) + r":(\d+):")
    there = [(int(m.group(1)) if (m := line.match(text)) else 0, text) for text in elsewhere]
    problems.found += [x for x in there if x not in problems.found]
    problems.stop()
