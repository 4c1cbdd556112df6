"""A scan as one HTML page that needs nothing else: to show in a meeting, on paper, on a phone."""

import base64
import contextlib
import importlib.resources
import os
import secrets
import shlex
from pathlib import Path
from typing import Any

from jaxmem import plots
from jaxmem.report import page_tables as tables
from jaxmem.report.page_words import SPACE, along, amount, design_words, found_words, listed, of_all, region_words
from jaxmem.study.files import check_target
from jaxmem.study.scanning.digest import ALONG, Digest

FEW = 5  # points of each status that failed, chunks and points that took longest
ERRORS = 10  # texts of errors


def page(scan: Any) -> str:
    """The page of a :class:`jaxmem.Scan`: one HTML text, without scripts, pictures within, the same for the same file."""
    from jinja2 import Environment, StrictUndefined

    text = importlib.resources.files("jaxmem.report").joinpath("scan.html").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(text)
    told = {name: x if name == "experiment" else _unbroken(x) for name, x in _told(Digest(scan)).items()}
    return template.render(told) + "\n"


def _unbroken(x: Any) -> Any:
    """A percentage is not torn apart at the end of a line."""
    if isinstance(x, list):
        return [_unbroken(each) for each in x]
    return x.replace(" %", f"{SPACE}%") if isinstance(x, str) else x


def write_page(scan: Any, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write :func:`page` to a file, whole or not at all. Raises FileExistsError unless ``overwrite``, OSError."""
    target = check_target(path, overwrite)
    content = page(scan).encode()
    temporary = target.parent / f".jaxmem-{secrets.token_hex(8)}.part"
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        check_target(path, overwrite)
        os.replace(temporary, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def _told(digest: Digest) -> dict[str, Any]:
    """What the template shows."""
    scan = digest.scan
    pictures: dict[str, list[dict[str, Any]]] = {}
    for panel in plots.scan_panels(digest):
        pictures.setdefault(panel.section, []).append(_picture(panel))
    examples = digest.examples(FEW)
    slow = digest.slowest_points(FEW)
    statuses = _statuses(digest)
    rows = tables.regions(digest)
    return {
        "title": " ".join(scan.question.split()) or f"A scan over {listed(list(scan.axes))}",
        "found": found_words(digest, [r.region for r in rows if r.region is not None]),
        "design_words": design_words(scan),
        "axes": tables.axes(scan),
        "statuses": statuses,
        "status_words": ", ".join(f"{s['name']} {s['points']} ({s['share']})" for s in statuses),
        "regions": [
            {"name": r.name, "condition": r.condition, "words": region_words(r, digest), "ranges": r.ranges}
            for r in rows
        ],
        "maps": pictures.get("maps", []),
        "map_words": _map_words(digest),
        "marginals": pictures.get("marginals", []),
        "marginal_words": along(digest, ALONG),
        "spread_words": _spread_words(digest),
        "outputs": tables.outputs(digest),
        "distributions": pictures.get("distributions", []),
        "sensitivity": pictures.get("sensitivity", []),
        "sensitivity_words": _sensitivity_words(digest),
        "indices": tables.indices(digest),
        "slow_chunks": tables.slow_chunks(digest, FEW),
        "chunk_words": _chunk_words(digest),
        "slow_points": tables.slow_points(digest, slow),
        "slow_words": f"The points with the largest number of {digest.effort or 'steps'}.",
        "failed": tables.failed(digest, examples),
        "failed_words": f"The first {FEW} of each kind, at most, in the order of the design{_axes_left(scan)}.",
        "errors": tables.errors(scan, ERRORS),
        "rerun_words": "This line computes a point again, with everything that can be recorded of it; the number is the point's.",
        "rerun": f"jaxmem rerun {shlex.quote(Path(scan.path).name)} --cell {_worth_a_look(examples, slow)}",
        "provenance": tables.provenance(digest),
        "experiment": scan.experiment,
    }


def _axes_left(scan: Any) -> str:
    return f"; the first {tables.WIDEST} of {len(scan.axes)} axes" if len(scan.axes) > tables.WIDEST else ""


def _picture(panel: Any) -> dict[str, Any]:
    kind = "svg+xml" if panel.kind == "svg" else panel.kind
    return {
        "src": f"data:image/{kind};base64,{base64.b64encode(panel.data).decode()}",
        "width": round(96 * panel.width),
        "height": round(96 * panel.height),
        "alt": panel.alt,
        "caption": _unbroken(panel.caption),
    }


def _statuses(digest: Digest) -> list[dict[str, Any]]:
    order = sorted(code for code, *_ in digest.statuses if code)
    return [
        {
            "name": name.lower().replace("_", " "),
            "reason": tables.NONE if reason.lower() == name.lower().replace("_", " ") else reason,
            "points": f"{n:,}",
            "share": of_all(n, digest.scan.points),
            "percent": f"{100 * n / max(digest.scan.points, 1):.4f}",
            "look": "ok" if code == 0 else f"f{order.index(code) % 8}",
        }
        for code, name, reason, n in digest.statuses
    ]


def _worth_a_look(examples: dict[int, list[int]], slow: list[tuple[int, float]]) -> int:
    failed = [i for mine in examples.values() for i in mine[:1]]
    return (failed or [i for i, _ in slow] or [0])[0]


def _map_words(digest: Digest) -> str:
    if not digest.main:
        return "No point has a number that could be drawn; the map shows what became of the points instead."
    text = "Each main output over the two axes that decide most of it, the other axes pooled."
    if digest.fates is not None:
        text += " The last map is what became of the points."
    if digest.failed:
        text += (
            " Where half of the points or more failed, a tile is grey with the hatch of the most frequent status; white"
            " strokes mark tiles with a value in which five per cent or more failed."
        )
    return text


def _spread_words(digest: Digest) -> str:
    if not any(s.count for s in digest.spreads.values()):
        return "No point has an answer, so there are no numbers to show."
    return "Over the points that have the number. In the figures the line is the median, the band 5 to 95 %."


def _sensitivity_words(digest: Digest) -> str:
    none = [f"No Sobol indices of {listed(names)}: {why}." for why, names in digest.unsaid.items()]
    found = list(digest.indices.values())
    if not found:
        return " ".join(none)
    text = "Sobol indices: the share of an output's variance that an axis explains alone (first order)"
    if any(s.total is not None for s in found):
        text += " and together with all its interactions (total)"
    if any(s.sure for s in found):
        text += f", with {found[0].confidence:.0%} intervals".replace("%", " %")
    left = max(s.left_out for s in found)
    left_out = (
        "What failed is left out; below each figure it says how much." if left else "No point had to be left out."
    )
    return " ".join([f"{text}.", left_out, *none])


def _chunk_words(digest: Digest) -> str:
    import numpy as np

    seconds = np.asarray(digest.scan.chunks.get("seconds", ()), float)
    known = seconds[np.isfinite(seconds)]
    if not known.size:
        return ""
    each = f"{len(seconds):,} chunk{'s' if len(seconds) != 1 else ''} took {amount(float(known.sum()), 's')} in all"
    return f"{each}, {amount(float(np.median(known)), 's')} each in the median; the longest:"
