"""Fits: how soon they were done, how well the targets are met, and where the solutions lie in the plane of two parameters."""

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmem.plots import _style as style
from jaxmem.plots._style import finish, label, new_figure, number, styled
from jaxmem.study.fits import CONVERGED, LEFT_OUT, Fits
from jaxmem.units import pretty

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS = 3_000  # solutions that are drawn one by one, evenly spread
LINES = 25  # cells whose degenerate direction is drawn
MOST_ROWS, MOST_PAIRS, COLUMNS = 6, 6, 3
FLAT = 1e-3  # of the largest singular value (targets in sd per logarithm): a direction that is not fixed
STATUS_COLOURS = {0: style.GREEN, 1: style.ORANGE, 2: style.PURPLE, 3: style.VERMILION, 4: style.BLACK, 5: style.BLUE}
FEW = 3  # cells; of fewer the residuals are drawn instead of measured against fitted


@styled
def fits(found: Fits, *, title: str | None = None) -> "Figure":
    """Fits in one picture: how many were done after how many steps, targets met, and pairs of free parameters.

    In the plane of two parameters every solution is a dot, and lines are what the targets do not fix: along a line all
    of them are met alike. Raises ValueError where nothing was fitted.
    """
    if not found.fitted.any():
        raise ValueError(f"none of the {len(found.names):,} cells was fitted")
    rows = list(found.rows)[:MOST_ROWS]
    few = int(found.fitted.sum()) < FEW
    targets = 1 if few else len(rows)
    pairs = list(found.pairs or itertools.combinations(found.free, 2))[:MOST_PAIRS]
    panels = ["done"] + (["residuals"] if few and rows else rows if not few else []) + pairs
    columns = COLUMNS if len(panels) not in (2, 4) else 2
    lines = -(-len(panels) // columns)
    figure = new_figure(6.6 if columns == 2 else 8.4, 0.5 + 2.55 * lines)
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for ax in grid[len(panels) :]:
        ax.set_axis_off()
    told = _done(grid[0], found)
    if few and rows:
        _residuals(grid[1], found, rows)
    elif not few:
        for ax, row in zip(grid[1:], rows, strict=False):
            _met(ax, found, row)
    drawn = sum(_pair(ax, found, *pair) for ax, pair in zip(grid[1 + targets :], pairs, strict=False))
    return finish(figure, title, told + _caption(found, few, bool(pairs), drawn))


def _done(ax: "Axes", found: Fits) -> str:
    """Share of all fits that are done after so many steps, by what became of them."""
    status, steps = found["status"][:, found.fitted].ravel(), found["iterations"][:, found.fitted].ravel()
    most = max(int(steps.max()), 1)
    at = np.arange(most + 1)
    for code in sorted(set(status.tolist())):
        mine = np.sort(steps[status == code])
        share = 100 * np.searchsorted(mine, at, side="right") / status.size
        told = f"{found.statuses[code][0].lower().replace('_', ' ')}, {number(share[-1], 3)} %"
        ax.step(at, share, where="post", color=STATUS_COLOURS.get(code, style.GREY), linewidth=1.6, label=told)
    ax.set_ylim(0, 103)
    ax.set_xlim(0, most)
    ax.set_xlabel("steps of the search")
    ax.set_ylabel("fits that are done (%)")
    style.round_ticks(ax.xaxis, 5, whole=True)
    ax.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.98), handlelength=1.0, fontsize=8, labelspacing=0.2)
    good = int(np.sum(status == CONVERGED))
    return f"{good:,} of {status.size:,} fits meet their targets within three standard deviations. "


