"""What is a channel permeable to? Na+ outside is replaced step by step, and the potential at which its current reverses is read.

Three channels that let K+ and Na+ through are clamped by ramps up and down in each solution. From the reversal potentials
alone the ratio of permeabilities is worked out, and compared with the one put in.
"""

import argparse
from pathlib import Path

import jax
import numpy as np
from scipy.optimize import least_squares

import jaxmem as jm
from jaxmem import plots
from jaxmem.electrochemistry import permeability_ratio, thermal_voltage

QUESTION = "Do reversal potentials in solutions without Na+ tell how permeable a channel is to it?"
# P_Na/P_K, from memory of these papers
CHANNELS = {
    "K⁺ channel": 0.01,  # at most: B. Hille 1973, J Gen Physiol 61:669, doi:10.1085/jgp.61.6.669
    "endplate channel": 1
    / 1.11,  # T. M. Dwyer, D. J. Adams & B. Hille 1980, J Gen Physiol 75:469, doi:10.1085/jgp.75.5.469
    "Na⁺ channel": 12.0,  # B. Hille 1972, J Gen Physiol 59:637, doi:10.1085/jgp.59.6.637
}
GHK = "A. L. Hodgkin & B. Katz 1949, J Physiol 108:37, doi:10.1113/jphysiol.1949.sp004310"
INSIDE, K_OUT = {"na": 10.0, "k": 140.0}, 5.0  # mM
SODIUM = (
    145.0,
    116.0,
    87.0,
    58.0,
    29.0,
    10.0,
    0.0,
)  # mM outside; the rest of 145 is an ion that no channel lets through
LOW, HIGH, UP = -160.0, 100.0, 520.0  # mV, and ms for one way of the ramp


def run(sodium=SODIUM, dt: float = 0.1, anomaly: float = 1.0):
    """(simulation, findings, what was read); ``anomaly`` multiplies P_Na in the solutions of the lower half of Na+."""
    findings = jm.Findings(QUESTION)
    ratio, na = np.repeat(list(CHANNELS.values()), len(sodium)), np.tile(np.asarray(sodium, float), len(CHANNELS))
    p = ratio * np.where(na < 60.0, anomaly, 1.0)
    leaks = {  # one channel, two ions; the larger permeability is 1e-6 cm/s
        "na_leak": jm.GHKLeak(p=1e-6 * p / np.maximum(ratio, 1), ion="na"),
        "k_leak": jm.GHKLeak(p=1e-6 / np.maximum(ratio, 1), ion="k"),
    }
    species = {"na": jm.Species(INSIDE["na"], na), "k": jm.Species(INSIDE["k"], K_OUT)}
    start = 10.0
    ramps = jm.TimeCourse([start, start + UP, start + 2 * UP], [LOW, HIGH, LOW], interpolation="linear")
    sim = jm.simulate(
        jm.Membrane(leaks, species, initial_v=LOW), start + 2 * UP, dt=dt, stimulus=jm.VoltageClamp(ramps, LOW),
        record=jm.Record(["v", "stimulus"], every=1.0),
    )  # fmt: skip
    found = read(sim, len(CHANNELS), start)

    rt_f = float(thermal_voltage(37.0))
    predicted = lambda r: predicted_at(rt_f, r, found["sodium"])
    for n, (name, put_in) in enumerate(CHANNELS.items()):
        e = found["reversal"][n]
        fit = least_squares(lambda x, e=e: predicted(np.exp(x[0])) - e, [0.0], xtol=1e-14, ftol=1e-14)
        ratio, left = float(np.exp(fit.x[0])), float(np.sqrt(np.mean(fit.fun**2)))
        findings.expect(
            f"{name}: P_Na/P_K from all reversal potentials, over that put in", ratio / put_in, 0.999, 1.001
        )
        findings.expect("what GHK leaves of its reversal potentials, rms", left, 0, 0.01, "mV", GHK)
        alone = np.asarray(permeability_ratio(e[0], INSIDE["na"], sodium[0], INSIDE["k"], K_OUT)) / put_in
        findings.expect("the same ratio from the first solution alone", alone, 0.99, 1.01)
        found.setdefault("ratio", []).append(ratio)
    found["ratio"] = np.array(found["ratio"])
    found["line"] = np.linspace(0.0, max(sodium), 146)
    found["fit"] = np.array([predicted_at(rt_f, r, found["line"]) for r in found["ratio"]])
    shift = found["reversal"][:, 0] - found["reversal"][:, -1]
    findings.expect("K+ channel: all Na+ taken away, its reversal potential falls by", shift[0], 0, 10, "mV")
    findings.expect("Na+ channel: by", shift[2], 120, 180, "mV")
    findings.expect("endplate channel: current reverses in 145 mM near 0 mV", found["reversal"][1, 0], -5, 5, "mV")
    # Ramps charge the capacitor too: C dV/dt, of one sign on the way up and of the other on the way down.
    speed = (HIGH - LOW) / UP
    findings.expect("up less down over 2 C dV/dt, median", found["charging"] / speed, 0.999, 1.001)
    findings.expect("reversal potential read off the way up alone is wrong by, at most", found["error"], 1, 80, "mV")
    return sim, findings, found


