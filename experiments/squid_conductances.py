"""Rate constants of the squid axon's channels from clamp curves, each depolarisation fitted by itself, as in 1952.

Under an ideal clamp gates relax as exponentials: a step's potassium conductance is fixed by where it goes and how fast, its
sodium conductance by a size and two time constants. These are fitted to the points of each curve, all curves at once, and
turned into rates of opening and closing as Hodgkin and Huxley did. Without --data the curves are simulated with their
equations, sampled as theirs were, and noisy; with it (columns conductance, depolarisation_mV, t_ms, g_mS_cm2) they are
measured ones.
"""

import argparse
import csv
import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import jaxmem as jm
from jaxmem import plots

QUESTION = "Which rates of opening and closing do the conductances of the clamped squid axon tell, and which not?"
PAPER = "A. L. Hodgkin & A. F. Huxley 1952, J Physiol 117:500, doi:10.1113/jphysiol.1952.sp004764"
STEPS = np.array(
    [6.0, 10.0, 19.0, 26.0, 32.0, 38.0, 51.0, 63.0, 76.0, 88.0, 100.0, 109.0]
)  # mV, those of figures 3 and 6
HOLDING, ONSET = -65.0, 1.0  # mV, ms
LATE = np.linspace(0.0, 0.3, 13)  # ms
NOISE = 0.015  # of a curve's largest point
TOLD = 0.15  # standard error of ln(rate) up to which a curve is said to tell the rate
Curves = dict[tuple[str, float], np.ndarray]


class PotassiumStep(jm.Mechanism):
    """``g = (g_end^1/4 - (g_end^1/4 - g_start^1/4) exp(-t/tau))^4`` at the time ``t`` after a step: equation 11 of the paper."""

    g_start: jm.Number = jm.parameter("mS/cm^2", "conductance before the step", default=0.24, positive=True)
    g_end: jm.Number = jm.parameter("mS/cm^2", "conductance long after it", default=10.0, positive=True)
    tau: jm.Number = jm.parameter("ms", "time constant of n", default=3.0, positive=True)
    t: jm.Number = jm.parameter("ms", "time since the step", default=1.0, minimum=0.0)

    @property
    def conductance(self) -> jax.Array:
        start, end = jnp.sqrt(jnp.sqrt(self.g_start)), jnp.sqrt(jnp.sqrt(self.g_end))
        return (end - (end - start) * jnp.exp(-self.t / self.tau)) ** 4


class SodiumStep(jm.Mechanism):
    """``g = m^3 h/h_0`` at ``t`` after a step, with m relaxing as n does and h/h_0 from 1 to ``left``: equations 17 to 19."""

    g_start: jm.Number = jm.parameter("mS/cm^2", "conductance before the step", default=0.01, positive=True)
    g_all: jm.Number = jm.parameter("mS/cm^2", "maximal conductance times m_inf^3 h_0", default=20.0, positive=True)
    tau_m: jm.Number = jm.parameter("ms", "time constant of m", default=0.3, positive=True)
    tau_h: jm.Number = jm.parameter("ms", "time constant of h", default=1.0, positive=True)
    left: jm.Number = jm.parameter("1", "h_inf/h_0", default=0.0, minimum=0.0)
    late: jm.Number = jm.parameter("ms", "by which the points are later than told", default=0.0, minimum=0.0)
    t: jm.Number = jm.parameter("ms", "time since the step, as told", default=1.0, minimum=0.0)

    @property
    def conductance(self) -> jax.Array:
        t = self.t + self.late
        start, end = jnp.cbrt(self.g_start), jnp.cbrt(self.g_all)
        h = self.left + (1 - self.left) * jnp.exp(-t / self.tau_h)
        return (end - (end - start) * jnp.exp(-t / self.tau_m)) ** 3 * h


def conductance(membrane: jm.Membrane, rest: jm.RestingState) -> jax.Array:
    return membrane.mechanisms["curve"].conductance


