"""What the pump itself adds to the resting potential, at once and in the long run.

The pump moves a net charge, and its current through the resistance of the membrane is a few millivolts: lost at once when it
stops. What it does for the gradients is lost over hours, down to a Donnan equilibrium. In a cell with constant-field leaks
all this is one formula, that of Mullins and Noda, for any ratio of the ions pumped.
"""

import argparse
from pathlib import Path

import jax
import numpy as np

import jaxmem as jm
from jaxmem import plots
from jaxmem.electrochemistry import chord_potential, donnan, electrogenic_shift, ghk_potential, mullins_noda, nernst

QUESTION = "How much of the resting potential is the pump's own current, and how much its gradients?"
THOMAS = "R. C. Thomas 1972, Physiol Rev 52:563, doi:10.1152/physrev.1972.52.3.563: some millivolts"
LIMIT = "at most RT/F ln r; L. J. Mullins & K. Noda 1963, J Gen Physiol 47:117, doi:10.1085/jgp.47.1.117"
RATIOS = (3.0, 2.0, 1.0)  # K+ moved in for 3 Na+ out
IONS = ("na", "k", "cl")


def run(hours: float = 60.0, spread: int = 9):
    """(variables to keep, findings)."""
    findings = jm.Findings(QUESTION)
    cell, rest = resting()
    kept, without = at_once(findings, cell, rest)
    kept |= for_hours(findings, cell, rest, without, hours)
    return kept | every_ratio(findings, spread), findings


def at_once(findings: jm.Findings, cell: jm.Membrane, rest: jm.RestingState) -> tuple[dict, float]:
    """The pump stops: what is lost within a membrane time constant. Returns V_WA (mV) too."""
    p = {path: parameter.value for path, parameter in cell.parameters().items()}
    g = {ion: p[f"{ion}_leak.g"] for ion in IONS}
    potential = lambda k: nernst(rest.concentrations[f"{k}.inside"], p[f"{k}.outside"], cell.species[k].valence, 37.0)
    without = float(chord_potential(g, {ion: potential(ion) for ion in IONS}))
    shift = float(electrogenic_shift(jm.budget(cell, rest).pumps["pump"], sum(g.values())))
    v = float(rest.v)
    findings.expect("V_rest", v, -70.001, -69.999, "mV")
    findings.expect("V_WA, the same ions without the pump's current", without, -70, -60, "mV")
    findings.expect("V_rest - V_WA", v - without, -8, -2, "mV", THOMAS)
    findings.expect("less -I_pump/g", v - without - shift, -1e-9, 1e-9, "mV")
    stopped = cell.with_parameters({"pump.i_max": 0.0})
    how = {"initial": rest.state, "precision": "float64", "record": jm.Record("v", every=0.5)}
    soon = jm.simulate(stopped, 200.0, **how)
    tau = float(jm.membrane_time_constant(stopped, rest))
    early, jump = np.interp([tau, 100.0], soon.time, soon.traces["v"]) - v
    findings.expect("voltage lost in 100 ms when the pump stops", jump, 2, 8, "mV", THOMAS)
    findings.expect("less what V_WA says", v + jump - without, -0.02, 0.02, "mV")
    part = 1 - np.exp(-1)
    fraction = early / jump if jump else np.nan
    findings.expect("part of it within one membrane time constant", fraction, part - 5e-3, part + 5e-3)
    kept = {
        "soon": ("time", soon.traces["v"], "mV", "voltage after the pump stopped"),
        "time": ("time", soon.time, "ms", "time since the pump stopped"),
    }
    return kept, without


