"""Scans: every point its answer or a reason, the same bits however it is cut, and nothing lost whatever happens."""

import dataclasses
import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from scan_kills import datasets

import jaxmem as jm
from jaxmem.study.files import StoreError
from jaxmem.study.scanning.checking import asked_again, verified
from jaxmem.study.scanning.executors.base import Died, Done, Executor, Failed, outcome
from jaxmem.study.scanning.lock import BusyError, holder, locked
from jaxmem.study.scanning.plan import Chunk
from jaxmem.study.scanning.run import run
from jaxmem.study.scanning.scan import planned
from jaxmem.study.scanning.shards import Folder, ScanError

KILLS = Path(__file__).with_name("scan_kills.py")


def parabola(at):
    with np.errstate(divide="ignore"):
        return {"y": at["a"] + at["b"] ** 2, "entire": 1 / (1 - at["a"])}


def stubborn(at):
    """Cannot be asked where a is 3."""
    if np.any(at["a"] == 3):
        raise ValueError("three is a crowd")
    return parabola(at)


def asks(function=parabola):
    gives = {"y": ("mV", "a + b^2"), "entire": ("1", "1/(1 - a)")}
    return jm.questions.Function(function, gives, {"a": (2.0, "1", "a"), "b": (1.0, "mV", "b")})


def grid(n=11, m=7):
    return jm.designs.Grid({"a": jm.Axis(0.0, n - 1.0, points=n), "b": jm.Axis(0.0, 3.0, points=m)})


def quietly(*given, **more):
    return jm.scan(*given, **({"note": None} | more))


@pytest.fixture
def leaky():
    """A pump-leak cell, and a design over it with points that cannot be and points without a rest."""
    axes = {
        "na_leak.g": jm.Axis(0.02, 0.5, scale="log", times="k_leak.g"),
        "pump.i_max": jm.Axis(0.0, 4.0, times="pump.i_max", name="pump_left"),
        "k.outside": jm.Axis("-1 mM", "20 mM"),
    }
    return jm.questions.Rests(jm.presets.pump_leak()), jm.designs.Sobol(axes, 300, seed=5)


# ---------------------------------------------------------------------- answers
def test_a_scan_of_rests_is_the_resting_state_of_each_point(tmp_path, leaky):
    question, design = leaky
    scan = quietly(question, design, output=tmp_path / "s.h5", question="Where?", chunk=128)
    status = scan["status"]
    assert scan.points == 300 and scan.question == "Where?"
    assert {scan.statuses[code][0] for code in scan.counts} >= {"OK", "INVALID_PARAMETER"}
    np.testing.assert_array_equal(status == 102, scan["k.outside"] < 0)
    assert scan.statuses[102][1] == "k.outside must be at least 0 mM"
    assert np.isnan(scan["v"][status != 0]).all() and np.isfinite(scan["v"][status == 0]).all()
    membrane = question.membrane
    some = np.flatnonzero(status == 0)[:5]
    at = {name: scan[name][some] for name in scan.axes}
    cells = membrane.with_parameters({
        "na_leak.g": at["na_leak.g_per_k_leak.g"] * membrane.parameters()["k_leak.g"].value,
        "pump.i_max": at["pump_left"] * membrane.parameters()["pump.i_max"].value,
        "k.outside": at["k.outside"],
    })  # fmt: skip
    np.testing.assert_array_equal(scan["v"][some], np.asarray(jm.resting_state(cells).v))
    assert scan.outputs["v"].unit == "mV" and scan.axes["k.outside"].unit == "mM"


def test_a_factor_follows_what_it_is_a_factor_of(tmp_path):
    axes = {"a": jm.Axis(1.0, 2.0, times="b"), "b": jm.Axis(2.0, 5.0, times="b", name="share")}
    scan = quietly(asks(), jm.designs.Random(axes, 40), output=tmp_path / "s.h5")
    share, factor = scan["share"], scan["a_per_b"]
    np.testing.assert_allclose(scan["y"], factor * share + share**2, rtol=1e-14)


def test_points_without_an_answer_have_a_reason_and_stop_nothing(tmp_path):
    listed = jm.designs.Listed({"a": np.array([0.0, 1.0, 2.0, 3.0, 4.0]), "b": np.full(5, 2.0)})
    scan = quietly(asks(stubborn), listed, output=tmp_path / "s.h5", chunk=5)
    names = [scan.statuses[code][0] for code in scan["status"]]
    assert names == ["OK", "NOT_FINITE", "OK", "ERROR", "OK"]
    assert scan.errors == {"3": "ValueError: three is a crowd"}
    np.testing.assert_array_equal(scan["y"], [4.0, np.nan, 6.0, np.nan, 8.0])
    assert sum(scan.counts.values()) == 5


