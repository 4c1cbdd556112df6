"""What does potassium outside do to a neuron: does it excite, or does it silence?

The bath of each cell is brought to another concentration of K+. Then every cell gets pulses of every strength, once as it
is and once held at -70 mV by the current that a voltage clamp needed for it.
"""

import argparse
from pathlib import Path

import numpy as np

import jaxmem as jm
from jaxmem import plots
from jaxmem.electrochemistry import ghk_potential, nernst

QUESTION = "Does potassium outside excite a neuron, or silence it?"
HOROWICZ = "GHK as in A. L. Hodgkin & P. Horowicz 1959, J Physiol 148:127, doi:10.1113/jphysiol.1959.sp006278"
INACTIVE = "A. L. Hodgkin & A. F. Huxley 1952, J Physiol 116:497, doi:10.1113/jphysiol.1952.sp004719"
DT, PULSE = 0.025, 1.0  # ms


def neuron() -> jm.Membrane:
    """The pumped neuron with constant-field leaks, P_Na/P_K 0.08, standing still at -70 mV."""
    leaks = {
        "na": jm.GHKLeak(p=1e-8, ion="na"),
        "k": jm.GHKLeak(p=4e-7),
        "cl": jm.GHKLeak(p=4e-8, ion="cl", valence=-1),
    }
    cell = jm.presets.pumped_neuron().with_mechanisms({f"{ion}_leak": leak for ion, leak in leaks.items()})
    return jm.balance(cell, v=-70.0)


def run(levels: int = 16, strengths: int = 24):
    """(the change of the bath, findings, tables over [K]o for the figure)."""
    findings = jm.Findings(QUESTION)
    cell, k = neuron(), np.geomspace(2.0, 40.0, levels)
    # The bath is exchanged within 0.1 s. In the second half of the cells the pump is switched off.
    both = np.concatenate([k, k])
    cells = cell.with_parameters({"pump.i_max": np.repeat([cell.parameters()["pump.i_max"].value, 0.0], levels)})
    bath = jm.Schedule("k.outside", times=[0.0], values=[both], tau=100.0)
    record = jm.Record(["v", "sodium.h"], every=0.25)
    spikes = jm.measures.SpikeCount(window=(600.0, 800.0))
    sim = jm.simulate(cells, 800.0, dt=DT, changes=bath, record=record, measures={"spikes": spikes})
    v, h, spontaneous = sim.traces["v"][-1], sim.traces["sodium.h"][-1], sim.measures["spikes"][:levels] > 0

    p = {ion: cell.parameters()[f"{ion}_leak.p"].value for ion in ("na", "k", "cl")}
    inside, outside = ({ion: getattr(cell.species[ion], side) for ion in p} for side in ("inside", "outside"))
    ghk = np.asarray(ghk_potential(p, inside, outside | {"k": k}, {"na": 1, "k": 1, "cl": -1}, cell.celsius))
    e_k = np.asarray(nernst(inside["k"], k, 1, cell.celsius))
    quiet = (k < 10) & ~spontaneous
    off = np.abs(v[levels:] - ghk)[v[levels:] < -57]  # where gated channels are closed
    findings.expect("pump off: distance from GHK", off.max(), 0, 1.5, "mV", HOROWICZ)
    change = lambda x: x[quiet][-1] - x[quiet][0]
    findings.expect("depolarisation by potassium, relative to GHK's", change(v[:levels]) / change(ghk), 0.8, 1.25)
    findings.expect("the same, relative to Nernst's", change(v[:levels]) / change(e_k), 0.1, 0.5)

    # Excitability: now the bath is what it is, and each cell is tried with pulses of every strength.
    there = cells.with_parameters({"k.outside": both})[:levels]
    state, strength = sim.final_state[np.arange(levels)], np.linspace(2.0, 60.0, strengths)
    clamp = jm.VoltageClamp(-70.0)
    held = jm.simulate(there, 60.0, dt=DT, initial=state, stimulus=clamp, measures=["steady_current"])
    current = held.measures["steady_current"]  # what holds it there
    as_it_is = excite(there, state, strength, np.zeros(levels))
    cured = excite(there, held.final_state, strength, current)
    threshold = [np.where(x["fires"].any(1), strength[x["fires"].argmax(1)], np.inf) for x in (as_it_is, cured)]
    normal, blocked = int(np.argmin(np.abs(k - 2.73))), k >= 29
    silent = ~spontaneous & ~blocked
    findings.expect("threshold at 2.7 mM", threshold[0][normal], 5, 40, "uA/cm^2")
    findings.expect(
        "lowest threshold of silent cells, relative", threshold[0][silent].min() / threshold[0][normal], 0.1, 0.85
    )
    findings.expect("cells of 12 to 27 mM that fire by themselves", spontaneous[(k > 12) & (k < 27)].sum(), 1)
    findings.expect("cells above 29 mM that fire by themselves", spontaneous[blocked].sum(), 0, 0)
    findings.expect("cells above 29 mM that a pulse makes fire", np.isfinite(threshold[0][blocked]).sum(), 0, 0)
    findings.expect("sodium channels not inactivated there", h[:levels][blocked].max(), 0, 0.1, source=INACTIVE)
    again = np.isfinite(threshold[1][blocked]).mean()
    findings.expect("part of them that fires when held at -70 mV", again, 1, 1)
    findings.expect("holding current at 40 mM", current[-1], -40, -1, "uA/cm^2")
    traces = {"k": k, "ghk": ghk, "e_k": e_k, "spontaneous": spontaneous, "threshold": threshold, "strength": strength}
    return sim, findings, traces | {"as it is": as_it_is, "held": cured}


