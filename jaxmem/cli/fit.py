"""``jaxmem fit``: from the file of a fit to the parameters of each cell, what they are sure of, and who could not be fitted."""

import contextlib
import pathlib
import time
from typing import Any

import click
import jax
import numpy as np
from rich.markup import escape

from jaxmem import report
from jaxmem.analysis.fitting.quantities import unit_of
from jaxmem.cli.simulate import find_device, free
from jaxmem.cli.terminal import Progress, console, duration
from jaxmem.cli.written import files, save_figure
from jaxmem.study.fit_run import run
from jaxmem.study.fit_table import FitPlan, load
from jaxmem.study.fits import Fits, fits_of, save_fit
from jaxmem.study.problems import Override
from jaxmem.units import pretty

TRIAL = 128  # cells of a dry run's trial
LISTED = 12  # cells that are named when they are left out

SHOWS = "how the search went, targets met, what is fixed and what is not"  # what the figure does


def fit(
    experiment: str, output: str | None, settings: tuple[str, ...], starts: int | None, seed: int | None,
    precision: str | None, device: str | None, dry_run: bool, overwrite: bool, no_figure: bool,
) -> None:  # fmt: skip
    target = pathlib.Path(output or f"{pathlib.Path(experiment).stem}.h5")
    picture = None if no_figure else target.with_suffix(".png")
    if not dry_run:
        for path in filter(None, (target, picture)):
            free(path, overwrite)
    where = find_device(device)
    out = console()
    written = False
    with Progress() as progress, jax.default_device(where) if where else contextlib.nullcontext():
        try:
            progress.phase(f"Reading {experiment}")
            plan = load(experiment, _overrides(settings, starts, seed, precision))
            _tell(plan)
            if dry_run:
                progress.phase("Timing a trial")
                out.print(report.pairs(_planned(plan, target)))
                return
            many = f" from {plan.starts:,} starts each" if (plan.starts or 1) > 1 else ""
            progress.phase(f"Fitting {len(plan.kept):,} cell{'s' if len(plan.kept) > 1 else ''}{many}")
            began = time.perf_counter()
            done = run(plan, progress=progress.run)
            seconds = time.perf_counter() - began
            progress.phase("Writing")
            pairs = plan.report.pairs or ()
            found = fits_of(done, names=plan.names, kept=plan.kept, excluded=plan.excluded, pairs=pairs)
            save_fit(
                done, target, found=found, experiment=plan.text, attributes=_about(plan, seconds), overwrite=overwrite
            )
            written = True
            progress.phase("Drawing")
            drawn = picture is not None and _draw(found, plan, picture, target)
        except KeyboardInterrupt:
            at = f" at {progress.fraction:.0%}" if progress.fraction else ""
            text = f"interrupted; {target} is complete" if written else f"interrupted{at}; nothing written"
            raise KeyboardInterrupt(text) from None
    out.print(f"[bold]{escape(' '.join(plan.question.split()))}[/bold]\n")
    out.print(report.fits(found))
    fits = found.starts * len(plan.kept)
    out.print(
        f"\nSpeed: {fits:,} fits in {duration(seconds)}, {report.many(fits / seconds)} per second, compiling included\n"
    )
    for line in files(target, picture if drawn else None, SHOWS):
        out.print(line, soft_wrap=True)


def _overrides(
    settings: tuple[str, ...], starts: int | None, seed: int | None, precision: str | None
) -> list[Override]:
    changes = [Override.parse(text) for text in settings]
    for option, value in (("starts", starts), ("seed", seed), ("precision", precision)):
        if value is not None:
            changes.append(Override(f"fit.{option}", value, f"--{option} {value}"))
    return changes


def _tell(plan: FitPlan) -> None:
    """Before anything is fitted: what was done to the numbers, and who is left out and why."""
    for note in plan.notes:
        click.echo(f"note: {note}", err=True)
    if plan.excluded:
        click.echo(f"{len(plan.excluded):,} of {len(plan.names):,} cells cannot be fitted:", err=True)
        for i, why in list(plan.excluded.items())[:LISTED]:
            click.echo(f"  {plan.names[i]}: {why}", err=True)
        if len(plan.excluded) > LISTED:
            click.echo(f"  and {len(plan.excluded) - LISTED:,} more (in the variable left_out of the file)", err=True)


