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
STEPS = np.array([6.0, 10.0, 19.0, 26.0, 32.0, 38.0, 51.0, 63.0, 76.0, 88.0, 100.0, 109.0])  # mV, those of figures 3 and 6
HOLDING, ONSET = -65.0, 1.0  # mV, ms


def run(dt: float = 0.01, duration: float = 12.0, data: Path | None = None, g_sodium: float = 120.0):
    """(simulation, findings, measured points by (conductance, depolarisation))."""
    findings = jm.Findings(QUESTION)
    axon = jm.presets.hodgkin_huxley_1952()
    n, e = len(STEPS), {name: axon.mechanisms[name].e for name in ("sodium", "potassium")}
    # Choline for sodium outside: what is left of the current is potassium and leak. Na+ inside is not in this preset.
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
    exact = {"gK": 36 * x["n"] ** 4, "gNa": 120 * x["m"] ** 3 * x["h"]}
    i = {"gK": sim.traces["potassium.i_k"] / (sim.traces["v"] - e["potassium"]),
         "gNa": sim.traces["sodium.i_na"] / (sim.traces["v"] - e["sodium"])}  # fmt: skip
    for name, g in exact.items():
        worst = np.abs(i[name][:, :n] - g)[inside].max() / g.max()
        findings.expect(f"{name}: worst distance from the closed form over its maximum", worst, 0, 1e-6, source="exponentials")

    # Table 1 and 2 of the paper; the equations fit the axons only so well.
    last = np.flatnonzero(inside)[-1]
    for depolarisation, gate, low, high, what in TABLE:
        tau = 1 / sum(RATES[gate](HOLDING + depolarisation))
        findings.expect(f"tau_{gate} at {depolarisation:g} mV", tau, low, high, "ms", f"{what}, {PAPER}")
    for depolarisation, low, high in ((109, 20, 30), (63, 15, 23), (26, 3, 8)):
        cell = list(STEPS).index(depolarisation)
        findings.expect(f"g_K after {depolarisation} mV", i["gK"][last, cell], low, high, "mS/cm^2", f"table 1, {PAPER}, range")
    findings.expect("peak g_Na after 109 mV", i["gNa"][inside, n - 1].max(), 25, 45, "mS/cm^2", f"figure 6, {PAPER}, range")

    # Substitution: the current with sodium less that without is the sodium current.
    stimulus = sim.traces["stimulus"][inside]
    parts = np.abs(stimulus[:, :n] - stimulus[:, n:] - sim.traces["sodium.i_na"][inside, :n]).max()
    findings.expect("current with less current without sodium, from I_Na", parts, 0, 1e-3 * 800, "uA/cm^2")
    peak, steady = sim.measures["peak"], sim.measures["steady"]
    crossing = np.interp(0, (stimulus[:, :n] - stimulus[:, n:])[4], v)
    findings.expect("most inward current", peak[:n].min(), -1000, -400, "uA/cm^2")
    findings.expect("most inward current without sodium", peak[n:].min(), 0, 20, "uA/cm^2")
    findings.expect("early current reverses at", crossing, 40, 60, "mV", f"E_Na, {PAPER}")
    findings.expect("steady outward current after 109 mV", steady[n - 1], 2000, 5000, "uA/cm^2")
    points = read(data) if data else {}
    for name in sorted({key[0] for key in points}):
        off = [
            np.interp(p[:, 0], t[:, 0], i[name][:, list(STEPS).index(step)]) - p[:, 1]
            for (what, step), p in points.items()
            if what == name and step in STEPS
        ]
        full = max(p[:, 1].max() for key, p in points.items() if key[0] == name)
        rms = 100 * np.sqrt(np.mean(np.concatenate(off) ** 2)) / full
        findings.expect(f"{name}: rms distance from measured points, % of full scale", rms, 0, 15)
    return sim, findings, points


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
