"""A run in stretches of time: one, or as many as there are checkpoints. Where it is cut changes no bit of it."""

from collections.abc import Callable

import jax
import numpy as np

from jaxmem.engine.checkpoint import Checkpoint, Checkpoints, Pace
from jaxmem.engine.interval import Carry
from jaxmem.engine.population_run import PopulationRun, samples_between
from jaxmem.engine.request import LAST_STEP, Asked
from jaxmem.engine.simulation import Trace

SAMPLE_BYTES = 64 * 2**20  # of one stretch, before they go to disk

Progress = Callable[[int, int], None] | None
MakeRun = Callable[[Carry, int], PopulationRun]  # from a carry to a step


class Stretches:
    """The cells from where ``carry`` stands to step ``end``. After :meth:`go`: ``final`` and :meth:`traces`."""

    def __init__(
        self, make: MakeRun, carry: Carry, end: int, records: list[Asked], checkpoint: Checkpoint | None, identity: str
    ):
        self.make, self.final, self.records = make, carry, records
        self.first, self.end = int(carry.state.step), end
        self.kept = None if checkpoint is None else Checkpoints(checkpoint, identity)
        self.samples: dict[tuple[str, str], np.ndarray] = {}
        self.threads = 1

    def go(self, progress: Progress) -> None:
        if self.kept is None:
            run = self._run(self.end, progress)
            self.samples = run.buffers
            return
        self.final = self.kept.latest(self.final) or self.final
        n, size = self.final.state.v.shape[-1], self.final.state.v.dtype.itemsize
        per_step = sum(len(r.paths) * r.cells.size * size / r.every for r in self.records)
        pace = Pace(self.kept.every, int(SAMPLE_BYTES / per_step) if per_step else LAST_STEP)
        total = n * (self.end - self.first)
        while (here := int(self.final.state.step)) < self.end:
            target = min(self.end, here + pace.next())
            before = n * (here - self.first)
            run = self._run(target, progress and (lambda done, _, before=before: progress(before + done, total)))
            on_disk = self._on_disk(self.kept)
            for r in self.records:
                row = len(samples_between(r.every, self.first, here)) if here > self.first else 0
                for path in r.paths:
                    rows = run.buffers[r.prefix, path]
                    on_disk[r.prefix, path][row : row + len(rows)] = rows
            for array in on_disk.values():
                array.flush()
            del on_disk  # unmapped, so that what was written does not stay in memory
            self.kept.write(self.final)
            pace.done(target - here)
        self.samples = dict(self._on_disk(self.kept))

    def _on_disk(self, kept: Checkpoints) -> dict[tuple[str, str], np.memmap]:
        """The arrays of samples, by (record's prefix, path)."""
        found: dict[tuple[str, str], np.memmap] = {}
        for r in self.records:
            shape = (len(samples_between(r.every, self.first, self.end)), r.cells.size)
            for path in r.paths:
                found[r.prefix, path] = kept.samples(len(found), shape, self.final.state.v.dtype)
        return found

    def _run(self, end: int, progress: Progress) -> PopulationRun:
        run = self.make(self.final, end)
        run.go(progress)
        self.final, self.threads = run.final, run.threads
        return run

    def traces(self, known: dict[str, tuple[str, str]], dt: float, refresh: int) -> dict[str, Trace]:
        """What was recorded; a failed cell went back to the start of its last interval, and what it was since is no result."""
        found, failed = {}, np.asarray(self.final.state.failed_at)
        last_good = np.where(failed >= 0, (failed - 1) // refresh * refresh, LAST_STEP)
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
        if self.kept is not None and not keep:
            self.kept.remove()


def host(carry: Carry) -> Carry:
    """The same numbers as NumPy arrays."""
    return jax.tree.map(np.asarray, carry)