def for_hours(findings: jm.Findings, cell: jm.Membrane, rest: jm.RestingState, without: float, hours: float) -> dict:
    """The gradients run down."""
    p = {path: parameter.value for path, parameter in cell.parameters().items()}
    late = jm.simulate(
        cell.with_parameters({"pump.i_max": 0.0}), hours * 3.6e6, dt=1000.0, integrator=jm.Adaptive(),
        initial=rest.state, precision="float64", record=jm.Record(("v", "concentrations"), every=10e3),
    )  # fmt: skip
    v, end = late.traces["v"], equilibrium(p)
    findings.expect("after hours without a pump", v[-1], -40, -5, "mV")
    findings.expect("less the Donnan potential", v[-1] - end, -1e-3, 1e-3, "mV")
    half = np.interp((without + end) / 2, v, late.time) / 3.6e6
    findings.expect("half of what the gradients made is lost after", half, 0.2, 20, "h")
    return {
        "late": ("late_time", v, "mV", "voltage after the pump stopped, hours"),
        "e_na": ("late_time", potential(late, "na", p), "mV", "Nernst potential of Na+"),
        "e_k": ("late_time", potential(late, "k", p), "mV", "Nernst potential of K+"),
        "late_time": ("late_time", late.time, "ms", "time since the pump stopped"),
        "levels": ("level", [float(rest.v), without, end], "mV", "V_rest, V_WA, Donnan potential"),
    }


def every_ratio(findings: jm.Findings, spread: int) -> dict:
    """Living cells of constant-field leaks with pumps of several ratios, against Mullins and Noda."""
    p_na = np.geomspace(1e-3, 10.0, spread)
    cells, found = pumped(p_na)
    inside = {ion: found.concentrations[f"{ion}.inside"] for ion in ("na", "k")}
    outside = {ion: cells.species[ion].outside for ion in ("na", "k")}
    permeability = {"k": 1.0, "na": np.tile(p_na, len(RATIOS))}
    rows = lambda x: np.reshape(x, (len(RATIOS), -1))
    formula = rows(mullins_noda(permeability, inside, outside, 3.0 / np.repeat(RATIOS, spread)))
    ghk = rows(ghk_potential(permeability, inside, outside, {"na": 1, "k": 1}))
    solved = rows(found.v)
    findings.expect("pumped cells at rest", np.mean(found.status == jm.Status.OK), 1, 1)
    rt_f = float(jm.electrochemistry.thermal_voltage(37.0))
    for n_k, v, mullins, goldman in zip(RATIOS, solved, formula, ghk, strict=True):
        findings.expect(f"3:{n_k:g}: largest distance from Mullins-Noda", np.abs(v - mullins).max(), 0, 1e-9, "mV")
        bound = rt_f * np.log(3.0 / n_k)
        findings.expect(f"3:{n_k:g}: most that the pump adds", (goldman - v).max(), -1e-9, bound + 1e-9, "mV", LIMIT)
    return {
        "p_na": ("p_na", p_na, "1", "P_Na/P_K"),
        "n_k": ("n_k", list(RATIOS), "1", "K+ in for 3 Na+ out"),
        "added": (("n_k", "p_na"), solved - ghk, "mV", "V_rest of the whole cell less the GHK potential of its ions"),
        "formula": (("n_k", "p_na"), formula - ghk, "mV", "Mullins-Noda less GHK potential"),
    }


def resting(electrogenic: bool = True) -> tuple[jm.Membrane, jm.RestingState]:
    """The cell and its rest; without electrogenicity its pump takes in as much K+ as it puts out Na+."""
    cell = jm.presets.pump_leak()
    if not electrogenic:
        pump = jm.NaKATPase(i_max=cell.mechanisms["pump"].i_max, electrogenic=False)
        cell = cell.with_mechanisms({"pump": pump})
    return cell, jm.resting_state(cell)


def equilibrium(p: dict) -> float:
    """The Donnan potential (mV) of Na+, K+ and Cl- with impermeant charge on both sides.

    With unlike cations C and anions A outside it is that of the salt sqrt(C A), moved by RT/2F ln(C/A).
    """
    cation, anion = p["na.outside"] + p["k.outside"], p["cl.outside"]
    rt_f = float(jm.electrochemistry.thermal_voltage(37.0))
    return float(donnan(p["other.inside"], -1, np.sqrt(cation * anion)).v) + rt_f / 2 * np.log(cation / anion)


