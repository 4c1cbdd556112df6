"""How fast jaxmem is on this machine's processor, next to the C limit and the demands it has to meet.

    python benchmarks/throughput.py            a few minutes; writes benchmarks/results/throughput-*.json
    python benchmarks/throughput.py --quick    half a minute, small populations, writes nothing

Every part runs in a process of its own. Rates are of warmed-up runs: compilation is measured apart, as the time to the
first trace of a fresh process.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package beside this folder, installed or not

import harness

CELLS, ROUNDS = 10_000, 7
BLOCKS = 5  # in a row, where one is timed
DEMANDS = {  # name: (limit, "least" or "most", unit)
    "W2 float32, ratio to the C limit per core": (0.6, "least", ""),
    "W2 float32, two cores over one": (1.7, "least", ""),
    "first trace of a fresh process": (5.0, "most", "s"),
    "jaxmem --help": (0.15, "most", "s"),
}


# ---------------------------------------------------------------------- rates
def measure_rates(precision: str, cells: int, rounds: int) -> dict[str, Any]:
    import workloads

    workloads.select_precision(precision)
    import jaxmem as jm

    steps = round(workloads.DURATION / workloads.DT)
    trace = jm.Record("v", every=workloads.SAMPLE_MS)
    found: dict[str, Any] = {}
    for name in workloads.NAMES:
        population = workloads.population(name, cells)

        def simulate(threads: int, population: Any = population, **asked: Any) -> Any:
            work = lambda: jm.simulate(
                population, workloads.DURATION, dt=workloads.DT, stimulus=workloads.STIMULUS, precision=precision,
                execution=jm.Execution(threads=threads), **asked,
            )  # fmt: skip
            return harness.timed(work, cells * steps)

        cases = {
            "one core": simulate(1, record=trace),
            "two cores": simulate(2, record=trace),
            "one core, 5 measures": simulate(1, record=trace, measures=workloads.MEASURES),
            "one core, nothing kept": simulate(1),
            "one block, no host": one_block(name, every=40, refresh=20),
            "one block, refreshed every step": one_block(name, every=40, refresh=1),
            "one block, never refreshed": one_block(name, every=40, refresh=10**6),
        }
        with tempfile.TemporaryDirectory() as folder:
            limit = harness.build_limit(precision, name, Path(folder))
            if limit is not None:
                cases = {"C limit": lambda limit=limit, name=name: limit.run(name, cells, steps)[0], **cases}
            samples = harness.in_turns(cases, rounds)
            spikes = None if limit is None else limit.run(name, cells, steps)[1]
        run = jm.simulate(
            population, workloads.DURATION, stimulus=workloads.STIMULUS, measures=["spike_count"], precision=precision
        )
        found[name] = {
            "build": None if limit is None else limit.build,
            "rates": {case: harness.rates(s) for case, s in samples.items()},
            "ratio_to_limit": {}
            if limit is None
            else {c: harness.ratio(s, samples["C limit"]) for c, s in samples.items()},
            "two_cores_over_one": harness.ratio(samples["two cores"], samples["one core"], "wall"),
            "spikes_per_cell": {"jaxmem": float(run.measures["spike_count"].mean()), "C limit": spikes},
            "failed": int((run.status != 0).sum()),
        }
    return found


def one_block(name: str, every: int, refresh: int) -> Any:
    """The compiled function alone on one block, a few times in a row: what the host around it costs is the difference."""
    import jax
    import jax.numpy as jnp
    import workloads

    from jaxmem.engine.advance import block_cells, clock, compiled
    from jaxmem.engine.interval import begin
    from jaxmem.membrane.parameters import map_declared
    from jaxmem.rig.protocol import Protocol

    steps = round(workloads.DURATION / workloads.DT)
    cells = block_cells(jnp.result_type(float))
    membrane = workloads.population(name, cells)
    carry = begin(membrane.initial_state(), {})
    membrane = map_declared(lambda _, x: jnp.asarray(x, carry.state.v.dtype), membrane)
    protocol = Protocol(workloads.STIMULUS).on_grid(workloads.DT)
    advance = compiled(("v",), steps // every + 1, "cpu")
    times = clock(end=steps, rows=steps // every + 1, every=every, refresh=refresh, dt=workloads.DT)

    def work() -> None:
        for _ in range(BLOCKS):
            jax.block_until_ready(advance(membrane, carry, protocol, {}, times))

    return harness.timed(work, BLOCKS * cells * steps)


# ---------------------------------------------------------------------- gradients
def measure_gradient(precision: str, cells: int, steps: int, rounds: int) -> dict[str, Any]:
    """A gradient through a run with respect to three conductances of every cell, as a multiple of the run itself."""
    import workloads

    workloads.select_precision(precision)
    import jax
    import jax.numpy as jnp

    import jaxmem as jm

    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MiB
    membrane = workloads.population("W2", cells)
    state = membrane.initial_state()
    paths = ("sodium.g", "potassium.g", "cl_leak.g")
    values = {path: jnp.asarray(membrane.parameters()[path].value, state.v.dtype) for path in paths}

    def mean_v(values: dict[str, jax.Array]) -> jax.Array:
        run = jm.integrate(
            membrane.with_parameters(values), state, workloads.STIMULUS, steps=steps, dt=workloads.DT, every=40,
            record=("v",), first_step=0,
        )  # fmt: skip
        return jnp.mean(run.traces["v"])

    options = {"xla_cpu_prefer_vector_width": 512} if jax.default_backend() == "cpu" else None
    primal = jax.jit(mean_v, compiler_options=options)
    gradient = jax.jit(jax.value_and_grad(mean_v), compiler_options=options)
    jax.block_until_ready(primal(values))
    before = peak()
    slopes = gradient(values)[1]
    cases = {
        "primal": harness.timed(lambda: jax.block_until_ready(primal(values)), cells * steps),
        "gradient": harness.timed(lambda: jax.block_until_ready(gradient(values)), cells * steps),
    }
    samples = harness.in_turns(cases, rounds)
    return {
        "cells": cells,
        "steps": steps,
        "parameters": list(paths),
        "cpu_seconds": {name: harness.spread(s.cpu for s in x) for name, x in samples.items()},
        "times_the_primal": harness.ratio(samples["primal"], samples["gradient"]),
        "peak_memory_above_primal_MiB": round(peak() - before, 1),  # with what compiling took
        "finite": bool(all(jnp.isfinite(x).all() for x in slopes.values())),
    }


# ---------------------------------------------------------------------- start-up
FIRST_TRACE = """
import jaxmem as jm
squid = jm.presets.get("hodgkin_huxley_1952")
run = jm.simulate(squid, 50.0, stimulus=jm.ConstantCurrent(10.0), record=jm.Record("v", 0.1))
assert run.traces["v"].max() > 0
"""


def measure_start_up(rounds: int) -> dict[str, Any]:
    """Wall and CPU seconds of fresh processes; where other work runs beside, the second tells more."""

    def seconds(words: list[str], **environment: str) -> tuple[float, float]:
        root = str(Path(__file__).resolve().parent.parent)
        path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONPATH": path, **environment}
        used = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])  # user and system
        wall, cpu = time.perf_counter(), used()
        told = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=environment)
        if told.returncode:
            raise RuntimeError(told.stderr[-2000:])
        return time.perf_counter() - wall, used() - cpu

    uncached = {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    trace, help_text = ["-c", FIRST_TRACE], ["-m", "jaxmem", "--help"]
    seconds(trace, **uncached)  # writes byte code and warms the disk's cache
    with tempfile.TemporaryDirectory() as cache:
        kept = {"JAX_COMPILATION_CACHE_DIR": cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        found = {
            "first trace, nothing cached": [seconds(trace, **uncached) for _ in range(rounds)],
            "first trace, filling the cache": [seconds(trace, **kept)],
            "first trace, from the cache": [seconds(trace, **kept) for _ in range(rounds)],
        }
    found["python alone"] = [seconds(["-c", ""]) for _ in range(rounds + 2)]
    found["import jaxmem"] = [seconds(["-c", "import jaxmem"]) for _ in range(rounds)]
    try:
        seconds(help_text)
        found["jaxmem --help"] = [seconds(help_text) for _ in range(rounds + 2)]
    except RuntimeError as error:
        print(f"jaxmem --help failed: {error}", file=sys.stderr)
    spread = lambda pairs, i: harness.spread(pair[i] for pair in pairs)
    return {name: {"wall": spread(pairs, 0), "cpu": spread(pairs, 1)} for name, pairs in found.items()}


# ---------------------------------------------------------------------- all of it
def judge(results: dict[str, Any]) -> list[dict[str, Any]]:
    pumped = results["rates"]["float32"]["W2"]
    measured = {
        "W2 float32, ratio to the C limit per core": pumped["ratio_to_limit"].get("one core"),
        "W2 float32, two cores over one": pumped["two_cores_over_one"] if (os.cpu_count() or 1) > 1 else None,
        "first trace of a fresh process": results["start_up"]["first trace, nothing cached"]["wall"],
        "jaxmem --help": results["start_up"].get("jaxmem --help", {}).get("wall"),
    }
    told = []
    for what, (limit, side, unit) in DEMANDS.items():
        x = measured[what]
        met = None if x is None else bool(x["median"] >= limit if side == "least" else x["median"] <= limit)
        told.append({"what": what, "demand": f"at {side} {limit:g} {unit}".strip(), "measured": x, "met": met})
    return told


def show(results: dict[str, Any]) -> None:
    print(f"\n{'cell-steps per CPU-second':36}{'W1 float32':>20}{'W1 float64':>20}{'W2 float32':>20}{'W2 float64':>20}")
    columns = [results["rates"][p][w] for w in ("W1", "W2") for p in ("float32", "float64")]
    for case in columns[0]["rates"]:
        cell = lambda c, case=case: (
            f"{c['rates'][case]['per_cpu_second']['median']:.3g}"
            + (f" ({c['ratio_to_limit'][case]['median']:.2f})" if c["ratio_to_limit"] else "")
        )
        print(f"{case:36}" + "".join(f"{cell(c):>20}" for c in columns))
    told = "".join(f"{c['two_cores_over_one']['median']:>20.2f}" for c in columns)
    print(f"{'two cores over one, wall time':36}{told}")
    told = "".join(f"{c['spikes_per_cell']['jaxmem']:>20.3f}" for c in columns)
    print(f"{'spikes per cell':36}{told}\nin brackets: times the C limit, median over turns")
    g = results["gradient"]
    print(
        f"\ngradient, float32, {g['cells']} cells, {g['steps']} steps: {g['times_the_primal']['median']:.1f} primals, "
        f"{g['peak_memory_above_primal_MiB']:.0f} MiB above the primal (with what compiling took)"
    )
    print(f"\n{'fresh processes':36}{'wall':>10}{'CPU':>10}")
    for name, x in results["start_up"].items():
        print(f"{name:36}{x['wall']['median']:9.3f}s{x['cpu']['median']:9.3f}s")
    print()
    for d in results["demands"]:
        said = (
            "not measured" if d["met"] is None else f"{d['measured']['median']:.3g}, {'met' if d['met'] else 'NOT met'}"
        )
        print(f"{d['what']:44}{d['demand']:20}{said}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small and short; writes nothing")
    parser.add_argument("--cells", type=int, help=f"cells of a population ({CELLS})")
    parser.add_argument("--part", choices=["rates", "gradient"], help=argparse.SUPPRESS)
    parser.add_argument("--precision", choices=["float32", "float64"], default="float32", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    cells = asked.cells or (1024 if asked.quick else CELLS)
    rounds = 2 if asked.quick else ROUNDS
    if asked.part == "rates":
        print(json.dumps(measure_rates(asked.precision, cells, rounds)))
        return
    if asked.part == "gradient":
        print(
            json.dumps(
                measure_gradient(asked.precision, min(cells, 1000), 800 if asked.quick else 4000, max(2, rounds // 3))
            )
        )
        return

    words = ["--cells", str(cells), *(["--quick"] if asked.quick else [])]
    results: dict[str, Any] = {
        "cells": cells,
        "duration_ms": 100.0,
        "dt_ms": 0.025,
        "sampled_every_ms": 1.0,
        "rates": {},
    }
    for precision in ("float32", "float64"):
        print(f"rates in {precision} ...", flush=True)
        results["rates"][precision] = harness.in_fresh_process(
            "throughput.py", "--part", "rates", "--precision", precision, *words
        )
    print("gradient ...", flush=True)
    results["gradient"] = harness.in_fresh_process("throughput.py", "--part", "gradient", *words)
    print("start-up ...", flush=True)
    results["start_up"] = measure_start_up(1 if asked.quick else 3)
    results["demands"] = judge(results)
    show(results)
    if not asked.quick:
        print(f"\nwritten: {harness.record('throughput', results).name}")


if __name__ == "__main__":
    main()