def test_many_errors_do_not_take_for_ever(tmp_path):
    calls = []

    def never(at):
        calls.append(1)
        if len(at["a"]) > 1 or at["a"][0] != 2.0:
            raise ValueError("no")
        return parabola(at)

    plan = planned(asks(never), jm.designs.Random({"a": jm.Axis(0.0, 1.0)}, 20_000), chunk=20_000)
    scan = run(plan, tmp_path / "s.h5")
    assert scan.counts == {90: 20_000} and len(calls) < 1000
    assert "more than 200 of its points raise errors, the last ValueError: no" in scan.errors["0 to 19999"]


def test_a_simulation_at_each_point(tmp_path):
    question = jm.questions.Simulations(
        jm.presets.hodgkin_huxley_1952(), 20.0, ("spike_count", "maximum_v"), stimulus=jm.StepCurrent(10.0, 2.0, 4.0)
    )
    design = jm.designs.Grid(
        {"stimulus.amplitude": jm.Axis(values=[0.0, 2.0, 20.0]), "sodium.g": jm.Axis(values=[0.0, 120.0])}
    )
    scan = quietly(question, design, output=tmp_path / "s.h5", question="Who fires?")
    np.testing.assert_array_equal(scan.grid("spike_count"), [[0, 0], [0, 0], [0, 1]])
    alone = jm.simulate(
        jm.presets.hodgkin_huxley_1952(),
        20.0,
        stimulus=jm.StepCurrent(20.0, 2.0, 4.0),
        measures=["maximum_v"],
        precision="float32",
    )
    assert scan.grid("maximum_v")[2, 1] == np.float32(alone.measures["maximum_v"])


def test_noise_belongs_to_the_point_and_not_to_the_chunk(tmp_path):
    noisy = jm.questions.Simulations(
        jm.presets.hodgkin_huxley_1952(), 5.0, ("maximum_v",), stimulus=jm.WhiteNoise(sd=20.0, seed=3)
    )
    design = jm.designs.Random({"sodium.g": jm.Axis(100.0, 120.0)}, 9)
    one = quietly(noisy, design, output=tmp_path / "1.h5", chunk=9)["maximum_v"]
    many = quietly(noisy, design, output=tmp_path / "2.h5", chunk=2)["maximum_v"]
    np.testing.assert_array_equal(one, many)
    assert len(np.unique(one)) == 9


# ---------------------------------------------------------------------- the same bits
def test_the_bits_do_not_depend_on_the_chunks(tmp_path, leaky):
    found = [datasets(quietly(*leaky, output=tmp_path / f"{n}.h5", chunk=n).path) for n in (300, 128, 37)]
    assert found[0] == found[1] == found[2]
    assert {"v", "status", "point", "structure/index"} <= set(found[0])


def test_the_bits_do_not_depend_on_the_number_of_devices(tmp_path):
    code = """
        import sys, jax, numpy as np, jaxmem as jm
        from jaxmem.study.scanning.executors.in_process import InProcess
        species = {"na": jm.Species(inside=12.0, outside=145.0, valence=1), "k": jm.Species(inside=140.0, outside=4.0, valence=1)}
        leaks = {"na_leak": jm.Leak(g=0.02, ion="na"), "k_leak": jm.Leak(g=0.5, ion="k")}
        bag = jm.Membrane(mechanisms=leaks, species=species, geometry=jm.Sphere(radius=10.0), celsius=37.0, initial_v=-70.0)
        question = jm.questions.Rests(bag, keep=("v",))
        design = jm.designs.Sobol({"k.outside": jm.Axis(2.0, 20.0), "na_leak.g": jm.Axis(0.01, 0.5)}, 48)
        assert len(jax.devices()) == 3
        for n in (1, 3):
            executor = InProcess(jax.devices()[:n])
            jm.scan(question, design, output=f"{sys.argv[1]}/{n}.h5", chunk=8, executor=executor)
    """
    env = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=3", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), tmp_path], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert datasets(tmp_path / "1.h5") == datasets(tmp_path / "3.h5")


# ---------------------------------------------------------------------- interrupted, and gone on with
def stopped_after(chunks):
    def progress(done, total):
        if done >= chunks * 10:
            raise KeyboardInterrupt

    return progress


