"""Concentrations, and the reversal potentials they make."""

from typing import TYPE_CHECKING

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
def concentrations(
    simulation: Simulation, *, cells: Cells = None, window: Window = None, title: str | None = None
) -> "Figure":
    """Dynamic concentrations against time, a row per ion: the value itself, and its change from the first sample.

    ``cells``: up to 60 recorded cells (default: 40 of them, evenly). Raises ValueError where none was recorded.
    """
    paths = data.pools_of(simulation)
    if not paths:
        raise ValueError(
            "all concentrations of this membrane are clamped; make a species dynamic=('inside',) to see it change"
        )
    paths = [p for p in paths if data.traces_of(simulation, p)]
    available = data.recorded_cells(simulation, paths)
    if not available.size:
        data.need("this figure shows concentrations, which were not recorded", '"concentrations"')
    fates, chosen = (
        data.fates(simulation),
        _evenly(available, 40) if cells is None else data.check_cells(cells, available, 60),
    )
    figure = new_figure(8.0, 1.75 * len(paths) + 0.9)
    grid = figure.subplots(len(paths), 2, sharex=True, squeeze=False)
    told, width = [], 1.0 if len(chosen) <= 6 else 0.7
    for row, path in enumerate(paths):
        name, _, side = path.partition(".")
        shown = symbol(name, simulation.membrane.species[name].valence)
        last = {}
        for cell in sorted(chosen, key=lambda c: not fates.silent[c]):
            time, values, unit = data.line(simulation, path, cell, window)
            factor, time_label = time_axis(time[-1] - time[0])
            values = values.astype(float)
            for ax, y in zip(grid[row], (values, values - values[0]), strict=True):
                at, y = style.thinned(time, y)
                ax.plot(at * factor, y, color=fates.colour(cell), linewidth=width, alpha=0.85)
            last[cell] = values[-1] - values[0]
        grid[row, 0].set_ylabel(label(f"[{shown}] {side}", unit))
        grid[row, 1].set_ylabel(label(f"Δ[{shown}]", unit))
        grid[row, 1].axhline(0, color=style.GREY, linewidth=0.7, linestyle=":")
        for ax in grid[row]:
            style.at_least(ax, 2e-3)
            ax.ticklabel_format(useOffset=False)
            ax.margins(x=0)
        told.append(_changes(f"[{shown}] {side}", last, fates))
    for ax in grid[-1]:
        ax.set_xlabel(time_label)
    grid[0, 0].set_title("concentration")
    grid[0, 1].set_title("change from the first sample")
    figure.align_ylabels()
    many = data.cell_number(simulation) > 1
    who = f" {_colours(fates, last)} {len(chosen)} of {available.size:,} recorded cells are shown." if many else ""
    what = "Median change" if many else "Change"
    caption = f"{data.census(simulation)}{who} {what} from first to last sample: {'; '.join(told)}."
    return finish(figure, title, caption)


def _evenly(available: np.ndarray, most: int) -> list[int]:
    at = np.linspace(0, available.size - 1, min(most, available.size)).round().astype(int)
    return [int(c) for c in available[at]]


def _groups(fates: data.Fates, change: dict[int, float]) -> dict[str, list[float]]:
    """The changes (cell -> mM) that are numbers, by what became of the cell."""
    groups: dict[str, list[float]] = {}
    for cell, x in sorted(change.items(), key=lambda item: fates.word(item[0])):
        if np.isfinite(x):
            groups.setdefault(fates.word(cell), []).append(x)
    return groups


def _colours(fates: data.Fates, change: dict[int, float]) -> str:
    text = ", ".join(f"{style.COLOUR_NAMES[word]}: {word}" for word in _groups(fates, change) if word)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _changes(what: str, change: dict[int, float], fates: data.Fates) -> str:
    groups = _groups(fates, change)
    word = lambda w: f" ({w})" if w and len(change) > 1 else ""
    told = [f"{number(float(np.median(x)), 3)} mM{word(w)}" for w, x in groups.items()]
    return f"{what} {', '.join(told) or 'none'}"


