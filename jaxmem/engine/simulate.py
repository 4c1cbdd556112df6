"""Simulate a population: the host around the loop, from what was asked for to what came of it."""

import dataclasses
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.engine.adaptive import Adaptive
from jaxmem.engine.adaptive_measures import watched
from jaxmem.engine.adaptive_run import AdaptiveRun
from jaxmem.engine.audit import audit, charge_moved
from jaxmem.engine.checkpoint import Checkpoint, identity
from jaxmem.engine.integrators import Integrator, Staggered
from jaxmem.engine.interval import Carry, prepared, refresh_steps
from jaxmem.engine.measures import Measure, Plan, Result
from jaxmem.engine.population_run import PopulationRun
from jaxmem.engine.records import Record, variables_of
from jaxmem.engine.request import (
    LAST_STEP,
    Execution,
    count_cells,
    find_device,
    find_dtype,
    fit_state,
    look_up_measures,
    look_up_records,
    positive_time,
    whole_steps,
)
from jaxmem.engine.simulation import Measured, Simulation
from jaxmem.engine.stretches import Stretches
from jaxmem.membrane.check import check
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import VECTOR, select, whole_vectors
from jaxmem.membrane.state import State, Status
from jaxmem.rig.protocol import Change, Protocol, check_changes
from jaxmem.rig.stimuli import Stimulus


