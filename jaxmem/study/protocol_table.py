"""From [output] of an experiment file to records, noting all that is wrong; what a stimulus does to charges."""

from typing import Any

import numpy as np

from jaxmem.engine.records import GROUPS, Record, expand, steps_between, variables_of
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import path_error
from jaxmem.rig.stimuli import Stimulus
from jaxmem.study import tables
from jaxmem.study.problems import Problems


def imbalance(stimulus: Stimulus, membrane: Membrane, duration: float) -> str | None:
    """A warning where the injected charge comes from nowhere: what it does to the sum of the ions, at the most."""
    carrier = membrane.carried_by(stimulus.carrier).carrier
    pools = [name for name, side in membrane.pools() if side == "inside" and membrane.species[name].valence]
    if carrier != "none" or not pools:
        return None
    stop = duration if stimulus.offset is None else min(stimulus.offset, duration)
    start = 0.0 if stimulus.onset is None else stimulus.onset
    charge = np.max(np.abs(np.asarray(stimulus.charge_density))) * max(stop - start, 0.0)  # nC/cm^2
    per_charge = membrane.per_charge(pools[0], "inside") * membrane.species[pools[0]].valence
    change = float(np.max(charge * np.abs(np.asarray(per_charge))))
    if stimulus.readings:  # a clamp: what it will inject is not known beforehand
        return (
            'what the clamp injects is carried by no ion, so the charges inside drift apart; carrier = "k" mends that'
        )
    text = f"the stimulus is carried by no ion, so the charges inside will miss up to {change:.3g} mM"
    return f'{text}; carrier = "k" under [stimulus] mends that'


def records(
    table: tables.OutputTable,
    membrane: Membrane,
    cells: int,
    dt: float,
    problems: Problems,
    stimulus: Stimulus | None = None,
) -> tuple[Record, ...]:
    known = variables_of(membrane, membrane.initial_state(), stimulus)
    found: list[Record] = []
    names: dict[str, int] = {}
    for i, raw in enumerate(table.traces):
        where = ("output", "traces", i)
        trace = problems.table(tables.TraceTable, raw, *where)
        if trace is None:
            continue
        with problems.at(*where, "every"):
            field = f"output.traces[{i}].every"
            steps_between(trace.every, dt, field)
        chosen = _cells(trace.cells, cells, (*where, "cells"), problems)
        paths = []
        for j, path in enumerate(trace.variables):
            if path not in known and path not in GROUPS:
                problems.add((*where, "variables", j), str(path_error(path, [*known, *GROUPS], "variable to record")))
            else:
                paths += expand([path], known)
        prefix = f"{trace.name}." if trace.name else ""
        for path in dict.fromkeys(paths):
            if names.setdefault(prefix + path, i) != i:
                problems.add(
                    where, f"{path!r} is recorded by output.traces[{names[prefix + path]}] too; give one of them a name"
                )
                break
        found.append(Record(trace.variables, trace.every, chosen, trace.name))
    return tuple(found)


def _cells(wanted: Any, cells: int, where: tuple[str | int, ...], problems: Problems) -> np.ndarray | None:
    """Which cells a record takes; None is all."""
    if wanted == "all":
        return None
    if isinstance(wanted, dict):
        spread = problems.table(tables.SpreadTable, wanted, *where)
        return None if spread is None else np.unique(np.linspace(0, cells - 1, spread.spread).round().astype(int))
    whole = lambda x: isinstance(x, int) and not isinstance(x, bool)
    if whole(wanted) and wanted >= 1:
        return np.arange(min(wanted, cells))
    if isinstance(wanted, list) and wanted and all(whole(x) for x in wanted):
        if odd := [x for x in wanted if not 0 <= x < cells]:
            problems.add(where, f"there is no cell {odd[0]}; cells are 0 to {cells - 1}")
            return None
        return np.asarray(wanted)
    problems.add(
        where,
        f"found {wanted!r}; allowed are 'all', a number (the first so many), a list of indices, or {{spread = 12}}",
    )
    return None
