"""Leak permeabilities from resting potentials at several bath potassium values, and what the pump does to them.

First a fibre of frog muscle with no pump, as Hodgkin and Horowicz described it: their equation's potentials give back their
ratio of permeabilities, and however many potentials there are, only a ratio. Then cells with a 3:2 pump, each at its own
steady state: who reads their potentials by the equation of Goldman, Hodgkin and Katz finds two thirds of P_Na : P_K.
"""

import argparse
from pathlib import Path

import jax
import numpy as np

import jaxmem as jm
from jaxmem import plots
from jaxmem.electrochemistry import nernst, thermal_voltage

QUESTION = "What do resting potentials at several bath potassium values tell of the leaks, and what does the pump hide?"
# The equation is quoted from memory: V = 58 mV log10(([K]o + 0.01 [Na]o)/140 mM), sulphate solutions.
HODGKIN_HOROWICZ = "A. L. Hodgkin & P. Horowicz 1959, J Physiol 148:127, doi:10.1113/jphysiol.1959.sp006278"
MULLINS_NODA = "L. J. Mullins & K. Noda 1963, J Gen Physiol 47:117, doi:10.1085/jgp.47.1.117"
POTASSIUM = np.array([0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 50.0, 100.0])  # mM
CATIONS = 122.5  # mM of K+ and Na+ outside together, as in Ringer's solution
LIVING = np.array([2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0])  # mM, for the mammalian cell
ASKED = {"one potential": 1, "eight potentials": 1, "and the input resistance": 2}  # how many numbers each tells
BOUNDS = {"na_leak.p": (1e-11, 1e-5), "k_leak.p": (1e-9, 1e-3)}  # cm/s


def run(starts: int = 24, n_k: float = 2.0):
    """(variables to keep, findings); the living cells' pumps take in ``n_k`` K+ per cycle."""
    findings = jm.Findings(QUESTION)
    cell = jm.presets.pump_leak_ghk().with_parameters({"pump.n_k": n_k})
    rest = jm.resting_state(cell.with_parameters({"k.outside": LIVING, "na.outside": 150.0 - LIVING}))
    kept = pumpless(findings, starts, rest)
    kept |= living(findings, cell, rest, float(kept["pumped/without"][1]))
    return kept, findings


