"""Is the spike of the squid axon all or none, and is it so at every temperature?

    python experiments/all_or_none.py -o all_or_none.h5

One population holds a row of pulse amplitudes at each of several temperatures; it is run again and again, each time with the
amplitudes between the last one that answers with less than half a spike and the first that answers with more.
"""

import argparse
from pathlib import Path

import numpy as np

import jaxmem as jm
from jaxmem import plots

PULSE = 0.2  # ms
SQUID = "Hodgkin & Huxley 1952, doi:10.1113/jphysiol.1952.sp004764, fig. 12, unverified"
GUTTMAN = "K. S. Cole, R. Guttman & F. Bezanilla 1970, PNAS 65:884, doi:10.1073/pnas.65.4.884, unverified"


def run(celsius=(6.3, 15.0, 20.0, 25.0, 30.0, 35.0), row: int = 42, rounds: int = 9, sodium: float = 120.0):
    """(last run, findings, {temperature: (amplitudes, peaks)}); amplitudes in uA/cm^2, peaks in mV."""
    findings = jm.Findings("Is the spike of the squid axon all or none, and is it so at every temperature?")
    celsius = np.asarray(celsius)
    squid = jm.presets.hodgkin_huxley_1952().with_parameters({"sodium.g": sodium})
    cells = squid.with_parameters({"celsius": np.repeat(celsius, row)})  # one cell per temperature and amplitude
    rest = jm.resting_state(cells).state

    amplitude = np.tile(np.geomspace(10.0, 400.0, row), (celsius.size, 1))
    tried, answered = [], []
    for turn in range(rounds + 1):
        pulse = jm.StepCurrent(amplitude=amplitude.ravel(), stop=PULSE)
        sim = jm.simulate(cells, 25.0, dt=0.01, initial=rest, stimulus=pulse, measures=["maximum_v"])
        peak = sim.measures["maximum_v"].reshape(amplitude.shape)
        tried.append(amplitude)
        answered.append(peak)
        if len(tried) == 1:  # half a spike: half-way from rest to the answer to 100 uA/cm^2
            start = np.asarray(sim.initial_state.v).reshape(amplitude.shape)[:, 0]
            full = np.array([np.interp(100.0, a, p) for a, p in zip(amplitude, peak, strict=True)])
        first = np.argmax(peak > ((start + full) / 2)[:, None], axis=1)
        which = np.arange(celsius.size)
        below, above = amplitude[which, np.maximum(first - 1, 0)], amplitude[which, first]
        if turn < rounds - 1:
            amplitude = np.linspace(below, above, row, axis=1)
        else:  # and a last look from further away
            amplitude = np.geomspace(0.85 * above, 2.5 * above, row, axis=1)

    curves, width = {}, np.empty(celsius.size)
    for i, warmth in enumerate(celsius):
        a, where = np.unique(np.concatenate([x[i] for x in tried]), return_index=True)
        p = np.concatenate([x[i] for x in answered])[where]
        curves[float(warmth)] = a, p
        quarter, half, three = (np.interp(start[i] + share * (full[i] - start[i]), p, a) for share in (0.25, 0.5, 0.75))
        width[i] = (three - quarter) / half

    a, p = curves[float(celsius[0])]
    least = a[np.argmax(p > (start[0] + full[0]) / 2)]
    answer = lambda factor: np.interp(factor * least, a, p)
    findings.expect("threshold charge at the lowest temperature", least * PULSE, 6.0, 7.5, "nC/cm^2",
                    f"6 mV fails, 7 mV fires: {SQUID}")  # fmt: skip
    findings.expect("peak at 0.9 times threshold", answer(0.9), -65.0, -50.0, "mV")
    findings.expect("peak at 1.1 times threshold", answer(1.1), 30.0, 50.0, "mV")
    findings.expect("peak at 2 over peak at 1.1 times threshold", answer(2.0) / answer(1.1), 1.0, 1.2)
    findings.expect("relative width of the step at the lowest temperature", width[0], 1e-13, 1e-4)
    findings.expect("samples inside the step: a steep curve, not a jump", np.sum((p > -45) & (p < 10)), 5)
    findings.expect("least ratio of widths from one temperature to the next", (width[1:] / width[:-1]).min(), 1.5)
    findings.expect("relative width at the highest temperature: graded", width[-1], 0.2, 10.0, source=GUTTMAN)
    return sim, findings, curves


@plots.styled
def draw(curves):
    figure = plots.new_figure(8.0, 3.6)
    wide, close = figure.subplots(1, 2, sharey=True)
    for i, (celsius, (a, p)) in enumerate(curves.items()):
        colour, name = plots.CYCLE[i % len(plots.CYCLE)], f"{celsius:g} °C"
        wide.plot(a * PULSE, p, color=colour, label=name)
        half = np.interp((p[0] + np.interp(100.0, a, p)) / 2, p, a)
        above = a > half
        close.plot(a[above] / half - 1, p[above], color=colour, label=name)
    wide.set(xlim=(0, 24), ylabel=plots.label("peak of the voltage", "mV"))
    wide.set_xlabel(plots.label("charge of the pulse", "nC/cm^2"))
    close.set(xscale="log", xlim=(1e-12, 3), xlabel="amplitude above half a spike's, relative")
    wide.legend(loc="upper left", bbox_to_anchor=(0.0, 0.93))
    return plots.finish(
        figure,
        "All or none when cold, graded when warm",
        f"Highest voltage after a pulse of {PULSE:g} ms, squid axon. Left: against the charge of the pulse. Right: the same "
        "above the amplitude that gives half a spike, on a logarithmic axis: at 6.3 °C too the curve is continuous, but it "
        "rises within a millionth of the amplitude or less; above 25 °C every height can be had.",
    )


def main() -> None:
    import jax

    jax.config.update("jax_enable_x64", True)  # the step is too steep for float32
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("all_or_none.h5"), help="HDF5 file; figure beside it")
    output = parser.parse_args().output
    sim, findings, curves = run()
    print(findings)
    sim.save(output, overwrite=True, attributes=findings.attributes)
    plots.save(draw(curves), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
