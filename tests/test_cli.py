"""The command line: what a user sees, every exit status, and a result that can be looked at and run again."""

import ast
import errno
import importlib.metadata
import os
import pathlib
import subprocess
import sys
from typing import Any

import click.testing
import jax
import numpy as np
import pytest

import jaxmem as jm
from jaxmem.cli import commands, process, terminal
from jaxmem.cli.commands import cli

ROOT = pathlib.Path(__file__).parents[1]

EXPERIMENT = """\
question = "Which of six cells answer a step with a spike?"

[membrane]
preset = "pumped_neuron"

[population]
cells = 6
seed = 2

[population.vary]
stimulus.amplitude = { distribution = "values", values = [0, 0.5, 1, 5, 10, 20] }
sodium.g = { distribution = "lognormal", sd = 0.1 }

[stimulus]
kind = "step"
amplitude = 0
start = 2
stop = 12

[run]
duration = 15
dt = 0.025

[[output.traces]]
variables = ["v", "na.inside", "na.e", "k.e", "cl.e"]
every = 0.5
"""


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A working directory with an experiment in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "six.toml").write_text(EXPERIMENT)
    return tmp_path


def call(*arguments: str, status: int = 0) -> str:
    """What a command says; fails where it ends with another status, or with a traceback."""
    result = click.testing.CliRunner().invoke(cli, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, str]:
    """A result that the tests share, and what was said when it was made."""
    here = tmp_path_factory.mktemp("six")
    (here / "six.toml").write_text(EXPERIMENT)
    said = call("simulate", str(here / "six.toml"), "-o", str(here / "six.h5"))
    return here / "six.h5", said


