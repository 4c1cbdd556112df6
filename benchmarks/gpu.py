"""Is the device right, and how fast is it? On whatever JAX finds first: a GPU if there is one, else the processor.

    PYTHONPATH=. python benchmarks/gpu.py                          from the repository's root; under 8 minutes
    PYTHONPATH=. python benchmarks/gpu.py --sizes 64 --minutes 1   a small check

First parity with float64 on the processor and bit identity across populations; then hidden conductances are fitted again;
then rates of the compiled loop on data that lives on the device, for growing populations, with 1, 8, ... steps to an
iteration of the loop (every iteration costs a launch or more on a GPU). What has been measured is written after every
case, so that a run cut short is not lost. Needs jax, numpy, scipy, equinox, optax, jaxtyping; the folder for the JSON is
$OUT or --output.
"""

import argparse
import itertools
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package beside this folder, installed or not

import harness
import numpy as np
import workloads

FITS = 10**5
SIZES = [10**3, 10**4, 10**5, 10**6, 10**7]
UNROLLS = [1, 8, 10, 16, 20]
MEASURE_SECONDS = 1.5  # of one case, compilation apart
TOLERANCE = {  # float32 and float64 on the device against float64 on the processor; W1 and W2 for 50 ms
    "float32": {"spike_ms": 1e-3, "v_mV": 0.2, "concentration_mM": 2e-4},
    "float64": {"spike_ms": 1e-9, "v_mV": 1e-6, "concentration_mM": 1e-9},
}


class Budget:
    """Time that is left, and whether another case is worth starting."""

    def __init__(self, minutes: float):
        self.end = time.monotonic() + 60 * minutes

    @property
    def left(self) -> float:
        return self.end - time.monotonic()


# ---------------------------------------------------------------------- parity and bit identity
def parity(name: str, precision: str, cells: int, device: Any, reference: Any) -> dict[str, Any]:
    """Largest differences of one population on the device from float64 on the reference device."""
    import numpy as np

    import jaxmem as jm

    def run(where: Any, precision: str) -> Any:
        return jm.simulate(
            workloads.population(name, cells), 50.0, dt=workloads.DT, stimulus=workloads.STIMULUS, precision=precision,
            record=jm.Record("v", every=1.0), measures=("first_spike_time", "spike_count", "concentration_change"),
            execution=jm.Execution(device=where),
        )  # fmt: skip

    wanted, found = run(reference, "float64"), run(device, precision)
    apart = lambda a, b: float(np.max(np.abs(np.asarray(a, float) - np.asarray(b, float)), initial=0.0))
    changes = [k for k in wanted.measures if k.startswith("concentration_change")]
    differences = {
        "spike_ms": apart(wanted.measures["first_spike_time"], found.measures["first_spike_time"]),
        "v_mV": apart(wanted.traces["v"], found.traces["v"]),
        "concentration_mM": max((apart(wanted.measures[k], found.measures[k]) for k in changes), default=0.0),
    }
    same_spikes = bool((wanted.measures["spike_count"] == found.measures["spike_count"]).all())
    within = all(differences[k] <= TOLERANCE[precision][k] for k in differences)  # False where one is NaN
    return {
        **differences,
        "tolerance": TOLERANCE[precision],
        "same_spike_counts": same_spikes,
        "spikes_per_cell": float(found.measures["spike_count"].mean()),
        "failed": int((found.status != 0).sum()),
        "charge_audit": found.audit.worst_charge,
        "passed": same_spikes and within and not found.failures,
    }


def bit_identity(name: str, precision: str, cells: int, device: Any) -> dict[str, Any]:
    """A cell alone and among seven against the same cell in the whole population: every leaf of the final state."""
    import jax
    import numpy as np

    import jaxmem as jm

    population = workloads.population(name, cells)

    def final(chosen: slice) -> list[Any]:
        run = jm.simulate(
            population[chosen], 10.0, dt=workloads.DT, stimulus=workloads.STIMULUS, precision=precision,
            initial=population.initial_state(dtype=np.dtype(precision))[chosen], execution=jm.Execution(device=device),
        )  # fmt: skip
        return [np.asarray(x) for x in jax.tree.leaves(run.final_state)]

    whole, different = final(slice(0, cells)), {}
    for few in (slice(3, 4), slice(0, 7)):
        pairs = zip(whole, final(few), strict=True)
        different[f"{few.stop - few.start} of {cells}"] = sum(
            not np.array_equal(a[..., few] if a.ndim else a, b) for a, b in pairs
        )
    return {"leaves_that_differ": different, "leaves": len(whole), "passed": not any(different.values())}


