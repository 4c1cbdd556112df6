"""Nernst potentials of the ions of five cells, by formula and by membranes that only one ion can cross.

Concentrations are those of data/species.toml. Each entry of the table is also a cell: a membrane with a constant-field leak
of that ion alone, let go at 0 mV. It comes to rest where the ion's current is zero, and the formula has to say where.
"""

import argparse
import tomllib
from pathlib import Path

import jax
import numpy as np

import jaxmem as jm
from jaxmem import plots
from jaxmem.electrochemistry import nernst, permeability_from_conductance

QUESTION = "Does a membrane that one ion alone can cross rest at that ion's Nernst potential?"
DATA = Path(__file__).parents[1] / "data" / "species.toml"
ROUNDED = {"boltzmann": 1.4e-23, "charge": 1.6e-19}  # J/K and C, as classrooms round them
JOHNSTON_WU = "D. Johnston & S. M.-S. Wu 1995, Foundations of Cellular Neurophysiology, table 2.1 (quoted from memory)"
SIGNS = {"na": "Na⁺", "k": "K⁺", "cl": "Cl⁻", "ca": "Ca²⁺", "mg": "Mg²⁺", "hco3": "HCO₃⁻"}


def run(celsius: tuple[float, ...] = (6.3, 20.0, 37.0), ions: tuple[str, ...] = tuple(SIGNS), duration: float = 60.0,
        through: float = 0.0):  # fmt: skip
    """(simulation, findings, table); ``through`` is what sodium has of each leak's permeability: 0 is a perfect membrane."""
    published = tomllib.loads(DATA.read_text(encoding="utf-8"))
    entries = [(cell, ion) for cell, of in published.items() for ion in of["species"] if ion in ions]
    told = [published[cell]["species"][ion] for cell, ion in entries]
    inside, outside = (np.array([s[side] for s in told], np.float64) for side in ("inside", "outside"))
    valence, warmth = np.array([s["valence"] for s in told]), np.asarray(celsius)[:, None]
    exact = np.asarray(nernst(inside, outside, valence, warmth))  # (temperatures, entries)
    rounded = np.asarray(nernst(inside, outside, valence, warmth, **ROUNDED))
    sim = simulated(entries, inside, outside, valence, celsius, duration, through)
    rests = sim.final_state.v.reshape(exact.shape)

    findings = jm.Findings(QUESTION)
    findings.expect("entries of the table", exact.size, 4 * len(ions) * len(celsius), 5 * len(ions) * len(celsius))
    findings.expect("largest distance of a resting membrane from Nernst", np.abs(rests - exact).max(), 0, 1e-6, "mV")
    still = jm.resting_state(sim.membrane)
    findings.expect("cells whose rest is solved for", np.mean(still.status == jm.Status.OK), 1, 1)
    findings.expect("largest distance of a solved rest", np.abs(still.v - exact.ravel()).max(), 0, 1e-6, "mV")
    findings.expect("k/q rounded over k/q", np.ptp(rounded / exact) + (rounded / exact).max(), 1.0153, 1.0155)
    text = {"celsius": 298 - 273.15, **ROUNDED}
    findings.expect("Na+ 10/145 mM, 298 K, rounded constants", nernst(10.0, 145.0, 1, **text), 69.65, 69.75, "mV")
    findings.expect("K+ 140/5 mM, 298 K, rounded constants", nernst(140.0, 5.0, 1, **text), -86.95, -86.85, "mV")
    findings.expect("Na+, CODATA", nernst(10.0, 145.0, 1, text["celsius"]), 68.6, 68.7, "mV")
    findings.expect("K+, CODATA", nernst(140.0, 5.0, 1, text["celsius"]), -85.6, -85.5, "mV")
    if 20.0 in celsius:
        at_20 = dict(zip(entries, rests[list(celsius).index(20.0)], strict=True))
        for cell, ion, value in (("frog_muscle", "na", 59), ("frog_muscle", "k", -101), ("frog_muscle", "cl", -99),
                                 ("squid_axon", "na", 55), ("squid_axon", "k", -75)):  # fmt: skip
            if ion in ions:
                findings.expect(
                    f"{cell}, {ion}, 20 degC", at_20[cell, ion], value - 2.5, value + 2.5, "mV", JOHNSTON_WU
                )
    table = {"entries": entries, "inside": inside, "outside": outside, "celsius": np.asarray(celsius),
             "nernst": exact, "rounded": rounded, "rest": rests}  # fmt: skip
    return sim, findings, table


