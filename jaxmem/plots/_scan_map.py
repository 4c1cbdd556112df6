"""One output of a scan over two of its axes."""

from typing import TYPE_CHECKING, Any

from jaxmem.plots import _scan_panels as panels
from jaxmem.plots._style import finish, new_figure, styled
from jaxmem.study.problems import unknown
from jaxmem.study.scanning.digest import Digest
from jaxmem.study.scanning.maps import pairwise
from jaxmem.study.scanning.points import output_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def scan_map(found: Any, measure: str | None = None, *, title: str | None = None) -> "Figure":
    """A map of one output (``measure``; None: the first that is usually asked for) over the two axes that decide most of it.

    All other axes are pooled; tiles in which half of the points or more failed are hatched grey. ``found``: a
    :class:`jaxmem.Scan`. Raises ValueError where there is no such output, or are fewer than two axes that differ.
    """
    digest = Digest(found)
    if len(digest.axes) < 2:
        alone = digest.axes[0] if digest.axes else "none"
        raise ValueError(f"a map wants two axes that differ between points; found {alone}: draw the overview")
    name = measure or (digest.main[0] if digest.main else "status")
    if name in found.axes:
        raise ValueError(f"{name!r} is an axis; a map is of an output: {unknown(name, found.outputs, 'output')}")
    output = output_of(found, name)
    spread = digest.spreads.get(name)
    ranked = spread is not None and spread.count > 0 and not spread.words
    x, y = (list(digest.along(name)) if ranked else list(digest.axes))[:2]
    drawn = pairwise(found, x, y, name)
    figure = new_figure(5.2, 4.2)
    panels.draw_map(figure.add_subplot(), drawn, panels.look_of([code for code, *_ in digest.statuses]))
    what = f"What became of the points over {x} and {y}" if name == "status" else f"{name}, {output.description}"
    if not drawn.codes:
        what = f"{drawn.statistic.capitalize()} of {what}, over {x} and {y}"
    elif name != "status":
        what += f", over {x} and {y}"
    others = [axis for axis in digest.axes if axis not in (x, y)]
    pooled = f", pooled over {', '.join(others)}" if others else ""
    failed = " Grey: half of the points or more failed." if digest.failed and name != "status" else ""
    return finish(figure, title, f"{what}{pooled}.{failed}")