def pumped(p_na: np.ndarray) -> tuple[jm.Membrane, jm.RestingState]:
    """Cells with constant-field leaks and a pump that keeps pace with the leak of Na+, all ions living, and their rests."""
    cell = jm.presets.pump_leak_ghk()
    p = cell.parameters()
    ratio = np.tile(p_na, len(RATIOS))
    cells = cell.with_parameters({
        "na_leak.p": ratio * p["k_leak.p"].value, "pump.n_k": np.repeat(RATIOS, p_na.size),
        "pump.i_max": p["pump.i_max"].value * ratio * p["k_leak.p"].value / p["na_leak.p"].value,
    })  # fmt: skip
    return cells, jm.resting_state(cells)


def potential(late: jm.Simulation, ion: str, p: dict) -> np.ndarray:
    return np.asarray(nernst(late.traces[f"{ion}.inside"], p[f"{ion}.outside"], 1, 37.0))


@plots.styled
def draw(kept: dict):
    figure = plots.new_figure(8.6, 4.2)
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    soon, late = kept["time"][1] > 0.1, kept["late_time"][1] > 0
    time = np.concatenate([kept["time"][1][soon], kept["late_time"][1][late]])
    v = np.concatenate([kept["soon"][1][soon], kept["late"][1][late]])
    left.semilogx(time, v, color="black", lw=2)
    hours = kept["late_time"][1].clip(0.1)  # a logarithm has no zero
    for ion, sign in (("na", "Na"), ("k", "K")):
        look = {"color": plots.ION_COLOURS[ion]}
        left.semilogx(hours, kept[f"e_{ion}"][1], lw=1, **look)
        text = f"$E_\\mathrm{{{sign}}}$"
        left.annotate(text, (1.0, kept[f"e_{ion}"][1][0]), (0, 4), textcoords="offset points", **look)
    names = ("$V$ with the pump", "$V$ without its current", "Donnan")
    for level, text in zip(kept["levels"][1], names, strict=True):
        left.axhline(level, color="0.7", lw=0.8, zorder=0)
        text, below = f"{text}: {level:.1f} mV".replace("-", "−"), level < -69
        ends = {"xytext": (0, -11 if below else 3), "textcoords": "offset points"}
        left.annotate(text, (4.0, level), **ends)
    left.set_xticks([1, 1e3, 6e4, 3.6e6, 3.6e7], ["1 ms", "1 s", "1 min", "1 h", "10 h"])
    left.minorticks_off()
    left.set(xlabel="time since the pump stopped", ylabel="voltage (mV)", title="The pump stops")
    for i, n_k in enumerate(kept["n_k"][1]):
        right.semilogx(kept["p_na"][1], kept["formula"][1][i], color=plots.CYCLE[i], lw=2, alpha=0.5)
        right.semilogx(
            kept["p_na"][1], kept["added"][1][i], "o", ms=5, color=plots.CYCLE[i], label=f"3 Na⁺ for {n_k:g} K⁺"
        )
    right.set(
        xlabel="$P_\\mathrm{Na}/P_\\mathrm{K}$",
        ylabel="rest less GHK potential (mV)",
        title="What the ratio of the pump adds",
    )
    right.legend(loc="lower left")
    return plots.finish(
        figure,
        "What the pump's own current makes of the resting potential",
        "Left: when the pump of a resting cell stops, the few millivolts of its own current are gone within a membrane time "
        "constant; the gradients that it made last for hours, until only the Donnan potential of the impermeant anions is left "
        "(volume fixed). Right: cells of constant-field leaks, all ions living; dots: solved, lines: Mullins and Noda. A pump of "
        "3:3 adds nothing, others at most RT/F ln(3/n).",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("electrogenic_pump.h5"), help="HDF5 file; the figure goes beside it"
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