def _met(ax: "Axes", found: Fits, row: Any) -> None:
    """Fitted against measured, of the best start of each cell."""
    x, y = found.best(f"measured_{row.name}"), found.best(f"fitted_{row.name}")
    status = found.best("status")
    there = np.isfinite(x) & np.isfinite(y)
    for code in sorted(set(status[there].tolist()), key=lambda c: c != CONVERGED):
        mine = _some(np.flatnonzero(there & (status == code)))
        ax.plot(x[mine], y[mine], ".", ms=_size(mine.size), mew=0, color=STATUS_COLOURS.get(code, style.GREY))
    if there.any():
        ends = np.array([min(x[there].min(), y[there].min()), max(x[there].max(), y[there].max())])
        ends = ends + np.array([-0.05, 0.05]) * (np.ptp(ends) or abs(ends[0]) or 1.0)
        ax.plot(ends, ends, color=style.GREY, linewidth=0.8, zorder=0)
        if ends[0] > 0 and ends[1] / ends[0] > 20:
            _log(ax)
        ax.set_xlim(*ends)
        ax.set_ylim(*ends)
    unit = f" ({pretty(row.unit)})" if row.unit not in ("1", "") else ""
    ax.set_title(f"{row.told}{unit}", fontsize=9)
    ax.set_xlabel("target")
    ax.set_ylabel("fitted")
    if ax.get_xscale() == "linear":
        style.round_ticks(ax.xaxis, 4)
        style.round_ticks(ax.yaxis, 4)


def _residuals(ax: "Axes", found: Fits, rows: list[Any]) -> None:
    """Of one or two cells: each target's residual at every start."""
    for i, row in enumerate(rows):
        r = found[f"residual_{row.name}"][:, found.fitted]
        status = found["status"][:, found.fitted]
        for code in sorted(set(status.ravel().tolist())):
            mine = r[status == code]
            ax.plot(
                mine, np.full(mine.shape, i), "o", ms=4, mew=0, alpha=0.7, color=STATUS_COLOURS.get(code, style.GREY)
            )
    ax.axvspan(-1, 1, color=style.PALE, zorder=0)
    ax.axvline(0, color=style.GREY, linewidth=0.8, zorder=0)
    ax.set_yticks(range(len(rows)), [row.told.replace(" at ", "\nat ") for row in rows])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    low, high = ax.get_xlim()
    ax.set_xlim(min(low, -3.2), max(high, 3.2))
    ax.set_xlabel("residual (standard deviations)")
    style.round_ticks(ax.xaxis, 4)


def _pair(ax: "Axes", found: Fits, a: str, b: str) -> int:
    """Every solution in the plane of two parameters, and the lines along which nothing changes; how many were drawn."""
    x, y, status = found[a], found[b], found["status"]
    there = np.isfinite(x) & np.isfinite(y) & (status != LEFT_OUT)
    scales = [found.free.get(p, {"scale": "log"})["scale"] for p in (a, b)]
    for axis, scale in ((ax.xaxis, scales[0]), (ax.yaxis, scales[1])):
        if scale == "log":
            axis.axes.set_xscale("log") if axis is ax.xaxis else axis.axes.set_yscale("log")
    drawn = _directions(ax, found, a, b, scales)
    for code in sorted(set(status[there].tolist()), key=lambda c: c != CONVERGED):
        s, c = np.nonzero(there & (status == code))
        mine = _some(np.arange(s.size))
        at = s[mine], c[mine]
        ax.plot(
            x[at],
            y[at],
            ".",
            ms=_size(mine.size),
            mew=0,
            color=STATUS_COLOURS.get(code, style.GREY),
            alpha=0.8,
            zorder=3,
        )
    if int(found.fitted.sum()) < FEW:
        _errors(ax, found, (a, b), scales)
    ax.set_xlabel(label(a, found.variables[a].unit))
    ax.set_ylabel(label(b, found.variables[b].unit))
    for values, scale, put in ((x[there], scales[0], ax.set_xlim), (y[there], scales[1], ax.set_ylim)):
        put(*_room(values, scale == "log"))
    for axis, scale in ((ax.xaxis, scales[0]), (ax.yaxis, scales[1])):
        style.log_ticks(axis) if scale == "log" else style.round_ticks(axis, 4)
    return drawn


