"""Permeabilities or conductances? Two membranes that rest alike, with GHK leaks and with ohmic ones, and where they part.

The ohmic one has the chord conductances that the GHK currents have at rest, so that both rest at one voltage with the same
currents. Then both are clamped, and both get other baths of K+; each is compared with its own equation.
"""

import argparse
from pathlib import Path

import jax
import numpy as np

import jaxmem as jm
from jaxmem import plots
from jaxmem.electrochemistry import ghk_potential, nernst

QUESTION = "Where do constant permeabilities and constant conductances, which rest alike, part?"
GHK = "A. L. Hodgkin & B. Katz 1949, J Physiol 108:37, doi:10.1113/jphysiol.1949.sp004310"
MUSCLE = "frog muscle bends as GHK does: A. L. Hodgkin & P. Horowicz 1959, J Physiol 148:127, doi:10.1113/jphysiol.1959.sp006278"
IONS = {"na": (10.0, 145.0), "k": (140.0, 5.0)}  # mM, inside and outside
P = {"na": 0.04 * 2e-7, "k": 2e-7}  # cm/s; the ratio of Hodgkin and Katz' resting axon
GHK_CELL, CHORD_CELL = "GHK", "chord"


def membranes(sodium: float = 1.0) -> dict[str, jm.Membrane]:
    """Both, at 37 degC with clamped concentrations; ``sodium`` spoils the conductance of Na+ in the second."""
    species = {name: jm.Species(*both) for name, both in IONS.items()}
    ghk = jm.Membrane({f"{ion}_leak": jm.GHKLeak(p=p, ion=ion) for ion, p in P.items()}, species, initial_v=-68.0)
    settled = jm.simulate(
        ghk, 2e3, dt=0.1, record=jm.Record(["v", "na.e", "k.e", "na_leak.i_na", "k_leak.i_k"], every=1e3)
    )
    x = {name: float(values[-1]) for name, values in settled.traces.items()}
    g = {ion: x[f"{ion}_leak.i_{ion}"] / (x["v"] - x[f"{ion}.e"]) for ion in IONS}
    g["na"] *= sodium
    chord = jm.Membrane({f"{ion}_leak": jm.Leak(g=g[ion], ion=ion) for ion in IONS}, species, initial_v=-68.0)
    return {GHK_CELL: ghk, CHORD_CELL: chord}


def run(levels: int = 49, sodium: float = 1.0):
    """(what was found, findings): rests over bath K+ and currents over voltage, simulated, of both membranes."""
    findings = jm.Findings(QUESTION)
    both = membranes(sodium)
    k, v = np.sort([*np.geomspace(0.1, 145.0, levels), 5.0]), np.linspace(-140.0, 60.0, 2 * levels + 1)
    found = {"k": k, "voltage": v}
    for name, cell in both.items():
        found[f"rest.{name}"] = rests(cell, k)
        for ion in IONS:
            found[f"current.{name}.{ion}"] = currents(cell, v, ion)
    g = {ion: float(both[CHORD_CELL].parameters()[f"{ion}_leak.g"].value) for ion in IONS}
    found["ghk"] = np.asarray(
        ghk_potential(P, {x: c[0] for x, c in IONS.items()}, {"na": 145.0, "k": k}, {"na": 1, "k": 1})
    )
    e = {"na": float(nernst(*IONS["na"], 1)), "k": np.asarray(nernst(140.0, k, 1))}
    found["chord"] = (g["na"] * e["na"] + g["k"] * e["k"]) / (g["na"] + g["k"])
    ghk, chord, e_k = found[f"rest.{GHK_CELL}"], found[f"rest.{CHORD_CELL}"], e["k"]

    findings.expect(
        "GHK membrane: distance of simulated rests from the GHK voltage",
        np.abs(ghk - found["ghk"]).max(),
        0,
        1e-6,
        "mV",
        GHK,
    )
    findings.expect(
        "ohmic membrane: distance from the chord potential", np.abs(chord - found["chord"]).max(), 0, 1e-6, "mV"
    )
    at = lambda x, level: float(np.interp(np.log(level), np.log(k), x))
    one = [float(found[f"rest.{name}"][k == 5.0][0]) for name in both]
    findings.expect("rest of the GHK membrane in 5 mM", one[0], -68.6, -68.5, "mV")
    findings.expect("the other's less that", one[1] - one[0], -1e-6, 1e-6, "mV")
    apart = np.abs(chord - ghk)
    near = k[apart < 5.0]
    findings.expect("they agree within 5 mV from", near.min(), 2.5, 4.0, "mM")
    findings.expect("to", near.max(), 6, 10, "mM")
    findings.expect("in 0.1 mM: GHK is", ghk[0], -86, -82, "mV", MUSCLE)
    findings.expect("the ohmic membrane is beyond it by", ghk[0] - chord[0], 50, 120, "mV")
    findings.expect("in 140 mM: GHK, above E_K", at(ghk - e_k, 140.0), 0.0, 1.5, "mV")
    findings.expect("the ohmic membrane, above E_K", at(chord - e_k, 140.0), 5, 15, "mV")
    decade = lambda x, low, high: (at(x, high) - at(x, low)) / np.log10(high / low)
    full = float(nernst(1.0, 10.0, 1))  # 61.5 mV at 37 degC
    for low, high, least, most in ((0.1, 0.3, 0.0, 0.1), (30.0, 100.0, 0.85, 1.0)):
        findings.expect(
            f"GHK: slope at {low:g} to {high:g} mM over Nernst's", decade(ghk, low, high) / full, least, most
        )
    part = g["k"] / (g["na"] + g["k"])
    findings.expect(
        "ohmic: slope per decade over Nernst's, less g_K/g", decade(chord, 0.1, 100.0) / full - part, -1e-3, 1e-3
    )

    # Under the clamp: through one point at rest, of one size there and not elsewhere.
    for ion in IONS:
        i = [found[f"current.{name}.{ion}"] for name in both]
        rest = [float(np.interp(one[0], v, x)) for x in i]
        findings.expect(f"{ion}: current at rest, ohmic over GHK", rest[1] / rest[0], 0.99, 1.01)
        steepest = [np.gradient(x, v) for x in i]
        findings.expect(
            f"{ion}: GHK slope at 60 mV over slope at -140 mV", steepest[0][-2] / steepest[0][1], *RECTIFY[ion]
        )
        findings.expect(f"{ion}: the same, ohmic", steepest[1][-2] / steepest[1][1], 0.999, 1.001)
    return found, findings


