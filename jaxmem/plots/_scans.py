"""Scans: an overview in one figure, and the same panels one by one for a page, with words for who cannot see them."""

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmem.plots import _scan_panels as panels
from jaxmem.plots._style import finish, image, new_figure, number, styled
from jaxmem.study.scanning.digest import ALONG, Digest, Spread
from jaxmem.study.scanning.maps import Map, Marginal
from jaxmem.study.scanning.points import OK
from jaxmem.study.scanning.sensitivity import Sensitivity
from jaxmem.units import pretty

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HISTOGRAMS = 6  # outputs whose distribution a page shows
BARS = 8  # axes in a diagram of indices


@styled
def scan(found: Any, *, title: str | None = None) -> "Figure":
    """A scan in one picture: what became of its points, and of each main output a map, its distribution and its axes.

    A map shows the two axes that decide most; failed points are hatched grey. The last row has the Sobol indices of each
    output. With one axis the outputs are drawn along it. ``found``: a :class:`jaxmem.Scan`.
    """
    digest = found if isinstance(found, Digest) else Digest(found)
    looks = panels.look_of([code for code, *_ in digest.statuses])
    names, maps = digest.main, digest.maps
    columns = max(len(names), len(maps), 1)
    single = [] if maps else [(name, m) for name in names for m in list(digest.along(name).values())[:1]]
    heights = [
        0.35 + 0.2 * -(-len(digest.statuses) // 3),
        *([3.0] if maps or single else []),
        *([2.0] if names else []),
    ]
    if digest.indices:
        heights.append(1.1 + 0.3 * min(len(digest.axes), BARS))
    figure = new_figure(max(3.7 * columns, 6.4), sum(heights))
    # rows are laid out apart: a wide label in one does not narrow the others
    rows = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).ravel()
    panels.draw_fates(rows[0].subplots(), digest.statuses, looks)
    grid = [row.subplots(1, columns, squeeze=False).ravel() for row in rows[1:]]
    for i, one in enumerate(maps):
        panels.draw_map(grid[0][i], one, looks)
    for i, (name, m) in enumerate(single):
        panels.draw_marginal(grid[0][i], None, m, digest.spreads[name].logarithmic)
    for i, name in enumerate(names):
        panels.draw_spread(grid[1][i], digest.spreads[name])
        if name in digest.indices:
            panels.draw_indices(grid[2][i], digest.indices[name], list(digest.along(name))[:BARS])
        elif len(grid) > 2:
            grid[2][i].set_axis_off()
    return finish(figure, title, _caption(digest))


def _caption(digest: Digest) -> str:
    good = digest.scan.points - digest.failed
    parts = [f"{good:,} of {digest.scan.points:,} points have an answer."]
    if digest.maps and digest.main:
        pooled = len(digest.axes) > 2
        parts.append(f"Maps: {'the two axes that decide most, all others pooled' if pooled else 'both axes'}.")
    elif digest.main:
        parts.append("Top: median (line), 5 to 95 % (band).")
    if digest.failed:
        parts.append("Grey: half of the points or more failed.")
    if digest.main:
        parts.append("Histograms: line at the median, band 5 to 95 %.")
    if shown := list(digest.indices.values()):
        ends = f" with {shown[0].confidence:.0%} intervals".replace("%", " %") if any(s.sure for s in shown) else ""
        parts.append(f"Bars: Sobol indices{ends}, of the points that have an answer.")
        if some := [s.name for s in shown if s.dependent]:
            parts.append(f"Failed points make the axes depend on each other: the indices of {_listed(some)} overlap.")
    parts += [f"No Sobol indices of {_listed(names)}: {why}." for why, names in digest.unsaid.items()]
    return " ".join(parts).replace(" %", "\N{NO-BREAK SPACE}%")


# ---------------------------------------------------------------------- panels of a page
@dataclasses.dataclass(frozen=True)
class Panel:
    """A picture with its words. ``kind``: "png" or "svg"; ``width`` in inches at the size that it was drawn for."""

    section: str
    kind: str
    data: bytes
    width: float
    height: float
    alt: str
    caption: str


def scan_panels(digest: Digest) -> Iterator[Panel]:
    """Every panel of a page, by section: "maps", "marginals", "distributions", "sensitivity"."""
    looks = panels.look_of([code for code, *_ in digest.statuses])
    for found in [*digest.maps, *([] if digest.fates is None else [digest.fates])]:
        yield _map_panel(digest, found, looks)
    if digest.axes:
        for name in digest.main:
            for m in list(digest.along(name).values())[:ALONG]:
                yield _marginal_panel(digest, m)
    shown = [s for s in digest.spreads.values() if s.count]
    for spread in shown[:HISTOGRAMS]:
        yield _spread_panel(spread)
    for name, indices in digest.indices.items():
        yield _indices_panel(digest, name, indices)


