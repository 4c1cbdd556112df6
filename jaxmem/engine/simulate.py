"""The host around the loop: checks, precision, blocks, threads, progress, interruption."""

import dataclasses
import math
import os
import platform
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.engine.advance import BLOCK, clock, compiled, finisher
from jaxmem.engine.audit import audit, charge_moved
from jaxmem.engine.interval import begin, refresh_steps
from jaxmem.engine.measures import MEASURES, Measure, Plan, Result
from jaxmem.engine.records import Record, expand, steps_between, variables_of
from jaxmem.engine.simulation import Measured, Simulation, Trace
from jaxmem.membrane.check import check
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import cell_count, map_declared, path_error, per_cell
from jaxmem.membrane.state import State, Status, state_per_cell
from jaxmem.rig.stimuli import ConstantCurrent, Stimulus

CHUNK_STEPS = 20_000  # of one block: about a tenth of a second, so that progress and Ctrl-C are prompt
CHUNK_BYTES = 16 * 2**20  # of samples that one call may bring back
MOST_ROWS = 1024  # of samples in one call; depends on nothing but the number of variables, so that programs are reused
LAST_STEP = 2**30  # steps are counted in int32, with room for edges


@dataclasses.dataclass(frozen=True)
class Execution:
    """How a run is carried out; changes speed, never results.

    ``device``: "cpu", "gpu" or a JAX device (None: JAX's default). ``threads``: on a CPU, one per core if None.
    ``unroll``: steps per iteration of the loop (None: 1 on a CPU; on a GPU up to 16, a divisor of the refresh interval).
    """

    device: Any = None
    threads: int | None = None
    unroll: int | None = None