RECTIFY = {"na": (10 / 145, 0.4), "k": (8.0, 28.0)}  # GHK: in the limits c_in/c_out


def rests(cell: jm.Membrane, k: np.ndarray) -> np.ndarray:
    """Where the membrane comes to rest in baths of so much K+, simulated for 10 s, which is long for the capacitor."""
    baths = cell.with_parameters({"k.outside": k})
    return np.asarray(jm.simulate(baths, 10e3, dt=1.0, measures=["final_v"]).measures["final_v"])


def currents(cell: jm.Membrane, v: np.ndarray, ion: str) -> np.ndarray:
    """Current of one ion at the end of clamp steps, with the other's channels blocked."""
    field = "p" if "na_leak.p" in cell.parameters() else "g"
    blocked = {f"{other}_leak.{field}": 0.0 for other in IONS if ion != other}
    clamp = jm.VoltageClamp.steps(-68.0, v, 1.0, 21.0)
    steady = jm.measures.SteadyCurrent(window=(1.5, 21.0))
    sim = jm.simulate(cell.with_parameters(blocked), 22.0, dt=0.05, stimulus=clamp, measures={"i": steady})
    return np.asarray(sim.measures["i"])


@plots.styled
def draw(found: dict):
    figure = plots.new_figure(8.0, 4.0)
    clamp, baths = figure.subplots(1, 2)
    colour, k, v = {GHK_CELL: plots.CYCLE[1], CHORD_CELL: plots.CYCLE[0]}, found["k"], found["voltage"]
    for name in colour:
        clamp.plot(v, found[f"current.{name}.k"], color=colour[name], lw=1.6)
        clamp.plot(v, found[f"current.{name}.na"], color=colour[name], lw=1.6, ls="--")
        baths.semilogx(k[::2], found[f"rest.{name}"][::2], "o", ms=4, color=colour[name])
    baths.semilogx(k, found["ghk"], color=colour[GHK_CELL], label="GHK equation")
    baths.semilogx(k, found["chord"], color=colour[CHORD_CELL], label="chord equation")
    baths.semilogx(k, np.asarray(nernst(140.0, k, 1)), color="0.6", ls=":", label="Nernst, K⁺")
    baths.legend(loc="upper left")
    baths.axvline(5.0, color="0.8", lw=0.8, zorder=0)
    rest = float(np.interp(np.log(5.0), np.log(k), found["ghk"]))
    clamp.axvline(rest, color="0.8", lw=0.8, zorder=0)
    clamp.axhline(0, color="0.8", lw=0.8, zorder=0)
    from matplotlib.lines import Line2D

    clamp.legend(
        handles=[
            Line2D([], [], color=colour[GHK_CELL], lw=1.6, label="GHK"),
            Line2D([], [], color=colour[CHORD_CELL], lw=1.6, label="ohmic"),
            Line2D([], [], color="0.3", label="K⁺"),
            Line2D([], [], color="0.3", ls="--", label="Na⁺"),
        ],
        loc="upper left",
    )
    clamp.set(
        xlabel=plots.label("voltage", "mV"), ylabel=plots.label("current", "uA/cm^2"), title="Clamped: rectification"
    )
    baths.set(
        xlabel="K⁺ outside (mM)", ylabel=plots.label("membrane potential", "mV"), title="Free: rest in other baths"
    )
    return plots.finish(
        figure,
        "Membranes of permeabilities and of conductances rest alike in one bath only",
        "Ohmic leaks with the chord conductances that GHK leaks (Na⁺ 0.04 of K⁺) have at rest in 5 mM K⁺: both rest at "
        f"−{-rest:.2f} mV (grey lines), with the same currents. Dots: simulated rests. With GHK the rest bends away from the line "
        "of K⁺ towards a floor that Na⁺ sets, and meets that line in much K⁺. With constant conductances it is straight: below "
        "every floor in little K⁺, above 0 mV in much. They agree within 5 mV from 4 to 8 mM only.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("ghk_against_chord.h5"), help="HDF5 file; the figure goes beside it"
    )
    output = parser.parse_args().output
    jax.config.update("jax_enable_x64", True)  # to compare with equations
    found, findings = run()
    print(findings)
    bath, step = "k", "voltage"
    variables = {
        "k": (bath, found["k"], "mM", "K+ outside"),
        "voltage": (step, found["voltage"], "mV", "clamped voltage"),
        "ghk": (bath, found["ghk"], "mV", "GHK voltage"),
        "chord": (bath, found["chord"], "mV", "chord-conductance potential"),
    }
    for name in (GHK_CELL, CHORD_CELL):
        variables[f"rest_{name}"] = (bath, found[f"rest.{name}"], "mV", f"simulated rest of the {name} membrane")
        for ion in IONS:
            told = f"steady current of the {name} membrane: {ion}"
            variables[f"current_{name}_{ion}"] = (step, found[f"current.{name}.{ion}"], "uA/cm^2", told)
    jm.save_variables(output, variables, attributes=findings.attributes, overwrite=True)
    plots.save(draw(found), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