def predicted_at(rt_f: float, ratio: float, sodium: np.ndarray) -> np.ndarray:
    return rt_f * np.log((K_OUT + ratio * sodium) / (INSIDE["k"] + ratio * INSIDE["na"]))


def read(sim: jm.Simulation, channels: int, start: float) -> dict:
    """Reversal potentials (channels, solutions) where the mean of the currents on the way up and down crosses zero."""
    time, v, i = sim.time, sim.traces["v"], sim.traces["stimulus"]
    up = np.flatnonzero((time > start) & (time < start + UP))
    down = np.flatnonzero((time > start + UP) & (time < start + 2 * UP))[::-1]
    v, mean, half = v[up, 0], 0.5 * (i[up] + i[down]), 0.5 * (i[up] - i[down])
    cross = lambda x: np.array([np.interp(0.0, y, v) for y in x.T])  # GHK currents rise with voltage
    reversal = cross(mean).reshape(channels, -1)
    return {
        "sodium": np.asarray(sim.membrane.species["na"].outside)[: reversal.shape[1]],
        "reversal": reversal,
        "v": v,
        "current": mean,
        "charging": float(np.median(half)),
        "error": float(np.abs(cross(i[up]) - cross(mean)).max()),
    }


@plots.styled
def draw(sim: jm.Simulation, found: dict):
    figure = plots.new_figure(8.0, 4.1)
    ramps, shifts = figure.subplots(1, 2)
    many = found["sodium"].size
    for n, na in enumerate(found["sodium"]):  # of the channel between the two others
        shade = 0.2 + 0.8 * na / found["sodium"].max()
        ramps.plot(found["v"], found["current"][:, many + n], color=plots.CYCLE[1], alpha=shade, lw=1.3)
        ramps.plot(found["reversal"][1, n], 0, "o", ms=4.5, color=plots.CYCLE[1], alpha=shade)
    ramps.axhline(0, color="0.75", lw=0.8, zorder=0)
    ramps.text(0.04, 0.92, "0 mM Na⁺ (pale)\nto 145 mM (dark)", transform=ramps.transAxes, va="top")
    size = np.abs(found["current"][:, many : 2 * many]).max()
    ramps.set(xlim=(-110, 60), ylim=(-0.3 * size, 0.3 * size))
    ramps.set(
        xlabel=plots.label("voltage", "mV"), ylabel=plots.label("current", "uA/cm^2"), title="Endplate channel, ramps"
    )
    for n, name in enumerate(CHANNELS):
        colour = (plots.ION_COLOURS["k"], plots.CYCLE[2], plots.ION_COLOURS["na"])[n]
        shifts.plot(found["line"], found["fit"][n], color=colour, lw=1.3)
        shifts.plot(found["sodium"], found["reversal"][n], "o", ms=5, color=colour)
        told = rf"{name}: $P_\mathrm{{Na}}/P_\mathrm{{K}}$ = {found['ratio'][n]:.3g}"
        shifts.text(147, found["reversal"][n, 0] - (7, 29, 22)[n], told, color=colour, ha="right", va="top")
    shifts.set(xlabel="Na⁺ outside (mM)", ylabel=plots.label("reversal potential", "mV"), title="What the shifts tell")
    shifts.set_ylim(-115, 65)
    return plots.finish(
        figure,
        "Taking Na⁺ away tells how permeable a channel is to it",
        f"K⁺ 140/{K_OUT:g} mM, Na⁺ 10 mM inside; Na⁺ outside is replaced by an ion that does not permeate. Left: currents in clamp "
        "ramps, mean of the ways up and down so that the capacitor's current cancels. Right: reversal potentials read from such "
        "ramps (dots) and the GHK voltage with the ratio fitted to them (lines), which is the one put in to a thousandth.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("reversal_by_substitution.h5"),
        help="HDF5 file; the figure goes beside it",
    )
    output = parser.parse_args().output
    jax.config.update("jax_enable_x64", True)  # to compare with the equation
    sim, findings, found = run()
    print(findings)
    sim.save(output, overwrite=True, attributes=findings.attributes)
    plots.save(draw(sim, found), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
