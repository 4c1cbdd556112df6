"""The resting potential built up: potassium alone, then sodium, chloride, the pump, and channels that are never quite closed.

Each membrane is the one before with something added, its concentrations held as they are in the textbook's cell; each rest is
solved for, reached by a simulation, and, as long as there is a formula, computed by hand. At last the ions are let go.
"""

import argparse
from pathlib import Path

import jax
import numpy as np

import jaxmem as jm
from jaxmem import plots
from jaxmem.electrochemistry import chord_potential, nernst

QUESTION = "From potassium alone to a living cell: where does each addition put the resting potential?"
STAGES = ("K⁺ alone", "+ Na⁺", "+ Cl⁻", "+ pump", "+ channels", "ions let go")
THRESHOLD = -69.0  # mV, v_t of the channels: so low that some are open at rest, and the cell stays silent all the same
MECHANISMS = {"k_leak": 0, "na_leak": 1, "cl_leak": 2, "pump": 3, "sodium": 4, "potassium": 4}  # the stage they come in


def run(duration: float = 400.0, hours: float = 20.0):
    """(variables to keep, findings)."""
    findings = jm.Findings(QUESTION)
    whole = neuron()
    first = held(findings, whole, duration)
    last = let_go(findings, whole, hours)
    joined = lambda what, ion: np.append(what(first["flow"], ion), what(last["flow"], ion))
    ions = list(first["e"])
    kept = {
        "stage": ("stage", list(STAGES), "1", "what the membrane has"),
        "v": ("stage", [*first["v"], last["v"]], "mV", "resting potential, solved"),
        "reached": ("stage", [*first["reached"], last["reached"]], "mV", "resting potential, simulated"),
        "by_hand": ("stage", [*first["by_hand"], np.nan, np.nan], "mV", "by the chord-conductance equation"),
        "ion": ("ion", ions, "1", "ion"),
        "e": ("ion", list(first["e"].values()), "mV", "Nernst potentials as given"),
        "leak": (
            ("stage", "ion"),
            np.transpose([joined(carried, k) for k in ions]),
            "uA/cm^2",
            "current outside the pump",
        ),
        "pump": (("stage", "ion"), np.transpose([joined(pumped, k) for k in ions]), "uA/cm^2", "current by the pump"),
    }
    return kept, findings


def held(findings: jm.Findings, whole: jm.Membrane, duration: float) -> dict:
    """All stages whose concentrations are held: solved, simulated, and by hand as long as nothing is gated."""
    cells = built_up(whole)
    p = {path: parameter.value for path, parameter in whole.parameters().items()}
    potential = lambda ion, z: float(nernst(p[f"{ion}.inside"], p[f"{ion}.outside"], z, 37.0))
    e = {ion: potential(ion, z) for ion, z in (("k", 1), ("na", 1), ("cl", -1))}
    rest = jm.resting_state(cells)
    flow = jm.budget(cells, rest)
    g = {ion: p[f"{ion}_leak.g"] for ion in e}
    chord = lambda n, current: float(chord_potential({ion: g[ion] for ion in list(g)[:n]}, e, current))
    by_hand = [chord(1, 0.0), chord(2, 0.0), chord(3, 0.0), chord(3, flow.pumps["pump"][3])]
    sim = jm.simulate(cells, duration, dt=0.05, precision="float64", measures=["final_v"])
    v, reached = rest.v.tolist(), sim.measures["final_v"].tolist()
    for i, name in enumerate(STAGES[:-1]):
        findings.expect(f"{name}: solved less simulated", v[i] - reached[i], -1e-6, 1e-6, "mV")
        findings.expect(f"{name}: current left", abs(float(flow.membrane_current[i])), 0, 1e-9, "uA/cm^2")
    for i, formula in enumerate(by_hand):
        findings.expect(f"{STAGES[i]}: solved less formula", v[i] - formula, -1e-9, 1e-9, "mV")
    findings.expect("K+ alone: E_K", v[0] - e["k"], -1e-9, 1e-9, "mV")
    findings.expect("what Na+ adds", v[1] - v[0], 10, 40, "mV")
    findings.expect("what the pump's current adds", v[3] - v[2], -8, -1, "mV")
    findings.expect("what channels at rest add", v[4] - v[3], 0.05, 1.0, "mV", "window current")
    return {"v": v, "reached": reached, "by_hand": by_hand, "e": e, "flow": flow}


def let_go(findings: jm.Findings, whole: jm.Membrane, hours: float) -> dict:
    """The whole cell with living ions: where it comes to rest after hours."""
    alive = jm.resting_state(whole)
    flow, v = jm.budget(whole, alive), float(alive.v)
    how = {"integrator": jm.Adaptive(), "precision": "float64", "measures": ["final_v"]}
    reached = float(jm.simulate(whole, hours * 3.6e6, dt=1000.0, **how).measures["final_v"])
    findings.expect("ions let go: solved less simulated", v - reached, -1e-6, 1e-6, "mV")
    findings.expect("rest of the living cell", v, -75, -60, "mV")
    e_cl = float(nernst(alive.concentrations["cl.inside"], whole.species["cl"].outside, -1, 37.0))
    findings.expect("living Cl- has come to equilibrium: E_Cl less rest", e_cl - v, -1e-9, 1e-9, "mV")
    na, k = float(carried(flow, "na")), float(carried(flow, "k"))
    findings.expect("Na+ that leaks in", na, -5, -0.1, "uA/cm^2")
    findings.expect("K+ that leaks out", k, 0.1, 5, "uA/cm^2")
    findings.expect("Na+ in over K+ out, as the pump has it", -na / k, 1.5 - 1e-9, 1.5 + 1e-9)
    return {"v": v, "reached": reached, "flow": flow}


