"""Derivatives of what is at rest: against fifty digits and differences, both ways, in both precisions, past bad cells."""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import resting_oracle as oracle

import jaxmem as jm

PATHS = ("na_leak.g", "k_leak.g", "cl_leak.g", "pump.i_max", "k.outside", "na.inside", "celsius", "capacitance")
TOLD = ("v", "na", "k", "cl", "atp", "resistance")


# ---------------------------------------------------------------------- the squid
@functools.cache
def axon() -> tuple[jm.Membrane, np.ndarray, tuple[float, np.ndarray, np.ndarray]]:
    membrane = jm.presets.hodgkin_huxley_1952().with_parameters({f"{k}.q10_g": q for k, q in oracle.Q10_G.items()})
    x = np.array([float(membrane.parameters()[p].value) for p in oracle.SQUID])
    v, gradient, hessian = oracle.squid(x)
    return membrane, x, (float(v), np.array(gradient, float), np.array(hessian, float))


def squid_rest(x: jax.Array) -> jax.Array:
    return jm.resting_state(axon()[0].with_parameters(dict(zip(oracle.SQUID, x, strict=True)))).v


def test_the_squid_rests_as_in_fifty_digits_with_its_gradient() -> None:
    """All conductances and reversal potentials, temperature (through the Q10 of conductances), capacitance."""
    _, x, (v, gradient, _) = axon()
    found, mine = jax.jit(jax.value_and_grad(squid_rest))(x)
    assert abs(found / v - 1) < 1e-14
    np.testing.assert_allclose(mine[:-1], gradient[:-1], rtol=1e-12, atol=0)
    assert abs(mine[-1]) < 1e-14 and abs(gradient[-1]) < 1e-40  # the capacitance does not matter at rest


@pytest.mark.slow
def test_the_squid_has_the_second_derivatives_of_fifty_digits() -> None:
    _, x, (_, _, hessian) = axon()
    mine = np.asarray(jax.jit(jax.hessian(squid_rest))(x))
    np.testing.assert_allclose(mine[:-1, :-1], hessian[:-1, :-1], rtol=1e-12, atol=0)
    scaled = np.abs(mine * x * x[:, None])
    assert np.abs(scaled - scaled.T).max() < 1e-13 * scaled.max() and scaled[-1].max() < 1e-13 * scaled.max()


# ---------------------------------------------------------------------- pumped cells
def pumped() -> dict[str, jax.Array]:
    values, random = jm.presets.pump_leak().parameters(), np.random.default_rng(1)
    start = {p: values[p].value * np.exp(0.1 * random.standard_normal(3)) for p in PATHS}
    return {p: jnp.asarray(x) for p, x in start.items()} | {"celsius": jnp.full(3, 35.0)}


def told(values: dict[str, Any]) -> jax.Array:
    """(numbers, cells): voltage, concentrations, ATP per second, input resistance."""
    cells = jm.presets.pump_leak().with_parameters(values)
    rest = jm.resting_state(cells)
    levels = [rest.concentrations[f"{ion}.inside"] for ion in ("na", "k", "cl")]
    cost, resistance = jm.budget(cells, rest).atp_per_second, jm.input_resistance(cells, rest)
    return jnp.stack([jnp.asarray(y) for y in (rest.v, *levels, cost, resistance)])


@functools.cache
def forward() -> dict[str, np.ndarray]:
    """(numbers, cells) by path: of each cell with respect to its own parameter."""
    start = pumped()
    every = jax.jit(lambda t: jax.vmap(lambda w: jax.jvp(told, (start,), (w,))[1])(t))
    n = len(PATHS)
    basis = {p: jnp.zeros((n, 3)).at[i].set(1.0) for i, p in enumerate(PATHS)}
    return dict(zip(PATHS, np.asarray(every(basis)), strict=True))


@pytest.mark.slow
def test_forward_derivatives_agree_with_differences_in_float64() -> None:
    start, slopes = pumped(), forward()
    middle = np.asarray(told(start))
    for path in PATHS:
        h = 2e-4 * start[path]
        f = lambda k, p=path, h=h: np.asarray(told(start | {p: start[p] + k * h}))
        difference = (8 * (f(1) - f(-1)) - (f(2) - f(-2))) / (12 * np.asarray(h))
        unit = np.abs(middle / np.asarray(start[path]))  # a derivative of 1 in logarithms
        np.testing.assert_allclose(slopes[path] / unit, difference / unit, rtol=1e-6, atol=2e-9, err_msg=path)


