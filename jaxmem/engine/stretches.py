"""A run in stretches of time: one, or as many as there are checkpoints. Where it is cut changes no bit of it."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxmem.engine.checkpoint import Checkpoint, Checkpoints, Pace
from jaxmem.engine.interval import Carry, begin
from jaxmem.engine.measures import Measure
from jaxmem.engine.population_run import PopulationRun, samples_between
from jaxmem.engine.request import LAST_STEP, Asked
from jaxmem.engine.simulation import Trace
from jaxmem.membrane.state import State

SAMPLE_BYTES = 64 * 2**20  # of one stretch, before they go to disk

Progress = Callable[[int, int], None] | None
MakeRun = Callable[[State | Carry, int], PopulationRun]  # from there to a step


class Stretches:
    """The cells from ``state`` to step ``end``. After :meth:`go`: ``final`` state, ``folds`` of measures, :meth:`traces`."""

    def __init__(
        self,
        make: MakeRun,
        state: State,
        measures: dict[str, Measure],
        end: int,
        records: list[Asked],
        checkpoint: Checkpoint | None,
        identity: str,
    ):
        self.make, self.final, self.measures, self.records = make, state, measures, records
        self.first, self.end = int(state.step), end
        self.checkpoints = None if checkpoint is None else Checkpoints(checkpoint, identity)
        self.samples: dict[tuple[str, str], np.ndarray] = {}
        self.folds: dict[str, Any] = {}
        self.threads = self.refresh = 1

    def go(self, progress: Progress) -> None:
        if self.checkpoints is None:
            run = self.make(self.final, self.end)
            run.go(progress)
            self.final, self.folds, self.samples = run.final, run.folds, run.buffers
            self.threads, self.refresh = run.threads, run.refresh
        else:
            self._with_checkpoints(self.checkpoints, progress)

    def _with_checkpoints(self, checkpoints: Checkpoints, progress: Progress) -> None:
        carry = jax.tree.map(np.asarray, begin(self.final, self.measures))
        carry = checkpoints.latest(carry) or carry
        n, size = carry.state.v.shape[-1], carry.state.v.dtype.itemsize
        per_step = sum(len(r.paths) * r.cells.size * size / r.every for r in self.records)
        pace = Pace(checkpoints.every, int(SAMPLE_BYTES / per_step) if per_step else LAST_STEP)
        total = n * (self.end - self.first)
        while (here := int(carry.state.step)) < self.end:
            target, before = min(self.end, here + pace.next()), n * (here - self.first)
            run = self.make(carry, target)
            run.go(progress and (lambda done, _, before=before: progress(before + done, total)))
            on_disk = self._on_disk(checkpoints)
            for r in self.records:
                row = len(samples_between(r.every, self.first, here)) if here > self.first else 0
                for path in r.paths:
                    rows = run.buffers[r.prefix, path]
                    on_disk[r.prefix, path][row : row + len(rows)] = rows
            for array in on_disk.values():
                array.flush()
            del on_disk  # unmapped, so that what was written does not stay in memory
            carry, self.threads, self.refresh = run.final, run.threads, run.refresh
            checkpoints.write(carry)
            pace.done(target - here)
        self.final, self.samples = carry.state, dict(self._on_disk(checkpoints))
        self.folds = {name: self.measures[name].kept(fold) for name, fold in carry.folds.items()}

    def _on_disk(self, checkpoints: Checkpoints) -> dict[tuple[str, str], np.memmap]:
        """The arrays of samples, by (record's prefix, path)."""
        found: dict[tuple[str, str], np.memmap] = {}
        for r in self.records:
            shape = (len(samples_between(r.every, self.first, self.end)), r.cells.size)
            for path in r.paths:
                found[r.prefix, path] = checkpoints.samples(len(found), shape, self.final.v.dtype)
        return found

    def _run(self, end: int, progress: Progress) -> PopulationRun:
        run = self.make(self.final, end)
        run.go(progress)
        self.final, self.threads = run.final, run.threads
        return run

    def traces(self, known: dict[str, tuple[str, str]], dt: float) -> dict[str, Trace]:
        """What was recorded; a failed cell went back to the start of its last interval, and what it was since is no result."""
        found, failed = {}, np.asarray(self.final.failed_at)
        last_good = np.where(failed >= 0, (failed - 1) // self.refresh * self.refresh, LAST_STEP)
        for r in self.records:
            steps = samples_between(r.every, self.first, self.end)
            for path in r.paths:
                values = self.samples[r.prefix, path]
                for column in np.flatnonzero(failed[r.cells] >= 0):
                    values[np.searchsorted(steps, last_good[r.cells[column]], side="right") :, column] = np.nan
                found[r.prefix + path] = Trace(values, steps * dt, r.cells, *known[path])
        return found

    def close(self, keep: bool) -> None:
        """The result has been taken; checkpoints are let go."""
        if self.checkpoints is not None and not keep:
            self.checkpoints.remove()
