"""After a train of spikes a neuron is more negative than before. Is that the pump at work on the sodium that came in?

Cells fire for two seconds at different rates, then are left alone; half of them have a pump that takes in 3 K+ for 3 Na+.
"""

import argparse
from pathlib import Path

import numpy as np

import jaxmem as jm
from jaxmem import plots
from jaxmem.units import FARADAY

QUESTION = "Is the hyperpolarisation after a train of spikes the work of the pump on the sodium that came in?"
REVIEW = "R. C. Thomas 1972, Physiol Rev 52:563, doi:10.1152/physrev.1972.52.3.563"
SETTLED = 2  # samples after the train until the channels of the last spike have closed


def run(cells: int = 12, train: float = 2e3, recovery: float = 120e3, neutral_k: float = 3.0):
    """(the recovery, findings): the first half of the cells has a 3:2 pump, the second a 3:``neutral_k`` one; times in ms."""
    findings = jm.Findings(QUESTION)
    pumping = jm.presets.pumped_neuron().with_parameters({"geometry.radius": 3.0})
    # Both pumps run at one rate at rest, -70 mV: the K+ that the neutral one brings in beyond that leaves by more leak.
    neutral = pumping.with_parameters({"pump.n_k": neutral_k})
    neutral = jm.balance(neutral, v=-70.0, solve_for=["na_leak.g", "k_leak.g", "cl.inside"])
    both = jm.concatenate([pumping] * cells + [neutral] * cells)
    drive = jm.StepCurrent(amplitude=np.tile(np.linspace(0.0, 6.0, cells), 2), stop=train)  # the first never fires
    fired = jm.simulate(both, train, initial=jm.resting_state(both).state, stimulus=drive, measures=["spike_count"])
    # Nobody fires any more, so that steps may be longer; a state goes on at any dt.
    record = jm.Record(["v", "na.inside", "pump.i_na", "pump.i_k"], every=250.0)
    sim = jm.simulate(both, recovery, dt=1.0, initial=fired.final_state, record=record, measures=["atp"])

    v, na, pumped, k = (sim.traces[path] for path in record.variables)
    net, load, dip = pumped + k, na[0] - na[0, 0], v[0, 0] - v[SETTLED:].min(axis=0)
    one, other = cells - 1, 2 * cells - 1  # those that fired most
    what = "hyperpolarisation after the longest train"
    findings.expect("spikes in the longest train", fired.measures["spike_count"][one], 100)
    findings.expect("sodium that it brought in", load[one], 2, 40, "mM")
    findings.expect(what, dip[one], 2, 30, "mV", f"up to tens of mV in {REVIEW}: range from memory")
    findings.expect("correlation of load and hyperpolarisation", np.corrcoef(load[:cells], dip[:cells])[0, 1], 0.95)
    findings.expect("load with an electroneutral pump, relative", load[other] / load[one], 0.9, 1.1)
    # What is left to that one: less Na+ leaks in, as E_Na has fallen.
    findings.expect(f"{what}, with an electroneutral pump, relative", dip[other] / dip[one], -1.0, 0.3)

    # The pump answers to [Na]i alone: each cell at each time is a point on one curve.
    r = np.corrcoef(na[:, :cells].ravel(), net[:, :cells].ravel())[0, 1]
    source = "linear in a snail neurone: R. C. Thomas 1969, J Physiol 201:495, doi:10.1113/jphysiol.1969.sp008769, from memory"
    findings.expect("correlation of net pump current and [Na]i", r, 0.97, 1.0, source=source)

    # Books in charge (nC/cm^2), of what is in excess of rest. ATP: pmol/(cm^2 s) in the mean.
    over = lambda x: np.trapezoid(x[:, one] - x[:, 0], sim.time)
    extruded, charge = over(pumped), over(net)
    spent = (sim.measures["atp"][one] - sim.measures["atp"][0]) * recovery * FARADAY * 1e-6
    lost = (na[0, one] - na[-1, one]) * FARADAY * pumping.geometry.depth / 10
    findings.expect("Na+ extruded per net charge", extruded / charge, 2.99, 3.01, source=f"3:2 pump, {REVIEW}")
    findings.expect("Na+ extruded per ATP", extruded / spent, 2.9, 3.1)
    findings.expect("Na+ extruded over what the cell lost", extruded / lost, 0.8, 1.1)  # the leak did the rest

    # Recovery: d[Na]/dt = -[Na]/tau near rest, from the slope of Hill's equation; the hyperpolarisation follows.
    pump, c = pumping.mechanisms["pump"], na[0, 0]
    saturation = 1 / (1 + (pump.km_na / c) ** pump.hill_na)
    slope = pumped[0, 0] * pump.hill_na * (1 - saturation) / c  # uA/cm^2 per mM
    tau = FARADAY * pumping.geometry.depth / 10 / slope / 1e3
    late = (na[:, one] - c < 0.5 * load[one]) & (na[:, one] - c > 0.1 * load[one])
    decay = lambda x: -1e-3 / np.polyfit(sim.time[late], np.log(x[late]), 1)[0]
    found = decay(na[:, one] - c)
    findings.expect("time constant of [Na]i", found, 0.85 * tau, 1.15 * tau, "s", "slope of the pump at rest")
    findings.expect("that of the pump current, relative", decay(net[:, one] - net[:, 0]) / found, 0.9, 1.1)
    return sim, findings


