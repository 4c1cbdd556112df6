"""The bistable neuron of N. Huebel & M. A. Dahlem (2014), its equations written out, its rests and bifurcations solved.

PLoS Comput Biol 10:e1003941, doi:10.1371/journal.pcbi.1003941; numbers as in the authors' public code (ModelDB 167714).
NumPy and SciPy alone: an oracle for what jaxmem finds. The unknowns are x = (v, n, K+ inside, Cl- inside); Na+ inside
follows from neutrality, what is outside from the total. The authors leave out the charge on the capacitor
(``charge=0``); jaxmem counts it (``charge=1``), from where the published state starts.

Along a branch of rests v is given, n and Cl- follow in closed form, K+ inside by one equation, and the parameter (the
pump rate, or ``dk``, potassium added to the outside) comes out: a fold is where its derivative vanishes. Derivatives
are those of a complex step; a Hopf point is where the characteristic polynomial has a pair of imaginary roots.
"""

import dataclasses
import functools

import numpy as np
from scipy.optimize import brentq

RT_F, FARADAY, AREA = 26.64, 96485.33212331001, 922.0  # mV, C/mol, um^2
INSIDE, OUTSIDE = 2160.0, 720.0  # um^3
NA_IN, K_IN, CL_IN, NA_OUT, K_OUT, CL_OUT = 25.231485, 129.25764, 9.900239, 125.30555, 4.0, 123.2716  # mM, published
V, N = -67.193253, 0.069410823  # published with them
PUMP = 6.8  # uA/cm^2
PER_CHARGE = 10 * AREA / (FARADAY * INSIDE)  # mM inside per nC/cm^2
TINY = 1e-30


def gates(v):
    """(m at once, opening and closing of n in 1/ms)."""
    opening, closing = -0.1 * (v + 30) / np.expm1(-(v + 30) / 10), 4 * np.exp(-(v + 55) / 18)
    return opening / (opening + closing), -0.03 * (v + 34) / np.expm1(-(v + 34) / 10), 0.375 * np.exp(-(v + 44) / 80)


def conductances(v, n):
    """(Na+, K+) in mS/cm^2, with their leaks."""
    h = 1 - 1 / (1 + np.exp(-6.5 * (n - 0.35)))
    return 0.0175 + 100 * gates(v)[0] ** 3 * h, 0.05 + 40 * n**4


def concentrations(x, dk=0.0, charge=1.0):
    """mM: (Na+ inside, Na+ outside, K+ outside, Cl- outside)."""
    v, _, k, cl = x
    na = NA_IN + (K_IN - k) - (CL_IN - cl) + charge * PER_CHARGE * (v - V)
    ratio = INSIDE / OUTSIDE
    return na, NA_OUT + (NA_IN - na) * ratio, K_OUT + (K_IN - k) * ratio + dk, CL_OUT + (CL_IN - cl) * ratio


def pumping(na, k_out):
    """Fraction of the maximal pump rate."""
    return 1 / (1 + np.exp((25 - na) / 3)) / (1 + np.exp(5.5 - k_out))


def rates(x, pump=PUMP, dk=0.0, charge=1.0):
    """d/dt of (v, n, K+ inside, Cl- inside) per ms."""
    v, n, k, cl = x
    na, na_out, k_out, cl_out = concentrations(x, dk, charge)
    (g_na, g_k), (_, opening, closing), i = conductances(v, n), gates(v), pump * pumping(na, k_out)
    i_na = g_na * (v - RT_F * np.log(na_out / na)) + 3 * i
    i_k = g_k * (v - RT_F * np.log(k_out / k)) - 2 * i
    i_cl = 0.02 * (v + RT_F * np.log(cl_out / cl))
    moved = np.array([-(i_na + i_k + i_cl), opening * (1 - n) - closing * n, -PER_CHARGE * i_k, PER_CHARGE * i_cl])
    return moved


def jacobian(x, **at):
    step = lambda j: np.asarray(x) + 1j * TINY * (np.arange(4) == j)
    return np.stack([rates(step(j), **at).imag / TINY for j in range(4)], axis=1)


