"""Executors of scans: a death costs one chunk, nothing is left behind, and who computes changes no bit."""

import os
import pathlib
import pickle
import re
import signal
import subprocess
import sys
import textwrap
import time
import types
from collections.abc import Callable, Iterator

import jax
import numpy as np
import psutil
import pytest
import scanned_functions as asked

import jaxmem as jm
from jaxmem.study.scanning.executors import dask as dask_module
from jaxmem.study.scanning.executors import slots as slots_module
from jaxmem.study.scanning.executors.base import Died, Done, Executor, Failed, Outcome
from jaxmem.study.scanning.executors.slots import slots
from jaxmem.study.scanning.function import Function
from jaxmem.study.scanning.plan import Chunk
from jaxmem.study.scanning.shards import Folder

TESTS = pathlib.Path(__file__).parent


def plan_of(function: Callable, points: int = 32, chunk: int = 4) -> jm.ScanPlan:
    """x = 0, 1, 2, ...; what the functions cannot stand, 13, is in the chunk that starts at 12."""
    question = Function(function, {"y": ("1", "a number")}, {"x": (0.5, "1", "another")})
    levels = [float(i) for i in range(points)]
    return jm.ScanPlan(question, jm.designs.Grid({"x": jm.Axis(values=levels)}).resolved(question.known), chunk)


def outcomes(executor: Executor, plan: jm.ScanPlan, output: pathlib.Path) -> list[Outcome]:
    Folder(output).make()
    return list(executor.map(plan, plan.chunks(), output))


def starts(found: list[Outcome], kind: type) -> list[int]:
    return sorted(x.chunk.start for x in found if isinstance(x, kind))


def answered(plan: jm.ScanPlan, output: pathlib.Path, name: str = "y") -> dict[int, np.ndarray]:
    folder = Folder(output)
    return {c.start: folder.read_shard(c, plan.identity, [name])[1][name] for c in folder.done()}


def children() -> set[psutil.Process]:
    return {
        p
        for p in psutil.Process().children()
        if p.status() != psutil.STATUS_ZOMBIE and "jaxmem.study.scanning.executors.worker" in p.cmdline()
    }


