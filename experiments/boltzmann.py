"""Ions at random in a constant field: how many are on either side of a voltage, counted, against Boltzmann's formula.

Each ion walks along a line from inside (left) through a membrane with a constant field to outside (right). A step that costs
energy is taken with probability exp(-cost/kT), the others always (Metropolis): no formula for where the ions end up goes in.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import jaxmem as jm
from jaxmem import plots
from jaxmem.electrochemistry import boltzmann_ratio, nernst, thermal_voltage

QUESTION = "Do ions that move at random in a voltage end up in the ratio exp(-zVF/RT)?"
METROPOLIS = "N. Metropolis et al. 1953, J Chem Phys 21:1087, doi:10.1063/1.1699114"
INSIDE, OUTSIDE, LENGTH = 4.0, 8.0, 12.0  # nm: the membrane is between 4 and 8, walls at 0 and 12
STRIDE = 2.0  # nm, largest step
BINS = 48


def run(
    ions: int = 6000, steps: int = 600, warm_up: int = 200, every: int = 50, celsius: float = 37.0, heat: float = 1.0
):
    """(findings, results); ``heat`` scales the kT of the walk: 1 is physics."""
    v = np.linspace(-100.0, 100.0, 9)
    valence = np.array([-1.0, 1.0, 2.0])
    grid_v, grid_z = (x.ravel() for x in np.meshgrid(v, valence))
    counts = np.asarray(walk(grid_v, grid_z, ions, steps, warm_up, every, celsius, heat)).reshape(3, v.size, BINS)
    width = LENGTH / BINS
    x = (np.arange(BINS) + 0.5) * width
    left, right = counts[:, :, x < INSIDE].sum(-1), counts[:, :, x > OUTSIDE].sum(-1)
    # Samples are nearly independent (the walk forgets in some 30 steps): a binomial split of those outside the membrane.
    ratio, relative = left / np.maximum(right, 1), np.sqrt(1 / np.maximum(left, 1) + 1 / np.maximum(right, 1))
    expected = np.asarray(boltzmann_ratio(v, valence[:, None], celsius))
    off = np.log(np.maximum(ratio, 1e-9) / expected) / relative

    findings = jm.Findings(QUESTION)
    findings.expect("counts in the smaller compartment, fewest", np.minimum(left, right).min(), 10)
    # 27 numbers of a normal distribution: the largest beyond 4.5 in one of 5000 experiments, by chance.
    findings.expect("ratio inside/outside: worst, in standard errors", np.abs(off).max(), 0, 4.5, "1", METROPOLIS)
    findings.expect("rms of all, in standard errors", np.sqrt(np.mean(off**2)), 0.5, 1.6)
    slopes = [np.polyfit(v, np.log(ratio[k]), 1, w=1 / relative[k])[0] for k in range(3)]
    for z, slope in zip(valence, slopes, strict=True):
        e_fold = float(thermal_voltage(celsius)) / z
        findings.expect(f"z = {z:+g}: mV for a factor of e", -1 / slope, *sorted((0.97 * e_fold, 1.03 * e_fold)), "mV")
    back = np.asarray(nernst(ratio, 1.0, valence[:, None], celsius)) - v
    few = np.abs(back * np.abs(valence[:, None]) / thermal_voltage(celsius) / relative).max()
    findings.expect("Nernst potential of the counts less the voltage, in standard errors", few, 0, 4.5)
    density = counts / counts.sum(-1, keepdims=True) / width  # 1/nm
    closed = profile(x, v, valence, celsius)
    findings.expect("density everywhere against exp(-U/kT): rms, part of the mean",
                    np.sqrt(np.mean((density - closed) ** 2)) * LENGTH, 0, 0.1)  # fmt: skip
    return findings, {"x": x, "v": v, "valence": valence, "ratio": ratio, "error": ratio * relative,
                      "expected": expected, "density": density, "closed": closed}  # fmt: skip


def energy(x, v, valence, rt_f):
    """z V(x) in kT: v inside, falling along a straight line through the membrane to 0 outside."""
    return valence * v / rt_f * jnp.clip((OUTSIDE - x) / (OUTSIDE - INSIDE), 0.0, 1.0)


def walk(v, valence, ions: int, steps: int, warm_up: int, every: int, celsius: float, heat: float) -> jax.Array:
    """Counts per bin (voltages, bins) of independent walkers, from a uniform start, seen every so many steps."""
    rt_f = heat * float(thermal_voltage(celsius))
    v, valence = jnp.asarray(v, jnp.float32)[:, None], jnp.asarray(valence, jnp.float32)[:, None]
    edges = jnp.arange(v.shape[0])[:, None]

    def step(i, carry):
        x, counts = carry
        stride, chance = jax.random.uniform(jax.random.fold_in(key, i), (2, *x.shape))
        to = x + STRIDE * (2 * stride - 1)
        cost = energy(to, v, valence, rt_f) - energy(x, v, valence, rt_f)
        x = jnp.where((to > 0) & (to < LENGTH) & (jnp.log(chance) < -cost), to, x)
        seen = (i >= warm_up) & (i % every == 0)
        bins = jnp.minimum((x * (BINS / LENGTH)).astype(jnp.int32), BINS - 1)
        found = jax.lax.cond(seen, lambda: counts.at[edges, bins].add(1), lambda: counts)
        return x, found

    key = jax.random.key(20)
    start = LENGTH * jax.random.uniform(jax.random.fold_in(key, steps), (v.shape[0], ions))
    counts = jnp.zeros((v.shape[0], BINS), jnp.int32)
    return jax.jit(lambda x, n: jax.lax.fori_loop(0, steps, step, (x, n)))(start, counts)[1]


def profile(x, v, valence, celsius: float) -> np.ndarray:
    """Density in 1/nm by Boltzmann, (valences, voltages, bins), normalised over the whole line."""
    fine = (np.arange(4800) + 0.5) * LENGTH / 4800
    at = lambda x: np.exp(-np.asarray(energy(x, v[:, None], valence[:, None, None], thermal_voltage(celsius))))
    return at(x) / (at(fine).mean(-1, keepdims=True) * LENGTH)


@plots.styled
def draw(results: dict):
    figure = plots.new_figure(8.4, 3.9)
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    looks = {-1.0: (plots.CYCLE[2], "z = −1"), 1.0: (plots.CYCLE[1], "z = +1"), 2.0: (plots.CYCLE[3], "z = +2")}
    x, v = results["x"], results["v"]
    at = int(np.argmin(np.abs(v + 75.0)))
    top = 1.14 * results["density"][:, at].max()
    left.axvspan(INSIDE, OUTSIDE, color="0.92", zorder=0)
    for k, z in enumerate(results["valence"]):
        colour, name = looks[float(z)]
        left.stairs(
            results["density"][k, at], np.linspace(0, LENGTH, BINS + 1), color=colour, lw=1.4, label=name, baseline=None
        )
        left.plot(x, results["closed"][k, at], color="black", lw=0.8, ls="--")
        right.errorbar(
            v, results["ratio"][k], results["error"][k], fmt="o", ms=4.5, color=colour, capsize=2, label=name
        )
        right.plot(v, results["expected"][k], color="black", lw=0.8, ls="--", zorder=0)
    left.set(xlabel="distance (nm)", ylabel="density of ions (1/nm)", xlim=(0, LENGTH), ylim=(0, top),
             title=f"Where ions are at {v[at]:.0f} mV".replace("-", "−"))  # fmt: skip
    for place, text in ((2, "inside"), (6, "membrane"), (10, "outside")):
        left.annotate(text, (place, 0.98), xycoords=("data", "axes fraction"), ha="center", va="top", color="0.35")
    right.axhline(1, color="0.8", lw=0.8, zorder=0)
    right.set(yscale="log", xlabel="voltage, inside less outside (mV)", ylabel="ions inside / outside",
              title="How many on either side")  # fmt: skip
    left.legend(loc="center right")
    return plots.finish(
        figure,
        "Ions that move at random distribute as exp(−zVF/RT)",
        "Coloured: counted after a random walk in which steps uphill are taken with probability exp(−cost/kT). Dashed: "
        "Boltzmann's formula; solved for the voltage it is Nernst's. Standard errors are smaller than the dots. "
        "37 °C: a factor of e for each 26.7 mV of a monovalent ion, half as many for a divalent one.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=f"{__doc__}\n{QUESTION}\n\nExample: python experiments/boltzmann.py -o boltzmann.h5",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("boltzmann.h5"), help="HDF5 file; the figure goes beside it"
    )
    output = parser.parse_args().output
    findings, results = run(ions=20_000, steps=1500)
    print(findings)
    pair, everywhere = ("valence", "voltage"), ("valence", "voltage", "distance")
    jm.save_variables(
        output,
        {
            "ratio": (pair, results["ratio"], "1", "ions inside over outside, counted"),
            "error": (pair, results["error"], "1", "its standard error"),
            "expected": (pair, results["expected"], "1", "exp(-zVF/RT)"),
            "density": (everywhere, results["density"], "1/nm", "density of ions, counted"),
            "closed": (everywhere, results["closed"], "1/nm", "density of ions by Boltzmann's formula"),
        },
        coordinates={
            "voltage": (results["v"], "mV", "inside less outside"),
            "valence": (results["valence"], "1", "charge of the ion"),
            "distance": (results["x"], "nm", "middle of the bin; membrane from 4 to 8"),
        },
        attributes=findings.attributes,
        overwrite=True,
    )
    plots.save(draw(results), output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
