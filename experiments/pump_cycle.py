"""Is the sodium pump an engine that also runs backwards? A cycle of states, and single pumps that walk through it.

The Post-Albers cycle is clamped at many voltages with much ATP, with little, and with steep gradients: where does its current
reverse? Then two hundred single pumps jump from state to state at the same rates, and their cycles are counted.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import jaxmem as jm
from jaxmem import plots
from jaxmem.electrochemistry import (
    atp_free_energy,
    pump_cycle_work,
    pump_reversal_potential,
    single_pump_current,
    thermal_energy,
)
from jaxmem.membrane.pump_cycle import EDGES

QUESTION = "Is the sodium pump an engine that runs backwards where ATP and gradients make it?"
REVERSAL = (
    "P. De Weer, D. C. Gadsby & R. F. Rakowski 1988, Annu Rev Physiol 50:225, doi:10.1146/annurev.ph.50.030188.001301"
)
RATIO = (
    "T. L. Hill & O. Kedem 1966, J Theor Biol 10:399, from memory: ratio of one-way cycle fluxes is exp(free energy/RT)"
)
TURNOVER = "50/s are 8 aA: heart cells, D. McCall 1979, Am J Physiol 236:C87, doi:10.1152/ajpcell.1979.236.1.C87"
# mM; the voltage (mV) is that of the single pumps
REST = {"na.inside": 10.0, "na.outside": 145.0, "k.inside": 140.0, "k.outside": 5.0}
FULL, EMPTY = (
    {"atp.inside": 5.0, "adp.inside": 0.05, "pi.inside": 2.0},
    {"atp.inside": 0.1, "adp.inside": 5.0, "pi.inside": 20.0},
)
CONDITIONS = {
    "Na⁺ load, full of ATP": REST | FULL | {"na.inside": 50.0, "v": 0.0},
    "rest, full of ATP": REST | FULL | {"v": -70.0},
    "at its reversal potential": REST | {"atp.inside": 3.0, "adp.inside": 1.0, "pi.inside": 10.0, "v": np.nan},
    "ATP spent, steep gradients": REST | EMPTY | {"na.inside": 3.0, "k.outside": 2.0, "v": -70.0},
}
LOAD, RESTING, BALANCED, SPENT = CONDITIONS
DT = 0.04  # ms: the fastest steps of the cycle go at 50/ms together


def pump(condition: dict, **parameters: float) -> jm.Membrane:
    """A membrane of pumps alone, everything clamped."""
    species = {
        "na": jm.Species(10.0, 145.0), "k": jm.Species(140.0, 5.0),
        **{name: jm.Species(1.0, 0.0, valence=0) for name in ("atp", "adp", "pi")},
    }  # fmt: skip
    membrane = jm.Membrane({"pump": jm.PumpCycle(**parameters)}, species)
    return membrane.with_parameters({path: x for path, x in condition.items() if path != "v"})


def energies(condition: dict) -> tuple[float, float]:
    """By thermodynamics alone: the reversal potential (mV), and the free energy that a cycle at v sets free, over RT."""
    inside = {ion: condition[f"{ion}.inside"] for ion in ("na", "k")}
    outside = {ion: condition[f"{ion}.outside"] for ion in ("na", "k")}
    atp = float(atp_free_energy(*(condition[f"{name}.inside"] for name in ("atp", "adp", "pi"))))
    reversal = float(pump_reversal_potential(atp, inside, outside))
    v = reversal if np.isnan(condition["v"]) else condition["v"]
    return reversal, -(atp + float(pump_cycle_work(v, inside, outside))) / float(thermal_energy(37.0))


def run(steps: int = 41, pumps: int = 200, seconds: float = 5.0, standard: float = -30.5):
    """(what was found, findings); ``standard`` (kJ/mol) is the free energy that the cycle's rates are made for."""
    findings = jm.Findings(QUESTION)
    found = {}
    for n, (name, condition) in enumerate(CONDITIONS.items()):
        membrane = pump(condition, standard=standard)
        reversal, gain = energies(condition)
        v = np.concatenate([np.linspace(-240.0, 60.0, steps), reversal + np.linspace(-20.0, 20.0, 9)])
        turnover = clamped(membrane, v)
        exact = np.array([stationary(one_way(membrane, x)) for x in v])
        zero = v[steps:] - reversal
        measured = float(np.interp(0.0, turnover[steps:], zero))
        findings.expect(
            f"{name}: current reverses, less thermodynamics' {reversal:.1f} mV, at",
            measured,
            -0.05,
            0.05,
            "mV",
            REVERSAL,
        )
        apart = np.abs(turnover - exact).max() / np.abs(exact).max()
        findings.expect("largest distance of the clamped current from the stationary cycle, relative", apart, 0, 1e-6)

        at = reversal if np.isnan(condition["v"]) else condition["v"]
        times, cycles = walk(one_way(membrane, at), pumps, seconds, seed=n)
        forward, backward = int((cycles > 0).sum()), int((cycles < 0).sum())
        mean, expected = (forward - backward) / pumps / seconds, stationary(one_way(membrane, at))
        noise = 4 * np.sqrt(forward + backward) / pumps / seconds  # more than single cycles can scatter
        findings.expect(f"single pumps: mean turnover less {expected:.2f}/s", mean - expected, -noise, noise, "1/s")
        if min(forward, backward) > 20:
            told = np.log(forward / backward)
            error = 4 * np.sqrt(1 / forward + 1 / backward)
            findings.expect(
                "ln of cycles forward over backward less free energy/RT", told - gain, -error, error, source=RATIO
            )
        found[name] = {
            "v": v[:steps], "turnover": turnover[:steps], "exact": exact[:steps], "reversal": reversal, "at": at, "mean": mean,
            "times": times, "cycles": cycles, "forward": forward, "backward": backward, "seconds": seconds,
        }  # fmt: skip

    part = lambda name: found[name]["forward"] / max(found[name]["forward"] + found[name]["backward"], 1)
    findings.expect("with a load: part of the cycles that goes forward", part(LOAD), 1, 1)
    findings.expect("at rest", part(RESTING), 0.98, 1)
    findings.expect("at its reversal potential", part(BALANCED), 0.4, 0.6)
    findings.expect("ATP spent, steep gradients", part(SPENT), 0, 1e-3)
    best = {"na.inside": 140.0, "na.outside": 10.0, "k.inside": 10.0, "k.outside": 50.0}
    found["fastest"] = stationary(one_way(pump(REST | FULL | best, standard=standard), 60.0))
    current = lambda rate: float(single_pump_current(rate))
    findings.expect("one pump at rest carries", current(found[RESTING]["mean"]), 0.5, 5, "aA")
    findings.expect("one pump with a load", current(found[LOAD]["mean"]), 5, 15, "aA", TURNOVER)
    findings.expect("one pump at its fastest", current(found["fastest"]), 10, 50, "aA")
    return found, findings


