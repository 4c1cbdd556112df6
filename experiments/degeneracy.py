"""Cells that differ in everything and rest alike: the manifold of leaks and pumps with one resting potential.

Four numbers, three leaks and a pump, and one potential: three directions are left. They are walked and sampled; each further
measurement, of the input resistance, the Na+ inside and the shift that the pump makes, takes one away, until one cell is left.
"""

import argparse
from pathlib import Path

import jax
import numpy as np

import jaxmem as jm
from jaxmem import plots

QUESTION = "How different can cells be that rest at the same potential, and what tells them apart?"
SPREAD = 10.0  # times and parts of the preset's numbers that a cell may have
FREE = ("na_leak.g", "k_leak.g", "cl_leak.g", "pump.i_max")
LADDER = {
    "resting_potential": 0.1,  # mV
    "input_resistance": 5.0,  # MOhm
    "na.inside": 0.1,  # mM
    "pump_shift": 0.01,  # mV
}
SAID = {
    "resting_potential": "rest",
    "input_resistance": "and resistance",
    "na.inside": "and Na⁺ inside",
    "pump_shift": "and pump shift",
}


def run(samples: int = 1000, starts: int = 48, n_k: float = 2.0):
    """(variables to keep, findings); pumps take in ``n_k`` K+ per cycle, the algebra believes in 2."""
    findings = jm.Findings(QUESTION)
    cell = jm.presets.pump_leak().with_parameters({"pump.n_k": n_k})
    known = {path: float(cell.parameters()[path].value) for path in FREE}
    free = {path: (x / SPREAD, x * SPREAD) for path, x in known.items()}
    truth = measured(cell)
    # One fit of four cells, of which ever more was measured; NaN is what was not.
    n = len(LADDER)
    targets = {
        name: jm.Target(np.where(np.arange(n) >= i, truth[name], np.nan), sd=sd)
        for i, (name, sd) in enumerate(LADDER.items())
    }
    fits = jm.fit(cell, free=free, targets=targets, starts=starts, seed=1)

    manifold = jm.solution_manifold(fits, samples=samples, seed=0)
    found = {path: np.asarray(manifold.parameters[path])[:, 0] for path in FREE}
    cells = cell.with_parameters(found)
    rest = jm.resting_state(cells)
    ok = rest.status == jm.Status.OK
    findings.expect("cells of the manifold that rest", ok.mean(), 0.99, 1)
    findings.expect(
        "their largest distance from the potential", np.abs(rest.v[ok] - truth["resting_potential"]).max(), 0, 0.1, "mV"
    )
    for path, x in found.items():
        findings.expect(f"{path}: largest over smallest", x[ok].max() / x[ok].min(), 10, SPREAD**2 * 1.0001)
    # The pump carries a third of the leak of Na+ and half of that of K+, in each of these cells.
    na, k = rest.concentrations["na.inside"], rest.concentrations["k.inside"]
    e_na, e_k = (np.asarray(jm.electrochemistry.nernst(c, o, 1, 37.0)) for c, o in ((na, 145.0), (k, 5.0)))
    ratio = found["k_leak.g"] * (rest.v - e_k) / (found["na_leak.g"] * (e_na - rest.v))
    findings.expect("I_K over I_Na, largest distance from 2/3", np.abs(ratio[ok] - 2 / 3).max(), 0, 1e-4)
    resistance = np.asarray(jm.input_resistance(cells, rest))
    findings.expect("input resistance, largest over smallest", resistance[ok].max() / resistance[ok].min(), 5, np.inf)
    findings.expect("Na+ inside, largest over smallest", na[ok].max() / na[ok].min(), 3, np.inf)

    spread, ranks = [], []
    for i, name in enumerate(LADDER):
        good = np.asarray(fits.converged)[:, i]
        findings.expect(f"{SAID[name]}: starts that meet it", good.mean(), 0.6, 1)
        size = np.linalg.svd(np.nan_to_num(fits.jacobian[..., int(np.argmax(good)), i]), compute_uv=False)
        ranks.append(int(np.sum(size > 1e-7 * size[0])))
        findings.expect(f"{SAID[name]}: directions told, of 4", ranks[-1], i + 1, i + 1)
        spread.append([np.std(np.log(np.asarray(fits.parameters[path])[good, i])) for path in FREE])
    findings.expect("all four: spread left of ln(parameter), largest", np.max(spread[-1]), 0, 1e-4)
    findings.expect("rest alone: spread left, smallest", np.min(spread[0]), 0.3, np.inf)
    kept = {
        **{f"sample/{p}": ("sample", x, cell.parameters()[p].unit, "of cells with one rest") for p, x in found.items()},
        "sample/v": ("sample", rest.v, "mV", "their rest"),
        "sample/resistance": ("sample", resistance, "MOhm", "their input resistance"),
        "sample/sodium": ("sample", na, "mM", "Na+ inside at rest"),
        "asked": ("asked", list(SAID.values()), "1", "what was measured, one more each time"),
        "parameter": ("parameter", list(FREE), "1", "free parameter"),
        "spread": (("asked", "parameter"), np.array(spread), "1", "standard deviation of ln(parameter) over starts"),
        "rank": ("asked", ranks, "1", "directions that the measurements tell"),
        "truth": ("parameter", list(known.values()), "1", "the cell that was measured"),
    }  # fmt: skip
    return kept, findings


