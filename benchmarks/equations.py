"""The membranes whose rests are timed and counted, written out without jaxmem: an oracle, and what SciPy works on.

Every function takes the parameters of one cell and ``math``, or of many and NumPy (``xp``). v in mV, amounts in mM,
currents outward in uA/cm^2, time in ms. Sources of kinetics and numbers: the presets of the same names.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

FARADAY, GAS = 96485.33212331001, 8.31446261815324  # C/mol, J/(mol K)
IONS = ("na", "k", "cl")
Numbers = Mapping[str, Any]


def parameters_of(membrane: Any) -> dict[str, np.ndarray]:
    """path -> value of every parameter that has one, float64."""
    given = {path: p.value for path, p in membrane.parameters().items()}
    return {path: np.asarray(x, float) for path, x in given.items() if x is not None}


def one_cell(p: Numbers, cell: int) -> dict[str, float]:
    return {path: float(x[cell] if np.ndim(x) else x) for path, x in p.items()}


def relative(x: Any, xp: Any) -> Any:
    """x/(exp(x) - 1)."""
    if xp is math:
        return x / math.expm1(x) if abs(x) > 1e-9 else 1 - x / 2
    safe = np.where(np.abs(x) > 1e-9, x, 1.0)
    return np.where(np.abs(x) > 1e-9, safe / np.expm1(safe), 1 - x / 2)


# ---------------------------------------------------------------------- the squid of 1952, concentrations clamped
def squid_current(p: Numbers, xp: Any = np) -> Callable[[Any], Any]:
    """The steady-state current as a function of v."""
    g_na, g_k, g = p["sodium.g"], p["potassium.g"], p["leak.g"]
    e_na, e_k, e = p["sodium.e"], p["potassium.e"], p["leak.e"]
    exp = xp.exp

    def current(v: Any) -> Any:
        a, b = relative(-(v + 40) / 10, xp), 4 * exp(-(v + 65) / 18)
        m = a / (a + b)
        a, b = 0.07 * exp(-(v + 65) / 20), 1 / (1 + exp(-(v + 35) / 10))
        h = a / (a + b)
        a, b = 0.1 * relative(-(v + 55) / 10, xp), 0.125 * exp(-(v + 65) / 80)
        n = a / (a + b)
        return g_na * m**3 * h * (v - e_na) + g_k * n**4 * (v - e_k) + g * (v - e)

    return current


# ---------------------------------------------------------------------- leaks and a pump; a neuron with them
def gate_rates(p: Numbers, v: Any, xp: Any = np) -> tuple[Any, ...]:
    """Opening and closing rates (1/ms) of m, h, n of the neuron."""
    exp, phi = xp.exp, 3.0 ** ((p["celsius"] - 36) / 10)
    u, w = v - p["sodium.v_t"], v - p["potassium.v_t"]
    return (
        phi * 1.28 * relative((13 - u) / 4, xp), phi * 1.4 * relative((u - 40) / 5, xp),
        phi * 0.128 * exp((17 - u) / 18), phi * 4 / (1 + exp((40 - u) / 5)),
        phi * 0.16 * relative((15 - w) / 5, xp), phi * 0.5 * exp((10 - w) / 40),
    )  # fmt: skip


def pumped_currents(p: Numbers, xp: Any = np) -> Callable[..., tuple[Any, Any, Any]]:
    """(v, na, k, cl, m=None, h=None, n=None) -> net currents of Na+, K+, Cl-; gates not given stand at steady state."""
    log, exp = xp.log, xp.exp
    rt_f = 1000 * GAS * (p["celsius"] + 273.15) / FARADAY
    na_out, k_out, cl_out = (p[f"{ion}.outside"] for ion in IONS)
    i_max, km_na, hill_na = p["pump.i_max"], p["pump.km_na"], p["pump.hill_na"]
    by_k = k_out ** p["pump.hill_k"] / (k_out ** p["pump.hill_k"] + p["pump.km_k"] ** p["pump.hill_k"])
    half = km_na**hill_na
    ohmic, gated = "na_leak.g" in p, "sodium.g" in p
    x_na, x_k, x_cl = (p[f"{ion}_leak.{'g' if ohmic else 'p'}"] for ion in IONS)
    g_na, g_k = (p["sodium.g"], p["potassium.g"]) if gated else (0.0, 0.0)

    def currents(v: Any, na: Any, k: Any, cl: Any, m: Any = None, h: Any = None, n: Any = None) -> tuple[Any, Any, Any]:
        with_na = na**hill_na
        pump = i_max * by_k * with_na / (with_na + half)
        e_na, e_k, e_cl = rt_f * log(na_out / na), rt_f * log(k_out / k), -rt_f * log(cl_out / cl)
        if ohmic:
            i_na, i_k, i_cl = x_na * (v - e_na), x_k * (v - e_k), x_cl * (v - e_cl)
        else:
            # P z F (x/(1 - exp(-x))) (c_in - c_out exp(-x)), x = z v/RT/F; 1 cm/s mM C/mol is 1 uA/cm^2
            x, y = v / rt_f, -v / rt_f
            i_na = x_na * FARADAY * relative(-x, xp) * (na - na_out * exp(-x))
            i_k = x_k * FARADAY * relative(-x, xp) * (k - k_out * exp(-x))
            i_cl = -x_cl * FARADAY * relative(-y, xp) * (cl - cl_out * exp(-y))
        if gated:
            if m is None:
                a, b, c, d, e, f = gate_rates(p, v, xp)
                m, h, n = a / (a + b), c / (c + d), e / (e + f)
            i_na = i_na + g_na * m**3 * h * (v - e_na)
            i_k = i_k + g_k * n**4 * (v - e_k)
        return i_na + 3 * pump, i_k - 2 * pump, i_cl

    return currents


def per_charge(p: Numbers) -> Any:
    """mM of a monovalent ion per nC/cm^2 that it carries, in a sphere."""
    return 30 / (FARADAY * p["geometry.radius"])


def neutrality(p: Numbers) -> Callable[[Any, Any, Any], Any]:
    """(v, na, k) -> Cl- inside (mM): what the capacitor and the other ions leave."""
    anions = p["na.inside"] + p["k.inside"] - p["cl.inside"]
    charge, v_0 = per_charge(p) * p["capacitance"], p["initial_v"]
    return lambda v, na, k: na + k - anions - charge * (v - v_0)


def rest_equations(p: Numbers) -> Callable[[Any], tuple[Any, ...]]:
    """What is zero at rest, of one cell: net currents as a function of (v, ln na, ln k)."""
    currents, chloride, exp = pumped_currents(p, math), neutrality(p), math.exp

    def left(x: Any) -> tuple[Any, ...]:
        v, a, b = float(x[0]), exp(min(x[1], 20.0)), exp(min(x[2], 20.0))
        return currents(v, a, b, max(chloride(v, a, b), 1e-9))

    return left


def rest_jacobian(p: Numbers) -> Callable[[Any], Any]:
    """Of :func:`rest_equations`, for ohmic leaks without gates."""
    rt_f = 1000 * GAS * (p["celsius"] + 273.15) / FARADAY
    g_na, g_k, g_cl = (p[f"{ion}_leak.g"] for ion in IONS)
    n, half, k_out = p["pump.hill_na"], p["pump.km_na"], p["k.outside"]
    most = p["pump.i_max"] * k_out / (k_out + p["pump.km_k"])
    charge, chloride = per_charge(p) * p["capacitance"], neutrality(p)

    def slopes(x: Any) -> Any:
        v, a, b = float(x[0]), math.exp(min(x[1], 20.0)), math.exp(min(x[2], 20.0))
        share = a**n / (a**n + half**n)
        pump, y = most * n * share * (1 - share), g_cl * rt_f / max(chloride(v, a, b), 1e-9)
        return (
            (g_na, g_na * rt_f + 3 * pump, 0.0),
            (g_k, -2 * pump, g_k * rt_f),
            (g_cl + y * charge, -y * a, -y * b),
        )

    return slopes


def derivatives(p: Numbers) -> Callable[[float, Any], list[float]]:
    """d/dt of (v, ln na, ln k, ln cl[, m, h, n]) of one cell per ms, for an ODE solver."""
    currents, part, capacitance = pumped_currents(p, math), per_charge(p), p["capacitance"]
    gated, exp = "sodium.g" in p, math.exp

    def change(_: float, y: Any) -> list[float]:
        v, amounts, gates = float(y[0]), [exp(min(x, 20.0)) for x in y[1:4]], [float(x) for x in y[4:]]
        i_na, i_k, i_cl = currents(v, *amounts, *gates)
        na, k, cl = amounts
        out = [-(i_na + i_k + i_cl) / capacitance, -part * i_na / na, -part * i_k / k, part * i_cl / cl]
        if gated:
            a, b, c, d, e, f = gate_rates(p, v, math)
            m, h, n = gates
            out += [a - (a + b) * m, c - (c + d) * h, e - (e + f) * n]
        return out

    return change


def start(p: Numbers) -> list[float]:
    """The initial state for :func:`derivatives`."""
    return standing(p, p["initial_v"], [p[f"{ion}.inside"] for ion in IONS])


def standing(p: Numbers, v: float, amounts: list[float]) -> list[float]:
    """The state at this voltage and these amounts, gates at their steady states."""
    y = [v, *(math.log(max(x, 1e-9)) for x in amounts)]
    if "sodium.g" in p:
        a, b, c, d, e, f = gate_rates(p, v, math)
        y += [a / (a + b), c / (c + d), e / (e + f)]
    return y