def excite(cells: jm.Membrane, state: jm.State, strength: np.ndarray, hold: np.ndarray) -> dict[str, np.ndarray]:
    """Pulses of every strength to every cell: time and v, and whether v rises on its own after the pulse."""
    index, start = np.repeat(np.arange(cells.cells), strength.size), float(state.step) * DT + 1.0
    pulse = jm.StepCurrent(np.tile(strength, cells.cells), start, start + PULSE) + jm.ConstantCurrent(hold[index])
    sim = jm.simulate(cells[index], 10.0, dt=DT, initial=state[index], stimulus=pulse, record=jm.Record("v", every=0.1))
    v, time = sim.traces["v"], sim.time - start
    after = time >= PULSE - 1e-3
    peak = v[after].max(axis=0)
    fires = (peak > v[after][0] + 5.0) & (peak > -10.0)
    return {"time": time, "v": v.reshape(len(time), cells.cells, -1), "fires": fires.reshape(cells.cells, -1)}


@plots.styled
def draw(sim: jm.Simulation, found: dict):
    figure = plots.new_figure(8.0, 5.6)
    (rest, bath), (threshold, pulse) = figure.subplots(2, 2)
    k, n = found["k"], len(found["k"])
    v, quiet = sim.traces["v"], ~found["spontaneous"]
    low, high = v[-800:, :n].min(axis=0), v[-800:, :n].max(axis=0)
    rest.vlines(k[~quiet], low[~quiet], high[~quiet], color=plots.CYCLE[0], lw=1.5, label="fires by itself")
    rest.plot(k[quiet], v[-1, :n][quiet], "o", ms=4, color=plots.CYCLE[0], label="at rest")
    rest.plot(k, found["ghk"], color=plots.CYCLE[1], label="GHK, leaks alone")
    rest.plot(k, found["e_k"], color="black", ls=":", label=r"$E_\mathrm{K}$ (Nernst)")
    rest.set(xscale="log", xlabel="K⁺ outside (mM)", ylabel="membrane potential (mV)", title="Voltage")
    rest.legend(loc="upper left")
    chosen = [int(np.argmin(np.abs(k - x))) for x in (2.73, 9.0, 18.0, 40.0)]
    for i, cell in enumerate(chosen):
        bath.plot(sim.time, v[:, cell] - 130 * i, color=plots.CYCLE[i], lw=0.8)
        bath.text(810, v[-400:, cell].mean() - 130 * i, f"{k[cell]:.1f} mM", color=plots.CYCLE[i], va="center")
    bath.plot([-30, -30], [-400, -300], color="black", lw=2, clip_on=False)
    bath.text(-50, -350, "100 mV", rotation=90, ha="right", va="center")
    bath.set(xlabel="time after the change of the bath (ms)", yticks=[], title="While K⁺ rises")
    bath.spines["left"].set_visible(False)
    for x, style, name in zip(found["threshold"], ("o-", "s--"), ("as it is", "held at −70 mV"), strict=True):
        some = np.isfinite(x) & (quiet | (style != "o-"))
        threshold.plot(k, np.where(some, x, np.nan), style, ms=4, color=plots.CYCLE[style != "o-"], label=name)
    threshold.axvspan(k[~quiet].min(), k[~quiet].max(), color="0.92", lw=0)
    threshold.axvspan(29, k[-1], color="0.8", lw=0)
    threshold.text(np.sqrt(k[~quiet].min() * k[~quiet].max()), 3, "fires", ha="center")
    threshold.text(np.sqrt(29 * k[-1]), 3, "blocked", ha="center")
    threshold.set(xscale="log", ylim=(0, None), xlabel="K⁺ outside (mM)", title="Threshold of a pulse of 1 ms")
    threshold.set_ylabel("current (µA/cm²)")
    threshold.legend(loc="upper left")
    strongest = len(found["strength"]) - 1
    for name, look in (("as it is", {"color": plots.CYCLE[0]}), ("held", {"color": plots.CYCLE[1], "ls": "--"})):
        pulse.plot(found[name]["time"], found[name]["v"][:, -1, strongest], **look)
    pulse.text(4.5, -18, "as it is", color=plots.CYCLE[0], va="bottom")
    pulse.text(1.5, 40, "from −70 mV", color=plots.CYCLE[1], va="bottom")
    pulse.set(xlabel="time (ms)", ylabel="membrane potential (mV)", title="The strongest pulse in 40 mM")
    for ax in (rest, threshold):
        ax.set_xticks([2, 5, 10, 20, 40], ["2", "5", "10", "20", "40"])
        ax.minorticks_off()
    return plots.finish(
        figure,
        "Potassium first excites, then silences; hyperpolarisation brings the spikes back",
        "Neurons in baths of 2 to 40 mM K⁺. They depolarise as GHK has it, less the few mV of the pump, and far less than the "
        "potential of K⁺. A weaker pulse is enough, then they fire by themselves, then sodium channels stay inactivated "
        "and no pulse helps, unless a current brings the cell back to −70 mV first.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("hyperkalaemia.h5"), help="HDF5 file; the figure goes beside it"
    )
    output = parser.parse_args().output
    sim, findings, found = run()
    print(findings)
    sim.save(output, overwrite=True, attributes=findings.attributes)
    plots.save(draw(sim, found), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
