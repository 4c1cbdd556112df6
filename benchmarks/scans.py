"""What a chunk of a scan costs beside its answers: by executor, in wall time, from many chunks of next to nothing.

    python benchmarks/scans.py                  2 workers, 300 chunks, some minutes; writes benchmarks/results/scans-*.json
    python benchmarks/scans.py --chunks 20 --rounds 1 --output DIR

"shard" is asking and writing a shard, synced, with nobody around it: what every executor has to do. Executors take
turns; each is started once, which is told apart. "part" is a process of its own for every part, as under SLURM, its
chunks and its start. Of ``workers`` processes a chunk costs each ``workers`` times what is told as seconds per chunk.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package beside this folder, installed or not

import harness
import numpy as np
import scans  # this file by its name: workers import what they are asked
import workloads

CHUNKS, POINTS, WORKERS, ROUNDS = 300, 64, 2, 3


def product(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"y": given["a"] * given["b"]}


def plan_of(chunks: int) -> Any:
    """A scan of ``chunks`` chunks that are answered in microseconds."""
    import jaxmem as jm

    takes = {"a": (1.0, "1", "a factor"), "b": (1.0, "1", "another")}
    question = jm.questions.Function(scans.product, {"y": ("1", "their product")}, takes)
    axes = {"a": jm.Axis(0.0, 1.0), "b": jm.Axis(0.0, 1.0)}
    return jm.ScanPlan(question, jm.designs.Random(axes, POINTS * chunks).resolved(question.known), POINTS)


# ---------------------------------------------------------------------- executors
def map_all(executor: Any, chunks: int) -> None:
    from jaxmem.study.scanning.executors.base import Done
    from jaxmem.study.scanning.shards import Folder

    with tempfile.TemporaryDirectory() as place:
        plan, output = plan_of(chunks), Path(place) / "scan.h5"
        Folder(output).make()
        odd = [x for x in executor.map(plan, plan.chunks(), output) if not isinstance(x, Done)]
        assert not odd, odd[0]


def shards_alone(chunks: int) -> None:
    from jaxmem.study.scanning.executors.base import compute
    from jaxmem.study.scanning.shards import Folder

    with tempfile.TemporaryDirectory() as place:
        plan, output = plan_of(chunks), Path(place) / "scan.h5"
        Folder(output).make()
        for chunk in plan.chunks():
            compute(plan, chunk, output)


def one_part(part: str, output: str, chunks: str) -> dict[str, float]:
    """In a process of its own: seconds of its chunks."""
    from jaxmem.study.scanning.run import run

    k, n = map(int, part.split("/"))
    plan = plan_of(int(chunks))
    begun = time.perf_counter()
    run(plan, output, part=(k, n))
    return {"chunks": time.perf_counter() - begun}


def measure_executors(asked: argparse.Namespace) -> dict[str, Any]:
    import jaxmem as jm

    shards_alone(4)  # imports, first files
    made = {
        "in process": lambda: jm.executors.InProcess(),
        "pool": lambda: jm.executors.Pool(asked.workers, devices="cpu"),
        "dask, local": lambda: jm.executors.Dask("local", asked.workers),
    }
    started: dict[str, float] = {}
    executors: dict[str, Any] = {}
    cases: dict[str, Callable[[], harness.Sample]] = {"shard": harness.timed(lambda: shards_alone(asked.chunks), 1)}
    try:
        for name, make in made.items():
            begun = time.perf_counter()
            executors[name] = executor = make()
            map_all(executor, asked.workers)
            started[name] = time.perf_counter() - begun
            cases[name] = harness.timed(lambda executor=executor: map_all(executor, asked.chunks), 1)
        samples = harness.in_turns(cases, asked.rounds)
    finally:
        for executor in executors.values():
            executor.close()
    parts = [measure_part(k, asked) for k in range(1, asked.workers + 1)]
    seconds = {name: harness.spread(s.wall / asked.chunks for s in found) for name, found in samples.items()}
    seconds["part"] = harness.spread(p["chunks"] * len(parts) / asked.chunks for p in parts)
    started["part"] = max(p["ready"] for p in parts)
    workers = {"pool": asked.workers, "dask, local": asked.workers}
    return {
        "seconds_per_chunk": seconds,
        "seconds_of_a_worker_per_chunk": {n: x["median"] * workers.get(n, 1) for n, x in seconds.items()},
        "seconds_to_start": started,
        "merge_seconds_per_chunk": measure_merge(asked.chunks),
    }


def measure_part(k: int, asked: argparse.Namespace) -> dict[str, float]:
    """One of two parts, the other of which is never run: nothing is merged."""
    with tempfile.TemporaryDirectory() as place:
        parts = max(2, asked.workers)
        words = ["--one-part", f"{k}/{parts}", str(Path(place) / "scan.h5"), str(asked.chunks)]
        begun = time.perf_counter()
        found = harness.in_fresh_process("scans.py", *words)
        return {**found, "ready": time.perf_counter() - begun - found["chunks"]}


def measure_merge(chunks: int) -> float:
    from jaxmem.study.scanning.executors.base import compute
    from jaxmem.study.scanning.run import merged, run
    from jaxmem.study.scanning.shards import Folder

    with tempfile.TemporaryDirectory() as place:
        plan, output = plan_of(chunks), Path(place) / "scan.h5"
        run(plan, output, part=(1, 2))
        folder = Folder(output)
        for chunk in list(plan.chunks())[1::2]:
            compute(plan, chunk, output)
        begun = time.perf_counter()
        merged(plan, folder, lambda text: None)
        return (time.perf_counter() - begun) / chunks


# ---------------------------------------------------------------------- all of it
MEASURES: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {  # what is measured, by its name in the results
    "executors": measure_executors,
}


def show(results: dict[str, Any]) -> None:
    found = results["executors"]
    print(f"\n{'':14}{'ms per chunk':>14}{'of a worker':>14}{'s to start':>12}")
    for name, seconds in found["seconds_per_chunk"].items():
        mine = found["seconds_of_a_worker_per_chunk"][name]
        start = found["seconds_to_start"].get(name)
        print(f"{name:14}{1e3 * seconds['median']:14.2f}{1e3 * mine:14.2f}{f'{start:.1f}' if start else '':>12}")
    print(f"merging: {1e3 * found['merge_seconds_per_chunk']:.2f} ms per chunk")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=CHUNKS, help=f"chunks of a scan ({CHUNKS})")
    parser.add_argument("--workers", type=int, default=WORKERS, help=f"processes of pool and cluster ({WORKERS})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"turns that are timed ({ROUNDS})")
    parser.add_argument("--output", type=Path, help="folder of the JSON (benchmarks/results)")
    parser.add_argument("--one-part", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    workloads.select_precision("float64")
    if asked.one_part:
        print(json.dumps(one_part(*asked.one_part)))
        return
    results: dict[str, Any] = {"chunks": asked.chunks, "points_per_chunk": POINTS, "workers": asked.workers}
    for name, measure in MEASURES.items():
        print(f"{name} ...", flush=True)
        results[name] = measure(asked)
    show(results)
    print(f"\nwritten: {harness.record('scans', results, folder=asked.output).name}")


if __name__ == "__main__":
    main()
