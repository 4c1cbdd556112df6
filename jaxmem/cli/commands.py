"""The commands and their options. Nothing heavy is imported until one runs, so that ``--help`` answers at once."""

from typing import Any

import click

from jaxmem.cli import scan_commands as scan_commands  # which puts its own into the group
from jaxmem.cli.group import EXISTING, KIND, NEW, PRECISION, RESULT, cli


@cli.command(short_help="Run an experiment file.")
@click.argument("experiment", type=EXISTING)
@click.option("-o", "--output", type=NEW, help="The HDF5 file to write (default: EXPERIMENT.h5 in this directory).")
@click.option(
    "--set", "settings", multiple=True, metavar="PATH=VALUE",
    help="Replace a value of the file: run.dt=0.01, population.cells=100, or a parameter: pump.i_max=\"1.2 uA/cm^2\".",
)  # fmt: skip
@click.option("--cells", type=click.IntRange(1), help="As --set population.cells=N.")
@click.option("--seed", type=click.IntRange(0), help="As --set population.seed=N.")
@click.option("--precision", type=PRECISION, help="As --set run.precision=...")
@click.option("--device", type=click.Choice(["cpu", "gpu"]), help="Where to run (default: a GPU if there is one).")
@click.option(
    "--checkpoint", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
    help="Keep a checkpoint every so many seconds in OUT.h5.checkpoint; the same line typed again goes on from the last one.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Check everything, say what would run and how long; write nothing.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("--no-figure", is_flag=True, help="Do not draw the overview beside the result.")
def simulate(**options: Any) -> None:
    """Simulate an experiment file and write one HDF5 file and one figure."""
    from jaxmem.cli.process import prepare

    prepare(options["device"])
    from jaxmem.cli.simulate import simulate

    simulate(**options)


@cli.command(short_help="Find where the cells of an experiment file rest.")
@click.argument("experiment", type=EXISTING)
@click.option(
    "-o", "--output", type=NEW, help="The HDF5 file to write (default: EXPERIMENT-rest.h5 in this directory)."
)
@click.option(
    "--set", "settings", multiple=True, metavar="PATH=VALUE",
    help="Replace a value of the file: population.cells=100, initial.v=-60, or a parameter: pump.i_max=\"1.2 uA/cm^2\".",
)  # fmt: skip
@click.option("--cells", type=click.IntRange(1), help="As --set population.cells=N.")
@click.option("--seed", type=click.IntRange(0), help="As --set population.seed=N.")
@click.option(
    "--precision", type=PRECISION, default="float64", show_default=True,
    help="Of the numbers in the file; they are solved in float64.",
)  # fmt: skip
@click.option("--device", type=click.Choice(["cpu", "gpu"]), help="Where to solve (default: a GPU if there is one).")
@click.option("--dry-run", is_flag=True, help="Check everything, say what would be solved and how long; write nothing.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("--no-figure", is_flag=True, help="Do not draw the figure beside the result.")
def rest(**options: Any) -> None:
    """Find the resting state of every cell of an experiment file; write one HDF5 file and one figure.

    The same file as for "jaxmem simulate": its membrane, population and initial voltage are used, the
    rest of it (run, stimulus, output, ...) is not. Each cell goes to the steady state that it reaches
    from its initial voltage and concentrations: all currents of living ions are zero there.

    \b
    Per cell: v, concentrations, input resistance, time constant, pump current, ATP per
    second, the varied parameters; status and residual say what became of each.

    \b
    jaxmem rest cells.toml                       writes cells-rest.h5 and cells-rest.png
    jaxmem rest cells.toml --cells 1000000       a million of them
    jaxmem rest cells.toml --set k.outside=8     in a bath with 8 mM K+
    """
    from jaxmem.cli.process import prepare

    prepare(options["device"])
    from jaxmem.cli.rest import rest

    rest(**options)


@cli.command(short_help="Fit cells to what was measured of them.")
@click.argument("experiment", type=EXISTING)
@click.option("-o", "--output", type=NEW, help="The HDF5 file to write (default: EXPERIMENT.h5 in this directory).")
@click.option(
    "--set", "settings", multiple=True, metavar="PATH=VALUE",
    help="Replace a value of the file: data.table=my_cells.csv, fit.method=adam, or a parameter: pump.i_max=\"1.2 uA/cm^2\".",
)  # fmt: skip
@click.option("--starts", type=click.IntRange(1), help="As --set fit.starts=N: begin each fit at N points.")
@click.option("--seed", type=click.IntRange(0), help="As --set fit.seed=N.")
@click.option("--precision", type=PRECISION, help="As --set fit.precision=...")
@click.option("--device", type=click.Choice(["cpu", "gpu"]), help="Where to fit (default: a GPU if there is one).")
@click.option("--dry-run", is_flag=True, help="Check everything, say what would be fitted and how long; write nothing.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("--no-figure", is_flag=True, help="Do not draw the figure beside the result.")
def fit(**options: Any) -> None:
    """Fit one cell, or each row of a table of measured cells; write one HDF5 file and one figure.

    The file says what is measured and how well ([data] for a table, [fit.targets] for numbers in the file), how
    it was recorded ([recording]: junction potential, temperature, pipette and bath), the cell ([membrane]) and
    what may change, between which bounds ([fit.free]). Cells that cannot be fitted, for instance at a rest below
    the potassium equilibrium, are listed first, with the reason.

    \b
    Per fit: parameters, residuals, status, standard errors; in words: what the targets fix and what not.

    \b
    jaxmem fit cells.toml                           writes cells.h5 and cells.png
    jaxmem fit cells.toml --dry-run                 what would be fitted, and who cannot be
    jaxmem fit cells.toml --set data.table=my.csv   the same of other cells
    jaxmem fit cells.toml --starts 32               is there more than one solution?
    """
    from jaxmem.cli.process import prepare

    prepare(options["device"])
    from jaxmem.cli.fit import fit

    fit(**options)


@cli.command(short_help="What a result file holds.")
@click.argument("file", type=RESULT)
@click.option("--experiment", is_flag=True, help="Print the experiment file that it came from, and nothing else.")
def show(file: str, experiment: bool) -> None:
    """What a result file holds: the question, the cells, measures, variables, provenance."""
    from jaxmem.cli.results import show

    show(file, experiment)


@cli.command(short_help="Draw a figure of a result.")
@click.argument("file", type=RESULT)
@click.option("--kind", type=KIND, default="overview", show_default=True, help="Which figure.")
@click.option("-o", "--output", type=NEW, help="The picture, .png, .pdf or .svg (default: FILE-KIND.png).")
@click.option("--cell", "cells", type=int, multiple=True, help="A recorded cell to show; may be given several times.")
@click.option(
    "--measure",
    "measures",
    multiple=True,
    help="The measure of a map, the output of a scan; several for distributions.",
)
@click.option("--overwrite", is_flag=True, help="Replace a picture that exists.")
def plot(**options: Any) -> None:
    """Draw a figure of a result."""
    from jaxmem.cli.process import prepare

    prepare("cpu")
    from jaxmem.cli.results import plot

    plot(**options)


@cli.command(short_help="Write points or cells as a CSV file.")
@click.argument("file", type=RESULT)
@click.option("-o", "--output", type=NEW, help="The CSV file to write, - for stdout (default: FILE.csv).")
@click.option("--where", metavar="CONDITION", help="Only points for which this is true.")
@click.option("--region", "name", metavar="NAME", help="Only points of this region of the experiment file.")
@click.option("--columns", metavar="A,B,C", help="Which columns, in this order (default: all).")
@click.option("--overwrite", is_flag=True, help="Replace a file that exists.")
def export(**options: Any) -> None:
    """Write the points of a scan, or the cells of any other result, as a CSV file with a row each.

    Lines that begin with "#" tell the units. The design "list" of a scan reads it: ask more of a region's points.

    \b
    jaxmem export landscape.h5                                         all points
    jaxmem export landscape.h5 --where "v between -72 mV and -68 mV and atp_per_second < 2e8"
    jaxmem export landscape.h5 --region "rests well" -o well.csv
    jaxmem export rest.h5 --columns cell,v,na.inside --where "not v > -60"
    """
    from jaxmem.cli.process import prepare

    prepare("cpu")
    from jaxmem.cli.export import export

    export(**options)


@cli.command(short_help="List the published membranes, or tell one.")
@click.argument("name", required=False)
def presets(name: str | None) -> None:
    """List the published membranes; with NAME one of them, with every parameter."""
    from jaxmem.cli.process import prepare

    prepare("cpu")
    from jaxmem.cli.about import presets

    presets(name)


@cli.command(short_help="What simulations can run on here.")
def devices() -> None:
    """What simulations can run on here, and how this process is set up for it."""
    from jaxmem.cli.process import prepare

    prepare()
    from jaxmem.cli.about import devices

    devices()


@cli.command(short_help="Run one cell of a result again, in full.")
@click.argument("file", type=RESULT)
@click.option("--cell", type=click.IntRange(0), required=True, help="Index of the cell, of a scan of the point.")
@click.option(
    "-o", "--output", type=NEW, help="Where to write its full traces (default: FILE-cell-N.h5, FILE-point-N.h5)."
)
@click.option("--device", type=click.Choice(["cpu", "gpu"]), help="Where to run (default: a GPU if there is one).")
@click.option("--overwrite", is_flag=True, help="Replace a file that exists.")
def rerun(**options: Any) -> None:
    """Run one cell of a result again, recording everything, and check that it ends in the same bits."""
    from jaxmem.cli.process import prepare

    prepare(options["device"])
    from jaxmem.cli.results import rerun

    rerun(**options)
