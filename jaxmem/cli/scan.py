"""``jaxmem scan``: from an experiment file with a design to one file, safe to interrupt at any moment."""

import contextlib
import dataclasses
import os
import pathlib
import signal
from collections.abc import Iterator
from typing import Any

import click
import jax
from rich.markup import escape

from jaxmem import report
from jaxmem.cli.errors import FAILED, INTERRUPTED, UserError
from jaxmem.cli.simulate import find_device, overrides
from jaxmem.cli.terminal import Progress, console, duration, size
from jaxmem.cli.written import files, save_figure
from jaxmem.study.files import check_target
from jaxmem.study.problems import Override
from jaxmem.study.scanning.executors.base import Executor
from jaxmem.study.scanning.executors.in_process import InProcess
from jaxmem.study.scanning.file import load_scan
from jaxmem.study.scanning.lock import holder
from jaxmem.study.scanning.merge import axes_told
from jaxmem.study.scanning.plan import ScanPlan
from jaxmem.study.scanning.result import Scan
from jaxmem.study.scanning.run import Standing, check_regions, run
from jaxmem.study.scanning.shards import Folder
from jaxmem.study.scanning.sizing import Trial, bytes_per_point, chunk_size, trial

SHOWS = "where the points answer what"


def scan(
    experiment: str, output: str | None, settings: tuple[str, ...], seed: int | None, device: str | None,
    chunk: int | None, workers: int | None, dask: str | None, part: str | None, fresh: bool, retry_failed: bool,
    dry_run: bool, no_figure: bool,
) -> None:  # fmt: skip
    target = pathlib.Path(output or f"{pathlib.Path(experiment).stem}.h5")
    if workers is not None and dask is not None:
        raise UserError("--workers are processes of this machine, --dask a cluster; give one of the two")
    if fresh and part is not None:
        raise UserError(
            "--fresh throws away what other parts have done: begin anew without --part, or remove the folder"
        )
    share = None if part is None else _part(part)
    changes = overrides(settings, None, None) + (
        [Override("scan.seed", seed, f"--seed {seed}")] if seed is not None else []
    )
    where = find_device(device)
    out = console()
    with Progress() as progress, _stopping(), jax.default_device(where) if where else contextlib.nullcontext():
        progress.phase(f"Reading {experiment}")
        plan = load_scan(experiment, changes)
        plan = plan if chunk is None else dataclasses.replace(plan, chunk=chunk)
        if dry_run:
            check_regions(plan)
            check_target(target, overwrite=True)
            progress.phase("Timing a trial")
            with executor_of(workers, dask) as executor:
                out.print(report.pairs(planned(plan, target, trial(plan), executor.workers)))
            return
        folder = Folder(target)
        tell = lambda standing: progress.rate(standing.done + standing.failed, standing.points, "points")
        note = lambda text: click.echo(f"note: {text}", err=True)
        try:
            progress.phase(f"Asking at {plan.points:,} points")
            with executor_of(workers, dask) as executor:
                found = run(
                    plan, target, executor=executor, part=share, fresh=fresh, retry_failed=retry_failed,
                    progress=tell, note=note,
                )  # fmt: skip
        except KeyboardInterrupt:
            done = f" at {progress.fraction:.0%}" if progress.fraction else ""
            kept = f"what is done is in {folder.place}; the same line typed again goes on from there"
            raise KeyboardInterrupt(
                f"interrupted{done}; {kept if folder.place.exists() else 'nothing written'}"
            ) from None
        except OSError as error:
            if folder.place.exists() and error.errno is None:
                raise UserError(str(error), FAILED) from None
            raise
        if isinstance(found, Standing):
            out.print(_partial(found, target, share))
            return
        picture = None if no_figure else target.with_suffix(".png")
        if picture is not None:
            progress.phase("Drawing")
        drawn = picture is not None and _draw(found, picture, target)
    out.print(f"[bold]{escape(found.question)}[/bold]\n")
    out.print(report.scan(found))
    out.print()
    for line in files(target, picture if drawn else None, SHOWS):
        out.print(line, soft_wrap=True)
    out.print(f"  jaxmem report {escape(str(target))}    [dim]a page to show[/dim]", soft_wrap=True)


