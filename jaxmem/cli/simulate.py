"""``jaxmem simulate``: from an experiment file to a result, a figure and a table."""

import pathlib
from typing import Any

import click
import jax
from rich.markup import escape

from jaxmem import report
from jaxmem.cli.errors import UserError
from jaxmem.cli.plan import planned
from jaxmem.cli.terminal import Progress, console, size
from jaxmem.engine.simulate import Execution
from jaxmem.engine.simulate import simulate as simulate_membrane
from jaxmem.engine.simulation import Simulation
from jaxmem.study.experiment import Experiment, load
from jaxmem.study.files import check_target
from jaxmem.study.problems import Override


def simulate(
    experiment: str, output: str | None, settings: tuple[str, ...], cells: int | None, seed: int | None,
    precision: str | None, device: str | None, dry_run: bool, overwrite: bool, no_figure: bool,
) -> None:  # fmt: skip
    target = pathlib.Path(output or pathlib.Path(experiment).with_suffix(".h5").name)
    picture = None if no_figure else target.with_suffix(".png")
    if not dry_run:
        for path in filter(None, (target, picture)):
            _free(path, overwrite)
    changes = [Override.parse(text) for text in settings]
    for option, place, value in (
        ("--cells", "population.cells", cells),
        ("--seed", "population.seed", seed),
        ("--precision", "run.precision", precision),
    ):
        if value is not None:
            changes.append(Override(place, value, f"{option} {value}"))
    execution = Execution(device=find_device(device))
    out = console()
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
                result = _run(plan, execution, progress)
                progress.phase("Writing")
                _save(result, plan, target, overwrite)
                if picture is not None:
                    progress.phase("Drawing")
                    drawn = _draw(result, plan, picture)
        except KeyboardInterrupt:
            done = f" at {progress.fraction:.0%}" if progress.fraction else ""
            text = (
                f"interrupted{done}; nothing written"
                if not target.exists() or overwrite
                else f"interrupted; {target} is written"
            )
            raise KeyboardInterrupt(text) from None
    if dry_run:
        out.print(report.pairs(told))
        return
    out.print(f"[bold]{escape(' '.join(plan.question.split()))}[/bold]\n")
    out.print(report.of(result))
    out.print()
    out.print(report.pairs(_files(target, picture if picture and drawn else None)))
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


def _free(path: pathlib.Path, overwrite: bool) -> None:
    try:
        check_target(path, overwrite)
    except FileExistsError as error:
        raise UserError(f"{error} (--overwrite replaces it)") from None


def _run(plan: Experiment, execution: Execution, progress: Progress) -> Simulation:
    if plan.initial == "steady":
        progress.phase(f"Finding {plan.cells:,} steady states")
    setup = plan.build()
    progress.phase(f"Simulating {plan.cells:,} cells for {plan.duration:g} ms")
    return simulate_membrane(
        setup.membrane,
        stimulus=setup.stimulus,
        initial=setup.initial,
        execution=execution,
        progress=progress.run,
        **setup.how,
    )


def _save(result: Simulation, plan: Experiment, target: pathlib.Path, overwrite: bool) -> None:
    about = {
        "question": " ".join(plan.question.split()),
        "preset": plan.preset,
        "seed": plan.seed,
        "experiment_file": plan.file,
    }
    result.save(target, overwrite=overwrite, experiment=plan.text, attributes=about)


def _draw(result: Simulation, plan: Experiment, picture: pathlib.Path) -> bool:
    from jaxmem import plots

    try:
        figure = plots.overview(result, title=" ".join(plan.question.split()))
    except ValueError:
        return False
    plots.save(figure, picture)
    return True


def _files(target: pathlib.Path, picture: pathlib.Path | None) -> dict[str, str]:
    name = escape(str(target))
    told = {name: f"{size(target.stat().st_size)}; look inside with  jaxmem show {name}"}
    if picture is not None:
        told[escape(str(picture))] = (
            f"overview; more with  jaxmem plot {name} --kind reversals  (or voltage, currents, map, ...)"
        )
    told["one cell in detail"] = f"jaxmem rerun {name} --cell 0"
    told["in Python"] = f'import jaxmem as jm; sim = jm.load("{name}"); sim.measures, sim.traces'
    told["with xarray"] = f'xarray.open_dataset("{name}", engine="h5netcdf")'
    return told
