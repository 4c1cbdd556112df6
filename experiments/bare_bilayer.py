"""What do channels do to a lipid bilayer? Cells of bare lipid against cells with one, ten, a hundred ... open K+ channels.

The lipid conducts 10^4 times less than the membrane of a neuron. How long it takes to come to E_K, the input resistance and
the time constant are measured as with a microelectrode: by a pulse of current, long enough for each cell.
"""

import argparse
from pathlib import Path

import jax
import numpy as np

import jaxmem as jm
from jaxmem import plots
from jaxmem.electrochemistry import nernst

QUESTION = "What do channels do to a lipid bilayer that conducts 10^4 times less than the membrane of a neuron?"
# Films of red-cell lipids: 0.1 to 1.5e8 Ohm cm^2, 0.3 to 0.9 uF/cm^2.
LIPID = "C. Y. Jung 1971, J Membrane Biol 5:200, PMID 24173101, as quoted by BioNumbers 110802"
NEURON = "leak 0.1 mS/cm^2: M. Pospischil et al. 2008, Biol Cybern 99:427, doi:10.1007/s00422-008-0263-8"
BARE, CELL = 1e-5, 0.1  # mS/cm^2: 1e8 and 1e4 Ohm cm^2
CHANNEL = 20.0  # pS, a round number for a K+ channel
CHANNELS = (0, 1, 10, 63, 1000)  # 63 make the neuron's
LONG = 16  # time constants: within 1e-5 mV


def cells(channels=CHANNELS, lipid: float = BARE) -> jm.Membrane:
    """Spheres of 10 um radius at 37 degC, K+ 140/5 mM clamped, 1 uF/cm^2, from 0 mV."""
    sphere = jm.Sphere(radius=10.0)
    per_area = CHANNEL * 1e-9 / (sphere.area * 1e-8)  # pS to mS, over cm^2
    mechanisms = {"lipid": jm.Leak(g=lipid), "channels": jm.Leak(g=per_area * np.asarray(channels, float))}
    return jm.Membrane(mechanisms, {"k": jm.Species(140.0, 5.0)}, initial_v=0.0, geometry=sphere)


