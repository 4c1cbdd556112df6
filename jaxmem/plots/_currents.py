"""Currents of ions and mechanisms."""

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmem.engine.simulation import Simulation
from jaxmem.plots import _data as data
from jaxmem.plots import _style as style
from jaxmem.plots._style import finish, label, new_figure, number, styled, symbol, time_axis
from jaxmem.plots._voltage import Cells, Window, cell_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def currents(
    simulation: Simulation, *, cells: Cells = None, window: Window = None, title: str | None = None
) -> "Figure":
    """Current of each ion and of each mechanism that carries it, outward positive, a row per ion, a column per cell.

    ``cells``: up to 3 cells (default: one that stands for those that spiked). ``window``: (from, to) in ms. A row in
    which spikes would hide everything else is linear around zero and logarithmic beyond. Raises ValueError where no
    current was recorded.
    """
    every = {ion: _paths(simulation, ion) for ion in data.flowing_ions(simulation)}
    paths = {ion: rows for ion, rows in every.items() if rows}
    available = data.recorded_cells(simulation, [p for rows in paths.values() for p in rows.values()])
    if not available.size:
        data.need("this figure shows currents, which were not recorded", '"currents"')
    chosen = data.examples(simulation, available, 0, 1) if cells is None else data.check_cells(cells, available, 3)
    figure = new_figure(2.6 + 4.4 * len(chosen), 1.85 * len(paths) + 0.6)
    grid = figure.subplots(len(paths), len(chosen), sharex=True, sharey="row", squeeze=False)
    named = [m for m in simulation.membrane.order if any(m in rows for rows in paths.values())]
    lines = {
        (ion, cell): {name: data.line(simulation, path, cell, window) for name, path in rows.items()}
        for ion, rows in paths.items()
        for cell in chosen
    }
    bent: dict[float, list[str]] = {}
    for axes, ion in zip(grid, paths, strict=True):
        shown = symbol(ion, simulation.membrane.species[ion].valence)
        for ax, cell in zip(axes, chosen, strict=True):
            ax.axhline(0, color=style.BLACK, linewidth=0.7)
            for name, (time, current, _) in lines[ion, cell].items():
                factor, time_label = time_axis(time[-1] - time[0])
                colour = style.BLACK if name == "sum" else style.CYCLE[named.index(name) % len(style.CYCLE)]
                at, y = style.thinned(time, current)
                ax.plot(at * factor, y, label=name, color=colour, **_stroke(name))
            ax.margins(x=0)
            axes[0].set_ylabel(label(f"{shown} current", "uA/cm^2"))
        limits = [x for cell in chosen if (x := _linear_part(lines[ion, cell])) is not None]
        if limits:
            bent.setdefault(min(limits), []).append(shown)
            for ax in axes:
                _symmetric_logarithm(ax, min(limits))
        axes[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.4)
    for ax, cell in zip(grid[0], chosen, strict=True):
        if data.cell_number(simulation) > 1:
            ax.set_title(cell_name(simulation, cell).replace("\n", ": "))
    for ax in grid[-1]:
        ax.set_xlabel(time_label)
    figure.align_ylabels(grid[:, 0])
    told = [data.census(simulation), "Outward current is positive."]
    told += [f"{' and '.join(who)}: linear within ±{number(x)} µA/cm², logarithmic beyond." for x, who in bent.items()]
    told += [_at_start(simulation, list(paths), cell, window) for cell in chosen]
    return finish(figure, title, " ".join(filter(None, told)))


def _stroke(name: str) -> dict[str, Any]:
    """The sum lies behind its parts, so that none hides another."""
    return {"linewidth": 3.0, "alpha": 0.25, "zorder": 1.5} if name == "sum" else {"linewidth": 1.0}


def _paths(simulation: Simulation, ion: str) -> dict[str, str]:
    """Name -> path of the lines of an ion: its mechanisms and, where there are several, their sum."""
    parts = {m: f"{m}.i_{ion}" for m in data.mechanisms_of(simulation, ion)}
    whole = {"sum": f"i_{ion}"} if len(parts) != 1 and data.traces_of(simulation, f"i_{ion}") else {}
    return whole | parts


def _linear_part(drawn: dict[str, data.Line]) -> float | None:
    """Where the scale of a row gives way from logarithmic to linear: at the size of the currents that stand.

    None where a linear scale shows all: a single mechanism, or no peak that towers over what stands.
    """
    parts = [np.abs(y[np.isfinite(y)]) for name, (_, y, _) in drawn.items() if name != "sum"]
    parts = [y for y in parts if y.size]
    if len(parts) < 2:
        return None
    standing, peak = max(float(np.median(y)) for y in parts), max(float(y.max()) for y in parts)
    return float(10 ** np.floor(np.log10(standing))) if peak > 30 * standing > 0 else None


def _symmetric_logarithm(ax: "Axes", linear: float) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    ax.set_yscale("symlog", linthresh=linear, linscale=1.0)
    low, high = ax.get_ylim()
    powers = np.arange(9)
    if np.sum(linear * 10.0**powers <= max(high, -low)) > 4:
        powers = powers[::2]
    decades = linear * 10.0**powers
    ax.yaxis.set_major_locator(FixedLocator([t for t in (*-decades[::-1], 0.0, *decades) if low <= t <= high]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda x, _: number(x)))


def _at_start(simulation: Simulation, ions: list[str], cell: int, window: Window) -> str:
    """The net current of each ion at the first sample: at a true rest it is zero."""
    told = []
    for ion in ions:
        if cell in data.recorded_cells(simulation, [f"i_{ion}"]):
            first = data.line(simulation, f"i_{ion}", cell, window)[1][0]
            told.append(f"{symbol(ion, simulation.membrane.species[ion].valence)} {number(first, 2)}")
    who = "Net" if data.cell_number(simulation) == 1 else f"Cell {cell}, net"
    return f"{who} at the first sample: {', '.join(told)} µA/cm²." if told else ""
