"""One population on its way: cells in blocks, blocks over threads, each block through all its chunks of time."""

import math
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any

import equinox as eqx
import jax
import numpy as np

from jaxmem.engine.advance import block_cells, clock, compiled, finisher
from jaxmem.engine.cores import cores
from jaxmem.engine.integrators import Integrator
from jaxmem.engine.interval import Carry, begin, refresh_steps
from jaxmem.engine.measures import Measure
from jaxmem.engine.request import Asked, Execution
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import map_declared, per_cell
from jaxmem.membrane.state import State, state_per_cell
from jaxmem.rig.protocol import ProtocolOnGrid

CHUNK_STEPS = 20_000  # of one block: about a tenth of a second, so that progress and Ctrl-C are prompt
CHUNK_BYTES = 16 * 2**20  # of samples that one call may bring back
MOST_ROWS = 1024  # of samples in one call; depends on nothing but the number of variables, so that programs are reused


class PopulationRun:
    """Steps of all cells from ``start`` to step ``end``.

    After :meth:`go`: ``final``, the state at the end, ``folds`` of the measures, and ``buffers``, what was sampled:
    (record's prefix, path) -> (samples, cells). Where it started from a :class:`Carry`, measures go on from it, and
    ``final`` is a carry too; else they begin here, and only what their results need is kept.
    """

    def __init__(
        self,
        membrane: Membrane,
        protocol: ProtocolOnGrid,
        start: State | Carry,
        measures: dict[str, Measure],
        records: list[Asked],
        dtype: Any,
        dt: float,
        end: int,
        device: Any,
        execution: Execution,
        integrator: Integrator,
    ) -> None:
        state = start.state if isinstance(start, Carry) else start
        self.n, self.dt, self.first, self.end = int(state.v.shape[-1]), dt, int(state.step), end
        self.dtype, self.device, self.records, self.measures = dtype, device, records, measures
        cast = lambda _, x: (
            np.asarray(x).astype(dtype) if np.issubdtype(np.asarray(x).dtype, np.floating) else np.asarray(x)
        )
        given = (map_declared(cast, membrane), start, map_declared(cast, protocol))
        every = lambda tree: jax.tree.map(lambda x: True, tree)
        self.axes: State | Carry = state_per_cell(state)
        if isinstance(start, Carry):
            self.axes = Carry(self.axes, every(start.folds), every(start.folds_start))
        axes = (per_cell(membrane), self.axes, per_cell(protocol))
        values, self.structure = jax.tree.flatten(given)
        self.leaves = list(zip(values, jax.tree.leaves(axes), strict=True))
        self.refresh, self.integrator = refresh_steps(dt), integrator
        cpu = device.platform == "cpu"
        block = block_cells(dtype)
        self.width = block if cpu else block * math.ceil(self.n / block)
        whole = max(d for d in range(1, 17) if self.refresh % d == 0)  # no steps are left over at an interval's end
        self.unroll = execution.unroll or (1 if cpu else whole)
        self.threads = (execution.threads or cores()) if cpu else 1
        self.stop = threading.Event()
        self.final: Any = jax.tree.map(lambda x, mine: np.empty_like(x) if mine else x, start, self.axes)
        self.folds: dict[str, Any] = {}
        self.buffers = {
            (r.prefix, p): np.full((len(samples_between(r.every, self.first, end)), r.cells.size), np.nan, dtype)
            for r in records
            for p in r.paths
        }
        self.done, self.lock = 0, threading.Lock()

    def _groups(self) -> Iterable[tuple[list[Asked], np.ndarray]]:
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

    def _block(self, records: list[Asked], cells: np.ndarray) -> None:
        # neighbours are taken as a slice, which copies nothing; a block that is not full repeats its last cell
        together = int(cells[-1] - cells[0]) + 1 == cells.size
        place: Any = slice(int(cells[0]), int(cells[-1]) + 1) if together else cells
        full = cells.size == self.width
        index = place if full else np.concatenate([cells, np.full(self.width - cells.size, cells[-1])])
        leaves = [x[..., index] if mine else x for x, mine in self.leaves]
        membrane, start, protocol = jax.tree.unflatten(self.structure, leaves)
        every = math.gcd(*(r.every for r in records)) if records else 1
        paths = tuple(dict.fromkeys(p for r in records for p in r.paths))
        chunk, room = self._chunk(every, len(paths))
        backend = self.device.platform
        with jax.default_device(self.device):
            carry = start if isinstance(start, Carry) else begin(start, self.measures)
            advance = compiled(paths, room, backend, self.unroll, self.integrator)
            step, samples = self.first, samples_between(every, self.first, self.end)
            while step < self.end:
                if self.stop.is_set():
                    return
                target = min(step + chunk, self.end)
                due = samples[(samples > step) & (samples <= target)] if step else samples[samples <= target]
                first = int(due[0]) if due.size else target
                times = clock(end=target, rows=due.size, first=first, every=every, refresh=self.refresh, dt=self.dt)
                carry, rows = advance(membrane, carry, protocol, self.measures, times)
                rows = {p: np.asarray(x)[: due.size] for p, x in rows.items()}
                carry.state.v.block_until_ready()
                self._keep(records, cells, due, rows)
                with self.lock:
                    self.done += cells.size * (target - step)
                step = target
            if step % self.refresh:  # where an interval has just ended, its cells have been looked over
                carry = finisher(backend)(membrane, carry)
        last = carry if isinstance(start, Carry) else carry.state
        for out, x, mine in zip(*map(jax.tree.leaves, (self.final, last, self.axes)), strict=True):
            if mine:
                out[..., place] = np.asarray(x)[..., : cells.size]
        folds = {name: self.measures[name].kept(fold) for name, fold in carry.folds.items()}
        with self.lock:
            if not self.folds:
                self.folds = jax.tree.map(lambda x: np.empty((*x.shape[:-1], self.n), x.dtype), folds)
            self.final = eqx.tree_at(_shared, self.final, tuple(np.asarray(x) for x in _shared(last)))
        for out, x in zip(*map(jax.tree.leaves, (self.folds, folds)), strict=True):
            out[..., place] = np.asarray(x)[..., : cells.size]

    def _chunk(self, every: int, variables: int) -> tuple[int, int]:
        """(steps, rows of samples) of one call."""
        if not variables:
            return CHUNK_STEPS, 0
        room = max(2, min(MOST_ROWS, CHUNK_BYTES // (self.width * np.dtype(self.dtype).itemsize * variables)))
        return min(CHUNK_STEPS, (room - 1) * every), room

    def _keep(self, records: list[Asked], cells: np.ndarray, due: np.ndarray, rows: dict[str, np.ndarray]) -> None:
        for r in records:
            mine = due % r.every == 0
            if not mine.any():
                continue
            begin_row = int(np.searchsorted(samples_between(r.every, self.first, self.end), due[mine][0]))
            into, columns = slice(begin_row, begin_row + int(mine.sum())), np.searchsorted(r.cells, cells)
            # neighbours, as they mostly are, are copied as a whole: several times faster
            side_by_side = columns[-1] - columns[0] == columns.size - 1
            where = slice(columns[0], columns[-1] + 1) if side_by_side else columns
            for p in r.paths:
                self.buffers[r.prefix, p][into, where] = (rows[p] if mine.all() else rows[p][mine])[:, : cells.size]


def _shared(end: State | Carry) -> tuple[Any, Any]:
    """What has no cell axis."""
    state = end.state if isinstance(end, Carry) else end
    return state.step, state.lag


def samples_between(every: int, first: int, end: int) -> np.ndarray:
    """Steps at which a record is sampled in a run from step ``first`` to ``end``; the first of all belongs to it."""
    return np.arange(0 if first == 0 else (first // every + 1) * every, end + 1, every)
