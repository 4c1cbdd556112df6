"""Rests in fifty digits, from equations written out: the squid of 1952, and a cell of leaks and a pump.

mpmath alone: an oracle for jaxmem.resting_state. Sources of the equations as in the presets.
"""

from collections.abc import Callable, Mapping, Sequence

import mpmath as mp

DIGITS = 50
FARADAY, RT_F_PER_KELVIN = mp.mpf("96485.33212331001"), mp.mpf("8.31446261815324") / mp.mpf("96485.33212331001") * 1000

# ---------------------------------------------------------------------- Hodgkin & Huxley (1952), table 3, v from -65 mV
SQUID = ("sodium.g", "potassium.g", "leak.g", "sodium.e", "potassium.e", "leak.e", "celsius", "capacitance")
Q10_G = {"sodium": 1.3, "potassium": 1.5, "leak": 1.4}  # of the conductances, so that temperature matters at rest


def squid_current(v: mp.mpf, *p: mp.mpf) -> mp.mpf:
    """The steady-state current over the capacitance (minus dv/dt), at the parameters of ``SQUID``."""
    g_na, g_k, g_l, e_na, e_k, e_l, celsius, capacitance = p
    u = -65 - v  # as published: depolarisation is negative
    am, bm = mp.mpf("0.1") * (u + 25) / mp.expm1((u + 25) / 10), 4 * mp.exp(u / 18)
    ah, bh = mp.mpf("0.07") * mp.exp(u / 20), 1 / (mp.exp((u + 30) / 10) + 1)
    an, bn = mp.mpf("0.01") * (u + 10) / mp.expm1((u + 10) / 10), mp.mpf("0.125") * mp.exp(u / 80)
    m, h, n = am / (am + bm), ah / (ah + bh), an / (an + bn)
    warm = lambda q10: mp.mpf(q10) ** ((celsius - mp.mpf(6.3)) / 10)
    i = warm(Q10_G["sodium"]) * g_na * m**3 * h * (v - e_na)
    i += warm(Q10_G["potassium"]) * g_k * n**4 * (v - e_k) + warm(Q10_G["leak"]) * g_l * (v - e_l)
    return i / capacitance


def squid(values: Sequence[float]) -> tuple[mp.mpf, list[mp.mpf], list[list[mp.mpf]]]:
    """(v, gradient, Hessian) at rest: of F(v(p), p) = 0 once and twice differentiated."""
    with mp.workdps(DIGITS):
        p = [mp.mpf(x) for x in values]
        v = mp.findroot(lambda x: squid_current(x, *p), -65)
        at, n = (v, *p), len(p)

        def d(*which: int) -> mp.mpf:
            orders = tuple(which.count(i) for i in range(n + 1))
            return mp.diff(squid_current, at, orders)

        f_v, f_vv = d(0), d(0, 0)
        first = [-d(i + 1) / f_v for i in range(n)]
        mixed = [d(0, i + 1) for i in range(n)]
        second = [
            [
                -(d(i + 1, j + 1) + mixed[i] * first[j] + mixed[j] * first[i] + f_vv * first[i] * first[j]) / f_v
                for j in range(n)
            ]
            for i in range(n)
        ]
        return v, first, second


# ---------------------------------------------------------------------- ohmic leaks of Na+, K+ and Cl-, and a Hill pump
def pump_leak_rates(p: Mapping[str, float]) -> Callable[..., list[mp.mpf]]:
    """d/dt of (v in mV, [Na], [K], [Cl] inside in mM) per ms; ``p`` by jaxmem's paths."""
    q = {k: mp.mpf(float(x)) for k, x in p.items()}
    rt_f = RT_F_PER_KELVIN * (q["celsius"] + mp.mpf("273.15"))
    per_charge = 10 / (FARADAY * q["geometry.radius"] / 3)  # mM per nC/cm^2; volume over area of a sphere is r/3
    warm = q["pump.q10"] ** ((q["celsius"] - q["pump.q10_celsius"]) / 10)

    def rates(v: mp.mpf, na: mp.mpf, k: mp.mpf, cl: mp.mpf) -> list[mp.mpf]:
        hill = lambda c, half, n: c**n / (c**n + half**n)
        pump = q["pump.i_max"] * warm * hill(na, q["pump.km_na"], q["pump.hill_na"])
        pump *= hill(q["k.outside"], q["pump.km_k"], q["pump.hill_k"])
        i_na = q["na_leak.g"] * (v - rt_f * mp.log(q["na.outside"] / na)) + 3 * pump
        i_k = q["k_leak.g"] * (v - rt_f * mp.log(q["k.outside"] / k)) - 2 * pump
        i_cl = q["cl_leak.g"] * (v + rt_f * mp.log(q["cl.outside"] / cl))
        return [-(i_na + i_k + i_cl) / q["capacitance"], -per_charge * i_na, -per_charge * i_k, per_charge * i_cl]

    return rates


def pump_leak(p: Mapping[str, float]) -> tuple[list[mp.mpf], list[mp.mpc]]:
    """([v, Na, K, Cl] at rest, eigenvalues of all four, the slowest first: one of them is 0 by the law of charge)."""
    with mp.workdps(DIGITS):
        rates = pump_leak_rates(p)
        q = {k: mp.mpf(float(x)) for k, x in p.items()}
        per_mv = 10 * q["capacitance"] / (FARADAY * q["geometry.radius"] / 3)

        def equations(v: mp.mpf, na: mp.mpf, k: mp.mpf, cl: mp.mpf) -> list[mp.mpf]:
            """K+ by its current no more, but by the charge on the capacitor."""
            _, na_rate, k_rate, cl_rate = rates(v, na, k, cl)
            more = (na - q["na.inside"]) + (k - q["k.inside"]) - (cl - q["cl.inside"])
            return [na_rate * 1e3, k_rate * 1e3, cl_rate * 1e3, more - per_mv * (v - q["initial_v"])]

        start = tuple(q[x] for x in ("initial_v", "na.inside", "k.inside", "cl.inside"))
        x = list(mp.findroot(equations, start, tol=mp.mpf(10) ** -60, maxsteps=100))
        matrix = mp.matrix(4, 4)
        for i in range(4):
            for j in range(4):
                orders = tuple(int(j == m) for m in range(4))
                matrix[i, j] = mp.diff(lambda *y, i=i: rates(*y)[i], tuple(x), orders)
        values, _ = mp.eig(matrix)
        return x, sorted(values, key=abs)
