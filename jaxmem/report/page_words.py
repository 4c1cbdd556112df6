"""The sentences of a scan's page: what was found, the design, regions; numbers with their units."""

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmem.plots._style import number
from jaxmem.study.scanning.digest import Digest, Spread, fate
from jaxmem.study.scanning.points import OK
from jaxmem.units import pretty

if TYPE_CHECKING:
    from jaxmem.report.page_tables import RegionRow
    from jaxmem.study.scanning.regions import Region

ASKED = {
    "rests": "A resting state was looked for",
    "simulations": "The cell was simulated",
    "fits": "A fit was made",
    "function": "A function was evaluated",
}
DESIGNS = {
    "sobol": "a scrambled Sobol sequence",
    "latin_hypercube": "a Latin hypercube",
    "random": "random draws",
    "listed": "a list",
    "list": "a list",
    "grid": "a full grid",
    "nested": "a nested design",
    "sensitivity": "Saltelli's design for Sobol indices",
}
SPACE = "\N{NO-BREAK SPACE}"


def amount(x: float, unit: str, digits: int = 4) -> str:
    """A number and its unit, on one line."""
    return f"{number(x, digits)}{SPACE}{pretty(unit)}".rstrip(SPACE) if np.isfinite(x) else "–"


def of_all(count: int, of: int) -> str:
    """A percentage in which a few are not none, and all but a few are not all."""
    if 0 < count < 5e-4 * of:
        return f"<0.1{SPACE}%"
    return f">99.9{SPACE}%" if 0 < of - count < 5e-4 * of else f"{100 * count / max(of, 1):.1f}{SPACE}%"


def listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "nothing"


def points_of(n: int) -> str:
    return f"{n:,} point{'s' if n != 1 else ''}"


# ---------------------------------------------------------------------- what was found
def found_words(digest: Digest, regions: "list[tuple[str, Region]]") -> list[str]:
    """A sentence each: what was asked, how many answered, what each main output is and depends on, regions."""
    scan, good = digest.scan, digest.scan.points - digest.failed
    asked = ASKED.get(getattr(scan, "kind", ""), "A question was asked")
    axes = list(scan.axes)
    over = f"{len(axes)} axes, {listed(axes)}" if 1 < len(axes) <= 6 else listed(axes) if axes else "no axis"
    over = f"{len(axes)} axes" if len(axes) > 6 else over
    parts = [f"{asked} at {points_of(scan.points)} over {over}."]
    if not digest.failed:
        parts.append("All of them have an answer." if scan.points > 1 else "It has an answer.")
    else:
        bad = [f"{n:,} {fate(name, reason, '{} ({})')}" for c, name, reason, n in digest.statuses if c != OK]
        who = f"{good:,} of them ({of_all(good, scan.points)}) have an answer" if good else "None of them has an answer"
        parts.append(f"{who}{'; the others failed' if good else ''}: {'; '.join(bad)}.")
    parts += [_range(digest, digest.spreads[name]) for name in digest.main]
    parts += [
        f"{name[:1].upper()}{name[1:]}: {points_of(r.count)} ({of_all(r.count, r.points)} of all)."
        for name, r in regions
    ]
    return parts


def _range(digest: Digest, s: Spread) -> str:
    what = f"{s.name} ({s.description})" if s.description and s.description != s.name else s.name
    if not s.varies:
        return f"{what} is {amount(s.median, s.unit)} at all of them."
    text = f"{what}: {number(s.lowest, 3)} to {amount(s.highest, s.unit, 3)}, median {number(s.median, 3)}"
    if (found := digest.indices.get(s.name)) is not None:
        index = found.first if found.total is None else found.total
        i = int(np.nanargmax(index))
        kind = "first-order" if found.total is None else "total"
        text += f"; depends most on {found.axes[i]} ({kind} Sobol index {index[i]:.2f})"
    return f"{text}."


# ---------------------------------------------------------------------- design, axes, regions
def design_words(scan: Any) -> str:
    """Kind, number of points, shape and seed."""
    told = scan.design
    kind = told.get("kind", "")
    parts = [f"{points_of(scan.points)}: {_kind(told)}"]
    if kind == "nested":
        parts = [f"{points_of(scan.points)}: at each of {_nest(told, 'outer')}, {_nest(told, 'inner')}"]
    return ", ".join(parts) + "."


def _nest(told: Any, which: str) -> str:
    return f"{points_of(int(told[which].get('points', 0)))} of {_kind(told[which])}" if which in told else which


def _kind(told: Any) -> str:
    words = DESIGNS.get(told.get("kind", ""), str(told.get("kind", "an unnamed design")).replace("_", " "))
    if told.get("shape"):
        words += f" of {' × '.join(f'{n:,}' for n in told['shape'])} levels"
    if told.get("base"):
        words += f" with {told['base']:,} base samples"
    if told.get("seed") is not None:
        words += f", seed {told['seed']}"
    return words


def along(digest: Digest, most: int) -> str:
    """What stands above the marginals."""
    text = f"Median (line) and 5 to 95{SPACE}% (band) of each main output along an axis, all other axes pooled"
    left = len(digest.axes) - most
    text += f"; of each output the {most} axes that decide most, {left} are not drawn." if left > 0 else "."
    if digest.failed:
        text += " The strip below is the share of points that failed; the panel is grey where it is half or more."
    return text


def region_words(row: "RegionRow", digest: Digest) -> str:
    """Count and share, or why the condition says nothing."""
    if row.region is None:
        return f"This condition could not be read: {row.trouble}"
    r, good = row.region[1], digest.scan.points - digest.failed
    text = f"{r.count:,} of {points_of(r.points)} ({of_all(r.count, r.points)})"
    if digest.failed and r.count <= good:
        text += f", {of_all(r.count, good)} of the {good:,} that have an answer"
    return text + ("; the axes there:" if r.count else ".")
