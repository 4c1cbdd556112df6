"""The benchmarks run, what they time is right, and the compiled loop lowers for a GPU that is not here."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def harness(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import harness

    return harness


@pytest.fixture
def workloads(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import workloads

    return workloads


@pytest.mark.slow
def test_gpu_benchmark_runs_on_whatever_device_there_is(tmp_path):
    words = "--sizes 64 --unroll 8 --workloads W2 --precisions float32 --seconds 0.02 --minutes 5 --fits 64".split()
    environment = {**os.environ, "OUT": str(tmp_path), "PYTHONPATH": str(BENCHMARKS.parent)}
    run = subprocess.run(
        [sys.executable, str(BENCHMARKS / "gpu.py"), *words],
        capture_output=True,
        text=True,
        env=environment,
        timeout=400,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    (path,) = tmp_path.iterdir()
    told = json.loads(path.read_text())
    assert told["what"] == "gpu"
    assert told["machine"]["cores"] >= 1
    assert told["versions"]["jax"] in path.name
    (parity,) = told["results"]["parity"].values()  # of float32 with float64
    assert parity["passed"]
    assert parity["spikes_per_cell"] > 2
    assert 0 < parity["v_mV"] < 0.2
    assert 0 < parity["charge_audit"] < 1e-4
    (identity,) = told["results"]["bit_identity"].values()
    assert identity["passed"]
    assert identity["leaves"] > 20
    (rates,) = told["results"]["rates"].values()
    assert [(r["cells"], r["unroll"]) for r in rates] == [(64, 8)]
    assert rates[0]["cell_steps_per_second"]["median"] > 1e4
    assert told["results"]["fits"]["float32"]["recovered"] >= 0.97
    assert told["results"]["simulate"]["W2"]["cell_steps_per_second"]["median"] > 1e4


def test_a_failing_case_does_not_end_the_gpu_benchmark(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu

    def out_of_memory():
        raise RuntimeError("RESOURCE_EXHAUSTED")

    found = gpu.attempt(out_of_memory)
    assert found["passed"] is False
    assert "RESOURCE_EXHAUSTED" in found["error"]


@pytest.mark.parametrize("unroll", [1, 10])
def test_the_loop_lowers_for_cuda_without_a_gpu(workloads, unroll):
    from jax.sharding import AbstractDevice, AbstractMesh, use_abstract_mesh

    import jaxmem as jm
    from jaxmem.engine.advance import clock, compiled
    from jaxmem.engine.interval import begin
    from jaxmem.rig.protocol import Protocol

    membrane = workloads.population("W2", 512)
    carry = begin(membrane.initial_state(), {})
    gpu = AbstractDevice(device_kind="NVIDIA H100", num_cores=None, platform="gpu")
    with use_abstract_mesh(AbstractMesh((), (), abstract_device=gpu)):
        times = clock(end=100, rows=3, every=40, refresh=20, dt=0.025)
        protocol = Protocol(jm.ConstantCurrent(10.0)).on_grid(0.025)
        traced = compiled(("v",), 3, "gpu", unroll).trace(membrane, carry, protocol, {}, times)
        text = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert "stablehlo.while" in text
    assert "custom_call" not in text  # nothing that only a processor can do
    # every step brings its two exponentials: the unrolled steps are really there
    assert text.count("stablehlo.exponential ") >= 2 * unroll


def test_cases_take_turns_and_ratios_are_taken_turn_by_turn(harness):
    order = []

    def case(name, cost):
        return lambda: (order.append(name), harness.Sample(100.0, cost, 2 * cost))[1]

    samples = harness.in_turns({"a": case("a", 1.0), "b": case("b", 4.0)}, 3)
    assert "".join(order) == "abababab"  # the first turn warms up
    assert len(samples["a"]) == 3
    assert harness.ratio(samples["a"], samples["b"]) == {"median": 4.0, "min": 4.0, "max": 4.0}
    assert harness.rates(samples["b"])["per_second"]["median"] == 12.5


def test_a_record_says_on_what_it_was_measured_and_not_where(harness, tmp_path):
    import platform

    path = harness.record("nothing", {"x": 1}, folder=tmp_path)
    text = path.read_text()
    told = json.loads(text)
    assert told["results"] == {"x": 1}
    assert told["versions"]["numpy"] == np.__version__
    assert str(Path.cwd()) not in text
    assert platform.node() not in text or len(platform.node()) < 4
    assert path.name.startswith("nothing-") and path.suffix == ".json"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not (shutil.which("gcc") or shutil.which("clang")), reason="no C compiler")
def test_the_c_limit_computes_the_same_population(harness, workloads, tmp_path):
    import jaxmem as jm

    name = "W2"
    limit = harness.build_limit("float32", name, tmp_path, widths=(64,))
    assert limit is not None
    sample, spikes = limit.run(name, 512, 4000)
    assert sample.cell_steps == 512 * 4000
    run = jm.simulate(
        workloads.population(name, 512),
        100.0,
        stimulus=workloads.STIMULUS,
        measures=["spike_count"],
        precision="float32",
    )
    assert run.measures["spike_count"].mean() == pytest.approx(spikes, rel=0.02)


@pytest.fixture
def on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.parametrize("name", ["pump_leak", "pump_leak_ghk", "pumped_neuron"])
def test_the_equations_written_out_are_those_of_the_membrane(on_path, name):
    import math

    import equations
    import jax

    import jaxmem as jm
    from jaxmem.analysis.unknowns import point, unknowns

    membrane = jm.presets.get(name).with_parameters({"pump.i_max": 3.0, "k.outside": 6.0})
    mine = equations.one_cell(equations.parameters_of(membrane), 0)
    with jax.enable_x64(True):
        u = tuple(np.array([x]) for x in (-60.0, 0.3, -0.2))
        there = membrane.derivative(point(membrane, unknowns(membrane), u))
        here = point(membrane, unknowns(membrane), u)
        env = membrane.environment(here.book)
        amounts = [float(env.inside[ion][0]) for ion in equations.IONS]
    currents = equations.pumped_currents(mine, math)(-60.0, *amounts)
    assert currents == pytest.approx([float(there.book[ion][0]) for ion in equations.IONS], rel=1e-11)
    assert equations.neutrality(mine)(-60.0, *amounts[:2]) == pytest.approx(amounts[2], rel=1e-11)


@pytest.mark.slow
def test_rests_are_timed_next_to_scipy_that_finds_the_same(on_path):
    import rests

    told = rests.measure_clamped(64, 8, 1)
    assert told["from_scipy_mV"] < 1e-8
    assert told["float32_from_float64_mV"] < 1e-3
    assert told["times_scipy_per_core"]["float64"]["median"] > 0
    p = rests.equations.parameters_of(rests.population("pump_leak", 4))
    by_hand, by_differences = (rests.dynamic_by_scipy(p, 4, by_hand=x) for x in (True, False))
    np.testing.assert_allclose(by_hand, by_differences, rtol=1e-6)


@pytest.mark.slow
def test_the_census_counts_and_finds_a_wrong_rest(on_path):
    import census

    told = census.count("pump_leak", 100, 8)
    assert sum(told["status"].values()) == 100
    assert told["ok_with_wrong_equations"] == []
    assert told["verdicts"]["OK, at random"] == {"agrees": 2}
    p = census.equations.one_cell(census.equations.parameters_of(census.population("pump_leak", 1)), 0)
    inside = [p[f"{ion}.inside"] for ion in census.equations.IONS]
    assert census.verdict(p, "OK", p["initial_v"], inside)[0].startswith("WRONG")


@pytest.mark.slow
def test_chunks_of_a_scan_are_timed_by_executor(on_path):
    import scans

    told = scans.measure_executors(argparse.Namespace(chunks=6, workers=1, rounds=1))
    assert set(told["seconds_per_chunk"]) == {"shard", "in process", "pool", "dask, local", "part"}
    assert all(x["median"] > 0 for x in told["seconds_per_chunk"].values())
    assert set(told["seconds_to_start"]) == {"in process", "pool", "dask, local", "part"}
    assert told["merge_seconds_per_chunk"] > 0


@pytest.mark.slow
def test_a_scan_is_timed_next_to_the_engine(on_path, tmp_path):
    import scan_rates

    told = scan_rates.against_the_engine("rests", 2000, 1, tmp_path)
    assert 0 < told["rate of the scan over the bare engine's, CPU"]["median"] < 2 and told["bytes per point"] > 20
    many = scan_rates.files(400, 4, tmp_path)
    assert many["chunks"] == 4 and many["merging s"] > 0
