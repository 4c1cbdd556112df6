"""What does it matter that the space outside a neuron is a fifth of the tissue, and not a bath?

Neurons fire for ten seconds and are then left alone, in tissue where what leaves the inside comes to the outside, and in a bath
without end. Then cells without gated channels lose their pumps. What both sides hold together must stay, to the last ion.
"""

import argparse
from pathlib import Path

import jax
import numpy as np
from scipy.optimize import brentq

import jaxmem as jm
from jaxmem import plots
from jaxmem.electrochemistry import thermal_voltage

QUESTION = "What does it matter that the space outside a neuron is a fifth of the tissue and not a bath?"
SPACE = "a fifth: C. Nicholson & E. Sykova 1998, Trends Neurosci 21:207, doi:10.1016/S0166-2236(98)01261-2"
CEILING = "up to 10-12 mM in cortex: U. Heinemann & H. D. Lux 1977, Brain Res 120:231, from memory"
RATES = (0.0, 5.0, 10.0, 20.0, 40.0)  # Hz
TRAIN, START = 10e3, 500.0  # ms
MINUTE, HOUR = 60e3, 3600e3  # ms
IONS = {"na": 1, "k": 1, "cl": -1}


def in_tissue(cell: jm.Membrane, fractions) -> jm.Membrane:
    """The cell, 10 um in radius, with Na+, K+ and Cl- free on both sides; ``fractions`` are outside over all volume."""
    alive = {
        ion: jm.Species(cell.species[ion].inside, cell.species[ion].outside, valence=z, dynamic=("inside", "outside"))
        for ion, z in IONS.items()
    }
    return cell.with_species(alive).with_geometry(
        jm.Sphere(radius=10.0, outside_volume_fraction=np.asarray(fractions, float))
    )


