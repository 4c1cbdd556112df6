"""The current-voltage curves of leaks, channels and a whole cell, by clamp steps and by slow ramps.

What crosses zero where, and how steeply: reversal potentials and conductances are read from the curves as from a recording,
and compared with Nernst, GHK and the conductances put in. No trace is kept of the steps: measures are enough.
"""

import argparse
from pathlib import Path

import jax
import numpy as np

import jaxmem as jm
from jaxmem import plots
from jaxmem.electrochemistry import ghk_current, nernst

QUESTION = "Do current-voltage curves cross zero, and rise, where Nernst and GHK have it?"
HH = "A. L. Hodgkin & A. F. Huxley 1952, J Physiol 116:449, doi:10.1113/jphysiol.1952.sp004717"
IONS = {"k": jm.Species(inside=140.0, outside=5.0)}


def membranes() -> dict[str, jm.Membrane]:
    """What is clamped, and never fires by itself under a clamp."""
    only = lambda mechanism: jm.Membrane(mechanisms={"k_leak": mechanism}, species=IONS, initial_v=-70.0)
    return {
        "ohmic leak": only(jm.Leak(g=0.05)),
        "GHK leak": only(jm.GHKLeak(p=2e-7)),
        "squid axon": jm.presets.hodgkin_huxley_1952(),
        "pumped neuron": jm.presets.pumped_neuron(),
    }


RANGE = {"pumped neuron": (-120.0, -45.0)}  # mV, where currents are too small to change the ions


def run(cells: int = 181, ramp: float = 2e3, conductance: float = 0.05):
    """(simulation of the steps of the neuron, findings, curves by membrane: v and currents)."""
    findings = jm.Findings(QUESTION)
    known = membranes()
    known["ohmic leak"] = known["ohmic leak"].with_parameters({"k_leak.g": conductance})
    sims = {name: steps(membrane, *RANGE.get(name, (-120.0, 60.0)), cells) for name, membrane in known.items()}
    curves = {name: dict(zip(("v", "peak", "early", "steady"), x[1:], strict=True)) for name, x in sims.items()}
    for name, membrane in known.items():
        curves[name] |= ramped(membrane, *RANGE.get(name, (-120.0, 60.0)), ramp)
    e_k = float(nernst(140.0, 5.0, 1, 37.0))

    v, i = curves["ohmic leak"]["v"], curves["ohmic leak"]["steady"]
    slopes = np.gradient(i, v)
    findings.expect("ohmic leak: reversal less Nernst", zero(v, i) - e_k, -1e-3, 1e-3, "mV")
    findings.expect("its conductance, flattest", slopes.min(), 0.04999, 0.05001, "mS/cm^2")
    findings.expect("its conductance, steepest", slopes.max(), 0.04999, 0.05001, "mS/cm^2")
    speed = 180.0 / ramp
    extra = np.interp(v[1:-1], curves["ohmic leak"]["ramp_v"], curves["ohmic leak"]["ramp"]) - i[1:-1]
    findings.expect("ramp less steps over C dV/dt", np.median(extra) / speed, 0.98, 1.02, source="capacitive current")

    v, i = curves["GHK leak"]["v"], curves["GHK leak"]["steady"]
    exact, slopes = np.asarray(ghk_current(v, 2e-7, 140.0, 5.0, 1, 37.0)), np.gradient(i, v)
    findings.expect("GHK leak: reversal less Nernst", zero(v, i) - e_k, -0.05, 0.05, "mV")
    findings.expect("largest distance from the GHK equation", np.abs(i - exact).max(), 0, 1e-6, "uA/cm^2")
    # Far from zero the slope is P F^2/RT times the concentration where the ions come from: 140/5 in the limits.
    findings.expect("rectification: slope at 60 over slope at -120 mV", slopes[-1] / slopes[0], 3, 28)

    axon, half = curves["squid axon"], cells  # the second half of its cells has no sodium channels
    v, steady = axon["v"][:half], axon["steady"][:half]
    sodium = axon["early"][:half] - axon["early"][half:]
    findings.expect("squid axon: most inward early current at", v[np.argmin(axon["peak"][:half])], -30, 10, "mV", HH)
    late = (v > 0) & (v < 60)
    findings.expect(
        "early current that needs sodium channels reverses at", zero(v[late], sodium[late]), 49.9, 50.1, "mV", "E_Na"
    )
    chord = steady[-1] / (v[-1] + 77.0)
    findings.expect("chord conductance of the steady current at 60 mV, part of 36", chord / 36, 0.8, 1.0)
    findings.expect("steady current crosses zero at", zero(v, steady), -65.05, -64.95, "mV", "its rest, -64.996 mV")

    neuron, cell = curves["pumped neuron"], known["pumped neuron"]
    v, i = neuron["v"], neuron["steady"]
    near = (v >= -110) & (v <= -80)
    leaks = sum(cell.parameters()[f"{ion}_leak.g"].value for ion in ("na", "k", "cl"))
    findings.expect("pumped neuron: steady current crosses zero at", zero(v, i), -70.05, -69.95, "mV", "its rest")
    slope = np.polyfit(v[near], i[near], 1)[0]
    findings.expect("its slope conductance below -80 mV over that of its leaks", slope / leaks, 0.98, 1.05)
    findings.expect("its slope conductance at -52 mV", np.interp(-52, v, np.gradient(i, v)), -10, 0.05, "mS/cm^2")
    return sims["pumped neuron"][0], findings, curves