def measured(cell: jm.Membrane) -> dict[str, float]:
    """What an experimenter who could measure everything would find in this cell."""
    rest = jm.resting_state(cell)
    pump = float(jm.budget(cell, rest).pumps["pump"])
    resistance = float(jm.input_resistance(cell, rest))
    conductance = 1e-3 / resistance / float(cell.geometry.area)  # mS/cm^2
    return {
        "resting_potential": float(rest.v),
        "input_resistance": resistance,
        "na.inside": float(rest.concentrations["na.inside"]),
        "pump_shift": -pump / conductance,
    }


@plots.styled
def draw(kept: dict):
    from matplotlib.colors import LogNorm

    get = lambda name: np.asarray(kept[name][1])
    figure = plots.new_figure(8.4, 4.0)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    dots = left.scatter(
        get("sample/na_leak.g"),
        get("sample/k_leak.g"),
        c=get("sample/sodium"),
        s=7,
        norm=LogNorm(),
        cmap="viridis",
        lw=0,
    )
    left.plot(*get("truth")[:2], "*", ms=13, color="black")
    left.set(
        xscale="log", yscale="log", xlabel="Na⁺ leak (mS/cm²)", ylabel="K⁺ leak (mS/cm²)",
        title="Cells that all rest at −70 mV",
    )  # fmt: skip
    figure.colorbar(dots, ax=left, label="Na⁺ inside (mM)")
    spread = np.exp(get("spread"))
    for i, name in enumerate(kept["parameter"][1]):
        right.plot(range(len(spread)), spread[:, i], "o-", ms=4, color=plots.CYCLE[i], label=name)
    right.set(
        yscale="log", ylabel="typical factor between solutions", title="What each measurement leaves", ylim=(0.9, None)
    )
    right.set_xticks(range(len(spread)), kept["asked"][1], rotation=25, ha="right")
    right.legend(loc="upper right")
    return plots.finish(
        figure,
        "One resting potential, many cells",
        "Left: leaks of cells that rest at the same potential; the star is the one that was measured. For one Na⁺ inside they lie "
        "on a line. Right: how far fits from many starts differ when the resting potential is known, and then one "
        "measurement more each time: four numbers need four measurements.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("degeneracy.h5"), help="HDF5 file; the figure goes beside it"
    )
    output = parser.parse_args().output
    jax.config.update("jax_enable_x64", True)
    kept, findings = run()
    print(findings)
    jm.save_variables(output, kept, overwrite=True, attributes=findings.attributes)
    plots.save(draw(kept), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
