"""The commands and their options. Nothing heavy is imported until one runs, so that ``--help`` answers at once."""

import sys
from typing import Any

import click

from jaxmem import __version__
from jaxmem.cli import errors

EXISTING = click.Path(exists=True, dir_okay=False, readable=True)
NEW = click.Path(dir_okay=False)
PRECISION = click.Choice(["float32", "float64"])
KIND = click.Choice(["overview", "voltage", "concentrations", "reversals", "currents", "map", "distributions"])


class _Commands(click.Group):
    """Turns what a user can mend into one message and an exit status, and leaves bugs their tracebacks."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            click.echo(str(stop) or "interrupted; nothing written", err=True)
            sys.exit(errors.INTERRUPTED)
        except Exception as error:
            status = errors.status(error)
            if status is None:
                raise
            click.echo(f"error: {errors.text(error)}", err=True)
            sys.exit(status)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="jaxmem %(version)s")
def cli() -> None:
    """Populations of excitable membranes with electrogenic pumps and living ion concentrations.

    \b
    jaxmem simulate EXPERIMENT.toml -o OUT.h5   run an experiment
    jaxmem rest EXPERIMENT.toml -o REST.h5      where its cells rest, without running
    jaxmem fit EXPERIMENT.toml -o FIT.h5        the parameters that give what was measured
    jaxmem scan EXPERIMENT.toml -o SCAN.h5      a question at every point of a design
    jaxmem show OUT.h5                          what is in a result
    jaxmem plot OUT.h5 --kind reversals         a figure of it
    jaxmem export OUT.h5                        its points or cells as a CSV file
    """


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


@cli.command(short_help="Ask at every point of a design.")
@click.argument("experiment", type=EXISTING)
@click.option("-o", "--output", type=NEW, help="The HDF5 file to write (default: EXPERIMENT.h5 in this directory).")
@click.option(
    "--set", "settings", multiple=True, metavar="PATH=VALUE",
    help="Replace a value of the file: scan.points=1024, scan.axes.k.outside.points=5, or a parameter: pump.i_max=\"1.2 uA/cm^2\".",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0), help="As --set scan.seed=N.")
@click.option("--device", type=click.Choice(["cpu", "gpu"]), help="Where to compute (default: GPUs if there are any).")
@click.option("--chunk", type=click.IntRange(1), help="Points at a time (default: from a short trial and the memory).")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Compute in N processes of this machine.")
@click.option(
    "--dask", metavar="ADDRESS", help="Compute on a Dask cluster: tcp://host:port of its scheduler, or 'local'."
)
@click.option("--part", metavar="K/N", help="Compute the K-th of N parts alone, as tasks of a scheduler's array do.")
@click.option("--fresh", is_flag=True, help="Throw away what is there and begin anew.")
@click.option("--retry-failed", is_flag=True, help="Try chunks again that failed as a whole.")
@click.option("--dry-run", is_flag=True, help="Check everything, say what would be asked and how long; write nothing.")
@click.option("--no-figure", is_flag=True, help="Do not draw the overview beside the result.")
def scan(**options: Any) -> None:
    """Ask a question at every point of a design over parameters; write one HDF5 file and one figure.

    The file says what is simulated, put to rest or fitted, as for the commands of these names, and in [scan] what is
    asked (ask), over which axes ([scan.axes]), by which design. Points without an answer get a status and a reason.

    It may be stopped at any moment, by Ctrl-C, kill -9 or a power cut: the same line typed again goes on. Until all
    is merged the work is in OUT.h5.scan/ beside the result.

    \b
    jaxmem scan landscape.toml --dry-run            how many points, how long, how large
    jaxmem scan landscape.toml -o landscape.h5      runs, or goes on
    jaxmem scan landscape.toml --workers 8          in eight processes
    jaxmem scan landscape.toml --part 3/10          one of ten parts; 'jaxmem slurm' writes the script
    jaxmem status landscape.h5                      how far it is
    jaxmem report landscape.h5                      a page to show
    """
    from jaxmem.cli.process import prepare

    prepare(options["device"])
    from jaxmem.cli.scan import scan

    scan(**options)


@cli.command(short_help="How far a scan is.")
@click.argument("file", type=click.Path())
def status(file: str) -> None:
    """How far the scan is whose result FILE will be, who is at work on it, and what failed."""
    from jaxmem.cli.process import prepare

    prepare("cpu")
    from jaxmem.cli.scan_files import status

    status(file)


@cli.command(short_help="Merge a scan whose parts are all done.")
@click.argument("file", type=click.Path())
@click.option("--experiment", type=EXISTING, help="The experiment file, where it is no longer where it was.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="PATH=VALUE",
    help="As it was given to 'jaxmem scan', with --experiment.",
)
def merge(**options: Any) -> None:
    """Make one file of the shards in FILE.scan/, verify it, and remove them; 'jaxmem scan' does so by itself."""
    from jaxmem.cli.process import prepare

    prepare("cpu")
    from jaxmem.cli.scan_files import merge

    merge(**options)


@cli.command(short_help="Is a scan still what was computed?")
@click.argument("file", type=click.Path())
@click.option("--sample", type=click.IntRange(0), default=64, show_default=True, help="Points to compute again.")
@click.option("--device", type=click.Choice(["cpu", "gpu"]), help="Where to compute (default: a GPU if there is one).")
def verify(file: str, sample: int, device: str | None) -> None:
    """Check a scan: checksums, completeness, and some of its points computed again, to the bit."""
    from jaxmem.cli.process import prepare

    prepare(device)
    from jaxmem.cli.scan_files import verify

    verify(file, sample)


@cli.command(short_help="A page about a scan.")
@click.argument("file", type=EXISTING)
@click.option("-o", "--output", type=NEW, help="The page to write, .html (default: FILE.html).")
@click.option("--overwrite", is_flag=True, help="Replace a page that exists.")
def report(**options: Any) -> None:
    """Write one HTML page about a scan that needs nothing else: to show, to send around, to print, for a phone."""
    from jaxmem.cli.report import report

    report(**options)


@cli.command(short_help="What a result file holds.")
@click.argument("file", type=EXISTING)
@click.option("--experiment", is_flag=True, help="Print the experiment file that it came from, and nothing else.")
def show(file: str, experiment: bool) -> None:
    """What a result file holds: the question, the cells, measures, variables, provenance."""
    from jaxmem.cli.results import show

    show(file, experiment)


@cli.command(short_help="Draw a figure of a result.")
@click.argument("file", type=EXISTING)
@click.option("--kind", type=KIND, default="overview", show_default=True, help="Which figure.")
@click.option("-o", "--output", type=NEW, help="The picture, .png, .pdf or .svg (default: FILE-KIND.png).")
@click.option("--cell", "cells", type=int, multiple=True, help="A recorded cell to show; may be given several times.")
@click.option("--measure", "measures", multiple=True, help="The measure of a map; several for distributions.")
@click.option("--overwrite", is_flag=True, help="Replace a picture that exists.")
def plot(**options: Any) -> None:
    """Draw a figure of a result."""
    from jaxmem.cli.process import prepare

    prepare("cpu")
    from jaxmem.cli.results import plot

    plot(**options)


@cli.command(short_help="Write points or cells as a CSV file.")
@click.argument("file", type=EXISTING)
@click.option("-o", "--output", type=NEW, help="The CSV file to write (default: FILE.csv).")
@click.option("--where", metavar="CONDITION", help="Only points for which this is true.")
@click.option("--region", "name", metavar="NAME", help="Only points of this region of the experiment file.")
@click.option("--columns", metavar="A,B,C", help="Which columns, in this order (default: all).")
@click.option("--overwrite", is_flag=True, help="Replace a file that exists.")
def export(**options: Any) -> None:
    """Write the points of a scan, or the cells of any other result, as a CSV file with a row each.

    Lines that begin with "#" tell the units. A spreadsheet reads the file, and so does the design "list" of a scan:
    export the points of a region and scan them again, with more asked.

    \b
    jaxmem export landscape.h5                                         all points
    jaxmem export landscape.h5 --where "v between -72 mV and -68 mV and atp_per_second < 2e8"
    jaxmem export landscape.h5 --region "rests well" -o well.csv
    jaxmem export rest.h5 --columns cell,v,na.inside --where "status is ok and not v > -60"
    python -c 'import pandas; print(pandas.read_csv("well.csv", comment="#"))'
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
@click.argument("file", type=EXISTING)
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