def begun(tmp_path, chunks=3, question=None, name="s.h5"):
    """A scan of 77 points that was interrupted after some chunks of 10."""
    output = tmp_path / name
    with pytest.raises(KeyboardInterrupt):
        quietly(question or asks(), grid(), output=output, chunk=10, question="What?", progress=stopped_after(chunks))
    return output, Folder(output)


def test_what_is_done_is_kept_and_not_computed_again(tmp_path):
    output, folder = begun(tmp_path)
    before = {c: folder.shard(c).stat().st_mtime_ns for c in folder.done()}
    assert len(before) >= 3 and not output.exists()
    seen = []
    told = []

    class Watching(Executor):
        def map(self, plan, chunks, output):
            for chunk in chunks:
                seen.append(chunk)
                assert {c: folder.shard(c).stat().st_mtime_ns for c in before} == before
                yield outcome(plan, chunk, output)

        def close(self):
            pass

    scan = quietly(asks(), grid(), output=output, chunk=4, question="What?", executor=Watching(), note=told.append)
    assert not set(seen) & set(before) and len(seen) + len(before) == 8
    assert "begun with chunks of 10 points" in told[0] and "were done before" in told[1]
    whole = quietly(asks(), grid(), output=tmp_path / "whole.h5", chunk=77, question="What?")
    assert datasets(scan.path) == datasets(whole.path)
    assert not folder.place.exists()
    again = quietly(asks(), grid(), output=output, question="What?", note=told.append)  # nothing is left to do
    assert "complete" in told[-1] and again.identity == scan.identity


def test_stopped_it_keeps_what_was_being_computed(tmp_path):
    told = []

    def slow(at):
        if len(at["a"]) == 10:
            told.append(at["a"][0])
            time.sleep(0.1)
        return parabola(at)

    _, folder = begun(tmp_path, chunks=2, question=asks(slow))
    assert len(folder.done()) == len(told) >= 2


def test_another_version_is_told(tmp_path, monkeypatch):
    output, _ = begun(tmp_path)
    monkeypatch.setattr("jaxmem.study.scanning.run.made_by", lambda: {"jaxmem": "9.9", "jax": "1", "numpy": "2"})
    told = []
    quietly(asks(), grid(), output=output, note=told.append)
    assert "was begun with jaxmem" in told[0] and "(here 9.9)" in told[0]


def test_another_experiment_is_refused_and_the_difference_shown(tmp_path):
    output, folder = begun(tmp_path)
    other = dataclasses.replace(asks(), takes={"a": (2.0, "1", "a"), "b": (5.0, "mV", "b")})
    with pytest.raises(ScanError, match=r"b: was 1\.0, is 5\.0"):
        quietly(other, grid(), output=output)
    with pytest.raises(ScanError, match="design, shape"):
        quietly(asks(), grid(11, 8), output=output)
    with pytest.raises(ValueError, match=r"the region .low.: .*there is no"):
        quietly(asks(), grid(), output=output, regions={"low": "z < 3"})
    scan = quietly(asks(), grid(), output=output, regions={"low": "y < 3"}, question="What else?")  # words may change
    assert scan.where("y < 3 and a >= 1").count == np.sum((scan["y"] < 3) & (scan["a"] >= 1))
    assert scan.regions == {"low": "y < 3"}
    with pytest.raises(ScanError, match="another scan; choose another output"):
        quietly(other, grid(), output=output)
    with pytest.raises(ScanError, match=r"another scan(.|\n)*design, axes, b, points: was 7, is 8"):
        quietly(asks(), grid(11, 8), output=output)
    fresh = quietly(other, grid(), output=output, fresh=True)
    assert fresh.identity != scan.identity and not folder.place.exists()


def test_a_result_of_another_kind_is_not_touched(tmp_path):
    path = tmp_path / "other.h5"
    jm.save_variables(path, {"x": ("n", np.arange(3.0), "mV", "x")})
    with pytest.raises(ScanError, match="no scan"):
        quietly(asks(), grid(), output=path)
    with pytest.raises(ScanError, match="no result of a scan"):
        quietly(asks(), grid(), output=path, fresh=True)
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("years of work")
    with pytest.raises(ScanError, match="no result of a scan"):
        quietly(asks(), grid(), output=thesis, fresh=True)
    assert path.exists() and thesis.read_text() == "years of work"


