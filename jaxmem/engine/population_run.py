"""One population on its way: cells in blocks, blocks over threads, each block through all its chunks of time."""

import math
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any

import jax
import numpy as np

from jaxmem.engine.advance import block_cells, clock, compiled, finisher
from jaxmem.engine.interval import begin, refresh_steps
from jaxmem.engine.measures import Measure
from jaxmem.engine.request import LAST_STEP, Asked, Execution
from jaxmem.engine.simulation import Trace
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import map_declared, per_cell
from jaxmem.membrane.state import State, state_per_cell

CHUNK_STEPS = 20_000  # of one block: about a tenth of a second, so that progress and Ctrl-C are prompt
CHUNK_BYTES = 16 * 2**20  # of samples that one call may bring back
MOST_ROWS = 1024  # of samples in one call; depends on nothing but the number of variables, so that programs are reused


class PopulationRun:
    """Steps ``first`` to ``end`` of all cells. After :meth:`go`: ``final`` state, ``folds`` of measures, :meth:`traces`."""

    def __init__(
        self,
        membrane: Membrane,
        stimulus: Any,
        state: State,
        measures: dict[str, Measure],
        records: list[Asked],
        dtype: Any,
        dt: float,
        first: int,
        end: int,
        device: Any,
        execution: Execution,
    ) -> None:
        self.n, self.dt, self.first, self.end = int(state.v.shape[-1]), dt, first, end
        self.dtype, self.device, self.records, self.measures = dtype, device, records, measures
        cast = lambda _, x: (
            np.asarray(x).astype(dtype) if np.issubdtype(np.asarray(x).dtype, np.floating) else np.asarray(x)
        )
        given = (map_declared(cast, membrane), state, map_declared(cast, stimulus))
        self.axes = state_per_cell(state)
        axes = (per_cell(membrane), self.axes, per_cell(stimulus))
        values, self.structure = jax.tree.flatten(given)
        self.leaves = list(zip(values, jax.tree.leaves(axes), strict=True))
        self.refresh = refresh_steps(dt)
        cpu = device.platform == "cpu"
        block = block_cells(dtype)
        self.width = block if cpu else block * math.ceil(self.n / block)
        whole = max(d for d in range(1, 17) if self.refresh % d == 0)  # no steps are left over at an interval's end
        self.unroll = execution.unroll or (1 if cpu else whole)
        self.threads = (execution.threads or os.cpu_count() or 1) if cpu else 1
        self.stop = threading.Event()
        self.final = jax.tree.map(lambda x, mine: np.empty_like(x) if mine else x, state, self.axes)
        self.folds: dict[str, Any] = {}
        self.buffers = {
            (r.prefix, p): np.full((len(self._samples(r.every)), r.cells.size), np.nan, dtype)
            for r in records
            for p in r.paths
        }
        self.done, self.lock = 0, threading.Lock()

    def _samples(self, every: int) -> np.ndarray:
        """Steps at which a record is sampled."""
        first = 0 if self.first == 0 else (self.first // every + 1) * every
        return np.arange(first, self.end + 1, every)

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
        membrane, state, stimulus = jax.tree.unflatten(self.structure, leaves)
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
        for out, x, mine in zip(*map(jax.tree.leaves, (self.final, carry.state, self.axes)), strict=True):
            if mine:
                out[..., place] = np.asarray(x)[..., : cells.size]
        folds = {name: self.measures[name].kept(fold) for name, fold in carry.folds.items()}
        with self.lock:
            if not self.folds:
                self.folds = jax.tree.map(lambda x: np.empty((*x.shape[:-1], self.n), x.dtype), folds)
            self.final = State(
                **{**vars(self.final), "step": np.asarray(carry.state.step), "lag": np.asarray(carry.state.lag)}
            )
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
