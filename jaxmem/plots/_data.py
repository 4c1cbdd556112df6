"""What figures are drawn from: traces by variable and cell, what became of each cell, which parameters vary."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import NoReturn

import jax.numpy as jnp
import numpy as np

from jaxmem.engine.simulation import Measured, Simulation, Trace
from jaxmem.membrane.mechanism import Current
from jaxmem.membrane.parameters import Parameter, declared, path_error, select
from jaxmem.membrane.state import Status
from jaxmem.plots._style import FAILED, SILENT, SPIKED, UNKNOWN, in_order, number, symbol
from jaxmem.rig.drive import Moment

COUNTS = ("spike_count", "firing_rate")  # measures whose zero means silence


def cell_number(simulation: Simulation) -> int:
    return int(np.size(simulation.status))


# ---------------------------------------------------------------------- what became of each cell
@dataclasses.dataclass(frozen=True)
class Fates:
    """Masks over the cells. ``known`` is False where nothing measured tells silent cells from those that spiked."""

    silent: np.ndarray
    spiked: np.ndarray
    failed: np.ndarray
    known: bool

    def word(self, cell: int) -> str:
        return "failed" if self.failed[cell] else "silent" if self.silent[cell] else "spiked" if self.known else ""

    def colour(self, cell: int) -> str:
        return {"failed": FAILED, "silent": SILENT, "spiked": SPIKED, "": UNKNOWN}[self.word(cell)]


def fates(simulation: Simulation) -> Fates:
    """Silent, spiked and failed cells: by a measure, or by the recorded voltages where those are of all cells."""
    failed = np.atleast_1d(simulation.status) != Status.OK
    spiked, known = np.zeros(failed.shape, bool), True
    by_measure = [m for name in (*COUNTS, "maximum_v") if (m := simulation.measured.get(name)) is not None]
    v = next((t for t in traces_of(simulation, "v") if t.cells.size == failed.size), None)
    if by_measure:
        spiked = np.nan_to_num(np.atleast_1d(by_measure[0].values)) > 0
    elif v is not None:
        values = v.values.reshape(v.time.size, -1)
        spiked[v.cells] = np.any((values[1:] >= 0) & (values[:-1] < 0), axis=0)
    else:
        known = False
    return Fates(known & ~spiked & ~failed, known & spiked & ~failed, failed, known)


def census(simulation: Simulation) -> str:
    """How many cells, and what became of them: "500 cells: 153 silent, 341 spiked, 6 failed (reason)."."""
    n, f = cell_number(simulation), fates(simulation)
    short = {reason.split(" (")[0]: k for reason, k in simulation.failures.items()}
    reasons = next(iter(short)) if len(short) == 1 else "; ".join(f"{reason}: {k:,}" for reason, k in short.items())
    if n == 1:
        return f"One cell{f', {f.word(0)}' if f.word(0) else ''}{f' ({reasons})' if reasons else ''}."
    parts = [f"{f.silent.sum():,} silent", f"{f.spiked.sum():,} spiked"] if f.known else []
    parts.append(f"{f.failed.sum():,} failed{f' ({reasons})' if reasons else ''}")
    return f"{n:,} cells: {', '.join(parts)}."


def median_and_range(values: np.ndarray, unit: str) -> tuple[str, str]:
    """("−70.02 mV", "5–95 %: −80.48 to −59.29") of the finite values."""
    low, middle, high = np.percentile(values[np.isfinite(values)], [5, 50, 95])
    return f"{number(middle)}{f' {unit}' if unit else ''}", f"5–95\u00a0%: {number(low)}\u00a0to\u00a0{number(high)}"


# ---------------------------------------------------------------------- traces
def traces_of(simulation: Simulation, path: str) -> list[Trace]:
    """All records of a variable, those without a name first."""
    names = {*simulation.membrane.mechanisms, *simulation.membrane.species}
    found = [simulation.recorded[path]] if path in simulation.recorded else []
    for key, trace in simulation.recorded.items():
        record, _, variable = key.partition(".")
        if variable == path and record not in names:
            found.append(trace)
    return found


def recorded_cells(simulation: Simulation, paths: Iterable[str]) -> np.ndarray:
    """The cells of which every one of these variables is recorded."""
    sets = [{int(c) for t in traces_of(simulation, p) for c in t.cells} for p in paths]
    return np.array(sorted(set.intersection(*sets)) if sets else [], int)


Line = tuple[np.ndarray, np.ndarray, str]


def line(simulation: Simulation, path: str, cell: int, window: tuple[float, float] | None = None) -> Line:
    """(time in ms, values, unit) of a recorded variable of one cell, within ``window`` (ms)."""
    trace = next(t for t in traces_of(simulation, path) if cell in t.cells)
    values = trace.values.reshape(trace.time.size, -1)[:, int(np.flatnonzero(trace.cells == cell)[0])]
    time = np.asarray(trace.time, float)
    if window is None:
        return time, values, trace.unit
    inside = (time >= window[0]) & (time <= window[1])
    if inside.sum() < 2:
        raise ValueError(
            f"no samples between {window[0]:g} and {window[1]:g} ms; recorded is {time[0]:g} to {time[-1]:g} ms"
        )
    return time[inside], values[inside], trace.unit


def stimulus_line(simulation: Simulation, cell: int, window: tuple[float, float] | None = None) -> Line | None:
    """(time, values, unit) of the stimulus: as recorded, else from the stimulus itself where it does not depend on v.

    Of a voltage clamp whose current was not recorded it is the command, in mV.
    """
    for path in ("stimulus", "command"):
        if cell in recorded_cells(simulation, [path]):
            return line(simulation, path, cell, window)
    if simulation.stimulus is None:
        return None
    first, steps = int(simulation.initial_state.step), round(simulation.duration / simulation.dt)
    begin, end = (first, first + steps) if window is None else (round(t / simulation.dt) for t in window)
    step = np.unique(np.linspace(begin, end, min(end - begin + 1, 20_001)).astype(np.int32))
    mine = select(simulation.stimulus, cell).on_grid(simulation.dt)
    index = np.asarray(simulation.initial_state.cell)
    moment = Moment(
        jnp.asarray(step), jnp.asarray(simulation.dt), jnp.full(step.shape, index[cell] if index.ndim else index)
    )
    v = jnp.zeros(step.shape)
    memory = mine.begin(v, moment.cell)
    if "command" in simulation.stimulus.readings:
        command = mine.readings(moment, v, memory, 0.0)["command"]
        return step * simulation.dt, np.broadcast_to(np.asarray(command), step.shape), "mV"
    if memory:  # it goes on from step to step
        return None
    current, _ = mine.drive(moment, v, {})
    if not isinstance(current, Current) or np.any(np.asarray(current.slope) != 0):
        return None
    return step * simulation.dt, np.broadcast_to(np.asarray(current.value), step.shape), "uA/cm^2"


def check_cells(cells: int | Sequence[int], available: np.ndarray, most: int) -> list[int]:
    """The cells asked for, if they were recorded and are not too many for one figure; otherwise ValueError."""
    chosen = [int(c) for c in np.atleast_1d(np.asarray(cells)).ravel()]
    if missing := [c for c in chosen if c not in available]:
        shown = ", ".join(map(str, available[:12])) + (f", ... ({available.size} cells)" if available.size > 12 else "")
        raise ValueError(f"cell {missing[0]} has no such record; recorded are {shown}")
    if not chosen or len(chosen) > most:
        raise ValueError(f"this figure shows 1 to {most} cells; found {len(chosen)}")
    return chosen


def examples(simulation: Simulation, available: np.ndarray, silent: int, spiked: int, failed: int = 0) -> list[int]:
    """Cells that stand for the others: silent ones by their rest, spiking ones from few spikes to many.

    Where one kind is missing the other fills its place. Failed ones are taken only where they have a trace to show.
    """
    f = fates(simulation)
    late = np.nan_to_num(np.atleast_1d(simulation.failed_at)) > 0
    quiet = [int(c) for c in available if f.silent[c]]
    loud = [int(c) for c in available if not f.silent[c] and not f.failed[c]]
    broken = [int(c) for c in available if f.failed[c] and late[c]][:failed]
    a = min(len(quiet), max(silent, silent + spiked - len(loud)))
    b = min(len(loud), silent + spiked - a)
    found = _spread(quiet, _order(simulation, "resting_potential", "mean_v"), a)
    found += _spread(loud, _order(simulation, *COUNTS, "maximum_v"), b) + broken
    return found or [int(c) for c in available[: silent + spiked]]


def _order(simulation: Simulation, *names: str) -> np.ndarray:
    """The values of the first of these measures that there is."""
    found = [np.atleast_1d(simulation.measured[name].values) for name in names if name in simulation.measured]
    return found[0] if found else np.zeros(cell_number(simulation))


def _spread(cells: list[int], order: np.ndarray, k: int) -> list[int]:
    """k of the cells, evenly along their order."""
    ranked = sorted(cells, key=lambda c: (order[c], c))
    return [ranked[int((i + 0.5) / k * len(ranked))] for i in range(k)]


# ---------------------------------------------------------------------- measures and varied parameters
def measure(simulation: Simulation, name: str) -> Measured:
    """A measure by name, one value per cell (the first, where it has several); otherwise an error that says what there is."""
    if not simulation.measured:
        raise ValueError(f"nothing was measured: pass measures=[{name!r}] to the simulation")
    if name not in simulation.measured:
        raise path_error(name, list(simulation.measured), "measure in this simulation")
    found = simulation.measured[name]
    values = np.asarray(found.values, float)
    return dataclasses.replace(found, values=np.atleast_1d(values[0] if has_entries(simulation, name) else values))


def has_entries(simulation: Simulation, name: str) -> bool:
    """Whether a measure has several values per cell, such as spike times."""
    return np.ndim(simulation.measured[name].values) > np.ndim(simulation.status)


def varied(simulation: Simulation) -> dict[str, Parameter]:
    """Parameters that differ between cells, those of the stimulus too (``stimulus.amplitude``)."""
    found = {path: Parameter(p.value, p.unit, p.description) for path, p in simulation.membrane.parameters().items()}
    if simulation.stimulus is not None:
        found |= {
            f"stimulus.{path}": Parameter(x, d.unit, d.description) for path, x, d in declared(simulation.stimulus)
        }
    return {path: p for path, p in found.items() if np.ndim(p.value) == 1 and np.ptp(np.asarray(p.value, float)) > 0}


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rho over the pairs that are both finite; 0 where either does not vary."""
    both = np.isfinite(x) & np.isfinite(y)
    a, b = _ranks(x[both]), _ranks(y[both])
    return float(np.corrcoef(a, b)[0, 1]) if both.sum() > 2 and np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0


