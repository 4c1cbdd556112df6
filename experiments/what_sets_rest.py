"""What decides where a cell rests, how it answers to current and what it costs: leaks, pump, bath or temperature?

A pump-leak cell with living ions is solved at the points of a sensitivity design, and Sobol's indices share out the variance
of its resting potential, input resistance, ATP and Na+ inside among seven parameters. The same design is asked of the chord
conductance equation, with the concentrations inside as they are in the typical cell.
"""

import argparse
import tempfile
from pathlib import Path

import jax
import numpy as np

import jaxmem as jm
from jaxmem import plots
from jaxmem.electrochemistry import nernst
from jaxmem.units import ELEMENTARY_CHARGE

QUESTION = "Which of its parameters decide the rest, the input resistance and the energy bill of a pump-leak cell?"
CHORD = "2 g_Na (v - E_Na) + 3 g_K (v - E_K) = 0; L. J. Mullins & K. Noda 1963, J Gen Physiol 47:117, doi:10.1085/jgp.47.1.117"
LEAK_IN = "what leaks in is pumped out, three Na+ per ATP: g_Na (E_Na - v)/3"
RATIO = 1.5  # K+ current over that of Na+ beyond which the pump needs no leak
FOLDS = 1.5  # up and down from the typical cell
AXES = {  # path: (low, high as parts of the typical cell's, or None: the range itself; its name in the figure)
    "na_leak.g": (1 / FOLDS, FOLDS, "Na⁺ leak"),
    "k_leak.g": (1 / FOLDS, FOLDS, "K⁺ leak"),
    "cl_leak.g": (1 / FOLDS, FOLDS, "Cl⁻ leak"),
    "pump.i_max": (1.5, 1.5 * FOLDS**2, "pump density"),  # below, some cells leak more than they can pump
    "pump.km_k": (1 / FOLDS, FOLDS, "pump's half-saturation by K⁺"),
    "k.outside": (3.0, 6.0, "K⁺ of the bath"),  # mM
    "celsius": (33.0, 39.0, "temperature"),
}
SHOWN = {  # output: (name, colour)
    "v": ("Resting potential", plots.CYCLE[0]),
    "input_resistance": ("Input resistance", plots.CYCLE[1]),
    "atp_per_second": ("ATP per second", plots.CYCLE[2]),
    "na.inside": ("Na⁺ inside", plots.CYCLE[3]),
}
ACROSS = ("k.outside", "celsius")  # axes on a linear scale, in their units


def chord(at: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rest, resistance and ATP by the chord conductance equation, the typical cell's concentrations inside."""
    e_na = np.asarray(nernst(at["na.inside"], at["na.outside"], 1, at["celsius"]))
    e_k = np.asarray(nernst(at["k.inside"], at["k.outside"], 1, at["celsius"]))
    g_na, g_k = at["na_leak.g"], at["k_leak.g"]
    v = (RATIO * g_k * e_k + g_na * e_na) / (RATIO * g_k + g_na)
    area = 4e-8 * np.pi * at["geometry.radius"] ** 2  # cm^2
    return {
        "v": v,
        "input_resistance": 1e-3 / ((g_na + g_k + at["cl_leak.g"]) * area),
        "atp_per_second": g_na * (e_na - v) / 3 * 1e-6 * area / ELEMENTARY_CHARGE,
    }


def run(base: int = 2048, n_k: float = 2.0, folder: Path | None = None, output: Path | None = None):
    """(indices of the cell by output, those of the chord equation, findings); ``n_k``: K+ that a cycle of the pump brings in."""
    cell = jm.presets.pump_leak().with_parameters({"pump.n_k": n_k})
    design = jm.designs.Saltelli({path: axis(path) for path in AXES}, base)
    known = {
        path: cell.parameters()[path] for path in (*AXES, "na.inside", "na.outside", "k.inside", "geometry.radius")
    }
    takes = {path: (float(np.asarray(p.value)), p.unit, p.description) for path, p in known.items()}
    gives = {
        "v": ("mV", "rest"),
        "input_resistance": ("MOhm", "input resistance"),
        "atp_per_second": ("1/s", "ATP used"),
    }
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary) if folder is None else folder
        keep = (*SHOWN, "k.inside")
        living = jm.scan(
            jm.questions.Rests(cell, keep=keep),
            design,
            output=output or place / "living.h5",
            question=QUESTION,
            note=None,
        )
        fixed = jm.scan(jm.questions.Function(chord, gives, takes), design, output=place / "chord.h5", note=None)
        indices = [jm.sensitivity(scan) for scan in (living, fixed)]
        return *indices, judged(living, *indices)


def axis(path: str) -> jm.Axis:
    low, high, _ = AXES[path]
    return jm.Axis(low, high) if path in ACROSS else jm.Axis(low, high, scale="log", times=path, name=path)


