"""Does a cell that only potassium can leave come to the potential of potassium, and what does it pay to stay there?

A membrane with potassium channels alone starts at 0 mV in baths of 1 to 140 mM K+. Its voltage goes to Nernst's and stays for
an hour; the ions that left are counted in the book and compared with the charge of the capacitor.
"""

import argparse
from pathlib import Path

import jax
import numpy as np

import jaxmem as jm
from jaxmem import plots
from jaxmem.electrochemistry import nernst
from jaxmem.units import AVOGADRO, ELEMENTARY_CHARGE

QUESTION = "Does a cell that only K+ can leave come to E_K, with how few ions, and what does it pay to stay there?"
NERNST = "W. Nernst 1889, Z Phys Chem 4:129, doi:10.1515/zpch-1889-0112"
OUTSIDE = (1.0, 2.5, 5.0, 10.0, 20.0, 50.0, 140.0)  # mM
HOUR = 3600e3  # ms


def cell(outside=OUTSIDE, sodium: float = 0.0) -> jm.Membrane:
    """10 um radius, 37 degC, K+ 140 mM inside and free to change; ``sodium`` (mS/cm^2) spoils it with another channel."""
    species = {"k": jm.Species(140.0, np.asarray(outside, float), dynamic=("inside",)), "na": jm.Species(10.0, 145.0)}
    leaks = {"k_leak": jm.Leak(g=0.05), "na_leak": jm.Leak(g=sodium, ion="na")}
    return jm.Membrane(leaks, species, initial_v=0.0, geometry=jm.Sphere(radius=10.0))


def run(outside=OUTSIDE, duration: float = 400.0, sodium: float = 0.0):
    """(the way to E_K, findings, the hour after it)."""
    findings = jm.Findings(QUESTION)
    membrane = cell(outside, sodium)
    record = jm.Record(["v", "k.e", "k_leak.i_k", "k.inside"], every=0.1)
    sim = jm.simulate(membrane, duration, dt=0.05, record=record)
    record = jm.Record(["v", "k.inside"], every=60e3)
    later = jm.simulate(membrane, HOUR, dt=100.0, initial=sim.final_state, record=record)  # stable at any dt
    at_start = np.asarray(nernst(140.0, np.asarray(outside), 1, membrane.celsius))
    v, e, i = sim.traces["v"], sim.traces["k.e"], sim.traces["k_leak.i_k"]

    # The way: tau = C/g, and only the way costs; what it costs is the field in the capacitor.
    half = np.array([np.interp(0.5, x / y, sim.time) for x, y in zip(v.T[:-1], at_start[:-1], strict=True)])
    findings.expect("half of E_K is reached after, over ln 2 C/g", half.mean() / (20.0 * np.log(2)), 0.999, 1.001)
    findings.expect(
        "largest distance from E_K at the end of the way", np.abs(v[-1] - at_start).max(), 0, 1e-3, "mV", NERNST
    )
    heat = np.trapezoid(i * (v - e), sim.time, axis=0)[:-1]  # pJ/cm^2
    stored = 0.5 * membrane.capacitance * at_start[:-1] ** 2
    findings.expect("heat on the way over C E_K^2/2, worst", (heat / stored).max(), 0.999, 1.001)
    findings.expect("the same, least", (heat / stored).min(), 0.999, 1.001)

    # The hour: nothing flows, nothing is spent.
    findings.expect("voltage lost in the hour after", np.abs(later.traces["v"][-1] - v[-1]).max(), 0, 1e-4, "mV")
    power = np.abs(i[-1] * (v[-1] - e[-1])).max()  # nW/cm^2
    findings.expect("power spent at the end of the way", power, 0, 1e-12, "nW/cm^2")
    carried = lambda s: np.asarray(s.book["k"])
    moved = np.abs(carried(later.final_state) - carried(sim.final_state)).max()
    findings.expect("charge carried in the hour after", moved, 0, 1e-4, "nC/cm^2")

    # The ions: counted in the book, in the change of concentration, and as the charge of the capacitor.
    geometry = membrane.geometry
    ions, inside = counted(sim), 140e-3 * (geometry.volume * 1e-15) * AVOGADRO
    by_capacitor = -membrane.capacitance * 1e-6 * v[-1] * 1e-3 * (geometry.area * 1e-8) / ELEMENTARY_CHARGE
    by_concentration = (140.0 - later.traces["k.inside"][-1]) / 140.0 * inside
    some = slice(0, -1)  # at 140 mM outside none have to go
    findings.expect(
        "ions counted over charges on the capacitor", worst(ions[some] / by_capacitor[some]), 1 - 1e-9, 1 + 1e-9
    )
    findings.expect(
        "ions missed inside over ions counted", worst(by_concentration[some] / ions[some]), 1 - 1e-6, 1 + 1e-6
    )
    five = list(outside).index(5.0)
    findings.expect("K+ outside 5 mM: ions that left, million", ions[five] / 1e6, 6.9, 7.1)
    findings.expect("the same, one in", inside / ions[five], 45_000, 55_000)
    findings.expect("change of K+ inside", later.traces["k.inside"][-1, five] - 140.0, -0.003, -0.0025, "mM")
    return sim, findings, later


