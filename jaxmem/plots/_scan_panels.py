"""Single panels of a scan, each drawn into axes that somebody else made: map, marginal, distribution, indices, fates.

Failed points are grey and hatched, a hatch per status; they are never a colour of the scale, and never nothing.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmem.plots import _style as style
from jaxmem.plots._population import _colours, histogram_edges
from jaxmem.plots._style import label, number
from jaxmem.study.scanning.digest import Spread
from jaxmem.study.scanning.maps import Bins, Map, Marginal
from jaxmem.study.scanning.points import OK
from jaxmem.study.scanning.sensitivity import Sensitivity
from jaxmem.units import pretty

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOSTLY = 0.5 - 1e-9  # share of failed points from which a tile is drawn as failed; shares are sums of rounded ones
PARTLY = 0.05 - 1e-9  # and from which a tile with a value is marked
HATCHES = ("////", "\\\\\\\\", "xxxx", "....", "++++", "oooo", "----", "||||")
FEW_LEVELS = 7  # of a grid axis; each has its tick
LONG = 30  # characters of a label
ASH, INK = "#CFCFCF", "#4A4A4A"  # a failed tile and its hatch


def look_of(statuses: Sequence[int]) -> dict[int, dict[str, Any]]:
    """How each status that is not good is drawn, the same in every panel of a scan."""
    bad = sorted(code for code in statuses if code != OK)
    return {c: {"facecolor": ASH, "edgecolor": INK, "hatch": HATCHES[i % len(HATCHES)]} for i, c in enumerate(bad)}


def word(name: str) -> str:
    """NO_REST as one reads it."""
    return name.lower().replace("_", " ")


# ---------------------------------------------------------------------- maps
def draw_map(ax: "Axes", found: Map, looks: Mapping[int, Mapping[str, Any]]) -> list[str]:
    """An output over two axes; returns the words of the legend: what is drawn that is no value."""
    over, legend = _covers(found, looks)
    clear = (found.count > 0) & ~np.any([np.zeros(found.value.shape, bool), *over.values()], axis=0)
    value = np.where(clear, found.value, np.nan)
    ax.set_facecolor(style.PALE)  # where no point fell
    if found.codes:
        handles = _draw_codes(ax, found, value)
    else:
        handles = []
        _draw_numbers(ax, found, value)
    for code, mask in over.items():
        _hatch(ax, found, mask, **looks[code])
    some = clear & (found.failed >= PARTLY)
    if some.any():
        _hatch(ax, found, some, facecolor="none", edgecolor="white", hatch="//", linewidth=0.0)
    none = (found.points > 0) & (found.count == 0) & ~np.any([np.zeros(clear.shape, bool), *over.values()], axis=0)
    if none.any():
        _hatch(ax, found, none, facecolor="white", edgecolor=style.GREY, hatch="..", linewidth=0.0)
    from matplotlib.patches import Patch

    handles += [Patch(label=legend[code], linewidth=0, **looks[code]) for code in over]
    if some.any():
        handles.append(Patch(facecolor="#5B8DB8", edgecolor="white", hatch="//", label="5 % or more failed"))
    if none.any():
        told: Any = {"facecolor": "white", "edgecolor": style.GREY, "hatch": "..", "linewidth": 0}
        handles.append(Patch(label="ok, but no such number", **told))
    if (found.points == 0).any():
        handles.append(Patch(facecolor=style.PALE, label="no point"))
    _axis(ax, "x", found.x)
    _axis(ax, "y", found.y)
    if handles:
        narrow: Any = {"borderaxespad": 0.0, "handletextpad": 0.5, "columnspacing": 1.0, "handleheight": 1.1}
        ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.0, 1.02), ncols=2, **narrow)
    return [str(h.get_label()) for h in handles]


def _covers(found: Map, looks: Mapping[int, Any]) -> tuple[dict[int, np.ndarray], dict[int, str]]:
    """Tiles that are drawn as failed, by their most frequent status, and what the legend calls it."""
    bad = [code for code in found.shares if code != OK]
    if not bad:
        return {}, {}
    shares = np.nan_to_num(np.stack([found.shares[code] for code in bad]))
    failed = shares.sum(0) >= MOSTLY
    first = shares.argmax(0)
    masks = {code: failed & (first == i) for i, code in enumerate(bad)}
    return {c: m for c, m in masks.items() if m.any()}, {c: word(found.words[c][0]) for c in bad if c in found.words}


def _hatch(ax: "Axes", found: Map, mask: np.ndarray, **look: Any) -> None:
    """Tiles as one path per run along x, so that hatches run through and nothing shows between tiles."""
    from matplotlib.collections import PolyCollection

    corners = []
    for j, row in enumerate(mask):
        ends = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]])))
        y = found.y.edges[j : j + 2]
        for a, b in zip(ends[::2], ends[1::2], strict=True):
            x = found.x.edges[[a, b]]
            corners.append([(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1])])
    given: Any = {"linewidth": 0.0, "zorder": 2} | look
    ax.add_collection(PolyCollection(corners, **given), autolim=False)


def _draw_numbers(ax: "Axes", found: Map, value: np.ndarray) -> None:
    there = value[np.isfinite(value)]
    if not there.size:
        return
    from matplotlib.colors import LogNorm, Normalize

    low, high = float(there.min()), float(there.max())
    inner, outer = np.quantile(there, (0.01, 0.99))
    if outer - inner < 0.4 * (high - low):  # a few tiles far out would leave the others one colour
        low, high = float(inner), float(outer)
    logarithmic = low > 0 and high > 30 * low
    norm: Any = (LogNorm if logarithmic else Normalize)(low, high) if high > low else Normalize(low - 0.5, low + 0.5)
    drawn = ax.pcolormesh(found.x.edges, found.y.edges, value, cmap=_colours(), norm=norm, rasterized=True)
    ends = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}
    extend = ends[int(there.min() < low), int(there.max() > high)]
    alone = found.count.max() <= 1  # nothing is pooled
    name = _label(found.name if alone else f"{found.statistic} {found.name}", found.unit)
    bar: Any = ax.figure.colorbar(drawn, ax=ax, label=name, pad=0.02, aspect=28, extend=extend)
    bar.outline.set_visible(False)
    if logarithmic:
        style.log_ticks(bar.ax.yaxis)
    else:
        style.round_ticks(bar.ax.yaxis, 6, whole=bool(np.all(there == np.round(there))))


def _draw_codes(ax: "Axes", found: Map, value: np.ndarray) -> list[Any]:
    """The most frequent code of each tile, a colour each; the patches of its legend."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    colours = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE, style.SKY, style.VERMILION)
    codes = sorted(np.unique(value[np.isfinite(value)]).astype(int).tolist())
    for i, code in enumerate(codes):
        mine = np.where(value == code, 0.0, np.nan)
        cmap = ListedColormap([colours[i % len(colours)]])
        ax.pcolormesh(found.x.edges, found.y.edges, mine, cmap=cmap, rasterized=True)
    told = lambda code: word(found.codes.get(code, str(code)))
    return [Patch(facecolor=colours[i % len(colours)], label=told(code)) for i, code in enumerate(codes)]


