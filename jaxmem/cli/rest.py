"""``jaxmem rest``: from an experiment file to the resting state of each of its cells."""

import contextlib
import pathlib
import time
import tomllib
from typing import Any

import click
import jax
import numpy as np
from rich.markup import escape

from jaxmem import report
from jaxmem.cli.plan import TRIAL_CELLS, groups_of, range_of
from jaxmem.cli.simulate import find_device, free, overrides
from jaxmem.cli.terminal import Progress, console, duration, size
from jaxmem.cli.written import files, save_figure
from jaxmem.membrane.parameters import declared
from jaxmem.study.experiment import Experiment, load
from jaxmem.study.rests import BLOCK, Rests, find_rests, save_rests

UNUSED = ("run", "stimulus", "output", "schedule", "drug", "amplifier")  # sections that say what is done to cells

SHOWS = "where the cells rest, with which ions, at what cost"  # what the figure does


def rest(
    experiment: str, output: str | None, settings: tuple[str, ...], cells: int | None, seed: int | None, precision: str,
    device: str | None, dry_run: bool, overwrite: bool, no_figure: bool,
) -> None:  # fmt: skip
    target = pathlib.Path(output or f"{pathlib.Path(experiment).stem}-rest.h5")
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
            plan = load(experiment, overrides(settings, cells, seed), rest=True)
            notes = [*plan.notes, *_unused(plan)]
            for note in notes:
                click.echo(f"note: {note}", err=True)
            if dry_run:
                progress.phase("Timing a trial")
                out.print(report.pairs(_planned(plan, target, precision)))
                return
            progress.phase(f"Finding {plan.cells:,} resting states")
            began = time.perf_counter()
            found = find_rests(
                plan.membrane, plan.cells, labels=plan.labels, precision=precision, progress=progress.run
            )
            seconds = time.perf_counter() - began
            progress.phase("Writing")
            _save(found, plan, target, overwrite, seconds, precision)
            written = True
            progress.phase("Drawing")
            drawn = picture is not None and _draw(found, plan, picture, target)
        except KeyboardInterrupt:
            done = f" at {progress.fraction:.0%}" if progress.fraction else ""
            text = f"interrupted; {target} is complete" if written else f"interrupted{done}; nothing written"
            raise KeyboardInterrupt(text) from None
    out.print(f"[bold]{escape(' '.join(plan.question.split()))}[/bold]\n")
    out.print(report.rests(found))
    rate = report.many(plan.cells / seconds)
    out.print(f"Speed: {plan.cells:,} cells in {duration(seconds)}, {rate} per second, compiling included\n")
    for line in files(target, picture if drawn else None, SHOWS):
        out.print(line, soft_wrap=True)
    if picture is not None and not drawn:
        click.echo("no figure: no cell has a resting state", err=True)


def _unused(plan: Experiment) -> list[str]:
    there = [name for name in UNUSED if name in tomllib.loads(plan.text)]
    return [f"a resting state needs no {', '.join(f'[{name}]' for name in there)}: not used"] if there else []


def _planned(plan: Experiment, target: pathlib.Path, precision: str) -> dict[str, str]:
    """What would be solved, with memory and time from a trial of some of the cells."""
    some = plan.part(np.linspace(0, plan.cells - 1, min(plan.cells, TRIAL_CELLS)).astype(int))
    began = time.perf_counter()
    find_rests(some.membrane, some.cells)
    ready = time.perf_counter() - began
    found = find_rests(some.membrane, some.cells)
    rate = some.cells / max(time.perf_counter() - began - ready, 1e-6)
    kept = sum(v.values.nbytes for v in found.variables.values()) / some.cells * plan.cells
    given = sum(np.asarray(x).nbytes for _, x, _ in declared(plan.membrane))
    block = min(plan.cells, BLOCK) * 8 * 20 * (len(found.ions) + 4)  # numbers of a cell while it is solved, about
    varied = [path for path in plan.varied if not path.startswith("stimulus.")]
    return {
        "question": escape(" ".join(plan.question.split())),
        "membrane": f"{plan.preset}, {plan.membrane.celsius:g} °C, mechanisms {', '.join(plan.membrane.order)}",
        "dynamic": ", ".join(f"{name} {side}" for name, side in plan.membrane.pools()) or "nothing",
        "varied": ", ".join(range_of(path, plan) for path in varied) or "nothing",
        "groups": groups_of(plan),
        "cells": f"{plan.cells:,} (seed {plan.seed}), solved {min(plan.cells, BLOCK):,} at a time",
        "per cell": f"{', '.join(found.variables)} (in {precision})",
        "memory": f"about {size(kept + given + block)} (numbers per cell {size(kept)}, parameters {size(given)})",
        "time": f"about {duration(ready + plan.cells / rate)} (a trial of {some.cells} cells ran at "
        f"{report.many(rate)} cells/s)",
        "would write": escape(f"{target}, {target.with_suffix('.png')}") + "; this was a dry run, nothing is written",
    }


def _save(
    found: Rests, plan: Experiment, target: pathlib.Path, overwrite: bool, seconds: float, precision: str
) -> None:
    about: dict[str, Any] = {
        "question": " ".join(plan.question.split()),
        "preset": plan.preset,
        "seed": plan.seed,
        "experiment_file": plan.file,
        "precision": precision,
        "seconds": seconds,
        "device": str(jax.devices()[0].device_kind),
    }
    save_rests(found, plan.membrane, target, experiment=plan.text, attributes=about, overwrite=overwrite)


def _draw(found: Rests, plan: Experiment, picture: pathlib.Path, target: pathlib.Path) -> bool:
    """Draw the overview; False where no cell has a rest."""
    from jaxmem import plots

    if not found.resting.any():
        return False
    figure = plots.rests(found, title=" ".join(plan.question.split()))
    save_figure(figure, picture, target)
    return True
