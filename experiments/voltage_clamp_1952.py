"""The families of figures 3 and 6 of Hodgkin & Huxley 1952: potassium and sodium conductance after steps of the voltage.

Twelve depolarisations from 6 to 109 mV, each with and without sodium in the bath, are 24 cells under an ideal clamp. With
--data FILE (columns conductance, depolarisation_mV, t_ms, g_mS_cm2) measured points are drawn in and compared.
"""

import argparse
import csv
from pathlib import Path

import jax
import numpy as np

import jaxmem as jm
from jaxmem import plots

QUESTION = "Do the conductances of the clamped squid axon come out as Hodgkin and Huxley gave them in 1952?"
PAPER = "A. L. Hodgkin & A. F. Huxley 1952, J Physiol 117:500, doi:10.1113/jphysiol.1952.sp004764"
STEPS = np.array(
    [6.0, 10.0, 19.0, 26.0, 32.0, 38.0, 51.0, 63.0, 76.0, 88.0, 100.0, 109.0]
)  # mV, those of figures 3 and 6
HOLDING, ONSET = -65.0, 1.0  # mV, ms


def run(dt: float = 0.01, duration: float = 12.0, data: Path | None = None, g_sodium: float = 120.0):
    """(simulation, findings, measured points by (conductance, depolarisation), maximal conductances fitted to them, relative)."""
    findings = jm.Findings(QUESTION)
    axon = jm.presets.hodgkin_huxley_1952()
    n, e = len(STEPS), {name: axon.mechanisms[name].e for name in ("sodium", "potassium")}
    # What choline for sodium in the bath did then: what is left of the current is potassium and leak.
    cells = axon.with_parameters({"sodium.g": np.repeat([g_sodium, 0.0], n)})
    clamp = jm.VoltageClamp.steps(HOLDING, np.tile(HOLDING + STEPS, 2), ONSET, ONSET + duration)
    record = jm.Record(["v", "states", "sodium.i_na", "potassium.i_k", "stimulus"], every=0.05)
    window = (ONSET + 0.05, ONSET + duration)  # without the capacitor's charge
    measures = {
        "peak": jm.measures.PeakInwardCurrent(window=window),
        "steady": jm.measures.SteadyCurrent(window=window, part=0.02),
    }
    cells = cells.with_parameters({"initial_v": HOLDING})
    sim = jm.simulate(cells, ONSET + duration, dt=dt, stimulus=clamp, record=record, measures=measures)

    # Gates at a fixed voltage relax as exponentials, so that the conductances are known in closed form.
    t = np.maximum(sim.time - ONSET, 0)[:, None]
    v = HOLDING + STEPS
    x = {gate: relaxed(rates, v, t) for gate, rates in RATES.items()}
    inside = (sim.time > ONSET) & (sim.time < ONSET + duration)
    time = sim.time[inside] - ONSET
    exact = {"gK": 36 * x["n"] ** 4, "gNa": 120 * x["m"] ** 3 * x["h"]}
    i = {"gK": sim.traces["potassium.i_k"] / (sim.traces["v"] - e["potassium"]),
         "gNa": sim.traces["sodium.i_na"] / (sim.traces["v"] - e["sodium"])}  # fmt: skip
    for name, g in exact.items():
        worst = np.abs(i[name][:, :n] - g)[inside].max() / g.max()
        findings.expect(
            f"{name}: worst distance from the closed form over its maximum", worst, 0, 1e-6, source="exponentials"
        )

    # Axon 17 in tables 1 and 2 of the paper: tau_n 1.05 and 3.80 ms, tau_m 0.140 ms (numbers from memory).
    for path, step, published in (("potassium.n", 109, 1.05), ("potassium.n", 26, 3.80), ("sodium.m", 109, 0.140)):
        gate, (start, end) = sim.traces[path][inside, list(STEPS).index(step)], (steady(path[-1], d) for d in (0, step))
        tau = np.interp(1 - np.exp(-1), (gate - start) / (end - start), time)
        what = f"tau_{path[-1]} after {step} mV, of {published:g} ms in the paper"
        findings.expect(what, tau / published, 0.8, 1.2, source=f"tables 1 and 2, {PAPER}")
    # Steady g_K over the maximal one, 24.31 mS/cm^2, as in the figure.
    for step, published in ((109, 20.70 / 24.31), (26, 6.84 / 24.31)):
        share = sim.traces["potassium.n"][inside][-1, list(STEPS).index(step)] ** 4
        what = f"potassium channels open after {step} mV, relative to the paper"
        findings.expect(what, share / published, 0.7, 1.3, source=f"table 1, {PAPER}")
    available = sim.traces["sodium.h"][0, 0]
    findings.expect("sodium channels not inactivated at rest", available, 0.55, 0.65, source=f"figure 10, {PAPER}")

    # Substitution: the current with sodium less that without is the sodium current.
    stimulus = sim.traces["stimulus"][inside]
    parts = np.abs(stimulus[:, :n] - stimulus[:, n:] - sim.traces["sodium.i_na"][inside, :n]).max()
    findings.expect("current with less current without sodium, from I_Na", parts, 0, 1e-6, "uA/cm^2")
    peak, late = sim.measures["peak"], sim.measures["steady"]
    findings.expect("most inward current", peak[:n].min(), -1600, -800, "uA/cm^2", "about 1 mA/cm^2")
    findings.expect("most inward current without sodium", peak[n:].min(), 0, 20, "uA/cm^2")
    findings.expect("steady outward current after 109 mV", late[n - 1], 2000, 5000, "uA/cm^2")
    points, scales = read(data) if data else {}, {"gK": 1.0, "gNa": 1.0}
    for name in sorted({what for what, _ in points}):
        chosen = {step: p for (what, step), p in points.items() if what == name}
        found = np.concatenate([p[:, 1] for p in chosen.values()])
        residual = {}
        for early in (0.0, 0.05, 0.1, 0.15, 0.2):  # ms by which the zero of the points' time may be off
            g = [np.interp(p[:, 0] + early, time, i[name][inside, list(STEPS).index(d)]) for d, p in chosen.items()]
            model = np.concatenate(g)
            scale = (model @ found) / (model @ model)  # the paper's are means of many axons, the points are of one
            residual[early] = 100 * np.sqrt(np.mean((scale * model - found) ** 2)) / found.max(), scale
        best = min(residual, key=lambda early: residual[early][0])
        scales[name] = residual[0.0][1]
        findings.expect(f"{name}: maximal conductance of the measured axon, relative", scales[name], 0.4, 1.6)
        findings.expect(f"{name}: rms residual, % of full scale", residual[0.0][0], 0, 15)
        what = f"{name}: the same with points {best:g} ms later, % of full scale"
        findings.expect(what, residual[best][0], 0, 8)
    return sim, findings, points, scales