def counted(sim: jm.Simulation) -> np.ndarray:
    """K+ ions that left each cell, from the book."""
    charge = np.asarray(sim.final_state.book["k"]) * 1e-9 * sim.membrane.geometry.area * 1e-8  # C
    return charge / ELEMENTARY_CHARGE


def worst(ratio: np.ndarray) -> float:
    return float(ratio[np.argmax(np.abs(ratio - 1))])


@plots.styled
def draw(sim: jm.Simulation, later: jm.Simulation):
    figure = plots.new_figure(8.0, 3.9)
    volts, ions = figure.subplots(1, 2, width_ratios=(1.5, 1))
    outside = np.asarray(sim.membrane.species["k"].outside)
    shade = lambda n: (0.0, 0.447, 0.698, 0.25 + 0.75 * (n + 1) / outside.size)
    e = np.asarray(nernst(140.0, outside, 1, sim.membrane.celsius))
    for n, k in enumerate(outside):
        volts.axhline(e[n], color="0.75", lw=0.8, ls="--", zorder=0)
        volts.plot(sim.time, sim.traces["v"][:, n], color=shade(n), lw=1.4)
        volts.text(205, e[n] + 1.2, f"{k:g} mM", ha="right", fontsize=8.5, color="0.25")
    volts.set(xlabel="time (ms)", ylabel=plots.label("membrane potential", "mV"), xlim=(0, 208))
    volts.set_title("From 0 mV to the Nernst potential")
    left, v = counted(sim) / 1e6, sim.traces["v"][-1]
    line = np.linspace(v.min(), 0, 2)
    area = sim.membrane.geometry.area
    ions.plot(line, -line * 1e-3 * 1e-6 * area * 1e-8 / ELEMENTARY_CHARGE / 1e6, color="0.6", lw=1.0, label="C V/e")
    ions.scatter(v, left, color=[shade(n) for n in range(outside.size)], zorder=3, label="counted")
    ions.legend(loc="upper right")
    ions.set(
        xlabel=plots.label("membrane potential", "mV"), ylabel="K⁺ ions that left (million)", title="How few that takes"
    )
    ions.set_ylim(0, None)
    five = int(np.argmin(np.abs(outside - 5.0)))
    one_in = 140e-3 * sim.membrane.geometry.volume * 1e-15 * AVOGADRO / counted(sim)[five]
    return plots.finish(
        figure,
        "K⁺ alone: a few million of hundreds of billions of ions leave, and the voltage stands",
        f"Cells of 10 µm radius with 140 mM K⁺ inside and K⁺ channels alone start at 0 mV; bath K⁺ as written. Each goes to its "
        f"Nernst potential (dashed). At 5 mM {left[five]:.2f} million K⁺ left, one in {round(one_in, -3):,.0f}: [K⁺] inside "
        "falls by 0.003 mM. Afterwards no current flows, no energy is spent, and within an hour nothing changes: this is an "
        "equilibrium. A resting neuron is none.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("potassium_only_cell.h5"), help="HDF5 file; the figure goes beside it"
    )
    output = parser.parse_args().output
    jax.config.update("jax_enable_x64", True)  # ions are counted to the last
    sim, findings, later = run()
    print(findings)
    sim.save(output, overwrite=True, attributes=findings.attributes)
    plots.save(draw(sim, later), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
