"""A simulation that is killed at any moment and started again ends in the same bits; its memory does not grow with time."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import jaxmem as jm
from jaxmem.study import hdf5

PROGRAM = """
import sys
import jax
jax.config.update("jax_compilation_cache_dir", sys.argv[3])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
import numpy as np
import jaxmem as jm
from test_checkpoint import asked, cells
sim = jm.simulate(cells(), float(sys.argv[4]), checkpoint=jm.Checkpoint(sys.argv[1], every=float(sys.argv[5])), **asked())
sim.save(sys.argv[2])
"""


def cells() -> jm.Membrane:
    """600 neurons, one of which explodes within the run."""
    g = np.linspace(10.0, 60.0, 600)
    g[77] = np.inf
    return jm.presets.pumped_neuron().with_parameters({"sodium.g": g})


def asked() -> dict[str, Any]:
    noisy = jm.StepCurrent(amplitude=3.0, start=5.0, stop=1e9)
    ouabain = jm.Drug("pump.i_max", jm.TimeCourse([100.0], [0.001], tau=300.0), half=0.001)
    record = [jm.Record(("v", "na.inside"), every=1.0), jm.Record("k.inside", every=0.7, cells=[1, 77, 9], name="some")]
    return dict(stimulus=noisy, changes=ouabain, record=record, measures=["spike_count", "mean_v"], precision="float32")


def run(folder: Path, target: Path, cache: Path, duration: float, every: float) -> subprocess.Popen:
    command = [sys.executable, "-c", PROGRAM, *map(str, (folder, target, cache, duration, every))]
    path = os.pathsep.join([str(Path(jm.__file__).parents[1]), str(Path(__file__).parent)])
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})


def same(a: jm.Simulation, b: jm.Simulation) -> None:
    for x, y in zip(jax.tree.leaves(a.final_state), jax.tree.leaves(b.final_state), strict=True):
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()
    assert a.traces.keys() == b.traces.keys() and a.measures.keys() == b.measures.keys()
    for name, x in {**a.traces, **a.measures}.items():
        assert np.array_equal(x, {**b.traces, **b.measures}[name], equal_nan=True), name


def test_killed_and_started_again_until_it_is_through(tmp_path: Path) -> None:
    folder, target, cache = tmp_path / "checkpoint", tmp_path / "run.h5", tmp_path / "cache"
    duration, steps = 2000.0, []
    for kill in range(2):
        process = run(folder, target, cache, duration, 0.2)
        before = (folder / "state.npz").stat().st_mtime_ns if (folder / "state.npz").exists() else 0
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            state = folder / "state.npz"
            try:
                if state.stat().st_mtime_ns > before:
                    break
            except FileNotFoundError:
                pass
            time.sleep(0.01)
        time.sleep(0.05 * kill)  # somewhere in the next stretch
        process.send_signal(signal.SIGKILL)
        process.wait()
        if target.exists():
            break
        with np.load(folder / "state.npz") as arrays:
            steps.append(max(int(x) for x in arrays.values() if x.ndim == 0 and x.dtype == np.int32))
    assert steps and steps == sorted(set(steps)) and steps[-1] < 80_000  # each got further, none to the end
    process = run(folder, target, cache, duration, 0.5)
    assert process.wait(timeout=300) == 0
    assert not folder.exists()
    same(jm.load(target), jm.simulate(cells(), duration, **asked()))
    assert jm.load(target).failures == {jm.Status.NOT_FINITE.reason: 1}


def test_checkpoints_of_another_simulation_are_refused(tmp_path: Path) -> None:
    keep = jm.Checkpoint(tmp_path / "c", keep=True)
    jm.simulate(cells(), 10.0, checkpoint=keep, **asked())
    assert json.loads((tmp_path / "c" / "run.json").read_text())["identity"]
    with pytest.raises(ValueError, match="another simulation"):
        jm.simulate(cells().with_parameters({"potassium.g": 6.0}), 10.0, checkpoint=keep, **asked())
    with pytest.raises(ValueError, match="another simulation"):
        jm.simulate(cells(), 10.0, dt=0.05, checkpoint=keep, **asked() | {"record": ()})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match="holds no checkpoints"):
        jm.simulate(cells(), 10.0, checkpoint=jm.Checkpoint(tmp_path / "mine"), **asked())


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    keep, steps = jm.Checkpoint(tmp_path / "c", keep=True), []
    first = jm.simulate(cells(), 50.0, checkpoint=keep, **asked())
    again = jm.simulate(cells(), 50.0, checkpoint=keep, progress=lambda done, total: steps.append(done), **asked())
    same(first, again)
    assert steps == []


def test_large_results_are_written_without_a_copy_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sim = jm.simulate(cells(), 20.0, **asked())
    sim.save(tmp_path / "small.h5")
    monkeypatch.setattr(hdf5, "IN_MEMORY", 0)
    sim.save(tmp_path / "large.h5")
    same(jm.load(tmp_path / "large.h5"), jm.load(tmp_path / "small.h5"))
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 100})())
    with pytest.raises(OSError, match="no room"):
        sim.save(tmp_path / "none.h5")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["large.h5", "small.h5"]


@pytest.mark.slow
def test_memory_is_flat_in_duration(tmp_path: Path) -> None:
    """Three times as long, three times the samples (180 MB, 530 MB), the same memory within what allocation varies by."""
    program = """
import resource, sys
import numpy as np
import jaxmem as jm
cells = jm.presets.pumped_neuron().with_parameters({"sodium.g": np.linspace(10.0, 60.0, 512)})
record = jm.Record(("v", "na.inside", "k.inside"), every=0.25)
sim = jm.simulate(cells, float(sys.argv[1]), precision="float32", record=record, checkpoint=jm.Checkpoint(sys.argv[2], every=0.5))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    peaks = []
    for duration in (7200.0, 21_600.0):
        done = subprocess.run(
            [sys.executable, "-c", program, str(duration), str(tmp_path / f"{duration}")],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] < peaks[0] + 0.4 * (530 - 180), peaks


@pytest.mark.slow
def test_the_same_line_typed_again_goes_on(tmp_path: Path) -> None:
    experiment = tmp_path / "long.toml"
    experiment.write_text(
        'question = "Does it go on?"\n[membrane]\npreset = "pumped_neuron"\n[population]\ncells = 600\n'
        '[population.vary]\nsodium.g = {distribution = "lognormal", sd = 0.2}\n'
        '[stimulus]\nkind = "constant"\namplitude = 2.0\n[run]\nduration = "2 s"\n'
    )
    target = tmp_path / "long.h5"
    line = [sys.executable, "-m", "jaxmem", "simulate", str(experiment), "-o", str(target), "--no-figure"]
    process = subprocess.Popen([*line, "--checkpoint", "0.2"], cwd=Path(jm.__file__).parents[1])
    folder, deadline = tmp_path / "long.h5.checkpoint", time.monotonic() + 120
    while not (folder / "state.npz").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait() != 0 and not target.exists() and (folder / "state.npz").exists()
    done = subprocess.run(
        [*line, "--checkpoint", "5"], cwd=Path(jm.__file__).parents[1], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert not folder.exists()
    whole = subprocess.run([*line[:5], "-o", str(tmp_path / "b.h5"), "--no-figure"], cwd=Path(jm.__file__).parents[1])
    assert whole.returncode == 0
    same(jm.load(target), jm.load(tmp_path / "b.h5"))
