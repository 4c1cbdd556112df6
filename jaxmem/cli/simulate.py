"""``jaxmem simulate``: from an experiment file to a result, a figure and a table."""

import pathlib
import shutil
from typing import Any

import click
import jax
from rich.markup import escape

from jaxmem import report
from jaxmem.cli import errors
from jaxmem.cli.errors import UserError
from jaxmem.cli.plan import planned
from jaxmem.cli.terminal import Progress, console, size
from jaxmem.cli.written import save_figure
from jaxmem.engine.checkpoint import Checkpoint
from jaxmem.engine.request import Execution
from jaxmem.engine.simulate import simulate as simulate_membrane
from jaxmem.engine.simulation import Simulation
from jaxmem.study.experiment import Experiment, load
from jaxmem.study.files import check_target
from jaxmem.study.problems import Override


def simulate(
    experiment: str, output: str | None, settings: tuple[str, ...], cells: int | None, seed: int | None,
    precision: str | None, device: str | None, checkpoint: float | None, dry_run: bool, overwrite: bool, no_figure: bool,
) -> None:  # fmt: skip
    target = pathlib.Path(output or pathlib.Path(experiment).with_suffix(".h5").name)
    picture = None if no_figure else target.with_suffix(".png")
    if not dry_run:
        for path in filter(None, (target, picture)):
            free(path, overwrite)
    changes = overrides(settings, cells, seed, precision)
    execution = Execution(device=find_device(device))
    folder = target.with_name(f"{target.name}.checkpoint")
    kept = None if checkpoint is None else Checkpoint(folder, every=checkpoint, keep=True)
    out = console()
    written = False
    with Progress() as progress:
        try:
            progress.phase(f"Reading {experiment}")
            plan = load(experiment, changes)
            for note in plan.notes:
                click.echo(f"note: {note}", err=True)
            if dry_run:
                progress.phase("Timing a trial")
                told = planned(plan, execution, target)
            else:
                result = _run(plan, execution, progress, kept)
                progress.phase("Writing")
                _save(result, plan, target, overwrite)
                written = True
                if kept is not None:
                    shutil.rmtree(folder)
                progress.phase("Drawing")
                drawn = picture is not None and _draw(result, plan, picture, target)
        except KeyboardInterrupt:
            done = f" at {progress.fraction:.0%}" if progress.fraction else ""
            text = f"interrupted; {target} is complete" if written else f"interrupted{done}; nothing written"
            if kept is not None and folder.exists() and not written:
                text += f"; the same line typed again goes on from the last checkpoint in {folder}"
            raise KeyboardInterrupt(text) from None
    if dry_run:
        out.print(report.pairs(told))
        return
    out.print(f"[bold]{escape(' '.join(plan.question.split()))}[/bold]\n")
    out.print(report.of(result))
    out.print()
    for line in _files(target, picture if drawn else None):
        out.print(line, soft_wrap=True)
    if picture is not None and not drawn:
        click.echo("no figure: nothing was recorded or measured that could be drawn", err=True)


def find_device(wanted: str | None) -> Any:
    """The device asked for; None is JAX's own choice."""
    if wanted is None:
        return None
    try:
        return jax.devices(wanted)[0]
    except RuntimeError:
        there = ", ".join(sorted({d.platform for d in jax.devices()}))
        raise UserError(
            f"there is no {wanted} that JAX can use here (it sees: {there}). For an NVIDIA GPU install jaxmem with the "
            "extra cuda12 or cuda13, whichever your driver supports ('nvidia-smi' tells), and see 'jaxmem devices'; "
            "without --device it runs on what there is"
        ) from None


def overrides(
    settings: tuple[str, ...], cells: int | None, seed: int | None, precision: str | None = None
) -> list[Override]:
    """What the command line says in place of the file."""
    changes = [Override.parse(text) for text in settings]
    for option, place, value in (
        ("--cells", "population.cells", cells),
        ("--seed", "population.seed", seed),
        ("--precision", "run.precision", precision),
    ):
        if value is not None:
            changes.append(Override(place, value, f"{option} {value}"))
    return changes


def free(path: pathlib.Path, overwrite: bool) -> None:
    """Check, before hours are spent, that a file can be written here."""
    try:
        check_target(path, overwrite)
    except FileExistsError as error:
        raise UserError(f"{error} (--overwrite replaces it)") from None


def _run(plan: Experiment, execution: Execution, progress: Progress, checkpoint: Checkpoint | None) -> Simulation:
    if plan.initial == "steady":
        progress.phase(f"Finding {plan.cells:,} steady states")
    setup = plan.build()
    progress.phase(f"Simulating {plan.cells:,} cells for {plan.duration:g} ms")
    done = simulate_membrane(
        setup.membrane,
        stimulus=setup.stimulus,
        initial=setup.initial,
        execution=execution,
        progress=progress.run,
        checkpoint=checkpoint,
        **setup.how,
    )
    return plan.finished(done)


def _save(result: Simulation, plan: Experiment, target: pathlib.Path, overwrite: bool) -> None:
    about = {
        "question": " ".join(plan.question.split()),
        "preset": plan.preset,
        "seed": plan.seed,
        "experiment_file": plan.file,
    }
    result.save(target, overwrite=overwrite, experiment=plan.text, attributes=about)


def _draw(result: Simulation, plan: Experiment, picture: pathlib.Path, target: pathlib.Path) -> bool:
    """Draw the overview; False where nothing was kept that could be drawn."""
    from jaxmem import plots

    try:
        figure = plots.overview(result, title=" ".join(plan.question.split()))
    except ValueError as error:
        if errors.status(error) is None:
            raise
        return False
    save_figure(figure, picture, target)
    return True


def _files(target: pathlib.Path, picture: pathlib.Path | None) -> list[str]:
    """What was written and how to look at it, in lines that can be copied."""
    name = escape(str(target))
    told = [f"[bold]{name}[/bold]  {size(target.stat().st_size)}"]
    if picture is not None:
        told.append(f"[bold]{escape(str(picture))}[/bold]  the overview")
    return [
        *told,
        f"  jaxmem show {name}",
        f"  jaxmem plot {name} --kind reversals    [dim]or voltage, concentrations, currents, map, distributions[/dim]",
        f"  jaxmem rerun {name} --cell 0           [dim]one cell with every variable[/dim]",
        f"  python -c 'import jaxmem as jm; print(jm.load(\"{name}\").measures)'",
        f'  python -c \'import xarray; print(xarray.open_dataset("{name}", engine="h5netcdf"))\'',
    ]