def run(channels=CHANNELS, steps: int = 200, lipid: float = BARE):
    """(what was measured, findings): by number of channels; ``steps`` of the integrator per time constant."""
    findings = jm.Findings(QUESTION)
    population = cells(channels, lipid)
    e_k = float(nernst(140.0, 5.0, 1, population.celsius))
    g = lipid + np.asarray(population.parameters()["channels.g"].value)
    runs = [impaled(population[n : n + 1], 1 / x, steps) for n, x in enumerate(g)]
    found = {name: np.array([float(x.measures[name][0]) for x in runs]) for name in ("r_in", "tau", "rest")}
    time, v = (np.stack(x, axis=-1) for x in zip(*((x.time, x.traces["v"][:, 0]) for x in runs), strict=True))
    found |= {"channels": np.asarray(channels), "time": time, "v": v}
    way = slice(0, LONG * steps // 2)  # the way to E_K is over, the pulse not yet there
    found["reached"] = np.array([np.interp(0.95, a / e_k, b) for a, b in zip(v[way].T, time[way].T, strict=True)])

    bare, single, neuron = (list(channels).index(n) for n in (0, 1, 63))
    ratio = lambda name: found[name][bare] / found[name][neuron]
    what = "lipid over 63 channels"
    findings.expect("lipid: time constant", found["tau"][bare] / 1e3, 10, 150, "s", f"0.1 to 1.5e8 Ohm cm^2 in {LIPID}")
    findings.expect("63 channels: time constant", found["tau"][neuron], 9.5, 10.5, "ms", NEURON)
    findings.expect(f"time constants, {what}", ratio("tau"), 0.9e4, 1.1e4)
    findings.expect(f"input resistances, {what}", ratio("r_in"), 0.9e4, 1.1e4)
    findings.expect(f"times to 95 % of E_K, {what}", ratio("reached"), 0.9e4, 1.1e4)
    findings.expect("lipid: 95 % of E_K is reached after", found["reached"][bare] / 60e3, 4.5, 5.5, "min")
    findings.expect("conductance of one channel over that of all the lipid", g[single] / g[bare] - 1, 100, 200)
    for name, exact, told in (
        ("r_in", 1e-3 / (g * population.geometry.area * 1e-8), "input resistance over 1/(g A)"),
        ("tau", 1 / g, "time constant over C/g"),
        ("reached", np.log(20) / g, "time to 95 % of E_K over ln(20) C/g"),
        ("rest", np.full(g.shape, e_k), "rest over E_K"),
    ):
        apart = found[name] / exact
        findings.expect(f"{told}, worst", apart[np.argmax(np.abs(apart - 1))], 1 - 1e-3, 1 + 1e-3)
    return found, findings


def impaled(cell: jm.Membrane, tau: float, steps: int) -> jm.Simulation:
    """From 0 mV for so many time constants, as many with a current that moves it by 5 mV, then some without."""
    dt = tau / steps
    step = jm.StepCurrent(amplitude=5.0 / tau, start=LONG * tau, stop=2 * LONG * tau)
    measures = {
        "r_in": jm.measures.InputResistance(),
        "tau": jm.measures.TimeConstant(after=(0.5 * tau, 2 * tau)),
        "rest": jm.measures.VoltageBase(),
    }
    return jm.simulate(
        cell, (2 * LONG + 3) * tau, dt=dt, stimulus=step, record=jm.Record("v", every=2 * dt), measures=measures
    )


@plots.styled
def draw(found: dict):
    figure = plots.new_figure(8.0, 4.0)
    volts, resistance = figure.subplots(1, 2, width_ratios=(1.7, 1))
    names = ["lipid alone", "1 channel", *(f"{n} channels" for n in found["channels"][2:])]
    for n, name in enumerate(names):
        way = (found["time"][:, n] > 0) & (found["time"][:, n] < 10 * found["tau"][n])
        colour = plots.CYCLE[n]
        volts.semilogx(found["time"][way, n] / 1e3, found["v"][way, n], color=colour, lw=1.6)
        resistance.loglog(found["tau"][n] / 1e3, found["r_in"][n] / 1e3, "o", ms=7, color=colour)
        above = n in (0, 1)
        resistance.annotate(
            name, (found["tau"][n] / 1e3, found["r_in"][n] / 1e3), (-8, 0) if above else (8, 0), textcoords="offset points",
            ha="right" if above else "left", va="center", color=colour,
        )  # fmt: skip
        volts.text(
            found["tau"][n] * 1.15e-3, found["rest"][n] * (1 - np.exp(-1.0)), str(found["channels"][n]), color=colour
        )
    volts.set(
        xlabel="time (s)", ylabel=plots.label("membrane potential", "mV"), title="The way to the Nernst potential"
    )
    volts.set_xlim(1e-5, 1e3)
    resistance.set(xlabel="time constant (s)", ylabel="input resistance (GΩ)", title="Measured by a current pulse")
    bare, neuron = list(found["channels"]).index(0), list(found["channels"]).index(63)
    return plots.finish(
        figure,
        "63 open channels make a cell of lipid ten thousand times faster",
        "Cells of 10 µm radius, K⁺ 140/5 mM, of lipid alone (10⁸ Ω·cm²; films of red-cell lipid have 0.1 to 1.5·10⁸) or with open "
        "K⁺ channels of 20 pS (their number beside each curve). Lipid alone comes to the same potential, within "
        f"{found['reached'][bare] / 60e3:.0f} minutes, and has {found['r_in'][bare] / 1e6:.0f} TΩ. One channel conducts as much as "
        f"the lipid of 160 cells; 63 are a neuron's leak, with {found['tau'][neuron]:.0f} ms and {found['r_in'][neuron]:.0f} MΩ.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("bare_bilayer.h5"), help="HDF5 file; the figure goes beside it"
    )
    output = parser.parse_args().output
    jax.config.update("jax_enable_x64", True)  # to compare with closed forms
    found, findings = run()
    print(findings)
    variables = {
        "channels": ("cell", found["channels"], "1", "open K+ channels of 20 pS"),
        "tau": ("cell", found["tau"], "ms", "membrane time constant, from the decay after a pulse"),
        "r_in": ("cell", found["r_in"], "MOhm", "input resistance, from the pulse"),
        "rest": ("cell", found["rest"], "mV", "membrane potential before the pulse"),
        "reached": ("cell", found["reached"], "ms", "time to 95 % of the Nernst potential"),
        "time": (("sample", "cell"), found["time"], "ms", "time"),
        "v": (("sample", "cell"), found["v"], "mV", "membrane potential"),
    }
    jm.save_variables(output, variables, attributes=findings.attributes, overwrite=True)
    plots.save(draw(found), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
