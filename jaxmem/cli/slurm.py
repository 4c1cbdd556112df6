"""``jaxmem slurm``: the script that runs a scan as a job array, and merges it."""

import pathlib
import shlex
import sys

import click

from jaxmem import __version__
from jaxmem.cli.errors import UserError
from jaxmem.cli.simulate import overrides
from jaxmem.study.scanning.file import load_scan

# $@ goes to both jobs: --account=..., --mem=...
SCRIPT = """\
#!/bin/bash
# The scan of {experiment} in {tasks} parts, for SLURM; made by jaxmem {version}.
#
# bash with the name of this file submits the parts, and a job behind them that merges. Options of sbatch behind the name
# (--account=lab --mem=8G) go to both; PARTS=3,7-9 before it submits only these parts.
#
# Nothing is lost when a part ends early (time limit, lost node, scancel): submit the same script again. What is done
# has its shard in {folder}; parts that are complete end at once.
#
#SBATCH --job-name={job}
#SBATCH --array=1-{tasks}
#SBATCH --ntasks=1
{directives}#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output={job}-%A_%a.log
set -euo pipefail
script=$(readlink -f -- "${{BASH_SOURCE[0]}}")
cd {directory}
# what your cluster needs before Python (module load cuda, ...) goes here

if [ -z "${{SLURM_ARRAY_TASK_ID:-}}" ]; then
    job=$(sbatch --parsable --array="${{PARTS:-1-{tasks}}}" "$@" "$script")
    job=${{job%%;*}}
    sbatch --dependency="afterany:$job" --job-name={job}-merge --output={job}-merge-%j.log \\
        {merging}"$@" --wrap {wrap}
    echo "parts: job $job; how far they are:" {status}
    exit
fi

exec {scan} --part "$SLURM_ARRAY_TASK_ID/{tasks}"
"""


def slurm(
    experiment: str, output: str | None, settings: tuple[str, ...], seed: int | None, chunk: int | None, tasks: int,
    gpus_per_task: int | None, cpus_per_task: int | None, time: str | None, partition: str | None, venv: str | None,
) -> None:  # fmt: skip
    from jaxmem.study.problems import Override

    file = pathlib.Path(experiment).absolute()
    changes = overrides(settings, None, None) + (
        [Override("scan.seed", seed, f"--seed {seed}")] if seed is not None else []
    )
    plan = load_scan(file, changes)
    if tasks > plan.points:
        raise UserError(f"--tasks {tasks} of {plan.points:,} points: there would be parts without any")
    target = pathlib.Path(output or f"{file.stem}.h5").absolute()
    python = str(pathlib.Path(venv).absolute() / "bin" / "python") if venv is not None else sys.executable
    scan = [python, "-m", "jaxmem", "scan", str(file), "-o", str(target), "--no-figure"]
    for setting in settings:
        scan += ["--set", setting]
    scan += [] if seed is None else ["--seed", str(seed)]
    scan += [] if chunk is None else ["--chunk", str(chunk)]
    scan += [] if gpus_per_task is None else ["--device", "gpu"]
    merge = [python, "-m", "jaxmem", "merge", str(target)]
    job = "".join(c if c.isalnum() or c in "-_." else "-" for c in file.stem)
    name = f"{job}.sh"
    again = "not complete; submit the parts again with the same script (those that are done end at once)"
    wrap = f"cd {shlex.quote(str(target.parent))} && {shlex.join(merge)} || {{ echo {shlex.quote(again)}; exit 1; }}"
    wanted = {"gpus-per-task": gpus_per_task, "cpus-per-task": cpus_per_task, "time": time, "partition": partition}
    given = {key: value for key, value in wanted.items() if value is not None}
    merging = {key: value for key, value in given.items() if key in ("time", "partition")}
    click.echo(
        SCRIPT.format(
            version=__version__,
            experiment=_in_a_line(file),
            tasks=tasks,
            name=name,
            folder=_in_a_line(f"{target}.scan"),
            job=job,
            directives="".join(f"#SBATCH --{key}={value}\n" for key, value in given.items()),
            directory=shlex.quote(str(target.parent)),
            merging="".join(f"--{key}={shlex.quote(str(value))} " for key, value in merging.items()),
            wrap=shlex.quote(wrap),
            status=shlex.quote(shlex.join([python, "-m", "jaxmem", "status", str(target)])),
            scan=shlex.join(scan),
        ),
        nl=False,
    )
    if sys.stdout.isatty():
        click.echo(f"note: keep it in a file and submit it: jaxmem slurm {experiment} > {name}; bash {name}", err=True)


def _in_a_line(path: object) -> str:
    """For a comment, which must not end before its line."""
    return " ".join(str(path).split())