def _ranks(x: np.ndarray) -> np.ndarray:
    """Ranks, equal values sharing their mean rank."""
    _, place, count = np.unique(x, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place] if x.size else x


def by_correlation(simulation: Simulation, values: np.ndarray) -> dict[str, float]:
    """Varied parameters with their rank correlation with ``values``, the strongest first."""
    rho = {path: rank_correlation(np.asarray(p.value, float), values) for path, p in varied(simulation).items()}
    return dict(sorted(rho.items(), key=lambda item: -abs(item[1])))


# ---------------------------------------------------------------------- ions
def flowing_ions(simulation: Simulation) -> list[str]:
    """The ions that carried charge in this run, by its book; impermeant ones have no current and no say in v."""
    state, species = simulation.final_state, simulation.membrane.species
    moved = lambda name: any(np.any(np.asarray(book[name]) != 0) for book in (state.total, state.pending))
    return in_order(name for name, s in species.items() if s.valence and moved(name))


def pools_of(simulation: Simulation) -> list[str]:
    """Paths of the dynamic concentrations."""
    pools = simulation.membrane.pools()
    return [f"{name}.{side}" for ion in in_order({name for name, _ in pools}) for name, side in pools if name == ion]


def pool_name(simulation: Simulation, path: str) -> str:
    """A pool as people write it: "Na⁺ inside"."""
    name, _, side = path.partition(".")
    return f"{symbol(name, simulation.membrane.species[name].valence)} {side}"


def mechanisms_of(simulation: Simulation, ion: str) -> list[str]:
    """The mechanisms whose current of this ion is recorded, in the membrane's order."""
    return [m for m in simulation.membrane.order if traces_of(simulation, f"{m}.i_{ion}")]


def need(what: str, example: str) -> NoReturn:
    """The error of a kind that lacks its record."""
    raise ValueError(
        f"{what}; simulate with record=jm.Record({example}, every=0.5), or name it under traces in the experiment file"
    )
