"""How figures look: colours, type, captions. matplotlib is imported when a figure is drawn, never before, and without
pyplot: figures belong to their caller, not to a global list, and nothing needs a display.
"""

import functools
import io
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from jaxmem.units import pretty

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
T = TypeVar("T")

# M. Okabe & K. Ito (2008), Color Universal Design: told apart by readers with any of the common colour deficiencies
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
GREY, PALE = "#8C8C8C", "#E8E8E8"
SILENT, SPIKED, FAILED, UNKNOWN = GREY, ORANGE, BLACK, BLUE
COLOUR_NAMES = {"silent": "grey", "spiked": "orange", "failed": "black"}
ION_COLOURS = {"na": VERMILION, "k": BLUE, "cl": GREEN, "ca": PURPLE, "hco3": SKY, "h": ORANGE, "mg": "#7F5F00"}
CYCLE = (VERMILION, BLUE, GREEN, PURPLE, ORANGE, SKY, "#7F5F00", "#555555")

_SYMBOLS = {"na": "Na", "k": "K", "cl": "Cl", "ca": "Ca", "hco3": "HCO₃", "h": "H", "mg": "Mg", "atp": "ATP"}
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

_RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "lines.linewidth": 1.0,
    "hatch.linewidth": 0.6,
    "lines.solid_joinstyle": "bevel",  # mitred joins draw the peak of a spike higher than it is
}
_MARGIN = 0.12  # inches around title and caption


def styled(function: Callable[P, T]) -> Callable[P, T]:
    """The same function in this module's style, whatever the reader's matplotlibrc says; that is left as it was."""

    @functools.wraps(function)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> T:
        import matplotlib

        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(_RC)
            return function(*args, **kwargs)

    return drawn


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure (inches) with its own canvas; :func:`finish` adds title and caption."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def finish(figure: "Figure", title: str | None, caption: str) -> "Figure":
    """Put the title above and the caption below, wrapped to the width; the figure grows by what they need."""
    for ax in figure.axes:  # ticks are made when the figure is drawn, perhaps in another style
        ax.tick_params(labelsize=_RC["xtick.labelsize"])
    width, height = figure.get_size_inches()
    top = _wrapped(figure, title, "title", {"fontsize": 11.5, "fontweight": "bold"}) if title else None
    bottom = _wrapped(figure, caption, "caption", {"fontsize": 9, "linespacing": 1.35})
    room = [0.0 if text is None else _inches(figure, text)[1] + 2 * _MARGIN for text in (bottom, top)]
    total = height + sum(room)
    figure.set_size_inches(width, total)
    bottom.set(position=(_MARGIN / width, _MARGIN / total), verticalalignment="bottom")
    if top is not None:
        top.set(position=(_MARGIN / width, 1 - _MARGIN / total), verticalalignment="top")
    engine: Any = figure.get_layout_engine()
    engine.set(rect=(0, room[0] / total, 1, height / total), w_pad=0.08, h_pad=0.06, wspace=0.03, hspace=0.03)
    return figure


def _wrapped(figure: "Figure", text: str, gid: str, font: dict[str, Any]) -> Any:
    """A text in the figure, broken so that no line is wider than the figure; words are measured as they are drawn."""
    room = figure.get_size_inches()[0] - 2 * _MARGIN
    drawn = figure.text(0, 0, "", gid=gid, **font)
    drawn.set_in_layout(False)
    width: dict[str, float] = {}

    def measured(word: str) -> float:
        if word not in width:
            drawn.set_text(word)
            width[word] = _inches(figure, drawn)[0]
        return width[word]

    space, lines, used = measured("n n") - measured("nn"), [[]], 0.0  # type: ignore[var-annotated]
    for word in text.split(" "):  # not at non-breaking spaces
        if lines[-1] and used + measured(word) > room:
            lines.append([])
            used = 0.0
        lines[-1].append(word)
        used += measured(word) + space
    drawn.set_text("\n".join(" ".join(words) for words in lines))
    return drawn


def _inches(figure: "Figure", text: Any) -> tuple[float, float]:
    box = text.get_window_extent(figure.canvas.get_renderer())  # type: ignore[attr-defined]
    return box.width / figure.dpi, box.height / figure.dpi


def caption_of(figure: "Figure") -> str:
    """The caption of a figure as plain text on one line."""
    text = next(t.get_text() for t in figure.texts if t.get_gid() == "caption")
    return re.sub(r"\$E_\\mathrm\{(.*?)\}\$", r"E_\1", " ".join(text.split()))


@styled
def save(figure: "Figure", path: str | os.PathLike, *, dpi: float = 150.0) -> None:
    """Write the figure; the ending says how (.png, .pdf, .svg). The file appears whole or not at all; an old one goes.

    Raises ValueError for an ending that matplotlib cannot write, OSError where the disk cannot take it.
    """
    path, memory = Path(path), io.BytesIO()
    figure.savefig(memory, format=path.suffix.lstrip(".").lower() or "png", dpi=dpi)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(memory.getvalue())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@styled
def image(figure: "Figure", kind: str, *, dpi: float = 200.0) -> bytes:
    """The figure as a PNG or SVG in memory, the same bytes for the same figure."""
    import matplotlib

    memory = io.BytesIO()
    told = {"Date": None, "Creator": None, "Format": None, "Type": None} if kind == "svg" else {"Software": None}
    with matplotlib.rc_context({"svg.hashsalt": "jaxmem"}):
        figure.savefig(memory, format=kind, dpi=dpi, metadata=told)
    return memory.getvalue()


# ---------------------------------------------------------------------- words and numbers
def label(what: str, unit: str) -> str:
    """An axis label: what, and its unit in brackets (none for a pure number)."""
    return f"{what} ({pretty(unit)})" if unit not in ("1", "") else what