def _planned(plan: FitPlan, target: pathlib.Path) -> dict[str, str]:
    """What would be fitted, with the time from a trial of some of the cells."""
    some = plan.part(np.linspace(0, len(plan.kept) - 1, min(len(plan.kept), TRIAL)).astype(int))
    began = time.perf_counter()
    run(some)
    ready = time.perf_counter() - began
    again = time.perf_counter()
    run(some)
    each = (time.perf_counter() - again) / (len(some.kept) * (plan.starts or 1))
    fits = len(plan.kept) * (plan.starts or 1)
    told = {
        "question": escape(" ".join(plan.question.split())),
        "membrane": f"{plan.preset}, {_range(plan.membrane.celsius)} °C, mechanisms {', '.join(plan.membrane.order)}",
        "dynamic": ", ".join(f"{name} {side}" for name, side in plan.membrane.pools()) or "nothing",
    }
    if plan.table is not None:
        left = f", {len(plan.excluded):,} cannot be" if plan.excluded else ""
        told["table"] = escape(f"{plan.table}: {len(plan.names):,} rows, {len(plan.kept):,} can be fitted{left}")
        own = [path for path, p in plan.membrane.parameters().items() if np.ndim(p.value) and path != "initial_v"]
        told["each cell's own"] = ", ".join(own) or "nothing"
    units = {path: p.unit for path, p in plan.membrane.parameters().items()}
    told["free"] = "; ".join(
        f"{path} {x.low:.3g} … {x.high:.3g} {pretty(units[path])}".strip()
        + (" (one value for all)" if x.shared else "")
        for path, x in plan.free.items()
    )
    if plan.tied:
        told["tied"] = "; ".join(f"{path} = {ratio:.4g} {to}" for path, (to, ratio) in plan.tied.items())
    for name, aim in plan.aims.items():
        lines = []
        for value, sd, at in zip(aim.value, aim.sd, aim.at, strict=True):
            there = np.isfinite(value)
            size = f"{_range(value[there])} ± {_range(sd[there])} {pretty(unit_of(plan.membrane, aim.of))}"
            with_what = "".join(f", {path} {x:g}" for path, x in at.items())
            lines.append(f"{size} in {int(there.sum()):,} cell{'s' if there.sum() != 1 else ''}{with_what}")
        told[f"target {name}"] = "\n".join(lines)
    method = plan.method if isinstance(plan.method, str) else ", then ".join(plan.method)
    starts = f"{plan.starts or 1:,} start{'s' if (plan.starts or 1) > 1 else ''}"
    trial = f"a trial of {len(some.kept)} cells ran at {report.many(1 / each)} fits/s"
    told["method"] = f"{method}, {starts} (seed {plan.seed}), {plan.precision}"
    told["time"] = f"about {duration(ready + fits * each)} ({trial})"
    told["would write"] = escape(f"{target}, {target.with_suffix('.png')}") + "; this was a dry run, nothing is written"
    return told


def _range(x: Any) -> str:
    """A number, or the 5 to 95 % range of several."""
    x = np.asarray(x, float).ravel()
    if not x.size:
        return "-"
    low, high = np.quantile(x, (0.05, 0.95))
    return f"{low:.4g}" if f"{low:.4g}" == f"{high:.4g}" else f"{low:.4g} … {high:.4g}"


def _about(plan: FitPlan, seconds: float) -> dict[str, Any]:
    return {
        "question": " ".join(plan.question.split()),
        "preset": plan.preset,
        "seed": plan.seed,
        "method": plan.method,
        "table": plan.table,
        "notes": list(plan.notes),
        "experiment_file": plan.file,
        "precision": plan.precision,
        "seconds": seconds,
        "device": str(jax.devices()[0].device_kind),
    }


def _draw(found: Fits, plan: FitPlan, picture: pathlib.Path, target: pathlib.Path) -> bool:
    from jaxmem import plots

    figure = plots.fits(found, title=plan.report.title or " ".join(plan.question.split()))
    save_figure(figure, picture, target)
    return True
