"""The resting states of a population: how they spread, the ions at rest, what the pump costs."""

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmem.plots import _style as style
from jaxmem.plots._population import histogram_edges
from jaxmem.plots._style import finish, label, new_figure, number, styled, symbol
from jaxmem.study.rests import Rests

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS = 3_000  # cells that are drawn one by one, evenly spread over the population


@styled
def rests(found: Rests, *, title: str | None = None) -> "Figure":
    """Resting states over one axis of voltage: their histogram, each ion's concentration, the ATP that each cell uses.

    Raises ValueError where no cell has a rest.
    """
    resting = found.resting
    if not resting.any():
        raise ValueError(f"none of the {resting.size:,} cells has a resting state")
    v = found["v"][resting].astype(float)
    costs = "atp_per_second" in found
    panels = [1.0] + [1.4] * bool(found.ions) + [1.1] * costs
    figure = new_figure(6.6, 1.0 + 1.7 * sum(panels))
    grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=panels).ravel()
    rows = iter(grid)
    _histogram(next(rows), v)
    shown = np.flatnonzero(resting)
    shown = shown[:: -(-shown.size // DOTS)]
    if found.ions:
        _concentrations(next(rows), found, shown)
    if costs:
        ax = next(rows)
        ax.plot(found["v"][shown], found["atp_per_second"][shown], ".", ms=_size(shown), mew=0, color=style.ORANGE)
        ax.set_ylabel("ATP (molecules/s)")
        ax.set_ylim(bottom=0)
        style.round_ticks(ax.yaxis, 5)
    grid[-1].set_xlabel(label("resting potential", "mV"))
    style.round_ticks(grid[-1].xaxis, 7)
    return finish(figure, title, _told(found, v, shown.size))


def _histogram(ax: "Axes", v: np.ndarray) -> None:
    ax.hist(v, bins=list(histogram_edges(v)), color=style.BLUE if v.size > 1 else style.GREY)
    if v.size > 1:
        ax.axvline(float(np.median(v)), color=style.BLACK, linewidth=1.2)
    ax.set_ylabel("cells")
    style.round_ticks(ax.yaxis, 5, whole=True)


def _concentrations(ax: "Axes", found: Rests, shown: np.ndarray) -> None:
    names = [path.partition(".")[0] for path in found.ions]
    values = np.concatenate([found[path][shown] for path in found.ions])
    sides = {path.partition(".")[2] for path in found.ions}
    for path in sorted(found.ions, key=lambda p: style.in_order(names).index(p.partition(".")[0])):
        name, _, side = path.partition(".")
        told = symbol(name, found.ions[path]) + (f" {side}" if len(sides) > 1 else "")
        marker, scale = (".", 1.0) if side == "inside" else ("v", 0.6)
        look: Any = {"ms": scale * _size(shown), "mew": 0, "color": style.ion_colour(name, names)}
        ax.plot(found["v"][shown], found[path][shown], marker, ls="none", label=told, **look)
    if values.min() > 0 and values.max() / values.min() > 5:
        from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter

        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_formatter(ScalarFormatter())
    where = next(iter(sides)) if len(sides) == 1 else "at rest"
    ax.set_ylabel(label(f"concentration {where}", "mM"))
    legend = ax.legend(loc="lower right", bbox_to_anchor=(1.0, 0.98), ncols=6, columnspacing=1.0, handletextpad=0.2)
    for handle in legend.legend_handles:
        handle.set_markersize(8)  # type: ignore[union-attr]


def _size(shown: np.ndarray) -> float:
    return float(np.clip(90 / np.sqrt(shown.size), 3.0, 9.0))


def _told(found: Rests, v: np.ndarray, dots: int) -> str:
    """The caption."""
    n = found.resting.size
    low, middle, high = np.percentile(v, [5, 50, 95])
    text = f"The cell rests at {number(middle)} mV" if n == 1 else f"{v.size:,} of {n:,} cells come to rest"
    text += (
        "" if n == 1 else f", half of them below {number(middle)} mV (line), 90 % in {number(low)} to {number(high)} mV"
    )
    text += "." if v.size == n else "; for the others no steady state was found."
    if found.ions:
        text += " Concentrations are those at which every living ion's current is zero."
    if "atp_per_second" in found:
        atp = np.median(found["atp_per_second"][found.resting])
        text += f" {'Median cost: ' if n > 1 else 'Cost: '}{number(atp, 3)} ATP per second and cell."
    return text + (f" Dots: {dots:,} of the cells." if dots < v.size else "")
