"""Why a hole that potassium fits keeps the smaller sodium out: the price of water against the attraction of a site.

Eisenman's model, the simplest there is: an ion gives up its water and touches a charge of some radius. Which alkali ion a site
prefers, as its radius varies; and a membrane of channels of such sites, simulated with Na+ outside and K+ inside, from whose
reversal potential the ratio of permeabilities is read back as an electrophysiologist would.
"""

import argparse
from itertools import pairwise
from pathlib import Path

import jax
import numpy as np

import jaxmem as jm
from jaxmem import plots
from jaxmem.electrochemistry import (
    ALKALI_IONS,
    HydratedIon,
    permeability_ratio,
    selectivity_energy,
    selectivity_ratio,
    selectivity_sequence,
)

QUESTION = "Does the price of water against the pull of a site give the orders in which channels prefer ions?"
EISENMAN = "G. Eisenman 1962, Biophys J 2:259, doi:10.1016/S0006-3495(62)86959-8"
# P_Na/P_K is below 0.01 in the node of Ranvier (quoted from memory)
HILLE = "B. Hille 1973, J Gen Physiol 61:669, doi:10.1085/jgp.61.6.669"
# The eleven orders that occur, from the strongest field (XI) to the weakest (I)
SEQUENCES = (
    "li na k rb cs", "na li k rb cs", "na k li rb cs", "na k rb li cs", "na k rb cs li", "k na rb cs li",
    "k rb na cs li", "k rb cs na li", "rb k cs na li", "rb cs k na li", "cs rb k na li",
)  # fmt: skip
# Another set of hydration free energies: H. Yu et al. 2010, J Chem Theory Comput 6:774, doi:10.1021/ct900576a, table 2, kcal/mol
YU = {"li": -120.5, "na": -96.3, "k": -78.6, "rb": -73.7, "cs": -66.5}
NAMES = {"li": "Li⁺", "na": "Na⁺", "k": "K⁺", "rb": "Rb⁺", "cs": "Cs⁺"}
CELSIUS = 25.0


def run(sites: int = 401, dry: float = 1.0):
    """(simulation, findings, results); ``dry`` scales all hydration energies: 1 is water, 0 ions without any."""
    ions = {name: HydratedIon(r, dry * g) for name, (r, g) in ALKALI_IONS.items()}
    radius = np.linspace(0.10, 0.22, sites)  # nm
    orders = [" ".join(selectivity_sequence(r, ions)) for r in radius]
    met = [orders[0]] + [b for a, b in pairwise(orders) if a != b]
    findings = jm.Findings(QUESTION)
    findings.expect("orders met, from a small site to a large one", len(met), 11, 11, "1", EISENMAN)
    findings.expect(
        "of them Eisenman's, in his order", sum(a == b for a, b in zip(met, SEQUENCES, strict=False)), 11, 11
    )
    energy = np.array([np.asarray(selectivity_energy(r, g, radius)) for r, g in ions.values()])
    na, k = (energy[list(ions).index(ion)] for ion in ("na", "k"))
    cost = ions["na"].hydration - ions["k"].hydration
    findings.expect("water costs Na+ more than K+, by", -cost, 60, 80, "kJ/mol")
    turn = float(np.interp(0, na - k, radius))
    findings.expect("radius of the site at which K+ overtakes Na+", turn, 0.14, 0.17, "nm")
    other = {name: HydratedIon(ALKALI_IONS[name].radius, 4.184 * dry * g) for name, g in YU.items()}
    gap = [np.asarray(selectivity_energy(*other[ion], radius)) for ion in ("na", "k")]
    findings.expect("the same with other hydration energies", np.interp(0, gap[0] - gap[1], radius), 0.14, 0.17, "nm")
    first = np.array([order.startswith("k ") for order in orders])
    best = float(np.asarray(selectivity_ratio(na, k, CELSIUS))[first].min(initial=1.0))
    findings.expect("least Na+ per K+ at a site that prefers K+ to all", best, 0.01, 0.05)
    findings.expect("over what a K+ channel lets in", best / 0.01, 1, 5, "1", HILLE)

    sim = simulated(np.asarray(selectivity_ratio(na, k, CELSIUS)))
    v = sim.final_state.v
    read = np.asarray(permeability_ratio(v, 1.0, 150.0, 150.0, 1.0, CELSIUS))
    by_energy = np.exp(-(na - k) / (8.314462618e-3 * (CELSIUS + 273.15)))
    seen = (by_energy > 1e-3) & (by_energy < 1e3)  # beyond, the reversal potential says nothing any more
    off = np.abs(np.log(read[seen] / by_energy[seen])).max(initial=0.0)
    findings.expect("P_Na/P_K read from the reversal over that of the energies: worst, log", off, 0, 1e-4)
    findings.expect("reversal where K+ is preferred most", v[first][np.argmin(by_energy[first])] if first.any() else np.nan,
                    -100, -70, "mV")  # fmt: skip
    results = {"radius": radius, "energy": energy, "orders": orders, "first": first, "reversal": v, "read": read,
               "ratio": by_energy, "seen": seen, "turn": turn}  # fmt: skip
    return sim, findings, results


