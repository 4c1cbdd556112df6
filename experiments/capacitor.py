"""The membrane as a capacitor: how strong its field is, how few ions charge it, and where they stand.

Twice each: Poisson's and Boltzmann's equations solved on a grid across solution, membrane and solution, against the formulas
of a plate; and cells of 0.5 to 250 um that charge themselves through a potassium leak, whose lost potassium is counted.
"""

import argparse
from pathlib import Path

import jax
import numpy as np
import scipy.linalg

import jaxmem as jm
from jaxmem import plots
from jaxmem.electrochemistry import (
    debye_length,
    dielectric_thickness,
    electric_field,
    excess_charges,
    excess_fraction,
    ions_in,
    membrane_capacitance,
    thermal_voltage,
    water_permittivity,
)
from jaxmem.units import ELEMENTARY_CHARGE, FARADAY, VACUUM_PERMITTIVITY

QUESTION = "How few ions make the membrane potential, and how strong a field?"
V, SALT, CELSIUS = -70.0, 150.0, 37.0  # mV, mM of a monovalent salt on both sides, degC
LIPID = 2.0  # relative permittivity of hydrocarbon
FRICKE = "H. Fricke 1925, Phys Rev 26:682, doi:10.1103/PhysRev.26.682"


def run(points: int = 400, cells: int = 28, squeezed: float = 1.0):
    """(simulation, findings, profile); ``squeezed`` scales the membrane's thickness on the grid alone: 1 is physics."""
    findings = jm.Findings(QUESTION)
    thickness = findings.expect(
        "thickness of a plate of 1 uF/cm^2 at eps_r 2", dielectric_thickness(1.0, LIPID), 1.76, 1.78, "nm"
    )
    bilayer = membrane_capacitance(LIPID, np.array([4.0, 5.0]))
    findings.expect("capacitance of a plate of 4 nm", bilayer[0], 0.44, 0.45, "uF/cm^2")
    findings.expect("capacitance of a plate of 5 nm", bilayer[1], 0.35, 0.36, "uF/cm^2")
    findings.expect("red cells: 3.3 nm if eps_r is 3", membrane_capacitance(3.0, 3.3), 0.8, 0.82, "uF/cm^2", FRICKE)

    x, psi, charge = solved(thickness * squeezed, points)
    across = float(np.interp(0, x, psi) - np.interp(thickness * squeezed, x, psi))
    middle = float(np.interp(0.25, x / (thickness * squeezed), psi) - np.interp(0.75, x / (thickness * squeezed), psi))
    field = 1e6 * middle / (0.5 * thickness * squeezed)  # mV/nm -> V/m
    told = float(electric_field(across, thickness))
    findings.expect("field in the membrane", field, -4.1e7, -3.7e7, "V/m")
    findings.expect("field over that of the plate", field / told, 0.999, 1.001)
    findings.expect("field of 70 mV on 4 nm", electric_field(V, 4.0), -1.75e7 - 1, -1.75e7 + 1, "V/m")
    number = 1e-12 * charge / ELEMENTARY_CHARGE  # C/m^2 -> per um^2
    findings.expect("elementary charges per um^2, of either sign", abs(number), 4100, 4400)
    findings.expect("charges counted over C V/q", number / float(excess_charges(across, 1.0, 1.0)), 0.999, 1.001)
    debye = float(debye_length(SALT, CELSIUS))
    cloud = (x > thickness * squeezed + 0.2) & (x < thickness * squeezed + 3.0)
    found = -1 / np.polyfit(x[cloud], np.log(np.abs(psi[cloud])), 1)[0]
    findings.expect("Debye length: decay of the potential in the solution", found, 0.995 * debye, 1.005 * debye, "nm")
    layer = 1e11 * VACUUM_PERMITTIVITY * float(water_permittivity(CELSIUS)) / debye  # uF/cm^2
    series = 1 / (1 + 2 / layer)
    findings.expect("part of the voltage that falls in the membrane", across / V, series - 0.002, series + 0.002)

    sim = charged(cells)
    v, k = sim.final_state.v, sim.traces["k.inside"]
    radius = np.asarray(sim.membrane.geometry.radius)
    area, volume = 4 * np.pi * radius**2, 4 / 3 * np.pi * radius**3
    lost = (k[-1] - k[0]) / k[0]
    formula = np.asarray(excess_fraction(v, 1.0, area, volume, 140.0))
    findings.expect("K+ lost by charging over C V/(F K+), worst", np.abs(lost / formula - 1).max(), 0, 1e-6)
    ten = int(np.argmin(np.abs(radius - 10.0)))
    at_ten = findings.expect("part of its K+ that a cell of 10 um uses", -lost[ten] * radius[ten] / 10, 1.5e-5, 1.6e-5)
    findings.expect("fall of its K+", 140e6 * at_ten, 2.1e3, 2.25e3, "nM")
    moved = abs(float(excess_charges(v[ten], 1.0, 4 * np.pi * 100)))
    findings.expect("ions that leave it", moved, 5.4e6, 5.6e6)
    findings.expect("of those it has", float(ions_in(4 / 3 * np.pi * 1e3, 140.0)), 3.4e11, 3.7e11)
    profile = {"x": x, "psi": psi, "thickness": np.asarray(thickness), "debye": np.asarray(debye), "radius": radius,
               "lost": -lost, "formula": -formula}  # fmt: skip
    return sim, findings, profile


