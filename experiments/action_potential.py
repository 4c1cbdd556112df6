"""What are the numbers of an action potential, and at which voltage does it begin?

    python experiments/action_potential.py -o action_potential.h5

The squid axon and a mammalian neuron, each made to fire in four ways: the voltage displaced at once, a pulse, a step and a
ramp of current. A population of amplitudes finds the least of each that suffices; those four cells are then looked at.
"""

import argparse
from pathlib import Path

import numpy as np

import jaxmem as jm
from jaxmem import plots

MORE = 1.02  # just above threshold spikes come late, and a little lower than they should
WAYS = ("displaced at once", "pulse of 0.5 ms", "step", "ramp of 30 ms")
HIGHEST = np.array([40.0, 100.0, 30.0, 100.0])  # mV, and uA/cm^2
PULSE, RAMP, START, DURATION = 0.5, 30.0, 10.0, 60.0  # ms
SQUID = "Hodgkin & Huxley 1952, doi:10.1113/jphysiol.1952.sp004764"
WASTE = "overlap wastes most of it: Sengupta et al. 2010, doi:10.1371/journal.pcbi.1000840; at 18.5 degC about 4, unverified"
ENERGY = "some mammalian neurons come near 1: Sengupta et al. 2010, doi:10.1371/journal.pcbi.1000840"
TEXTBOOK = "Kandel et al. 2013, Principles of Neural Science, 5th ed., ch. 7, unverified"


def fire(cell: jm.Membrane, strength: np.ndarray, dt: float = 0.025, **asked) -> jm.Simulation:
    """Cells in the four ways, strength (4, n); the displaced ones begin displaced, current begins at START."""
    rest = jm.resting_state(cell)
    way = np.arange(4)[:, None]
    only = lambda i: np.where(way == i, strength, 0.0).ravel()
    gates = {name: {s: float(x) for s, x in gate.items()} for name, gate in rest.state.states.items()}
    return jm.simulate(
        cell, DURATION, dt=dt,
        initial=cell.initial_state(v=float(rest.v) + only(0), states=gates),
        stimulus=jm.StepCurrent(amplitude=only(1), start=START, stop=START + PULSE)
        + jm.StepCurrent(amplitude=only(2), start=START)
        + jm.Ramp(amplitude=only(3), start=START, stop=START + RAMP),
        **asked,
    )  # fmt: skip


def look(cell: jm.Membrane, row: int = 64, rounds: int = 2) -> tuple[jm.Simulation, np.ndarray]:
    """What the membrane does at MORE times the least strength that fires, in each way, and that least strength."""
    low, high = np.zeros(4), HIGHEST
    for _ in range(rounds):
        strength = np.linspace(low, high, row, axis=1)
        fires = fire(cell, strength, measures=["spike_count"]).measures["spike_count"].reshape(4, row) > 0
        first = np.maximum(np.argmax(fires, axis=1), 1)
        low, high = strength[range(4), first - 1], strength[range(4), first]
    names = ["v", "sodium.i_na", "potassium.i_k"]
    measures = {
        "threshold": jm.measures.SpikeThreshold(of="first", stretch="run"), "peak": jm.measures.SpikePeak(of="first"),
        "after": jm.measures.Afterhyperpolarisation(of="first", below="zero"), "width": jm.measures.SpikeWidth(of="first"),
    }  # fmt: skip
    sim = fire(cell, MORE * high[:, None], dt=0.0125, record=jm.Record(names, every=0.0125), measures=measures)
    return sim, high


def expect(findings, name, sim, strength, ranges):
    """Expect the numbers of a spike that a pulse made; {number: (low, high, unit, source)}."""
    v, m = sim.traces["v"][:, 1], {k: x[1] for k, x in sim.measures.items()}
    rest, dt = v[0], sim.time[1] - sim.time[0]
    charge = {k: np.sum(sim.traces[k][:, 1] - sim.traces[k][0, 1]) * dt for k in ("sodium.i_na", "potassium.i_k")}
    late = sim.time > START + 2 * PULSE  # the pulse itself is over
    slope = np.diff(v)[late[1:]] / dt
    thresholds = sim.measures["threshold"]
    highest, lowest = np.fmax.reduce(thresholds), np.fmin.reduce(thresholds)  # NaN where none fired
    found = {
        "rest": rest, "displacement that fires": strength[0], "charge of a pulse that fires": strength[1] * PULSE,
        "step that fires": strength[2], "peak": m["peak"], "lowest voltage after it": m["after"],
        "width at half height": m["width"], "steepest rise": slope.max(), "steepest fall": slope.min(),
        "sodium that enters": -charge["sodium.i_na"], "potassium that leaves": charge["potassium.i_k"],
        "sodium over the least that the capacitor needs": -charge["sodium.i_na"] / (m["peak"] - rest),
    }  # fmt: skip
    for what, (low, high, *told) in ranges.items():
        findings.expect(f"{name}: {what}", found[what], low, high, *told)
    findings.expect(f"{name}: ways to fire that did", np.sum(np.isfinite(thresholds)), 4, 4)
    findings.expect(f"{name}: thresholds by slope differ by", highest - lowest, 0.1, 10.0, "mV")
    apart = highest - (rest + strength[0])
    findings.expect(f"{name}: highest of them above the voltage to which to displace it", apart, 3.0, 12.0, "mV")