def _axis(ax: "Axes", which: str, bins: Bins) -> None:
    """Label, scale, limits and ticks of an axis of the design; a few levels are the ticks."""
    axis = getattr(ax, f"{which}axis")
    getattr(ax, f"set_{which}label")(_label(bins.axis, bins.unit))
    if bins.scale == "log":
        getattr(ax, f"set_{which}scale")("log")
    getattr(ax, f"set_{which}lim")(float(bins.edges[0]), float(bins.edges[-1]))
    if bins.levels and len(bins) <= FEW_LEVELS and _apart(bins):
        axis.set_ticks([], minor=True)
        axis.set_ticks(bins.centres, [number(x, 3) for x in bins.centres])
    elif bins.scale == "log":
        style.log_ticks(axis)
    else:
        style.round_ticks(axis, 5)


def _apart(bins: Bins) -> bool:
    """Whether the levels are far enough from each other for a number at each."""
    x = np.log(bins.centres) if bins.scale == "log" else bins.centres
    return len(x) < 2 or float(np.diff(x).min()) > 0.12 * float(np.ptp(x))


def _label(name: str, unit: str) -> str:
    """An axis label; the unit of a long name stands on a line of its own."""
    text = label(name, unit)
    return text.replace(" (", "\n(", 1) if len(text) > LONG else text