@pytest.mark.slow
def test_passive_chloride_does_not_move_the_voltage() -> None:
    """Dynamic chloride comes to its Nernst potential whatever carries it: dV/dg_Cl is 0, dV/dg_K is not."""
    slopes = forward()
    assert np.abs(slopes["cl_leak.g"][0]).max() <= 1e-12  # mV per mS/cm^2
    assert np.abs(slopes["k_leak.g"][0]).min() > 1.0


@pytest.mark.slow
def test_reverse_agrees_with_forward() -> None:
    start, slopes = pumped(), forward()
    pull = jax.jit(lambda x: jax.vmap(jax.vjp(told, x)[1])(jnp.eye(6)[:, :, None] * jnp.ones(3)))
    back = pull(start)[0]
    for path in PATHS:
        unit = np.abs(np.asarray(told(start)) / np.asarray(start[path]))
        np.testing.assert_allclose(back[path] / unit, slopes[path] / unit, rtol=1e-11, atol=1e-12, err_msg=path)


@pytest.mark.slow
def test_jit_and_vmap_find_what_the_blocks_find() -> None:
    start = pumped()
    blocks = np.asarray(told(start))
    np.testing.assert_allclose(jax.jit(told)(start), blocks, rtol=1e-12)
    rows = {p: jnp.stack([x, x[::-1]]) for p, x in start.items()}
    many = jax.jit(jax.vmap(told))(rows)
    np.testing.assert_allclose(many, np.stack([blocks, blocks[:, ::-1]]), rtol=1e-12)


# ---------------------------------------------------------------------- cells that found no rest
@pytest.mark.slow
def test_a_failed_cell_is_constant_to_a_shared_parameter() -> None:
    """Nothing flows in cell 1, cell 3 has a conductance that is NaN: the others' gradient is finite, and theirs alone."""
    cell = jm.presets.pump_leak()
    k, na = np.array([0.05, 0.0, 0.06, np.nan, 0.04]), np.array([1.0, 0.0, 1.1, 1.0, 0.9]) * 0.01
    good = np.array([0, 2, 4])

    def loss(shared: jax.Array, k: jax.Array, na: jax.Array, counts: jax.Array) -> tuple[jax.Array, jax.Array]:
        cells = eqx.tree_at(
            lambda m: (m.mechanisms["k_leak"].g, m.mechanisms["na_leak"].g, m.mechanisms["cl_leak"].g,
                       m.mechanisms["pump"].i_max, m.species["na"].outside),
            cell, (k, na, shared[1] * na, shared[2] * na / 0.01, shared[0]),
        )  # fmt: skip
        rest = jm.resting_state(cells)
        fine = (rest.status == jm.Status.OK) & counts
        safe = lambda x: jnp.sum(jnp.where(fine, x, 0.0))
        return safe(rest.v) + safe(rest.concentrations["na.inside"]), rest.status

    shared = jnp.array([145.0, 5.0, 1.2])
    both = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))
    (gradient, mine), status = both(shared, k, na, np.ones(5, bool))
    sound = np.array([0, 0, 2, 2, 4])  # good cells in the places of the bad ones, where they do not count
    (alone, mine_alone), fine = both(shared, k[sound], na[sound], np.isin(np.arange(5), good))
    assert (np.asarray(fine) == jm.Status.OK).all()
    assert status.tolist() == [0, jm.Status.NO_STEADY_STATE, 0, jm.Status.NOT_FINITE, 0]
    assert np.isfinite(gradient).all() and (np.abs(np.asarray(gradient)[[0, 2]]) > 1e-3).all()
    np.testing.assert_allclose(gradient, alone, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(np.asarray(mine)[good], np.asarray(mine_alone)[good], rtol=1e-12)
    assert (np.asarray(mine)[[1, 3]] == 0).all()


# ---------------------------------------------------------------------- float32
@pytest.mark.slow
def test_gradients_are_had_in_float32_where_x64_is_off() -> None:
    start, slopes = pumped(), forward()
    with jax.enable_x64(False):
        narrow = {p: jnp.asarray(np.asarray(x), jnp.float32) for p, x in start.items()}
        value, gradient = jax.jit(jax.value_and_grad(lambda x: jnp.sum(told(x)[0])))(narrow)
        assert value.dtype == jnp.float32 and all(g.dtype == jnp.float32 for g in gradient.values())
    assert jax.config.jax_enable_x64
    assert abs(float(value) - float(told(start)[0].sum())) < 3e-4
    for path in PATHS:
        unit = np.abs(70.0 / np.asarray(start[path]))
        np.testing.assert_allclose(gradient[path] / unit, slopes[path][0] / unit, rtol=1e-3, atol=1e-5, err_msg=path)
