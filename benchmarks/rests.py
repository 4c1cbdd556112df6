"""How fast resting states are found, next to SciPy cell by cell, and next to the demands.

    python benchmarks/rests.py                   10^5 cells, a few minutes; writes benchmarks/results/rests-*.json
    python benchmarks/rests.py --cells 2000 --scipy-cells 20 --output DIR

One run. SciPy works on the same cells with the equations of equations.py: ``brentq`` on every sign change of a grid of 181
voltages for clamped concentrations, ``fsolve`` where they are dynamic. Library and SciPy take turns, after a first run
that compiles. Ratios are of cells per CPU-second, so per core, turn by turn.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package beside this folder, installed or not

import equations
import harness
import numpy as np
import workloads

CELLS, SCIPY_CELLS, ROUNDS = 100_000, 300, 3
SIMULATED, DT = 500.0, 0.025  # ms: what a gradient through time is taken of
PRECISIONS = ("float64", "float32")
POPULATIONS = {  # preset: (scatter, of what)
    "hodgkin_huxley_1952": (0.3, ("sodium.g", "potassium.g", "leak.g")),
    "pump_leak": (0.5, ("na_leak.g", "k_leak.g", "cl_leak.g", "pump.i_max")),
    "pumped_neuron": (
        0.1, ("sodium.g", "potassium.g", "na_leak.g", "k_leak.g", "cl_leak.g", "pump.i_max"),
    ),
}  # fmt: skip
DEMANDS = {  # what: (limit, side)
    "clamped, float64": (40.0, "least"),
    "pump_leak, cold, float64": (15.0, "least"),
    "pump_leak, cold, float32": (50.0, "least"),
    "pump_leak, warm, float64": (150.0, "least"),
    "pumped_neuron, cold, float64": (15.0, "least"),
    "pumped_neuron, cold, float32": (50.0, "least"),
    "pumped_neuron, warm, float64": (150.0, "least"),
    "gradient, simulation over rest": (1000.0, "least"),
    "float32 - float64, mV": (1e-4, "most"),
}


def population(name: str, cells: int, seed: int = 1) -> Any:
    """The preset with log-normal scatter in every cell."""
    import jaxmem as jm

    membrane, (scatter, paths) = jm.presets.get(name), POPULATIONS[name]
    draw, known = np.random.default_rng(seed), membrane.parameters()
    factors = {path: np.exp(scatter * draw.standard_normal(cells)) for path in paths}
    return membrane.with_parameters({path: known[path].value * f for path, f in factors.items()})


def nearby(membrane: Any, name: str, seed: int = 2) -> Any:
    """The same cells, their parameters 1 % different."""
    draw, known = np.random.default_rng(seed), membrane.parameters()
    change = lambda x: x * (1 + 0.01 * draw.standard_normal(np.shape(x)))
    return membrane.with_parameters({path: change(known[path].value) for path in POPULATIONS[name][1]})


# ---------------------------------------------------------------------- SciPy, cell by cell
def clamped_by_scipy(p: equations.Numbers, cells: int) -> list[list[float]]:
    from scipy.optimize import brentq

    grid = np.linspace(-120.0, 60.0, 181)
    found = []
    for cell in range(cells):
        mine = equations.one_cell(p, cell)
        values, scalar = equations.squid_current(mine)(grid), equations.squid_current(mine, math)
        where = np.flatnonzero((values[1:] > 0) != (values[:-1] > 0))
        found.append([brentq(scalar, grid[i], grid[i + 1]) for i in where])
    return found


def dynamic_by_scipy(p: equations.Numbers, cells: int, guess: Any = None, by_hand: bool = False) -> np.ndarray:
    """(cells, 3): v, ln na, ln k of each; NaN where fsolve gave up."""
    from scipy.optimize import fsolve

    found = np.full((cells, 3), np.nan)
    for cell in range(cells):
        mine = equations.one_cell(p, cell)
        at = equations.start(mine)[:3] if guess is None else guess[cell]
        slopes = equations.rest_jacobian(mine) if by_hand else None
        x, _, flag, _ = fsolve(equations.rest_equations(mine), at, fprime=slopes, full_output=True)
        if flag == 1:
            found[cell] = x
    return found


# ---------------------------------------------------------------------- taking turns
def timed_with_first(work: Callable[[], Any], cells: int) -> tuple[Any, float, Callable[[], harness.Sample]]:
    """The answer, seconds of the first run (with compilation), and the case to time."""
    begun = time.perf_counter()
    answer = work()
    return answer, time.perf_counter() - begun, harness.timed(work, cells)


def judged(cases: dict[str, Any], first: dict[str, float], rounds: int, baseline: str) -> dict[str, Any]:
    samples = harness.in_turns(cases, rounds)
    rates = {name: harness.rates(s) for name, s in samples.items()}
    return {
        "cells_per": {k: {"cpu_second": r["per_cpu_second"], "second": r["per_second"]} for k, r in rates.items()},
        "seconds_with_compilation": first,
        "times_scipy_per_core": {k: harness.ratio(s, samples[baseline]) for k, s in samples.items() if k != baseline},
    }


def measure_clamped(cells: int, few: int, rounds: int) -> dict[str, Any]:
    import jaxmem as jm

    squids = population("hodgkin_huxley_1952", cells)
    p = equations.parameters_of(squids)
    cases, first, answers = {}, {}, {}
    for precision in PRECISIONS:
        work = lambda precision=precision: jm.all_resting_states(squids, precision=precision)
        answers[precision], first[precision], cases[precision] = timed_with_first(work, cells)
    cases["scipy"] = harness.timed(lambda: clamped_by_scipy(p, few), few)
    oracle, wide, narrow = clamped_by_scipy(p, few), answers["float64"], answers["float32"]
    worst = max(
        float(np.abs(wide.v[: len(x), i] - x).max()) if wide.count[i] == len(x) else math.inf
        for i, x in enumerate(oracle)
    )
    same = (wide.status == 0) & (narrow.status == 0) & (wide.count == narrow.count)
    return {
        **judged(cases, first, rounds, "scipy"),
        "rests_per_cell": {int(k): int(n) for k, n in zip(*np.unique(wide.count, return_counts=True), strict=True)},
        "from_scipy_mV": worst,
        "other_count_in_float32": int((wide.count != narrow.count).sum()),
        "float32_from_float64_mV": float(np.nanmax(np.abs(wide.v - narrow.v.astype(float))[:, same])),
    }


def measure_dynamic(name: str, cells: int, few: int, rounds: int) -> dict[str, Any]:
    import jaxmem as jm

    membrane = population(name, cells)
    changed = nearby(membrane, name)
    p, q = equations.parameters_of(membrane), equations.parameters_of(changed)
    cases, first, answers = {}, {}, {}
    for precision in PRECISIONS:
        cold = lambda precision=precision: jm.resting_state(membrane, precision=precision)
        key = f"cold {precision}"
        answers[key], first[key], cases[key] = timed_with_first(cold, cells)
        warm = lambda precision=precision, state=answers[key].state: jm.resting_state(
            changed, initial=state, precision=precision
        )
        key = f"warm {precision}"
        answers[key], first[key], cases[key] = timed_with_first(warm, cells)
    wide = answers["cold float64"]
    guess = np.stack([wide.v, *(np.log(wide.concentrations[f"{ion}.inside"]) for ion in ("na", "k"))], -1)
    ways = {"scipy cold": (p, None, False), "scipy warm": (q, guess, False)}
    if name == "pump_leak":
        ways |= {"scipy cold, Jacobian by hand": (p, None, True), "scipy warm, Jacobian by hand": (q, guess, True)}
    solved = {}
    for key, (numbers, at, by_hand) in ways.items():
        work = lambda numbers=numbers, at=at, by_hand=by_hand: dynamic_by_scipy(numbers, few, at, by_hand)
        cases[key], solved[key] = harness.timed(work, few), work()
    samples = harness.in_turns(cases, rounds)
    fastest = lambda kind: max(
        (k for k in ways if k.startswith(f"scipy {kind}")),
        key=lambda k: np.median([s.cell_steps / s.cpu for s in samples[k]]),
    )
    rates = {key: harness.rates(s) for key, s in samples.items()}
    ok = wide.status[:few] == 0
    apart = lambda x, of: largest(np.abs(x[:, 0] - of.v[:few])[(of.status[:few] == 0) & np.isfinite(x[:, 0])])
    both = lambda kind: (answers[f"{kind} float64"].status == 0) & (answers[f"{kind} float32"].status == 0)
    difference = lambda kind: np.abs(answers[f"{kind} float64"].v - answers[f"{kind} float32"].v.astype(float))
    return {
        "cells_per": {k: {"cpu_second": r["per_cpu_second"], "second": r["per_second"]} for k, r in rates.items()},
        "seconds_with_compilation": first,
        "times_scipy_per_core": {
            f"{kind} {x}": harness.ratio(samples[f"{kind} {x}"], samples[fastest(kind)])
            for kind in ("cold", "warm")
            for x in PRECISIONS
        },
        "warm_times_scipy_cold_per_core": {
            x: harness.ratio(samples[f"warm {x}"], samples[fastest("cold")]) for x in PRECISIONS
        },
        "wall_of_all_cores_over_scipy": {
            k: harness.ratio(samples[k], samples[fastest(k.split()[0])], "wall") for k in answers
        },
        "status": {k: counted(x.status) for k, x in answers.items()},
        "iterations": {k: percentiles(x.iterations) for k, x in answers.items()},
        "scipy_gave_up_where_ok": {
            k: int((np.isnan(x[:, 0]) & ok).sum()) for k, x in solved.items() if k.startswith("scipy cold")
        },
        "scipy_cells": few,
        "from_scipy_mV": apart(solved["scipy cold"], wide),
        "float32_from_float64_mV": {
            kind: largest(difference(kind)[both(kind)]) for kind in ("cold", "warm")
        },
        "other_status_in_float32": {
            kind: int((answers[f"{kind} float64"].status != answers[f"{kind} float32"].status).sum())
            for kind in ("cold", "warm")
        },
    }  # fmt: skip


def largest(x: np.ndarray) -> float | None:
    return float(x.max()) if x.size else None


def counted(status: np.ndarray) -> dict[str, int]:
    import jaxmem as jm

    return {jm.Status(int(k)).name: int(n) for k, n in zip(*np.unique(status, return_counts=True), strict=True)}


def percentiles(x: np.ndarray) -> dict[str, int]:
    return {f"{q}": int(np.percentile(x, q)) for q in (1, 50, 90, 99, 100)}


# ---------------------------------------------------------------------- the gradient of v at rest
def measure_gradient(cells: int, few: int, rounds: int, duration: float = SIMULATED) -> dict[str, Any]:
    """d v/d g_K of every cell: at rest by the implicit function theorem, and through the end of a simulation.

    The rest is sought and differentiated in one compiled call; the simulation starts at ``initial_v``.
    """
    import jax
    import jax.numpy as jnp

    import jaxmem as jm

    found: dict[str, Any] = {"simulated_ms": duration, "cells_simulated": few}
    ends = {"hodgkin_huxley_1952": "potassium.g", "pumped_neuron": "k_leak.g"}
    steps = round(duration / DT)
    for name, path in ends.items():

        def gradient_of(end: Callable[[Any], Any], size: int, name: str = name, path: str = path) -> Any:
            membrane = population(name, size)
            at = jnp.asarray(membrane.parameters()[path].value)
            slope = jax.jit(jax.grad(lambda g: end(membrane.with_parameters({path: g}))))
            return lambda: jax.block_until_ready(slope(at))

        def through_time(membrane: Any) -> Any:
            return jm.integrate(membrane, membrane.initial_state(), steps=steps, dt=DT).final_state.v.sum()

        ways = {
            "rest": gradient_of(lambda m: jm.resting_state(m).v.sum(), cells),
            "simulation": gradient_of(through_time, few),
        }
        if name == "hodgkin_huxley_1952":
            all_rests = lambda m: jnp.nan_to_num(jm.all_resting_states(m).v).sum()
            ways["all rests"] = gradient_of(all_rests, cells)
        cases, first, slopes = {}, {}, {}
        for key, work in ways.items():
            size = few if key == "simulation" else cells
            slopes[key], first[key], cases[key] = timed_with_first(work, size)
        samples = harness.in_turns(cases, rounds)
        found[name] = {
            "by": path,
            "cells_per_cpu_second": {k: harness.rates(s)["per_cpu_second"] for k, s in samples.items()},
            "seconds_with_compilation": first,
            "simulation_over": {
                k: harness.ratio(samples[k], samples["simulation"]) for k in ways if k != "simulation"
            },
            "finite": {k: bool(jnp.isfinite(x).all()) for k, x in slopes.items()},
        }  # fmt: skip
    return found


# ---------------------------------------------------------------------- all of it
def judge(results: dict[str, Any]) -> list[dict[str, Any]]:
    median = lambda x: x["median"]
    clamped = results["clamped"]
    measured = {"clamped, float64": median(clamped["times_scipy_per_core"]["float64"])}
    apart = [clamped["float32_from_float64_mV"]]
    for name in ("pump_leak", "pumped_neuron"):
        mine = results[name]
        for precision in PRECISIONS:
            measured[f"{name}, cold, {precision}"] = median(mine["times_scipy_per_core"][f"cold {precision}"])
        measured[f"{name}, warm, float64"] = median(mine["warm_times_scipy_cold_per_core"]["float64"])
        apart += [x for x in mine["float32_from_float64_mV"].values() if x is not None]
    squid = results["gradient"]["hodgkin_huxley_1952"]["simulation_over"]
    measured["gradient, simulation over rest"] = median(squid["rest"])
    measured["float32 - float64, mV"] = max(apart)
    met = lambda x, limit, side: bool(x >= limit if side == "least" else x <= limit)
    return [
        {"what": k, "demand": f"at {side} {limit:g}", "measured": measured[k], "met": met(measured[k], limit, side)}
        for k, (limit, side) in DEMANDS.items()
    ]


def show(results: dict[str, Any]) -> None:
    per = lambda x: "".join(f"{v['cpu_second']['median']:>12.4g}/{v['second']['median']:<10.4g}" for v in x.values())
    for name in ("clamped", "pump_leak", "pumped_neuron"):
        print(f"\n{name}: cells per CPU-second/second\n{list(results[name]['cells_per'])}")
        print(per(results[name]["cells_per"]))
    print()
    for d in results["demands"]:
        print(f"{d['what']:36}{d['demand']:16}{d['measured']:12.4g}  {'met' if d['met'] else 'NOT met'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=CELLS, help=f"cells of a population ({CELLS})")
    parser.add_argument("--scipy-cells", type=int, default=SCIPY_CELLS, help=f"of these SciPy solves ({SCIPY_CELLS})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"turns that are timed ({ROUNDS})")
    parser.add_argument("--simulated", type=float, default=SIMULATED, help=f"ms simulated for a gradient ({SIMULATED})")
    parser.add_argument("--output", type=Path, help="folder of the JSON (benchmarks/results)")
    asked = parser.parse_args()
    few = min(asked.scipy_cells, asked.cells)
    workloads.select_precision("float64")
    results: dict[str, Any] = {"cells": asked.cells, "rounds": asked.rounds}
    print("clamped ...", flush=True)
    results["clamped"] = measure_clamped(asked.cells, few, asked.rounds)
    for name in ("pump_leak", "pumped_neuron"):
        print(f"{name} ...", flush=True)
        results[name] = measure_dynamic(name, asked.cells, few, asked.rounds)
    print("gradient ...", flush=True)
    results["gradient"] = measure_gradient(
        min(asked.cells, 10_000), min(asked.cells, 256), asked.rounds, asked.simulated
    )
    results["demands"] = judge(results)
    show(results)
    print(f"\nwritten: {harness.record('rests', results, folder=asked.output).name}")


if __name__ == "__main__":
    main()