# ---------------------------------------------------------------------- one axis
def draw_marginal(ax: "Axes", strip: "Axes | None", found: Marginal, logarithmic: bool = False) -> None:
    """Median (line) and 5 to 95 % (band) along an axis; ``strip``, below: which share of the points failed."""
    x, there = found.bins.centres, found.count > 0
    mostly = np.nan_to_num(found.failed) >= MOSTLY
    if mostly.any():
        for i in np.flatnonzero(mostly):
            ax.axvspan(*found.bins.edges[i : i + 2], facecolor=ASH, linewidth=0, zorder=0)
    ax.fill_between(x, found.low, found.high, where=there.tolist(), color=style.SKY, alpha=0.45, linewidth=0)
    few: Any = {"marker": "o", "ms": 3} if len(x) <= 12 else {}
    ax.plot(x, found.median, color=style.BLUE, linewidth=1.6, **few)
    if logarithmic:
        ax.set_yscale("log")
        style.log_ticks(ax.yaxis)
    else:
        style.round_ticks(ax.yaxis, 5)
    ax.set_ylabel(_label(found.name, found.unit))
    lowest = ax if strip is None else strip
    _axis(ax, "x", found.bins)
    if strip is not None:
        ax.set_xlabel("")
        ax.tick_params(labelbottom=False)
        share = np.nan_to_num(found.failed) * 100
        strip.stairs(share, found.bins.edges, fill=True, color=style.GREY)
        strip.set_ylim(0, 100)
        strip.set_yticks([0, 100])
        strip.set_ylabel("failed\n(%)", rotation=0, ha="right", va="center")
        _axis(strip, "x", found.bins)
    lowest.set_xlabel(_label(found.bins.axis, found.bins.unit))


