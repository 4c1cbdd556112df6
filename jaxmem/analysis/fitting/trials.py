"""Trials: what is done to a cell in a simulation that a fit looks at, and what is seen of it, as JAX can differentiate."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.analysis.fitting.measured import Ended, refusal, told
from jaxmem.analysis.resting import resting_state
from jaxmem.engine.adaptive import Adaptive
from jaxmem.engine.integrate import integrate
from jaxmem.engine.integrators import Integrator, Staggered
from jaxmem.engine.interval import prepared, refresh_steps
from jaxmem.engine.measures import ASKING, EFEL, MEASURES, Measure, Plan
from jaxmem.engine.records import sample, steps_between, variables_of
from jaxmem.engine.request import LAST_STEP, find_measure, positive_time, whole_steps
from jaxmem.membrane.check import check
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import cell_count, path_error, per_cell
from jaxmem.membrane.state import State, Status
from jaxmem.rig.drive import Driver
from jaxmem.rig.protocol import Change, ChangeOnGrid, Protocol, ProtocolOnGrid, check_changes
from jaxmem.rig.stimuli import Stimulus


class Trial(eqx.Module):
    """One simulation of each cell that a fit looks at: ``Target(..., during=Trial(...))``.

    ``stimulus`` and ``changes`` for ``duration`` ms in steps of ``dt`` ms, as in :func:`jaxmem.simulate`; their numbers
    may differ between cells. Cells begin ``initial``: "steady", at rest with all their ions (the derivative of the rest
    is part of every derivative), or "given", at ``initial_v`` with steady gates and the membrane's concentrations. Traces
    are sampled every ``every`` ms, the first at t = 0. The integrator must be one of fixed steps. Noise is frozen: every
    cell gets what a single cell gets in :func:`jaxmem.simulate`.

    Two trials are equal only if they are the same object, so that a trial can be the key of a dict; targets that name the
    same trial share its simulation. Raises ValueError for times that do not fit each other.
    """

    stimulus: Stimulus | None = None
    duration: float = eqx.field(static=True, default=100.0)
    dt: float = eqx.field(static=True, default=0.025)
    initial: str = eqx.field(static=True, default="steady", kw_only=True)
    changes: tuple[Change, ...] = eqx.field(
        default=(), kw_only=True, converter=lambda x: (x,) if isinstance(x, Change) else tuple(x)
    )
    every: float | None = eqx.field(static=True, default=None, kw_only=True)
    integrator: Integrator | None = eqx.field(default=None, kw_only=True)

    def __check_init__(self) -> None:
        steps = whole_steps(positive_time("duration", self.duration), positive_time("dt", self.dt))
        if steps > LAST_STEP:
            raise ValueError(f"{steps} steps are more than the step counter holds ({LAST_STEP}); take a larger dt")
        if self.initial not in ("steady", "given"):
            raise ValueError(
                "a trial begins 'steady' (at rest with all ions) or 'given' (at initial_v with steady gates); found "
                f"{self.initial!r}"
            )
        if self.every is not None and steps % (every := steps_between(self.every, self.dt, "a trial's every")):
            near = max(1, steps // every) * every * self.dt
            raise ValueError(
                f"every ({self.every:g} ms) must divide the duration ({self.duration:g} ms); a duration of {near:g} ms fits"
            )
        if isinstance(self.integrator, Adaptive):
            raise ValueError(
                "the steps of Adaptive depend on the numbers, so that it has no derivative; a trial needs an integrator of "
                "fixed steps (Staggered, RungeKutta4, RushLarsen)"
            )

    __hash__ = object.__hash__
    __eq__ = object.__eq__

    @property
    def steps(self) -> int:
        return whole_steps(self.duration, self.dt)

    @property
    def times(self) -> np.ndarray:
        """Times (ms) of the samples of a trace. Raises ValueError where ``every`` is not given."""
        every = _every(self.every, self.dt)
        return np.arange(0, self.steps + 1, every) * self.dt

    def samples(self, of: str | Measure) -> int | None:
        """How many numbers there are of a wanted thing in each cell: None for one, without an axis. Raises as ``times`` does."""
        name = of.partition(".")[0] if isinstance(of, str) else ""
        if isinstance(of, str) and ":" not in of and of not in _names() and name not in _names():
            return len(self.times)
        measure = of if isinstance(of, Measure) else find_measure(of if of in _names() or ":" in of else name)
        return getattr(measure, "count", None) if getattr(measure, "of", "each") == "each" else None

    def on_grid(self, membrane: Membrane) -> "TrialOnGrid":
        """The same trial in steps, made once on the host: a tree whose arrays may be traced, gathered and cut in cells.

        Which stretch a measure looks at is that of the whole population from here on, whichever cells are chosen of it.
        Raises ValueError (PathError) where a stimulus or change is out of range or does not go with the membrane.
        """
        protocol = Protocol(self.stimulus, self.changes)
        check(protocol)
        check_changes(membrane, protocol.changes)
        stimulus = protocol.stimulus
        on_grid = protocol.on_grid(self.dt)
        mine = jax.tree.map(lambda x, celled: celled or not np.ndim(x), on_grid, per_cell(on_grid))
        changing, fixed = eqx.partition(on_grid, mine)
        return TrialOnGrid(
            changing, _Fixed(fixed), Staggered() if self.integrator is None else self.integrator,
            Plan(self.dt, 0.0, self.steps * self.dt, stimulus.onset, stimulus.offset), self.steps, self.every, self.initial,
            stimulus.carrier, tuple(stimulus.readings.items()),
        )  # fmt: skip


class TrialOnGrid(eqx.Module):
    """A trial in steps of dt. :func:`jaxmem.membrane.parameters.select` chooses cells.

    Its arrays are numbers or have a last axis of cells; what else there is, tables of a waveform too, is static.
    """

    changing: ProtocolOnGrid
    fixed: "_Fixed" = eqx.field(static=True)
    integrator: Integrator
    plan: Plan = eqx.field(static=True)
    steps: int = eqx.field(static=True)
    every: float | None = eqx.field(static=True)
    initial: str = eqx.field(static=True)
    carrier: str | None = eqx.field(static=True)
    shown: tuple[tuple[str, tuple[str, str]], ...] = eqx.field(static=True)

    @property
    def protocol(self) -> ProtocolOnGrid:
        return eqx.combine(self.changing, self.fixed.tree)

    def start(self, membrane: Membrane, rest: State | None = None) -> State:
        """Where the cells begin; ``rest`` is their state at rest where that is known already."""
        if self.initial == "given":
            state = membrane.initial_state(dtype=jnp.result_type(float, *jax.tree.leaves(membrane)))
        else:
            state = resting_state(membrane).state if rest is None else rest
        if not state.v.ndim and (cells := cell_count(self)):  # one membrane, many stimuli
            state = jax.tree.map(lambda x: jnp.broadcast_to(x, cells), state)
        # from t = 0, and with the same draws whichever cells are chosen
        fresh = (np.int32(0), np.zeros((), state.v.dtype), jnp.zeros(state.v.shape, jnp.int32))
        return eqx.tree_at(lambda s: (s.step, s.lag, s.cell), state, fresh)


class _Fixed:
    """A tree of arrays that is part of a program: equal to another that holds the same numbers."""

    def __init__(self, tree: Any):
        self.tree = tree
        leaves, structure = jax.tree.flatten(tree)
        self._content = structure, tuple((x.shape, x.dtype.str, x.tobytes()) for x in map(np.asarray, leaves))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Fixed) and self._content == other._content

    def __hash__(self) -> int:
        return hash(self._content)


class Observed(NamedTuple):
    """``values``: one array for each wanted thing, (cells,) or (entries, cells), NaN in cells that failed or have no answer.

    ``status`` (cells,): :class:`jaxmem.Status` of each cell, of its rest where it did not find one.
    """

    values: tuple[jax.Array, ...]
    status: jax.Array


def observed(
    membrane: Membrane,
    trial: TrialOnGrid,
    wanted: Sequence[str | Measure],
    rest: State | None = None,
    checkpoint: bool = True,
) -> Observed:
    """What is seen of each cell in a trial: pure, elementwise in cells, differentiable in every number of the membrane.

    ``wanted``: a path that can be recorded ("v", "na.inside", "stimulus"), which gives a trace (samples, cells) whose
    first sample is at t = 0; or a measure, by name or as an object, which gives (cells,) or (entries, cells); an entry of
    one that gives several by name is "concentration_change.na.inside". ``rest`` is the membrane's state at rest, found
    here if it is not given. The derivative of an extremum is that at the sample where it lies. A cell without a rest, or
    that fails on the way, has NaN and no derivative. ``checkpoint`` keeps the memory of reverse mode at the square root of
    the steps; forward mode does not need it and compiles faster without.

    Raises PathError for a name that is neither; ValueError for a measure that has no derivative, with the reason.
    """
    membrane = membrane.carried_by(trial.carrier)
    state = trial.start(membrane, rest)
    stimulus = _gridded(trial)
    known = variables_of(membrane, state, stimulus)
    asked = [_look_up(what, known) for what in wanted]
    paths = tuple(dict.fromkeys(what for what, measure, _ in asked if measure is None))
    measures: dict[str, Measure] = {}
    for name, measure, _ in asked:
        if measure is not None:
            measures.setdefault(name, measure.on_grid(trial.plan))

    dt = trial.plan.dt
    h = jnp.asarray(dt, state.v.dtype)
    state = prepared(membrane, state, trial.protocol, trial.integrator, refresh_steps(dt), dt)
    first = sample(membrane, state, trial.protocol, h, paths)
    changes = tuple(_GriddedChange(path=c.path, grid=c) for c in trial.protocol.changes)
    every = _every(trial.every, dt) if paths else None
    run = integrate(
        membrane, state, stimulus, changes=changes, steps=trial.steps, dt=dt, every=every, record=paths, measures=measures,
        first_step=0, checkpoint=checkpoint, integrator=trial.integrator,
    )  # fmt: skip
    status = run.final_state.status
    good = status == Status.OK
    whole = lambda x: jnp.where(good, x, jnp.nan).astype(state.v.dtype)
    found = {path: whole(jnp.concatenate([first[path][None], run.traces[path]])) for path in paths}
    ended = Ended(membrane, trial.plan, state, run.final_state)
    for name, measure in measures.items():
        result = told(measure)(measure, run.folds[name], ended)
        entries = result.items() if isinstance(result, dict) else [("", result)]
        found |= {f"{name}.{key}" if key else name: whole(x) for key, x in entries}
    names = [f"{name}.{key}" if key else name for name, _, key in asked]
    if absent := [name for name in names if name not in found]:
        raise path_error(absent[0], [*found, *known], "thing to see in a trial")
    return Observed(tuple(found[name] for name in names), status)


def unit_of(membrane: Membrane, trial: TrialOnGrid, what: str | Measure) -> tuple[str, str]:
    """(unit, long name) of a wanted thing. Raises as :func:`observed` does."""
    state = jax.eval_shape(lambda m: m.initial_state(), membrane)
    known = variables_of(membrane, state, _gridded(trial))
    name, measure, key = _look_up(what, known)
    return known[name] if measure is None else (measure.unit, f"{measure.description}{f' of {key}' if key else ''}")


def _look_up(what: str | Measure, known: dict[str, Any]) -> tuple[str, Measure | None, str]:
    """(name, measure or None for a trace, which of its entries). Raises for what is unknown or has no derivative."""
    if isinstance(what, str) and what in known:
        return what, None, ""
    names = _names()
    if isinstance(what, str):
        name, _, key = (what, "", "") if what in names or ":" in what else what.partition(".")
        if ":" not in name and name not in names:
            raise path_error(what, [*known, *names], "measure, or variable to record,")
        measure = find_measure(name)
    else:
        name, measure, key = repr(what), what, ""
    if why := refusal(measure):
        shown = name if isinstance(what, str) else type(measure).__name__
        raise ValueError(f"{shown!r} cannot be fitted by gradients: {why}")
    return name, measure, key


def _names() -> dict[str, Any]:
    return {**MEASURES, **EFEL, **ASKING}


def _every(every: float | None, dt: float) -> int:
    if every is None:
        raise ValueError("a trace needs to know how often it is sampled: Trial(..., every=1.0) for every millisecond")
    return steps_between(every, dt, "a trial's every")


def _gridded(trial: TrialOnGrid) -> "_Gridded":
    return _Gridded(driver=trial.protocol.driver, carrier=trial.carrier, shown=trial.shown)


class _Gridded(Stimulus):
    """A stimulus that has been put on its grid."""

    driver: Driver
    carrier: str | None = eqx.field(static=True)
    shown: tuple[tuple[str, tuple[str, str]], ...] = eqx.field(static=True)

    def on_grid(self, dt: float) -> Driver:
        return self.driver

    @property
    def readings(self) -> dict[str, tuple[str, str]]:
        return dict(self.shown)


class _GriddedChange(Change):
    """A change that has been put on its grid, and was checked before."""

    grid: ChangeOnGrid
    path: str = eqx.field(static=True)

    def on_grid(self, dt: float) -> ChangeOnGrid:
        return self.grid

    def at(self, before: Any, t: jax.Array) -> Any:
        raise ValueError("a change on the grid is defined by steps, not at points in time")

    @property
    def edges(self) -> list[Any]:
        return []
