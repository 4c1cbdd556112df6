"""A census of random cells: is any rest wrong and not flagged?

    python benchmarks/census.py                   10^5 cells per population; writes benchmarks/results/census-*.json
    python benchmarks/census.py --cells 1000000 --followed 600

Every parameter is log-uniform over decades. Each rest that is called OK must satisfy the equations of equations.py, which
are not the package's. Of each population so many cells are followed in time, by SciPy (LSODA) on those equations until they
stand still or do not, stratified by status and by distance to a fold (slope conductance and slowest eigenvalue small):
from the rest, pushed by +0.5 and -0.5 mV, and from the initial state. Neurons are also simulated by the package for 300
ms.
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package beside this folder, installed or not

import equations
import harness
import numpy as np
import workloads

CELLS, FOLLOWED, SEED = 100_000, 400, 1
PUSH, NARROW = 0.5, 0.005  # mV
RESIDUAL = 1e-9  # largest net current of an ion, of what flows in and out; and of charge, of all ions'
SAME_V, SAME_LN = 1e-2, 1e-3  # mV, and of the logarithm of a concentration: the same rest
END, EVALUATIONS = 1e13, 20_000  # ms, and evaluations of the equations after which a cell is said to go on
RUN_AWAY = 14.0  # of a logarithm, from the start
SPECTRA = 50_000  # cells whose eigenvalues are looked at
_LEAKS = ("na_leak", "k_leak", "cl_leak")
_OUTSIDE = ("na.outside", "k.outside", "cl.outside")
POPULATIONS = {  # preset: (decades, parameters)
    "pump_leak": (3.0, (*(f"{x}.g" for x in _LEAKS), "pump.i_max", *_OUTSIDE)),
    "pump_leak_ghk": (3.0, (*(f"{x}.p" for x in _LEAKS), "pump.i_max", *_OUTSIDE)),
    "pumped_neuron": (
        1.5, ("sodium.g", "potassium.g", *(f"{x}.g" for x in _LEAKS), "pump.i_max", "k.outside"),
    ),
}  # fmt: skip


def population(name: str, cells: int, seed: int = SEED) -> Any:
    """The preset with every parameter of the table log-uniform around its value."""
    import jaxmem as jm

    membrane, (decades, paths) = jm.presets.get(name), POPULATIONS[name]
    draw, known = np.random.default_rng(seed), membrane.parameters()
    factors = {path: 10 ** (decades * draw.uniform(-0.5, 0.5, cells)) for path in paths}
    return membrane.with_parameters({path: known[path].value * f for path, f in factors.items()})


# ---------------------------------------------------------------------- every rest in the equations
def inside(rest: Any) -> list[np.ndarray]:
    return [np.asarray(rest.concentrations[f"{ion}.inside"], float) for ion in equations.IONS]


def residuals(p: equations.Numbers, v: np.ndarray, amounts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Per cell: the largest net current of an ion relative to its gross, and the charge that is missing, of all ions'."""
    currents = equations.pumped_currents(p)
    pumps = {**p, "pump.i_max": 0.0}
    with np.errstate(all="ignore"):
        net, leaks = currents(v, *amounts), equations.pumped_currents(pumps)(v, *amounts)
        pumped = [abs(a - b) for a, b in zip(net, leaks, strict=True)]
        # where two small leaks cancel (Cl-), the scale is what one of them carries at 1 mV of driving force
        slope = equations.pumped_currents(pumps)(v + 1.0, *amounts)
        gross = [x + abs(b - a) for x, a, b in zip(pumped, leaks, slope, strict=True)]
        worst = np.max([abs(a) / b for a, b in zip(net, gross, strict=True)], axis=0)
        missing = abs(equations.neutrality(p)(v, *amounts[:2]) - amounts[2]) / sum(amounts)
    return worst, missing


def slope_conductance(p: equations.Numbers, v: np.ndarray, amounts: list[np.ndarray]) -> np.ndarray:
    """dI/dv with gates at their steady states and concentrations as they are (mS/cm^2)."""
    currents = equations.pumped_currents(p)
    with np.errstate(all="ignore"):
        return (sum(currents(v + 1e-3, *amounts)) - sum(currents(v - 1e-3, *amounts))) / 2e-3


# ---------------------------------------------------------------------- where time takes a cell
class _GoesOnError(Exception):
    pass