def run(rates=RATES, recovery: float = 2 * MINUTE, hours: float = 6.0, fraction: float = 0.2):
    """(train, findings, recovery, hours without pump): cells in tissue by rate, then as many in a bath."""
    findings = jm.Findings(QUESTION)
    n = len(rates)
    cells = in_tissue(jm.presets.pumped_neuron(), np.repeat([fraction, 1.0], n))
    rate = np.tile(rates, 2)
    pulses = jm.PulseTrain(
        amplitude=40.0, width=1.0, frequency=np.maximum(rate, 1e-3), start=START, count=np.round(rate * TRAIN / 1e3)
    )
    record = jm.Record(["v", "k.outside", "k.inside"], every=50.0)
    train = jm.simulate(cells, START + TRAIN, dt=0.05, stimulus=pulses, record=record, measures=["spike_count"])
    rest = jm.simulate(
        cells, recovery, dt=1.0, initial=train.final_state, record=jm.Record(["v", "k.outside"], every=250.0)
    )
    k, v, after = train.traces["k.outside"], train.traces["v"], rest.traces["k.outside"]

    busy = n - 1
    findings.expect(
        "spikes at the highest rate over pulses", train.measures["spike_count"][busy] / (rates[-1] * TRAIN / 1e3), 1, 1
    )
    findings.expect(
        "tissue: K+ outside after 10 s at the highest rate", k[-1, busy], 6, 12, "mM", f"{CEILING}; {SPACE}"
    )
    slope = np.polyfit(rates, k[-1, :n] - k[0, :n], 1)
    findings.expect("rise of K+ per Hz over ten seconds", slope[0], 0.1, 0.3, "mM")
    findings.expect("correlation of rise and rate", np.corrcoef(rates, k[-1, :n])[0, 1], 0.99, 1)
    findings.expect("bath: largest change of K+ outside", np.abs(k[:, n:] - k[0, n]).max(), 0, 0, "mM")
    settled = rest.traces["v"][1]  # a quarter of a second after the last pulse
    findings.expect("tissue: voltage after the train less rest", settled[busy] - v[0, busy], 4, 15, "mV")
    findings.expect(
        "bath: voltage after the train less rest", settled[2 * n - 1] - v[0, 2 * n - 1], -15, -0.5, "mV", "the pump"
    )
    rise = after[:, busy] - k[0, busy]
    half = rest.time[np.argmax(rise < 0.5 * rise[0])] - rest.time[0]
    findings.expect("tissue: half of the rise is taken back by pump and leaks within", half / 1e3, 5, 60, "s")
    findings.expect("left of it after the recovery", rise[-1] / rise[0], -0.02, 0.05)

    # Conservation: what one side loses the other gains; what the electrode brought in is K+ and is counted.
    findings.expect(
        "K+ of both sides less electrode, change over K+ moved", conserved(train, "k", fraction, n), 0, 1e-10
    )
    findings.expect("the same of Na+", conserved(train, "na", fraction, n), 0, 1e-10)
    findings.expect("audit of amounts, worst cell", np.max(train.audit.mass), 0, 1e-10)

    stopped = in_tissue(jm.presets.pump_leak(), [fraction, 1.0]).with_parameters({"pump.i_max": 0.0})
    paths = ["v", *(f"{ion}.{side}" for ion in IONS for side in ("inside", "outside"))]
    slow = jm.simulate(stopped, hours * HOUR, dt=50.0, record=jm.Record(paths, every=HOUR / 60))
    x, minutes = slow.traces, slow.time / MINUTE
    ten = int(np.argmin(np.abs(minutes - 10.0)))
    findings.expect("pump stopped for 10 min: K+ outside, tissue", x["k.outside"][ten, 0], 15, 80, "mM")
    findings.expect("voltage, tissue less bath", x["v"][ten, 0] - x["v"][ten, 1], 10, 50, "mV")
    end = donnan_of_two_finite_sides(stopped, fraction)
    findings.expect(
        "the end in tissue less the Donnan potential of two finite sides", x["v"][-1, 0] - end, -0.05, 0.05, "mV"
    )
    total = sum((x[f"k.{side}"][:, 0] * part for side, part in (("inside", 1 - fraction), ("outside", fraction))))
    findings.expect("K+ of both sides over the hours, largest change, relative", np.ptp(total) / total[0], 0, 1e-12)
    return train, findings, rest, slow


def conserved(sim: jm.Simulation, ion: str, fraction: float, n: int) -> float:
    """Worst cell in tissue: amounts inside and outside at the end less at the start, less what the electrode injected."""
    membrane, book = sim.membrane, sim.final_state.book
    env = membrane.environment(book)
    volume = fraction / (1 - fraction)
    fired = np.asarray(sim.measures["spike_count"])[:n] > 0
    gained = (np.asarray(env.inside[ion]) - membrane.species[ion].inside)[:n]
    lost = (np.asarray(env.outside[ion]) - membrane.species[ion].outside)[:n] * volume
    injected = (
        np.asarray(book["electrode"])[:n]
        * np.asarray(membrane.per_charge("k", "inside"))
        * (-1.0 if ion == "k" else 0.0)
    )
    return float((np.abs(gained + lost - injected)[fired] / np.abs(lost)[fired]).max())


def donnan_of_two_finite_sides(cell: jm.Membrane, fraction: float) -> float:
    """Where permeant ions come to rest (mV): one ratio r of inside over outside for all, the outside electroneutral."""
    volume = fraction / (1 - fraction)
    c = {ion: float(cell.species[ion].inside + volume * cell.species[ion].outside) for ion in IONS}
    fixed = float(cell.species["other"].outside)

    def charge_outside(log_r: float) -> float:
        r = np.exp(log_r)
        return (c["na"] + c["k"]) / (volume + r) - c["cl"] / (volume + 1 / r) - fixed

    return -float(thermal_voltage(cell.celsius)) * brentq(charge_outside, -5.0, 8.0)


