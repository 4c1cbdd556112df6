"""The commands around scans: running them, in parts and on clusters, and looking after what they write."""

import os
from typing import Any

import click

from jaxmem.cli.group import EXISTING, NEW, RESULT, cli


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
    if options["workers"] or options["dask"]:  # whoever hands out the work leaves the GPU's memory to who does it
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    from jaxmem.cli.process import prepare

    prepare(options["device"])
    from jaxmem.cli.scan import scan

    scan(**options)


@cli.command(short_help="The script that runs a scan on a SLURM cluster.")
@click.argument("experiment", type=EXISTING)
@click.option("-o", "--output", type=NEW, help="The HDF5 file of the scan (default: EXPERIMENT.h5 in this directory).")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="As for 'jaxmem scan'.")
@click.option("--seed", type=click.IntRange(0), help="As --set scan.seed=N.")
@click.option("--chunk", type=click.IntRange(1), help="Points at a time, as for 'jaxmem scan'.")
@click.option("--tasks", type=click.IntRange(1), default=16, show_default=True, help="Parts, each a task of the array.")
@click.option("--gpus-per-task", type=click.IntRange(1), metavar="K", help="GPUs of each part.")
@click.option("--cpus-per-task", type=click.IntRange(1), metavar="K", help="Cores of each part.")
@click.option("--time", metavar="LIMIT", help="Time limit of each part, as SLURM has it: 04:00:00.")
@click.option("--partition", help="The partition of the cluster.")
@click.option("--venv", metavar="PATH", help="The virtual environment with jaxmem (default: that of this command).")
def slurm(**options: Any) -> None:
    """Print a script for bash and sbatch: a job array that computes a scan in parts, and a job behind it that merges.

    What is done is kept, whatever ends a part; the same script submitted again computes what is missing.

    \b
    jaxmem slurm landscape.toml --tasks 100 --cpus-per-task 8 --time 04:00:00 > landscape.sh
    bash landscape.sh                              submits it
    jaxmem status landscape.h5                     how far it is
    """
    from jaxmem.cli.process import prepare

    prepare("cpu")
    from jaxmem.cli.slurm import slurm

    slurm(**options)


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
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="As given to 'jaxmem scan'.")
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
@click.argument("file", type=RESULT)
@click.option("-o", "--output", type=NEW, help="The page to write, .html (default: FILE.html).")
@click.option("--overwrite", is_flag=True, help="Replace a page that exists.")
def report(**options: Any) -> None:
    """Write one HTML page about a scan that needs nothing else: to show, to send around, to print, for a phone."""
    from jaxmem.cli.report import report

    report(**options)
