"""The sodium pump as a cycle that runs both ways: four states, single pumps by chance, and the voltage where it stands still.

States E1 -> E1P -> E2P -> E2 -> E1: three Na+ from inside and a phosphate of ATP are bound, the Na+ let go outside, two K+ taken
up there as the phosphate leaves, and let go inside. Every step also runs backwards. Ions bind in rapid equilibrium, as in the
model of N. P. Smith & E. J. Crampin 2004, Prog Biophys Mol Biol 85:387, doi:10.1016/j.pbiomolbio.2004.01.010, whose scheme this
is. Its rate constants are not: the ones below are assumed, to turn over some fifty times a second at rest. What is not assumed
is their ratio, which the energies of ATP and of the ions fix.
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
    electric_energy,
    pump_cycle_work,
    pump_density,
    pump_reversal_potential,
    single_pump_current,
    thermal_energy,
)
from jaxmem.units import ELEMENTARY_CHARGE

QUESTION = "Is a pump reversible, and does it stand still where its ATP just pays for the ions?"
STATES = ("e1", "e1p", "e2p", "e2")
PER_UM2_MS = 1e17 * ELEMENTARY_CHARGE  # uA/cm^2 of one charge per um^2 and ms
SOURCE = (
    "P. De Weer, D. C. Gadsby & R. F. Rakowski 1988, Annu Rev Physiol 50:225, doi:10.1146/annurev.ph.50.030188.001301"
)
MCCALL = "50/s in rat heart cells: D. McCall 1979, Am J Physiol 236:C87, doi:10.1152/ajpcell.1979.236.1.C87"
CELSIUS, STANDARD = 37.0, -30.5  # degC; kJ/mol of ATP at 1 M, pH 7
REST = {
    "na.inside": 10.0,
    "k.inside": 140.0,
    "na.outside": 145.0,
    "k.outside": 5.0,
    "atp": 5.0,
    "adp": 0.05,
    "phosphate": 2.0,
}
# A red cell's ghost with steep gradients and spent ATP: the pump makes ATP from the gradients.
SPENT = REST | {"na.inside": 1.0, "k.outside": 1.0, "atp": 0.5, "adp": 2.0, "phosphate": 20.0}


class PumpCycle(jm.Mechanism):
    """Na,K-ATPase as a reversible cycle of four states; ``uphill`` scales the energy that it believes ATP to have."""

    density: jm.Number = jm.parameter("1/um^2", "pumps per area", default=700.0, minimum=0.0)
    atp: jm.Number = jm.parameter("mM", "ATP inside", default=5.0, positive=True)
    adp: jm.Number = jm.parameter("mM", "ADP inside", default=0.05, positive=True)
    phosphate: jm.Number = jm.parameter("mM", "phosphate inside", default=2.0, positive=True)
    uphill: jm.Number = jm.parameter("1", "energy of ATP over the true one", default=1.0, positive=True)
    k1: jm.Number = jm.parameter("1/s", "phosphorylation, with 3 Na+ bound", default=1000.0, positive=True)  # assumed
    k2: jm.Number = jm.parameter("1/s", "release of 3 Na+ outside", default=500.0, positive=True)  # assumed
    k3: jm.Number = jm.parameter("1/s", "dephosphorylation, with 2 K+ bound", default=800.0, positive=True)  # assumed
    k4: jm.Number = jm.parameter("1/s", "release of K+ inside, per mM of ATP", default=60.0, positive=True)  # assumed
    back1: jm.Number = jm.parameter("1/s", "back, per mM of ADP", default=500.0, positive=True)  # assumed
    back3: jm.Number = jm.parameter("1/s", "back, per mM of phosphate", default=15.0, positive=True)  # assumed
    back4: jm.Number = jm.parameter("1/s", "back, with 2 K+ bound inside", default=300.0, positive=True)  # assumed
    half_na: jm.Number = jm.parameter("mM", "half-binding of Na+ inside", default=5.0, positive=True)  # assumed
    half_k: jm.Number = jm.parameter("mM", "half-binding of K+ inside", default=40.0, positive=True)  # assumed
    half_na_out: jm.Number = jm.parameter(
        "mM", "half-binding of Na+ outside at 0 mV", default=180.0, positive=True
    )  # assumed
    half_k_out: jm.Number = jm.parameter("mM", "half-binding of K+ outside", default=1.0, positive=True)  # assumed

    def rates(self, v, env):
        """Forward and backward rates of the four steps in 1/ms; the charge moves as Na+ is let go outside."""
        inside = lambda na, k: (1 + na) ** 3 + (1 + k) ** 2 - 1
        na_i, k_i = env.inside["na"] / self.half_na, env.inside["k"] / self.half_k
        na_o, k_o = env.outside["na"] / self.half_na_out, env.outside["k"] / self.half_k_out
        within, without = inside(na_i, k_i), inside(na_o, k_o)
        forward = [self.k1 * na_i**3 / within, self.k2, self.k3 * k_o**2 / without, self.k4 * self.atp]
        # K of the whole cycle = exp(-dG0/RT): what is left of it once the other constants are chosen is that of step 2
        energy = -self.uphill * STANDARD / electric_energy(env.rt_f, 1)
        affinity = (self.half_na_out / self.half_na) ** 3 * (self.half_k / self.half_k_out) ** 2
        left = affinity * self.k1 * self.k2 * self.k3 * self.k4 / (self.back1 * self.back3 * self.back4)
        back2 = left * jnp.exp(-energy) / 1e3  # dG0 is for 1 M: [ADP][P]/[ATP] in mM is 1e3 of that
        backward = [self.back1 * self.adp, back2 * na_o**3 / without * jnp.exp(-v / env.rt_f),
                    self.back3 * self.phosphate, self.back4 * k_i**2 / within]  # fmt: skip
        return [1e-3 * x for x in forward], [1e-3 * x for x in backward]

    def kinetics(self, v, states, env):
        steps = zip(*self.rates(v, env), strict=True)
        edges = {(STATES[k], STATES[(k + 1) % 4]): pair for k, pair in enumerate(steps)}
        return {"cycle": jm.Scheme(edges)}

    def fluxes(self, v, states, env):
        forward, backward = self.rates(v, env)
        scale = PER_UM2_MS * self.density
        sodium = 3 * scale * (states["e1p"] * forward[1] - states["e2p"] * backward[1])
        potassium = 2 * scale * (states["e2p"] * forward[2] - states["e2"] * backward[2])
        slope = 3 * scale * states["e2p"] * backward[1] / env.rt_f
        return {"na": jm.Current(sodium, slope), "k": jm.Current(-potassium, 0.0)}


def membrane(conditions: dict, **more) -> jm.Membrane:
    """Nothing but pumps in a bilayer, under the given concentrations, all clamped."""
    species = {
        ion: jm.Species(inside=conditions[f"{ion}.inside"], outside=conditions[f"{ion}.outside"]) for ion in ("na", "k")
    }
    fuel = {name: conditions[name] for name in ("atp", "adp", "phosphate")}
    return jm.Membrane(
        mechanisms={"pump": PumpCycle(**fuel | more)}, species=species, celsius=CELSIUS, initial_v=-150.0
    )


def stalls_at(conditions: dict):
    """The voltage by the energies alone."""
    g = atp_free_energy(conditions["atp"], conditions["adp"], conditions["phosphate"], CELSIUS, STANDARD)
    sides = ({ion: conditions[f"{ion}.{side}"] for ion in ("na", "k")} for side in ("inside", "outside"))
    return np.asarray(pump_reversal_potential(g, *sides, celsius=CELSIUS))


def turnover(conditions: dict, v: np.ndarray, uphill: float) -> np.ndarray:
    """Net cycles per second of a pump at each voltage, from the membrane's current at the steady states of the cycle."""
    cell = membrane(conditions, uphill=uphill)
    env = cell.environment({name: jnp.zeros(()) for name in [*cell.species, "electrode"]})
    pump = cell.mechanisms["pump"]
    flows = pump.fluxes(v, pump.initial(jnp.asarray(v), env), env)
    return 1e3 * np.asarray(flows["na"].value + flows["k"].value) / (PER_UM2_MS * pump.density)


