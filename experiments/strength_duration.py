"""How strong must a pulse be that lasts so long, and how warm is the axon?

    python experiments/strength_duration.py -o strength_duration.h5

One cell per duration and temperature; every cell's threshold amplitude is halved in at once.
"""

import argparse
from pathlib import Path

import numpy as np

import jaxmem as jm
from jaxmem import plots

GUTTMAN = "R. Guttman 1966, J Gen Physiol 49:1007, doi:10.1085/jgp.49.5.1007"
FITZHUGH = "R. FitzHugh 1966, J Gen Physiol 49:989, doi:10.1085/jgp.49.5.989"
SQUID = "Hodgkin & Huxley 1952, doi:10.1113/jphysiol.1952.sp004764, fig. 12, unverified"
LAWS = {  # threshold amplitude over rheobase, of duration over its time constant
    "Lapicque": lambda d: 1 / -np.expm1(-d),
    "Weiss": lambda d: 1 + 1 / d,
}


def run(celsius=(6.3, 12.0, 18.5, 25.0), durations: int = 48, halvings: int = 20, sodium: float = 120.0):
    """(last run, findings, durations, thresholds (temperatures, durations), laws at the first temperature)."""
    findings = jm.Findings("How strong must a pulse be that lasts so long, and how warm is the axon?")
    celsius, duration = np.asarray(celsius), np.geomspace(0.01, 50.0, durations)
    warmth, length = (x.ravel() for x in np.meshgrid(celsius, duration, indexing="ij"))
    squid = jm.presets.hodgkin_huxley_1952().with_parameters({"sodium.g": sodium})
    cells = squid.with_parameters({"celsius": warmth})
    rest = jm.resting_state(cells).state

    low, high = np.zeros_like(length), 60.0 + 30.0 / length
    for _ in range(halvings):
        middle = (low + high) / 2
        pulse = jm.StepCurrent(amplitude=middle, stop=length)
        sim = jm.simulate(cells, 60.0, initial=rest, stimulus=pulse, measures=["spike_count"])
        fires = sim.measures["spike_count"] > 0
        low, high = np.where(fires, low, middle), np.where(fires, middle, high)
    threshold = high.reshape(celsius.size, -1)

    rheobase = threshold[:, -1]
    charge = threshold * duration  # nC/cm^2
    chronaxie = np.array([np.interp(-2 * i, -row, duration) for i, row in zip(rheobase, threshold, strict=True)])
    findings.expect("rheobase at 6.3 degC", rheobase[0], 2.1, 2.4, "uA/cm^2",
                    "2.3 uA/cm^2 (one spike; repetitive firing takes 6.2), unverified")  # fmt: skip
    findings.expect("charge at 6.3 degC, shortest pulse", charge[0, 0], 6.0, 7.0, "nC/cm^2", SQUID)
    findings.expect("charge at the highest temperature, shortest pulse", charge[-1, 0], 6.0, 15.0, "nC/cm^2",
                    f"15 at 5 to 35 degC: {GUTTMAN}")  # fmt: skip
    findings.expect(
        "rise of the charge from 0.01 to 0.1 ms", np.interp(0.1, duration, charge[0]) / charge[0, 0], 0.99, 1.05
    )
    findings.expect("chronaxie at 6.3 degC", chronaxie[0], 1.0, 3.0, "ms")
    warmer = celsius[-1] - celsius[0]
    q10 = lambda x: (x[-1] / x[0]) ** (10 / warmer)
    findings.expect("Q10 of the rheobase", q10(rheobase), 1.8, 3.0, source=f"2.35: {GUTTMAN}; rises: {FITZHUGH}")
    findings.expect("Q10 of the charge, shortest pulse", q10(charge[:, 0]), 1.0, 1.25, source=f"about 1: {GUTTMAN}")
    findings.expect("Q10 of the chronaxie", q10(chronaxie), 0.2, 0.7)

    # Each law through both ends: the rheobase of long pulses and the charge of short ones, which say its time constant.
    laws = {name: rheobase[0] * law(duration / (charge[0, 0] / rheobase[0])) for name, law in LAWS.items()}
    for name, law in laws.items():
        least = np.min(threshold[0] / law)
        findings.expect(
            f"least threshold over the law of {name}", least, 0.6, 0.98, source=f"less than the laws: {GUTTMAN}"
        )
    return sim, findings, duration, threshold, laws


@plots.styled
def draw(celsius, duration, threshold, laws):
    figure = plots.new_figure(8.0, 3.8)
    strength, charge = figure.subplots(1, 2)
    for i, row in enumerate(threshold):
        strength.loglog(duration, row, color=plots.CYCLE[i], label=f"{celsius[i]:g} °C")
        charge.loglog(duration, row * duration, color=plots.CYCLE[i])
    for (name, law), dash in zip(laws.items(), ("--", ":"), strict=True):
        strength.loglog(duration, law, color="black", ls=dash, label=name)
        charge.loglog(duration, law * duration, color="black", ls=dash)
    strength.set(xlabel="duration of the pulse (ms)", ylabel=plots.label("threshold amplitude", "uA/cm^2"))
    charge.set(xlabel="duration of the pulse (ms)", ylabel=plots.label("threshold charge", "nC/cm^2"))
    strength.legend()
    return plots.finish(
        figure,
        "Short pulses need a charge, long ones a current",
        "Least amplitude (left) and charge (right) of a pulse that makes the squid axon fire. Below 0.1 ms the charge is "
        "constant and hardly depends on temperature; the rheobase more than doubles with every 10 °C. Black: laws of Lapicque "
        f"(dashed) and Weiss (dotted) through both ends of the curve at {celsius[0]:g} °C. The axon needs less than "
        "either at middling durations, and gains nothing after 5 ms, as sodium channels inactivate meanwhile.",
    )


def main() -> None:
    import jax

    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("strength_duration.h5"), help="HDF5 file; figure beside it"
    )
    output = parser.parse_args().output
    celsius = (6.3, 12.0, 18.5, 25.0)
    sim, findings, *curves = run(celsius)
    print(findings)
    sim.save(output, overwrite=True, attributes=findings.attributes)
    plots.save(draw(celsius, *curves), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
