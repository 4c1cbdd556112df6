"""The pass over the traced step: fewer exponentials, nothing twice, the same numbers and derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import relative
from specimens import MECHANISMS, env_of, membrane_with, sweep, widened

import jaxmem as jm
from jaxmem.engine.program import compile_step

PRECISIONS = ("float64", "float32")


def exponentials(function, *arguments) -> int:
    return str(jax.make_jaxpr(function)(*arguments)).count(" exp ")


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("family", "plain", "shared"), [("hh", 6, 2), ("tm", 6, 3)])
def test_shared_exponentials_change_nothing(family, plain, shared, precision):
    """The step as the engine compiles it against the mechanisms' own words, over -150 to 100 mV."""
    ours = ("sodium", "potassium")
    names = {x: MECHANISMS[f"{family}_{x}"] for x in ours}
    membrane = membrane_with(names["sodium"])
    membrane = widened(jm.Membrane(names, membrane.species, celsius=30.0), precision, 20_000)
    v = sweep(precision, 20_000)

    def rates(fixed, moving):
        membrane, env = fixed
        found = [membrane.mechanisms[x].kinetics(moving[0], {}, env) for x in ours]
        return [(r.opening, r.closing) for kinetics in found for r in kinetics.values()]

    fixed = (membrane, env_of(membrane, v))
    compiled = lambda moving: compile_step(rates, fixed, moving)(moving)
    told, true = jax.jit(compiled)((v,)), jax.jit(lambda moving: rates(fixed, moving))((v,))
    limit = 1e-13 if precision == "float64" else 1e-5
    assert len(jax.tree.leaves(told)) == 6
    for a, b in zip(jax.tree.leaves(told), jax.tree.leaves(true), strict=True):
        assert a.dtype == v.dtype and relative(a, b) < limit
    one = ((jnp.ones_like(v),),)
    slopes = [jax.jit(lambda m, f=f: jax.jvp(f, (m,), one)[1])((v,)) for f in (compiled, lambda m: rates(fixed, m))]
    for a, b in zip(*map(jax.tree.leaves, slopes), strict=True):
        assert np.isfinite(a).all() and relative(a, b, floor=1e-3 * float(abs(b).max())) < 10 * limit
    back = jax.jit(jax.grad(lambda m: sum(jnp.sum(x) for x in jax.tree.leaves(compiled(m)))))((v,))[0]
    ahead = sum(jax.tree.leaves(slopes[1]))
    assert relative(back, ahead, floor=1e-3 * float(abs(ahead).max())) < 10 * limit
    temperature = exponentials(lambda env: [env.q10(membrane.mechanisms[x].q10, 6.3) for x in ours], fixed[1])
    assert exponentials(lambda m: jax.tree.leaves(rates(fixed, m)), (v,)) == plain + temperature
    assert exponentials(compile_step(rates, fixed, (v,)), (v,)) == shared  # the temperature's were made before the loop


def test_what_stands_still_is_made_once():
    """Dear things of ``fixed`` alone are computed before; what moves is asked for each time."""
    counted = []

    def dear(x):
        counted.append(x)
        return jnp.exp(x)

    step = compile_step(
        lambda fixed, moving: (dear(fixed["a"]) * moving, jnp.exp(moving)), {"a": jnp.ones(3)}, jnp.ones(3)
    )
    assert len(counted) == 1
    jaxpr = str(jax.make_jaxpr(step)(jnp.ones(3)))
    assert jaxpr.count(" exp ") == 1
    np.testing.assert_array_equal(step(jnp.full(3, 2.0))[0], 2 * jnp.exp(jnp.ones(3)))
    np.testing.assert_array_equal(step(jnp.full(3, 2.0))[1], jnp.exp(jnp.full(3, 2.0)))


def test_exponentials_that_share_nothing_are_left_alone():
    odd = lambda fixed, moving: [
        jnp.exp(moving * 0.1234567),
        jnp.exp(moving * 0.7654321 + 1.0),
        jnp.exp(-moving * moving),
    ]
    x = jnp.linspace(-20.0, 20.0, 101)
    for a, b in zip(compile_step(odd, (), x)(x), odd((), x), strict=True):
        assert relative(a, b) < 1e-13


def test_sharing_does_not_overflow_in_float32():
    """Two exponentials share a centre; the third would need a factor of exp(160) to be moved there."""
    wide = lambda fixed, x: [jnp.exp(x - 80), jnp.exp(2 * (x - 80)), jnp.exp(x + 80)]
    x = jnp.linspace(-60.0, 0.0, 401, dtype="float32")
    for a, b in zip(compile_step(wide, (), x)(x), wide((), x), strict=True):
        assert np.isfinite(b).all() and np.isfinite(a).all() and relative(a, b, floor=1e-30) < 2e-5
