"""Figures of a population: a measure over two varied parameters, distributions of measures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmem.engine.simulation import Measured, Simulation
from jaxmem.membrane.parameters import path_error
from jaxmem.plots import _data as data
from jaxmem.plots import _style as style
from jaxmem.plots._style import finish, label, new_figure, number, styled, symbol
from jaxmem.units import pretty

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS = 20_000  # more cells than this are drawn as hexagons
CROSSES = 2_000  # at most so many failed cells are drawn


# ---------------------------------------------------------------------- map
@styled
def map_of(
    simulation: Simulation,
    *,
    measure: str | None = None,
    x: str | None = None,
    y: str | None = None,
    title: str | None = None,
) -> "Figure":
    """A measure over two varied parameters, a dot per cell; silent cells hollow, failed ones crosses.

    ``measure``: by default spike_count, else resting_potential, else the first there is that differs between cells.
    ``x``, ``y``: parameter paths; by default the two whose rank correlation with the measure is strongest. With one
    varied parameter the measure itself is the y axis. Raises ValueError where nothing varies or nothing was measured.
    """
    name = measure or default_measure(simulation)
    axes = axes_of_map(simulation, name, x, y)
    figure = new_figure(6.6, 4.9)
    told = draw_map(figure.subplots(), simulation, name, axes)
    return finish(figure, title, f"{data.census(simulation)} {told}")


def default_measure(simulation: Simulation) -> str:
    """What a map shows unless told otherwise: the first of the usual measures that differs between cells."""
    usual = [n for n in (*data.COUNTS, "resting_potential", *simulation.measured) if n in simulation.measured]
    differing = [n for n in usual if _span(data.measure(simulation, n).values) > 0]
    return (differing or usual or ["spike_count"])[0]


def axes_of_map(simulation: Simulation, name: str, x: str | None = None, y: str | None = None) -> list[str]:
    """One or two parameter paths."""
    values = data.measure(simulation, name).values
    rho = data.by_correlation(simulation, values)
    if not rho:
        raise ValueError(
            "a map needs a parameter that differs between cells; with_parameters({path: array}) gives it one"
        )
    for path in (x, y):
        if path is not None and path not in rho:
            raise path_error(path, list(rho), "varied parameter")
    asked = [p for p in (x, y) if p is not None]
    rest = [p for p in rho if p not in asked]
    if x is None and y is not None:
        return [rest[0], y] if rest else [y]
    return (asked + rest)[:2]


def draw_map(ax: "Axes", simulation: Simulation, name: str, paths: Sequence[str]) -> str:
    """The map in given axes; returns what the caption says of it."""
    measured, fates = data.measure(simulation, name), data.fates(simulation)
    parameters = [data.varied(simulation)[p] for p in paths]
    x = np.asarray(parameters[0].value, float)
    ax.set_xlabel(label(paths[0], parameters[0].unit))
    shown = words(simulation, name)
    if len(paths) == 1:
        y, (y_name, y_unit) = measured.values, (shown, measured.unit)
    else:
        y, (y_name, y_unit) = np.asarray(parameters[1].value, float), (paths[1], parameters[1].unit)
        _scale(ax, "y", y)
    ax.set_ylabel(label(y_name, y_unit))
    _scale(ax, "x", x)
    _draw_cells(ax, x, y, measured, fates, label(shown, measured.unit), name, coloured=len(paths) == 2)
    rho = data.by_correlation(simulation, measured.values)
    told = " and ".join(f"{number(rho[p], 2)} with {p}" for p in paths)
    zero = name in data.COUNTS and np.any(measured.values == 0)
    signs = [s for s, on in (("hollow: silent", zero), ("crosses: failed", fates.failed.any())) if on]
    note = f" ({'; '.join(signs)})" if signs else ""
    return f"{shown[0].upper()}{shown[1:]}{note} has a rank correlation of {told}."


def _draw_cells(
    ax: "Axes", x: np.ndarray, y: np.ndarray, measured: Measured, fates: data.Fates, name: str, key: str, coloured: bool
) -> None:
    """Silent cells first, then the others by colour (``coloured``; else y says it), then crosses for failed ones."""
    values = measured.values
    finite = np.isfinite(values)
    silent = finite & (values == 0) if key in data.COUNTS else np.zeros_like(finite)
    rest = finite & ~silent
    size = float(np.clip(9_000 / max(finite.sum(), 1), 3.0, 26.0))
    handles: list[Any] = []
    drawn: Any = None
    if finite.sum() > DOTS and coloured:
        drawn, name = _draw_hexagons(ax, x, y, values, silent), f"median {name}"
        if silent.any():
            handles.append(ax.scatter([], [], s=40, marker="h", color=style.PALE, label="mostly silent"))
    else:
        if silent.any():
            hollow: Any = {"facecolors": "none", "edgecolors": style.GREY, "linewidths": 0.7, "label": "silent"}
            handles.append(ax.scatter(x[silent], y[silent], s=size, **hollow))
        if rest.any():
            colour: Any = {"c": values[rest], "cmap": _colours()} if coloured else {"color": style.BLUE}
            drawn = ax.scatter(x[rest], y[rest], s=size, linewidths=0, **colour)
    failed = np.flatnonzero(fates.failed)[:CROSSES]
    if failed.size:
        # with the measure as y axis a failed cell has no height: it is marked on the lower edge
        at: Any = {} if coloured else {"transform": ax.get_xaxis_transform(), "clip_on": False}
        height = y[failed] if coloured else np.zeros(failed.size)
        width = float(np.clip(12 / np.sqrt(failed.size), 0.6, 1.2))  # many small crosses, so that they hide little
        cross: Any = {"s": 20 * width**2, "linewidths": width, "marker": "x", "color": style.FAILED, "zorder": 3}
        handles.append(ax.scatter(x[failed], height, label="failed", **cross, **at))
    if coloured and drawn is not None:
        _colour_bar(ax, drawn, name, whole=bool(np.all(values[finite] == np.round(values[finite]))))
    if handles:
        narrow: Any = {"borderaxespad": 0.1, "handletextpad": 0.2, "columnspacing": 1.0}
        ax.legend(handles=handles, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, **narrow)


def _draw_hexagons(ax: "Axes", x: np.ndarray, y: np.ndarray, values: np.ndarray, silent: np.ndarray) -> Any:
    """The median of the cells in each hexagon; where most are silent it is 0, below the scale, and pale."""
    finite = np.isfinite(values)
    rest = values[finite & ~silent]
    scales: Any = {"xscale": ax.get_xscale(), "yscale": ax.get_yscale()}
    limits: Any = {"vmin": rest.min(), "vmax": rest.max()} if rest.size else {"vmin": 0.5, "vmax": 1.0}
    colours = _colours().with_extremes(under=style.PALE)
    grid: Any = {"gridsize": 50, "linewidths": 0.1, "cmap": colours, "reduce_C_function": np.median}
    return ax.hexbin(x[finite], y[finite], C=values[finite], **grid, **limits, **scales)


def _colour_bar(ax: "Axes", drawn: Any, name: str, whole: bool) -> None:
    bar: Any = ax.figure.colorbar(drawn, ax=ax, label=name, pad=0.02, aspect=28)
    bar.outline.set_visible(False)
    if whole:
        style.round_ticks(bar.ax.yaxis, 6, whole=True)


def _colours() -> Any:
    """Viridis without its palest end, which drowns on white paper."""
    import matplotlib
    from matplotlib.colors import ListedColormap

    return ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0, 0.9, 256)))


def _scale(ax: "Axes", axis: str, values: np.ndarray) -> None:
    if values.min() > 0 and values.max() / values.min() > 20:
        getattr(ax, f"set_{axis}scale")("log")


def words(simulation: Simulation, name: str) -> str:
    """A measure's name as people write it: "spike count", "change of [Na⁺] inside"."""
    if name in simulation.measured and data.has_entries(simulation, name):
        return f"first of {name.replace('_', ' ')}"
    head, _, path = name.partition(".")
    ion, _, side = path.partition(".")
    if side and ion in simulation.membrane.species:
        what = "change of" if head == "concentration_change" else f"{head.replace('_', ' ')} of"
        return f"{what} [{symbol(ion, simulation.membrane.species[ion].valence)}] {side}"
    return {"atp": "ATP used", "drift": "drift of v"}.get(
        name, name.replace("_", " ").replace("minimum v", "lowest v").replace("maximum v", "highest v")
    )


