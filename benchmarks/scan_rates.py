"""What a scan adds to the engine: time per point, peak memory, merging, and many files.

    python benchmarks/scan_rates.py                   10^6 rests, 10^5 half-second simulations; some minutes; writes JSON
    python benchmarks/scan_rates.py --points 20000 --simulated 1000 --shards 200 --output DIR

``rests`` and ``simulations``: the same points by the bare engine (``numbers_at_rest`` and ``jm.simulate``, as much at a
time as the scan takes) and by ``jm.scan`` from nothing to the merged file, in turns after a first run that compiles; the
ratio is of CPU-seconds. ``memory``: peak of a fresh process that scans. ``merging`` and ``files``: a function of no cost
at many points in few chunks, and in many chunks.
"""

import argparse
import json
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package beside this folder, installed or not

import harness
import numpy as np
import workloads

POINTS, SIMULATED, SHARDS, MERGED, ROUNDS = 1_000_000, 100_000, 20_000, 10_000_000, 2
DURATION, DT, CHUNK = 500.0, 0.025, 65_536
DEMANDS = {  # what: most
    "rests: scan over bare engine": 1.10,
    "simulations: scan over bare engine": 1.10,
    "peak memory of 10^6 rests, GB": 2.0,
    "peak memory of the simulations, GB": 2.0,
    "planning 10^7 points, s": 1.0,
}