def number(x: float, digits: int = 4) -> str:
    """A number as captions write it: so many significant digits, a true minus sign, powers of ten written out."""
    mantissa, _, exponent = f"{float(x):.{digits}g}".partition("e")
    power = f"×{_ten_to(int(exponent))}" if exponent else ""
    return "0" if float(x) == 0 else mantissa.replace("-", "−") + power


def symbol(name: str, valence: int) -> str:
    """A species as chemists write it: Na⁺, Ca²⁺; a name of the user's own stays as it is."""
    if name not in _SYMBOLS:
        return name
    size = "" if abs(valence) == 1 else str(abs(valence)).translate(_SUPERSCRIPT)
    return _SYMBOLS[name] + (f"{size}{'⁺' if valence > 0 else '⁻'}" if valence else "")


def reversal_symbol(name: str) -> str:
    """E with the ion as its index, as mathtext."""
    index = _SYMBOLS.get(name, name).replace("_", r"\_").replace("₃", "_3")
    return rf"$E_\mathrm{{{index}}}$"


def in_order(names: Iterable[str]) -> list[str]:
    """Ions as one is used to read them: Na⁺, K⁺, Cl⁻, Ca²⁺, and so on; then the others."""
    usual = list(ION_COLOURS)
    return sorted(names, key=lambda n: (usual.index(n) if n in usual else len(usual), n))


def ion_colour(name: str, names: list[str]) -> str:
    """The colour of an ion: its own where it is a common one, else one that none of ``names`` has."""
    if name in ION_COLOURS:
        return ION_COLOURS[name]
    free = [c for c in CYCLE if c not in {ION_COLOURS.get(n) for n in names}] or list(CYCLE)
    return free[sorted(n for n in names if n not in ION_COLOURS).index(name) % len(free)]


def time_axis(duration: float) -> tuple[float, str]:
    """(factor, label) of a time axis for this many ms: in ms, s or min."""
    factor, unit = (1.0, "ms") if duration <= 10e3 else (1e-3, "s") if duration <= 600e3 else (1 / 60e3, "min")
    return factor, f"time ({unit})"


# ---------------------------------------------------------------------- labels beside lines, points of long lines
def label_lines(ax: "Axes", labels: list[tuple[float, str, str]], gap: float = 0.085) -> None:
    """Name lines at the right edge: (y of the line's end, text, colour), moved apart so that none covers another.

    ``gap`` is the least distance as a part of the height of the axes.
    """
    low, high = ax.get_ylim()
    order = sorted(labels)
    wanted = np.array([(y - low) / (high - low) for y, _, _ in order])
    places = np.clip(wanted, 0, 1)
    for _ in range(200):  # neighbours that are too close push each other apart until none is
        short = np.maximum(gap - np.diff(places), 0)
        if not np.any(short > 1e-6):
            break
        places[:-1] -= short / 2
        places[1:] += short / 2
    for place, (_, text, colour) in zip(places, order, strict=True):
        ax.text(1.015, place, text, color=colour, transform=ax.transAxes, va="center", ha="left", fontsize=9.5)


def round_ticks(axis: Any, most: int, whole: bool = False) -> None:
    """At most so many intervals between ticks at round (``whole``: whole) numbers; a power of ten is written once."""
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    class Powers(ScalarFormatter):  # without mathtext, whose parser takes longer than the rest of a figure
        def get_offset(self) -> str:
            _, _, power = super().get_offset().replace("−", "-").partition("1e")
            return f"×{_ten_to(int(power))}" if power else ""

    axis.set_major_locator(MaxNLocator(most, integer=whole, steps=[1, 2, 2.5, 5, 10], min_n_ticks=2))
    written = Powers(useMathText=False, useOffset=False)
    written.set_powerlimits((-3, 6))
    axis.set_major_formatter(written)


def log_ticks(axis: Any) -> None:
    """Few ticks: at powers of ten over decades, at 1, 2, 5 within one or two."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = sorted(axis.get_view_interval())
    decades = np.log10(high / low) if low > 0 else 1.0
    axis.set_minor_locator(NullLocator())
    axis.set_major_locator(
        LogLocator(numticks=5) if decades > 2.2 else LogLocator(subs=(1.0, 3.0) if decades > 1.1 else (1.0, 2.0, 5.0))
    )
    whole = lambda x: decades > 2.2 and x > 0 and not 1e-3 <= x <= 1e4
    axis.set_major_formatter(FuncFormatter(lambda x, _: _ten_to(round(np.log10(x))) if whole(x) else number(x, 3)))


def _ten_to(power: int) -> str:
    return "10" + str(power).replace("-", "⁻").translate(_SUPERSCRIPT)


def at_least(ax: "Axes", span: float) -> None:
    """Do not magnify rounding: the y axis spans at least so much."""
    low, high = ax.get_ylim()
    if high - low < span:
        ax.set_ylim((low + high - span) / 2, (low + high + span) / 2)


def thinned(time: np.ndarray, values: np.ndarray, most: int = 12_000) -> tuple[np.ndarray, np.ndarray]:
    """A long line by the lowest and highest sample of each of ``most``/2 stretches: it looks the same."""
    if time.size <= most:
        return time, values
    width = -(-time.size // (most // 2))
    whole = time.size // width * width
    rows = values[:whole].reshape(-1, width)
    low, high = (np.argmin(np.where(np.isnan(rows), s, rows * k), axis=1) for s, k in ((np.inf, 1), (np.inf, -1)))
    at = np.sort(np.stack([low, high], 1), axis=1) + np.arange(0, whole, width)[:, None]
    at = np.concatenate([at.ravel(), np.arange(whole, time.size)])
    return time[at], values[at]