def _errors(ax: "Axes", found: Fits, paths: tuple[str, str], scales: list[str]) -> None:
    """One standard error up and down of the best solution of each cell, where it has one."""
    here = [found.best(p) for p in paths]
    for i, (path, scale) in enumerate(zip(paths, scales, strict=True)):
        if (name := f"{path}_standard_error") not in found:
            continue
        x, e = here[i], found.best(name)
        e = np.where(e < np.log(100), e, np.nan) if scale == "log" else e
        ends = (x * np.exp(-e), x * np.exp(e)) if scale == "log" else (x - e, x + e)
        draw = ax.hlines if i == 0 else ax.vlines
        draw(here[1 - i], *ends, color=style.BLACK, linewidth=0.9, zorder=2)


def _directions(ax: "Axes", found: Fits, a: str, b: str, scales: list[str]) -> int:
    """Through the best solution of some cells, the directions in which no target changes, as they fall into this plane."""
    free = list(found.free)
    if a not in free or b not in free:
        return 0
    cells = np.flatnonzero(found.fitted & np.isfinite(found.best("cost")))
    cells = cells[:: max(1, -(-cells.size // LINES))]
    ends = {p: (float(np.min(f["low"])), float(np.max(f["high"]))) for p, f in found.free.items()}
    unit = np.array([1.0 if f["scale"] == "log" else np.ptp(ends[p]) for p, f in found.free.items()])
    t, drawn = np.linspace(-20, 20, 801), 0
    for cell in cells:
        start = found.first[cell]
        matrix = found.jacobian[:, :, start, cell]
        if not np.isfinite(matrix).all():
            continue
        _, sizes, turned = np.linalg.svd(matrix * unit, full_matrices=True)
        whole = np.pad(sizes, (0, len(free) - sizes.size))
        for way in turned[whole <= FLAT * max(whole.max(), 1.0)] * unit:
            line, inside = [], np.ones(t.shape, bool)
            for p, scale in zip((a, b), scales, strict=True):
                x, step = float(found[p][start, cell]), float(way[free.index(p)])
                line.append(x * np.exp(t * step) if scale == "log" else x + t * step)
                inside &= (line[-1] >= ends[p][0] * (1 - 1e-9)) & (line[-1] <= ends[p][1] * (1 + 1e-9))
            if max(np.ptp(x[inside]) / np.abs(x[inside]).max() for x in line) > 1e-6:
                ax.plot(line[0][inside], line[1][inside], color=style.SKY, linewidth=0.7, alpha=0.8, zorder=1)
                drawn += 1
    return drawn


def _room(values: np.ndarray, logarithmic: bool) -> tuple[float, float]:
    """Limits around values: at least a factor of 3 on a logarithmic axis."""
    low, high = float(values.min()), float(values.max())
    if logarithmic:
        width = max(np.log(high / low), np.log(3.0))
        middle = (np.log(high) + np.log(low)) / 2
        return float(np.exp(middle - 0.58 * width)), float(np.exp(middle + 0.58 * width))
    width = max(high - low, 1e-3 * abs(high), 1e-12)
    return low - 0.08 * width, high + 0.08 * width


def _log(ax: "Axes") -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    style.log_ticks(ax.xaxis)
    style.log_ticks(ax.yaxis)


def _some(which: np.ndarray) -> np.ndarray:
    return which[:: max(1, -(-which.size // DOTS))]


def _size(count: int) -> float:
    return float(np.clip(90 / np.sqrt(max(count, 1)), 2.5, 8.0))


def _caption(found: Fits, few: bool, pairs: bool, drawn: int) -> str:
    n, left = len(found.names), len(found.excluded)
    parts = [f"{left:,} of {n:,} cells could not be fitted."] if left else []
    parts.append("Band: one standard deviation." if few else "On the grey line the target is met exactly.")
    if pairs:
        what = ("every start" + " of every cell" * (not few)) if found.starts > 1 else "every cell"
        parts.append(f"Dots: the solution of {what}{'; crosses: its standard errors' * few}.")
        if drawn:
            parts.append(
                "Blue lines: what the targets do not fix; along them all are met alike (linearly, of some cells)."
            )
    if found.words and len(found.words[0]) < 240:
        parts.append(found.words[0])
    return " ".join(parts)