def judged(scan: jm.Scan, living: dict[str, jm.Sensitivity], fixed: dict[str, jm.Sensitivity]) -> jm.Findings:
    findings = jm.Findings(QUESTION)
    ok = scan.ok
    findings.expect("share of points without a rest", 1 - ok.mean(), 0, 0.01)
    at = {path: scan[path][ok] for path in ACROSS}
    typical = jm.presets.pump_leak().parameters()
    g = {path: scan[path][ok] * typical[path].value for path in AXES if path not in ACROSS}
    e_na = np.asarray(nernst(scan["na.inside"][ok], typical["na.outside"].value, 1, at["celsius"]))
    e_k = np.asarray(nernst(scan["k.inside"][ok], at["k.outside"], 1, at["celsius"]))
    v = scan["v"][ok]
    left = 2 * g["na_leak.g"] * (v - e_na) + 3 * g["k_leak.g"] * (v - e_k)
    far = np.abs(left / (2 * g["na_leak.g"] + 3 * g["k_leak.g"])).max()
    findings.expect("each rest: largest distance from its own chord equation", far, 0, 1e-6, "mV", CHORD)
    area = 4e-8 * np.pi * typical["geometry.radius"].value ** 2
    leaks_in = g["na_leak.g"] * (e_na - v) / 3 * 1e-6 * area / ELEMENTARY_CHARGE
    findings.expect("ATP over that of the Na+ leak, furthest from 1", np.abs(scan["atp_per_second"][ok] / leaks_in - 1).max(),
                    0, 1e-9, source=LEAK_IN)  # fmt: skip

    place = {path: i for i, path in enumerate(scan.axes)}
    total = lambda name, path: living[name].total[place[path]]
    findings.expect(
        "rest: total index of the Cl- leak", total("v", "cl_leak.g"), 0, 1e-6, source="Cl- is at equilibrium"
    )
    for told, found, low, high, why in (
        ("chord equation", fixed, 0.95, 1.05, "the ratio of the leaks decides"),
        ("rest", living, 0.7, 0.95, "a larger leak raises Na+ inside, which takes some of its effect back"),
    ):
        leaks = found["v"].total[place["na_leak.g"]] / found["v"].total[place["k_leak.g"]]
        findings.expect(f"{told}: index of the Na+ leak over that of the K+ leak", leaks, low, high, source=why)
    findings.expect("resistance: total index of the pump's density", total("input_resistance", "pump.i_max"), 0, 1e-6)
    findings.expect("ATP: total index of the Na+ leak", total("atp_per_second", "na_leak.g"), 0.85, 1.0, source=LEAK_IN)
    findings.expect(
        "ATP: total index of the pump's density", total("atp_per_second", "pump.i_max"), 0, 0.05, source=LEAK_IN
    )
    findings.expect("Na+ inside: total index of the pump's density", total("na.inside", "pump.i_max"), 0.2, 1.0)
    for name, other in fixed.items():
        worst = np.abs(living[name].total - other.total).max()
        findings.expect(
            f"{name}: total indices less those of the chord equation, largest", worst, 0, 0.08, source=CHORD
        )
    return findings


@plots.styled
def draw(living: dict[str, jm.Sensitivity], fixed: dict[str, jm.Sensitivity]):
    figure = plots.new_figure(9.0, 4.6)
    names = [told for *_, told in AXES.values()]
    rows = np.arange(len(names))[::-1]
    axes = figure.subplots(1, len(SHOWN), sharey=True)
    for ax, (name, (told, colour)) in zip(axes, SHOWN.items(), strict=True):
        s = living[name]
        ax.barh(rows, np.maximum(s.total, 0), height=0.62, color=colour, alpha=0.45)
        ax.barh(rows, np.maximum(s.first, 0), height=0.62, color=colour)
        ax.hlines(rows, s.total_low, s.total_high, color="black", lw=1.0)
        if name in fixed:
            ax.plot(fixed[name].total, rows, "D", ms=5, mfc="white", mec="black", mew=0.9, clip_on=False, zorder=5)
        ax.set(xlim=(0, 1), title=told, xlabel="share of the variance", xticks=[0, 0.5, 1])
    axes[0].set_yticks(rows, names)
    return plots.finish(
        figure,
        "Leaks set the rest, the resistance and the bill; the pump's density sets Na⁺",
        "Sobol indices of a pump-leak cell whose leaks differ by 1.5 up and down, pump density by 1.5 to 3.4 times the typical, "
        "bath K⁺ by 3 to 6 mM, temperature by 33 to 39 °C. Dark: by itself; pale: with all interactions; lines: 95 % interval. "
        "Diamonds: the chord conductance equation at fixed concentrations inside. The pump turns over what leaks in, so that a "
        "denser pump costs hardly more ATP: it holds Na⁺ lower.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("what_sets_rest.h5"),
        help="HDF5 file of the scan; the figure goes beside it",
    )
    output = parser.parse_args().output
    jax.config.update("jax_enable_x64", True)
    living, fixed, findings = run(output=output)
    print(findings)
    plots.save(draw(living, fixed), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