FREE: dict[str, dict[str, jm.Free]] = {
    "gK": {
        "curve.g_end": jm.Free(0.05, 100.0),
        "curve.tau": jm.Free(0.2, 60.0),
        "curve.g_start": jm.Free(0.05, 2.0, shared=True),
    },
    "gNa": {
        "curve.g_all": jm.Free(0.005, 1000.0),
        "curve.tau_m": jm.Free(0.01, 2.0),
        "curve.tau_h": jm.Free(0.1, 60.0),
    },
}


@dataclasses.dataclass(frozen=True)
class Fitted:
    """Fits of the curves of one conductance, arrays over curves last: numbers by name, conductances at the points, residuals in
    standard deviations and their derivatives by the logarithms of the curve's own numbers ``own``."""

    numbers: dict[str, np.ndarray]
    own: list[str]
    conductance: np.ndarray
    residuals: np.ndarray
    derivatives: np.ndarray
    settled: np.ndarray


def run(data: Path | None = None, seed: int = 1, h_always: bool = False):
    """(variables to keep, findings, points, fits by conductance); ``h_always``: sodium channels that never inactivate."""
    findings = jm.Findings(QUESTION)
    curves = read(data) if data else simulated(seed)
    fits, kept = {}, {"depolarisation": ("curve", STEPS, "mV", "from the holding potential of -65 mV")}
    for name in ("gK", "gNa"):
        t, g = padded({step: points for (what, step), points in curves.items() if what == name})
        fits[name] = fit = fitted(name, t, g, h_always)
        own = rms(fit.conductance - g) / np.nanmax(g, 0)
        then, scale, late = of_1952(name, t, g)
        before = rms(then - g) / np.nanmax(g, 0)
        findings.expect(f"{name}: curves at a least of their residuals, of 12", fit.settled.sum(), 11, 12)
        findings.expect(f"{name}: rms residual of the fits, % of the curve's largest", 100 * rms(own), 0, 7)
        what = f"{name}: the same of the rates of 1952 and one largest conductance"
        findings.expect(what, 100 * rms(before), 0, 15)
        findings.expect(f"{name}: residual of a curve over that of 1952, worst", np.max(own / before), 0, 1.0001)
        findings.expect(f"{name}: largest conductance over that of 1952", scale, 0.3, 1.1, source=PAPER)
        if data is None:
            findings.expect(f"{name}: rms residual of the fits over the noise", rms(own) / NOISE, 0.6, 1.1)
        kept |= {
            f"{name}/residual": ("curve", own, "1", "rms residual of the fit over the curve's largest point"),
            f"{name}/residual_1952": ("curve", before, "1", "the same of the rates of 1952"),
        }
        if name == "gNa":
            findings.expect("gNa: points later than told by, fitted", fit.numbers["late"][0], 0, 0.2, "ms")
            findings.expect("gNa: the same for the rates of 1952", late, 0, 0.2, "ms")
    for what, (value, error) in rates(fits).items():
        then, told = rates_1952(what), error < TOLD
        ratio, (low, high) = value / then, (0.5, 2.0) if data else (0.9, 1.1)
        findings.expect(f"{what}: curves that tell it, of 12", told.sum(), 5, 12)
        middle = np.median(ratio[told]) if told.any() else np.nan
        findings.expect(f"{what}: fitted over 1952, median of those", middle, low, high, source=PAPER)
        if data is None:
            off = np.median(np.abs(np.log(ratio[told])) / error[told]) if told.any() else np.nan
            findings.expect(f"{what}: distance from the truth in standard errors, median", off, 0, 1.5)
        kept |= {
            what: ("curve", value, "1/ms", "rate from the fit of one curve"),
            f"{what}_error": ("curve", error, "1", "standard error of its logarithm"),
            f"{what}_1952": ("curve", then, "1/ms", "the formula of 1952"),
        }
    return kept, findings, curves, fits


