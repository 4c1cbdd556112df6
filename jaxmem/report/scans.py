"""What came of a scan, in tables for a terminal."""

from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from jaxmem.report.tables import _share, number
from jaxmem.study.scanning.digest import Digest, fate
from jaxmem.study.scanning.points import OK
from jaxmem.study.scanning.regions import region
from jaxmem.units import pretty


def scan(found: Any) -> RenderableType:
    """How many points have an answer and what became of the others, the range of every output, what regions hold."""
    digest = found if isinstance(found, Digest) else Digest(found)
    n = digest.scan.points
    table = Table(
        box=None, show_header=False, padding=(0, 1), title=f"{n:,} point{'s' if n != 1 else ''}", title_justify="left",
        title_style="bold",
    )  # fmt: skip
    for side in ("right", "right", "left"):
        table.add_column(justify=side)  # type: ignore[arg-type]
    for code, name, reason, count in digest.statuses:
        told = "have an answer" if code == OK else fate(name, reason)
        table.add_row(f"{count:,}", _share(count, n), escape(told))
    parts: list[RenderableType] = [table, Text(), _outputs(digest)]
    if digest.scan.regions:
        parts += [Text(), _regions(digest)]
    return Group(*parts)


def _outputs(digest: Digest) -> RenderableType:
    table = Table(box=None, padding=(0, 1), header_style="bold", pad_edge=False)
    table.add_column("output", no_wrap=True)
    for name in ("lowest", "median", "highest"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("5 to 95 %", justify="center", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    table.add_column("points", justify="right", no_wrap=True)
    notes = []
    for s in digest.listed:
        numbers = [number(x) for x in (s.lowest, s.median, s.highest)]
        spread = f"{number(s.low)} … {number(s.high)}" if s.count else ""
        if s.words:
            numbers, spread = ["", "", ""], ""
            told = [f"{n:,} {word.replace('_', ' ')}" for word, n in s.words.items() if n]
            notes.append(Text(f"{s.name}: {', '.join(told) or '-'}"))
        table.add_row(escape(s.name), *numbers, spread, pretty(s.unit), f"{s.count:,}")
    return Group(table, *notes)


def _regions(digest: Digest) -> RenderableType:
    table = Table(box=None, padding=(0, 1), header_style="bold", pad_edge=False)
    table.add_column("region", no_wrap=True)
    table.add_column("points", justify="right", no_wrap=True)
    table.add_column("of all", justify="right", no_wrap=True)
    table.add_column("where")
    for name, condition in digest.scan.regions.items():
        try:
            mine = region(digest.scan, condition)
        except ValueError as error:
            table.add_row(escape(name), "-", "-", escape(f"{condition}: {error}"))
            continue
        table.add_row(escape(name), f"{mine.count:,}", _share(mine.count, mine.points), escape(condition))
    return table
