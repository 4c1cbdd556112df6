"""What rest costs: ATP per second of pumped cells from their budgets, and from their input resistance alone.

D. Attwell and S. B. Laughlin took the cost of a resting neuron from its input resistance, as if only Na+ and K+ could leak.
Here the same cell is built and its pump read; then cells with chloride, constant-field leaks and gated channels, which that
estimate does not know of. How the cost grows with the leaks is asked of cells whose pumps grew with them and of cells whose
pumps did not.
"""

import argparse
from pathlib import Path

import jax
import numpy as np

import jaxmem as jm
from jaxmem import plots
from jaxmem.electrochemistry import atp_per_second, nernst, pump_cycle_work

QUESTION = "What does a cell pay for rest, and does its input resistance tell?"
ATTWELL_LAUGHLIN = (
    "D. Attwell & S. B. Laughlin 2001, J Cereb Blood Flow Metab 21:1133, doi:10.1097/00004647-200110000-00001"
)
RT_F = float(jm.electrochemistry.thermal_voltage(37.0))
FREE_ENERGY = 50.0  # kJ/mol: a round number of the usual size


def run(cells: int = 13, n_k: float = 2.0):
    """(variables to keep, findings, what is drawn); ``n_k`` K+ come in per cycle, and the estimate believes in 2."""
    findings = jm.Findings(QUESTION)
    scale = np.geomspace(0.1, 10.0, cells)
    families = {name: cell.with_parameters({"pump.n_k": n_k}) for name, cell in members(scale).items()}
    balanced = {name: jm.balance(cell, -70.0) for name, cell in families.items()}
    states = {name: cell.initial_state() for name, cell in balanced.items()}
    told = {name: jm.budget(balanced[name], states[name], free_energy=FREE_ENERGY) for name in balanced}
    cost = {name: np.asarray(b.atp_per_second) for name, b in told.items()}
    estimate = {name: estimated(balanced[name], states[name]) for name in balanced}

    published = neuron_of_200_megohm(n_k)
    rest = published.initial_state()
    findings.expect(
        "input resistance", jm.input_resistance(published, rest), 199.999, 200.001, "MOhm", ATTWELL_LAUGHLIN
    )
    atp = float(jm.budget(published, rest).atp_per_second)
    findings.expect("ATP of that neuron at -70 mV", atp, 3.35e8, 3.45e8, "1/s", ATTWELL_LAUGHLIN + ": 3.42e8")
    findings.expect("over the estimate", atp / float(estimated(published, rest)), 1 - 1e-9, 1 + 1e-9)

    name = "Na⁺ and K⁺ leaks"
    still = max(np.abs(b.membrane_current).max() for b in told.values())
    findings.expect("largest current left of a balanced cell", still, 0, 1e-9, "uA/cm^2")
    findings.expect(f"estimate over budget, {name}", worst(estimate[name] / cost[name], 1.0), 0, 1e-9)
    leaks = [balanced["and Cl⁻"].parameters()[f"{ion}_leak.g"].value for ion in ("na", "k", "cl")]
    expected = 1 + leaks[2] / (leaks[0] + leaks[1])
    findings.expect(
        "with Cl-, against 1 + g_Cl/(g_Na + g_K)", worst(estimate["and Cl⁻"] / cost["and Cl⁻"], expected), 0, 1e-9
    )
    for name, atp in cost.items():
        growth = np.diff(np.log(atp)) / np.diff(np.log(scale))
        findings.expect(f"d ln ATP/d ln leak, {name}", worst(growth, 1.0), 0, 1e-6, source="pumps grown with the leaks")

    sizes = jm.presets.pump_leak().with_parameters({"geometry.radius": np.array([5.0, 10.0, 20.0])})
    by_size = np.asarray(jm.budget(sizes, sizes.initial_state()).atp_per_second)
    findings.expect("cost over area, largest over smallest cell", by_size[2] / by_size[0] / 16, 1 - 1e-12, 1 + 1e-12)
    findings.expect("a sphere of 10 um: ATP", by_size[1], 3e7, 4.5e7, "1/s")

    alive = jm.presets.pump_leak().with_parameters({
        f"{ion}_leak.g": scale * jm.presets.pump_leak().parameters()[f"{ion}_leak.g"].value for ion in ("na", "k", "cl")
    })  # fmt: skip
    fixed = jm.resting_state(alive)
    unpaid = np.asarray(jm.budget(alive, fixed).atp_per_second)
    most = np.asarray(alive.mechanisms["pump"].i_max * 5 / 6.5) * unpaid[cells // 2] / pump(alive, fixed)[cells // 2]
    findings.expect("cells with the same pumps that rest", np.mean(fixed.status == jm.Status.OK), 1, 1)
    findings.expect("their cost at most, over what the pump can do", unpaid.max() / most, 0.5, 1.0)
    sodium = fixed.concentrations["na.inside"]
    findings.expect(
        "Na+ inside where the leaks are as the preset has them", np.interp(1, scale, sodium), 9.99, 10.01, "mM"
    )
    findings.expect("and at ten times the leaks: run down, at fixed volume", sodium[-1], 100, 200, "mM")
    run = jm.simulate(alive, 20.0, initial=fixed.state, precision="float64", measures=["pump_turnover"])
    findings.expect("pump cycles of a run over the budget", worst(run.measures["pump_turnover"] / unpaid, 1.0), 0, 1e-6)

    ions = {side: {"na": na, "k": k} for side, na, k in (("inside", 10.0, 140.0), ("outside", 145.0, 5.0))}
    work = float(pump_cycle_work(-70.0, **ions))
    findings.expect(
        "work of a cycle over the ATP's free energy", work / FREE_ENERGY, 0.8, 0.95, source="50 kJ/mol assumed"
    )
    kept = {
        "leaks": ("leaks", scale, "1", "leaks over those of the preset"),
        "unpaid": ("leaks", unpaid, "1/s", "ATP of a cell whose pumps did not grow, at its own rest"),
        "sodium": ("leaks", sodium, "mM", "Na+ inside at that rest"),
        "rest": ("leaks", fixed.v, "mV", "that rest"),
        "family": ("family", list(cost), "1", "what the cells have"),
        "atp": (
            ("family", "leaks"),
            np.stack(list(cost.values())),
            "1/s",
            "ATP from the budget, pumps balanced at -70 mV",
        ),
        "estimate": (("family", "leaks"), np.stack(list(estimate.values())), "1/s", "ATP from the input resistance"),
    }
    return kept, findings


def members(scale: np.ndarray) -> dict[str, jm.Membrane]:
    """Cells of several kinds, their leaks (and channels) scaled together."""
    ohmic, field, neuron = jm.presets.pump_leak(), jm.presets.pump_leak_ghk(), jm.presets.pumped_neuron()
    times = lambda cell, *paths: cell.with_parameters({p: cell.parameters()[p].value * scale for p in paths})
    return {
        "Na⁺ and K⁺ leaks": without_chloride(times(ohmic, "na_leak.g", "k_leak.g")),
        "and Cl⁻": times(ohmic, "na_leak.g", "k_leak.g", "cl_leak.g"),
        "constant field": times(field, "na_leak.p", "k_leak.p", "cl_leak.p"),
        "neuron": times(neuron, "na_leak.g", "k_leak.g", "cl_leak.g", "sodium.g", "potassium.g"),
    }


def without_chloride(cell: jm.Membrane) -> jm.Membrane:
    """The same cell with leaks of Na+ and K+ alone; chloride is an ion that cannot pass."""
    chloride = cell.species["cl"]
    species = {**cell.species, "cl": jm.Species(chloride.inside, chloride.outside, valence=-1)}
    mechanisms = {name: cell.mechanisms[name] for name in cell.order if name != "cl_leak"}
    return jm.Membrane(mechanisms, species, cell.capacitance, cell.celsius, cell.initial_v, cell.geometry)


def neuron_of_200_megohm(n_k: float) -> jm.Membrane:
    """The neuron of Attwell and Laughlin: -70 mV, E_Na +50, E_K -100 mV; the area that makes it 200 MOhm."""
    cell = without_chloride(jm.presets.pump_leak()).with_parameters(
        {"na.inside": 145.0 * np.exp(-50.0 / RT_F), "k.outside": 140.0 * np.exp(-100.0 / RT_F), "pump.n_k": n_k}
    )
    cell = jm.balance(cell, -70.0)
    resistance = float(jm.input_resistance(cell, cell.initial_state()))
    return cell.with_parameters({"geometry.radius": 10.0 * np.sqrt(resistance / 200.0)})


def estimated(cell: jm.Membrane, state: jm.State) -> np.ndarray:
    """ATP per second from the input resistance, for 3 Na+ and 2 K+."""
    p = {path: parameter.value for path, parameter in cell.parameters().items()}
    e_na, e_k = (nernst(p[f"{ion}.inside"], p[f"{ion}.outside"], 1, 37.0) for ion in ("na", "k"))
    return np.asarray(atp_per_second(jm.input_resistance(cell, state), state.v, e_na, e_k))


def pump(cell: jm.Membrane, rest: jm.RestingState) -> np.ndarray:
    return np.asarray(jm.budget(cell, rest).pumps["pump"])


def worst(value: np.ndarray, expected: np.ndarray | float) -> float:
    return float(np.max(np.abs(value / expected - 1)))


@plots.styled
def draw(kept: dict):
    scale, families = kept["leaks"][1], kept["family"][1]
    figure = plots.new_figure(8.4, 4.0)
    left, right = figure.subplots(1, 2)
    grown = kept["atp"][1][families.index("and Cl⁻")]
    left.loglog(scale, grown, color=plots.CYCLE[1], lw=2, label="pumps grown with the leaks, −70 mV")
    left.loglog(scale, kept["unpaid"][1], "o-", color=plots.CYCLE[0], ms=4, label="the same pumps for all")
    for i, place, ha in ((0, (26, -16), "left"), (-1, (0, -32), "right")):
        text = f"Na⁺ {kept['sodium'][1][i]:.0f} mM\n{kept['rest'][1][i]:.0f} mV".replace("-", "−")
        text = text.replace("\n", ", ") if i == 0 else text
        at = {"xytext": place, "textcoords": "offset points", "ha": ha, "color": plots.CYCLE[0]}
        left.annotate(text, (scale[i], kept["unpaid"][1][i]), **at)
    left.set(xlabel="leaks (times those of the preset)", ylabel="ATP (molecules/s)", title="Cost of rest against leaks")
    left.set_xlim(0.08, 13)
    left.legend(loc="upper left")
    ratio = np.median(kept["estimate"][1] / kept["atp"][1], axis=1)[::-1]
    right.barh(
        families[::-1], ratio, height=0.55, color=[plots.CYCLE[1] if x > 1.001 else plots.CYCLE[2] for x in ratio]
    )
    for i, x in enumerate(ratio):
        right.annotate(f"{x:.2f}", (x, i), (4, 0), textcoords="offset points", va="center")
    right.axvline(1, color="black", lw=0.8)
    right.set(xlabel="estimate over what the pump uses", ylabel="what leaks", title="Cost from the input resistance")
    right.set_xlim(0, 2.6)
    return plots.finish(
        figure,
        "What rest costs",
        "Left: with pumps that keep −70 mV the cost is proportional to the leaks; with the pumps of the preset Na⁺ rises until "
        "they run fast enough; beyond three times the leaks they cannot, and the cell runs down (here at fixed volume; a real "
        "one swells). Right: the input resistance tells the cost exactly where only Na⁺ and K⁺ leak through ohmic leaks; a "
        "resting Cl⁻ conductance costs nothing but lowers the resistance, so that the estimate is too high. (Sphere of 10 µm "
        "radius, 37 °C.)",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("energy_of_rest.h5"), help="HDF5 file; the figure goes beside it"
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