def simulated(seed: int) -> Curves:
    """Conductances of the axon of 1952 under a clamp, at the times of about a dozen points of each curve, with noise."""
    axon = jm.presets.hodgkin_huxley_1952().with_parameters({"initial_v": HOLDING})
    clamp = jm.VoltageClamp.steps(HOLDING, HOLDING + STEPS, ONSET, ONSET + 12.0)
    record = jm.Record(["v", "sodium.i_na", "potassium.i_k"], every=0.01)
    sim = jm.simulate(axon, ONSET + 12.0, dt=0.01, stimulus=clamp, record=record)
    rng, curves = np.random.default_rng(seed), {}
    for name, current, e, end in (("gK", "potassium.i_k", -77.0, 11.5), ("gNa", "sodium.i_na", 50.0, 6.0)):
        for i, step in enumerate(STEPS):
            t = np.geomspace(0.12, end / (1 + step / 100), 13)
            g = np.interp(t, sim.time - ONSET, sim.traces[current][:, i] / (sim.traces["v"][:, i] - e))
            curves[name, step] = np.stack([t, g + NOISE * g.max() * rng.standard_normal(t.size)], 1)
    return curves


def read(path: Path) -> Curves:
    """(conductance, depolarisation) -> rows of (t, g)."""
    points: dict[tuple[str, float], list] = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            key = row["conductance"], float(row["depolarisation_mV"])
            points.setdefault(key, []).append((float(row["t_ms"]), float(row["g_mS_cm2"])))
    return {key: np.array(rows) for key, rows in points.items()}