def followed(p: dict[str, float], y: list[float]) -> tuple[str, np.ndarray]:
    """What becomes of a state, "rests", "goes on" (it fires, or needs too long), or "runs away", and where it is then."""
    from scipy.integrate import LSODA

    change, calls = equations.derivatives(p), Counter()
    first = np.array(y)

    def counted(t: float, y: np.ndarray) -> list[float]:
        calls["f"] += 1
        if calls["f"] > EVALUATIONS:
            raise _GoesOnError
        return change(t, y)

    tolerance = np.array([1e-6, *[1e-9] * (len(y) - 1)])
    solver = LSODA(counted, 0.0, first, END, rtol=1e-8, atol=tolerance)
    try:
        while solver.status == "running":
            told = solver.step()
            if solver.status == "failed":
                return f"failed: {told}"[:60], solver.y
            if abs(solver.y[1:4] - first[1:4]).max() > RUN_AWAY or abs(solver.y[0]) > 500:
                return "runs away", solver.y
    except (_GoesOnError, OverflowError, ZeroDivisionError, ValueError) as error:
        return "goes on" if isinstance(error, _GoesOnError) else "runs away", solver.y
    # at the end of END ms: does anything still move within a thousandth of it?
    moved = abs(np.array(change(END, solver.y))) * END * 1e-3
    return ("rests" if moved[0] < 1 and moved[1:4].max() < 0.1 else "drifts"), solver.y


def same(y: np.ndarray, rest: list[float]) -> bool:
    apart = abs(y - np.array(rest))
    return bool(apart[0] < SAME_V and apart[1:4].max() < SAME_LN)


def verdict(p: dict[str, float], status: str, v: float, amounts: list[float]) -> tuple[str, list[str]]:
    """How the solver's word and time's agree, and the word of each run."""
    begun, y = followed(p, equations.start(p))
    if status != "OK":
        word = {"rests": "flagged, but time brings it to rest"}.get(begun, "agrees: no rest from its start")
        return word, [begun, f"{y[0]:.6g}"]
    rest = equations.standing(p, v, amounts)
    push = lambda d: followed(p, [rest[0] + d, *rest[1:]])
    ends = [push(PUSH), push(-PUSH)]
    words = [begun, *(word for word, _ in ends)]
    if not all(word == "rests" and same(x, rest) for word, x in ends):
        ends = [push(NARROW), push(-NARROW)]
        words += [word for word, _ in ends]
        if not all(word == "rests" and same(x, rest) for word, x in ends):
            return "WRONG: OK, but time leaves it", words
        return "agrees, within a narrow basin", words
    if begun == "rests":
        return ("agrees" if same(y, rest) else "a rest, but its start goes to another"), [*words, f"{y[0]:.6g}"]
    return ("a rest, but its start goes on moving (limit cycle)" if begun == "goes on" else f"its start {begun}"), words


