"""What happens to a membrane whose pump is blocked: at once, in seconds of firing, and in hours?

Ouabain in rising concentrations; then thin axons that are made to fire with and without it until they cannot; then a cell
left alone for a day, whose gradients run down to the Donnan equilibrium.
"""

import argparse
import tomllib
from pathlib import Path

import jax
import numpy as np

import jaxmem as jm
from jaxmem import plots
from jaxmem.electrochemistry import thermal_voltage
from jaxmem.units import parse_quantity

QUESTION = "What does a membrane lose when its pump is blocked: at once, in seconds of firing, in hours?"
DRUGS = Path(__file__).parents[1] / "data" / "drugs.toml"  # with sources
HALF = parse_quantity(tomllib.loads(DRUGS.read_text())["ouabain_alpha3"]["half"], "mM")  # the pump of neurons
HOUR = 3600e3  # ms


def run(doses: int = 25, train: float = 10e3, hours: float = 25.0):
    """(doses, trains, hours: three simulations; findings; the Donnan potential)."""
    findings = jm.Findings(QUESTION)
    at_once = dose_response(findings, doses)
    trains = fire_until_failure(findings, train)
    slow, donnan = run_down(findings, hours)
    return at_once, trains, slow, findings, donnan


def ouabain(concentration, start: float = 0.0) -> jm.Drug:
    """Ouabain (mM) in the bath from ``start`` ms on."""
    return jm.Drug("pump.i_max", jm.TimeCourse([start], [concentration]), half=HALF, name="ouabain")


def dose_response(findings: jm.Findings, doses: int, cell: jm.Membrane | None = None) -> jm.Simulation:
    """Half a second is long for the capacitor and nothing for the ions: what is lost is the pump's own voltage."""
    dose = np.concatenate([[0.0], np.geomspace(1e-8, 1e-4, doses)])
    cell = cell or jm.presets.pumped_neuron()
    record = jm.Record(["v", "pump.i_na", "pump.i_k"], every=50.0)
    sim = jm.simulate(cell, 500.0, changes=ouabain(dose, 100.0), record=record)
    v, net = sim.traces["v"], sim.traces["pump.i_na"] + sim.traces["pump.i_k"]
    lost, g = v[-1] - v[0], sum(cell.parameters()[f"{ion}_leak.g"].value for ion in ("na", "k", "cl"))
    source = "a few mV: R. C. Thomas 1972, Physiol Rev 52:563, doi:10.1152/physrev.1972.52.3.563, from memory"
    findings.expect("voltage lost at once to 100 nM", lost[-1], 2, 12, "mV", source)
    findings.expect("the same less pump current over leak conductance", lost[-1] - net[0, -1] / g, -0.5, 0.5, "mV")
    half = np.interp(0.5 * lost[-1], lost[1:], dose[1:])
    findings.expect("dose of half the loss over the drug's half-effect", half / HALF, 0.8, 1.25)
    return sim


def fire_until_failure(findings: jm.Findings, train: float) -> jm.Simulation:
    """Axons of 0.1 um with 100 nM ouabain or none, driven at 0 to 40 Hz: the gradients are a battery.

    Thinner ones there are none: A. A. Faisal et al. 2005, Curr Biol 15:1143, doi:10.1016/j.cub.2005.05.056, from memory.
    """
    axon = jm.presets.pumped_neuron().with_geometry(jm.Cylinder(diameter=0.1, length=1000.0))
    rate, dose = np.array([1e-3, 10.0, 20.0, 40.0, 40.0]), np.array([1e-4, 1e-4, 1e-4, 1e-4, 0.0])
    pulses = jm.PulseTrain(amplitude=40.0, width=1.0, frequency=rate, start=500.0, count=np.where(rate < 1, 0, np.inf))
    record = [jm.Record("v", every=0.1), jm.Record("na.inside", every=10.0)]
    late = jm.measures.SpikeCount(window=(train - 1e3, train))
    sim = jm.simulate(
        axon, train, dt=0.05, stimulus=pulses, changes=ouabain(dose), record=record,
        measures={"spike_count": "spike_count", "late": late},
    )  # fmt: skip
    count, end, na = sim.measures["spike_count"], sim.measures["late"], sim.traces["na.inside"]
    findings.expect("spikes of a thin axon at 40 Hz under ouabain until it fails", count[3], 50, 2000)
    findings.expect("spikes in the last second under ouabain", end[3], 0, 0)
    findings.expect("spikes in the last second without", end[4], 40, 40)
    findings.expect("Na+ inside of the axon that failed", na[-1, 3], 40, 190, "mM")
    findings.expect("its voltage", sim.traces["v"][-1, 3], -60, 0, "mV")
    return sim