def run(row: int = 64, rounds: int = 2, sodium: float = 1.0):
    """(squid, findings, neuron), four cells each; ``sodium`` multiplies the sodium conductances."""
    findings = jm.Findings("What are the numbers of an action potential, and at which voltage does it begin?")
    cells = {"squid": jm.presets.hodgkin_huxley_1952(), "neuron": jm.presets.textbook_neuron()}
    cells = {k: c.with_parameters({"sodium.g": sodium * c.mechanisms["sodium"].g}) for k, c in cells.items()}
    (squid, squid_needs), (neuron, neuron_needs) = (look(c, row, rounds) for c in cells.values())
    expect(findings, "squid", squid, squid_needs, {
        "rest": (-65.1, -64.9, "mV", SQUID),
        "displacement that fires": (6.0, 7.0, "mV", f"6 fails, 7 fires: {SQUID}, fig. 12, unverified"),
        "charge of a pulse that fires": (6.0, 7.5, "nC/cm^2"), "step that fires": (2.1, 2.5, "uA/cm^2"),
        "peak": (25.0, 45.0, "mV", SQUID), "lowest voltage after it": (-78.0, -74.0, "mV", f"towards E_K, -77: {SQUID}"),
        "width at half height": (1.0, 2.2, "ms"), "steepest rise": (150.0, 500.0, "V/s"),
        "steepest fall": (-150.0, -30.0, "V/s"), "sodium that enters": (300.0, 1500.0, "nC/cm^2"),
        "potassium that leaves": (300.0, 1500.0, "nC/cm^2"),
        "sodium over the least that the capacitor needs": (8.0, 18.0, "1", WASTE),
    })  # fmt: skip
    expect(findings, "neuron", neuron, neuron_needs, {
        "rest": (-70.1, -69.9, "mV", TEXTBOOK), "displacement that fires": (19.0, 21.0, "mV", TEXTBOOK),
        "step that fires": (0.5, 10.0, "uA/cm^2"), "peak": (25.0, 35.0, "mV", TEXTBOOK),
        "lowest voltage after it": (-92.0, -80.0, "mV", TEXTBOOK), "width at half height": (0.3, 2.0, "ms"),
        "steepest rise": (50.0, 500.0, "V/s"), "steepest fall": (-400.0, -30.0, "V/s"),
        "sodium over the least that the capacitor needs": (1.0, 4.0, "1", ENERGY),
    })  # fmt: skip
    return squid, findings, neuron


@plots.styled
def draw(squid, neuron):
    figure = plots.new_figure(8.0, 6.6)
    for column, (sim, name) in enumerate(((squid, "Squid axon, 6.3 °C"), (neuron, "Mammalian neuron, 37 °C"))):
        ways, close, currents = (figure.add_subplot(3, 2, 2 * k + 1 + column) for k in range(3))
        v = sim.traces["v"]
        for i, way in enumerate(WAYS):
            ways.plot(sim.time, v[:, i], color=plots.CYCLE[i], label=way)
            slope = np.gradient(v[:, i], sim.time)
            near = slice(0 if i == 0 else np.argmax(sim.time > START), np.argmax(v[:, i]) + 1)
            close.plot(v[near, i], slope[near], color=plots.CYCLE[i])
            close.plot(sim.measures["threshold"][i], 10.0, "o", ms=4, color=plots.CYCLE[i])
        ways.set(title=name, xlabel="time (ms)", ylabel="voltage (mV)", xlim=(0, DURATION))
        close.axhline(10, color="#8C8C8C", lw=0.6)
        around = sim.measures["threshold"]
        near = {"xlim": (np.nanmin(around) - 12, np.nanmax(around) + 10), "ylim": (-2, 30)}
        close.set(xlabel="voltage (mV)", ylabel="dv/dt (mV/ms)", **near)
        peak = sim.time[np.argmax(v[:, 1])]
        for path, colour, ion in (
            ("sodium.i_na", plots.ION_COLOURS["na"], "Na⁺"),
            ("potassium.i_k", plots.ION_COLOURS["k"], "K⁺"),
        ):
            currents.plot(sim.time - peak, sim.traces[path][:, 1], color=colour, label=ion)
        currents.axhline(0, color="#8C8C8C", lw=0.6)
        currents.set(xlabel="time from the peak (ms)", ylabel=plots.label("current", "uA/cm^2"))
        currents.set_xlim((-2, 5) if column == 0 else (-1, 2.5))
        if column == 0:
            close.legend(*ways.get_legend_handles_labels(), loc="upper left")
            currents.legend()
    return plots.finish(
        figure,
        "Threshold is not one number: it depends on how one gets there",
        "Top: the weakest of four ways to fire. Middle: how fast the voltage rises in each; where that reaches 10 mV/ms "
        "(dots), the spike begins by a usual definition, at a voltage of its own in each way, and millivolts above the one "
        "to which the membrane has to be displaced, where the curves leave zero. Bottom: the currents of the spike after the "
        "pulse, outward up: in the squid they overlap, so that most of the sodium enters in vain; the neuron wastes less.",
    )


def main() -> None:
    import jax

    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("action_potential.h5"), help="HDF5 file; figure beside it"
    )
    output = parser.parse_args().output
    squid, findings, neuron = run()
    print(findings)
    squid.save(output, overwrite=True, attributes=findings.attributes)
    plots.save(draw(squid, neuron), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