def solved(thickness: float, points: int, reach: float = 8.0) -> tuple[np.ndarray, np.ndarray, float]:
    """Position (nm), potential (mV) and the charge inside (C/m^2): Poisson-Boltzmann with a plate without charges in it.

    Finite volumes on a grid that is finest at both faces, ``points`` in each solution; Newton's method.
    """
    near = np.expm1(np.linspace(0, np.log1p(reach / 0.05), points)) * 0.05
    x = np.concatenate([-near[::-1], np.linspace(0, thickness, points // 4)[1:-1], thickness + near])
    step = np.diff(x) * 1e-9
    lipid = (x[:-1] >= 0) & (x[1:] <= thickness)
    eps = VACUUM_PERMITTIVITY * np.where(lipid, LIPID, float(water_permittivity(CELSIUS)))
    solution = np.where(lipid, 0.0, step)
    volume = 0.5 * (np.append(solution, 0) + np.insert(solution, 0, 0))  # m of solution that belong to each point
    bulk, rt_f = np.where(x <= 0.5 * thickness, V, 0.0), float(thermal_voltage(CELSIUS))
    psi = np.clip(V * (1 - x / thickness), V, 0.0)
    for _ in range(30):
        flux = eps * np.diff(psi) * 1e-3 / step
        u = (psi - bulk) / rt_f
        wrong = np.diff(flux)[:] + (-2 * FARADAY * SALT * np.sinh(u) * volume)[1:-1]
        slope = 1e-3 * eps / step
        bands = np.zeros((3, x.size - 2))
        bands[0, 1:], bands[2, :-1] = slope[1:-1], slope[1:-1]
        bands[1] = -slope[:-1] - slope[1:] - (2 * FARADAY * SALT * np.cosh(u) / rt_f * volume)[1:-1]
        move = scipy.linalg.solve_banded((1, 1), bands, -wrong)
        psi[1:-1] += move
        if np.abs(move).max() < 1e-10:
            break
    else:
        raise RuntimeError("Poisson-Boltzmann did not converge in 30 steps; take more points")
    density = -2 * FARADAY * SALT * np.sinh((psi - bulk) / rt_f)
    return x, psi, float(np.sum((density * volume)[x <= 0]))


def charged(cells: int) -> jm.Simulation:
    """Cells of all sizes, without voltage at first, that potassium leaves until it stands still."""
    membrane = jm.Membrane(
        mechanisms={"k_leak": jm.GHKLeak(p=1e-6)},
        species={"k": jm.Species(inside=140.0, outside=10.15, dynamic=("inside",))},
        geometry=jm.Sphere(radius=np.geomspace(0.5, 250.0, cells)),
        capacitance=1.0,
        celsius=CELSIUS,
        initial_v=0.0,
    )
    return jm.simulate(membrane, 500.0, record=jm.Record(["v", "k.inside"], every=10.0))


@plots.styled
def draw(profile: dict):
    figure = plots.new_figure(8.4, 3.9)
    left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
    d, debye = float(profile["thickness"]), float(profile["debye"])
    left.axvspan(0, d, color="0.9", zorder=0)
    left.plot(profile["x"], profile["psi"], color=plots.CYCLE[1], lw=1.8)
    for low in (-debye, d):
        left.axvspan(low, low + debye, color=plots.CYCLE[4], alpha=0.22, lw=0, zorder=0)
    left.set(xlim=(-3.2, d + 3.2), ylim=(-76, 5), xlabel="distance (nm)", ylabel="potential (mV)",
             title="Across the membrane")  # fmt: skip
    for place, text in ((-2.0, "inside"), (d / 2, "membrane"), (d + 2.0, "outside")):
        left.annotate(text, (place, 1.0), xycoords=("data", "axes fraction"), ha="center", va="top", color="0.35")
    right.loglog(profile["radius"], profile["lost"], "o", ms=4.5, color=plots.ION_COLOURS["k"], label="simulated cells")
    right.loglog(profile["radius"], profile["formula"], color="black", lw=0.9, ls="--", label="3 C V/(F K⁺ r)")
    right.set(xlabel="radius of the cell (µm)", ylabel="part of its K⁺ that charges the membrane",
              title="What it costs in ions")  # fmt: skip
    right.legend(loc="upper right")
    return plots.finish(
        figure,
        "Seventy millivolts are 16 in a million ions of a cell of 10 µm, and a field of 39 million V/m",
        f"Left: Poisson's and Boltzmann's equations solved, 150 mM on both sides. Orange: one Debye length ({debye:.2f} nm); the "
        "clouds take 2 % of the voltage. 1 µF/cm² with the permittivity 2 of hydrocarbon needs this membrane of 1.8 nm; 4 to 5 "
        "nm, as books draw it, would have 0.44 to 0.35 µF/cm², and a field of 18 to 14 million V/m. Right: K⁺ lost by a cell that "
        "charges itself to −70 mV.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=f"{__doc__}\n{QUESTION}\n\nExample: python experiments/capacitor.py -o capacitor.h5",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("capacitor.h5"), help="HDF5 file; the figure goes beside it"
    )
    output = parser.parse_args().output
    jax.config.update("jax_enable_x64", True)  # parts in a hundred thousand, of a hundred thousand
    _, findings, profile = run()
    print(findings)
    jm.save_variables(
        output,
        {
            "potential": (("distance",), profile["psi"], "mV", "potential across solution, membrane and solution"),
            "thickness": ((), profile["thickness"], "nm", "thickness of the membrane, from distance 0 on"),
            "debye": ((), profile["debye"], "nm", "Debye length of the solutions"),
            "lost": (("radius",), profile["lost"], "1", "part of its potassium that a cell loses by charging itself"),
            "formula": (("radius",), profile["formula"], "1", "the same by C V area/(F volume concentration)"),
        },
        coordinates={
            "distance": (profile["x"], "nm", "distance from the inner face"),
            "radius": (profile["radius"], "um", "radius of the cell"),
        },
        attributes=findings.attributes,
        overwrite=True,
    )
    plots.save(draw(profile), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