def run_down(findings: jm.Findings, hours: float) -> tuple[jm.Simulation, float]:
    """A cell of 10 um radius left alone: no closed form for the way, one for the end."""
    cell = jm.presets.pump_leak()
    record = jm.Record(["v", "na.inside", "k.inside", "cl.inside", "reversals"], every=HOUR / 20)
    sim = jm.simulate(
        cell, hours * HOUR, dt=1.0, changes=ouabain(1e-2, HOUR), record=record,
        integrator=jm.Adaptive(rtol=1e-6, atol=1e-6),
    )  # fmt: skip
    # Donnan: one ratio r for all ions; cations r c_out, Cl- c_out/r and the impermeant anions must be neutral.
    s = cell.species
    cations, chloride, fixed = s["na"].outside + s["k"].outside, s["cl"].outside, s["other"].inside
    r = (fixed + np.sqrt(fixed**2 + 4 * cations * chloride)) / (2 * cations)
    donnan = -float(thermal_voltage(37.0)) * np.log(r)
    v = sim.traces["v"]
    findings.expect(
        "voltage after the hours", v[-1], donnan - 0.5, donnan + 0.5, "mV", "Donnan equilibrium, closed form"
    )
    apart = [abs(sim.traces[f"{ion}.e"][-1] - v[-1]) for ion in ("na", "k", "cl")]
    findings.expect("largest distance of an ion from equilibrium", max(apart), 0, 1.0, "mV")
    within = np.argmax(sim.time > 1.2 * HOUR)
    findings.expect("voltage lost 10 minutes after the block", v[within] - v[0], 1, 25, "mV")
    return sim, donnan


@plots.styled
def draw(at_once: jm.Simulation, trains: jm.Simulation, slow: jm.Simulation, donnan: float):
    figure = plots.new_figure(8.0, 7.4)
    grid = figure.add_gridspec(3, 2)
    dose, v = np.asarray(at_once.changes[0].concentration.knots[0].value) * 1e6, at_once.traces["v"]
    ax = figure.add_subplot(grid[0, 0])
    ax.semilogx(dose[1:], v[-1, 1:] - v[0, 1:], "o-", ms=3.5, color=plots.CYCLE[0])
    ax.axvline(HALF * 1e6, color="black", ls=":")
    ax.set(xlabel="ouabain (nM)", ylabel="depolarisation (mV)", title="At once: the pump's own voltage")
    ax = figure.add_subplot(grid[0, 1])
    names = ("silent, ouabain", "10 Hz, ouabain", "20 Hz, ouabain", "40 Hz, ouabain", "40 Hz, none")
    for i, name in enumerate(names):
        look = {"color": plots.CYCLE[i], "ls": "--" if i == 4 else "-", "label": name}
        ax.plot(trains.recorded["na.inside"].time / 1e3, trains.traces["na.inside"][:, i], **look)
    ax.legend(loc="upper left", fontsize=7.5, labelspacing=0.2)
    ax.set(xlabel="time (s)", ylabel="Na⁺ inside (mM)", title="Axons of 0.1 µm: sodium", ylim=(0, None))
    for column, i in ((0, 3), (1, 4)):
        ax = figure.add_subplot(grid[1, column])
        ax.plot(trains.time / 1e3, trains.traces["v"][:, i], color=plots.CYCLE[i], lw=0.5)
        ax.set(xlabel="time (s)", ylabel="membrane potential (mV)", ylim=(-90, 60), title=f"Axon at {names[i]}")
    volts, ions = figure.add_subplot(grid[2, 0]), figure.add_subplot(grid[2, 1])
    hours = slow.time / HOUR
    volts.plot(hours, slow.traces["v"], color="black")
    for ion, sign in (("na", "Na"), ("k", "K"), ("cl", "Cl")):
        colour = plots.ION_COLOURS[ion]
        volts.plot(hours, slow.traces[f"{ion}.e"], color=colour, lw=0.8, ls="--", label=rf"$E_\mathrm{{{sign}}}$")
        ions.plot(hours, slow.traces[f"{ion}.inside"], color=colour, label={"na": "Na⁺", "k": "K⁺", "cl": "Cl⁻"}[ion])
    volts.axhline(donnan, color="0.6", lw=0.8, ls=":")
    volts.legend(loc="upper right", ncols=3)
    ions.legend(loc="center right")
    volts.set(xlabel="time (h)", ylabel="voltage (mV)", title="Hours: to the Donnan equilibrium (dotted)")
    ions.set(xlabel="time (h)", ylabel="inside (mM)", title="Gradients of a cell of 10 µm radius")
    return plots.finish(
        figure,
        "Blocking the pump costs a few mV at once, the spikes after some hundred, the gradients within hours",
        "Top: half a second after ouabain; dotted: half-effect on the pump. Middle: an axon whose pump is blocked still fires, "
        "from gradients that are a battery, until it is blocked by depolarisation; with its pump it goes on. Bottom: membrane "
        "potential (black) and those of the ions (dashed) meet. Ouabain from 1 h on.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("ouabain.h5"), help="HDF5 file; the figure goes beside it"
    )
    output = parser.parse_args().output
    jax.config.update("jax_enable_x64", True)  # for the hours
    at_once, trains, slow, findings, donnan = run()
    print(findings)
    slow.save(output, overwrite=True, attributes=findings.attributes)
    plots.save(draw(at_once, trains, slow, donnan), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