@plots.styled
def draw(sim: jm.Simulation):
    figure = plots.new_figure(8.0, 5.4)
    (volts, sodium), (curve, dip) = figure.subplots(2, 2)
    time, cells = (sim.time - sim.start) / 60e3, sim.membrane.cells // 2
    v, na, net = sim.traces["v"], sim.traces["na.inside"], sim.traces["pump.i_na"] + sim.traces["pump.i_k"]
    for i in range(2 * cells):
        look = {"color": plots.CYCLE[i // cells], "alpha": 0.25 + 0.75 * (i % cells) / (cells - 1)}
        volts.plot(time[SETTLED:], v[SETTLED:, i], **look)
        if i < cells:
            sodium.plot(time, na[:, i], **look)
            curve.plot(na[:, i], net[:, i], **look)
    for half, name in ((slice(cells), "3 Na⁺ : 2 K⁺"), (slice(cells, None), "3 Na⁺ : 3 K⁺")):
        colour = plots.CYCLE[half.start is not None]
        dip.plot(na[0, half] - na[0, 0], v[SETTLED:, half].min(axis=0) - v[0, 0], "o", ms=4, color=colour, label=name)
    dip.legend(loc="lower left")
    volts.set(xlabel="time after the train (min)", ylabel="membrane potential (mV)", title="Voltage")
    sodium.set(xlabel="time after the train (min)", ylabel="Na⁺ inside (mM)", title="Sodium is extruded (3:2 pump)")
    curve.set(xlabel="Na⁺ inside (mM)", ylabel="net pump current (µA/cm²)", title="The pump's current follows sodium")
    dip.set(xlabel="sodium load (mM)", ylabel="lowest potential less rest (mV)", title="Load and hyperpolarisation")
    return plots.finish(
        figure,
        "The pump that extrudes a train's sodium hyperpolarises the cell",
        f"{2 * cells} neurons (radius 3 µm) after two seconds of firing, the darker the faster they fired. Orange: a pump of "
        "3 Na⁺ for 2 K⁺. Blue: one of 3 for 3 that has as much sodium to extrude, and hardly hyperpolarises. The net current "
        "against [Na⁺] is one curve for all cells and times, nearly a straight line.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("sodium_load.h5"), help="HDF5 file; the figure goes beside it"
    )
    output = parser.parse_args().output
    sim, findings = run()
    print(findings)
    sim.save(output, overwrite=True, attributes=findings.attributes)
    plots.save(draw(sim), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