def until(true: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def pool() -> Iterator[jm.executors.Pool]:
    """One pool for many tests: it can be used again, whatever has become of its workers."""
    with jm.executors.Pool(workers=2, devices="cpu") as pool:
        yield pool
    assert not children()


# ---------------------------------------------------------------------- death
@pytest.mark.parametrize(
    ("function", "why"),
    [(asked.deadly, r"killed by signal 9"), (asked.leaving, r"ended with status 7; it said last:\nthis cannot be")],
)
def test_a_death_costs_its_chunk_and_no_other(pool, tmp_path, function, why):
    plan = plan_of(function)
    found = outcomes(pool, plan, tmp_path / "out.h5")
    (lost,) = [x for x in found if isinstance(x, Died)]
    assert lost.chunk == Chunk(12, 16)
    assert re.search(why, lost.why)
    assert starts(found, Done) == [0, 4, 8, 16, 20, 24, 28]
    assert sorted(answered(plan, tmp_path / "out.h5")) == [0, 4, 8, 16, 20, 24, 28]


def test_a_worker_killed_from_outside_is_replaced(pool, tmp_path):
    plan, output = plan_of(asked.slow), tmp_path / "out.h5"
    Folder(output).make()
    found, work = [], pool.map(plan, plan.chunks(), output)
    found.append(next(work))
    before = children()
    assert len(before) == 2
    for process in before:  # what a terminal and a batch system send to all is not for workers
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
    found.append(next(work))
    assert children() == before
    min(before, key=lambda p: p.pid).kill()
    found += work
    assert len(starts(found, Died)) == 1
    assert sorted(starts(found, Done) + starts(found, Died)) == [c.start for c in plan.chunks()]
    assert len(children() & before) == 1


def test_nothing_survives_its_coordinator(tmp_path):
    script = tmp_path / "coordinator.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import pathlib, pickle, sys
            sys.path[:0] = [{str(TESTS)!r}, {str(TESTS.parent)!r}]
            import jaxmem as jm
            plan = pickle.loads(pathlib.Path({str(tmp_path / "plan")!r}).read_bytes())
            list(jm.executors.Pool(2, devices="cpu").map(plan, plan.chunks(), pathlib.Path("out.h5")))
            """
        )
    )
    (tmp_path / "plan").write_bytes(pickle.dumps(plan_of(asked.tied)))
    noted = tmp_path / "noted"
    noted.touch()
    # this script has no guard around what it does: workers do not run it
    coordinator = subprocess.Popen([sys.executable, script], env=os.environ | {"NOTED": str(noted)})
    until(lambda: coordinator.poll() is not None or len(noted.read_text().split()) == 2, 60)
    workers = [psutil.Process(int(pid)) for pid in noted.read_text().split()]
    assert len(workers) == 2 and all(p.is_running() for p in workers)
    coordinator.kill()
    coordinator.wait()
    gone, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive and len(gone) == 2


# ---------------------------------------------------------------------- what is raised, printed, unreadable
@pytest.mark.parametrize(
    ("function", "why"), [(asked.faulty, "not enough memory"), (asked.quitting, "SystemExit: enough")]
)
def test_what_is_raised_is_told_and_kills_nobody(pool, tmp_path, function, why):
    outcomes(pool, plan_of(asked.cube), tmp_path / "before.h5")
    before = children()
    found = outcomes(pool, plan_of(function), tmp_path / "out.h5")
    (failed,) = [x for x in found if isinstance(x, Failed)]
    assert (failed.chunk.start, failed.hopeless) == (12, False) and why in failed.why
    assert starts(found, Done) == [0, 4, 8, 16, 20, 24, 28]
    assert children() == before


def test_no_room_is_hopeless(pool, tmp_path):
    found = outcomes(pool, plan_of(asked.full), tmp_path / "out.h5")
    assert [(x.chunk.start, x.hopeless) for x in found if isinstance(x, Failed)] == [(12, True)]


def test_printing_disturbs_nothing(pool, tmp_path, capfd):
    plan = plan_of(asked.noisy)
    assert starts(outcomes(pool, plan, tmp_path / "out.h5"), Done) == [c.start for c in plan.chunks()]
    assert capfd.readouterr().out == ""
    found = answered(plan, tmp_path / "out.h5")
    np.testing.assert_array_equal(np.concatenate([found[s] for s in sorted(found)]), np.arange(32.0) ** 3)


def test_a_plan_that_workers_cannot_read(pool, tmp_path, monkeypatch):
    with pytest.raises(RuntimeError, match="module beside the script"):
        outcomes(pool, plan_of(lambda given: given), tmp_path / "out.h5")
    hidden = types.ModuleType("hidden")
    exec("def cube(given): return {'y': given['x'] ** 3}", hidden.__dict__)
    monkeypatch.setitem(sys.modules, "hidden", hidden)
    with pytest.raises(RuntimeError, match="No module named 'hidden'\nWhat a question calls must be importable"):
        outcomes(pool, plan_of(hidden.cube), tmp_path / "out.h5")


def test_workers_that_cannot_start_are_not_started_for_ever(tmp_path, monkeypatch):
    broken = tmp_path / "python"
    broken.write_text(f"#!/bin/sh\necho one >> {tmp_path}/started\necho no such library >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with jm.executors.Pool(2, devices="cpu") as pool:
        with pytest.raises(RuntimeError, match=r"(?s)ended before they could start.*status 3.*no such library"):
            outcomes(pool, plan_of(asked.cube), tmp_path / "out.h5")
    assert len((tmp_path / "started").read_text().split()) < 6


# ---------------------------------------------------------------------- order and ends
def test_chunks_are_taken_as_they_are_needed(pool, tmp_path):
    plan, output = plan_of(asked.cube, 96, 4), tmp_path / "out.h5"
    Folder(output).make()
    taken = []

    def chunks() -> Iterator[Chunk]:
        for chunk in plan.chunks():
            taken.append(chunk)
            yield chunk

    most = 0
    for i, _ in enumerate(pool.map(plan, chunks(), output)):
        most = max(most, len(taken) - i)
    assert len(taken) == 24
    assert most <= 1 + 2 * pool.workers  # in flight, one for each that is being started, and the one just told of


def test_work_that_is_left_ends_and_the_pool_goes_on(pool, tmp_path):
    plan, output = plan_of(asked.slow), tmp_path / "out.h5"
    Folder(output).make()
    work = pool.map(plan, plan.chunks(), output)
    next(work)
    inside = list(pool.map(plan, [Chunk(20, 24)], output))  # another one meanwhile, as for a chunk tried alone
    assert starts(inside, Done) == [20]
    work.close()
    done = Folder(output).done()
    time.sleep(0.5)
    assert Folder(output).done() == done and len(done) < plan.count
    assert starts(outcomes(pool, plan_of(asked.cube), tmp_path / "again.h5"), Done) == list(range(0, 32, 4))


def test_each_worker_has_its_cores(pool, tmp_path):
    question = Function(asked.where, {"process": ("1", "id"), "cores": ("1", "mask")}, {"x": (0.5, "1", "another")})
    design = jm.designs.Grid({"x": jm.Axis(values=[1.0, 2.0])}).resolved(question.known)
    plan, output = jm.ScanPlan(question, design, 1), tmp_path / "out.h5"
    assert starts(outcomes(pool, plan, output), Done) == [0, 1]
    process, cores = (answered(plan, output, name) for name in question.gives)
    assert process[0] != process[1]
    assert {cores[0][0], cores[1][0]} == {sum(2.0**core for core in slot.cores) for slot in pool.slots}


# ---------------------------------------------------------------------- who gets what
@pytest.fixture
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of eight cores, two of which are not ours, and without GPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {2, 3, 4, 5, 6, 7})
    monkeypatch.setattr(slots_module, "gpus", lambda: ())
    monkeypatch.delenv(slots_module.SHARE, raising=False)


def test_cores_are_shared_out(eight):
    groups = lambda *given: [s.cores for s in slots(*given)]
    assert groups() == [(2,), (3,), (4,), (5,), (6,), (7,)]
    assert groups(2) == [(2, 3, 4), (5, 6, 7)]
    assert groups(None, 3) == [(2, 3, 4), (5, 6, 7)]
    assert groups(2, 1) == [(2,), (3,)]
    assert groups(4, 3) == [(2, 3, 4), (5, 6, 7), (2, 3, 4), (5, 6, 7)]
    assert groups(1, 99) == [(2, 3, 4, 5, 6, 7)]


def test_each_gpu_has_a_worker(eight, monkeypatch):
    monkeypatch.setattr(slots_module, "gpus", lambda: ("0", "1"))
    two = slots()
    assert [s.cores for s in two] == [(2, 3, 4), (5, 6, 7)]
    assert [s.environment for s in two] == [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]
    three = slots(3, devices=["GPU-a", "GPU-b"])
    assert [s.environment["CUDA_VISIBLE_DEVICES"] for s in three] == ["GPU-a", "GPU-b", "GPU-a"]
    assert {s.environment[slots_module.SHARE] for s in three} == {"0.375"}
    assert all("CUDA_VISIBLE_DEVICES" not in s.environment for s in slots(devices="cpu"))


@pytest.mark.parametrize(
    ("shown", "platforms", "expected"),
    [
        ("2,GPU-a", "", ("2", "GPU-a")),
        ("1,-1,2", "", ("1",)),
        ("", "", ()),
        ("0", "cpu", ()),
        ("0", "cuda,cpu", ("0",)),
        (None, "", ("0", "1")),
    ],
)
def test_gpus_are_found_without_jax(monkeypatch, tmp_path, shown, platforms, expected):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: one (UUID: GPU-x)'; echo 'GPU 1: two (UUID: GPU-y)'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    monkeypatch.setattr(slots_module, "_plugin", lambda: True)
    if shown is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    assert slots_module.gpus() == expected
    monkeypatch.setattr(slots_module, "_plugin", lambda: False)
    assert slots_module.gpus() == ()


@pytest.mark.parametrize(("given", "text"), [((0,), "workers is 0"), ((1, 0), "threads is 0"), ((1, 1, "gpu"), "gpu")])
def test_what_makes_no_pool(given, text):
    with pytest.raises(ValueError, match=text):
        jm.executors.Pool(*given)


# ---------------------------------------------------------------------- the same numbers
def rests(tmp_path: pathlib.Path, name: str, executor: Executor | None) -> jm.Scan:
    question = jm.questions.Rests(jm.presets.pump_leak())
    design = jm.designs.Random({"k.outside": jm.Axis(2.0, 12.0), "pump.i_max": jm.Axis(0.1, 3.0, scale="log")}, 40)
    return jm.scan(question, design, output=tmp_path / f"{name}.h5", executor=executor, chunk=16, note=None)


def assert_same(one: jm.Scan, other: jm.Scan) -> None:
    assert set(one.outputs) == set(other.outputs) and len(one.outputs) > 2
    for name in (*one.axes, *one.outputs):
        assert one[name].tobytes() == other[name].tobytes(), name


def same_bits(pool: Executor, tmp_path: pathlib.Path) -> np.ndarray:
    question = Function(asked.compiled, {"y": ("1", "a number")}, {"x": (0.5, "1", "another")})
    design = jm.designs.Random({"x": jm.Axis(0.0, 10.0)}, 500)
    scan = lambda name, executor: jm.scan(
        question, design, output=tmp_path / f"{name}.h5", executor=executor, chunk=64, note=None
    )
    here, there = scan("here", None)["y"], scan("there", pool)["y"]
    assert here.tobytes() == there.tobytes()
    return here


def test_a_pool_finds_the_same_bits(pool, tmp_path):
    found = same_bits(pool, tmp_path)
    assert np.any(found != found.astype(np.float32))


@pytest.mark.slow
def test_workers_have_our_precision(tmp_path):
    jax.config.update("jax_enable_x64", False)
    try:
        with jm.executors.Pool(1, devices="cpu") as single:
            found = same_bits(single, tmp_path)
    finally:
        jax.config.update("jax_enable_x64", True)
    np.testing.assert_array_equal(found, found.astype(np.float32))


@pytest.mark.slow
def test_a_pool_finds_the_same_rests_to_the_bit(pool, tmp_path):
    here = rests(tmp_path, "here", None)
    assert here.counts == {0: 40}
    assert_same(here, rests(tmp_path, "there", pool))


# ---------------------------------------------------------------------- Dask
def test_dask_loses_a_worker_and_no_number(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTED", str(tmp_path / "noted"))
    plan, told = plan_of(asked.deadly_once), []
    with jm.executors.Dask("local", workers=2) as two:
        assert two.workers == 2
        there = jm.scan(
            plan.question, plan.design, chunk=4, output=tmp_path / "there.h5", executor=two, note=told.append
        )
        again = outcomes(two, plan_of(asked.faulty), tmp_path / "again.h5")
    assert len((tmp_path / "noted").read_text().split()) == 1
    assert any("a worker died with the points 12 to 15" in text for text in told)
    assert there.counts == {0: 32}
    np.testing.assert_array_equal(there["y"], np.arange(32.0) ** 3)
    assert starts(again, Failed) == [12] and starts(again, Done) == [0, 4, 8, 16, 20, 24, 28]


@pytest.mark.slow
def test_dask_reports_what_kills_each_time(tmp_path):
    plan = plan_of(asked.deadly)
    with jm.executors.Dask(workers=1) as one:
        found = outcomes(one, plan, tmp_path / "out.h5")
    assert starts(found, Died) == [12]
    assert starts(found, Done) == [0, 4, 8, 16, 20, 24, 28]


def test_a_scheduler_by_its_address(tmp_path):
    from distributed import LocalCluster

    plan = plan_of(asked.cube)
    with dask_module._quiet():
        cluster = LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None)
    with cluster, jm.executors.Dask(cluster.scheduler_address) as there:
        assert there.workers == 1
        found = outcomes(there, plan, tmp_path / "out.h5")
        with pytest.raises(RuntimeError, match="module beside the script"):
            outcomes(there, plan_of(lambda given: given), tmp_path / "out.h5")
    assert starts(found, Done) == [c.start for c in plan.chunks()]
    with pytest.raises(ValueError, match="has its own workers"):
        jm.executors.Dask("tcp://somewhere:8786", workers=2)


def test_other_versions_are_refused():
    from jaxmem.study.scanning.executors.dask_task import VersionError, Work, answer

    work = Work("key", pickle.dumps(None), "0.0.0", {}, None)
    with pytest.raises(VersionError, match=r"scan is run by 0\.0\.0"):
        answer(work, (0, 1), None)


def test_dask_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"pip install 'jaxmem\[dask\]'"):
        jm.executors.Dask()


@pytest.mark.slow
def test_dask_finds_the_same_rests_to_the_bit(tmp_path):
    with jm.executors.Dask(workers=2) as two:
        assert_same(rests(tmp_path, "here", None), rests(tmp_path, "there", two))
