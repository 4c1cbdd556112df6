"""The one figure of a run: what the cells did, where they rest, why, and what it cost their ions."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmem.engine.simulation import Simulation
from jaxmem.plots import _data as data
from jaxmem.plots import _style as style
from jaxmem.plots._ions import draw_reversals, reversal_cells
from jaxmem.plots._population import axes_of_map, default_measure, draw_histogram, draw_map
from jaxmem.plots._style import finish, label, new_figure, number, styled
from jaxmem.plots._voltage import draw_voltages

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS = 5_000  # at most so many cells are drawn in the panel of the ions
Panel = Callable[["Figure", Any], tuple["Axes", str, str]]  # draws in a place of a grid: axes, title, caption


@styled
def overview(simulation: Simulation, *, title: str | None = None) -> "Figure":
    """The whole run in one figure: example voltages, reversal potentials, rest, spikes, a map, changes of the ions.

    Panels whose data was not recorded or measured are left out. Raises ValueError where none is left.
    """
    panels = _panels(simulation)
    if not panels:
        raise ValueError(
            "nothing to draw: record variables (record=jm.Record('v', every=0.5)) or measure something "
            "(measures=['resting_potential'])"
        )
    columns = 1 if len(panels) == 1 else 2
    rows = -(-len(panels) // columns)
    figure = new_figure(6.6 if columns == 1 else 11.0, 3.1 * rows + 0.8)
    grid, told = figure.add_gridspec(rows, columns, height_ratios=[1.25] + [1.0] * (rows - 1)), []
    for i, panel in enumerate(panels):
        last = i == len(panels) - 1 and len(panels) % columns
        ax, heading, text = panel(figure, grid[i // columns, :] if last else grid[i // columns, i % columns])
        letter = f"({chr(ord('a') + i)}) " if len(panels) > 1 else ""
        below = ax.get_title(loc="left")
        ax.set_title(f"{letter}{heading}" + (f"\n{below}" if below else ""))
        told.append(f"{letter}{text}")
    return finish(figure, title, " ".join([data.census(simulation), *told]))


def _panels(simulation: Simulation) -> list[Panel]:
    """The panels for which there is data, in the order of the story."""
    many, panels = data.cell_number(simulation) > 1, []
    if data.recorded_cells(simulation, ["v"]).size:
        panels.append(lambda f, place: _voltages(f, place, simulation))
    if reversal_cells(simulation).size:
        panels.append(lambda f, place: _reversals(f, place, simulation))
    well = {name for name in simulation.measured if many and np.any(np.isfinite(data.measure(simulation, name).values))}
    for names, heading in ((("resting_potential", "mean_v"), "Where they rest"), (data.COUNTS, "How much they fire")):
        if name := next((n for n in names if n in well), None):
            panels.append(lambda f, place, n=name, h=heading: _histogram(f, place, simulation, n, h))
    if well and data.varied(simulation):
        panels.append(lambda f, place: _map(f, place, simulation))
    if changes(simulation):
        panels.append(lambda f, place: _ions(f, place, simulation))
    return panels


def _voltages(figure: "Figure", place: Any, simulation: Simulation) -> tuple["Axes", str, str]:
    available = data.recorded_cells(simulation, ["v"])
    chosen = data.examples(simulation, available, 1, 3)
    ax = draw_voltages(figure, place, simulation, chosen)
    stimuli = [s for c in chosen if (s := data.stimulus_line(simulation, c)) is not None]
    clamped = bool(stimuli) and stimuli[0][2] == "mV"
    stimulated = clamped or any(np.any(y != 0) for _, y, _ in stimuli)
    below = "the command of the clamp" if clamped else "the stimulus"
    if data.cell_number(simulation) == 1:
        return ax, "Voltage", f"Voltage (dotted: 0 mV){f' and {below}' if stimulated else ''}."
    also = f" and {below}" if stimulated else ""
    return ax, "Example cells", f"{len(chosen)} of {available.size:,} recorded cells (dotted: 0 mV){also}."


def _reversals(figure: "Figure", place: Any, simulation: Simulation) -> tuple["Axes", str, str]:
    cell = data.examples(simulation, reversal_cells(simulation), 0, 1)[0]
    ax = figure.add_subplot(place)
    text = draw_reversals(ax, simulation, cell)
    return (
        ax,
        "Voltage between its reversal potentials" + (f", cell {cell}" if data.cell_number(simulation) > 1 else ""),
        text,
    )


def _histogram(
    figure: "Figure", place: Any, simulation: Simulation, name: str, heading: str
) -> tuple["Axes", str, str]:
    ax = figure.add_subplot(place)
    text = draw_histogram(ax, simulation, name, separator="; ")
    return ax, heading, f"{text[0].upper()}{text[1:]}{', line and band' if '%' in text else ''}."


def _map(figure: "Figure", place: Any, simulation: Simulation) -> tuple["Axes", str, str]:
    name, ax = default_measure(simulation), figure.add_subplot(place)
    return ax, "What decides it", draw_map(ax, simulation, name, axes_of_map(simulation, name))


def changes(simulation: Simulation) -> dict[str, np.ndarray]:
    """Measured changes of concentration: path of the pool -> (cells,) in mM."""
    found = {path: f"concentration_change.{path}" for path in data.pools_of(simulation)}
    values = {path: data.measure(simulation, key).values for path, key in found.items() if key in simulation.measured}
    return {path: x for path, x in values.items() if np.any(np.isfinite(x))}


def _ions(figure: "Figure", place: Any, simulation: Simulation) -> tuple["Axes", str, str]:
    """Change of each concentration: against the spike count, a dot per cell; of one cell, against time if recorded."""
    found, ax = changes(simulation), figure.add_subplot(place)
    titles = {path: data.pool_name(simulation, path) for path in found}
    medians = ", ".join(f"{titles[p]}\u00a0{number(float(np.nanmedian(x)), 3)}" for p, x in found.items())
    ax.axhline(0, color=style.GREY, linewidth=0.7, linestyle=":")
    if data.cell_number(simulation) == 1:
        if data.recorded_cells(simulation, found).size:
            _over_time(ax, simulation, titles)
        else:
            _beside(ax, simulation, found, titles, np.array([0]))
        text = f"Change over the run: {medians} mM."
    else:
        finite = np.flatnonzero(np.isfinite(next(iter(found.values()))))
        cells = finite[np.linspace(0, finite.size - 1, min(finite.size, DOTS)).round().astype(int)]
        _beside(ax, simulation, found, titles, cells)
        shown = f" ({cells.size:,} of {finite.size:,} cells)" if cells.size < finite.size else ""
        text = f"Change over the run, a dot per cell{shown}: median {medians} mM."
    style.at_least(ax, 2e-3)
    ax.set_ylabel(label("change of concentration", "mM"))
    return ax, "What it cost the ions", text


def _over_time(ax: "Axes", simulation: Simulation, titles: dict[str, str]) -> None:
    """Concentrations minus their first samples."""
    ends, names = [], [path.partition(".")[0] for path in titles]
    for path, name in zip(titles, names, strict=True):
        time, values, _ = data.line(simulation, path, 0)
        factor, time_label = style.time_axis(time[-1] - time[0])
        at, change = style.thinned(time, values.astype(float) - values[0])
        colour = style.ion_colour(name, names)
        ax.plot(at * factor, change, color=colour, linewidth=1.4, linestyle="-" if path.endswith(".inside") else "--")
        ends.append((float(change[np.isfinite(change)][-1]), titles[path], colour))
    ax.set_xlabel(time_label)
    ax.margins(x=0)
    style.label_lines(ax, ends)


def _beside(
    ax: "Axes", simulation: Simulation, found: dict[str, np.ndarray], titles: dict[str, str], cells: np.ndarray
) -> None:
    """A dot per cell and ion: at the cell's spike count or, where no cell has spikes, in a heap per ion."""
    measured = simulation.measured.get("spike_count")
    count = np.zeros(data.cell_number(simulation)) if measured is None else np.atleast_1d(measured.values)
    against = bool(np.any(count > 0)) and count.size > 1
    # the noise parts dots that would cover each other; it is fixed, so that a figure is reproducible
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, count.size) * (count.size > 1)
    size = float(np.clip(4_000 / cells.size, 2.0, 40.0))
    ends, names = [], [path.partition(".")[0] for path in found]
    for i, (path, change) in enumerate(found.items()):
        colour = style.ion_colour(names[i], names)
        x = (count if against else i) + noise
        dot: Any = {"color": colour, "linewidths": 0, "alpha": 0.7, "marker": "o" if path.endswith(".inside") else "^"}
        ax.scatter(x[cells], change[cells], s=size, **dot)
        if against:
            most = np.isfinite(change) & (count >= np.nanpercentile(count, 80))
            ends.append((float(np.median(change[most])), titles[path], colour))
    if against:
        ax.set_xlabel("spike count")
        style.round_ticks(ax.xaxis, 7, whole=True)
        style.label_lines(ax, ends)
    else:
        ax.set_xticks(range(len(found)), list(titles.values()))
        ax.set_xlim(-0.6, len(found) - 0.4)