def _span(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.ptp(finite)) if finite.size else 0.0


# ---------------------------------------------------------------------- distributions
@styled
def distributions(
    simulation: Simulation, *, measures: Sequence[str] | None = None, title: str | None = None
) -> "Figure":
    """Histograms of measures with median and 5-95 % range; failed cells are counted in the caption.

    ``measures``: names (default: all that were measured). Raises ValueError for a single cell, and where nothing was
    measured or every cell failed.
    """
    names = list(measures or simulation.measured)
    found = {name: data.measure(simulation, name) for name in names or ["resting_potential"]}
    if data.cell_number(simulation) == 1:
        values = ", ".join(f"{n} {number(m.values[0])} {pretty(m.unit)}".strip() for n, m in found.items())
        raise ValueError(f"a distribution needs several cells; this one has {values}")
    found = {name: m for name, m in found.items() if np.any(np.isfinite(m.values))}
    if not found:
        raise ValueError(f"no cell has a value of {', '.join(names)}: {data.census(simulation)}")
    columns = min(3, len(found))
    rows = -(-len(found) // columns)
    figure = new_figure(0.6 + 3.3 * columns, 2.7 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, name in zip(grid, found, strict=False):
        draw_histogram(ax, simulation, name)
    for ax in grid[len(found) :]:
        ax.remove()
    caption = f"{data.census(simulation)} Line: median; band: 5 to 95 % of the cells that have a value."
    return finish(figure, title, caption)


def draw_histogram(ax: "Axes", simulation: Simulation, name: str, separator: str = "\n") -> str:
    """One histogram, with its numbers in its title; returns what the caption says of it."""
    measured, shown = data.measure(simulation, name), words(simulation, name)
    values, unit = measured.values[np.isfinite(measured.values)], pretty(measured.unit)
    middle, spread = data.median_and_range(values, unit)
    missing = data.cell_number(simulation) - int(data.fates(simulation).failed.sum()) - values.size
    zeros = values == 0 if name in data.COUNTS else np.zeros(values.shape, bool)
    title = [f"median {middle}", spread]
    if zeros.any():
        title.append(f"grey: {zeros.sum():,} silent ({number(100 * zeros.mean(), 3)} %)")
    if missing:
        title.append(f"{missing:,} cells have none")
    ax.set_title(separator.join(title))
    ax.set_xlabel(label(shown, measured.unit))
    ax.set_ylabel("cells")
    style.round_ticks(ax.yaxis, 6, whole=True)
    style.round_ticks(ax.xaxis, 5, whole=name == "spike_count")
    color = style.SPIKED if name in data.COUNTS else style.BLUE
    if np.ptp(values) == 0:
        ax.bar([0], [values.size], width=0.2, color=style.SILENT if zeros.any() else color)
        ax.set_xticks([0], [number(values[0])])
        ax.set_xlim(-1, 1)
        return f"{shown} {middle}, the same in every cell"
    ax.axvspan(*np.percentile(values, [5, 95]), color=style.PALE, linewidth=0, zorder=0)
    edges = histogram_edges(values[~zeros], above=0.0 if zeros.any() else None)
    ax.hist(values[~zeros], bins=list(edges), color=color)
    if zeros.any():
        width = edges[1] - edges[0]
        ax.bar([edges[0] - width / 2], [zeros.sum()], width=width, color=style.SILENT)
    ax.axvline(float(np.median(values)), color=style.BLACK, linewidth=1.2)
    return f"median {shown} {middle} ({spread})"


def histogram_edges(values: np.ndarray, above: float | None = None) -> np.ndarray:
    """Bin edges: centred on values that are few and evenly spaced (counts), else by the Freedman-Diaconis rule."""
    distinct = np.unique(values)
    if distinct.size > 1 and distinct.size <= 200:
        quantum = float(np.diff(distinct).min())
        steps = np.diff(distinct) / quantum
        if np.allclose(steps, np.round(steps), atol=0.01) and steps.sum() < 1000:
            width = quantum * np.ceil(np.ptp(distinct) / quantum / 40)
            first = distinct[0] if above is None else above + quantum
            return np.arange(first - quantum / 2, distinct[-1] + width, width)
    if distinct.size == 1:
        half = max(abs(distinct[0]) * 0.05, 0.5)
        return np.array([distinct[0] - half, distinct[0] + half])
    low, high = np.percentile(values, [25, 75])
    width = 2 * (high - low) / values.size ** (1 / 3)
    bins = int(np.clip(np.ptp(values) / width if width > 0 else 10, 8, 60))
    return np.linspace(values.min(), values.max(), bins + 1)
