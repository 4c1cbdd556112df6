"""What does warmth do to the spike: its height, its width, its rate? And when is there none left?

    python experiments/temperature.py -o temperature.h5

A squid axon membrane at each of many temperatures, once with a short pulse and once with a steady current.
"""

import argparse
from pathlib import Path

import numpy as np

import jaxmem as jm
from jaxmem import plots

KATZ = "Hodgkin & Katz 1949, J Physiol 109:240, doi:10.1113/jphysiol.1949.sp004388, unverified"
HUXLEY = "A. F. Huxley 1959, Ann N Y Acad Sci 81:221, doi:10.1111/j.1749-6632.1959.tb49311.x, unverified"
PULSE, STRENGTH, STEADY = 0.2, 100.0, 20.0  # ms, uA/cm^2 (20 nC/cm^2: three times threshold when cold), uA/cm^2


def run(temperatures: int = 125, duration: float = 300.0, q10: float = 3.0, sodium: float = 120.0):
    """(answers to a pulse, findings, answers to a steady current, temperatures); a cell per temperature."""
    findings = jm.Findings(
        "What does warmth do to the spike: its height, its width, its rate? When is there none left?"
    )
    celsius = np.linspace(0.0, 40.0, temperatures)
    squid = jm.presets.hodgkin_huxley_1952().with_parameters({"sodium.g": sodium})
    cells = squid.with_parameters({"celsius": celsius} | {f"{name}.q10": q10 for name in ("sodium", "potassium")})
    rest = jm.resting_state(cells).state
    sim = jm.simulate(
        cells, 20.0, dt=0.0125, initial=rest, stimulus=jm.StepCurrent(amplitude=STRENGTH, stop=PULSE),
        measures=["maximum_v"], record=jm.Record("v", every=0.0125),
    )  # fmt: skip
    steady = jm.simulate(
        cells, duration, dt=0.0125, initial=rest, stimulus=jm.ConstantCurrent(amplitude=STEADY), measures=["isi_mean"]
    )
    peak, width, rate = sim.measures["maximum_v"], width_at_half_height(sim), 1e3 / steady.measures["isi_mean"]
    height = peak - np.asarray(sim.initial_state.v)
    at = lambda warmth, y: (
        float(np.interp(warmth, celsius[np.isfinite(y)], y[np.isfinite(y)])) if np.isfinite(y).any() else np.nan
    )
    findings.expect("height of the spike at 6.3 degC", at(6.3, height), 95.0, 110.0, "mV")
    findings.expect("height at 18.5 over that at 6.3 degC", at(18.5, height) / at(6.3, height), 0.85, 0.98, source=KATZ)
    findings.expect(
        "height from one temperature to the next, largest rise", np.diff(height).max(), high=0.0, unit="mV", source=KATZ
    )
    findings.expect("Q10 of the width, 6.3 to 16.3 degC", at(6.3, width) / at(16.3, width), 2.2, 3.0,
                    source="below that of the rates, 3: the capacitance has none")  # fmt: skip
    findings.expect("Q10 of the rate, 6.3 to 16.3 degC", at(16.3, rate) / at(6.3, rate), 2.0, 3.0)
    lasting = celsius[np.isfinite(rate)]
    findings.expect("steady current fires a train up to", lasting.max() if lasting.size else np.nan, 18.0, 28.0, "degC")
    spiking = celsius[peak > 0.0]
    block = spiking.max() if spiking.size else np.nan
    known = f"35 to 40: {KATZ}; 33 in the model: {HUXLEY}"
    findings.expect("pulse brings v above 0 mV up to: heat block", block, 28.0, 38.0, "degC", known)
    return sim, findings, steady, celsius


def width_at_half_height(sim: jm.Simulation) -> np.ndarray:
    """Time (ms) between the crossings of half-way from rest to the peak; NaN where the peak is below 0 mV."""
    v = sim.traces["v"]
    above = v - (v[0] + v.max(axis=0)) / 2
    turn = np.argmax(v, axis=0)
    width = np.full(turn.size, np.nan)
    for i in np.flatnonzero(v.max(axis=0) > 0):
        up = np.flatnonzero(above[: turn[i], i] < 0)[-1]
        down = turn[i] + np.flatnonzero(above[turn[i] :, i] < 0)[0]
        rise = np.interp(0, above[up : up + 2, i], sim.time[up : up + 2])
        width[i] = np.interp(0, -above[down - 1 : down + 1, i], sim.time[down - 1 : down + 1]) - rise
    return width


@plots.styled
def draw(sim, steady, celsius):
    figure = plots.new_figure(8.0, 5.4)
    (shape, height), (width, rate) = figure.subplots(2, 2)
    widths, rates = width_at_half_height(sim), 1e3 / steady.measures["isi_mean"]
    for n, cell in enumerate(range(0, celsius.size, celsius.size // 5)):
        shape.plot(
            sim.time, sim.traces["v"][:, cell], color=plots.CYCLE[n % len(plots.CYCLE)], label=f"{celsius[cell]:.0f} °C"
        )
    shape.set(xlim=(-0.2, 8), xlabel="time (ms)", ylabel="voltage (mV)", title="After a pulse of 0.2 ms")
    shape.legend(ncols=2, loc="upper right")
    height.plot(celsius, sim.measures["maximum_v"], color=plots.CYCLE[0])
    height.axhline(0, color="#8C8C8C", lw=0.6)
    height.set(ylabel="peak (mV)", title="Spikes are lower")
    width.semilogy(celsius, widths, color=plots.CYCLE[0])
    scale = widths[np.argmin(abs(celsius - 6.3))]
    width.semilogy(celsius, scale * 3.0 ** ((6.3 - celsius) / 10), color="#8C8C8C", ls="--", label="Q10 of 3")
    width.set(ylabel="width at half height (ms)", title="Spikes are briefer", xlim=height.get_xlim())
    width.set_yticks((0.1, 0.3, 1, 3), ("0.1", "0.3", "1", "3"))
    width.legend()
    rate.plot(celsius, rates, color=plots.CYCLE[0])
    rate.set(ylabel="firing rate (Hz)", title=f"Spikes come faster, at {STEADY:g} µA/cm²", xlim=height.get_xlim())
    for ax in (height, width, rate):
        ax.set_xlabel("temperature (°C)")
    return plots.finish(
        figure,
        "Warmth makes spikes lower and briefer, until there are none",
        "Squid axon, all rates with a Q10 of 3, conductances without one. The spike's width follows the rates (dashed), its "
        "height falls ever faster: the capacitor is charged no faster than before while sodium channels inactivate sooner. A "
        "steady current stops firing first, at 23 °C; a pulse fails to bring the voltage to 0 mV above 32 °C: heat block.",
    )


def main() -> None:
    import jax

    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("temperature.h5"), help="HDF5 file; figure beside it")
    output = parser.parse_args().output
    sim, findings, *rest = run()
    print(findings)
    sim.save(output, overwrite=True, attributes=findings.attributes)
    plots.save(draw(sim, *rest), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
