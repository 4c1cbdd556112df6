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
BEGIN = (2.0, 0.7, 0.5, 1.5)  # times the numbers of the cell that is measured, where the first start begins
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


def run(samples: int = 600, starts: int = 3, measured_first: tuple[int, ...] = (1, 2, 3, 4), n_k: float = 2.0):
    """(variables to keep, findings); ``measured_first``: of each cell, how many of LADDER are measured; pumps take in ``n_k`` K+
    per cycle, the algebra believes in 2."""
    findings = jm.Findings(QUESTION)
    cell = jm.presets.pump_leak().with_parameters({"pump.n_k": n_k})
    known = {path: float(cell.parameters()[path].value) for path in FREE}
    truth = measured(cell)
    # One fit of cells of which ever more was measured; NaN is what was not. It begins elsewhere.
    count = np.array(measured_first)
    targets = {
        name: jm.Target(np.where(count > i, truth[name], np.nan), sd=sd) for i, (name, sd) in enumerate(LADDER.items())
    }
    begun = cell.with_parameters({path: f * x for f, (path, x) in zip(BEGIN, known.items(), strict=True)})
    free = {path: (x / SPREAD, x * SPREAD) for path, x in known.items()}
    fit = jm.fit(begun, free=free, targets=targets, starts=starts).best()
    findings.expect("fits that meet what was measured, part", fit.converged.mean(), 1, 1)
    for path, x in known.items():
        findings.expect(
            f"{path} of the cell measured in all four ways, over the truth",
            fit.parameters[path][-1] / x,
            0.9999,
            1.0001,
        )

    manifold = jm.solution_manifold(fit, samples=samples, seed=0)
    every = {path: np.asarray(manifold.parameters[path]) for path in FREE}  # (samples, cells)
    spread = np.stack([np.std(np.log(x), 0) for x in every.values()], 1)
    for i, told in enumerate(measured_first):
        name = list(SAID.values())[told - 1]
        findings.expect(f"{name}: directions told, of 4", fit.identifiability.rank[i], told, told)
        findings.expect(f"{name}: dimensions left", manifold.dimension[i], 4 - told, 4 - told)
    findings.expect("rest alone: spread of ln(parameter), least", spread[0].min(), 0.3, np.inf)
    findings.expect("all four: largest", spread[-1].max(), 0, 1e-6)

    found = {path: x[:, 0] for path, x in every.items()}
    cells = cell.with_parameters(found)
    rest = jm.resting_state(cells)
    ok = rest.status == jm.Status.OK
    findings.expect("cells of one potential that rest", ok.mean(), 0.99, 1)
    findings.expect(
        "their largest distance from it", np.abs(rest.v[ok] - truth["resting_potential"]).max(), 0, 1e-6, "mV"
    )
    for path, x in found.items():
        findings.expect(f"{path}: largest over smallest", x[ok].max() / x[ok].min(), 10, SPREAD**2 * 1.0001)
    # The pump carries a third of the leak of Na+ and half of that of K+, in each of these cells.
    na, k = rest.concentrations["na.inside"], rest.concentrations["k.inside"]
    e_na, e_k = (np.asarray(jm.electrochemistry.nernst(c, o, 1, 37.0)) for c, o in ((na, 145.0), (k, 5.0)))
    ratio = found["k_leak.g"] * (rest.v - e_k) / (found["na_leak.g"] * (e_na - rest.v))
    findings.expect("I_K over I_Na, largest distance from 2/3", np.abs(ratio[ok] - 2 / 3).max(), 0, 1e-6)
    resistance = np.asarray(jm.input_resistance(cells, rest))
    findings.expect("input resistance, largest over smallest", resistance[ok].max() / resistance[ok].min(), 5, np.inf)
    findings.expect("Na+ inside, largest over smallest", na[ok].max() / na[ok].min(), 3, np.inf)
    kept = {
        **{
            f"solution/{p}": ("sample", x, cell.parameters()[p].unit, "of cells with one rest")
            for p, x in found.items()
        },
        "solution/v": ("sample", rest.v, "mV", "their rest"),
        "solution/resistance": ("sample", resistance, "MOhm", "their input resistance"),
        "solution/sodium": ("sample", na, "mM", "Na+ inside at rest"),
        "asked": (
            "asked",
            [list(SAID.values())[i - 1] for i in measured_first],
            "1",
            "what was measured, one more each time",
        ),
        "parameter": ("parameter", list(FREE), "1", "free parameter"),
        "spread": (("asked", "parameter"), spread, "1", "standard deviation of ln(parameter) over the solutions"),
        "truth": ("parameter", list(known.values()), "1", "the cell that was measured"),
    }
    return kept, findings


def measured(cell: jm.Membrane) -> dict[str, float]:
    """What an experimenter who could measure everything would find in this cell."""
    rest = jm.resting_state(cell)
    pump = float(jm.budget(cell, rest).pumps["pump"])
    resistance = float(jm.input_resistance(cell, rest))
    conductance = 1e5 / resistance / float(cell.geometry.area)  # mS/cm^2, of MOhm and um^2
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
        get("solution/na_leak.g"),
        get("solution/k_leak.g"),
        c=get("solution/sodium"),
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
    for i, name in enumerate(("Na⁺ leak", "K⁺ leak", "Cl⁻ leak", "pump")):
        right.plot(range(len(spread)), spread[:, i], "o-", ms=4, color=plots.CYCLE[i], label=name)
    right.set(
        yscale="log", ylim=(0.9, None), ylabel="typical factor between solutions", title="What each measurement leaves"
    )
    right.set_yticks([1, 2, 3, 4], ["1", "2", "3", "4"])
    right.minorticks_off()
    right.set_xticks(range(len(spread)), kept["asked"][1], rotation=25, ha="right")
    right.legend(loc="upper right")
    return plots.finish(
        figure,
        "One resting potential, many cells",
        "Left: leaks of cells that rest at the same potential; the star is the one that was measured. For one Na⁺ inside they lie "
        "on a line. Right: how much solutions differ where the resting potential is known, and then one "
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