def pumpless(findings: jm.Findings, starts: int, rest: jm.RestingState) -> dict:
    """One fit of four data sets: of the fibre one potential, all, and all with the input resistance; and all potentials of
    living cells, by someone who knows of no pump. NaN is what was not measured."""
    fibre = jm.Membrane(
        {"na_leak": jm.GHKLeak(p=5e-8, ion="na"), "k_leak": jm.GHKLeak(p=5e-6, ion="k")},
        {"na": jm.Species(10.0, 120.0), "k": jm.Species(140.0, 2.5)},
        celsius=20.0, initial_v=-90.0, geometry=jm.Sphere(radius=50.0),
    )  # fmt: skip
    resistance = float(jm.input_resistance(fibre, jm.resting_state(fibre)))
    told = np.round(58 * np.log10((POTASSIUM + 0.01 * (CATIONS - POTASSIUM)) / 140), 1)
    once = np.where(POTASSIUM == 2.5, told, np.nan)
    data = lambda of_fibre, of_cell: np.array([of_fibre] * 3 + [of_cell])
    na, k = rest.concentrations["na.inside"], rest.concentrations["k.inside"]
    baths = [
        {
            "k.outside": data(out, LIVING[i]), "na.outside": data(CATIONS - out, 150.0 - LIVING[i]),
            "k.inside": data(140.0, k[i]), "na.inside": data(10.0, na[i]),
        } for i, out in enumerate(POTASSIUM)
    ]  # fmt: skip
    targets = {
        "resting_potential": jm.Target(np.stack([once, told, told, rest.v], 1), sd=1.0, at=baths),
        "input_resistance": jm.Target(np.array([np.nan, np.nan, resistance, np.nan]), sd=0.01 * resistance),
    }
    cells = fibre.with_parameters({"celsius": data(20.0, 37.0)})
    fits = jm.fit(cells, free=BOUNDS, targets=targets, starts=starts, seed=3)
    na, k = (np.asarray(fits.parameters[path]) for path in BOUNDS)
    findings.expect("starts that came to rest", np.mean(settled(fits)), 0.9, 1)
    for i, (name, wanted) in enumerate(ASKED.items()):
        good = settled(fits)[:, i]
        ratios, decades = na[good, i] / k[good, i], np.ptp(np.log10(k[good, i]))
        findings.expect(f"{name}: decades over which P_K is left", decades, *((0, 1e-3) if wanted == 2 else (2, 6)))
        findings.expect(f"{name}: P_Na : P_K, largest over smallest", ratios.max() / ratios.min(), 1, 1.001)
        size, direction = singular(fits, int(np.argmax(good)), i)
        rank = int(np.sum(size > 1e-6 * size[0]))
        findings.expect(f"{name}: numbers that are told", rank, wanted, wanted)
        if wanted == 1:  # in logarithms, both permeabilities together
            along = abs(direction.sum()) / 2**0.5
            findings.expect(f"{name}: what is left, along P_Na and P_K alike", along, 0.9999, 1.0001)
    ratio, without = (float(np.median((na / k)[settled(fits)[:, i], i])) for i in (2, 3))
    findings.expect("P_Na : P_K of the published equation's potentials", ratio, 0.0095, 0.0105, source=HODGKIN_HOROWICZ)
    values = np.asarray(fits.values["resting_potential"])
    found, missed = (
        values[:, int(np.argmax(settled(fits)[:, 2])), 2],
        values[:, int(np.argmax(settled(fits)[:, 3])), 3] - rest.v,
    )
    findings.expect("largest distance from them", np.abs(found - told).max(), 0, 0.5, "mV")
    findings.expect("living cells without their pump: distance from their rests", np.abs(missed).max(), 0, 1e-3, "mV")
    dense = np.geomspace(POTASSIUM[0], POTASSIUM[-1], 60)
    drawn = fibre.with_parameters({"na_leak.p": 5e-6 * ratio, "k.outside": dense, "na.outside": CATIONS - dense})
    return {
        "bath": ("potential", POTASSIUM, "mM", "K+ outside"),
        "told": ("potential", told, "mV", "by the published equation, rounded"),
        "fitted": ("potential", found, "mV", "fitted"),
        "dense": ("point", dense, "mM", "K+ outside"),
        "curve": ("point", jm.resting_state(drawn).v, "mV", "rests of the fitted fibre"),
        "e_k": ("point", np.asarray(nernst(140.0, dense, 1, 20.0)), "mV", "Nernst potential of K+"),
        "starts/k": (("start", "asked"), k[:, :3], "cm/s", "P_K of each start"),
        "starts/na": (("start", "asked"), na[:, :3], "cm/s", "P_Na of each start"),
        "asked": ("asked", list(ASKED), "1", "what was fitted to"),
        "pumped/without": ((), without, "1", "P_Na : P_K of a fit of the living cells' potentials without a pump"),
    }


def settled(fits: jm.Fit) -> np.ndarray:
    return np.isin(fits.status, [jm.FitStatus.CONVERGED, jm.FitStatus.STATIONARY])


def singular(fits: jm.Fit, start: int, cell: int) -> tuple[np.ndarray, np.ndarray]:
    """Singular values of the derivative of one start's residuals, and the direction (of logarithms) of the least."""
    _, size, axes = np.linalg.svd(np.nan_to_num(np.asarray(fits.jacobian)[..., start, cell]))
    return size, axes[-1]