def neuron(hidden: float = 0.0) -> jm.Membrane:
    """A neuron with the textbook's concentrations, all living; Cl- begins away from its equilibrium.

    ``hidden`` (mS/cm^2) is a leak with its reversal at 0 mV that no formula knows of.
    """
    cell, textbook = jm.presets.pumped_neuron(), jm.presets.pump_leak()
    species = {**textbook.species, "cl": jm.Species(inside=10.0, outside=110.0, valence=-1, dynamic=("inside",))}
    species["other"] = jm.impermeant({k: s for k, s in species.items() if k not in ("other", "atp")})
    mechanisms = {name: (cell if name in ("sodium", "potassium") else textbook).mechanisms[name] for name in MECHANISMS}
    if hidden:
        mechanisms["hidden"] = jm.Leak(g=hidden, e=0.0, ion="k")
    built = jm.Membrane(mechanisms, species, celsius=37.0, initial_v=-70.0, geometry=jm.Sphere(radius=2.0))
    return built.with_parameters({"sodium.v_t": THRESHOLD, "potassium.v_t": THRESHOLD})


def built_up(whole: jm.Membrane) -> jm.Membrane:
    """A cell for each stage but the last, concentrations held: what comes later has no conductance yet."""
    species = {k: jm.Species(s.inside, s.outside, valence=s.valence) for k, s in whole.species.items()}
    held = whole.with_species(species)
    p = whole.parameters()
    strength = {f"{name}.{'i_max' if name == 'pump' else 'g'}": from_stage for name, from_stage in MECHANISMS.items()}
    stages = np.arange(len(STAGES) - 1)
    return held.with_parameters({path: np.where(stages >= n, p[path].value, 0.0) for path, n in strength.items()})


def carried(budget: jm.Budget, ion: str) -> np.ndarray:
    """What an ion carries outside the pump."""
    return np.sum([c[ion] for name, c in budget.currents.items() if ion in c and name != "pump"], axis=0)


def pumped(budget: jm.Budget, ion: str) -> np.ndarray:
    pump = budget.currents["pump"]
    return np.asarray(pump.get(ion, 0.0 * pump["na"]))


@plots.styled
def draw(kept: dict):
    stages, v, ions = kept["stage"][1], kept["v"][1], kept["ion"][1]
    figure = plots.new_figure(7.6, 6.0)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(1.7, 1))
    x = np.arange(len(stages))
    for ion, e in zip(ions, kept["e"][1], strict=True):
        if e < 0:
            sign = {"k": "K", "cl": "Cl"}[ion]
            upper.axhline(e, color=plots.ION_COLOURS[ion], lw=0.9, ls="--", zorder=0)
            upper.annotate(f"$E_\\mathrm{{{sign}}}$", (x[-1] + 0.45, e), (0, 3), textcoords="offset points", ha="right",
                           color=plots.ION_COLOURS[ion])  # fmt: skip
    upper.step([*(x - 0.5), x[-1] + 0.5], [*v, v[-1]], where="post", color="0.75", lw=1)
    upper.plot(x, v, "o", ms=8, color=plots.CYCLE[1], label="solved")
    upper.plot(x, kept["by_hand"][1], "+", ms=14, mew=1.5, color="black", label="by hand")
    for i, value in enumerate(v):
        upper.annotate(f"{value:.1f}".replace("-", "−"), (i, value), (0, 9), textcoords="offset points", ha="center")
    upper.set(ylabel="resting potential (mV)", title="Where the membrane rests")
    upper.legend(loc="center")
    upper.set_ylim(-92, -58)
    leak, pump = np.array(kept["leak"][1]), np.array(kept["pump"][1])
    for j, ion in enumerate(ions):
        place = x + 0.25 * (j - 1)
        sign = {"k": "K⁺", "na": "Na⁺", "cl": "Cl⁻"}[ion]
        lower.bar(place, leak[:, j], width=0.22, color=plots.ION_COLOURS[ion], label=sign)
        lower.bar(place, pump[:, j], width=0.22, color="white", edgecolor=plots.ION_COLOURS[ion], hatch="////", lw=0.8)
    lower.bar([0], [0], color="white", edgecolor="0.4", hatch="////", lw=0.8, label="by the pump")
    lower.axhline(0, color="black", lw=0.8)
    lower.set(ylabel="current (µA/cm²)", xlabel="what the membrane has", title="What flows there, outward up")
    lower.set_xticks(x, stages)
    lower.legend(loc="upper left", ncols=4)
    lower.set_ylim(-1.7, 2.3)
    return plots.finish(
        figure,
        "The resting potential, built up",
        f"{v[-1]:.0f} mV is a steady state, not an equilibrium: beyond K⁺ alone ions flow at every rest, and without a pump the "
        "gradients would run down. At the last rest each ion's currents sum to zero: Na⁺ and K⁺ against the pump, which pays; Cl⁻, "
        "which nothing pumps, has moved to its equilibrium. Concentrations held but at the end.".replace("-", "−"),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("resting_potential.h5"), help="HDF5 file; the figure goes beside it"
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
