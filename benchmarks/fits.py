"""How fast and how surely hidden parameters are found again, next to SciPy cell by cell and to gradients through time.

    python benchmarks/fits.py                   10^5 cells, some minutes; writes benchmarks/results/fits-*.json
    python benchmarks/fits.py --cells 2000 --scipy-cells 10 --output DIR

One run. Cells of the preset ``pump_leak`` get four random parameters each (within a factor of two); of each cell are told its
resting potential, input resistance, Na+ inside and the electrogenic shift, and every fit begins at the preset's numbers
with bounds a factor of eight away. SciPy does what its user would: ``least_squares`` in the logarithms, the rest by
``fsolve`` from the rest before, the Jacobian by its differences, with the equations of equations.py. Ratios are turn by turn:
of cells per second (the library takes every core, SciPy one), and of cells per CPU-second, so per core.
"""

import argparse
import math
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package beside this folder, installed or not

import equations
import harness
import numpy as np
import workloads
from rests import DT, PRECISIONS, SIMULATED, timed_with_first

CELLS, SCIPY_CELLS, THROUGH_TIME, ROUNDS = 100_000, 60, 64, 3
PATHS = ("na_leak.g", "k_leak.g", "cl_leak.g", "pump.i_max")
SD = {"resting_potential": 1.0, "input_resistance": 10.0, "na.inside": 0.5, "pump_shift": 0.1}
GRADIENTS = {"hodgkin_huxley_1952": ("sodium.g", "potassium.g", "leak.g"), "pumped_neuron": PATHS, "pump_leak": PATHS}
CLOSE = {"float64": 1e-6, "float32": 1e-3}  # mV
LEAST = {"float64": 0.99, "float32": 0.97}  # how many are to be that close
DEMANDS = {  # what: (limit, side)
    "recovered in float64 (below 1e-6 mV)": (LEAST["float64"], "least"),
    "recovered in float32 (below 1e-3 mV)": (LEAST["float32"], "least"),
    "one parameter, one target": (1.0, "least"),
    "times SciPy per second of the machine, float64": (500.0, "least"),
    "times SciPy per second of the machine, float32": (500.0, "least"),
    "times SciPy per core, float64": (500.0, "least"),
    "times SciPy per core, float32": (500.0, "least"),
    "squid: a gradient through 500 ms over one at rest": (1000.0, "least"),
}


def hidden(cells: int, seed: int = 1) -> tuple[Any, dict[str, np.ndarray], dict[str, float]]:
    """The preset, the truths, and what stands in the preset."""
    import jaxmem as jm

    membrane, draw = jm.presets.get("pump_leak"), np.random.default_rng(seed)
    own = {path: float(membrane.parameters()[path].value) for path in PATHS}
    return membrane, {path: g * np.exp(draw.uniform(-math.log(2), math.log(2), cells)) for path, g in own.items()}, own