# ---------------------------------------------------------------------- rates
def rate(name: str, precision: str, cells: int, unroll: int, device: Any, patience: float) -> dict[str, Any]:
    """Cell-steps per second of the compiled loop, and what compiling it took; nothing is sampled."""
    import jax
    import numpy as np

    from jaxmem.engine.advance import clock, compiled
    from jaxmem.engine.interval import begin, refresh_steps
    from jaxmem.membrane.parameters import map_declared
    from jaxmem.rig.protocol import Protocol

    dtype, refresh = np.dtype(precision).type, refresh_steps(workloads.DT)
    population = workloads.population(name, cells)
    with jax.default_device(device):
        state = population.initial_state(dtype=dtype)
        membrane = map_declared(lambda _, x: jax.device_put(np.asarray(x, dtype), device), population)
        carry = jax.device_put(begin(state, {}), device)
        protocol = Protocol(workloads.STIMULUS).on_grid(workloads.DT)
        advance = compiled((), 0, device.platform, unroll)

        def seconds(steps: int) -> float:
            times = clock(end=steps, refresh=refresh, dt=workloads.DT)
            began = time.perf_counter()
            jax.block_until_ready(advance(membrane, carry, protocol, {}, times)[0])
            return time.perf_counter() - began

        first = seconds(refresh)
        few = seconds(refresh)
        steps = refresh * max(1, int(min(patience, MEASURE_SECONDS) / 3 / max(few, 1e-6)))
        steps = min(steps, 200_000 // refresh * refresh)
        runs = [seconds(steps) for _ in range(3)]
    memory = (device.memory_stats() or {}).get("peak_bytes_in_use")
    return {
        "cells": cells,
        "unroll": unroll,
        "steps": steps,
        "cell_steps_per_second": harness.spread(cells * steps / s for s in runs),
        "microseconds_per_step": harness.spread(1e6 * s / steps for s in runs),
        "first_call_seconds": round(first - few, 3),
        "peak_device_bytes": memory,
    }


def simulate_rate(name: str, precision: str, cells: int, device: Any) -> dict[str, Any]:
    """The same through jm.simulate, with its host around it and one measure, 20 ms of model time, warmed up."""
    import jaxmem as jm

    population = workloads.population(name, cells)

    def seconds() -> float:
        began = time.perf_counter()
        jm.simulate(
            population, 20.0, dt=workloads.DT, stimulus=workloads.STIMULUS, precision=precision,
            measures=("spike_count",), execution=jm.Execution(device=device),
        )  # fmt: skip
        return time.perf_counter() - began

    seconds()
    taken = [seconds() for _ in range(2)]
    return {
        "cells": cells,
        "cell_steps_per_second": harness.spread(cells * round(20.0 / workloads.DT) / s for s in taken),
    }


def fit_rate(precision: str, cells: int, device: Any) -> dict[str, Any]:
    """Hidden conductances of pumped cells found again on the device (see fits.py): how many, and how fast when warm."""
    import fits
    import jax

    import jaxmem as jm

    with jax.default_device(device):
        membrane, truth, own = fits.hidden(cells)
        told = fits.measured(membrane, truth)
        free = {path: (g / 8, g * 8) for path, g in own.items()}
        targets = {name: jm.Target(x, sd=fits.SD[name]) for name, x in told.items()}

        def run() -> tuple[Any, float]:
            began = time.perf_counter()
            return jm.fit(membrane, free=free, targets=targets, precision=precision), time.perf_counter() - began

        first, (found, warm) = run()[1], run()
    away = np.abs(found.values["resting_potential"] - told["resting_potential"])
    recovered = float(np.mean(away < fits.CLOSE[precision]))
    return {
        "cells": cells,
        "recovered": recovered,
        "fits_per_second": float(f"{cells / warm:.4g}"),
        "first_call_seconds": round(first, 3),
        "passed": recovered >= fits.LEAST[precision],
    }


# ---------------------------------------------------------------------- all of it
def attempt(case: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A case's result, or what went wrong with it: the others go on."""
    try:
        return case()
    except Exception as error:
        traceback.print_exc(limit=3)
        return {"error": f"{type(error).__name__}: {error}"[:500], "passed": False}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="populations to time")
    parser.add_argument("--unroll", type=int, nargs="+", default=UNROLLS, help="steps per iteration of the loop")
    parser.add_argument("--workloads", nargs="+", choices=list(workloads.NAMES), default=list(workloads.NAMES))
    parser.add_argument("--precisions", nargs="+", choices=["float32", "float64"], default=["float32", "float64"])
    parser.add_argument("--fits", type=int, default=FITS, help="cells that are fitted; 0 for none")
    parser.add_argument("--minutes", type=float, default=7.0, help="no case is begun after that")
    parser.add_argument("--seconds", type=float, default=MEASURE_SECONDS, help="how long one case is measured")
    parser.add_argument("--device", help="cpu or gpu, if not the first that JAX finds")
    parser.add_argument(
        "--output", type=Path, default=Path(os.environ.get("OUT") or harness.RESULTS), help="folder for the JSON"
    )
    asked = parser.parse_args()

    import jax

    workloads.select_precision("float64")  # so that both precisions can be had in one process
    device = jax.devices(asked.device)[0]
    try:
        reference = jax.devices("cpu")[0]
    except RuntimeError:
        reference = device  # JAX was told to see nothing else
    budget = Budget(asked.minutes)
    results: dict[str, Any] = {"device": f"{device.platform}: {device.device_kind}"}
    results |= {"parity": {}, "bit_identity": {}, "fits": {}, "rates": {}, "simulate": {}}
    small = min(256, min(asked.sizes))

    def keep() -> Path:
        results["seconds_used"] = round(60 * asked.minutes - budget.left, 1)
        named = None if device.platform == "cpu" else device.device_kind
        return harness.record("gpu", results, device=named, folder=asked.output)

    for name in asked.workloads:
        for precision in asked.precisions:
            case = f"{name} {precision}"
            results["parity"][case] = attempt(lambda n=name, p=precision: parity(n, p, small, device, reference))
            results["bit_identity"][case] = attempt(
                lambda n=name, p=precision: bit_identity(n, p, max(small, 8), device)
            )
            p, b = results["parity"][case], results["bit_identity"][case]
            print(
                f"{case}: parity {'passed' if p['passed'] else p}, bit identity {'passed' if b['passed'] else b}",
                flush=True,
            )
            keep()

    for precision in asked.precisions if asked.fits else []:
        found = results["fits"][precision] = attempt(lambda p=precision: fit_rate(p, asked.fits, device))
        told = found.get("error") or f"{found['recovered']:.2%} found again, {found['fits_per_second']:.3g}/s"
        print(f"fits {precision}: {told}", flush=True)
        keep()

    # what matters most first, should the time run out: float32 before float64, pump before squid
    order = sorted(asked.precisions), asked.sizes, asked.workloads[::-1], asked.unroll
    slowest = 0.0
    for precision, cells, name, unroll in itertools.product(*order):
        if budget.left < slowest:
            results["cut_short"] = True
            break
        began = time.monotonic()
        found = attempt(
            lambda n=name, p=precision, c=cells, u=unroll: rate(n, p, c, u, device, min(asked.seconds, budget.left / 4))
        )
        slowest = max(slowest, time.monotonic() - began)
        results["rates"].setdefault(f"{name} {precision}", []).append({"cells": cells, "unroll": unroll, **found})
        told = found.get("error") or f"{found['cell_steps_per_second']['median']:.3g} cell-steps/s"
        print(f"{name} {precision} n={cells} unroll={unroll}: {told}", flush=True)
        keep()
    largest = max((s for s in asked.sizes if s <= 10**6), default=None)
    for name in asked.workloads if largest else []:
        if budget.left > slowest:
            case = lambda n=name: simulate_rate(n, min(asked.precisions), largest, device)
            results["simulate"][name] = attempt(case)
    print(f"written: {keep().name}")
    passed = all(x["passed"] for kind in ("parity", "bit_identity", "fits") for x in results[kind].values())
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