def steps(membrane: jm.Membrane, low: float, high: float, cells: int):
    """(simulation; v, most inward, early and steady current of each step) of 100 ms from the holding potential."""
    v, on = np.linspace(low, high, cells), 1.0
    if "sodium" in membrane.order and not membrane.pools():
        membrane = membrane.with_parameters({"sodium.g": np.repeat([membrane.mechanisms["sodium"].g, 0.0], cells)})
        v = np.tile(v, 2)
    clamp = jm.VoltageClamp.steps(membrane.initial_v, v, on, on + 100.0)
    measures = {
        "peak": jm.measures.PeakInwardCurrent(window=(on + 0.05, on + 5.0)),
        "early": jm.measures.SteadyCurrent(window=(on + 0.2, on + 0.4), part=1.0),
        "steady": jm.measures.SteadyCurrent(window=(on + 50.0, on + 100.0)),
    }
    sim = jm.simulate(membrane, on + 100.0, stimulus=clamp, measures=measures)
    return sim, v, *sim.measures.values()


def ramped(membrane: jm.Membrane, low: float, high: float, duration: float) -> dict[str, np.ndarray]:
    """Voltage and current of a straight line from low to high in one cell, after 50 ms at its beginning."""
    clamp = jm.VoltageClamp.ramp(low, low, high, 50.0, 50.0 + duration)
    sim = jm.simulate(
        membrane, 50.0 + duration, dt=0.05, stimulus=clamp, record=jm.Record(["v", "stimulus"], every=duration / 400)
    )
    on = (sim.time > 55.0) & (sim.time < 45.0 + duration)
    return {"ramp_v": sim.traces["v"][on], "ramp": sim.traces["stimulus"][on]}


def zero(v: np.ndarray, i: np.ndarray) -> float:
    """The voltage at which the current turns from inward to outward, first if it does so several times; NaN if never."""
    turns = np.flatnonzero((i[:-1] < 0) & (i[1:] >= 0))
    if not turns.size:
        return np.nan
    k = turns[0]
    return float(v[k] - i[k] * (v[k + 1] - v[k]) / (i[k + 1] - i[k]))


@plots.styled
def draw(curves: dict):
    figure = plots.new_figure(8.0, 5.8)
    for ax, (name, c) in zip(figure.subplots(2, 2).flat, curves.items(), strict=True):
        n = c["v"].size // (2 if name == "squid axon" else 1)
        scale, unit = (1e-3, "mA/cm²") if name == "squid axon" else (1.0, "µA/cm²")
        ax.axhline(0, color="0.75", lw=0.8, zorder=0)
        ax.plot(c["v"][:n], scale * c["steady"][:n], color=plots.CYCLE[1], lw=2.5, alpha=0.6, label="steps, steady")
        ax.plot(c["ramp_v"], scale * c["ramp"], color="black", lw=0.9, ls="--", label="slow ramp")
        if name == "squid axon":
            ax.plot(c["v"][:n], scale * c["peak"][:n], color=plots.CYCLE[0], label="steps, most inward")
        crossing = zero(c["v"][:n], c["steady"][:n])
        ax.plot([crossing], [0], "o", ms=5, color="black")
        ax.annotate(
            f"{crossing:.1f} mV".replace("-", "−"), (crossing, 0), (4, 8), textcoords="offset points", ha="right"
        )
        ax.set(xlabel="voltage (mV)", ylabel=f"current ({unit})", title=name[0].upper() + name[1:])
        ax.legend(loc="upper left")
    return plots.finish(
        figure,
        "Where current-voltage curves cross zero, and how steeply",
        "An ohmic leak is a straight line through the potential of K⁺. By GHK it rectifies, and crosses at the same place. The "
        "squid axon's early inward current peaks while the steady one is outward. The neuron's slope turns over where sodium "
        "channels begin to open; beyond, it would fire. Dots: the steady current is zero.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("iv_curve.h5"), help="HDF5 file; the figure goes beside it"
    )
    output = parser.parse_args().output
    jax.config.update("jax_enable_x64", True)  # to compare with equations
    sim, findings, curves = run()
    print(findings)
    sim.save(output, overwrite=True, attributes=findings.attributes)
    plots.save(draw(curves), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