def measured(membrane: Any, truth: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    import jaxmem as jm
    from jaxmem.analysis.fitting.quantities import quantity

    there = membrane.with_parameters(truth)
    rest = jm.resting_state(there)
    return {name: np.asarray(quantity(there, name)(there, rest), float) for name in SD}


# ---------------------------------------------------------------------- SciPy, cell by cell
def by_scipy(membrane: Any, told: dict[str, np.ndarray], own: dict[str, float], cells: int) -> np.ndarray:
    """(cells,) how far the fitted rest is from the true one, mV."""
    from scipy.optimize import fsolve, least_squares

    fixed = equations.one_cell(equations.parameters_of(membrane), 0)
    start = np.log([own[p] for p in PATHS])
    area = 4 * math.pi * fixed["geometry.radius"] ** 2
    off = np.empty(cells)
    for cell in range(cells):
        goal = np.array([told[name][cell] for name in SD])
        rest = np.asarray(equations.start(fixed)[:3], float)

        def residuals(y: np.ndarray, goal: np.ndarray = goal) -> np.ndarray:
            nonlocal rest
            p = fixed | dict(zip(PATHS, np.exp(y), strict=True))
            x, _, flag, _ = fsolve(equations.rest_equations(p), rest, full_output=True)
            rest = x if flag == 1 else rest
            whole = sum(p[path] for path in PATHS[:3])
            na, k_out = math.exp(x[1]), p["k.outside"]
            by_k = k_out ** p["pump.hill_k"] / (k_out ** p["pump.hill_k"] + p["pump.km_k"] ** p["pump.hill_k"])
            by_na = na ** p["pump.hill_na"] / (na ** p["pump.hill_na"] + p["pump.km_na"] ** p["pump.hill_na"])
            found = (x[0], 1e5 / (whole * area), na, -p["pump.i_max"] * by_k * by_na / whole)
            return (np.array(found) - goal) / list(SD.values())

        low, high = start - math.log(8), start + math.log(8)
        answer = least_squares(residuals, start, bounds=(low, high), xtol=1e-12, ftol=1e-12, gtol=1e-12)
        off[cell] = abs(residuals(answer.x)[0]) * SD["resting_potential"]
    return off


# ---------------------------------------------------------------------- in turns
def measure_recovery(cells: int, few: int, rounds: int) -> dict[str, Any]:
    import jaxmem as jm

    membrane, truth, own = hidden(cells)
    told = measured(membrane, truth)
    free = {path: (g / 8, g * 8) for path, g in own.items()}
    targets = {name: jm.Target(x, sd=SD[name]) for name, x in told.items()}
    cases, first, fits = {}, {}, {}
    for precision in PRECISIONS:
        work = lambda precision=precision: jm.fit(membrane, free=free, targets=targets, precision=precision)
        fits[precision], first[precision], cases[precision] = timed_with_first(work, cells)
    cases["scipy"] = harness.timed(lambda: by_scipy(membrane, told, own, few), few)
    off = by_scipy(membrane, told, own, few)
    samples = harness.in_turns(cases, rounds)
    rates = {name: harness.rates(s) for name, s in samples.items()}
    away = {k: np.abs(f.values["resting_potential"] - told["resting_potential"]) for k, f in fits.items()}
    errors = {k: np.max([np.abs(f.parameters[p] / truth[p] - 1) for p in PATHS], 0) for k, f in fits.items()}
    return {
        "cells_per": {k: {"cpu_second": r["per_cpu_second"], "second": r["per_second"]} for k, r in rates.items()},
        "seconds_with_compilation": first,
        "times_scipy": {k: harness.ratio(samples[k], samples["scipy"], "wall") for k in PRECISIONS},
        "times_scipy_per_core": {k: harness.ratio(samples[k], samples["scipy"]) for k in PRECISIONS},
        "recovered": {k: float(np.mean(x < CLOSE[k])) for k, x in away.items()},
        "mV_from_truth": {k: quantiles(x) for k, x in away.items()},
        "parameters_from_truth": {k: quantiles(x) for k, x in errors.items()},
        "status": {k: counted(f.status) for k, f in fits.items()},
        "iterations": {k: quantiles(f.iterations) for k, f in fits.items()},
        "scipy_recovered": float(np.mean(off < CLOSE["float64"])),
        "scipy_cells": few,
    }


def measure_one(cells: int) -> dict[str, Any]:
    """One free parameter, one target that it can meet."""
    import jaxmem as jm

    membrane, truth, own = hidden(cells, seed=2)
    path = "k_leak.g"
    told = measured(membrane, {path: truth[path]})
    fit = jm.fit(
        membrane, free={path: (own[path] / 8, own[path] * 8)}, targets={"resting_potential": told["resting_potential"]}
    )
    away = np.abs(fit.values["resting_potential"] - told["resting_potential"])
    return {"recovered": float(np.mean(away < CLOSE["float64"])), "mV_from_truth": quantiles(away)}


def measure_gradient(
    name: str, paths: tuple[str, ...], cells: int, few: int, rounds: int, duration: float
) -> dict[str, Any]:
    """The resting potential's gradient in every cell: one evaluation of a fit, next to the way back through a simulation.

    The first finds the rest from that of a cell a little different, and differentiates it; the second is what a
    simulator with gradients offers: the voltage at the end. What a simulation has not reached of slow ions is missing
    from it.
    """
    import jax
    import jax.numpy as jnp

    import jaxmem as jm
    from jaxmem.analysis.fitting import levenberg_marquardt as lm
    from jaxmem.analysis.unknowns import start_of

    membrane, draw = jm.presets.get(name), np.random.default_rng(3)
    own = {path: float(membrane.parameters()[path].value) for path in paths}
    truth = {path: g * np.exp(0.1 * draw.standard_normal(cells)) for path, g in own.items()}
    there = membrane.with_parameters(truth)
    rest = jm.resting_state(there)
    free = {path: (g / 8, g * 8) for path, g in own.items()}
    fit = jm.fit(there, free=free, targets={"resting_potential": rest.v}, method=jm.LevenbergMarquardt(iterations=1))
    layout, numbers = fit.problem.layout, fit.problem.members(1)
    u = tuple(np.broadcast_to(x, (1, cells)) for x in start_of(there, layout.unknowns, rest.state))
    shifted = tuple(np.log(truth[path]) + 1e-3 for path in paths)
    some = {path: jnp.asarray(truth[path][:few]) for path in paths}

    def through_time(parameters: dict[str, Any]) -> Any:
        there = membrane.with_parameters(parameters)
        return jm.integrate(there, there.initial_state(), steps=round(duration / DT), dt=DT).final_state.v.sum()

    slope = jax.jit(jax.grad(through_time))
    cases, first = {}, {}
    ways = {
        "at rest": (lambda: lm.looked(layout, numbers, shifted, u), cells),
        "through time": (lambda: jax.block_until_ready(slope(some)), few),
    }
    for key, (work, size) in ways.items():
        _, first[key], cases[key] = timed_with_first(work, size)
    samples = harness.in_turns(cases, rounds)
    return {
        "by": list(paths),
        "simulated_ms": duration,
        "cells_simulated": few,
        "cells_per_cpu_second": {k: harness.rates(s)["per_cpu_second"] for k, s in samples.items()},
        "seconds_with_compilation": first,
        "through_time_over_rest": harness.ratio(samples["at rest"], samples["through time"]),
    }


def quantiles(x: np.ndarray) -> dict[str, float]:
    return {f"{q}": float(f"{np.percentile(x, q):.3g}") for q in (50, 90, 97, 99, 100)}


def counted(status: np.ndarray) -> dict[str, int]:
    import jaxmem as jm

    return {jm.FitStatus(int(k)).name: int(n) for k, n in zip(*np.unique(status, return_counts=True), strict=True)}


def judge(results: dict[str, Any]) -> list[dict[str, Any]]:
    recovery = results["recovery"]
    ratio = {k: recovery["times_scipy_per_core"][k]["median"] for k in PRECISIONS}
    wall = {k: recovery["times_scipy"][k]["median"] for k in PRECISIONS}
    squid = results["gradient"]["hodgkin_huxley_1952"]["through_time_over_rest"]["median"]
    found = recovery["recovered"]
    values = (
        found["float64"], found["float32"], results["one"]["recovered"], wall["float64"], wall["float32"],
        ratio["float64"], ratio["float32"], squid,
    )  # fmt: skip
    return [
        {"what": what, "demand": f"at {side} {limit:g}", "measured": x, "met": bool(x >= limit)}
        for (what, (limit, side)), x in zip(DEMANDS.items(), values, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=CELLS, help=f"cells that are fitted ({CELLS})")
    parser.add_argument("--scipy-cells", type=int, default=SCIPY_CELLS, help=f"of these SciPy fits ({SCIPY_CELLS})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"turns that are timed ({ROUNDS})")
    parser.add_argument("--simulated", type=float, default=SIMULATED, help=f"ms simulated for a gradient ({SIMULATED})")
    parser.add_argument("--output", type=Path, help="folder of the JSON (benchmarks/results)")
    asked = parser.parse_args()
    few = min(asked.scipy_cells, asked.cells)
    workloads.select_precision("float64")
    results: dict[str, Any] = {"cells": asked.cells, "rounds": asked.rounds}
    print("recovery ...", flush=True)
    results["recovery"] = measure_recovery(asked.cells, few, asked.rounds)
    print("one parameter ...", flush=True)
    results["one"] = measure_one(min(asked.cells, 10_000))
    print("gradients ...", flush=True)
    some, size = min(asked.cells, THROUGH_TIME), min(asked.cells, 20_000)
    results["gradient"] = {
        name: measure_gradient(name, paths, size, some, asked.rounds, asked.simulated)
        for name, paths in GRADIENTS.items()
    }
    results["demands"] = judge(results)
    for d in results["demands"]:
        print(f"{d['what']:52}{d['demand']:16}{d['measured']:12.5g}  {'met' if d['met'] else 'NOT met'}")
    print(f"\nwritten: {harness.record('fits', results, folder=asked.output).name}")


if __name__ == "__main__":
    main()