@plots.styled
def draw(train: jm.Simulation, rest: jm.Simulation, slow: jm.Simulation):
    figure = plots.new_figure(8.0, 5.6)
    (fired, volts), (ions, down) = figure.subplots(2, 2)
    n = train.membrane.cells // 2
    rates = np.asarray(train.measures["spike_count"])[:n] / (TRAIN / 1e3)
    time = np.concatenate([train.time, train.time[-1] + rest.time[1:] - rest.time[0]]) / 1e3
    both = lambda path: np.concatenate([train.traces[path], rest.traces[path][1:]])
    k, v = (
        both("k.outside"),
        np.concatenate([np.full_like(train.traces["v"][:-1], np.nan), rest.traces["v"][1:2], rest.traces["v"][1:]]),
    )
    for i in range(n):
        look = {"color": plots.ION_COLOURS["k"], "alpha": 0.25 + 0.75 * i / (n - 1), "lw": 1.4}
        fired.plot(time, k[:, i], **look)
        peak = k[len(train.time) - 1, i]
        if rates[i] >= 1:
            fired.text(train.time[-1] / 1e3 + 1.5, peak, f"{rates[i]:g} Hz", color="0.25", va="center", fontsize=8.5)
    fired.plot(time, k[:, -1], color="black", ls=":", lw=1.2)
    fired.text(0.98, 0.13, "bath", transform=fired.transAxes, ha="right")
    for i, (name, look) in {
        n - 1: ("tissue", {"color": plots.CYCLE[1]}),
        2 * n - 1: ("bath", {"color": "black", "ls": ":"}),
    }.items():
        volts.plot(time, v[:, i], lw=1.4, label=name, **look)
    volts.axhline(train.traces["v"][0, 0], color="0.8", lw=0.8, zorder=0)
    volts.legend(loc="upper right")
    hours = slow.time / HOUR
    for i, look in ((0, {}), (1, {"ls": ":"})):
        ions.plot(hours, slow.traces["k.outside"][:, i], color=plots.ION_COLOURS["k"], lw=1.4, **look)
        ions.plot(hours, slow.traces["na.outside"][:, i], color=plots.ION_COLOURS["na"], lw=1.4, **look)
        down.plot(hours, slow.traces["v"][:, i], color=plots.CYCLE[1] if i == 0 else "black", lw=1.4, **look)
    fired.set(xlabel="time (s)", ylabel="K⁺ outside (mM)", title="Ten seconds of firing, and after")
    volts.set(xlabel="time (s)", ylabel=plots.label("membrane potential", "mV"), title="Voltage after 10 s at 40 Hz")
    volts.set_xlim(fired.get_xlim())
    ions.set(xlabel="time (h)", ylabel="outside (mM)", title="Pump stopped: K⁺ (blue), Na⁺ (red) outside")
    down.set(xlabel="time (h)", ylabel=plots.label("membrane potential", "mV"), title="Pump stopped: voltage")
    return plots.finish(
        figure,
        "Where the outside is finite, potassium piles up and depolarises the cell",
        f"Cells of 10 µm radius in tissue with a fifth of its volume outside (lines) and in a bath without end (dotted). 40 Hz for "
        f"10 s bring K⁺ outside to {train.traces['k.outside'][-1, n - 1]:.1f} mM. Afterwards the cell in the bath is more negative "
        "by the current of its pump; that in tissue is depolarised while its pump takes the K⁺ back. "
        f"Without a pump (no gated channels here) tissue ends with {slow.traces['k.outside'][-1, 0]:.0f} mM K⁺ and "
        f"{slow.traces['na.outside'][-1, 0]:.0f} mM Na⁺ outside within an hour; what both sides hold together never changes.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("outside_is_finite.h5"), help="HDF5 file; the figure goes beside it"
    )
    output = parser.parse_args().output
    jax.config.update("jax_enable_x64", True)  # ions are counted to the last
    train, findings, rest, slow = run()
    print(findings)
    train.save(output, overwrite=True, attributes=findings.attributes)
    plots.save(draw(train, rest, slow), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
