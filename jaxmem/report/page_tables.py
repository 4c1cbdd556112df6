"""The tables of a scan's page: headings and rows of texts; the template only lays them out."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxmem.plots._style import number
from jaxmem.report.page_words import amount, of_all
from jaxmem.study.scanning.digest import Digest
from jaxmem.study.scanning.points import words_of
from jaxmem.study.scanning.regions import Region, region
from jaxmem.units import pretty

LEVELS = 6  # so many levels of an axis are listed
LONGEST = 400  # characters of an error
WIDEST = 12  # axes whose values stand beside a point
NONE = "–"


@dataclasses.dataclass(frozen=True)
class Table:
    """``numeric``: whether a column holds numbers, which stand at its right."""

    label: str
    heads: Sequence[str]
    numeric: Sequence[bool]
    rows: Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class RegionRow:
    """A named condition; ``region`` (with its name) is None where it cannot be read, and ``trouble`` says why."""

    name: str
    condition: str
    region: tuple[str, Region] | None
    trouble: str
    ranges: Table | None


def axes(scan: Any) -> Table:
    rows = []
    for name, a in scan.axes.items():
        path = a.path if a.times is None else f"{a.path} = {name} × {a.times}"
        unit = pretty(a.unit) or NONE
        rows.append([name, path, unit, _n(a.low), _n(a.high), a.scale, _levels(a.levels), a.description])
    heads = ("axis", "parameter", "unit", "low", "high", "scale", "levels", "what it is")
    return Table("axes of the design", heads, (False, False, False, True, True, False, True, False), rows)


def _levels(levels: Sequence[float] | None) -> str:
    if levels is None:
        return NONE
    return f"{len(levels):,}" if len(levels) > LEVELS else f"{len(levels)}: {', '.join(map(number, levels))}"


def _n(x: float | None) -> str:
    return NONE if x is None or not np.isfinite(x) else number(x)


def regions(digest: Digest) -> list[RegionRow]:
    found = []
    for name, condition in digest.scan.regions.items():
        try:
            mine = region(digest.scan, condition)
        except ValueError as error:
            found.append(RegionRow(name, condition, None, str(error), None))
            continue
        rows = [
            [axis, _n(low), _n(high), pretty(digest.scan.axes[axis].unit) or NONE]
            for axis, (low, high) in mine.ranges.items()
        ]
        heads = ("axis", "5 %", "95 %", "unit")
        table = Table(f"axes where {condition}", heads, (False, True, True, False), rows) if mine.count else None
        found.append(RegionRow(name, condition, (name, mine), "", table))
    return found


def outputs(digest: Digest) -> Table | None:
    if not digest.listed:
        return None
    rows = []
    for s in digest.listed:
        numbers = [_n(x) for x in (s.lowest, s.low, s.median, s.high, s.highest)]
        said = s.description
        if s.words:
            numbers = [NONE] * 5
            told = [f"{w} {n:,} ({of_all(n, s.count)})" for w, n in s.words.items() if n]
            said += f": {', '.join(told)}" if told else ""
        if s.entries:
            said += f" (up to {s.entries} per point)"
        if s.sampled is not None:
            said += f" (quantiles from {s.sampled:,} numbers drawn at random)"
        rows.append([s.name, pretty(s.unit) or NONE, f"{s.count:,}", *numbers, said])
    heads = ("output", "unit", "points", "lowest", "5 %", "median", "95 %", "highest", "what it is")
    return Table("outputs", heads, (False, False, *[True] * 6, False), rows)


def indices(digest: Digest) -> Table | None:
    if not digest.indices:
        return None

    def short(x: float) -> str:
        return f"{round(float(x), 3) + 0.0:.3f}".replace("-", "−")

    def with_ends(x: float, low: float, high: float) -> str:
        if not np.isfinite(x):
            return NONE
        return f"{short(x)} [{short(low)}, {short(high)}]" if np.isfinite([low, high]).all() else short(x)

    rows = []
    for name, s in digest.indices.items():
        for axis in digest.along(name):
            i = s.axes.index(axis)
            first = with_ends(s.first[i], s.first_low[i], s.first_high[i])
            total = NONE
            if s.total is not None:
                ends = [np.nan if e is None else float(e[i]) for e in (s.total_low, s.total_high)]
                total = with_ends(s.total[i], *ends)
            rows.append([name, axis, first, total])
    columns = 3 if all(row[3] == NONE for row in rows) else 4
    heads, numeric = ("output", "axis", "first order", "total"), (False, False, True, True)
    return Table("Sobol indices", heads[:columns], numeric[:columns], [row[:columns] for row in rows])


# ---------------------------------------------------------------------- single points and chunks
def _place_heads(scan: Any) -> list[str]:
    """Of as many axes as a sheet of paper takes."""
    shown = list(scan.axes.items())[:WIDEST]
    return [f"{name} ({pretty(a.unit)})" if pretty(a.unit) else name for name, a in shown]


def _place(values: Mapping[str, float]) -> list[str]:
    return [_n(x) for x in list(values.values())[:WIDEST]]


def slow_chunks(digest: Digest, most: int) -> Table | None:
    slowest = digest.slowest_chunks(most)
    seconds = np.asarray(digest.scan.chunks.get("seconds", ()), float)
    if len(seconds) < 2 or not slowest:
        return None
    usual = float(np.nanmedian(seconds))
    rows = [
        [
            f"{start:,} to {stop - 1:,}",
            f"{s:.3g}",
            f"{1e3 * s / (stop - start):.3g}",
            f"{s / usual:.2f}" if usual else NONE,
        ]
        for start, stop, s in slowest
    ]
    heads = ("points", "seconds", "ms per point", "times the median")
    return Table("slowest chunks", heads, (True,) * 4, rows)


def slow_points(digest: Digest, slow: Sequence[tuple[int, float]]) -> Table | None:
    if not slow:
        return None
    scan, places = digest.scan, digest.places(i for i, _ in slow)
    words = words_of(scan, "status")
    status = {i: int(scan.part("status", i, i + 1)[0]) for i, _ in slow}
    rows = [
        [f"{i}", _n(took), words.get(status[i], str(status[i])).replace("_", " "), *_place(places[i])]
        for i, took in slow
    ]
    heads = ["point", digest.effort or "", "status", *_place_heads(scan)]
    return Table("slowest points", heads, [True, True, False, *[True] * (len(heads) - 3)], rows)


def failed(digest: Digest, examples: Mapping[int, Sequence[int]]) -> Table | None:
    if not examples:
        return None
    places = digest.places(i for mine in examples.values() for i in mine)
    names = {code: name.lower().replace("_", " ") for code, name, *_ in digest.statuses}
    rows = [[names[code], f"{i}", *_place(places[i])] for code, mine in examples.items() for i in mine]
    heads = ["status", "point", *_place_heads(digest.scan)]
    return Table("points that failed", heads, [False, *[True] * (len(heads) - 1)], rows)


def errors(scan: Any, most: int) -> Table | None:
    raised = list(getattr(scan, "errors", {}).items())
    if not raised:
        return None
    short = lambda text: text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
    rows = [[str(where), short(str(text))] for where, text in raised[:most]]
    rows += [["…", f"and {len(raised) - most:,} more"]] * (len(raised) > most)
    return Table("errors", ("point", "error"), (False, False), rows)


# ---------------------------------------------------------------------- provenance
def provenance(digest: Digest) -> Table:
    scan = digest.scan
    told: dict[str, Any] = {"file": Path(scan.path).name}
    told |= {k.replace("_", " "): v for k, v in scan.provenance.items() if k not in ("question", "experiment")}
    if getattr(scan, "identity", None):
        told["identity of the scan"] = scan.identity
    rows = [[name, _said(name, x)] for name, x in told.items() if x is not None]
    return Table("provenance", ("", ""), (False, False), rows)


def _said(name: str, x: Any) -> str:
    if isinstance(x, bool) or not isinstance(x, int | float):
        return x if isinstance(x, str) else json.dumps(x, ensure_ascii=False, default=str)
    return amount(float(x), "s") if name.endswith("seconds") else f"{x:,}"