def strata(status: np.ndarray, closeness: dict[str, np.ndarray], wanted: int, seed: int) -> dict[str, np.ndarray]:
    """Cells to follow: by status, and of the OK ones some at random and those closest to a fold by each measure."""
    import jaxmem as jm

    draw = np.random.default_rng(seed)
    ok = np.flatnonzero(status == 0)
    some = lambda x, n: draw.choice(x, min(n, x.size), replace=False)
    found = {"OK, at random": some(ok, wanted // 4)}
    for name, x in closeness.items():
        known = ok[np.isfinite(x[ok])]
        found[f"OK, smallest {name}"] = known[np.argsort(x[known])[: wanted // 4]]
    for k in np.unique(status[status != 0]):
        found[jm.Status(int(k)).name] = some(np.flatnonzero(status == k), wanted // 4)
    return found


def count(name: str, cells: int, wanted: int, seed: int = SEED) -> dict[str, Any]:
    import jax

    import jaxmem as jm

    membrane = population(name, cells, seed)
    begun = time.perf_counter()
    rest = jm.resting_state(membrane)
    took = time.perf_counter() - begun
    p, status, v, amounts = equations.parameters_of(membrane), rest.status, rest.v, inside(rest)
    names = np.array([jm.Status(int(k)).name for k in range(max(jm.Status) + 1)])
    ok = status == 0
    worst, missing = residuals(p, v, amounts)
    bad = ok & ~((worst < RESIDUAL) & (missing < RESIDUAL))
    narrow = jm.resting_state(membrane, precision="float32")
    both = ok & (narrow.status == 0)
    apart = np.abs(narrow.v.astype(float) - v)

    slopes = slope_conductance(p, v, amounts)
    slowest = np.full(cells, np.nan)
    seen = np.flatnonzero(ok)[:SPECTRA]
    eigenvalues = jm.resting_state(membrane[seen]).eigenvalues
    # of the slowest mode, next to the other two of the ions: near a fold it is far slower than they
    sorted_rates = np.sort(np.abs(eigenvalues.real), -1)
    slowest[seen] = sorted_rates[:, 0] / sorted_rates[:, 1]
    picked = strata(status, {"slope conductance": slopes, "eigenvalue": slowest}, wanted, seed)

    table: dict[str, Counter] = {}
    notes: list[dict[str, Any]] = []
    for stratum, which in picked.items():
        table[stratum] = Counter()
        for cell in which:
            mine = equations.one_cell(p, cell)
            word, runs = verdict(mine, str(names[status[cell]]), float(v[cell]), [float(x[cell]) for x in amounts])
            table[stratum][word] += 1
            if not word.startswith("agrees"):
                drawn = {path: mine[path] for path in POPULATIONS[name][1]}
                at = {"v": float(v[cell]), "stability": int(rest.stability[cell]), "slope": float(slopes[cell])}
                notes.append({"stratum": stratum, "cell": int(cell), "verdict": word, "runs": runs, **at, **drawn})
    everyone = np.unique(np.concatenate(list(picked.values())))
    found = {
        "cells": cells,
        "seed": seed,
        "parameters": list(POPULATIONS[name][1]),
        "decades": POPULATIONS[name][0],
        "seconds": round(took, 2),
        "status": _counted(names[status]),
        "stability_of_ok": _counted(jm.Stability(int(k)).name for k in rest.stability[ok]),
        "ok_with_wrong_equations": [int(x) for x in np.flatnonzero(bad)[:100]],
        "largest_net_current_of_ok": float(worst[ok].max()),
        "largest_charge_missing_of_ok": float(missing[ok].max()),
        "iterations": {q: int(np.percentile(rest.iterations, float(q))) for q in ("50", "99", "100")},
        "float32": {
            "status": _counted(names[narrow.status]),
            "other_status": int((narrow.status != status).sum()),
            "largest_difference_mV": float(apart[both].max()),
            "above_1e-4_mV": int((apart[both] > 1e-4).sum()),
        },
        "followed": int(everyone.size),
        "verdicts": {k: dict(x) for k, x in table.items()},
        "to_look_at": notes,
    }
    if "sodium.g" in p:
        found["simulated_300_ms"] = simulated(membrane, rest, picked)
    jax.clear_caches()
    return found


def _counted(words: Any) -> dict[str, int]:
    return {str(k): int(n) for k, n in sorted(Counter(map(str, words)).items())}


def simulated(membrane: Any, rest: Any, picked: dict[str, np.ndarray]) -> dict[str, Any]:
    """300 ms of the package's own simulation: who fires from the start, and from the rest pushed by +-0.5 mV."""
    import equinox as eqx
    import jax

    import jaxmem as jm

    found = {}
    for stratum, which in picked.items():
        some = membrane[which]
        run = lambda initial, some=some: jm.simulate(
            some, 300.0, initial=initial, measures=["spike_count"], precision="float64"
        )
        begun = run(None)
        mine = {"cells": int(which.size), "fire_from_start": int((begun.measures["spike_count"] > 0).sum())}
        if stratum.startswith("OK"):
            state = jax.tree.map(lambda x, which=which: x[which] if np.ndim(x) else x, rest.state)
            for size in (PUSH, NARROW):
                leave = np.zeros(which.size, bool)
                for push in (size, -size):
                    end = run(eqx.tree_at(lambda s: s.v, state, state.v + push))
                    leave |= (end.measures["spike_count"] > 0) | (
                        np.abs(end.final_state.v - rest.v[which]) > 1.5 * size
                    )
                mine[f"leave_after_{size:g}_mV"] = [int(x) for x in which[leave]]
        found[stratum] = mine
    return found


def show(results: dict[str, Any]) -> None:
    for name, x in results.items():
        print(f"\n{name}: {x['cells']} cells in {x['seconds']} s, {x['status']}, of OK {x['stability_of_ok']}")
        print(
            f"  of OK: largest net current {x['largest_net_current_of_ok']:.1e} of gross, charge missing "
            f"{x['largest_charge_missing_of_ok']:.1e}; wrong: {len(x['ok_with_wrong_equations'])}; float32 {x['float32']}"
        )
        for stratum, verdicts in x["verdicts"].items():
            print(f"  {stratum:32} {verdicts}")
        for stratum, told in x.get("simulated_300_ms", {}).items():
            print(f"  300 ms: {stratum:24} {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=CELLS, help=f"cells of a population ({CELLS})")
    parser.add_argument("--followed", type=int, default=FOLLOWED, help=f"of these followed in time ({FOLLOWED})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the drawing ({SEED})")
    parser.add_argument("--only", choices=list(POPULATIONS), help="one population (all)")
    parser.add_argument("--output", type=Path, help="folder of the JSON (benchmarks/results)")
    asked = parser.parse_args()
    workloads.select_precision("float64")
    names = [asked.only] if asked.only else list(POPULATIONS)
    results = {name: count(name, asked.cells, asked.followed, asked.seed) for name in names}
    show(results)
    print(f"\nwritten: {harness.record('census', results, folder=asked.output).name}")


if __name__ == "__main__":
    main()