class Singles:
    """Single pumps by chance (D. T. Gillespie 1977, J Phys Chem 81:2340, doi:10.1021/j100540a008), many side by side."""

    def __init__(self, conditions: dict, v: float, seconds: float, pumps: int, uphill: float, seed: int):
        cell = membrane(conditions, uphill=uphill)
        env = cell.environment({name: jnp.zeros(()) for name in [*cell.species, "electrode"]})
        forward, backward = (np.array([float(x) for x in r]) * 1e3 for r in cell.mechanisms["pump"].rates(v, env))
        rng, back = np.random.default_rng(seed), np.roll(backward, 1)  # from state k backwards is step k - 1
        place, clock = np.zeros(pumps, int), np.zeros(pumps)  # steps along the cycle, with sign
        self.marks, self.cycles, self.charge = np.zeros(pumps, int), np.zeros((2, pumps), int), np.zeros(pumps, int)
        self.trace: list[list[tuple[float, int]]] = [[(0.0, 0)] for _ in range(min(pumps, 3))]
        while True:
            state = place % 4
            out, total = forward[state], forward[state] + back[state]
            clock += rng.exponential(size=pumps) / total
            alive = clock < seconds
            if not alive.any():
                break
            on = rng.random(pumps) * total < out
            self.charge += np.where(alive & on & (state == 1), 1, 0) - np.where(alive & ~on & (state == 2), 1, 0)
            place += np.where(alive, np.where(on, 1, -1), 0)
            done = place - self.marks
            self.cycles += np.stack([done == 4, done == -4])
            self.marks = np.where(abs(done) == 4, place, self.marks)
            for k, trace in enumerate(self.trace):
                if alive[k] and self.charge[k] != trace[-1][1]:
                    trace.append((clock[k], self.charge[k]))
        self.rate, self.error = self.charge.mean() / seconds, self.charge.std(ddof=1) / np.sqrt(pumps) / seconds


