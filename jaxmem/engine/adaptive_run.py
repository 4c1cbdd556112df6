"""A population under the adaptive integrator: blocks of one width, each from row to row of samples, and the states after."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.engine.adaptive import Adaptive
from jaxmem.engine.adaptive_loop import Lane, Rule, compiled
from jaxmem.engine.adaptive_measures import Seen, Watched
from jaxmem.engine.adaptive_step import flat
from jaxmem.engine.adaptive_watch import Curve, Watch, Windows
from jaxmem.engine.population_run import PopulationRun, samples_between
from jaxmem.engine.request import Asked, Execution
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.state import Point, Snapshot, State, Status
from jaxmem.rig.protocol import Protocol

LANES = 64  # cells of a block, also for one cell: a cell's bits do not depend on its company
ROWS = 256  # of samples in one call
TRIES = 400  # attempted steps in one call, so that progress and Ctrl-C are prompt
NEAR = 1e-9  # ms: edges closer than this are one


class AdaptiveRun(PopulationRun):
    """As :class:`PopulationRun`; ``seen`` holds what the measures are answered from."""

    def __init__(
        self,
        membrane: Membrane,
        protocol: Protocol,
        state: State,
        measures: dict[str, Watched],
        records: list[Asked],
        dtype: Any,
        dt: float,
        end: int,
        device: Any,
        execution: Execution,
        method: Adaptive,
    ) -> None:
        if state.v.ndim != 1:
            raise ValueError("the adaptive integrator takes cells, not compartments of cells; choose fixed steps")
        _look(membrane, protocol, state)
        super().__init__(
            membrane, protocol, state, {}, records, dtype, dt, end, device, execution, method  # type: ignore[arg-type]
        )  # fmt: skip
        self.names = list(measures)
        self.width, self.refresh, self.rule = LANES, 1, Rule.of(method, dtype)
        self.windows = tuple(dict.fromkeys(m.span for m in measures.values()))
        self.room = max([1, *(m.count for m in measures.values())])
        self.edges = _edges(protocol, self.n, self.first * dt, end * dt)
        example = Watch.of(jnp.zeros(self.n, dtype), len(self.windows), self.room)
        self.watch = jax.tree.map(lambda x: np.array(x), example)

    def go(self, progress: Callable[[int, int], None] | None) -> None:
        super().go(progress)
        self.folds = dict.fromkeys(self.names, self.seen)

    def _block(self, records: list[Asked], cells: np.ndarray) -> None:
        index = np.concatenate([cells, np.full(self.width - cells.size, cells[-1])])
        leaves = [x[..., index] if mine else x for x, mine in self.leaves]
        membrane, state, protocol = jax.tree.unflatten(self.structure, leaves)
        paths = tuple(dict.fromkeys(p for r in records for p in r.paths))
        steps = (
            np.unique(np.concatenate([samples_between(r.every, self.first, self.end) for r in records]))
            if records
            else np.array([], int)
        )
        rows = steps if steps.size and steps[-1] == self.end else np.append(steps, self.end)
        edges = self._pair(self.edges[index])
        windows = np.array(self.windows, float).reshape(-1, 2)
        room = ROWS if paths else 1
        with jax.default_device(self.device):
            advance = compiled(paths)
            look_at = Windows(self._pair(windows[:, 0]), self._pair(windows[:, 1]))
            lane, told = self._begin(state), 0.0
            for at in range(0, rows.size, room):
                due = rows[at : at + room]
                times = self._pair(np.concatenate([due, np.full(room - due.size, self.end)]) * self.dt)
                samples = {p: jnp.full((room, self.width), jnp.nan, self.dtype) for p in paths}
                row = 0
                while row < due.size:
                    if self.stop.is_set():
                        return
                    lane, row, samples = advance(
                        membrane, protocol, lane, edges, look_at, self.rule, times, np.int32(due.size),
                        np.int32(row), np.int32(TRIES), samples,
                    )  # fmt: skip
                    row = int(row)
                    told = self._tell(lane, cells.size, told)
                found = {p: np.asarray(x)[: due.size] for p, x in samples.items()}
                mine = np.isin(due, steps)
                if mine.any():
                    self._keep(records, cells, due[mine], {p: x[mine] for p, x in found.items()})
        with self.lock:
            self.done += round(cells.size * (self.end - self.first) - told)
        self._end(state, lane, cells)

    def _begin(self, state: State) -> Lane:
        low = {k: state.total_low[k] + state.pending[k] for k in state.total}
        total: Any = {k: np.asarray(x + low[k]) for k, x in state.total.items()}
        point = Point(state.v + state.v_low, state.states, total)
        like: Any = np.zeros(self.width, self.dtype)
        whole: Any = np.zeros(self.width, np.int32)
        begun = self._pair(np.full(self.width, self.first * self.dt))
        here: Any = np.asarray(jnp.moveaxis(flat(jax.tree.map(jnp.asarray, point)), 0, -1))
        still: Any = np.zeros_like(here)
        return Lane(
            time=begun, edge=whole, h=like, resume=like, memory=(like + 1, like + 1),
            v=state.v, v_low=state.v_low, states=state.states, total=total,
            total_low={k: low[k] - (total[k] - x) for k, x in state.total.items()},
            curve=Curve(begun, like + 1, here, still, still, still),
            watch=Watch.of(jnp.asarray(state.v), len(self.windows), self.room),
            tries=whole, status=state.status,
        )  # fmt: skip

    def _end(self, before: State, lane: Lane, cells: np.ndarray) -> None:
        """Collocated, the books closed at the end of the run, as another integrator can go on from it."""
        lane = jax.tree.map(np.asarray, lane)
        when = np.asarray(lane.time[0], float) + np.asarray(lane.time[1], float)
        failed = (lane.status != Status.OK) & (before.status == Status.OK)
        failed_at = np.where(failed, np.ceil(when / self.dt - 1e-9), before.failed_at).astype(np.int32)
        none: Any = {k: np.zeros_like(x) for k, x in lane.total.items()}
        last: Any = {k: np.zeros_like(x) for k, x in before.last.items()}
        state = State(
            v=lane.v, v_low=lane.v_low, states=lane.states, pending=none, total=lane.total, total_low=lane.total_low,
            trend=none, last=last, start=Snapshot(lane.v, lane.v_low, lane.states, last, before.rig), status=lane.status,
            failed_at=failed_at, step=np.int32(self.end), lag=before.lag, cell=before.cell, rig=before.rig, exchanged=True,
        )  # fmt: skip
        with self.lock:
            for out, x, mine in zip(*map(jax.tree.leaves, (self.final, state, self.axes)), strict=True):
                if mine:
                    out[..., cells] = x[..., : cells.size]
            self.final = State(**{**vars(self.final), "step": np.int32(self.end), "lag": before.lag})
            for out, x in zip(*map(jax.tree.leaves, (self.watch, lane.watch)), strict=True):
                out[cells] = x[: cells.size]

    @property
    def seen(self) -> Seen:
        final = np.asarray(self.final.v, float) + np.asarray(self.final.v_low, float)
        return Seen.of(self.watch, final, self.windows)

    def _pair(self, times: np.ndarray) -> Any:
        """ms, and what rounding leaves out."""
        high = np.asarray(times, self.dtype)
        return high, np.asarray(np.where(np.isfinite(high), times - high.astype(float), 0), self.dtype)

    def _tell(self, lane: Lane, cells: int, told: float) -> float:
        """Progress, in cell-steps of the grid."""
        passed = (np.asarray(lane.time[0], float)[:cells] / self.dt - self.first).sum()
        with self.lock:
            self.done += int(passed - told)
        return told + int(passed - told)


def _look(membrane: Membrane, protocol: Protocol, state: State) -> None:
    """A stimulus that has no value at a time refuses here, before anything is compiled."""
    jax.eval_shape(lambda p, v: p.stimulus.at(jnp.zeros_like(v), v), protocol, jnp.asarray(state.v))


def _edges(protocol: Protocol, n: int, first: float, last: float) -> np.ndarray:
    """(cells, edges) in ms: the start of the run, every edge of each cell in order, and the end, repeated."""
    given = [*protocol.stimulus.edges, *(e for change in protocol.changes for e in change.edges)]
    columns = [np.broadcast_to(np.asarray(x, float), (n,)) for x in given]
    found = np.stack([np.full(n, first), *columns, np.full(n, last)], 1)
    found = np.sort(np.clip(np.where(np.isnan(found), last, found), first, last), 1)
    again = np.diff(found, axis=1, prepend=-np.inf) <= NEAR
    found = np.where(again | (found > last - NEAR), np.inf, found)
    found = np.minimum(np.sort(found, 1), last)
    wanted = 1 << int(np.ceil(np.log2(found.shape[1] + 1)))  # few shapes, few programs
    return np.concatenate([found, np.full((n, wanted - found.shape[1]), last)], 1)
