"""What ``jaxmem simulate --dry-run`` says: what would run, with memory and time from a short trial."""

import pathlib
import time

import jax
import numpy as np
from rich.markup import escape

from jaxmem import report, units
from jaxmem.cli.terminal import duration, size
from jaxmem.engine.adaptive import Adaptive
from jaxmem.engine.integrators import Integrator
from jaxmem.engine.records import expand, steps_between, variables_of
from jaxmem.engine.request import Execution
from jaxmem.engine.simulate import simulate
from jaxmem.membrane.parameters import declared
from jaxmem.rig.stimuli import ConstantCurrent, StepCurrent, Stimulus
from jaxmem.rig.sums import Sum
from jaxmem.study.experiment import Experiment

TRIAL_CELLS, TRIAL_STEPS = 512, 2000
STEADY_RATE = 20_000  # steady states found per second on one core, at the least


def planned(plan: Experiment, execution: Execution, target: pathlib.Path) -> dict[str, str]:
    """What would run, with memory and time from a short trial."""
    total = plan.cells * plan.steps
    rate, getting_ready = _trial(plan, execution)
    told = {
        "question": escape(" ".join(plan.question.split())),
        "membrane": f"{plan.preset}, {plan.membrane.celsius:g} °C, mechanisms {', '.join(plan.membrane.order)}",
        "dynamic": ", ".join(f"{name} {side}" for name, side in plan.membrane.pools()) or "nothing",
        "varied": ", ".join(map(range_of, plan.varied, [plan] * len(plan.varied))) or "nothing",
        "groups": groups_of(plan),
        "initial state": "steady: each cell in its own"
        if plan.initial == "steady"
        else "as given, gates steady at that voltage",
        "stimulus": _stimulus(plan),
        "changed in time": escape("; ".join(change.told for change in plan.changes)) or "nothing",
        "cells": f"{plan.cells:,} (seed {plan.seed})",
        "steps": f"{plan.steps:,} of {plan.dt:g} ms: {plan.duration:g} ms in {plan.precision}",
        "integrator": _integrator(plan.integrator),
        "cell-steps": report.many(total),
        "measures": ", ".join(plan.measures) or "none",
    }
    state_bytes, trace_bytes, traces = _memory(plan)
    told["traces"] = "; ".join(traces) or "none"
    memory = f"states and parameters {size(state_bytes)}, traces {size(trace_bytes)}"
    told["memory"] = f"about {size(state_bytes + trace_bytes)} ({memory})"
    trial = f"a trial of {min(plan.cells, TRIAL_CELLS)} cells ran at {report.many(rate)} cell-steps/s"
    told["time"] = f"about {duration(getting_ready + total / rate)} ({trial})"
    told["would write"] = escape(f"{target}, {target.with_suffix('.png')}") + "; this was a dry run, nothing is written"
    return told


def _integrator(method: Integrator) -> str:
    if isinstance(method, Adaptive):
        return (
            f"Adaptive, to {method.rtol:g} (relative) and {method.atol:g} (absolute); dt is the grid of samples alone"
        )
    return type(method).__name__


def range_of(path: str, plan: Experiment) -> str:
    """A varied path with the 5 to 95 % range of its values."""
    owner, field = (plan.stimulus, path.removeprefix("stimulus.")) if path.startswith("stimulus.") else (None, "")
    numbers = {p: x for p, x, _ in declared(owner)}
    values = numbers[field] if owner is not None else plan.membrane.parameters()[path].value
    low, high = np.quantile(np.asarray(values), (0.05, 0.95))
    return f"{path} ({low:.3g} … {high:.3g})"


def groups_of(plan: Experiment) -> str:
    """How many cells each group has."""
    counts = [known.counts for known in plan.labels.values()]
    return ", ".join(f"{n:,} {name}" for count in counts for name, n in count.items()) or "none"


def _stimulus(plan: Experiment) -> str:
    s = plan.stimulus
    if s is None:
        return "none"
    if not isinstance(s, ConstantCurrent | StepCurrent):
        return _parts(s)
    amplitude = np.asarray(s.charge_density, float)
    size_of = (
        f"{amplitude.min():.4g}"
        if amplitude.min() == amplitude.max()
        else f"{amplitude.min():.4g} … {amplitude.max():.4g}"
    )
    carrier = plan.membrane.carried_by(s.carrier).carrier
    when = (
        "all the time"
        if s.onset is None
        else f"from {s.onset:g} to {plan.duration if s.offset is None else s.offset:g} ms"
    )
    return f"{size_of} µA/cm² {when}, carried by {carrier if carrier != 'none' else 'no ion'}"


def _parts(s: Stimulus) -> str:
    """What a stimulus is, with its numbers."""
    if isinstance(s, Sum):
        return " + ".join(map(_parts, s.parts))
    told = []
    for path, x, d in declared(s):
        low, high = np.min(np.asarray(x, float)), np.max(np.asarray(x, float))
        size_of = f"{low:.4g}" if low == high else f"{low:.4g} … {high:.4g}"
        told.append(f"{path} {size_of} {units.pretty(d.unit)}".strip())
    return f"{type(s).__name__}: {', '.join(told)}"


def _memory(plan: Experiment) -> tuple[int, int, list[str]]:
    """Bytes of states and of traces, and each record in words."""
    one = plan.part(np.arange(1)).membrane
    state = one.initial_state()
    width = 4 if plan.precision == "float32" else 8
    numbers = len(jax.tree.leaves(state)) + len(plan.measures)
    states = 4 * numbers * width * plan.cells  # before, after, and on their way in and out
    known, traces, told = variables_of(one, state, plan.stimulus), 0, []
    for record in plan.records:
        variables = len(expand(record.paths, known))
        cells = plan.cells if record.cells is None else len(record.cells)
        samples = plan.steps // steps_between(record.every, plan.dt, "") + 1
        traces += 2 * variables * cells * samples * width  # once more while it is written
        told.append(f"{variables} variables of {cells:,} cells every {record.every:g} ms ({samples:,} samples)")
    return states, traces, told


def _trial(plan: Experiment, execution: Execution) -> tuple[float, float]:
    """Cell-steps per second, and seconds before the first step, from some of the cells and some of the steps."""
    began = time.perf_counter()
    cells = np.linspace(0, plan.cells - 1, min(plan.cells, TRIAL_CELLS)).astype(int)
    few = plan.part(cells)
    setup = few.build()
    steps = min(plan.steps, TRIAL_STEPS)
    how = setup.how | {"duration": steps * plan.dt, "record": ()}
    go = lambda duration: simulate(
        setup.membrane,
        stimulus=setup.stimulus,
        initial=setup.initial,
        execution=execution,
        **(how | {"duration": duration}),
    )
    go(plan.dt)
    ready = time.perf_counter() - began
    programs = 2 if plan.records else 1  # cells with and without traces run in programs of their own
    steady = plan.cells / STEADY_RATE if plan.initial == "steady" else 0.0
    return go(steps * plan.dt).info["cell_steps_per_second"], programs * ready + steady