# ---------------------------------------------------------------------- one output
def draw_spread(ax: "Axes", found: Spread) -> None:
    """The histogram of an output, with median (line) and 5 to 95 % (band); of codes a bar for each word."""
    if found.words:
        _bars(ax, {word(w): n for w, n in found.words.items() if n})
        return
    values = found.values
    ax.set_xlabel(_label(found.name, found.unit))
    ax.set_ylabel("points" if not found.entries else "values")
    if not found.varies:
        ax.bar([0], [found.count], width=0.2, color=style.BLUE)
        ax.set_xticks([0], [number(found.median)])
        ax.set_xlim(-1, 1)
        style.round_ticks(ax.yaxis, 5, whole=True)
        return
    ax.axvspan(found.low, found.high, color=style.PALE, linewidth=0, zorder=0)
    if found.logarithmic:
        edges = np.exp(np.linspace(np.log(values[0]), np.log(values[-1]), 50))
        ax.set_xscale("log")
    else:
        edges = histogram_edges(values if values.size < 2**18 else values[:: values.size // 2**17])
        edges[[0, -1]] = min(edges[0], values[0]), max(edges[-1], values[-1])
    counts, _ = np.histogram(values, edges)
    ax.stairs(
        counts * (found.count / max(values.size, 1)) if found.sampled else counts, edges, fill=True, color=style.BLUE
    )
    ax.axvline(found.median, color=style.BLACK, linewidth=1.2)
    style.round_ticks(ax.yaxis, 5, whole=True)
    if found.logarithmic:
        style.log_ticks(ax.xaxis)
    else:
        style.round_ticks(ax.xaxis, 5)
        _power_in_label(ax, found)


def _power_in_label(ax: "Axes", found: Spread) -> None:
    """A power of ten that the ticks leave out stands with the unit: at the end of the axis the label covers it."""
    ticks: Any = ax.xaxis.get_major_formatter()
    ticks.set_locs(ax.xaxis.get_majorticklocs())
    if power := ticks.get_offset():
        ax.xaxis.get_offset_text().set_visible(False)
        text = f"{found.name} ({power} {pretty(found.unit)})".replace(" )", ")")
        ax.set_xlabel(text.replace(" (", "\n(", 1) if len(text) > LONG else text)


def _bars(ax: "Axes", counts: Mapping[str, int]) -> None:
    whole = max(sum(counts.values()), 1)
    at = np.arange(len(counts))
    ax.barh(at, list(counts.values()), height=0.6, color=style.BLUE)
    ax.set_yticks(at, list(counts))
    ax.set_ylim(len(counts) - 0.4, -0.6)
    for i, n in enumerate(counts.values()):
        ax.annotate(f"{share(n, whole)}", (n, i), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8.5)
    ax.set_xlim(0, 1.25 * max([*counts.values(), 1]))
    ax.set_xlabel("points")
    style.round_ticks(ax.xaxis, 4, whole=True)


def share(count: int, of: int) -> str:
    """A percentage in which a few are not none, and all but a few are not all."""
    if 0 < count < 5e-4 * of:
        return "<0.1 %"
    return ">99.9 %" if 0 < of - count < 5e-4 * of else f"{count / max(of, 1):.1%}".replace("%", " %")


# ---------------------------------------------------------------------- sensitivity, fates
def draw_indices(ax: "Axes", found: Sensitivity, order: Sequence[str]) -> None:
    """First-order and, where known, total Sobol indices of an output, a pair of bars per axis, with their intervals."""
    at = np.arange(len(order))
    rows = [found.axes.index(name) for name in order]
    kinds = [("first order", found.first, found.first_low, found.first_high, style.BLUE)]
    if found.total is not None and found.total_low is not None and found.total_high is not None:
        kinds.append(("total", found.total, found.total_low, found.total_high, style.ORANGE))
    elif found.total is not None:
        none = np.full(len(found.axes), np.nan)
        kinds.append(("total", found.total, none, none, style.ORANGE))
    height = 0.7 / len(kinds)
    for i, (name, value, low, high, colour) in enumerate(kinds):
        y = at + (i - (len(kinds) - 1) / 2) * height
        x = value[rows]
        ax.barh(y, np.nan_to_num(x), height=height * 0.92, color=colour, label=name)
        ends = np.abs(np.stack([x - low[rows], high[rows] - x]))
        sure = np.isfinite(ends).all(0)
        if sure.any():
            black: Any = {"ecolor": style.BLACK, "elinewidth": 0.9, "capsize": 2}
            ax.errorbar(x[sure], y[sure], xerr=ends[:, sure], fmt="none", **black)
    ax.axvline(0, color=style.BLACK, linewidth=0.8)
    ax.set_yticks(at, list(order))
    ax.set_ylim(len(order) - 0.5, -0.5)
    ax.set_xlim(min(0.0, ax.get_xlim()[0]), max(1.0, ax.get_xlim()[1]))
    ax.set_xlabel(f"share of the variance of\n{found.name}")
    style.round_ticks(ax.xaxis, 4)
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 0.98), ncols=2, handlelength=1.0, borderaxespad=0.0)


def draw_fates(
    ax: "Axes", statuses: Sequence[tuple[int, str, str, int]], looks: Mapping[int, Mapping[str, Any]]
) -> None:
    """One bar of all points, cut by what became of them."""
    from matplotlib.patches import Patch

    whole, left, handles = max(sum(n for *_, n in statuses), 1), 0.0, []
    for code, name, _, n in statuses:
        look: Any = looks.get(code, {"facecolor": style.BLUE})
        ax.barh([0], [100 * n / whole], left=left, height=0.8, linewidth=0, **look)
        left += 100 * n / whole
        handles.append(Patch(linewidth=0, label=f"{word(name)}: {n:,} ({share(n, whole)})", **look))
    ax.set_xlim(0, 100)
    ax.set_ylim(-0.4, 0.4)
    ax.set_axis_off()
    ax.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0.0, -0.1), ncols=3, borderaxespad=0.0, handleheight=1.1
    )