@styled
def reversals(
    simulation: Simulation, *, cells: Cells = None, window: Window = None, title: str | None = None
) -> "Figure":
    """Reversal potential of every ion together with the voltage, a panel per cell.

    ``cells``: up to 3 cells (default: one that stands for those that spiked). Raises ValueError where v, or every
    reversal potential, is missing.
    """
    available = reversal_cells(simulation)
    if not available.size:
        data.need(
            "this figure shows v and the reversal potentials of the same cell, which were not recorded",
            '["v", "reversals"]',
        )
    chosen = data.examples(simulation, available, 0, 1) if cells is None else data.check_cells(cells, available, 3)
    figure = new_figure(max(6.0, 4.2 * len(chosen)), 3.8)
    panels, told = figure.subplots(1, len(chosen), squeeze=False, sharey=True)[0], []
    for ax, cell in zip(panels, chosen, strict=True):
        told.append(draw_reversals(ax, simulation, cell, window))
        if data.cell_number(simulation) > 1:
            ax.set_title(cell_name(simulation, cell).replace("\n", ": "))
    for ax in panels[1:]:
        ax.set_ylabel("")
    return finish(figure, title, f"{data.census(simulation)} {' '.join(told)}")


def reversal_cells(simulation: Simulation) -> np.ndarray:
    """The cells of which v and reversal potentials are there, recorded or fixed."""
    paths = [f"{ion}.e" for ion in data.flowing_ions(simulation) if data.traces_of(simulation, f"{ion}.e")]
    return data.recorded_cells(simulation, ["v", *paths]) if paths or _fixed(simulation, 0) else np.array([], int)


def _fixed(simulation: Simulation, cell: int) -> dict[str, float]:
    """Mechanisms with a reversal potential of their own (mV), as in the 1952 squid axon."""
    found = {
        p.removesuffix(".e"): np.asarray(x.value)
        for p, x in simulation.membrane.parameters().items()
        if p.endswith(".e")
    }
    return {name: float(x[..., cell] if x.ndim else x) for name, x in found.items()}


def draw_reversals(ax: "Axes", simulation: Simulation, cell: int, window: Window = None) -> str:
    """v with all reversal potentials, named at the right edge; returns what the caption says of them."""
    ions = [ion for ion in data.flowing_ions(simulation) if data.traces_of(simulation, f"{ion}.e")]
    time, v, unit = data.line(simulation, "v", cell, window)
    factor, time_label = time_axis(time[-1] - time[0])
    at, y = style.thinned(time, v)
    ax.plot(at * factor, y, color=style.BLACK, linewidth=0.8)
    finite = v[np.isfinite(v)]
    ends = [(float(finite[-1]), "v", style.BLACK)] if finite.size else []
    starts = [(f"v\u00a0{number(finite[0])}", float(finite[0]))] if finite.size else []
    for ion in ions:
        at, e, _ = data.line(simulation, f"{ion}.e", cell, window)
        at, e = style.thinned(at, e)
        colour = style.ion_colour(ion, ions)
        ax.plot(at * factor, e, color=colour, linewidth=1.6)
        if np.any(good := np.isfinite(e)):
            ends.append((float(e[good][-1]), style.reversal_symbol(ion), colour))
            starts.append((f"{style.reversal_symbol(ion)}\u00a0{number(e[good][0])}", float(e[good][0])))
    for i, (name, fixed) in enumerate(_fixed(simulation, cell).items()):
        colour = style.CYCLE[i % len(style.CYCLE)]
        ax.axhline(fixed, color=colour, linewidth=1.6)
        ends.append((fixed, f"E of {name}", colour))
        starts.append((f"E\u00a0of\u00a0{name}\u00a0{number(fixed)}", fixed))
    ax.set(xlabel=time_label, ylabel=label("potential", unit), xlim=(time[0] * factor, time[-1] * factor))
    style.label_lines(ax, ends)
    who = "" if data.cell_number(simulation) == 1 else f"Cell {cell}, "
    begin = f"{who}{'A' if not who else 'a'}t {number(time[0])} ms: "
    return begin + ", ".join(text for text, _ in sorted(starts, key=lambda s: s[1])) + f" {unit}."