def simulated(entries, inside, outside, valence, celsius, duration: float, through: float) -> jm.Simulation:
    """All entries at all temperatures as one population: in each cell one leak has a permeability, the others none."""
    n, ions = len(entries), list(dict.fromkeys(ion for _, ion in entries))
    warm = np.repeat(celsius, n)
    # 1 mS/cm^2 at rest: a time constant of a millisecond
    p = np.asarray(permeability_from_conductance(1.0, np.tile(inside, len(celsius)), np.tile(outside, len(celsius)),
                                                 np.tile(valence, len(celsius)), warm))  # fmt: skip
    mechanisms, species = {}, {}
    for ion in ions:
        own = np.tile([name == ion for _, name in entries], len(celsius))
        at = lambda values, own=own: np.where(own, np.tile(values, len(celsius)), 1.0)
        z = int(valence[[name for _, name in entries].index(ion)])
        species[ion] = jm.Species(inside=at(inside), outside=at(outside), valence=z)
        mechanisms[f"{ion}_leak"] = jm.GHKLeak(p=np.where(own, p, through * p * (ion == "na")), ion=ion, valence=z)
    membrane = jm.Membrane(mechanisms=mechanisms, species=species, celsius=warm, initial_v=0.0)
    return jm.simulate(membrane, duration)


def lines(table: dict) -> str:
    """The table as text."""
    head = "".join(f"{f'{t:g} degC':>10}" for t in table["celsius"])
    rows = [f"{'cell':18}{'ion':6}{'in (mM)':>10}{'out (mM)':>10}{head}   (mV; rounded constants: 1.5 % more)"]
    for k, (cell, ion) in enumerate(table["entries"]):
        volts = "".join(f"{e:10.1f}" for e in table["nernst"][:, k])
        rows.append(f"{cell:18}{ion:6}{table['inside'][k]:10.4g}{table['outside'][k]:10.4g}{volts}")
    return "\n".join(rows)


@plots.styled
def draw(table: dict):
    plain = lambda x: np.format_float_positional(x, trim="-")
    cells = list(dict.fromkeys(cell for cell, _ in table["entries"]))
    counts = [sum(c == cell for c, _ in table["entries"]) for cell in cells]
    figure = plots.new_figure(7.6, 7.6)
    axes = figure.subplots(len(cells), 1, sharex=True, height_ratios=counts)
    for ax, cell in zip(axes, cells, strict=True):
        rows = [k for k, (c, _) in enumerate(table["entries"]) if c == cell]
        for y, k in enumerate(rows):
            colour = plots.ION_COLOURS[table["entries"][k][1]]
            ax.plot(table["nernst"][[0, -1], k], [y, y], color=colour, lw=2.2, solid_capstyle="butt", zorder=1)
            for t, (e, v) in enumerate(zip(table["nernst"][:, k], table["rest"][:, k], strict=True)):
                ax.plot(e, y, "o", ms=8, mfc="white", mec=colour, mew=1.3, zorder=2)
                ax.plot(v, y, "x" if t else "+", ms=4.5, color="black", mew=1.0, zorder=3)
        names = [
            f"{SIGNS[table['entries'][k][1]]}   {plain(table['inside'][k])} / {plain(table['outside'][k])}"
            for k in rows
        ]
        ax.set_yticks(range(len(rows)), names)
        ax.set(ylim=(len(rows) - 0.4, -0.6), title=cell.replace("_", " ").capitalize())
        ax.axvline(0, color="0.8", lw=0.8, zorder=0)
        ax.set_xlabel("equilibrium potential (mV)" if ax is axes[-1] else "")
    ends = " to ".join(f"{t:g}" for t in table["celsius"][[0, -1]])
    return plots.finish(
        figure,
        "A membrane that one ion alone can cross rests at that ion's Nernst potential",
        f"Circles: formula, at {', '.join(f'{t:g}' for t in table['celsius'])} °C (further from zero when warmer; lines from "
        f"{ends} °C). Crosses: where a simulated membrane with a constant-field leak of this ion comes to rest (plus: the "
        "coldest). Concentrations inside / outside in mM. With k and q rounded to 1.4×10⁻²³ J/K and 1.6×10⁻¹⁹ C every number "
        "would be 1.5 % larger: 69.7 and −86.9 mV for Na⁺ 10/145 and K⁺ 140/5 at 298 K, against 68.7 and −85.6.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=f"{__doc__}\n{QUESTION}\n\nExample: python experiments/nernst_table.py -o nernst_table.h5",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("nernst_table.h5"), help="HDF5 file; the figure goes beside it"
    )
    output = parser.parse_args().output
    jax.config.update("jax_enable_x64", True)  # to compare with equations
    _, findings, table = run()
    print(lines(table))
    print(findings)
    names = [f"{cell}.{ion}" for cell, ion in table["entries"]]
    grid = ("temperature", "entry")
    jm.save_variables(
        output,
        {
            "entry": (("entry",), names, "1", "cell and ion"),
            "temperature": (("temperature",), table["celsius"], "degC", "temperature"),
            "inside": (("entry",), table["inside"], "mM", "concentration inside"),
            "outside": (("entry",), table["outside"], "mM", "concentration outside"),
            "nernst": (grid, table["nernst"], "mV", "Nernst potential, CODATA constants"),
            "nernst_rounded": (grid, table["rounded"], "mV", "Nernst potential, k = 1.4e-23 J/K, q = 1.6e-19 C"),
            "rest": (grid, table["rest"], "mV", "rest of a simulated membrane that this ion alone can cross"),
        },
        attributes=findings.attributes,
        overwrite=True,
    )
    plots.save(draw(table), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