def living(findings: jm.Findings, cell: jm.Membrane, rest: jm.RestingState, without: float) -> dict:
    p = {path: float(cell.parameters()[path].value) for path in BOUNDS}
    true = p["na_leak.p"] / p["k_leak.p"]
    na, k = rest.concentrations["na.inside"], rest.concentrations["k.inside"]
    u = np.exp(rest.v / float(thermal_voltage(37.0)))
    alone = (k * u - LIVING) / (150.0 - LIVING - na * u)  # GHK of one potential, solved for P_Na : P_K
    findings.expect(
        "3:2 pump: truth over GHK, least of the baths", (true / alone).min(), 1.4999, 1.5001, source=MULLINS_NODA
    )
    findings.expect("and most", (true / alone).max(), 1.4999, 1.5001)
    findings.expect("truth over a fit that knows of no pump", true / without, 1.4999, 1.5001, source=MULLINS_NODA)

    begun = cell.with_parameters({path: x * f for (path, x), f in zip(p.items(), (0.3, 2.0), strict=True)})
    baths = [{"k.outside": k, "na.outside": 150.0 - k} for k in LIVING]
    full = jm.fit(begun, free=BOUNDS, targets={"resting_potential": jm.Target(rest.v, sd=1.0, at=baths)})
    for path, x in p.items():
        ratio = float(full.parameters[path]) / x
        findings.expect(f"{path} of a fit that knows the pump, over the truth", ratio, 0.999, 1.001)
    return {
        "pumped/bath": ("living", LIVING, "mM", "K+ outside"),
        "pumped/v": ("living", rest.v, "mV", "rest of a cell with a pump"),
        "pumped/ghk": ("living", alone, "1", "P_Na : P_K by GHK from that potential"),
        "pumped/truth": ((), true, "1", "P_Na : P_K of the cell"),
        "pumped/with": (
            (), float(full.parameters["na_leak.p"] / full.parameters["k_leak.p"]), "1", "of a fit with the pump",
        ),
    }  # fmt: skip


@plots.styled
def draw(kept: dict):
    get = lambda name: np.asarray(kept[name][1])
    figure = plots.new_figure(8.4, 3.8)
    left, middle, right = figure.subplots(1, 3)
    left.semilogx(get("dense"), get("e_k"), color="0.6", ls="--", label="potential of K⁺")
    left.semilogx(get("dense"), get("curve"), color=plots.CYCLE[0], label="fit")
    left.semilogx(get("bath"), get("told"), "o", color="black", ms=4, label="published equation")
    left.set(xlabel="K⁺ outside (mM)", ylabel="resting potential (mV)", title="Frog muscle")
    left.legend(loc="upper left")
    for k, na, name, mark, colour in zip(
        get("starts/k").T[1:], get("starts/na").T[1:], kept["asked"][1][1:], ("o", "*"), plots.CYCLE, strict=False
    ):
        middle.loglog(k, na, mark, color=colour, ms=4 if mark == "o" else 11, label=name)
    middle.set(xlabel="P of K⁺ (cm/s)", ylabel="P of Na⁺ (cm/s)", title="Every start of the fit")
    middle.legend(loc="upper left")
    right.plot(get("pumped/bath"), get("pumped/ghk"), "o", color="black", ms=4, label="GHK, each potential")
    right.axhline(float(get("pumped/without")), color=plots.CYCLE[1], label="fit without a pump")
    right.axhline(float(get("pumped/with")), color=plots.CYCLE[0], label="fit with the pump")
    right.axhline(float(get("pumped/truth")), color="black", ls=":", lw=2, label="truth")
    right.set(xlabel="K⁺ outside (mM)", ylabel="P of Na⁺ over P of K⁺", title="Cells with a 3:2 pump")
    right.set_ylim(0, 0.09)
    right.legend(loc="upper right")
    return plots.finish(
        figure,
        "What a potassium series tells of the leaks",
        "Left: potentials by the equation of 1959, and their fit. Middle: fits from many starts; potentials fix "
        "a ratio, however many there are, and the input resistance picks a point on the line. Right: a 3:2 pump makes the "
        "ratio read from potentials two thirds of the true one, in every bath, and no potential gives it away.",
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("potassium_series.h5"), help="HDF5 file; the figure goes beside it"
    )
    output = parser.parse_args().output
    jax.config.update("jax_enable_x64", True)  # to compare with equations
    kept, findings = run()
    print(findings)
    jm.save_variables(output, kept, overwrite=True, attributes=findings.attributes)
    plots.save(draw(kept), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