# ---------------------------------------------------------------------- start-up
@pytest.mark.parametrize(
    "statement",
    ["import jaxmem", "import jaxmem.__main__ as m, sys; sys.argv = ['jaxmem', '--help']; m.main()"],
)
def test_no_heavy_import_before_it_is_needed(statement: str) -> None:
    code = f"""
import sys
try:
    {statement}
except SystemExit as end:
    assert not end.code
heavy = {{"jax", "numpy", "equinox", "h5py", "matplotlib", "pydantic", "rich", "scipy"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True)


def test_the_facade_says_the_same_to_people_and_type_checkers() -> None:
    tree = ast.parse((ROOT / "jaxmem/__init__.py").read_text())
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    imported = {
        name.asname: (node.module, name.name)
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    expected = {name: (home, name) for name, home in jm._HOME.items()}
    expected |= {name: tuple(home.rsplit(".", 1)) for name, home in jm._MODULES.items()}  # type: ignore[misc]
    assert imported == expected
    for name in jm.__all__:
        assert getattr(jm, name) is not None
        assert name in dir(jm)
    with pytest.raises(AttributeError, match="has no attribute 'simulat'"):
        jm.simulat  # noqa: B018


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> pathlib.Path:
    """As if JAX were not yet imported, with nothing set and a home of its own."""
    monkeypatch.delitem(sys.modules, "jax")
    for name in ("JAX_ENABLE_X64", "XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR", "JAX_PLATFORMS", "XDG_CACHE_HOME",
                 "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):  # fmt: skip
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_process_is_set_up(fresh: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.10.2")
    process.prepare("cpu")
    assert os.environ["JAX_ENABLE_X64"] == "1" and os.environ["JAX_PLATFORMS"] == "cpu"
    assert os.environ["XLA_FLAGS"] == process.WHILE_LOOP_FLAG
    kept = pathlib.Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
    assert kept.is_dir() and kept.is_relative_to(fresh)


def test_later_versions_of_jax_need_no_flag(fresh: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.12.0")
    process.prepare()
    assert "XLA_FLAGS" not in os.environ and "JAX_PLATFORMS" not in os.environ


def test_what_is_set_is_respected(fresh: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.10.2")
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_extra_options=mine=1")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/mine")
    process.prepare()
    assert os.environ["XLA_FLAGS"] == "--xla_backend_extra_options=mine=1"
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "/mine"
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=here")
    process.prepare()
    assert os.environ["XLA_FLAGS"] == f"--xla_dump_to=here {process.WHILE_LOOP_FLAG}"


def test_a_home_that_cannot_be_written(fresh: pathlib.Path) -> None:
    fresh.write_text("a file where the directory should be")
    process.prepare()
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ


# ---------------------------------------------------------------------- simulate, show, plot, rerun
def test_simulate(six: tuple[pathlib.Path, str]) -> None:
    path, said = six
    assert path.exists() and path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    sim = jm.load(path)
    spikes = sim.measures["spike_count"]
    silent, spiked = int((spikes == 0).sum()), int((spikes > 0).sum())
    assert silent and spiked and silent + spiked == 6
    for text in (
        "Which of six cells answer a step with a spike?", "6 cells", "stayed silent", "spiked", "failed",
        "resting potential", "drift before the stimulus", "above 0.1 mV/min", "Na⁺ inside at start", "ATP use",
        "Books: charge closes to", "cell-steps in", "jaxmem show", "jaxmem plot", "jm.load", "six.png",
    ):  # fmt: skip
        assert text in said, text
    assert f"{silent} {silent / 6:.1%} stayed silent" in " ".join(said.split())
    assert f"{np.median(sim.measures['resting_potential']):.4g}" in said


def test_the_same_experiment_gives_the_same_bits(six: tuple[pathlib.Path, str], folder: pathlib.Path) -> None:
    call("simulate", "six.toml", "-o", "again.h5", "--no-figure")
    assert not (folder / "again.png").exists()
    one, other = jm.load(six[0]), jm.load("again.h5")
    np.testing.assert_array_equal(one.traces["v"], other.traces["v"])
    for a, b in zip(jax.tree.leaves(one.final_state), jax.tree.leaves(other.final_state), strict=True):
        np.testing.assert_array_equal(a, b)


def test_every_kind_of_figure_is_offered() -> None:
    from jaxmem import plots

    assert list(commands.KIND.choices) == list(plots.KINDS)


def test_show(six: tuple[pathlib.Path, str]) -> None:
    said = " ".join(call("show", str(six[0])).split())
    for text in (
        "Which of six cells", "stayed silent", "resting_potential", "varied sodium.g", "31 time x 6 cell", "na.inside",
        "float32", "pumped_neuron", f"jaxmem {jm.__version__}", "seed 2",
    ):  # fmt: skip
        assert text in said, text
    assert call("show", str(six[0]), "--experiment") == EXPERIMENT


def test_plot(six: tuple[pathlib.Path, str], folder: pathlib.Path) -> None:
    assert call("plot", str(six[0]), "--kind", "voltage", "--cell", "4", "-o", "v.png").splitlines()[-1] == "v.png"
    assert (folder / "v.png").read_bytes().startswith(b"\x89PNG")
    assert "v.png exists" in call("plot", str(six[0]), "-o", "v.png", status=2)
    assert "ends in .png, .pdf or .svg" in call("plot", str(six[0]), "-o", "v.bmp", status=2)
    assert "shows all cells" in call("plot", str(six[0]), "--kind", "map", "--cell", "1", "-o", "m.png", status=2)
    assert "not recorded" in call("plot", str(six[0]), "--kind", "currents", "-o", "c.png", status=2)
    assert {p.name for p in folder.iterdir()} == {"six.toml", "v.png"}


def test_rerun_gives_the_same_bits(six: tuple[pathlib.Path, str], folder: pathlib.Path) -> None:
    said = call("rerun", str(six[0]), "--cell", "4", "-o", "one.h5")
    assert "Same bits" in said
    whole, one = jm.load(six[0]), jm.load("one.h5")
    assert one.time.size == 601 and "pump.i_na" in one.traces and "sodium.m" in one.traces
    np.testing.assert_array_equal(one.traces["v"][::20, 0], whole.traces["v"][:, 4])
    assert one.measures["spike_count"][0] == whole.measures["spike_count"][4]
    assert "has no cell 6; its cells are 0 to 5" in call("rerun", str(six[0]), "--cell", "6", "-o", "x.h5", status=2)
    assert "one.h5 exists" in call("rerun", str(six[0]), "--cell", "4", "-o", "one.h5", status=2)


def test_rerun_says_where_the_bits_differ(six: tuple[pathlib.Path, str], folder: pathlib.Path) -> None:
    import dataclasses

    sim = jm.load(six[0])
    s = sim.stimulus
    nudged = jm.StepCurrent(amplitude=s.amplitude + 1e-3, start=s.start, stop=s.stop)
    dataclasses.replace(sim, stimulus=nudged).save("changed.h5")
    assert "Not the same bits" in call("rerun", "changed.h5", "--cell", "4", "-o", "one.h5")


def test_dry_run(folder: pathlib.Path) -> None:
    said = call("simulate", "six.toml", "--dry-run", "--cells", "6", "--set", "run.duration=30 ms")
    assert list(folder.iterdir()) == [folder / "six.toml"]
    for text in ("1,200 of 0.025 ms", "30 ms in float32", "7.2 thousand", "kB (states", "sodium.g (",
                 "from 2 to 12 ms, carried by k", "5 variables of 6 cells every 0.5 ms (61 samples)",
                 "nothing is written"):  # fmt: skip
        assert text in " ".join(said.split()), text


def test_settings_reach_the_result(folder: pathlib.Path) -> None:
    said = call(
        "simulate", "six.toml", "-o", "o.h5", "--no-figure", "--precision", "float64", "--seed", "5",
        "--set", "run.duration=1", "--set", "pump.i_max=1.2 uA/cm^2",
        "--set", "output.measures=['final_v']", "--set", "stimulus.start=0.5",
    )  # fmt: skip
    assert "ran to the end" in said
    sim = jm.load("o.h5")
    assert sim.precision == "float64" and sim.duration == 1.0 and set(sim.measures) == {"final_v"}
    assert sim.membrane.parameters()["pump.i_max"].value == 1.2
    shown = call("show", "o.h5", "--experiment")
    assert "# overridden: --seed 5\n" in shown and "# overridden: --set pump.i_max=1.2 uA/cm^2\n" in shown


# ---------------------------------------------------------------------- what is wrong, and with what status
def test_a_bad_file(folder: pathlib.Path) -> None:
    (folder / "bad.toml").write_text(EXPERIMENT.replace("cells = 6", "cells = -6").replace("preset", "prset"))
    said = call("simulate", "bad.toml", "-o", "out.h5", status=2)
    assert "error: 2 problems" in said
    assert "bad.toml:4: membrane.prset: there is no key 'prset' here; did you mean 'preset'?" in said
    assert "bad.toml:7: population.cells: must be at least 1; found -6" in said
    assert not (folder / "out.h5").exists()
    assert "six.tml" in call("simulate", "six.tml", status=2)


def test_a_dt_that_does_not_fit(folder: pathlib.Path) -> None:
    said = call("simulate", "six.toml", "--set", "run.dt=0.04", status=2)
    assert (
        "output.traces[0].every: dt 0.04 ms does not divide 0.5 ms; the nearest interval that fits is 0.48 ms" in said
    )


def test_outputs_that_cannot_be(folder: pathlib.Path, six: tuple[pathlib.Path, str]) -> None:
    before = six[0].read_bytes()
    said = call("simulate", "six.toml", "-o", str(six[0]), status=2)
    assert "exists" in said and "--overwrite replaces it" in said
    assert six[0].read_bytes() == before
    assert "does not exist" in call("simulate", "six.toml", "-o", "nowhere/out.h5", status=2)
    (folder / "out.png").write_text("a picture")
    assert "out.png exists" in call("simulate", "six.toml", "-o", "out.h5", status=2)


def test_files_that_are_no_results(folder: pathlib.Path, six: tuple[pathlib.Path, str]) -> None:
    (folder / "foreign.h5").write_text("no HDF5 at all")
    content = bytearray(six[0].read_bytes())
    content[len(content) // 2] ^= 255
    (folder / "damaged.h5").write_bytes(content)
    for command in (("show",), ("plot", "-o", "x.png"), ("rerun", "--cell", "0", "-o", "x.h5")):
        assert call(*command, "foreign.h5", status=2).splitlines()[-1].startswith("error: foreign.h5")
        assert "damaged" in call(*command, "damaged.h5", status=2)
    assert not (folder / "x.h5").exists() and not (folder / "x.png").exists()


@pytest.mark.skipif(any(d.platform == "gpu" for d in jax.devices()), reason="there is a GPU")
def test_a_gpu_where_there_is_none(folder: pathlib.Path) -> None:
    said = call("simulate", "six.toml", "--device", "gpu", status=2)
    assert "there is no gpu that JAX can use here (it sees: cpu)" in said and "cuda12" in said
    assert list(folder.iterdir()) == [folder / "six.toml"]


def test_a_full_disk(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jaxmem.study import files

    def full(descriptor: int, content: bytes) -> None:
        os.write(descriptor, content[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "_write", full)
    said = call("simulate", "six.toml", "-o", "out.h5", status=1)
    assert "error: " in said and "full" in said and "Traceback" not in said
    assert list(folder.iterdir()) == [folder / "six.toml"]


def test_interruption(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jaxmem.cli import simulate

    def interrupted(*arguments: Any, progress: Any, **more: Any) -> None:
        progress(43, 100)
        raise KeyboardInterrupt

    monkeypatch.setattr(simulate, "simulate_membrane", interrupted)
    assert "interrupted at 43%; nothing written" in call("simulate", "six.toml", "-o", "out.h5", status=130)
    assert list(folder.iterdir()) == [folder / "six.toml"]


def test_a_bug_keeps_its_traceback(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jaxmem.cli import simulate

    for bug in (lambda *_: {}["a bug"], lambda *_: np.zeros(2).reshape(3), lambda *_: 1 / 0):
        monkeypatch.setattr(simulate, "load", bug)
        with pytest.raises((KeyError, ValueError, ZeroDivisionError)):
            call("simulate", "six.toml")


def test_out_of_memory(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jaxmem.cli import simulate

    def too_much(*arguments: Any) -> None:
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes")

    monkeypatch.setattr(simulate, "load", too_much)
    assert "not enough memory; take fewer cells" in call("simulate", "six.toml", status=1)


# ---------------------------------------------------------------------- presets, devices, words
def test_presets() -> None:
    listed = call("presets")
    for name in jm.presets.names():
        assert name in listed
    said = " ".join(call("presets", "pumped_neuron").split())
    for path, p in jm.presets.pumped_neuron().parameters().items():
        assert f"{path} {float(p.value):.6g}" in said
    assert "doi:" in said and "dynamic concentrations:" in said and "na.inside" in said.split("concentrations:")[-1]
    assert "did you mean 'pump_leak'" in call("presets", "pump_leek", status=2)


def test_devices() -> None:
    said = call("devices")
    assert "cpu:0" in said and "GB" in said and "XLA_FLAGS" in said and f"jax {jax.__version__}" in said


def test_times_and_sizes_in_words() -> None:
    assert [terminal.duration(x) for x in (0.5, 42, 600, 36000)] == ["0.5 s", "42 s", "10 min", "10.0 h"]
    assert [terminal.size(x) for x in (12, 4380, 4.38e6, 123.4e6, 2.5e9)] == [
        "12 B",
        "4.38 kB",
        "4.38 MB",
        "123 MB",
        "2.5 GB",
    ]
