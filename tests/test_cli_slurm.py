"""jaxmem slurm: a script that bash reads, that submits what it says, and whose tasks make the scan."""

import itertools
import os
import pathlib
import subprocess
import sys

import click.testing
import pytest

import jaxmem as jm
from jaxmem.cli.commands import cli

ROOT = pathlib.Path(__file__).parents[1]
EXPERIMENT = """\
question = "Where do cells rest in baths of different potassium?"

[membrane]
preset = "pump_leak"

[scan]
ask = "rest"
design = "random"
points = 24
seed = 1

[scan.axes]
k.outside = { low = "2 mM", high = "12 mM" }
"""


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A directory whose name wants quotes, with an experiment, a cluster's sbatch and a Python that tell what they got."""
    place = tmp_path / "Anna's scans"
    (place / "env" / "bin").mkdir(parents=True)
    (place / "bath.toml").write_text(EXPERIMENT)
    for path, words in (("env/bin/python", "python"), ("sbatch", "sbatch")):
        (place / path).write_text(f"#!/bin/bash\nprintf '%s\\0' {words} \"$@\" >> \"$CALLS\"\necho '4711;cluster'\n")
        (place / path).chmod(0o755)
    monkeypatch.chdir(place)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(place / "calls"))
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID", raising=False)
    return place


def script(*options: str, status: int = 0) -> str:
    result = click.testing.CliRunner().invoke(cli, ["slurm", "bath.toml", *options])
    assert result.exit_code == status, result.output
    return result.stdout if status == 0 else result.output


def run(folder: pathlib.Path, *options: str, **environment: str) -> list[list[str]]:
    """What the script calls."""
    (folder / "calls").unlink(missing_ok=True)
    subprocess.run(
        ["bash", "bath.sh", *options], cwd=folder, env=os.environ | environment, check=True, capture_output=True
    )
    words = (folder / "calls").read_text().split("\0")[:-1]
    begins = [i for i, word in enumerate(words) if word in ("python", "sbatch")] + [len(words)]
    return [words[a:b] for a, b in itertools.pairwise(begins)]


def test_the_script_submits_parts_and_a_merge_behind_them(folder):
    text = script("--tasks", "12", "--time", "02:00:00", "--partition", "long", "--gpus-per-task", "2")
    (folder / "bath.sh").write_text(text)
    subprocess.run(["bash", "-n", "bath.sh"], cwd=folder, check=True)
    directives = [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH")]
    assert {"--array=1-12", "--time=02:00:00", "--partition=long", "--gpus-per-task=2", "--requeue"} <= set(directives)
    commands = [i for i, line in enumerate(text.splitlines()) if line and not line.startswith("#")]
    assert max(i for i, line in enumerate(text.splitlines()) if line.startswith("#SBATCH")) < commands[0]

    parts, merge = run(folder, "--account=lab")
    assert parts == ["sbatch", "--parsable", "--array=1-12", "--account=lab", str(folder / "bath.sh")]
    assert "--dependency=afterany:4711" in merge and "--account=lab" in merge
    assert not any(word.startswith("--gpus") for word in merge)
    again, _ = run(folder, PARTS="3,7")
    assert "--array=3,7" in again


def test_each_task_computes_its_part(folder):
    (folder / "out").mkdir()
    options = ["--tasks", "3", "--venv", "env", "--set", 'k.inside="130 mM"', "--seed", "5", "-o", "out/there.h5"]
    (folder / "bath.sh").write_text(script(*options))
    for k in "123":
        ((_, *words),) = run(folder, SLURM_ARRAY_TASK_ID=k)
        assert words[:3] == ["-m", "jaxmem", "scan"]
        asked = cli.commands["scan"].make_context("scan", words[3:]).params
        assert asked["part"] == f"{k}/3" and asked["seed"] == 5
        assert asked["settings"] == ('k.inside="130 mM"',)
        assert asked["experiment"] == str(folder / "bath.toml") and asked["output"] == str(folder / "out/there.h5")


def test_what_is_merged_and_what_is_said_where_parts_are_missing(folder):
    (folder / "bath.sh").write_text(script("--tasks", "3", "--venv", "env"))
    _, merge = run(folder)
    (folder / "calls").unlink()
    wrapped = merge[merge.index("--wrap") + 1]
    subprocess.run(["sh", "-c", wrapped], check=True, capture_output=True)
    assert (folder / "calls").read_text().split("\0")[1:-1] == ["-m", "jaxmem", "merge", str(folder / "bath.h5")]
    (folder / "env/bin/python").write_text("#!/bin/bash\nexit 1\n")
    failed = subprocess.run(["sh", "-c", wrapped], capture_output=True, text=True)
    assert failed.returncode == 1 and "submit the parts again" in failed.stdout


def test_what_is_no_scan_has_no_script(folder):
    assert "24 points" in script("--tasks", "25", status=2)
    (folder / "bath.toml").write_text(EXPERIMENT.replace("k.outside", "kk.outside"))
    assert "kk.outside" in script(status=2)


@pytest.mark.slow
def test_the_tasks_make_the_scan(folder):
    (folder / "bath.sh").write_text(script("--tasks", "2", "--chunk", "6"))
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": os.environ["JAXMEM_TEST_COMPILATION_CACHE"],
        "PYTHONPATH": str(ROOT),
    }
    for k in "12":
        subprocess.run(["bash", "bath.sh"], env=environment | {"SLURM_ARRAY_TASK_ID": k}, check=True)
    _, merge = run(folder)
    wrapped = merge[merge.index("--wrap") + 1]
    done = subprocess.run(["sh", "-c", wrapped], env=environment, check=True, capture_output=True, text=True)
    assert "merged already" in done.stdout  # the part that was last has done it
    assert jm.read_scan("bath.h5").counts == {0: 24}
    assert sys.executable in (folder / "bath.sh").read_text()