def nothing(at: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Ten numbers that cost nothing and do not compress away."""
    return {f"y{i}": np.sin(at["x"] * (i + 1)) + at["z"] for i in range(10)}


def cheap() -> Any:
    import jaxmem as jm

    gives = {f"y{i}": ("1", f"number {i}") for i in range(10)}
    return jm.questions.Function(nothing, gives, {"x": (0.5, "1", "x"), "z": (0.5, "1", "z")})


def plane(points: int) -> Any:
    import jaxmem as jm

    return jm.designs.Sobol({"x": jm.Axis(0.0, 1.0), "z": jm.Axis(0.0, 1.0)}, points)


def asked(what: str, points: int) -> tuple[Any, Any]:
    """A question that costs something, and where it is asked."""
    import jaxmem as jm

    if what == "rests":
        axes = {
            "na_leak.g": jm.Axis(0.01, 0.5, scale="log", times="k_leak.g"),
            "pump.i_max": jm.Axis(0.1, 10.0, scale="log", times="pump.i_max"),
            "k.outside": jm.Axis(2.0, 20.0),
        }
        return jm.questions.Rests(jm.presets.pump_leak()), jm.designs.Sobol(axes, points)
    axes = {"sodium.g": jm.Axis(80.0, 160.0), "potassium.g": jm.Axis(24.0, 48.0)}
    squid, step = jm.presets.hodgkin_huxley_1952(), jm.StepCurrent(10.0, 50.0, 450.0)
    measures = ("spike_count", "firing_rate", "maximum_v", "minimum_v", "mean_v")
    return jm.questions.Simulations(squid, DURATION, measures, dt=DT, stimulus=step), jm.designs.Sobol(axes, points)


def against_the_engine(what: str, points: int, rounds: int, folder: Path) -> dict[str, Any]:
    """CPU and wall time of a scan over those of the bare engine at the same points."""
    import jaxmem as jm
    from jaxmem.study.rests import numbers_at_rest
    from jaxmem.study.scanning.of_a_cell import at_points
    from jaxmem.study.scanning.scan import planned

    question, design = asked(what, points)
    plan = planned(question, design, chunk=min(CHUNK, points))

    def bare() -> None:
        for chunk in plan.chunks():
            values = plan.parameters(design.values(*chunk))
            cells = at_points(question.membrane, values, chunk.stop - chunk.start)
            if what == "rests":
                numbers_at_rest(cells)
            else:
                jm.simulate(
                    cells, DURATION, dt=DT, stimulus=question.stimulus, measures=question.measures, precision="float32"
                )

    def scanned() -> None:
        output = folder / f"{what}.h5"
        jm.scan(plan, output=output, fresh=True, note=None)

    found = harness.in_turns({"bare": harness.timed(bare, points), "scan": harness.timed(scanned, points)}, rounds)
    return {
        "points": points,
        "bare points per CPU-second": harness.rates(found["bare"])["per_cpu_second"],
        "scan points per second": harness.rates(found["scan"])["per_second"],
        "rate of the scan over the bare engine's, CPU": harness.ratio(found["scan"], found["bare"]),
        "the same, wall": harness.ratio(found["scan"], found["bare"], "wall"),
        "bytes per point": (folder / f"{what}.h5").stat().st_size / points,
    }


def memory(what: str, points: int, folder: Path) -> None:
    """In a process of its own: scan, and print the peak of its memory (bytes) before and after."""
    import jax

    import jaxmem as jm

    question, design = asked(what, points)
    started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    jm.scan(question, design, output=folder / f"memory-{what}.h5", note=None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"peak": peak, "before": started, "device": jax.devices()[0].device_kind}))


def files(points: int, chunks: int, folder: Path) -> dict[str, float]:
    """A scan that costs nothing but its bookkeeping: seconds of its parts, bytes, and peak memory."""
    import jaxmem as jm
    from jaxmem.study.scanning import merge
    from jaxmem.study.scanning.executors.in_process import InProcess
    from jaxmem.study.scanning.run import _compute, _headed
    from jaxmem.study.scanning.scan import planned
    from jaxmem.study.scanning.shards import Folder

    began = time.perf_counter()
    plan = planned(cheap(), plane(points), chunk=-(-points // chunks))
    planning = time.perf_counter() - began
    place = Folder(folder / f"files{chunks}.h5")
    place.make()
    plan = _headed(plan, place, 1, lambda text: None)
    marks = [time.perf_counter()]
    _compute(plan, place, InProcess(), None, None, lambda text: None)
    marks.append(time.perf_counter())
    listed = len(place.done())
    marks.append(time.perf_counter())
    merge.merge(plan, place)
    marks.append(time.perf_counter())
    merge.finish(plan, place)
    marks.append(time.perf_counter())
    computing, listing, merging, finishing = np.diff(marks)
    size = place.output.stat().st_size
    assert jm.read_scan(place.output).counts == {0: points} and listed == plan.count
    return {
        "points": points, "chunks": plan.count, "planning s": planning, "computing s": computing,
        "ms per chunk": 1e3 * computing / plan.count, "listing s": listing, "merging s": merging,
        "merging, ms per shard": 1e3 * merging / plan.count, "merging, MB of numbers per second": points * 13 * 8 / merging / 1e6,
        "verifying and removing s": finishing, "bytes per point": size / points,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=POINTS, help=f"resting states ({POINTS:,})")
    parser.add_argument("--simulated", type=int, default=SIMULATED, help=f"half-second simulations ({SIMULATED:,})")
    parser.add_argument("--shards", type=int, default=SHARDS, help=f"chunks of the scan of many files ({SHARDS:,})")
    parser.add_argument("--merged", type=int, default=MERGED, help=f"points of the scan that is merged ({MERGED:,})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"turns that are timed ({ROUNDS})")
    parser.add_argument("--output", type=Path, help="folder of the JSON (benchmarks/results)")
    parser.add_argument("--memory", nargs=3, metavar=("WHAT", "POINTS", "FOLDER"), help=argparse.SUPPRESS)
    told = parser.parse_args()
    workloads.select_precision("float64")
    if told.memory:
        return memory(told.memory[0], int(told.memory[1]), Path(told.memory[2]))
    results: dict[str, Any] = {}
    folder = Path(tempfile.mkdtemp(prefix="scan-rates-"))
    try:
        print("files ...", flush=True)
        results["many files"] = files(told.shards * 500, told.shards, folder)
        results["few files"] = files(told.merged, 160, folder)
        for what, points in (("rests", told.points), ("simulations", told.simulated)):
            print(f"{what} ...", flush=True)
            results[what] = against_the_engine(what, points, told.rounds, folder)
            results[what]["memory"] = harness.in_fresh_process(__file__, "--memory", what, str(points), str(folder))
    finally:
        shutil.rmtree(folder)
    results["demands"] = judged(results)
    print(json.dumps(results, indent=2))
    print(f"\nwritten: {harness.record('scan-rates', results, folder=told.output).name}")


def judged(results: dict[str, Any]) -> dict[str, Any]:
    """Each demand, what was measured, and whether it is met."""
    found = {
        "rests: scan over bare engine": 1 / results["rests"]["rate of the scan over the bare engine's, CPU"]["median"],
        "simulations: scan over bare engine": 1
        / results["simulations"]["rate of the scan over the bare engine's, CPU"]["median"],
        "peak memory of 10^6 rests, GB": results["rests"]["memory"]["peak"] / 1e9,
        "peak memory of the simulations, GB": results["simulations"]["memory"]["peak"] / 1e9,
        "planning 10^7 points, s": results["few files"]["planning s"],
    }
    return {what: {"most": most, "found": found[what], "met": found[what] <= most} for what, most in DEMANDS.items()}


if __name__ == "__main__":
    main()
