"""Eigenvalues and time constants of steady states."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.analysis.setting import flattened, in_float64, widened
from jaxmem.analysis.small_systems import jacobian
from jaxmem.analysis.stability import by_eigenvalues, decoupled
from jaxmem.analysis.unknowns import changes, start_of, unknowns
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.state import State


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """How a steady state answers to small pushes.

    - ``eigenvalues`` (cells, modes), 1/ms: of voltage, gates and amounts together, the slowest first.
    - ``conserved`` (cells, laws): those of the amounts' conservation laws, 0 but for rounding; no law was projected out.
    - ``norm`` (cells,): the Frobenius norm of that Jacobian, what ``conserved`` is small against.
    - ``stability`` (cells,), :class:`jaxmem.Stability`.
    """

    eigenvalues: np.ndarray
    conserved: np.ndarray
    norm: np.ndarray
    stability: np.ndarray

    @property
    def time_constants(self) -> np.ndarray:
        """``-1/Re(eigenvalue)`` in ms, the slowest first; negative where a mode grows."""
        with np.errstate(divide="ignore"):
            return -1 / self.eigenvalues.real


@in_float64
def spectrum(membrane: Membrane, state: State) -> Spectrum:
    """Linearise the membrane at a state, usually a :func:`jaxmem.resting_state`, and say how it relaxes.

    Voltage and states form one block, amounts another; the two are decoupled exactly before their eigenvalues are
    computed, so that modes of hours are not lost in the rounding of modes of microseconds. Not differentiable.
    """
    wide, at, shape = flattened(widened(membrane), jax.tree.map(_wide, state))
    layout = unknowns(wide, full=True)
    laws = [pool for pool, terms in layout.tied if terms]
    raw = dataclasses.replace(layout, followed=(*layout.followed, *laws), tied=())
    matrix, fast, slow, apart, whole = _linearised(wide, at, layout, raw)
    matrix, fast, slow, whole = (np.asarray(x) for x in (matrix, fast, slow, whole))
    modes = np.concatenate([_eigenvalues(fast), _eigenvalues(slow)], -1)
    together = ~np.asarray(apart)
    if together.any():
        modes[together] = _eigenvalues(matrix[together])
    order = np.argsort(np.abs(modes.real), axis=-1, kind="stable")
    modes = np.take_along_axis(modes, order, -1)
    everything = _eigenvalues(whole)
    everything = np.take_along_axis(everything, np.argsort(np.abs(everything), axis=-1), -1)
    norm = np.sqrt((whole**2).sum((-1, -2)))
    put = lambda x: x.reshape((*shape, *x.shape[1:]))
    return Spectrum(put(modes), put(everything[:, : len(laws)]), put(norm), put(by_eigenvalues(modes)))


def _wide(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x)
    return x.astype(np.float64) if np.issubdtype(x.dtype, np.floating) else x


def _eigenvalues(matrix: np.ndarray) -> np.ndarray:
    """Of (cells, n, n); NaN where an entry is not finite."""
    good = np.isfinite(matrix).all((-1, -2))
    found = np.full(matrix.shape[:-1], np.nan, complex)
    if matrix.shape[-1]:
        found[good] = np.linalg.eigvals(matrix[good])
    return found


@functools.partial(jax.jit, static_argnums=(2, 3))
def _linearised(membrane: Membrane, state: State, layout, raw):
    """The Jacobian (cells, n, n), its two blocks, whether they came apart, and that without conservation laws."""

    stacked = lambda matrix: jnp.stack([jnp.stack(row) for row in matrix])
    cells_first = lambda matrix: jnp.moveaxis(jnp.reshape(matrix, (*matrix.shape[:2], state.v.size)), -1, 0)
    u = start_of(membrane, layout, state)
    amounts = len(layout.followed)
    order = jnp.array([0, *range(1 + amounts, len(u)), *range(1, 1 + amounts)])
    matrix = stacked(jacobian(functools.partial(changes, membrane, layout), u)[1])[order][:, order]
    (fast, slow), apart = decoupled(matrix, amounts)
    whole = stacked(jacobian(functools.partial(changes, membrane, raw), start_of(membrane, raw, state))[1])
    return cells_first(matrix), cells_first(fast), cells_first(slow), jnp.reshape(apart, -1), cells_first(whole)