def clamped(membrane: jm.Membrane, v: np.ndarray) -> np.ndarray:
    """Cycles per second of a pump at the end of clamp steps, from the current that the electrode supplies."""
    steady = jm.measures.SteadyCurrent(window=(1001.0, 1201.0))
    clamp = jm.VoltageClamp.steps(-70.0, v, 1.0, 1201.0)
    sim = jm.simulate(membrane, 1202.0, dt=DT, stimulus=clamp, measures={"i": steady})
    per_pump = np.asarray(sim.measures["i"]) / membrane.mechanisms["pump"].density  # uA/cm^2 over pumps per um^2
    return per_pump * 1e-14 / jm.units.ELEMENTARY_CHARGE


def one_way(membrane: jm.Membrane, v: float) -> np.ndarray:
    """Rates (1/s) of the steps, forward and backward: (4, 2)."""
    env = membrane.environment({name: jnp.zeros(()) for name in [*membrane.species, "electrode"]})
    return 1e3 * np.array(membrane.mechanisms["pump"].rates(jnp.asarray(float(v)), env), float)


def stationary(rates: np.ndarray) -> float:
    """Cycles per second in the steady state, from the null space of the matrix of rates."""
    n = len(EDGES)
    matrix = np.zeros((n, n))
    for a, (forward, backward) in enumerate(rates):
        b = (a + 1) % n
        matrix[[a, b], [a, a]] += -forward, forward
        matrix[[b, a], [b, b]] += -backward, backward
    matrix[-1] = 1.0
    p = np.linalg.solve(matrix, np.eye(n)[-1])
    return float(rates[0, 0] * p[0] - rates[0, 1] * p[1])