def simulate(
    membrane: Membrane,
    duration: float,
    *,
    dt: float = 0.025,
    stimulus: Stimulus | None = None,
    changes: Change | Sequence[Change] = (),
    initial: State | None = None,
    record: Record | Sequence[Record] = (),
    measures: Sequence[str | Measure] | Mapping[str, str | Measure] = (),
    integrator: Integrator | None = None,
    precision: str | None = None,
    execution: Execution | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Simulation:
    """Advance every cell of ``membrane`` by ``duration`` ms in steps of ``dt`` ms.

    ``initial`` is a state to go on from (``Simulation.final_state``, :func:`jaxmem.resting_state`); without it the cells
    start at ``initial_v`` with steady gates. ``record`` says what is sampled, ``measures`` what is folded on the way: names
    (of :data:`jaxmem.MEASURES`, eFEL's, or ``module:name``), objects, or a dict that names them. ``precision`` is "float32"
    or "float64"; None follows JAX. ``progress(done, total)`` is called with cell-steps, from the calling thread. Samples
    are at multiples of ``every`` counted from t = 0; the one at t = 0 itself belongs to a run that begins there.

    ``changes`` are parameters that change in time (:class:`jaxmem.Schedule`, :class:`jaxmem.Drug`), ``integrator`` the
    method (:class:`jaxmem.Staggered` if not given). With a ``checkpoint``, the same call made again after a kill goes on
    where the last checkpoint was, to the same bits, and samples are kept on disk instead of in memory.

    Raises ValueError (all that is wrong with the membrane at once), or RuntimeError where a device is not there.
    KeyboardInterrupt ends the run within a fraction of a second.
    """
    execution = execution or Execution()
    device = find_device(execution.device)
    dtype = find_dtype(precision)
    check(membrane)
    dt = positive_time("dt", dt)
    steps = whole_steps(positive_time("duration", duration), dt)
    protocol, method = Protocol(stimulus, changes), Staggered() if integrator is None else integrator
    check(protocol)
    check_changes(membrane, protocol.changes)
    membrane = membrane.carried_by(protocol.stimulus.carrier)
    n, single = count_cells(membrane, protocol, initial)

    with jax.default_device(device):
        given = initial if initial is not None else membrane.initial_state(dtype=dtype)
        state = fit_state(given, n, dtype)
        first = int(state.step)
        if first + steps > LAST_STEP:
            raise ValueError(
                f"{first + steps} steps are more than the step counter holds ({LAST_STEP}); take a larger dt"
            )
        known = variables_of(membrane, state, protocol.stimulus)
        records = look_up_records([record] if isinstance(record, Record) else list(record), known, n, dt)
        plan = Plan(dt, first * dt, (first + steps) * dt, protocol.stimulus.onset, protocol.stimulus.offset)
        folded: Any = {name: measure.on_grid(plan) for name, measure in look_up_measures(measures).items()}
        on_grid = protocol.on_grid(dt)
        some = whole_vectors(n)
        begun = (
            (select(membrane, some), state[some], select(on_grid, some)) if n % VECTOR else (membrane, state, on_grid)
        )
        ready = prepared(*begun, method, refresh_steps(dt), dt)
        state = jax.tree.map(np.asarray, ready[:n] if n % VECTOR else ready)
        span = (dtype, dt)
        if isinstance(method, Adaptive):
            if checkpoint is not None:
                raise ValueError(
                    "checkpoints go with integrators of fixed steps; an adaptive run is short, leave them out"
                )
            folded = watched(folded, plan)

        def make(start: State | Carry, end: int) -> PopulationRun:
            if isinstance(method, Adaptive):
                assert isinstance(start, State), "there are no checkpoints to go on from"
                return AdaptiveRun(membrane, protocol, start, folded, records, *span, end, device, execution, method)
            return PopulationRun(membrane, on_grid, start, folded, records, *span, end, device, execution, method)

        mine = "" if checkpoint is None else identity(
            membrane, protocol, state, folded, [(r.prefix, r.paths, r.every, r.cells) for r in records],
            dt, steps, method, np.dtype(dtype).name, device.platform, jax.__version__,
        )  # fmt: skip
        run = Stretches(make, state, folded, first + steps, records, checkpoint, mine)
        began = time.perf_counter()
        run.go(progress)
        seconds = time.perf_counter() - began

    final = run.final
    before, after = _concentrations(membrane, state), _concentrations(membrane, final)
    result = Result(membrane, plan, charge_moved(state, final), before, after)
    measured = _results(folded, run.folds, result, np.asarray(final.status) != Status.OK)
    drop = (lambda x: x[..., 0] if np.ndim(x) else x) if single else (lambda x: x)
    closed = audit(membrane, state, final)
    traces = run.traces(known, dt)
    run.close(checkpoint is not None and checkpoint.keep)
    state_out = lambda s: jax.tree.map(lambda x: jnp.asarray(drop(x)), s)
    return Simulation(
        membrane=membrane,
        stimulus=stimulus,
        changes=protocol.changes,
        integrator=method,
        initial_state=state_out(state),
        final_state=state_out(final),
        dt=dt,
        duration=float(duration),
        precision=np.dtype(dtype).name,
        recorded={k: dataclasses.replace(t, values=drop(t.values)) for k, t in traces.items()},
        measured={k: dataclasses.replace(m, values=drop(m.values)) for k, m in measured.items()},
        audit=dataclasses.replace(closed, charge=drop(closed.charge), mass=drop(closed.mass)),
        info=_info(device, seconds, n, steps, run.threads),
    )


def _wide_book(state: State) -> dict[str, np.ndarray]:
    wide = lambda x: np.asarray(x, np.float64)
    return {k: wide(state.total[k]) + (wide(state.total_low[k]) + wide(state.pending[k])) for k in state.total}


def _concentrations(membrane: Membrane, state: State) -> dict[str, np.ndarray]:
    """Dynamic concentrations in float64, from the book."""
    book: Any = _wide_book(state)
    found = {}
    volume: Any = 1.0
    if membrane.water is not None:
        volume = np.asarray(membrane.amount(membrane.water, "inside", book)) / membrane.species[membrane.water].inside
    for name, side in membrane.pools():
        amount = np.asarray(membrane.amount(name, side, book), np.float64)
        found[f"{name}.{side}"] = amount / volume if side == "inside" and name != membrane.water else amount
    return found


def _results(measures: dict[str, Any], folds: dict[str, Any], run: Result, failed: np.ndarray) -> dict[str, Measured]:
    found = {}
    for name, measure in measures.items():
        values = measure.result(folds.get(name), run)
        for key, x in values.items() if isinstance(values, dict) else [("", values)]:
            whole = np.asarray(x, np.float64)
            if whole.ndim > 2 or (whole.ndim and whole.shape[-1] not in (1, failed.size)):
                raise ValueError(f"the measure {name!r} gave {whole.shape}; (cells,) or (entries, cells) is wanted")
            shown = np.where(failed, np.nan, np.broadcast_to(whole, (*whole.shape[:-1], failed.size)))
            found[f"{name}.{key}" if key else name] = Measured(
                shown, measure.unit, f"{measure.description}{f' of {key}' if key else ''}"
            )
    return found


def _info(device: Any, seconds: float, n: int, steps: int, threads: int) -> dict[str, Any]:
    return {
        "device": f"{device.platform}: {device.device_kind}",
        "threads": threads,
        "seconds": seconds,
        "cell_steps_per_second": n * steps / seconds,
        "jax": jax.__version__,
        "python": platform.python_version(),
    }
