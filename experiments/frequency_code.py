"""How fast does a membrane fire that gets a steady current: from nothing, or with a jump? And when does it stop?

    python experiments/frequency_code.py -o frequency_code.h5

The squid axon beside a fast-spiking interneuron, each with a row of currents in one population.
"""

import argparse
from pathlib import Path

import numpy as np

import jaxmem as jm
from jaxmem import plots

HASSARD = "B. Hassard 1978, J Theor Biol 71:401, doi:10.1016/0022-5193(78)90168-6, unverified"
WANG = "Wang & Buzsaki 1996, doi:10.1523/JNEUROSCI.16-20-06402.1996"


def run(settle: float = 1000.0, look: float = 300.0, sodium: float = 120.0):
    """(squid, findings, interneuron), each simulated for ``look`` ms after ``settle`` ms under its current."""
    findings = jm.Findings("How fast does a membrane fire that gets a steady current, and when does it stop?")
    current = np.concatenate([np.linspace(6.0, 7.0, 101), np.linspace(8.0, 150.0, 72), np.linspace(150.5, 157.0, 83)])
    squid = steady(jm.presets.hodgkin_huxley_1952().with_parameters({"sodium.g": sodium}), current, settle, look)
    weak = np.concatenate([np.linspace(0.15, 0.2, 51), np.geomspace(0.21, 5.0, 40), np.geomspace(5.2, 60.0, 60)])
    slow = steady(jm.presets.wang_buzsaki_1996(), weak, settle, 4 * look)

    rate, swing = rate_of(squid), swing_of(squid)
    first = int(np.argmax(rate > 0))
    findings.expect("squid: fires for ever from", current[first], 6.15, 6.35, "uA/cm^2", f"a fold of cycles: {HASSARD}")
    findings.expect("squid: rate there, a jump", rate[first], 48.0, 56.0, "Hz")
    findings.expect("squid: rate at 10 uA/cm^2", rate[current == 10.0].sum(), 68.2, 68.5, "Hz",
                    "68.3 with the leak's reversal potential at -54.387 mV, 68.4 at -54.3 mV")  # fmt: skip
    # Near its end the oscillation's swing is the square root of the distance from the end.
    near = (swing > 3.0) & (swing < 6.0) & (current > 150.0)
    slope, offset = np.polyfit(current[near], swing[near] ** 2, 1) if near.sum() > 2 else (np.nan, np.nan)
    findings.expect(
        "squid: stands still, depolarised, from",
        -offset / slope,
        153.5,
        155.5,
        "uA/cm^2",
        f"a Hopf bifurcation: {HASSARD}",
    )
    blocked = float(np.asarray(squid.final_state.v)[-1])
    findings.expect("squid: voltage in the block", blocked, -45.0, -40.0, "mV")

    rate = rate_of(slow)
    first = int(np.argmax(rate > 0))
    low = slice(first, first + 15)
    slope, offset = np.polyfit(weak[low], rate[low] ** 2, 1)
    findings.expect("interneuron: fires from", -offset / slope, 0.155, 0.165, "uA/cm^2", f"0.16: {WANG}, unverified")
    findings.expect(
        "interneuron: lowest rate found", rate[first], 0.5, 8.0, "Hz", f"arbitrarily low: {WANG}, unverified"
    )
    findings.expect("interneuron: squared rate over current, correlation",
                    np.corrcoef(weak[low], rate[low] ** 2)[0, 1], 0.98)  # fmt: skip
    findings.expect("interneuron: highest rate", rate.max(), 200.0, 600.0, "Hz", f"up to 400 Hz: {WANG}, unverified")
    return squid, findings, slow


def steady(cell: jm.Membrane, current: np.ndarray, settle: float, look: float) -> jm.Simulation:
    """From rest, under a current that stays: only what the cell does after ``settle`` ms is looked at."""
    drive = jm.ConstantCurrent(amplitude=current)
    start = jm.simulate(cell, settle, initial=jm.resting_state(cell).state, stimulus=drive).final_state
    asked = ["isi_mean", "minimum_v", "maximum_v", "spike_count"]
    return jm.simulate(cell, look, initial=start, stimulus=drive, measures=asked, record=jm.Record("v", every=0.25))


def rate_of(sim: jm.Simulation) -> np.ndarray:
    return np.nan_to_num(1e3 / sim.measures["isi_mean"])


def swing_of(sim: jm.Simulation) -> np.ndarray:
    return sim.measures["maximum_v"] - sim.measures["minimum_v"]


@plots.styled
def draw(squid, slow):
    figure = plots.new_figure(8.0, 5.4)
    (left, right), (low, high) = figure.subplots(2, 2, sharex="col")
    for ax, below, sim, name in ((left, low, slow, "Interneuron"), (right, high, squid, "Squid axon")):
        current, rate = np.asarray(sim.stimulus.amplitude), rate_of(sim)
        ax.plot(current, np.where(rate > 0, rate, np.nan), ".-", ms=3, color=plots.CYCLE[1])
        ax.plot(current[rate == 0], rate[rate == 0], ".", ms=3, color="#8C8C8C")
        ax.set(xscale="log", ylabel="firing rate (Hz)", title=name)
        below.fill_between(
            current, sim.measures["minimum_v"], sim.measures["maximum_v"], color=plots.CYCLE[0], alpha=0.3, lw=0
        )
        below.plot(current, sim.measures["minimum_v"], color=plots.CYCLE[0])
        below.plot(current, sim.measures["maximum_v"], color=plots.CYCLE[0])
        below.axhline(0, color="#8C8C8C", lw=0.6)
        below.set(xlabel=plots.label("current", "uA/cm^2"), ylabel="lowest, highest voltage (mV)")
    for ax, ticks in ((low, (0.15, 0.3, 1, 3, 10, 30, 60)), (high, (6, 10, 20, 50, 100, 150))):
        ax.set_xticks(ticks, [f"{x:g}" for x in ticks])
        ax.set_xticks([], minor=True)
    return plots.finish(
        figure,
        "The interneuron starts from nothing, the squid axon jumps",
        "Rate of spikes through 0 mV (top; grey: none) and range of the voltage (bottom) under a steady current, after a "
        "second. The interneuron fires as slowly as one likes; the axon keeps silent below 6.3 µA/cm² and fires at 51 Hz at "
        "once above. Its spikes shrink as the current grows, miss 0 mV above 60 µA/cm², and die out at 154 µA/cm²: the "
        "depolarisation block.",
    )


def main() -> None:
    import jax

    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("frequency_code.h5"), help="HDF5 file; figure beside it"
    )
    output = parser.parse_args().output
    squid, findings, slow = run()
    print(findings)
    squid.save(output, overwrite=True, attributes=findings.attributes)
    plots.save(draw(squid, slow), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