def test_errors_at_many_points_do_not_depend_on_the_chunk(tmp_path):
    def picky(at):
        if np.any(at["a"] % 3 == 0):
            raise KeyError("no multiple of three")
        return parabola(at)

    found = [datasets(quietly(asks(picky), grid(), output=tmp_path / f"{n}.h5", chunk=n).path) for n in (77, 16, 5)]
    assert found[0] == found[1] == found[2]


def test_what_other_parts_failed_at_is_counted(tmp_path):
    plan = planned(asks(), grid(), "What?", chunk=10)
    output = tmp_path / "s.h5"
    first = run(plan, output, part=(2, 2), executor=Deadly(9))  # one of its chunks is poison, one has no memory
    assert first.failed == 20 and not first.complete
    assert run(plan, output, part=(1, 2)).counts == {0: 50, 1: 7, 90: 10, 91: 10}


def test_a_part_that_comes_when_all_is_merged(tmp_path, monkeypatch):
    """It looked before, and the others finished before it had the lock."""
    plan = planned(asks(), grid(), "What?", chunk=10)
    output = tmp_path / "s.h5"
    looked = []

    def late(_):
        if not looked:  # the others finish now
            looked.append(1)
            run(plan, output)

    monkeypatch.setattr("jaxmem.study.scanning.run.check_regions", late)
    scan = run(plan, output, part=(1, 2))
    assert scan.points == 77 and not Folder(output).place.exists()


def test_two_coordinators_the_second_is_told_who_is_at_work(tmp_path):
    output, folder = begun(tmp_path)
    assert holder(folder.place / "lock") is None
    with locked(folder.place / "lock", str(output)):
        with pytest.raises(BusyError, match=f"worked on by process {os.getpid()} on .* since 20"):
            quietly(asks(), grid(), output=output)
        with pytest.raises(BusyError):
            quietly(asks(), grid(), output=output, fresh=True)
        assert f"process {os.getpid()}" in holder(folder.place / "lock")
    assert quietly(asks(), grid(), output=output).points == 77


def test_parts_make_one_result_and_one_may_come_twice(tmp_path):
    plan = planned(asks(), grid(), "What?", chunk=10)
    output = tmp_path / "s.h5"
    first = run(plan, output, part=(1, 2))
    assert (first.done, first.points, first.complete) == (40, 77, False)
    assert run(plan, output, part=(1, 2)).done == 40  # launched again: nothing to do
    with pytest.raises(BusyError), locked(Folder(output).place / "part-2-of-2.lock", "part"):
        run(plan, output, part=(2, 2))
    scan = run(plan, output, part=(2, 2))
    whole = quietly(asks(), grid(), output=tmp_path / "whole.h5", question="What?")
    assert datasets(scan.path) == datasets(whole.path)


# ---------------------------------------------------------------------- damage
def test_every_kind_of_damage_is_found_and_named(tmp_path):
    output, folder = begun(tmp_path, chunks=5)
    _, other = begun(tmp_path, chunks=5, question=asks(stubborn), name="other.h5")
    done = sorted(folder.done())
    cut, flipped, foreign, renamed, missing = (folder.shard(c) for c in done[:5])
    cut.write_bytes(cut.read_bytes()[:-200])
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 4
    flipped.write_bytes(content)
    foreign.write_bytes(other.shard(done[2]).read_bytes())
    renamed.write_bytes(folder.shard(done[4]).read_bytes())
    told = "\n".join(verified(output).wrong)
    for path in (cut, flipped, foreign, renamed):
        assert str(path) in told
    with pytest.raises(ScanError) as refused:
        quietly(asks(), grid(), output=output, question="What?")
    lines = {Path(line.partition(" ")[0]): line for line in str(refused.value).splitlines()[1:]}
    assert set(lines) == {cut, flipped, foreign, renamed}
    assert "another scan" in lines[foreign] and "renamed" in lines[renamed]
    assert not output.exists() and len(folder.done()) == len(done)  # told before anything more was computed
    for path in (cut, flipped, foreign, renamed, missing):
        path.unlink()
    scan = quietly(asks(), grid(), output=output, question="What?")
    whole = quietly(asks(), grid(), output=tmp_path / "whole.h5", question="What?")
    assert datasets(scan.path) == datasets(whole.path)


def test_a_missing_shard_is_named_by_whoever_merges(tmp_path):
    from jaxmem.study.scanning.merge import merge

    output, folder = begun(tmp_path)
    plan = planned(asks(), grid(), "What?", chunk=10)
    with pytest.raises(ScanError, match=r"000000000070-000000000077\.h5 is missing"):
        merge(plan, folder)
    assert not output.exists()


