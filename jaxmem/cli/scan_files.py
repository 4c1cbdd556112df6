"""``jaxmem status``, ``merge`` and ``verify``: what one does with a scan while it runs, and after."""

import contextlib
import pathlib
import sys
import time

import click
from rich.markup import escape

from jaxmem import report
from jaxmem.cli.errors import FAILED, UserError
from jaxmem.cli.terminal import Progress, console, duration, size
from jaxmem.study.files import StoreError
from jaxmem.study.scanning.lock import holder
from jaxmem.study.scanning.plan import Chunk
from jaxmem.study.scanning.result import read_scan
from jaxmem.study.scanning.shards import Folder, Header, ScanError

COUNTED = 1000  # shards that are looked into for what became of their points
NAMED = 5  # failed chunks that are told one by one


def status(file: str) -> None:
    folder, out = _folder(file), console()
    if not folder.exists():
        found = read_scan(folder.output)
        if found.question:
            out.print(f"[bold]{escape(found.question)}[/bold]\n")
        out.print(
            report.pairs(
                {
                    "file": escape(f"{folder.output}, {size(folder.output.stat().st_size)}"),
                    "done": "all points; complete",
                }
            )
        )
        return
    header = folder.header()
    done, failed = folder.done(), folder.failed()
    points = sum(c.stop - c.start for c in done)
    told = {
        "folder": escape(str(folder.place)),
        "done": f"{points:,} of {header.points:,} points ({points / header.points:.1%}), {len(done):,} of "
        f"{header.chunks():,} chunks",
        "at work": escape(_at_work(folder)),
    }
    with contextlib.suppress(OSError, ValueError, KeyError):
        told["last heard of"] = f"{duration(max(0.0, time.time() - folder.progress_file.stat().st_mtime))} ago"
    if len(done) <= COUNTED:
        told["so far"] = _so_far(folder, header, done)
    for chunk in sorted(failed - done)[:NAMED]:
        told[f"failed {chunk.start:,}"] = escape(folder.read_failure(chunk)["text"])
    if len(failed) > NAMED:
        told["more failed"] = f"{len(failed) - NAMED:,} chunks; --retry-failed tries them again"
    if header.told["title"]:
        out.print(f"[bold]{escape(header.told['title'])}[/bold]\n")
    out.print(report.pairs(told))


def merge(file: str, experiment: str | None, settings: tuple[str, ...]) -> None:
    import dataclasses

    from jaxmem.cli.simulate import overrides
    from jaxmem.study.scanning.difference import difference
    from jaxmem.study.scanning.file import load_scan
    from jaxmem.study.scanning.run import merged

    folder = _folder(file)
    if not folder.exists():
        read_scan(folder.output)
        click.echo(f"{folder.output} is merged already")
        return
    header = folder.header()
    source, changes = header.told.get("source") or (None, [])
    if experiment is not None:
        source, changes = experiment, overrides(settings, None, None)
    if source is None or not pathlib.Path(source).exists():
        lost = "does not say which experiment file it is of" if source is None else f"is of {source}, which is gone"
        raise UserError(f"{folder.place} {lost}; give it: --experiment FILE")
    plan = load_scan(source, changes)
    if plan.identity != header.identity:
        changed = difference(header.text, header.told["design"], header.told["parameters"], plan)
        raise ScanError("\n".join([f"{source} is not what {folder.place} was begun with:", *changed]))
    plan = dataclasses.replace(plan, chunk=header.chunk)
    there = folder.done() | folder.failed()
    left = [c for c in plan.chunks() if c not in there]
    if left:
        raise UserError(
            f"{len(left):,} of {plan.count:,} chunks are missing; 'jaxmem scan' with the same line computes them",
            FAILED,
        )
    with Progress() as progress:
        progress.phase(f"Merging {plan.count:,} shards")
        found = merged(plan, folder)
    click.echo(f"{folder.output}: {found.points:,} points")


def verify(file: str, sample: int) -> None:
    from jaxmem.study.scanning.checking import verified

    with Progress() as progress:
        progress.phase(f"Verifying {file}")
        verdict = verified(file, sample)
    for line in verdict.found:
        click.echo(line)
    for line in verdict.wrong:
        click.echo(f"wrong: {line}", err=True)
    if not verdict.holds:
        sys.exit(FAILED)


def _so_far(folder: Folder, header: Header, done: set[Chunk]) -> str:
    """How many points have each status, from the shards."""
    words = {int(code): x for code, x in header.told["statuses"].items()}
    counts: dict[int, int] = {}
    for chunk in done:
        with contextlib.suppress(StoreError):  # 'jaxmem verify' names it
            for code, n in folder.read_shard(chunk, header.identity)[0]["counts"].items():
                counts[int(code)] = counts.get(int(code), 0) + n
    return "; ".join(f"{n:,} {words[code][1]}" for code, n in sorted(counts.items())) or "nothing"


def _folder(file: str) -> Folder:
    folder = Folder(file.removesuffix("/").removesuffix(".scan"))
    if not folder.exists() and not folder.output.exists():
        raise UserError(f"there is no {folder.output}, and no {folder.place} of a scan that was begun")
    return folder


def _at_work(folder: Folder) -> str:
    found = [who for lock in sorted(folder.place.glob("*.lock")) if (who := holder(lock)) is not None]
    if not found and (who := holder(folder.place / "lock")) is not None:
        found = [who]
    return "; ".join(found) or "nobody: the same line typed again goes on"