def run(pumps: int = 200, seconds: float = 4.0, voltages: int = 45, uphill: float = 1.0):
    """(findings, results); ``uphill`` gives the pump's rates another energy of ATP than its concentrations have: 1 is physics."""
    findings = jm.Findings(QUESTION)
    v = np.linspace(-280.0, 60.0, voltages)
    at_rest, spent = (turnover(c, v, uphill) for c in (REST, SPENT))
    stall = float(stalls_at(REST))
    findings.expect("at rest the pump would stand still at", stall, -250, -170, "mV", SOURCE)
    crossing = np.interp(0.0, at_rest, v)
    findings.expect("where the steady current turns, less that", crossing - stall, -1.5, 1.5, "mV")

    ratio = np.geomspace(0.003, 0.3, 9)  # ADP/ATP
    fuels = REST | {"atp": 5.0 / (1 + ratio), "adp": 5.0 * ratio / (1 + ratio)}
    # Exchange between states takes microseconds at these voltages: the stiff method. More pumps than a cell has: sooner there.
    alone = jm.simulate(membrane(fuels, density=7e4, uphill=uphill), 4e3, integrator=jm.Adaptive())
    found, told = alone.final_state.v, stalls_at(fuels)
    findings.expect(
        "cells of nothing but pumps: charged to what energy allows, worst", np.abs(found - told).max(), 0, 0.05, "mV"
    )

    rest_rate = findings.expect("cycles per second at -70 mV", np.interp(-70.0, v, at_rest), 30, 100, "1/s", MCCALL)
    findings.expect("current of one pump in attoamperes", single_pump_current(rest_rate), 5, 16)
    findings.expect("at 60 mV, in attoamperes", single_pump_current(at_rest[-1]), 5, 40)
    findings.expect("pumps per um^2 behind 0.5 uA/cm^2", pump_density(0.5, rest_rate), 400, 1000)
    findings.expect("spent, the pump runs backwards at -70 mV", np.interp(-70.0, v, spent), -200, -20, "1/s")
    singles = {
        "rest": Singles(REST, -70.0, seconds, pumps, uphill, 1),
        "spent": Singles(SPENT, -70.0, seconds, pumps, uphill, 2),
    }
    for name, of in (("rest", at_rest), ("spent", spent)):
        off = (singles[name].rate - np.interp(-70.0, v, of)) / singles[name].error
        findings.expect(f"{name}: single pumps counted against the membrane, in standard errors", off, -4.5, 4.5)

    near = stall + 25.0
    both = Singles(REST, near, 4 * seconds, pumps, uphill, 3).cycles.sum(axis=1)
    sides = ({ion: REST[f"{ion}.{side}"] for ion in ("na", "k")} for side in ("inside", "outside"))
    g = atp_free_energy(REST["atp"], REST["adp"], REST["phosphate"], CELSIUS, STANDARD)
    gain = -float((g + pump_cycle_work(near, *sides, celsius=CELSIUS)) / thermal_energy(CELSIUS))
    off = (np.log(both[0] / both[1]) - gain) / np.sqrt((1 / both).sum())
    findings.expect("cycles counted near the stall, forwards and back", both.sum(), 200)
    findings.expect("ln(forwards/back) less the energy over RT, in standard errors", off, -4.5, 4.5)
    return findings, {"v": v, "rest": at_rest, "spent": spent, "singles": singles, "seconds": seconds, "stall": stall,
                      "ratio": ratio, "found": found, "told": told}  # fmt: skip