def rate(x: np.ndarray) -> np.ndarray:
    """x/(exp(x) - 1)."""
    return np.where(np.abs(x) < 1e-6, 1 - x / 2, x / np.expm1(np.where(np.abs(x) < 1e-6, 1, x)))


RATES = {  # opening and closing, equations 12, 13, 20, 21, 23, 24 of the paper with v = inside less outside
    "n": lambda v: (0.1 * rate(-(v + 55) / 10), 0.125 * np.exp(-(v + 65) / 80)),
    "m": lambda v: (rate(-(v + 40) / 10), 4 * np.exp(-(v + 65) / 18)),
    "h": lambda v: (0.07 * np.exp(-(v + 65) / 20), 1 / (1 + np.exp(-(v + 35) / 10))),
}


def relaxed(rates, v: np.ndarray, t: np.ndarray) -> np.ndarray:
    """A gate at t after the step from the holding potential to v."""
    (a, b), (a0, b0) = rates(v), rates(np.array(HOLDING))
    return a / (a + b) - (a / (a + b) - a0 / (a0 + b0)) * np.exp(-t * (a + b))


def steady(gate: str, depolarisation: float) -> float:
    """The steady state of a gate at so many mV from the holding potential."""
    a, b = RATES[gate](np.array(HOLDING + depolarisation))
    return float(a / (a + b))


