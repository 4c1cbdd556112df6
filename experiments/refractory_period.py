"""How soon after a spike can a membrane fire again, and what does that mean for spikes that meet?

    python experiments/refractory_period.py -o refractory_period.h5

Two pulses, every interval between them with every strength of the second, in one population of squid axon membranes.
"""

import argparse
from pathlib import Path

import numpy as np

import jaxmem as jm
from jaxmem import plots

PULSE = 0.5  # ms
REGENERATION = 15.0  # mV that the voltage has to rise on its own after the second pulse, to count as a spike
SQUID = "Hodgkin & Huxley 1952, doi:10.1113/jphysiol.1952.sp004764, unverified"
EVERY = 0.1  # ms


def run(intervals: int = 43, strengths: int = 48, sodium: float = 120.0, celsius: float = 6.3):
    """(simulation, findings, intervals, multiples of the threshold at rest, rise after the second pulse (both))."""
    findings = jm.Findings(
        "How soon after a spike can a membrane fire again, and what does that mean for spikes that meet?"
    )
    squid = jm.presets.hodgkin_huxley_1952().with_parameters({"sodium.g": sodium, "celsius": celsius})
    rest = jm.resting_state(squid).state
    trial = np.linspace(5.0, 30.0, 251)
    alone = jm.simulate(
        squid, 20.0, initial=rest, stimulus=jm.StepCurrent(amplitude=trial, stop=PULSE), measures=["maximum_v"]
    )
    threshold = trial[np.argmax(alone.measures["maximum_v"] > 0.0)]

    interval = np.round(np.linspace(4.0, 25.0, intervals) / EVERY) * EVERY  # the spike falls from 4 ms on
    multiple = np.geomspace(0.5, 6.0, strengths)
    later, stronger = (x.ravel() for x in np.meshgrid(interval, multiple, indexing="ij"))
    first = jm.StepCurrent(amplitude=1.5 * threshold, stop=PULSE)
    second = jm.StepCurrent(amplitude=stronger * threshold, start=later, stop=later + PULSE)
    sim = jm.simulate(squid, 40.0, initial=rest, stimulus=first + second, record=jm.Record("v", every=EVERY))

    v = sim.traces["v"].reshape(sim.time.size, interval.size, -1)
    ends = np.rint((interval + PULSE) / EVERY).astype(int)
    rise = np.array([v[end:, i].max(axis=0) - v[end, i] for i, end in enumerate(ends)])
    fires = rise > REGENERATION
    again = fires.any(axis=1)
    needed = np.where(again, multiple[np.argmax(fires, axis=1)], np.nan)

    first_again = int(np.argmax(again))
    absolute, earliest = (interval[first_again], needed[first_again]) if again.any() else (np.nan, np.nan)
    usual = again & (np.nan_to_num(needed, nan=np.inf) <= 1.0)
    relative = interval[np.argmax(usual)] if usual.any() else np.nan
    between = needed[again & (interval < relative)]
    best = int(np.argmin(np.nan_to_num(needed, nan=np.inf)))
    findings.expect("threshold at rest", threshold * PULSE, 6.3, 7.3, "nC/cm^2", SQUID)
    findings.expect(f"no second spike, however strong up to {multiple[-1]:g} times, before", absolute, 4.5, 12.0, "ms")
    findings.expect("strength needed then, over that at rest", earliest, 2.0, multiple[-1])
    findings.expect("as excitable as at rest from", relative, absolute, 20.0, "ms")
    findings.expect("steps by which the strength needed grows in between", np.sum(np.diff(between) > 0.0), 0, 0)
    findings.expect("least strength needed: supernormal", needed[best], 0.5, 0.95)
    findings.expect("when it is least", interval[best], 11.0, 22.0, "ms")
    size = v[:, :, -1].max(axis=0)  # of the second spike at the greatest strength: none is larger than the first
    findings.expect(
        "highest voltage over that of a spike alone", size.max() / alone.measures["maximum_v"].max(), 0.9, 1.2
    )

    # Two fronts meet: each finds the membrane that the other has passed, so it is at the least refractory time since its
    # spike. The current that a front brings is that of a spike's upstroke, some times what excites at rest (its safety
    # factor); it would have to be more than what the membrane asks for, and in the absolute period nothing is enough.
    width = spike_width(v[:, -1, 0], EVERY)
    findings.expect("absolute refractory period over the spike's width at half height", absolute / width, 1.5, 10.0)
    return sim, findings, interval, multiple, rise, needed


def spike_width(v: np.ndarray, dt: float) -> float:
    """Time (ms) that the first spike of a trace is above half its height."""
    half = (v.max() + v[0]) / 2
    above = np.flatnonzero(v > half)
    return float(above.size * dt) if above.size else np.nan


@plots.styled
def draw(sim, interval, multiple, rise, needed):
    figure = plots.new_figure(8.0, 3.9)
    traces, grid = figure.subplots(1, 2, width_ratios=(1, 1.25))
    v = sim.traces["v"].reshape(sim.time.size, interval.size, -1)
    row = int(np.argmin(abs(multiple - 3.0)))
    for n, i in enumerate(range(2, interval.size, 6)):
        traces.plot(sim.time, v[:, i, row], color=plots.CYCLE[n % len(plots.CYCLE)])
        traces.plot(interval[i], -90 - 2 * (n % 2), "^", ms=4, color=plots.CYCLE[n % len(plots.CYCLE)])
    traces.set(
        xlim=(0, 30), xlabel="time (ms)", ylabel=plots.label("voltage", "mV"), title="Second pulse of 3 times threshold"
    )
    image = grid.pcolormesh(
        interval, multiple, np.maximum(rise, 0).T, cmap="cividis", shading="nearest", rasterized=True
    )
    figure.colorbar(image, ax=grid, label="rise after the second pulse (mV)")
    grid.plot(interval, needed, color=plots.CYCLE[0], lw=1.6)
    grid.axhline(1.0, color="white", lw=0.8, ls="--")
    grid.set(yscale="log", xlabel="interval between the pulses (ms)", ylabel="second pulse over threshold at rest")
    grid.set_yticks((0.5, 1, 2, 3, 6), ("0.5", "1", "2", "3", "6"))
    grid.set_yticks([], minor=True)
    return plots.finish(
        figure,
        f"For {interval[np.argmax(np.isfinite(needed))]:.0f} ms nothing makes the squid axon fire again",
        "Left: a spike and a second pulse, at the triangles, three times as strong as is needed at rest. Right: how far the "
        "voltage rises on its own after a second pulse; red: the weakest that fires. It falls to that at rest (dashed) and "
        "below: the membrane is supernormal for a while. A front of excitation that meets another finds membrane that fired "
        "just now and is left of the red line whatever current it brings: both end there.",
    )


def main() -> None:
    import jax

    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("refractory_period.h5"), help="HDF5 file; figure beside it"
    )
    output = parser.parse_args().output
    sim, findings, *grid = run()
    print(findings)
    sim.save(output, overwrite=True, attributes=findings.attributes)
    plots.save(draw(sim, *grid), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