@dataclasses.dataclass
class Rest:
    """A point of the branch: the unknowns, the parameter, and what remains of d/dt there."""

    x: np.ndarray
    pump: float
    dk: float
    charge: float

    @property
    def eigenvalues(self):
        return np.linalg.eigvals(jacobian(self.x, pump=self.pump, dk=self.dk, charge=self.charge))


@dataclasses.dataclass
class Branch:
    """Rests from the physiological one on, along "pump" or "dk"."""

    along: str = "pump"
    charge: float = 1.0

    def _closed(self, v, k):
        """(x, parameter, what must vanish) at v with k inside."""
        _, opening, closing = gates(v)
        n, r = opening / (opening + closing), np.exp(v / RT_F)
        cl = (CL_OUT * OUTSIDE + CL_IN * INSIDE) * r / (OUTSIDE + INSIDE * r)
        x = np.array([v, n, k, cl])
        na, na_out, k_out, _ = concentrations(x, 0.0, self.charge)
        g_na, g_k = conductances(v, n)
        i = -g_na * (v - RT_F * np.log(na_out / na)) / 3
        if self.along == "pump":
            return x, i / pumping(na, k_out), g_k * (v - RT_F * np.log(k_out / k)) - 2 * i
        needed = k * np.exp((v - 2 * i / g_k) / RT_F)  # outside, for K+ to stand still
        return x, needed - k_out, PUMP * pumping(na, needed) - i

    def _k(self, v, k):
        for _ in range(60):
            wrong = self._closed(v, k + 1j * TINY)[2]
            step = wrong.real / (wrong.imag / TINY)
            k -= step
            if abs(step) < 1e-14 * k:
                break
        return k

    @functools.cached_property
    def guesses(self):
        """(v, K+ inside) from -68 mV on, as far as the parameter is positive or v below -20 mV."""
        v, k = [-68.0], [self._k(-68.0, 129.3)]
        while v[-1] < -20.0:
            new = v[-1] + 0.0199
            found = self._k(new, 2 * k[-1] - k[-2] if len(k) > 1 else k[-1])
            if not abs(found - k[-1]) < 1.0 or (self.along == "pump" and not self._closed(new, found)[1] > 0):
                break
            v.append(new)
            k.append(found)
        return np.array(v), np.array(k)

    def parameter(self, v):
        return self._closed(v, self._k(v, np.interp(v, *self.guesses)))[1]

    def at(self, v):
        x, value, _ = self._closed(v, self._k(v, np.interp(v, *self.guesses)))
        return Rest(x, value, 0.0, self.charge) if self.along == "pump" else Rest(x, PUMP, value, self.charge)

    def turning(self, v):
        """d(parameter)/dv along the branch."""
        k = self._k(v, np.interp(v, *self.guesses))
        by_v, by_k = self._closed(v + 1j * TINY, k), self._closed(v, k + 1j * TINY)
        return (by_v[1].imag - by_k[1].imag * by_v[2].imag / by_k[2].imag) / TINY

    def hurwitz(self, v):
        """c1 c2 c3 - c3^2 - c1^2 c4: 0 where two eigenvalues sum to 0."""
        rest = self.at(v)
        c = np.poly(jacobian(rest.x, pump=rest.pump, dk=rest.dk, charge=self.charge))
        return c[1] * c[2] * c[3] - c[3] ** 2 - c[1] ** 2 * c[4]

    def _roots(self, f):
        v = self.guesses[0]
        at = np.array([f(x) for x in v])
        for i in np.flatnonzero(np.sign(at[1:]) != np.sign(at[:-1])):
            yield self.at(brentq(f, v[i], v[i + 1], xtol=1e-14, rtol=1e-15))

    def rests(self, value):
        return list(self._roots(lambda v: self.parameter(v) - value))

    def folds(self):
        return list(self._roots(self.turning))

    def hopf_points(self):
        """Without the neutral saddles, whose pair is real."""
        return [p for p in self._roots(self.hurwitz) if np.abs(p.eigenvalues.imag).max() > 0]