def read(path: Path) -> dict[tuple[str, float], np.ndarray]:
    """(conductance, depolarisation) -> rows of (t, g)."""
    points: dict[tuple[str, float], list] = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            key = row["conductance"], float(row["depolarisation_mV"])
            points.setdefault(key, []).append((float(row["t_ms"]), float(row["g_mS_cm2"])))
    return {key: np.array(rows) for key, rows in points.items()}


@plots.styled
def draw(sim: jm.Simulation, points: dict, scales: dict):
    from matplotlib import colormaps

    figure = plots.new_figure(8.0, 7.8)
    (potassium, sodium), (all_ions, no_sodium), (iv, parts) = figure.subplots(3, 2)
    time, n, late = sim.time - ONSET, len(STEPS), (sim.time > ONSET) & (sim.time < sim.time[-1])
    e = {name: sim.membrane.mechanisms[name].e for name in ("sodium", "potassium")}
    currents = {"gK": sim.traces["potassium.i_k"], "gNa": sim.traces["sodium.i_na"]}
    g = {
        "gK": currents["gK"] / (sim.traces["v"] - e["potassium"]),
        "gNa": currents["gNa"] / (sim.traces["v"] - e["sodium"]),
    }
    colours = colormaps["viridis"](np.linspace(0, 0.9, n))
    for name, ax in (("gK", potassium), ("gNa", sodium)):
        for i, step in enumerate(STEPS):
            ax.plot(time[late], scales[name] * g[name][late, i], color=colours[i])
            if (name, step) in points:
                ax.plot(*points[name, step].T, ".", color=colours[i], ms=4)
        ax.set(xlabel="time (ms)", ylabel="conductance (mS/cm²)", title={"gK": "Potassium", "gNa": "Sodium"}[name])
    sodium.set_xlim(-0.2, 6)
    stimulus = sim.traces["stimulus"] / 1e3
    for i in range(n):
        all_ions.plot(time[late], stimulus[late, i], color=colours[i])
        no_sodium.plot(time[late], stimulus[late, n + i], color=colours[i])
        parts.plot(time[late], stimulus[late, i] - stimulus[late, n + i], color=colours[i])
    for ax, title in (
        (all_ions, "Current in sea water"),
        (no_sodium, "Current without sodium"),
        (parts, "Their difference"),
    ):
        ax.set(xlabel="time (ms)", ylabel="current (mA/cm²)", title=title)
    iv.plot(STEPS, sim.measures["peak"][:n] / 1e3, "o-", ms=4, color=plots.ION_COLOURS["na"], label="most inward")
    iv.plot(STEPS, sim.measures["steady"][:n] / 1e3, "s-", ms=4, color=plots.ION_COLOURS["k"], label="steady")
    iv.axhline(0, color="0.7", lw=0.8, zorder=0)
    iv.legend()
    iv.set(xlabel="depolarisation (mV)", ylabel="current (mA/cm²)", title="In sea water")
    return plots.finish(
        figure,
        "The squid axon under a voltage clamp, as in 1952",
        "Steps of 6 (dark) to 109 mV (light) from rest, at 6.3 °C; outward current is positive. "
        + ("Points: measured, on one axon; lines: the equations, with the maximal conductances fitted to it. " if points else "")
        + "Taking away the sodium takes away the early current, which shrinks near the potential of sodium.",
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("voltage_clamp_1952.h5"), help="HDF5 file; figure beside it"
    )
    parser.add_argument("--data", type=Path, help="CSV of measured conductances to compare with")
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)  # conductances to 1e-6
    sim, findings, points, scales = run(data=given.data)
    print(findings)
    sim.save(given.output, overwrite=True, attributes=findings.attributes)
    plots.save(draw(sim, points, scales), given.output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
