"""The cheapest cell that rests at -70 mV: what it saves, and what it gives up.

Leaks of Na+, K+ and Cl- and the pump are free; fits ask for -70 mV, a Na+ inside, an input resistance, and as little ATP as
can be. The answers are compared with the algebra of a cell at rest (the pump carries a third of what leaks of Na+, half of
what leaks of K+), and with cells drawn at random among all that meet the same demands.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import jaxmem as jm
from jaxmem import plots
from jaxmem.electrochemistry import nernst

QUESTION = "Of all cells that rest at -70 mV, which costs least ATP, and what does it give up?"
ATTWELL_LAUGHLIN = (
    "D. Attwell & S. B. Laughlin 2001, J Cereb Blood Flow Metab 21:1133, doi:10.1097/00004647-200110000-00001"
)
V = -70.0  # mV
SODIUM = 10.0  # mM inside, the usual
FREE = {
    "na_leak.g": (1e-3, 1.0),
    "k_leak.g": (1e-3, 3.0),
    "cl_leak.g": (1e-3, 0.3),
    "pump.i_max": (1e-2, 100.0),
}  # mS/cm^2, uA/cm^2
WITHOUT = 1e-3  # mS/cm^2: the Cl- leak of cells that have next to none
FAMILIES = {  # Na+ inside (mM), and the most Cl- leak that a cell may have
    "next to no Cl⁻ leak": (SODIUM, WITHOUT),
    "Cl⁻ leak": (SODIUM, FREE["cl_leak.g"][1]),
    "Cl⁻ leak, Na⁺ 30 mM": (30.0, FREE["cl_leak.g"][1]),
}
SHARPER = (1.0, 0.03)  # mV and mM: fits go from vague to sharp demands, or they crawl along a narrow valley
PER_AMPERE = 6.241509074e18 * 1e-6  # elementary charges per second in 1 uA


def run(resistances: int = 17, starts: int = 4, drawn: int = 200, n_k: float = 2.0):
    """(variables to keep, findings); pumps take in ``n_k`` K+ per cycle, the algebra believes in 2."""
    findings = jm.Findings(QUESTION)
    cell = jm.presets.pump_leak().with_parameters({"pump.n_k": n_k})
    megohm = np.geomspace(60.0, 3000.0, resistances)
    # All families in one fit, and a last cell of which no resistance is asked.
    sodium = np.append(np.repeat([x for x, _ in FAMILIES.values()], resistances), SODIUM)
    asked = np.append(np.tile(megohm, len(FAMILIES)), np.nan)
    most = np.append(np.repeat([x for _, x in FAMILIES.values()], resistances), FREE["cl_leak.g"][1])
    free = FREE | {"cl_leak.g": (0.9 * WITHOUT, most)}
    fit = jm.fit(cell, free=free, targets=demands(sodium, asked, SHARPER[0]), starts=starts, seed=5).best()
    for sd in SHARPER[1:]:
        fit = jm.fit(fit.membrane, free=free, targets=demands(sodium, asked, sd))
    rest = jm.resting_state(fit.membrane)
    atp = np.asarray(jm.budget(fit.membrane, rest).atp_per_second)
    found = np.asarray(jm.input_resistance(fit.membrane, rest))[:-1]
    findings.expect("distance from -70 mV", np.abs(rest.v - V).max(), 0, 0.01, "mV")
    findings.expect("from the Na+ asked for", np.abs(rest.concentrations["na.inside"] - sodium).max(), 0, 0.01, "mM")
    findings.expect("resistance over that asked for", worst(found / asked[:-1]), 0, 1e-3)
    cost = dict(zip(FAMILIES, atp[:-1].reshape(len(FAMILIES), -1), strict=True))
    for name, (inside, chloride) in FAMILIES.items():
        expected = least(inside, megohm, chloride, area(cell))
        findings.expect(f"{name}: cost over the algebra's least", worst(cost[name] / expected), 0, 2e-3)

    others, valid = at_random(cell, megohm, drawn)
    ours = cost["Cl⁻ leak"]
    findings.expect("cells drawn at random that meet the demands", valid, 0.99, 1)
    findings.expect("cheapest of them over the fitted", np.min(others / ours), 0.998, np.inf)
    findings.expect("dearest of them over the fitted, at some resistance", np.max(others / ours), 3, np.inf)
    half = slice(resistances // 2 + 1)
    slope = np.polyfit(np.log(megohm[half]), np.log(cost["next to no Cl⁻ leak"][half]), 1)[0]
    findings.expect("without Cl-: d ln ATP/d ln resistance", slope, -1.05, -0.95, source=ATTWELL_LAUGHLIN)
    floor = FREE["na_leak.g"][0] * (e_na(SODIUM) - V) / 3 * area(cell) * PER_AMPERE
    findings.expect("no resistance asked: the least Na+ leak allowed", fit.at_bound["na_leak.g"][-1], 1, 1)
    findings.expect("its cost over that of the bound", atp[-1] / floor, 0.999, 1.001)

    # What a given synaptic current moves them by is their resistance, read from runs.
    cells = fit.membrane[resistances : 2 * resistances]
    current = 2.0  # pA
    move = moved(cells, current)
    findings.expect(
        "moved by 2 pA in 300 ms, over current times resistance", worst(move / (current * megohm * 1e-3)), 0, 0.02
    )
    shares = np.stack([cells.parameters()[f"{ion}_leak.g"].value for ion in ("na", "k", "cl")])
    kept = {
        "resistance": ("cell", megohm, "MOhm", "input resistance asked for"),
        "family": ("family", list(FAMILIES), "1", "what the cells may have"),
        "atp": (("family", "cell"), np.stack(list(cost.values())), "1/s", "least ATP, fitted"),
        "random": (("drawn", "cell"), others, "1/s", "ATP of cells drawn at random that meet the same demands"),
        "moved": ("cell", move, "mV", "by 2 pA in 300 ms"),
        "shares": (("leak", "cell"), shares, "mS/cm^2", "leaks of Na+, K+ and Cl- of the cheapest cells that have Cl-"),
        "floor": ((), floor, "1/s", "cost of the least Na+ leak allowed"),
    }
    return kept, findings


def demands(sodium: np.ndarray, megohm: np.ndarray, sd: float) -> dict[str, jm.Target]:
    """The cost is never met: where the others are sharp it decides only what they leave open."""
    return {
        "resting_potential": jm.Target(V, sd=sd),
        "na.inside": jm.Target(sodium, sd=sd),
        "input_resistance": jm.Target(megohm, sd=0.03 * sd * np.nan_to_num(megohm, nan=1.0)),
        "cost": jm.Target(0.0, of=log_atp),
    }


def log_atp(membrane: jm.Membrane, rest: jm.RestingState) -> jax.Array:
    return jnp.log(jm.budget(membrane, rest).atp_per_second)


def area(cell: jm.Membrane) -> float:
    """cm^2."""
    return 4 * np.pi * float(cell.geometry.radius) ** 2 * 1e-8


def e_na(sodium: float) -> float:
    return float(nernst(sodium, 145.0, 1, 37.0))


def slopes(sodium: float) -> tuple[float, float]:
    """Na+ and K+ conductance per uA/cm^2 of pumping, mS/cm^2; what Na+ has more inside, K+ has less."""
    return 3 / (e_na(sodium) - V), 2 / (V - float(nernst(150.0 - sodium, 5.0, 1, 37.0)))


def least(sodium: float, megohm: np.ndarray, most_chloride: float, area: float) -> np.ndarray:
    """ATP per second of the cheapest cell: all the Cl- leak that there may be, and the rest Na+ and K+ as the pump wants them."""
    na, k = slopes(sodium)
    total = 1e-3 / megohm / area  # mS/cm^2
    pump = np.maximum(
        (total - most_chloride) / (na + k), np.maximum(FREE["na_leak.g"][0] / na, FREE["k_leak.g"][0] / k)
    )
    return pump * area * PER_AMPERE


def at_random(cell: jm.Membrane, megohm: np.ndarray, drawn: int) -> tuple[np.ndarray, float]:
    """ATP of cells at -70 mV with these resistances and a Cl- leak drawn at random; and which part of them rests there."""
    na, k = slopes(SODIUM)
    total = 1e-3 / megohm / area(cell)
    high = np.minimum(FREE["cl_leak.g"][1], total - FREE["na_leak.g"][0] * (na + k) / na)
    chloride = WITHOUT + (high - WITHOUT) * np.random.default_rng(0).random((drawn, len(megohm)))
    pump = (total - chloride) / (na + k)
    p = cell.parameters()
    unit = float(p["pump.i_max"].value) * (float(p["na_leak.g"].value) / na) ** -1  # i_max per uA/cm^2 of pumping
    flat = {"na_leak.g": pump * na, "k_leak.g": pump * k, "cl_leak.g": chloride, "pump.i_max": pump * unit}
    cells = cell.with_parameters({path: x.ravel() for path, x in flat.items()})
    rest = jm.resting_state(cells)
    atp = np.asarray(jm.budget(cells, rest).atp_per_second).reshape(chloride.shape)
    ok = (np.abs(rest.v - V) < 1e-3) & (np.abs(jm.input_resistance(cells, rest) / np.tile(megohm, drawn) - 1) < 1e-3)
    return atp, float(np.mean(ok))


def moved(cells: jm.Membrane, current: float) -> np.ndarray:
    """mV by which a constant current (pA) moves the cells within 300 ms."""
    push = jm.ConstantCurrent(amplitude=current * 1e-6 / area(cells))
    sim = jm.simulate(
        cells, 300.0, dt=0.5, initial=jm.resting_state(cells).state, stimulus=push, record=jm.Record("v", every=100.0),
        precision="float64",
    )  # fmt: skip
    return sim.traces["v"][-1] - sim.traces["v"][0]


def worst(ratio: np.ndarray) -> float:
    return float(np.max(np.abs(np.asarray(ratio) - 1)))


@plots.styled
def draw(kept: dict):
    get = lambda name: np.asarray(kept[name][1])
    megohm, figure = get("resistance"), plots.new_figure(8.4, 4.0)
    left, right = figure.subplots(1, 2)
    for x in get("random"):
        left.loglog(megohm, x, ".", color="0.8", ms=3, zorder=0)
    for name, atp, colour in zip(
        kept["family"][1], get("atp"), (plots.CYCLE[1], plots.CYCLE[0], plots.CYCLE[2]), strict=True
    ):
        left.loglog(megohm, atp, "o-", ms=4, color=colour, label=name)
    left.axhline(float(get("floor")), color="0.4", lw=0.8, ls="--")
    at = {"xytext": (0, -3), "textcoords": "offset points", "color": "0.4", "va": "top", "linespacing": 1.1}
    left.annotate("least Na⁺\nleak allowed", (megohm[0], float(get("floor"))), **at)
    left.set_ylim(1.2e6, None)
    left.set(
        xlabel="input resistance (MΩ) = mV moved by 1 nA", ylabel="ATP (molecules/s)", title="Least cost of −70 mV"
    )
    left.legend(loc="upper right")
    bottom = np.zeros(len(megohm))
    share = get("shares") / get("shares").sum(0)
    for x, ion in zip(share[::-1], ("cl", "k", "na"), strict=True):
        label = {"cl": "Cl⁻", "k": "K⁺", "na": "Na⁺"}[ion]
        right.fill_between(megohm, bottom, bottom + x, color=plots.ION_COLOURS[ion], alpha=0.6, lw=0)
        i = {"cl": -len(megohm) // 3, "k": 1, "na": 1}[ion]
        right.annotate(label, (megohm[i], bottom[i] + x[i] / 2), va="center", ha="left", weight="bold")
        bottom = bottom + x
    right.set(
        xscale="log", xlim=(megohm[0], megohm[-1]), ylim=(0, 1), xlabel="input resistance (MΩ)",
        ylabel="share of the conductance", title="What the cheapest cells leak",
    )  # fmt: skip
    return plots.finish(
        figure,
        "The cheapest cell that rests at −70 mV",
        "Left: among cells with one input resistance (grey: drawn at random, with 10 mM Na⁺ inside) the cheapest has all the Cl⁻ "
        "leak it may have (0.3 mS/cm²), which costs nothing at its own potential; without, cost goes with conductance. "
        "A cell of high resistance costs least, and is moved most by a synapse. Right: its leaks. (Sphere of 10 µm radius, 37 °C.)",
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("cheapest_rest.h5"), help="HDF5 file; the figure goes beside it"
    )
    output = parser.parse_args().output
    jax.config.update("jax_enable_x64", True)  # to compare with equations
    kept, findings = run()
    print(findings)
    jm.save_variables(output, kept, overwrite=True, attributes=findings.attributes)
    plots.save(draw(kept), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