@contextlib.contextmanager
def _stopping() -> Iterator[None]:
    """Ctrl-C, or what a scheduler sends when the time is up, ends the scan behind what is in work; the second at once."""
    asked: list[bool] = []

    def stop(*_: Any) -> None:
        if asked:
            os._exit(INTERRUPTED)
        asked.append(True)
        click.echo("\nstopping: what is in work is finished and kept (once more stops at once)", err=True)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _part(text: str) -> tuple[int, int]:
    k, _, n = text.partition("/")
    if not (k.isdigit() and n.isdigit() and 1 <= int(k) <= int(n)):
        raise UserError(f"--part {text}: write k/n, the k-th of n parts, for example --part 1/4")
    return int(k), int(n)


def executor_of(workers: int | None, dask: str | None) -> Executor:
    """Who computes: this process, on all its GPUs where it has several; processes of this machine; a cluster."""
    from jaxmem.study.scanning import executors

    if dask is not None:
        return executors.Dask(None if dask == "local" else dask)
    if workers is not None:
        return executors.Pool(workers)
    return InProcess()


def planned(plan: ScanPlan, target: pathlib.Path, tried: Trial, workers: int) -> dict[str, str]:
    """What would be asked, with memory and time from a short trial."""
    folder = Folder(target)
    begun = folder.header() if folder.exists() else None
    chunk = plan.chunk or chunk_size(plan, tried, workers)
    if begun is not None and begun.identity == plan.identity:
        chunk = begun.chunk
    answered = sum(told.dtype.itemsize * (told.entries or 1) for told in plan.outputs.values())
    kept = (answered + 8 * (len(plan.names) + 1)) * plan.points
    count = -(-plan.points // chunk)
    told = {
        "question": escape(" ".join(plan.title.split())),
        "asked": f"{plan.question.kind} at {plan.points:,} points: {', '.join(plan.outputs)}",
        "design": _design(plan),
        **{f"axis {name}": escape(_axis(axis)) for name, axis in axes_told(plan).items()},
        "regions": escape("; ".join(f"{name}: {text}" for name, text in plan.regions.items())) or "none",
        "chunks": f"{count:,} of {chunk:,} points, {duration(chunk * tried.seconds)} each",
        "memory": f"about {size(chunk * bytes_per_point(plan) * workers)} beside the program",
        "time": f"about {duration(tried.ready + plan.points * tried.seconds / workers)} "
        f"(a trial of {tried.points:,} points ran at {report.many(tried.rate)} per second; {workers} at a time)",
        "no answer": f"about {tried.failed:.1%} of the points (see status)",
        "on disk": f"at most {size(kept)} for the result, and as much again until it is merged",
    }
    if begun is not None:
        done = sum(c.stop - c.start for c in folder.done())
        state = f"{done:,} points are done in {folder.place}"
        told["begun"] = state if begun.identity == plan.identity else f"{folder.place} belongs to another scan"
        if (who := holder(folder.place / "lock")) is not None:
            told["at work"] = who
    told["would write"] = escape(f"{target}, {target.with_suffix('.png')}") + "; this was a dry run, nothing is written"
    return told


def _design(plan: ScanPlan) -> str:
    told = plan.design.told
    more = {k: x for k, x in told.items() if k in ("shape", "seed", "base") and x is not None}
    said = ", ".join(f"{k} {' x '.join(map(str, x)) if isinstance(x, list | tuple) else x}" for k, x in more.items())
    return f"{told['kind']}{f' ({said})' if said else ''}"


def _axis(axis: dict[str, Any]) -> str:
    from jaxmem.units import pretty

    unit = pretty(axis["unit"])
    levels = f", {len(axis['levels'])} levels" if axis["levels"] else ""
    factor = f" times {axis['times']}" if axis["times"] else ""
    scale = "" if axis["scale"] == "linear" else f", {axis['scale']}arithmic"
    return f"{axis['path']}: {axis['low']:g} to {axis['high']:g} {unit}{factor}{scale}{levels}".replace("  ", " ")


def _partial(found: Standing, target: pathlib.Path, share: tuple[int, int] | None) -> str:
    where = f"part {share[0]} of {share[1]} is through; " if share else ""
    return (
        f"{where}{found.done + found.failed:,} of {found.points:,} points are done. The part that finds all of them done "
        f"writes {escape(str(target))}; 'jaxmem status {escape(str(target))}' tells how far it is"
    )


def _draw(found: Scan, picture: pathlib.Path, target: pathlib.Path) -> bool:
    """Draw the overview; False where no point has an answer."""
    from jaxmem import plots

    if not found.counts.get(0):
        return False
    save_figure(plots.scan(found, title=" ".join(found.question.split())), picture, target)
    return True