@plots.styled
def draw(results: dict):
    figure = plots.new_figure(8.4, 4.0)
    left, right = figure.subplots(1, 2)
    looks = {"rest": (plots.CYCLE[0], "at rest"), "spent": (plots.CYCLE[1], "ATP spent, steep gradients")}
    shown = min(0.4, results["seconds"])
    for name, (colour, text) in looks.items():
        for k, trace in enumerate(results["singles"][name].trace):
            t, q = np.array([*trace, (shown, np.nan)]).T
            left.step(1e3 * t, q, where="post", color=colour, lw=0.9, label=text if not k else None)
        right.plot(results["v"], results[name], color=colour, lw=1.8, label=text)
        right.plot([-70], [results["singles"][name].rate], "o", ms=6, mfc="white", mec=colour, mew=1.5)
    ends = [q for s in results["singles"].values() for trace in s.trace for t, q in trace if t < shown]
    left.set(xlim=(0, 1e3 * shown), ylim=(min(ends) - 3, max(ends) + 8), xlabel="time (ms)",
             ylabel="charges carried outward", title="Three pumps each, at −70 mV")  # fmt: skip
    for ax in (left, right):
        ax.axhline(0, color="0.75", lw=0.8, zorder=0)
    right.plot([results["stall"]], [0], "D", ms=6, color="black", zorder=3, label="by energies alone")
    right.set(xlabel="voltage (mV)", ylabel="net cycles per second", title="How fast, and which way")
    left.legend(loc="upper left")
    right.legend(loc="upper left", fontsize=8)
    return plots.finish(
        figure,
        "The sodium pump is a machine that runs both ways",
        "Left: each step is a Na⁺ release (one net charge out) or its reverse, by chance. Right: cycles of a membrane of such "
        f"pumps at each voltage; circles: the single pumps counted. At {results['stall']:.0f} mV".replace("-", "−")
        + " (diamond) the energy of ATP just pays for 3 Na⁺ and 2 K⁺, whatever the rate constants; those are assumed. One pump at "
        "rest carries some 8 attoamperes, not femtoamperes.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=f"{__doc__}\n{QUESTION}\n\nExample: python experiments/pump_cycle.py -o pump_cycle.h5",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("pump_cycle.h5"), help="HDF5 file; the figure goes beside it"
    )
    output = parser.parse_args().output
    jax.config.update("jax_enable_x64", True)  # to compare with equations
    findings, results = run()
    print(findings)
    variables = {
        "rest": (("voltage",), results["rest"], "1/s", "net cycles per second of a pump at rest"),
        "spent": (("voltage",), results["spent"], "1/s", "the same with ATP spent and steep gradients"),
        "found": (("ratio",), results["found"], "mV", "where a membrane of pumps alone stands still"),
        "told": (("ratio",), results["told"], "mV", "where the energies have it stand still"),
    }
    for name, singles in results["singles"].items():
        t, q = np.array(singles.trace[0]).T
        variables[f"{name}_charge"] = ((f"{name}_time",), q, "1", "net charges that one pump has carried outward")
        variables[f"{name}_time"] = ((f"{name}_time",), 1e3 * t, "ms", "time of its steps")
    jm.save_variables(
        output,
        variables,
        coordinates={
            "voltage": (results["v"], "mV", "clamped voltage"),
            "ratio": (results["ratio"], "1", "ADP over ATP"),
        },
        attributes=findings.attributes,
        overwrite=True,
    )
    plots.save(draw(results), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