def simulated(ratio: np.ndarray) -> jm.Simulation:
    """A membrane for each site, with Na+ 150 outside and K+ 150 mM inside (1 mM on the other side), from 0 mV to rest."""
    species = {"na": jm.Species(inside=1.0, outside=150.0), "k": jm.Species(inside=150.0, outside=1.0)}
    scale = 1e-5 / np.maximum(ratio, 1.0)  # the larger of both permeabilities: some ms of time constant
    membrane = jm.Membrane(
        mechanisms={"na_path": jm.GHKLeak(p=scale * ratio, ion="na"), "k_path": jm.GHKLeak(p=scale, ion="k")},
        species=species, celsius=CELSIUS, initial_v=0.0,
    )  # fmt: skip
    return jm.simulate(membrane, 500.0)


@plots.styled
def draw(results: dict):
    figure = plots.new_figure(8.4, 4.2)
    left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
    radius, energy, names = results["radius"], results["energy"], list(ALKALI_IONS)
    relative = energy - energy[names.index("k")]
    window = radius[results["first"]]
    for ax in (left, right):
        if window.size:
            ax.axvspan(window[0], window[-1], color=plots.ION_COLOURS["k"], alpha=0.12, lw=0, zorder=0)
        ax.set(xlim=(radius[0], radius[-1]), xlabel="radius of the site (nm)")
    colours = {"li": plots.CYCLE[4], "na": plots.ION_COLOURS["na"], "k": plots.ION_COLOURS["k"], "rb": plots.CYCLE[2],
               "cs": plots.CYCLE[3]}  # fmt: skip
    for name, line in zip(names, relative, strict=True):
        left.plot(radius, line, color=colours[name], lw=1.8, label=NAMES[name])
    left.set(ylim=(-24, 34), ylabel="energy into the site, less that of K⁺ (kJ/mol)", title="The lowest is preferred")
    left.legend(loc="lower right", ncols=5, columnspacing=0.8, handlelength=1.0)
    seen = results["seen"]
    right.semilogy(radius, results["ratio"], color="black", lw=0.9, ls="--", label="from the energies")
    right.semilogy(radius[seen][::8], results["read"][seen][::8], "o", ms=4, color=plots.ION_COLOURS["na"],
                   label="from reversal potentials")  # fmt: skip
    right.axhline(0.01, color="0.5", lw=0.9, ls=":")
    right.annotate("K⁺ channels: below", (0.015, 0.0095), xycoords=("axes fraction", "data"), ha="left", va="top",
                   color="0.35", fontsize=8.5)  # fmt: skip
    right.set(ylim=(2e-3, 1e3), ylabel="P(Na⁺)/P(K⁺)", title="Sodium kept out")
    right.legend(loc="upper right")
    return plots.finish(
        figure,
        "A site keeps the smaller ion out where its water costs more than the site repays",
        "From left to right the site grows and its field weakens: the ion preferred is Li⁺, then Na⁺, K⁺, Rb⁺, Cs⁺, in the "
        "eleven orders that Eisenman found in glasses and cells, of 120. Shaded: K⁺ before all others; Na⁺ costs 70 kJ/mol more "
        "to strip, and a wide site does not repay that. One rigid charge lets in one Na⁺ for 48 K⁺ at best; a K⁺ channel, with "
        "several cages of carbonyls in a row, less than one for 100 (dotted): the model explains the order, not the size.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=f"{__doc__}\n{QUESTION}\n\nExample: python experiments/selectivity.py -o selectivity.h5",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("selectivity.h5"), help="HDF5 file; the figure goes beside it"
    )
    output = parser.parse_args().output
    jax.config.update("jax_enable_x64", True)  # to compare with equations
    _, findings, results = run()
    print(findings)
    jm.save_variables(
        output,
        {
            "ion": (("ion",), list(ALKALI_IONS), "1", "alkali ions"),
            "energy": (("ion", "radius"), results["energy"], "kJ/mol", "energy from water into the site"),
            "order": (("radius",), results["orders"], "1", "the ions, the preferred one first"),
            "ratio": (("radius",), results["ratio"], "1", "P_Na/P_K from the energies"),
            "reversal": (("radius",), results["reversal"], "mV", "rest of a simulated membrane of such channels"),
            "ratio_read": (("radius",), results["read"], "1", "P_Na/P_K read from the reversal potential"),
        },
        coordinates={"radius": (results["radius"], "nm", "radius of the site's charge")},
        attributes=findings.attributes,
        overwrite=True,
    )
    plots.save(draw(results), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