def walk(rates: np.ndarray, pumps: int, seconds: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(times, +1 or -1) of whole cycles of single pumps, each row a pump; NaN and 0 where there are no more.

    D. T. Gillespie 1977, J Phys Chem 81:2340, doi:10.1021/j100540a008. A cycle counts when a pump has come round by four
    steps from where it had counted last.
    """
    rng, n = np.random.default_rng(seed), len(rates)
    ahead, back = rates[:, 0], np.roll(rates[:, 1], 1)
    leave, place, time = ahead + back, np.zeros(pumps, int), np.zeros(pumps)
    counted, events = np.zeros(pumps, int), []
    while (time < seconds).any():
        state = place % n
        time = time + rng.exponential(size=pumps) / leave[state]
        place = place + np.where(rng.random(pumps) * leave[state] < ahead[state], 1, -1)
        if (round_ := np.flatnonzero((np.abs(place - counted) == n) & (time < seconds))).size:
            events += [(k, time[k], np.sign(place[k] - counted[k])) for k in round_]
            counted[round_] = place[round_]
    rows = [[(t, c) for k, t, c in events if k == row] for row in range(pumps)]
    longest = max(1, *(len(row) for row in rows))
    filled = np.array([row + [(np.nan, 0)] * (longest - len(row)) for row in rows])
    return filled[..., 0], filled[..., 1]


@plots.styled
def draw(found: dict):
    figure = plots.new_figure(8.0, 4.3)
    clamp, single = figure.subplots(1, 2)
    aa = 1e18 * jm.units.ELEMENTARY_CHARGE
    colours = dict(zip(CONDITIONS, (plots.CYCLE[0], plots.CYCLE[1], "0.35", plots.CYCLE[2]), strict=True))
    clamp.axhline(0, color="0.75", lw=0.8, zorder=0)
    for name in CONDITIONS:
        x, colour = found[name], colours[name]
        clamp.plot(x["v"], aa * x["exact"], color=colour, lw=1.3)
        clamp.plot(x["v"][::2], aa * x["turnover"][::2], "o", ms=3, color=colour)
        if -240 < x["reversal"] < 60:
            clamp.plot([x["reversal"]], [0], "D", ms=6, color=colour, zorder=4)
        for row in range(3):
            time, cycles = x["times"][row], np.cumsum(x["cycles"][row])
            here = ~np.isnan(time) & (time < 2.0)
            time, cycles = np.r_[0, time[here], 2.0], np.r_[0, cycles[here], cycles[here][-1] if here.any() else 0]
            single.step(time, cycles, where="post", color=colour, lw=1.0)
        last = x["mean"] * 2.0 + {RESTING: 3.0, BALANCED: -3.0}.get(name, 0.0)
        single.text(
            2.04,
            last,
            name.replace(", steep", ",\nsteep").replace(", full", ",\nfull" if name == LOAD else ", full"),
            color=colour,
            va="center",
            fontsize=8.5,
        )
    clamp.set(
        xlabel=plots.label("voltage", "mV"), ylabel="current of one pump (aA)", title="Clamped: the cycle's current"
    )
    single.set(xlabel="time (s)", ylabel="cycles", title="Single pumps: three of each kind", xlim=(0, 2.0))
    forward = 100 * found[RESTING]["forward"] / (found[RESTING]["forward"] + found[RESTING]["backward"])
    made = found[SPENT]["forward"] + found[SPENT]["backward"]
    rest, load, fast = (aa * x for x in (found[RESTING]["mean"], found[LOAD]["mean"], found["fastest"]))
    return plots.finish(
        figure,
        "The pump is an engine that runs backwards where ATP and gradients make it",
        "Left: steady current in voltage clamp (dots; lines: the stationary cycle); diamonds: where thermodynamics has it reverse. "
        f"Right: single pumps at fixed voltage. With a load every cycle goes outward, at rest {forward:.1f} %; with ATP spent and "
        f"steep gradients all but {found[SPENT]['forward']} of {made:,d} go back and make ATP. A pump carries tens of attoamperes "
        f"at most, not femtoamperes: here {rest:.1f} aA at rest, {load:.1f} with a load of Na⁺, {fast:.0f} at its fastest.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("pump_cycle.h5"), help="HDF5 file; the figure goes beside it"
    )
    output = parser.parse_args().output
    jax.config.update("jax_enable_x64", True)  # to compare with thermodynamics
    found, findings = run()
    print(findings)
    variables, all_of = {}, list(CONDITIONS)
    column = lambda key: np.array([found[name][key] for name in all_of])
    variables["condition"] = ("condition", np.array(all_of), "1", "what the pump was in")
    variables["voltage"] = ("voltage", found[RESTING]["v"], "mV", "clamped voltage")
    variables["turnover"] = (("condition", "voltage"), column("turnover"), "1/s", "cycles of a pump, clamped")
    variables["reversal"] = ("condition", column("reversal"), "mV", "reversal potential by thermodynamics")
    variables["held_at"] = ("condition", column("at"), "mV", "voltage of the single pumps")
    variables["single_turnover"] = ("condition", column("mean"), "1/s", "mean turnover of single pumps")
    for n, name in enumerate(all_of):
        variables[f"cycle_time_{n}"] = (
            ("pump", f"event_{n}"),
            found[name]["times"],
            "s",
            f"time of each cycle: {name}",
        )
        variables[f"cycle_way_{n}"] = (
            ("pump", f"event_{n}"),
            found[name]["cycles"],
            "1",
            f"1 outward, -1 back: {name}",
        )
    jm.save_variables(output, variables, attributes=findings.attributes, overwrite=True)
    plots.save(draw(found), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
