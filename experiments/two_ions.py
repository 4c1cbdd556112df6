"""A membrane that lets K+ and Na+ through: is its rest an equilibrium, and how long does it last without a pump?

Two cells with the same two leaks, one with a pump of 3 Na+ for 2 K+ that makes it stand still at -70 mV, one without. Both are
left alone for hours. Without the pump the currents cancel at each moment, and run the gradients down.
"""

import argparse
from pathlib import Path

import jax
import numpy as np
from scipy.integrate import solve_ivp

import jaxmem as jm
from jaxmem import plots
from jaxmem.units import FARADAY, GAS, ZERO_CELSIUS

QUESTION = (
    "Is the rest of a membrane that lets K+ and Na+ through an equilibrium, and how long does it last without a pump?"
)
CHORD = "chord conductances: A. L. Hodgkin & P. Horowicz 1959, J Physiol 148:127, doi:10.1113/jphysiol.1959.sp006278"
HOUR = 3600e3  # ms
WITHOUT, WITH = 0, 1  # the cells


def cells(pump: float = 1.0) -> jm.Membrane:
    """Leaks of Na+ and K+ (0.05 mS/cm^2) alone, and with the pump that makes them stand still at -70 mV; ``pump``: part of it."""
    ions = {
        "na": jm.Species(10.0, 145.0, dynamic=("inside",)),
        "k": jm.Species(140.0, 5.0, dynamic=("inside",)),
    }
    mechanisms = {"na_leak": jm.Leak(g=0.01, ion="na"), "k_leak": jm.Leak(g=0.05), "pump": jm.NaKATPase(atp=None)}
    species = ions | {"other": jm.impermeant(ions)}
    cell = jm.balance(jm.Membrane(mechanisms, species, geometry=jm.Sphere(radius=10.0)), v=-70.0)
    return cell.with_parameters({"pump.i_max": np.array([0.0, pump * cell.parameters()["pump.i_max"].value])})


def run(hours: float = 4.0, dt: float = 50.0, pump: float = 1.0):
    """(hours of both cells, findings)."""
    findings = jm.Findings(QUESTION)
    population = cells(pump)
    paths = ["v", "na.inside", "k.inside", "na.e", "k.e", "na_leak.i_na", "k_leak.i_k", "pump.i_na", "pump.i_k"]
    sim = jm.simulate(population, hours * HOUR, dt=dt, record=jm.Record(paths, every=HOUR / 60))  # stable at any step
    x = {name: values[1:] for name, values in sim.traces.items()}
    v, na, k = x["v"], x["na_leak.i_na"], x["k_leak.i_k"]

    # With a pump: a steady state, in which no ion is at equilibrium and each leak current is paid back.
    findings.expect("with pump: largest change of voltage in hours", np.ptp(v[:, WITH]), 0, 1e-6, "mV")
    findings.expect("largest change of a concentration", np.ptp(x["na.inside"][:, WITH]), 0, 1e-6, "mM")
    findings.expect("rest", v[-1, WITH], -70.001, -69.999, "mV")
    findings.expect("it is above E_K by", (v - x["k.e"])[-1, WITH], 15, 25, "mV")
    findings.expect("and below E_Na by", (x["na.e"] - v)[-1, WITH], 120, 160, "mV")
    findings.expect("K+ leaks out with", k[-1, WITH], 0.8, 1.1, "uA/cm^2")
    findings.expect("Na+ leak over K+ leak", na[-1, WITH] / k[-1, WITH], -1.5 - 1e-6, -1.5 + 1e-6, source="3:2 pump")
    left = np.abs([na + x["pump.i_na"], k + x["pump.i_k"]])[:, -1, WITH].max()
    findings.expect("what leak and pump leave of each ion's current", left, 0, 1e-6, "uA/cm^2")

    # Without: the sum is zero, the currents are not.
    known = population.parameters()
    g_na, g_k = known["na_leak.g"].value, known["k_leak.g"].value
    chord = (g_na * x["na.e"] + g_k * x["k.e"])[:, WITHOUT] / (g_na + g_k)
    findings.expect(
        "without: distance from the chord potential", np.abs(v[:, WITHOUT] - chord).max(), 0, 5e-3, "mV", CHORD
    )
    findings.expect("K+ current after a minute", k[0, WITHOUT], 1, 2, "uA/cm^2")
    findings.expect("Na+ current over it", na[0, WITHOUT] / k[0, WITHOUT], -1.001, -0.999)
    findings.expect(
        "the voltage that the pump makes at once: its net current over g", v[0, WITHOUT] - v[0, WITH], 6, 10, "mV"
    )
    time, exact = by_chord_alone(population, sim.time[1:])
    apart = np.abs(x["na.inside"][:, WITHOUT] - exact).max()
    findings.expect("distance of [Na+] from an integration of the chord equation", apart, 0, 0.02, "mM")
    findings.expect("[Na+] rises in the first minute by", x["na.inside"][0, WITHOUT] - 10.0, 1.5, 3.0, "mM")
    half = np.interp(0.5 * v[0, WITHOUT], v[:, WITHOUT], time / HOUR * 60)
    findings.expect("half of the voltage is gone after", half, 20, 120, "min")

    # The end: one potential for both ions, and 0 mV, as the impermeant anions are alike on both sides.
    findings.expect("end: E_Na less E_K", (x["na.e"] - x["k.e"])[-1, WITHOUT], 0, 0.05, "mV")
    findings.expect("voltage", v[-1, WITHOUT], -0.05, 0.05, "mV", "Donnan: the same anions on both sides")
    findings.expect("[Na+] inside over outside", x["na.inside"][-1, WITHOUT] / 145.0, 0.999, 1.001)
    findings.expect("[K+] inside over outside", x["k.inside"][-1, WITHOUT] / 5.0, 0.99, 1.01)
    return sim, findings


