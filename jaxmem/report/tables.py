"""What came of a run, in tables that a physiologist can read on a terminal. Uses rich, and JAX not at all."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from jaxmem.units import pretty

if TYPE_CHECKING:
    from jaxmem.engine.simulation import Simulation
    from jaxmem.study.fits import Fits
    from jaxmem.study.rests import Rests

STILL = 0.1  # mV/min: a cell that drifts more before the stimulus did not stand still
LOOSE = 1e-3  # of the charge that moved: an audit above this casts doubt on the run

_NAMES = {
    "resting_potential": "resting potential",
    "drift": "drift before the stimulus",
    "spike_count": "spikes",
    "firing_rate": "firing rate in the stimulus",
    "first_spike_time": "first spike",
    "minimum_v": "lowest voltage",
    "maximum_v": "highest voltage",
    "mean_v": "mean voltage",
    "final_v": "voltage at the end",
    "atp": "ATP use",
    "atp_per_spike": "ATP per spike",
    "atp_per_second": "ATP per second and cell",
    "pump_current": "net pump current",
    "power": "power of that ATP at 50 kJ/mol",
    "isi_mean": "interspike interval",
    "isi_first": "first interspike interval",
    "isi_cv": "CV of the intervals",
    "latency": "latency of the first spike",
}
_SYMBOLS = {"na": "Na⁺", "k": "K⁺", "cl": "Cl⁻", "ca": "Ca²⁺", "mg": "Mg²⁺", "hco3": "HCO₃⁻", "h": "H⁺"}


@dataclasses.dataclass(frozen=True)
class Row:
    """A quantity over the cells: NaN where a cell has none."""

    name: str
    unit: str
    values: np.ndarray
    note: str = ""


def of(simulation: "Simulation") -> RenderableType:
    """Fates, measures and concentrations, audit and speed of a run."""
    named = [groups(simulation), Text()] if simulation.labels else []
    return Group(
        fates(simulation), Text(), *named, quantities(rows(simulation)), Text(), audit(simulation), speed(simulation)
    )


def fates(simulation: "Simulation") -> RenderableType:
    """How many cells stayed silent, spiked, failed and why."""
    status = np.atleast_1d(simulation.status)
    total, ok = status.size, status == 0
    counted = simulation.measured.get("spike_count")
    table = Table(
        box=None,
        show_header=False,
        padding=(0, 1),
        title=f"{total:,} cell{'s' if total > 1 else ''}",
        title_justify="left",
        title_style="bold",
    )
    table.add_column(justify="right")
    table.add_column(justify="right")
    table.add_column()

    def line(count: int, what: str) -> None:
        table.add_row(f"{count:,}", f"{count / total:.1%}", what)

    if counted is None:
        line(int(ok.sum()), "ran to the end (add 'spike_count' to the measures to see which of them spiked)")
    else:
        spikes = np.atleast_1d(counted.values)
        line(int((ok & (spikes == 0)).sum()), "stayed silent")
        line(int((ok & (spikes > 0)).sum()), "spiked")
    for reason, count in simulation.failures.items():
        line(count, f"failed: {reason}")
    if not simulation.failures:
        line(0, "failed")
    return table


def rests(found: "Rests") -> RenderableType:
    """How many cells came to rest and where, with which ions, at what cost."""
    from jaxmem.analysis.stability import Stability
    from jaxmem.membrane.state import Status

    status = found["status"]
    table = Table(
        box=None,
        show_header=False,
        padding=(0, 1),
        title=f"{status.size:,} cell{'s' if status.size > 1 else ''}",
        title_justify="left",
        title_style="bold",
    )
    table.add_column(justify="right")
    table.add_column(justify="right")
    table.add_column()
    for code in Status:
        if code == Status.OK or np.any(status == code):
            count = int(np.sum(status == code))
            what = "came to rest" if code == Status.OK else f"have none: {code.reason}"
            table.add_row(f"{count:,}", _share(count, status.size), what)
    shown = [Row("resting potential", "mV", found["v"])]
    shown += [Row(_pool(path), "mM", found[path]) for path in found.ions]
    shown += [
        Row(_NAMES.get(name, name.replace("_", " ")), v.unit, v.values)
        for name, v in found.variables.items()
        if name in ("input_resistance", "time_constant", "pump_current", "atp_per_second", "power")
    ]
    how = found["stability"][found.resting]
    kinds = ", ".join(f"{int(np.sum(how == s)):,} {s.name.lower()}" for s in Stability if np.any(how == s))
    left = found["residual"][found.resting]
    worst = f"Largest current left in a resting cell: {left.max():.1e} µA/cm²" if left.size else "No cell rests"
    return Group(table, Text(), quantities(shown), Text(), Text(f"Stability: {kinds or '-'}"), Text(worst))


def fits(found: "Fits", most: int = 12) -> RenderableType:
    """What became of the fits, how well targets are met, what came out and how sure it is; who was left out, at ``most``."""
    from jaxmem.study import fit_summary
    from jaxmem.study.fits import CONVERGED, LEFT_OUT

    status, n = found["status"][:, found.fitted], int(found.fitted.sum())
    title = f"{n:,} cell{'s' if n != 1 else ''} fitted{f', {found.starts:,} starts each' if found.starts > 1 else ''}"
    table = Table(box=None, show_header=False, padding=(0, 1), title=title, title_justify="left", title_style="bold")
    for side in ("right", "right", "left"):
        table.add_column(justify=side)  # type: ignore[arg-type]
    for code, (name, reason) in found.statuses.items():
        if code != LEFT_OUT and (code == CONVERGED or np.any(status == code)):
            count = int(np.sum(status == code))
            table.add_row(f"{count:,}", _share(count, status.size), f"{name.lower().replace('_', ' ')}: {reason}")
    parts: list[RenderableType] = [table]
    if found.starts > 1:
        reached = int(np.sum((status == CONVERGED).any(0)))
        parts.append(
            Text(f"{reached:,} of {n:,} cells meet their targets from some start; below, the best start of each")
        )
    met = _grid("target", "measured in", "typical misfit", "largest", "in sd")
    for t in fit_summary.targets(found):
        off = [f"{x:.2g} {pretty(t.unit)}".strip() if np.isfinite(x) else "-" for x in (t.typical, t.largest)]
        met.add_row(t.told, f"{t.measured:,}", *off, f"{t.in_sd:.2g}" if np.isfinite(t.in_sd) else "-")
    came = _grid("parameter", "median", "5 to 95 %", "", "standard error", "identified", "at a bound", "over starts")
    for p in fit_summary.parameters(found):
        wide = lambda x, sign, p=p: "-" if x is None else f"{sign} {np.exp(x):.3g}" if p.logarithmic else f"± {x:.3g}"
        counts = ["" if x is None else f"{x:,}" for x in (p.identified, p.at_bound)]
        middle = f"{number(p.low)} … {number(p.high)}" if n > 1 else ""
        sure = [wide(p.error, "×/÷"), *counts, wide(p.over_starts, "factor")]
        came.add_row(p.path, number(p.median), middle, pretty(p.unit), *sure)
    parts += [Text(), met, Text(), came]
    if found.words:
        parts += [
            Text(),
            Text("Targets that are missed, and what targets say of the parameters", style="bold"),
            *map(Text, found.words),
        ]
    if found.excluded:
        shown, total = list(found.excluded.items())[:most], len(found.excluded)
        parts += [Text(), Text(f"{total:,} of {len(found.names):,} cells could not be fitted", style="bold")]
        parts += [Text(f"{found.names[i]}: {why}") for i, why in shown]
        parts += [Text(f"and {total - most:,} more, see left_out in the file")] * (total > most)
    return Group(*parts)


def _grid(first: str, *others: str) -> Table:
    """A table with numbers under all headings but the first."""
    table = Table(box=None, padding=(0, 1), header_style="bold", pad_edge=False)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    return table


def _share(count: int, of: int) -> str:
    """A percentage in which a few are not none, and all but a few are not all."""
    if 0 < count < 5e-4 * of:
        return "<0.1%"
    return ">99.9%" if 0 < of - count < 5e-4 * of else f"{count / of:.1%}"


def groups(simulation: "Simulation") -> RenderableType:
    """How many cells have which label, and how many of those spiked or failed."""
    status = np.atleast_1d(simulation.status)
    counted = simulation.measured.get("spike_count")
    table = Table(box=None, padding=(0, 1), header_style="bold", pad_edge=False)
    for column in ("", "cells", "spiked", "failed"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for known in simulation.labels.values():
        for i, name in enumerate(known.names):
            mine = known.values == i
            spiked = "-" if counted is None else f"{int((np.atleast_1d(counted.values)[mine] > 0).sum()):,}"
            table.add_row(name, f"{int(mine.sum()):,}", spiked, f"{int((status[mine] != 0).sum()):,}")
    return table


def rows(simulation: "Simulation") -> list[Row]:
    """Every measure, with the concentrations that the run began with before their changes."""
    found, told = [], False
    for name, m in simulation.measured.items():
        values = np.atleast_1d(m.values)
        if name.startswith("concentration_change"):
            if not told:
                found += [Row(f"{_pool(pool)} at start", "mM", x) for pool, x in _start(simulation).items()]
                told = True
            _, _, pool = name.partition(".")
            found.append(Row(f"{_pool(pool)}, change", m.unit, values))
            continue
        if np.ndim(m.values) > np.ndim(simulation.status):  # several entries per cell
            each, shown = np.reshape(m.values, (len(m.values), -1)), _NAMES.get(name, name.replace("_", " "))
            found.append(Row(f"{shown}, how many", "1", np.isfinite(each).sum(0).astype(float)))
            found.append(Row(f"{shown}, the first", m.unit, each[0]))
            continue
        note = ""
        if name == "drift":
            ran = np.isfinite(values)
            note = f"{int((abs(values[ran]) > STILL).sum()):,} of {int(ran.sum()):,} cells above {STILL:g} mV/min"
        elif name == "first_spike_time" and values.size > 1:
            note = f"of the {int(np.isfinite(values).sum()):,} cells that spiked"
        found.append(Row(_NAMES.get(name, name.replace("_", " ")), m.unit, values, note))
    return found


def _start(simulation: "Simulation") -> dict[str, np.ndarray]:
    """Dynamic concentrations at the start, of the cells that ran."""
    env = simulation.membrane.environment(simulation.initial_state.book)
    status = np.atleast_1d(simulation.status)
    whole = lambda x: np.where(status == 0, np.broadcast_to(np.asarray(x, float), status.shape), np.nan)
    return {f"{name}.{side}": whole(getattr(env, side)[name]) for name, side in simulation.membrane.pools()}


def _pool(path: str) -> str:
    name, _, side = path.partition(".")
    return f"{_SYMBOLS.get(name, name)} {side}"


def quantities(given: Sequence[Row]) -> RenderableType:
    """A row per quantity: median and 5-95 % over the cells that have it."""
    many = any(row.values.size > 1 for row in given)
    table = Table(box=None, padding=(0, 1), header_style="bold", pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("median" if many else "value", justify="right", no_wrap=True)
    if many:
        table.add_column("5 to 95 %", justify="center", no_wrap=True)
    table.add_column("unit")
    notes = []
    for row in given:
        good = row.values[np.isfinite(row.values)]
        low, middle, high = np.quantile(good, (0.05, 0.5, 0.95)) if good.size else (np.nan,) * 3
        cells = [row.name, number(middle)]
        if many:
            cells.append(f"{number(low)} … {number(high)}" if good.size else "")
        table.add_row(*cells, pretty(row.unit))
        if row.note:
            notes.append(Text(f"{row.name}: {row.note}"))
    return Group(table, *notes)


def number(x: float) -> str:
    """Four significant digits, three of a small number; "-" where there is nothing."""
    if not np.isfinite(x):
        return "-"
    return f"{x:.4g}" if abs(x) >= 10 else f"{x:.3g}"


def audit(simulation: "Simulation") -> Text:
    """Whether the books close, in the worst cell."""
    charge, mass = simulation.audit.worst_charge, simulation.audit.worst_mass
    text = Text(f"Books: charge closes to {charge:.1e} of what moved, amounts to {mass:.1e} (worst cell)")
    if max(charge, mass) > LOOSE:
        text.append("; that is poor: take a smaller dt", style="bold red")
    return text


def speed(simulation: "Simulation") -> Text:
    """How much was computed, how fast, on what."""
    info, n = simulation.info, np.atleast_1d(simulation.status).size
    steps = n * round(simulation.duration / simulation.dt)
    where = f"{info['device']}, {info['threads']} thread{'s' if info['threads'] > 1 else ''}, {simulation.precision}"
    rate = many(info["cell_steps_per_second"])
    return Text(
        f"Speed: {many(steps)} cell-steps in {info['seconds']:.1f} s, {rate} per second, compiling included ({where})"
    )


def many(x: float) -> str:
    """A large number in words."""
    for word, unit in (("billion", 1e9), ("million", 1e6), ("thousand", 1e3)):
        if x >= unit:
            return f"{x / unit:.3g} {word}"
    return f"{x:.3g}"


def pairs(given: Mapping[str, Any]) -> RenderableType:
    """Names and values side by side."""
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in given.items():
        table.add_row(name, str(value))
    return table