def test_verifying_a_result_computes_points_again(tmp_path, leaky):
    scan = quietly(*leaky, output=tmp_path / "s.h5")
    assert verified(scan.path).holds and "same bits" in "".join(verified(scan.path).found)
    again = asked_again(scan, np.array([4, 100]))
    np.testing.assert_array_equal(again["v"], scan["v"][[4, 100]])
    content = bytearray(scan.path.read_bytes())
    content[len(content) // 2] ^= 1
    scan.path.write_bytes(content)
    verdict = verified(scan.path)
    assert not verdict.holds and "damaged" in verdict.wrong[0]


def test_a_result_that_was_not_computed_so_is_found_out(tmp_path, leaky):
    import h5py

    scan = quietly(*leaky, output=tmp_path / "s.h5")
    with h5py.File(scan.path, "r+") as file:
        file["v"][...] = file["v"][...] + 1e-9
    verdict = verified(scan.path)
    assert any("no checksum" in line for line in verdict.wrong)
    assert any("v by up to" in line for line in verdict.wrong)


# ---------------------------------------------------------------------- chunks that kill, or cannot be
class Deadly(Executor):
    """Dies ``times`` with the chunk that begins at 30, and has no memory for the one at 50."""

    def __init__(self, times):
        self.left, self.beside = times, []

    def map(self, plan, chunks, output):
        chunks = list(chunks)
        for chunk in chunks:
            if chunk.start == 30 and self.left:
                self.left -= 1
                self.beside.append(len(chunks) - 1)
                yield Died(chunk, "killed by signal 9")
            elif chunk.start == 50:
                yield Failed(chunk, "not enough memory", False)
            else:
                yield outcome(plan, chunk, output)

    def close(self):
        pass


def test_a_deadly_chunk_is_tried_alone_and_then_left_out(tmp_path):
    told = []
    executor = Deadly(times=3)
    scan = quietly(asks(), grid(), output=tmp_path / "s.h5", chunk=10, executor=executor, note=told.append)
    assert executor.beside == [7, 0, 0]  # among others, then twice alone
    assert scan.counts == {0: 50, 1: 7, 90: 10, 91: 10}
    assert set(scan["status"][30:40]) == {91} and set(scan["status"][50:60]) == {90}
    assert np.isnan(scan["y"][30:40]).all()
    assert "killed its worker 3 times" in scan.errors["30 to 39"] and scan.errors["50 to 59"] == "not enough memory"
    assert any("left out" in text for text in told)


def test_failed_chunks_are_tried_again_when_asked(tmp_path):
    output = tmp_path / "s.h5"
    with pytest.raises(KeyboardInterrupt):
        quietly(asks(), grid(), output=output, chunk=10, executor=Deadly(9), progress=stopped_after(6))
    folder = Folder(output)
    assert folder.failed() == {Chunk(50, 60)}
    scan = quietly(asks(), grid(), output=output, retry_failed=True)
    assert scan.counts == {0: 70, 1: 7}


def test_a_chunk_that_kills_once_is_not_blamed(tmp_path):
    scan = quietly(asks(), grid(), output=tmp_path / "s.h5", chunk=10, executor=Deadly(times=1))
    assert 91 not in scan.counts and set(scan["status"][30:40]) <= {0, 1}


def test_a_full_disk_is_an_error_and_costs_nothing_that_is_done(tmp_path):
    """No file may be larger than some bytes: what a quota does. Then there is room again."""
    code = """
        import resource, signal, sys, jaxmem as jm
        sys.path.insert(0, sys.argv[2])
        from test_scanning import asks, grid
        from jaxmem.study.scanning.shards import Folder
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        output = sys.argv[1] + "/s.h5"
        def progress(done, total):
            if done >= 30:
                resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
        try:
            jm.scan(asks(), grid(), output=output, chunk=10, question="What?", progress=progress)
        except OSError as error:
            print(error)
        print(len(Folder(output).done()))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(jm.scan(asks(), grid(), output=output, question="What?").points)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), tmp_path, Path(__file__).parent]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert "no room" in said[0] and "kept" in said[0] and "same line again" in said[0]
    assert 3 <= int(said[1]) < 8 and said[-1] == "77"


def rough(at):
    """Numbers that do not compress."""
    return {f"z{i}": np.modf(np.sin(at["x"] * (i + 1) * 1e7) * 1e5)[0] for i in range(6)}


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2 MB, where one can be made."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("no disk can be made here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_small_disk_that_fills_up_and_grows(tmp_path, small_disk):
    gives = {f"z{i}": ("1", f"number {i}") for i in range(6)}
    question = jm.questions.Function(rough, gives, {"x": (0.5, "1", "x")})
    design = jm.designs.Random({"x": jm.Axis(0.0, 1.0)}, 80_000)
    grow = lambda size: subprocess.run(["mount", "-o", f"remount,size={size}", str(small_disk)], check=True)
    output = small_disk / "s.h5"
    with pytest.raises(OSError, match=r"no room for the .* the chunks that are done are kept"):
        quietly(question, design, output=output, chunk=4000)
    done = len(Folder(output).done())
    assert 3 < done < 20 and verified(output).holds
    grow("5m")  # enough for the shards, not for the file
    with pytest.raises(OSError, match="no room for the"):
        quietly(question, design, output=output)
    assert len(Folder(output).done()) == 20 and not output.exists()
    grow("20m")
    scan = quietly(question, design, output=output)
    assert datasets(scan.path) == datasets(quietly(question, design, output=tmp_path / "whole.h5").path)


def killed(place, kills, workers=0):
    """The report of so many kills at random moments."""
    command = [sys.executable, KILLS, place / "k", str(kills), "11", str(workers)]
    paths = os.pathsep.join([str(Path(jm.__file__).parents[1]), str(KILLS.parent)])
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths})
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["kills"] >= kills and told["left"] == []
    return told


def test_killed_at_random_moments_it_is_the_same_scan(tmp_path):
    killed(tmp_path, 3)


@pytest.mark.slow
def test_two_hundred_kills(tmp_path):
    assert set(killed(tmp_path, 200)["phases"]) >= {"computing", "merging"}


@pytest.mark.slow
def test_workers_that_are_killed(tmp_path):
    assert killed(tmp_path, 40, workers=2)["phases"]["worker"] > 10


# ---------------------------------------------------------------------- what is wrong is said
def test_errors_speak(tmp_path):
    rests, one = jm.questions.Rests(jm.presets.pump_leak()), jm.Axis(5.0, 10.0)
    with pytest.raises(jm.PathError, match=r"did you mean 'pump\.i_max'"):
        quietly(rests, jm.designs.Random({"pump.imax": one}, 3), output=tmp_path / "s.h5")
    with pytest.raises(ValueError, match=r"both called .na\.inside.; give the axis a name of its own"):
        quietly(rests, jm.designs.Random({"na.inside": one}, 3), output=tmp_path / "s.h5")
    with pytest.raises(ValueError, match="wants a design"):
        quietly(asks(), output=tmp_path / "s.h5")
    with pytest.raises(ValueError, match="without a cell axis"):
        jm.questions.Rests(jm.presets.pump_leak().with_parameters({"k.outside": np.ones(3)}))
    with pytest.raises(FileNotFoundError, match="does not exist"):
        quietly(asks(), grid(), output=tmp_path / "nowhere" / "s.h5")
    with pytest.raises(KeyError, match="there are a, b, y"):
        quietly(asks(), grid(), output=tmp_path / "s.h5")["z"]
    with pytest.raises(StoreError, match="no scan"):
        jm.save_variables(tmp_path / "v.h5", {"x": ("n", np.arange(3.0), "mV", "x")})
        jm.read_scan(tmp_path / "v.h5")


def test_a_scan_opens_with_xarray(tmp_path, leaky):
    import xarray

    scan = quietly(*leaky, output=tmp_path / "s.h5", question="Where?")
    with xarray.open_dataset(scan.path, engine="h5netcdf") as data:
        assert data.sizes == {"point": 300} and data.attrs["question"] == "Where?"
        assert data["v"].attrs["units"] == "mV" and data["k.outside"].attrs["units"] == "mmol L-1"
        np.testing.assert_array_equal(data["v"].values, scan["v"])


def test_memory_does_not_grow_with_the_points(tmp_path):
    """A design of a billion points is made, planned and its last chunk asked at once."""
    plan = planned(asks(), jm.designs.Sobol({"a": jm.Axis(0.0, 0.5), "b": jm.Axis(0.0, 1.0)}, 10**9), chunk=2**16)
    last = None
    for last in plan.chunks():  # noqa: B007
        pass
    assert last.stop == 10**9 and plan.count == 15259
    folder = Folder(tmp_path / "s.h5")
    folder.make()
    summary = outcome(plan, last, tmp_path / "s.h5")
    assert isinstance(summary, Done) and summary.summary.counts == {0: last.stop - last.start}