def by_chord_alone(population: jm.Membrane, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[Na+] (mM) by another solver, of a membrane without a capacitor: V where the two currents cancel at each moment."""
    known = population.parameters()
    g_na, g_k = float(known["na_leak.g"].value), float(known["k_leak.g"].value)
    rt_f = 1e3 * GAS * (population.celsius + ZERO_CELSIUS) / FARADAY
    per_current = 10.0 / (FARADAY * population.geometry.depth)

    def rate(_: float, c: np.ndarray) -> list[float]:
        e_na, e_k = rt_f * np.log(145.0 / c[0]), rt_f * np.log(5.0 / c[1])
        flow = g_na * g_k / (g_na + g_k) * (e_na - e_k)
        return [per_current * flow, -per_current * flow]

    end = solve_ivp(rate, (0, time[-1]), [10.0, 140.0], method="LSODA", t_eval=time, rtol=1e-9, atol=1e-9)
    return end.t, end.y[0]


@plots.styled
def draw(sim: jm.Simulation):
    figure = plots.new_figure(8.0, 3.7)
    volts, ions, currents = figure.subplots(1, 3)
    hours, x = sim.time[1:] / HOUR, {name: values[1:] for name, values in sim.traces.items()}
    colour = {"na": plots.ION_COLOURS["na"], "k": plots.ION_COLOURS["k"]}
    for cell, look in ((WITHOUT, {"lw": 1.6}), (WITH, {"lw": 1.0, "ls": ":"})):
        volts.plot(hours, x["v"][:, cell], color="black", **look)
        for ion in ("na", "k"):
            volts.plot(hours, x[f"{ion}.e"][:, cell], color=colour[ion], **look)
            ions.plot(hours, x[f"{ion}.inside"][:, cell], color=colour[ion], **look)
            currents.plot(hours, x[f"{ion}_leak.i_{ion}"][:, cell], color=colour[ion], **look)
    total = x["na_leak.i_na"] + x["k_leak.i_k"]
    currents.plot(hours, total[:, WITHOUT], color="black", lw=1.6)
    for ax, places in (
        (volts, (("$E_\\mathrm{Na}$", "na", 0.04, 0.97), ("V", "", 0.2, 0.36), ("$E_\\mathrm{K}$", "k", 0.42, 0.1))),
        (ions, (("K⁺", "k", 0.37, 0.3), ("Na⁺", "na", 0.37, 0.66))),
        (currents, (("K⁺", "k", 0.3, 0.72), ("sum", "", 0.05, 0.54), ("Na⁺", "na", 0.3, 0.22))),
    ):
        for text, ion, across, up in places:
            ax.text(across, up, text, transform=ax.transAxes, color=colour.get(ion, "black"))
    volts.set(xlabel="time (h)", ylabel=plots.label("potential", "mV"), title="Voltages")
    ions.set(xlabel="time (h)", ylabel=plots.label("concentration inside", "mM"), title="Gradients")
    currents.set(xlabel="time (h)", ylabel=plots.label("leak current, outward", "uA/cm^2"), title="Leaks")
    v, e_k, e_na = (x[name][-1, WITH] for name in ("v", "k.e", "na.e"))
    return plots.finish(
        figure,
        "Without a pump the currents of two ions cancel, and run both gradients down",
        f"A cell of 10 µm radius with leaks of K⁺ and Na⁺. Solid: no pump; the sum of the currents is zero, none of them is, and "
        f"all is over within three hours. Dotted: with a pump it stands at {v:.0f} mV. That −70 mV is a steady state, not an "
        f"electrochemical equilibrium: K⁺ is driven out by {v - e_k:.0f} mV and Na⁺ in by {e_na - v:.0f} mV, all the time.".replace(
            "at -", "at −"
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("two_ions.h5"), help="HDF5 file; the figure goes beside it"
    )
    output = parser.parse_args().output
    jax.config.update("jax_enable_x64", True)  # for the hours
    sim, findings = run()
    print(findings)
    sim.save(output, overwrite=True, attributes=findings.attributes)
    plots.save(draw(sim), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
