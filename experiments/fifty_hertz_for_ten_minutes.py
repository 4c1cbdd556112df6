"""Can a neuron fire at 50 Hz for ten minutes, what does it cost, and does float32 tell it as float64 does?

    python experiments/fifty_hertz_for_ten_minutes.py -o fifty_hertz_for_ten_minutes.h5

Neurons that differ in their pumps, each with the K+ leak that makes it stand still at -70 mV, driven by pulses that are
carried by K+. Twelve million steps in either precision: a few minutes. ``--minutes 1`` shows the beginning.
"""

import argparse
from pathlib import Path

import numpy as np

import jaxmem as jm
from jaxmem import plots
from jaxmem.units import FARADAY

RATE, PULSE, STRENGTH = 50.0, 1.0, 60.0  # Hz, ms, uA/cm^2
STEADY_FROM = 300e3  # ms: runs at least so long are expected to end in a steady state
IONS = ("na", "k", "cl")
DEMAND = "demanded of float32"


def run(duration: float = 600e3, cells: int = 64, every: float = 5000.0, sodium: float = 20.0):
    """(float32 run, findings, float64 run); ``duration`` and ``every`` (between samples) in ms."""
    findings = jm.Findings(
        "Can a neuron fire at 50 Hz for ten minutes, what does it cost, and does float32 tell it too?"
    )
    neuron = jm.presets.pumped_neuron().with_parameters({"sodium.g": sodium})
    neurons = jm.balance(neuron.with_parameters({"k_leak.g": 0.04 * np.geomspace(1.0, 6.0, cells)}), v=-70.0)
    train = jm.PulseTrain(amplitude=STRENGTH, width=PULSE, frequency=RATE, carrier="k")
    shown = [f"{ion}.inside" for ion in IONS] + ["pump.i_na", "pump.i_k"]
    single, double = (
        jm.simulate(
            neurons, duration, dt=0.05, initial=jm.resting_state(neurons).state, stimulus=train, precision=precision,
            record=jm.Record(shown, every=every), measures=["spike_count", "atp", "concentration_change", "energy_per_second"],
        )
        for precision in ("float32", "float64")
    )  # fmt: skip

    spikes = [run.measures["spike_count"] for run in (single, double)]
    pulses = duration * RATE / 1e3
    findings.expect("pulses answered, strongest pump", spikes[1][-1] / pulses, 0.999, 1.0)
    findings.expect("pulses answered, all cells", spikes[1].min() / pulses, 0.5, 1.0)
    away = np.abs(spikes[0] - spikes[1]) / np.maximum(spikes[1], 1)
    findings.expect("float32 from float64: spikes, worst cell", away.max(), 0.0, 0.02, source=DEMAND)
    for ion in IONS:
        apart = np.abs(single.traces[f"{ion}.inside"] - double.traces[f"{ion}.inside"]).max()
        findings.expect(f"float32 from float64: {ion} inside, worst cell and time", apart, 0.0, 0.05, "mM", DEMAND)
    findings.expect("audit of charge, float32", single.audit.worst_charge, 0.0, 1e-4)
    findings.expect("audit of charge, float64", double.audit.worst_charge, 0.0, 1e-12)
    findings.expect("audit of amounts, float64", double.audit.worst_mass, 0.0, 1e-12)

    na, pumped = double.traces["na.inside"][:, -1], double.traces["pump.i_na"][:, -1]
    findings.expect("sodium that the strongest pump lets in", na[-1] - na[0], 2.0, 15.0, "mM")
    change = double.measures["concentration_change.na.inside"]
    findings.expect("sodium of the weakest pump over that", change[0] / change[-1], 1.1, 10.0)
    # What entered is what was pumped, three for an ATP, and what stayed.
    cost = double.measures["atp"][-1] * FARADAY / 1e6  # uA/cm^2
    entered = 3 * cost + change[-1] * FARADAY / 10 * float(neuron.geometry.depth) / duration
    per_spike = (entered - pumped[0]) * duration / max(spikes[1][-1], 1)
    # The capacitor takes 117 nC/cm^2 from -70 to 47 mV; up to 60 of them come with the pulse.
    findings.expect("sodium per spike, strongest pump", per_spike, 57.0, 300.0, "nC/cm^2")
    findings.expect("ATP of firing over that of rest, strongest pump", cost / (pumped[0] / 3), 1.1, 20.0)
    findings.expect("the same, weakest pump", double.measures["atp"][0] / double.measures["atp"][-1] * cost
                    / (double.traces["pump.i_na"][0, 0] / 3), 1.1, 20.0)  # fmt: skip
    if duration >= STEADY_FROM:
        late = double.time > duration - 60e3
        drift = np.ptp(na[late])
        findings.expect("drift of sodium in the last minute, strongest pump", drift, 0.0, 0.1, "mM")
        findings.expect("sodium pumped over sodium entering then", np.mean(pumped[late]) / entered, 0.97, 1.05)
    return single, findings, double