def padded(curves: dict[float, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Times and conductances (points, curves) in the order of STEPS; g is NaN where a curve has no more points."""
    size = max(map(len, curves.values()))
    t, g = np.ones((size, len(STEPS))), np.full((size, len(STEPS)), np.nan)
    for i, step in enumerate(STEPS):
        points = curves[step]
        t[: len(points), i], g[: len(points), i] = points.T
    return t, g


def fitted(name: str, t: np.ndarray, g: np.ndarray, h_always: bool = False) -> Fitted:
    """All curves of one conductance, a cell each, its points the conditions ``curve.t``.

    Of sodium every curve is fitted for each of LATE, and the lateness with which all curves together leave least is taken:
    of curves as steep as these the zero of time is known to no better.
    """
    largest, lates = np.nanmax(g, 0), LATE if name == "gNa" else LATE[:1]
    each = lambda x: np.tile(x, len(lates))
    if name == "gK":
        curve = PotassiumStep(g_end=largest, tau=1 / sum(formula("n", STEPS)))
    else:
        (a, b), (a0, b0) = formula("h", STEPS), formula("h", np.zeros(1))
        (m, c), (m0, c0) = formula("m", STEPS), formula("m", np.zeros(1))
        h0, size = a0 / (a0 + b0), 120 * of_1952(name, t, g)[1]
        curve = SodiumStep(
            g_start=size * (m0 / (m0 + c0)).item() ** 3 * h0.item(), g_all=each(size * (m / (m + c)) ** 3 * h0),
            tau_m=each(1 / (m + c)), tau_h=each(1 / (a + b)), left=each(a / (a + b) / h0 if not h_always else np.ones_like(a)),
            late=np.repeat(lates, len(STEPS)),
        )  # fmt: skip
    membrane = jm.Membrane({"curve": curve, "leak": jm.Leak(g=0.3, e=HOLDING, ion="k")}, {"k": jm.Species()})
    points = jm.Target(each(g), sd=each(NOISE * largest), at=[{"curve.t": x} for x in each(t)], of=conductance)
    fit = jm.fit(membrane, free=FREE[name], targets={"g": points}, method=jm.LevenbergMarquardt(iterations=400))
    by_late = lambda x: np.asarray(x).reshape((*np.shape(x)[:-1], len(lates), len(STEPS)))
    best = int(np.argmin(by_late(fit.cost).sum(-1)))
    take = lambda x: by_late(x)[..., best, :]
    own = [path for path, f in fit.free.items() if not f.shared]
    fixed = fit.membrane.parameters()
    numbers = {p: np.broadcast_to(fixed[f"curve.{p}"].value, each(largest).shape) for p in curve_numbers(curve)}
    return Fitted(
        numbers={p: take(x) for p, x in numbers.items()}, own=[p.removeprefix("curve.") for p in own],
        conductance=take(fit.values["g"]), residuals=take(fit.residuals["g"]),
        derivatives=take(fit.jacobian)[: len(t), [list(fit.free).index(p) for p in own]],
        settled=np.isin(take(fit.status), [jm.FitStatus.CONVERGED, jm.FitStatus.STATIONARY, jm.FitStatus.AT_BOUND]),
    )  # fmt: skip


def curve_numbers(curve: jm.Mechanism) -> list[str]:
    return [field.name for field in dataclasses.fields(curve) if field.name != "t"]


def rms(x: np.ndarray, axis: int = 0) -> np.ndarray:
    return np.sqrt(np.nanmean(np.square(x), axis))


def formula(gate: str, depolarisation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Opening and closing (1/ms): equations 12, 13, 20, 21, 23, 24 of the paper."""
    u = np.asarray(depolarisation)
    ramp = lambda x: np.where(np.abs(x) < 1e-6, 1 - x / 2, x / np.expm1(np.where(np.abs(x) < 1e-6, 1, x)))
    return {
        "n": (0.1 * ramp((10 - u) / 10), 0.125 * np.exp(-u / 80)),
        "m": (ramp((25 - u) / 10), 4 * np.exp(-u / 18)),
        "h": (0.07 * np.exp(-u / 20), 1 / (np.exp((30 - u) / 10) + 1)),
    }[gate]


def rates_1952(what: str) -> np.ndarray:
    return formula(what[-1], STEPS)[what.startswith("beta")]


def of_1952(name: str, t: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Conductances by the rates of 1952 at the points, the largest conductance and the lateness of points that fit best."""

    def gate(which: str, t: np.ndarray) -> np.ndarray:
        (a, b), (a0, b0) = formula(which, STEPS), formula(which, np.zeros(1))
        return a / (a + b) - (a / (a + b) - a0 / (a0 + b0)) * np.exp(-t * (a + b))

    best = None
    weight = 1 / np.nanmax(g, 0)
    for late in np.linspace(0, 0.3, 31) if name == "gNa" else [0.0]:
        x = 36 * gate("n", t) ** 4 if name == "gK" else 120 * gate("m", t + late) ** 3 * gate("h", t + late)
        there = ~np.isnan(g)
        scale = np.sum((x * g * weight**2)[there]) / np.sum((x * x * weight**2)[there])
        left = np.nansum(np.square((scale * x - g) * weight))
        if best is None or left < best[0]:
            best = left, scale * x, scale, late
    return best[1:]


def rates(fits: dict[str, Fitted]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Rates (1/ms) of each curve and the standard errors of their logarithms, from the scatter of the curve's own points.

    The largest conductances are such that n_inf at the largest depolarisation, and m_inf at the largest four, are those of
    1952: a curve tells only their product. Inactivation at rest and in the end is that of 1952 too, from other experiments.
    """
    steady = lambda gate: formula(gate, STEPS)[0] / sum(formula(gate, STEPS))
    k, na = fits["gK"].numbers, fits["gNa"].numbers
    n = steady("n")[-1] * (k["g_end"] / k["g_end"][-1]) ** 0.25
    m = (na["g_all"] / np.median(na["g_all"][-4:] / steady("m")[-4:] ** 3)) ** (1 / 3)
    none, all_of = np.zeros_like(n), np.ones_like(n)
    found = {  # rate, fit, and derivatives of its logarithm by those of the curve's own numbers
        "alpha_n": (n / k["tau"], "gK", (all_of / 4, -all_of)),
        "beta_n": ((1 - n) / k["tau"], "gK", (-0.25 * n / (1 - n), -all_of)),
        "alpha_m": (m / na["tau_m"], "gNa", (all_of / 3, -all_of, none)),
        "beta_h": ((1 - steady("h")) / na["tau_h"], "gNa", (none, none, -all_of)),
    }
    return {what: (x, standard_error(fits[name], np.stack(parts, 1))) for what, (x, name, parts) in found.items()}


def standard_error(fit: Fitted, parts: np.ndarray) -> np.ndarray:
    """Of the sum of ``parts`` (curves, numbers) times the logarithms; what is not the curve's own is taken as known."""
    j = np.moveaxis(np.nan_to_num(fit.derivatives), -1, 0)  # (curves, points, numbers)
    spare = (~np.isnan(fit.residuals)).sum(0) - len(fit.own)
    information = np.swapaxes(j, 1, 2) @ j
    least = 1e-12 * np.trace(information, axis1=1, axis2=2)[:, None, None]  # what is not told at all has a large error
    covariance = np.linalg.inv(information + least * np.eye(len(fit.own)))
    return np.sqrt(np.nansum(fit.residuals**2, 0) / spare * np.einsum("ci,cij,cj->c", parts, covariance, parts))


@plots.styled
def draw(kept: dict, curves: Curves, fits: dict):
    from matplotlib import colormaps

    figure = plots.new_figure(8.4, 6.4)
    axes = figure.subplots(2, 2)
    colours = colormaps["viridis"](np.linspace(0, 0.9, len(STEPS)))
    for ax, name, end in ((axes[0, 0], "gK", 11.5), (axes[0, 1], "gNa", 5.0)):
        dense = np.linspace(0, end, 300)[:, None]
        kind = PotassiumStep if name == "gK" else SodiumStep
        lines = kind(**fits[name].numbers, t=dense).conductance
        for i, step in enumerate(STEPS):
            ax.plot(dense, np.asarray(lines)[:, i], color=colours[i], lw=1.2)
            ax.plot(*curves[name, step].T, ".", color=colours[i], ms=4)
        ax.set(
            xlim=(-0.15, end), xlabel="time after the step (ms)", ylabel="conductance (mS/cm²)",
            title={"gK": "Potassium: points, fits", "gNa": "Sodium: points, fits"}[name],
        )  # fmt: skip
    for ax, pair in ((axes[1, 0], ("alpha_n", "beta_n")), (axes[1, 1], ("alpha_m", "beta_h"))):
        for what, colour in zip(pair, plots.CYCLE, strict=False):
            value, error = kept[what][1], kept[f"{what}_error"][1]
            told = error < TOLD
            label = (
                what.replace("alpha", "α").replace("beta", "β").replace("_n", "ₙ").replace("_m", "ₘ").replace("_h", "ₕ")
            )
            ax.errorbar(STEPS[told], value[told], value[told] * error[told], fmt="o", ms=4, color=colour, label=label)
            ax.plot(STEPS[~told], value[~told], "o", ms=4, mfc="none", color=colour)
            ax.plot(STEPS, kept[f"{what}_1952"][1], color=colour, lw=1)
        ax.set(
            yscale="log", xlabel="depolarisation (mV)", ylabel="rate (1/ms)", title="Rates: fitted, and of 1952 (lines)"
        )
        ax.legend(loc="best")
    return plots.finish(
        figure,
        "Rates of opening and closing from clamp curves",
        "Above: conductances after steps of 6 (dark) to 109 mV (light), each curve fitted by itself. Below: the rates that follow; "
        "lines: the formulas of 1952. Open: the curve leaves the rate uncertain by more than "
        f"{100 * TOLD:.0f} %, though it is fitted well.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("squid_conductances.h5"), help="HDF5 file; the figure goes beside it"
    )
    parser.add_argument("--data", type=Path, help="CSV of measured conductances to fit instead")
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    kept, findings, curves, fits = run(given.data)
    print(findings)
    jm.save_variables(given.output, kept, overwrite=True, attributes=findings.attributes)
    plots.save(draw(kept, curves, fits), given.output.with_suffix(".png"))
    findings.check()


if __name__ == "__main__":
    main()