@styled
def _map_panel(digest: Digest, found: Map, looks: Any) -> Panel:
    figure = new_figure(4.5, 3.7)
    legend = panels.draw_map(figure.add_subplot(), found, looks)
    there = found.value[np.isfinite(found.value)]
    x, y, unit = found.x.axis, found.y.axis, pretty(found.unit)
    if found.codes:
        what = f"What became of the points over {x} and {y}"
        alt = f"Map of {found.name} over {x} and {y}."
    else:
        what = f"{found.statistic.capitalize()} {found.name} ({found.description}) over {x} and {y}"
        span = f", from {_span(there, unit)}" if there.size else ", which no point has"
        alt = f"Map of the {found.statistic} of {found.name} over {x} and {y}{span}."
    others = [n for n in digest.axes if n not in (x, y)]
    caption = f"{what}{f'; pooled over {_listed(others)}' if others else ''}."
    if legend and not found.codes:
        alt += f" Drawn apart: {', '.join(legend)}."
    if any(code != OK for code in found.shares):
        caption += f" Failed: {number(100 * _failed(found), 3)} % of the points; hatched where they are half or more."
    if found.sampled is not None:
        caption += f" Medians are from {found.sampled:,} points drawn at random."
    return Panel("maps", "png", image(figure, "png"), 4.5, 3.7, alt, caption)


def _failed(found: Map) -> float:
    there = found.points > 0
    return float(np.sum(found.failed[there] * found.points[there]) / np.sum(found.points[there]))


@styled
def _marginal_panel(digest: Digest, m: Marginal) -> Panel:
    failing = digest.failed > 0
    size = (3.4, 2.7 if failing else 2.3)
    figure = new_figure(*size)
    rows = figure.subplots(2 if failing else 1, 1, squeeze=False, height_ratios=[5, 1] if failing else [1]).ravel()
    panels.draw_marginal(rows[0], rows[1] if failing else None, m, digest.spreads[m.name].logarithmic)
    unit, there = pretty(m.unit), m.median[m.count > 0]
    alt = f"Median and 5 to 95 % of {m.name} along {m.bins.axis}"
    alt += f": the median goes from {_span(there, unit)}." if there.size else "; no point has one."
    caption = f"{m.name} along {m.bins.axis}" + (f" ({m.bins.description})." if m.bins.description else ".")
    return Panel("marginals", "svg", image(figure, "svg"), *size, alt, caption)


@styled
def _spread_panel(spread: Spread) -> Panel:
    size = (3.4, 2.3)
    figure = new_figure(*size)
    panels.draw_spread(figure.add_subplot(), spread)
    unit = pretty(spread.unit)
    caption = f"{spread.name}: {spread.description}."
    if spread.words:
        alt = f"Points by {spread.name}: " + ", ".join(f"{panels.word(w)} {n:,}" for w, n in spread.words.items()) + "."
    elif not spread.varies:
        alt = f"{spread.name} is {number(spread.median)} {unit} at every point that has one.".replace("  ", " ")
        caption += " The same everywhere."
    else:
        alt = f"Histogram of {spread.name}: median {number(spread.median)}, 5 to 95 % "
        alt += f"{number(spread.low)} to {number(spread.high)} {unit}".rstrip() + f", {spread.count:,} points."
    if spread.sampled is not None:
        caption += f" From {spread.sampled:,} numbers drawn at random."
    return Panel("distributions", "svg", image(figure, "svg"), *size, alt, caption)


@styled
def _indices_panel(digest: Digest, name: str, indices: Sensitivity) -> Panel:
    order = list(digest.along(name))[:BARS]
    size = (3.4, 1.0 + 0.32 * len(order))
    figure = new_figure(*size)
    panels.draw_indices(figure.add_subplot(), indices, order)
    shown = [(n, float(indices.first[indices.axes.index(n)])) for n in order]
    alt = f"Sobol indices of {name}, first order: " + ", ".join(f"{n} {x:.2f}" for n, x in shown) + "."
    left = "" if len(order) == len(digest.axes) else f" The first {len(order)} of {len(digest.axes)} axes."
    caption = f"{name}: {indices.words}.{left}"
    return Panel("sensitivity", "svg", image(figure, "svg"), *size, alt, caption)


def _span(x: np.ndarray, unit: str) -> str:
    return f"{number(float(x.min()))} to {number(float(x.max()))} {unit}".rstrip()


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