@plots.styled
def draw(single, double):
    figure = plots.new_figure(8.0, 5.4)
    axes = figure.subplots(2, 2, sharex=True)
    pump, time = np.asarray(double.membrane.mechanisms["pump"].i_max), double.time / 60e3
    chosen = np.unique(np.linspace(0, pump.size - 1, 5).round().astype(int))
    shade = lambda n: 0.3 + 0.7 * n / max(chosen.size - 1, 1)
    panels = {"na.inside": "Na⁺ inside (mM)", "k.inside": "K⁺ inside (mM)", "pump.i_na": "Na⁺ pumped out (µA/cm²)"}
    for ax, (path, name) in zip(axes.ravel(), panels.items(), strict=False):
        for n, cell in enumerate(chosen):
            label = f"pump {pump[cell] / pump[0]:.1f} times"
            colour = plots.ION_COLOURS["k" if path == "k.inside" else "na"]
            ax.plot(time, double.traces[path][:, cell], color=colour, alpha=shade(n), label=label)
        ax.set(ylabel=name)
    axes[0, 0].legend()
    for ion in IONS:
        apart = np.abs(single.traces[f"{ion}.inside"] - double.traces[f"{ion}.inside"]).max(axis=1)
        axes[1, 1].semilogy(
            time[1:], apart[1:], color=plots.ION_COLOURS[ion], label={"na": "Na⁺", "k": "K⁺", "cl": "Cl⁻"}[ion]
        )
    axes[1, 1].axhline(0.05, color="black", ls="--", lw=0.8)
    axes[1, 1].set(ylabel="float32 from float64 (mM)")
    axes[1, 1].legend(ncols=3)
    for ax in axes[1]:
        ax.set(xlabel="time (min)", xlim=(0, time[-1]))
    pulses = f"{double.measures['spike_count'][-1]:,.0f}".replace(",", "\u00a0")
    return plots.finish(
        figure,
        "At 50 Hz sodium rises until the pump keeps up with it",
        f"Neurons with pumps of different density, the darker the denser, under {pulses} pulses that they "
        "answer with a spike each. Dense pumps find a new steady state within minutes, at a higher Na⁺ inside: that is what "
        "drives them. Bottom right: the largest difference of any cell between single and double precision; dashed: what is "
        "allowed.",
    )


def main() -> None:
    import jax

    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path("fifty_hertz_for_ten_minutes.h5")
    parser.add_argument("-o", "--output", type=Path, default=default, help="HDF5 file; figure beside it")
    parser.add_argument("--minutes", type=float, default=10.0, help="time simulated")
    given = parser.parse_args()
    single, findings, double = run(duration=given.minutes * 60e3)
    print(findings)
    print(f"took {single.info['seconds']:.0f} s in float32, {double.info['seconds']:.0f} s in float64")
    single.save(given.output, overwrite=True, attributes=findings.attributes)
    plots.save(draw(single, double), given.output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