def simulate(
    membrane: Membrane,
    duration: float,
    *,
    dt: float = 0.025,
    stimulus: Stimulus | None = None,
    initial: State | None = None,
    record: Record | Sequence[Record] = (),
    measures: Sequence[str | Measure] | dict[str, Measure] = (),
    precision: str | None = None,
    execution: Execution | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Simulation:
    """Advance every cell of ``membrane`` by ``duration`` ms in steps of ``dt`` ms.

    ``initial`` is a state to go on from (``Simulation.final_state``, :func:`jaxmem.resting_state`); without it the cells
    start at ``initial_v`` with steady gates. ``record`` says what is sampled, ``measures`` what is folded on the way (names
    from :data:`jaxmem.MEASURES`, or objects). ``precision`` is "float32" or "float64"; None follows JAX. ``progress(done,
    total)`` is called with cell-steps, from the calling thread. Samples are at multiples of ``every`` counted from t = 0;
    the one at t = 0 itself belongs to a run that begins there.

    Raises ValueError (all that is wrong with the membrane at once), or RuntimeError where a device is not there.
    KeyboardInterrupt ends the run within a fraction of a second.
    """
    execution = execution or Execution()
    device = _device(execution.device)
    dtype = _dtype(precision)
    check(membrane)
    dt = _positive("dt", dt)
    steps = _whole_steps(_positive("duration", duration), dt)
    stimulus_or_none, stimulus = stimulus, ConstantCurrent() if stimulus is None else stimulus
    check(stimulus)
    membrane = membrane.carried_by(stimulus.carrier)
    n, single = _cells(membrane, stimulus, initial)

    with jax.default_device(device):
        given = initial if initial is not None else membrane.initial_state(dtype=dtype)
        state = _fit(given, n, dtype)
        first = int(state.step)
        if first + steps > LAST_STEP:
            raise ValueError(f"{first + steps} steps are more than the step counter holds ({LAST_STEP}); take a larger dt")
        known = variables_of(membrane, state) | {"stimulus": ("uA/cm^2", "stimulus current density")}
        records = _records([record] if isinstance(record, Record) else list(record), known, n, dt)
        plan = Plan(dt, first * dt, (first + steps) * dt, stimulus.onset, stimulus.offset)
        folded = {name: measure.on_grid(plan) for name, measure in _measures(measures).items()}
        run = _Run(membrane, stimulus.on_grid(dt), state, folded, records, dtype, dt, first, first + steps, device, execution)
        began = time.perf_counter()
        run.go(progress)
        seconds = time.perf_counter() - began

    final = run.final
    before, after = _concentrations(membrane, state), _concentrations(membrane, final)
    result = Result(membrane, plan, charge_moved(state, final), before, after)
    measured = _results(folded, run.folds, result, np.asarray(final.status) != Status.OK)
    drop = (lambda x: x[..., 0] if np.ndim(x) else x) if single else (lambda x: x)
    closed = audit(membrane, state, final)
    state_out = lambda s: jax.tree.map(lambda x: jnp.asarray(drop(x)), s)
    return Simulation(
        membrane=membrane,
        stimulus=stimulus_or_none,
        initial_state=state_out(state),
        final_state=state_out(final),
        dt=dt,
        duration=float(duration),
        precision=np.dtype(dtype).name,
        recorded={k: dataclasses.replace(t, values=drop(t.values)) for k, t in run.traces(known).items()},
        measured={k: dataclasses.replace(m, values=drop(m.values)) for k, m in measured.items()},
        audit=dataclasses.replace(closed, charge=drop(closed.charge), mass=drop(closed.mass)),
        info=_info(device, seconds, n, steps, run.threads),
    )


# ---------------------------------------------------------------------- what was asked for
def _positive(name: str, value: float) -> float:
    number = float(value)
    if not (number > 0 and math.isfinite(number)):
        raise ValueError(f"{name} must be a time above 0 ms; found {value!r}")
    return number


def _whole_steps(duration: float, dt: float) -> int:
    steps = duration / dt
    if abs(steps - round(steps)) > 1e-6 * max(1.0, steps) or round(steps) < 1:
        raise ValueError(
            f"duration {duration:g} ms is not a whole number of steps of {dt:g} ms; the nearest is {max(1, round(steps)) * dt:g} ms"
        )
    return round(steps)


def _device(wanted: Any) -> Any:
    if wanted is None:
        return jax.devices()[0]
    if not isinstance(wanted, str):
        return wanted
    try:
        return jax.devices(wanted)[0]
    except RuntimeError:
        there = ", ".join(sorted({d.platform for d in jax.devices()} | {"cpu"}))
        raise RuntimeError(
            f"no device {wanted!r} here; there is: {there}. For an NVIDIA GPU install jaxmem[cuda12] or jaxmem[cuda13]"
        ) from None


def _dtype(precision: str | None) -> Any:
    x64 = bool(jax.config.jax_enable_x64)  # type: ignore[attr-defined]
    if precision is None:
        return np.float64 if x64 else np.float32
    if precision not in ("float32", "float64"):
        raise ValueError(f"precision is 'float32' or 'float64', not {precision!r}")
    if precision == "float64" and not x64:
        raise ValueError("float64 needs jax.config.update('jax_enable_x64', True) before the first array is made")
    return np.dtype(precision).type


def _cells(membrane: Membrane, stimulus: Stimulus, state: State | None) -> tuple[int, bool]:
    """How many cells, and whether the results come without a cell axis."""
    found = {"the membrane": membrane.cells, "the stimulus": cell_count(stimulus)}
    if state is not None and np.ndim(state.v):
        found["the initial state"] = int(np.shape(state.v)[-1])
    lengths = {who: n for who, n in found.items() if n is not None}
    if len(set(lengths.values())) > 1:
        raise ValueError("arrays over cells must have one length: " + ", ".join(f"{who} has {n}" for who, n in lengths.items()))
    n = next(iter(lengths.values()), None)
    if n == 0:
        raise ValueError("a population needs at least one cell")
    return (1, True) if n is None else (n, False)


def _fit(state: State, n: int, dtype: Any) -> State:
    """The state as NumPy arrays over n cells in this precision, with what a narrower type leaves out kept in its remainder."""
    state = jax.tree.map(np.asarray, state)
    narrow = lambda x: x.astype(dtype)
    rest = lambda whole, low: narrow(whole.astype(np.float64) + low - narrow(whole + low))
    fitted = State(**{
        **vars(jax.tree.map(lambda x: narrow(x) if np.issubdtype(x.dtype, np.floating) else x, state)),
        "v": narrow(state.v + state.v_low),
        "v_low": rest(state.v, state.v_low),
        "total": {k: narrow(x + state.total_low[k]) for k, x in state.total.items()},
        "total_low": {k: rest(x, state.total_low[k]) for k, x in state.total.items()},
    }) if state.v.dtype != dtype else state  # fmt: skip

    def spread(x: np.ndarray, shared: bool) -> np.ndarray:
        return x if shared else np.ascontiguousarray(np.broadcast_to(x if x.ndim else x[None], (*x.shape[:-1], n)))

    names = jax.tree_util.tree_map_with_path(lambda key, _: jax.tree_util.keystr(key) in (".step", ".lag"), fitted)
    return jax.tree.map(spread, fitted, names)


@dataclasses.dataclass(frozen=True)
class _Asked:
    """A record with everything looked up."""

    prefix: str
    paths: tuple[str, ...]
    every: int
    cells: np.ndarray


def _records(records: list[Record], known: dict[str, Any], n: int, dt: float) -> list[_Asked]:
    asked, seen = [], set()
    for r in records:
        cells = np.arange(n) if r.cells is None else np.atleast_1d(np.asarray(r.cells))
        if cells.dtype == bool and cells.size == n:
            cells = np.flatnonzero(cells)
        if cells.size and (not np.issubdtype(cells.dtype, np.integer) or cells.min() < -n or cells.max() >= n):
            raise ValueError(f"a record's cells are indices below {n}; found {cells.tolist()[:5]}")
        cells = np.unique(np.where(cells < 0, cells + n, cells).astype(int))
        prefix = f"{r.name}." if r.name else ""
        paths = tuple(expand(r.paths, known))
        if again := [p for p in paths if prefix + p in seen]:
            raise ValueError(f"{again[0]!r} is recorded twice; give one of the records a name")
        seen |= {prefix + p for p in paths}
        asked.append(_Asked(prefix, paths, steps_between(r.every, dt, f"record of {', '.join(r.paths)}"), cells))
    return asked


def _measures(measures: Any) -> dict[str, Measure]:
    if isinstance(measures, dict):
        return dict(measures)
    found: dict[str, Measure] = {}
    for m in measures:
        if isinstance(m, str):
            if m not in MEASURES:
                raise path_error(m, list(MEASURES), "measure")
            found[m] = MEASURES[m]()
        else:
            found[type(m).__name__.lower()] = m
    return found


# ---------------------------------------------------------------------- the run
class _Run:
    """One population on its way: cells in blocks, blocks over threads, each block through all its chunks of time."""

    def __init__(self, membrane, stimulus, state, measures, records, dtype, dt, first, end, device, execution):
        self.n, self.dt, self.first, self.end = int(state.v.shape[-1]), dt, first, end
        self.dtype, self.device, self.records, self.measures = dtype, device, records, measures
        cast = lambda _, x: np.asarray(x).astype(dtype) if np.issubdtype(np.asarray(x).dtype, np.floating) else np.asarray(x)
        self.given = (map_declared(cast, membrane), state, map_declared(cast, stimulus))
        self.axes = (per_cell(membrane), state_per_cell(state), per_cell(stimulus))
        self.refresh = refresh_steps(dt)
        cpu = device.platform == "cpu"
        self.width = BLOCK if cpu else BLOCK * math.ceil(self.n / BLOCK)
        whole = max(d for d in range(1, 17) if self.refresh % d == 0)  # no steps are left over at an interval's end
        self.unroll = execution.unroll or (1 if cpu else whole)
        self.threads = (execution.threads or os.cpu_count() or 1) if cpu else 1
        self.stop = threading.Event()
        self.final = jax.tree.map(lambda x, mine: np.empty_like(x) if mine else x, state, self.axes[1])
        self.folds: dict[str, Any] = {}
        self.buffers = {(r.prefix, p): np.full((len(self._samples(r.every)), r.cells.size), np.nan, dtype) for r in records for p in r.paths}
        self.done, self.lock = 0, threading.Lock()

    def _samples(self, every: int) -> np.ndarray:
        """Steps at which a record is sampled."""
        first = 0 if self.first == 0 else (self.first // every + 1) * every
        return np.arange(first, self.end + 1, every)

    def _groups(self) -> Iterable[tuple[list[_Asked], np.ndarray]]:
        """Cells that are recorded alike run together; a cell's bits do not depend on its company."""
        key = np.zeros(self.n, np.int64)
        for i, r in enumerate(self.records):
            key[r.cells] |= 1 << i
        for k in np.unique(key):
            yield [r for i, r in enumerate(self.records) if k >> i & 1], np.flatnonzero(key == k)

    def go(self, progress: Callable[[int, int], None] | None) -> None:
        blocks = []
        for records, cells in self._groups():
            blocks += [(records, cells[i : i + self.width]) for i in range(0, cells.size, self.width)]
        total = self.n * (self.end - self.first)
        self.threads = max(1, min(self.threads, len(blocks)))
        with ThreadPoolExecutor(self.threads) as pool:
            left = {pool.submit(self._block, *b) for b in blocks}
            try:
                while left:
                    finished, left = wait(left, timeout=0.1, return_when=FIRST_COMPLETED)
                    for future in finished:
                        future.result()
                    if progress:
                        progress(min(self.done, total), total)
            except BaseException:
                self.stop.set()
                for future in left:
                    future.cancel()
                raise

    def _block(self, records: list[_Asked], cells: np.ndarray) -> None:
        index = np.concatenate([cells, np.full(self.width - cells.size, cells[-1])])
        take = lambda x, mine: x[..., index] if mine else x
        membrane, state, stimulus = jax.tree.map(take, self.given, self.axes)
        every = math.gcd(*(r.every for r in records)) if records else 1
        paths = tuple(dict.fromkeys(p for r in records for p in r.paths))
        chunk, room = self._chunk(every, len(paths))
        backend = self.device.platform
        with jax.default_device(self.device):
            carry = begin(state, self.measures)
            advance = compiled(paths, room, backend, self.unroll)
            step, samples = self.first, self._samples(every)
            while step < self.end:
                if self.stop.is_set():
                    return
                target = min(step + chunk, self.end)
                due = samples[(samples > step) & (samples <= target)] if step else samples[samples <= target]
                first = int(due[0]) if due.size else target
                times = clock(end=target, rows=due.size, first=first, every=every, refresh=self.refresh, dt=self.dt)
                carry, rows = advance(membrane, carry, stimulus, self.measures, times)
                rows = {p: np.asarray(x)[: due.size] for p, x in rows.items()}
                carry.state.v.block_until_ready()
                self._keep(records, cells, due, rows)
                with self.lock:
                    self.done += cells.size * (target - step)
                step = target
            if step % self.refresh:  # where an interval has just ended, its cells have been looked over
                carry = finisher(backend)(membrane, carry)
        put = lambda out, x, mine: out.__setitem__((..., cells), np.asarray(x)[..., : cells.size]) if mine else None
        jax.tree.map(put, self.final, carry.state, self.axes[1])
        with self.lock:
            if not self.folds:
                self.folds = jax.tree.map(lambda x: np.empty((*x.shape[:-1], self.n), x.dtype), carry.folds)
            self.final = State(**{**vars(self.final), "step": np.asarray(carry.state.step), "lag": np.asarray(carry.state.lag)})
        jax.tree.map(lambda out, x: out.__setitem__((..., cells), np.asarray(x)[..., : cells.size]), self.folds, carry.folds)

    def _chunk(self, every: int, variables: int) -> tuple[int, int]:
        """(steps, rows of samples) of one call."""
        if not variables:
            return CHUNK_STEPS, 0
        room = max(2, min(MOST_ROWS, CHUNK_BYTES // (self.width * np.dtype(self.dtype).itemsize * variables)))
        return min(CHUNK_STEPS, (room - 1) * every), room

    def _keep(self, records: list[_Asked], cells: np.ndarray, due: np.ndarray, rows: dict[str, np.ndarray]) -> None:
        for r in records:
            mine = due % r.every == 0
            if not mine.any():
                continue
            begin_row = int(np.searchsorted(self._samples(r.every), due[mine][0]))
            into, columns = slice(begin_row, begin_row + int(mine.sum())), np.searchsorted(r.cells, cells)
            # neighbours, as they mostly are, are copied as a whole: several times faster
            side_by_side = columns[-1] - columns[0] == columns.size - 1
            where = slice(columns[0], columns[-1] + 1) if side_by_side else columns
            for p in r.paths:
                self.buffers[r.prefix, p][into, where] = (rows[p] if mine.all() else rows[p][mine])[:, : cells.size]

    def traces(self, known: dict[str, tuple[str, str]]) -> dict[str, Trace]:
        found = {}
        failed = np.asarray(self.final.failed_at)
        # a failed cell went back to the start of its last interval: what was sampled since is no result
        last_good = np.where(failed >= 0, (failed - 1) // self.refresh * self.refresh, LAST_STEP)
        for r in self.records:
            steps = self._samples(r.every)
            bad = steps[:, None] > last_good[r.cells][None]
            for p in r.paths:
                values = self.buffers[r.prefix, p]
                values[bad] = np.nan
                found[r.prefix + p] = Trace(values, steps * self.dt, r.cells, *known[p])
        return found


# ---------------------------------------------------------------------- what comes of it
def _wide_book(state: State) -> dict[str, np.ndarray]:
    wide = lambda x: np.asarray(x, np.float64)
    return {k: wide(state.total[k]) + (wide(state.total_low[k]) + wide(state.pending[k])) for k in state.total}


def _concentrations(membrane: Membrane, state: State) -> dict[str, np.ndarray]:
    """Dynamic concentrations in float64, from the book."""
    book, found = _wide_book(state), {}
    volume: Any = 1.0
    if membrane.water is not None:
        volume = np.asarray(membrane.amount(membrane.water, "inside", book)) / membrane.species[membrane.water].inside
    for name, side in membrane.pools():
        amount = np.asarray(membrane.amount(name, side, book), np.float64)
        found[f"{name}.{side}"] = amount / volume if side == "inside" and name != membrane.water else amount
    return found


def _results(measures: dict[str, Measure], folds: dict[str, Any], run: Result, failed: np.ndarray) -> dict[str, Measured]:
    found = {}
    for name, measure in measures.items():
        values = measure.result(folds.get(name), run)
        for key, x in values.items() if isinstance(values, dict) else [("", values)]:
            shown = np.where(failed, np.nan, np.broadcast_to(np.asarray(x, np.float64), failed.shape))
            found[f"{name}.{key}" if key else name] = Measured(shown, measure.unit, f"{measure.description}{f' of {key}' if key else ''}")
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
