"""The voltage of chosen cells with their stimulus."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmem.engine.simulation import Simulation
from jaxmem.plots import _data as data
from jaxmem.plots import _style as style
from jaxmem.plots._style import finish, label, new_figure, number, styled, time_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Cells = int | Sequence[int] | None
Window = tuple[float, float] | None


@styled
def voltage(
    simulation: Simulation, *, cells: Cells = None, window: Window = None, title: str | None = None
) -> "Figure":
    """Membrane potential against time, a row per cell, with the stimulus (of a voltage clamp: its command) below.

    ``cells``: up to 20 recorded cells (default: six that stand for the others). ``window``: (from, to) in ms.
    Raises ValueError where v, or a cell that was asked for, was not recorded.
    """
    available = data.recorded_cells(simulation, ["v"])
    if not available.size:
        data.need("this figure shows v, which was not recorded", '"v"')
    chosen = data.examples(simulation, available, 2, 3, 1) if cells is None else data.check_cells(cells, available, 20)
    figure = new_figure(7.5, 0.9 * len(chosen) + (2.0 if len(chosen) > 1 else 2.6))
    draw_voltages(figure, figure.add_gridspec(1, 1)[0], simulation, chosen, window)
    time = data.line(simulation, "v", chosen[0], window)[0]
    shown = "" if data.cell_number(simulation) == 1 else f" Shown: {len(chosen)} of {available.size:,} recorded."
    every = float(time[1] - time[0]) if time.size > 1 else simulation.duration
    cut = ", so peaks of spikes may be cut" if every > 0.1 and np.any(data.fates(simulation).spiked) else ""
    caption = f"{data.census(simulation)}{shown} v is sampled every {number(every)} ms{cut}. Dotted: 0 mV."
    return finish(figure, title, caption)


def draw_voltages(
    figure: "Figure", place: Any, simulation: Simulation, cells: Sequence[int], window: Window = None
) -> "Axes":
    """Rows of v with one scale and a strip of the stimulus below, in a place of a grid; returns the top row."""
    stimuli = {c: s for c in cells if (s := data.stimulus_line(simulation, c, window)) is not None}
    unit = next((u for _, _, u in stimuli.values()), "")
    shown = [(time, y) for time, y, u in stimuli.values() if u == unit]
    strip = any(np.any(y != 0) for _, y in shown) or unit == "mV"
    heights = [1.0] * len(cells) + [0.8 if len(cells) > 1 else 0.3] * strip
    rows = place.subgridspec(len(heights), 1, height_ratios=heights, hspace=0.04)
    fates = data.fates(simulation)
    axes: list[Axes] = []
    lines = [data.line(simulation, "v", c, window) for c in cells]
    factor, time_label = time_axis(lines[0][0][-1] - lines[0][0][0])
    for row, (cell, (time, v, _)) in enumerate(zip(cells, lines, strict=True)):
        ax = figure.add_subplot(rows[row], **({"sharex": axes[0], "sharey": axes[0]} if axes else {}))
        axes.append(ax)
        time, v = style.thinned(time, v)
        ax.axhline(0, color=style.GREY, linewidth=0.7, linestyle=":")
        colour = style.BLUE if fates.failed[cell] else fates.colour(cell)
        ax.plot(time * factor, v, color=colour, linewidth=0.9)
        ax.text(1.01, 0.5, cell_name(simulation, cell), transform=ax.transAxes, va="center", fontsize=8.5)
        if fates.failed[cell]:
            _mark_failure(ax, simulation, cell, time * factor, v, factor)
    low, high = _limits(np.concatenate([v for _, v, _ in lines]))
    axes[0].set_ylim(low, high)
    style.round_ticks(axes[0].yaxis, 4 if len(cells) > 1 else 7)
    axes[len(cells) // 2 if len(cells) % 2 else len(cells) // 2 - 1].set_ylabel(label("v", lines[0][2]))
    if strip:
        ax = figure.add_subplot(rows[-1], sharex=axes[0])
        axes.append(ax)
        for time, y in shown:
            ax.plot(time * factor, y, color=style.BLACK, drawstyle="steps-post")
        ax.set_ylabel(("command\n" if unit == "mV" else "stimulus\n") + label("", unit).strip())
        ax.margins(y=0.15)
        style.round_ticks(ax.yaxis, 3)
    for ax in axes[:-1]:
        ax.tick_params(labelbottom=False, bottom=False)
        ax.spines["bottom"].set_visible(False)
    axes[0].set_xlim(lines[0][0][0] * factor, lines[0][0][-1] * factor)
    axes[-1].set_xlabel(time_label)
    figure.align_ylabels(axes)
    return axes[0]


def _limits(values: np.ndarray) -> tuple[float, float]:
    """Limits that hold all values with room around, and at least 4 units apart: rounding at rest is no news."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return -90.0, 50.0
    low, high = float(finite.min()), float(finite.max())
    room = max(0.08 * (high - low), (4 - (high - low)) / 2, 0.3)
    return low - room, high + room


def cell_name(simulation: Simulation, cell: int) -> str:
    """The cell's number and what it did, on two lines; of a single cell only what it did."""
    fates = data.fates(simulation)
    if "spike_count" in simulation.measured and not fates.failed[cell]:
        count = int(np.atleast_1d(simulation.measured["spike_count"].values)[cell])
        what = "silent" if count == 0 else f"{count} spike{'s' * (count != 1)}"
    else:
        what = fates.word(cell)
    return what if data.cell_number(simulation) == 1 else f"cell {cell}" + (f"\n{what}" if what else "")


def _mark_failure(
    ax: "Axes", simulation: Simulation, cell: int, time: np.ndarray, v: np.ndarray, factor: float
) -> None:
    """A cross where a failed cell was last well."""
    fine = np.flatnonzero(np.isfinite(v))
    at = float(np.atleast_1d(simulation.failed_at)[cell])
    if fine.size:
        ax.plot(time[fine[-1]], v[fine[-1]], "x", color=style.FAILED, markersize=7, markeredgewidth=1.8, clip_on=False)
    else:
        ax.text(0.5, 0.5, f"failed at {number(at)} ms", transform=ax.transAxes, ha="center", va="center")
