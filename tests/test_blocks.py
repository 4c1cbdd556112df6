"""Populations of any size through one program: a cell's bits do not depend on the others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmem.analysis import blocks
from jaxmem.analysis.blocks import in_blocks


def several(tree: dict, power: int) -> dict:
    """Something with exponentials and a loop whose length is its own in each cell."""
    x, shared = tree["x"], tree["shared"]

    def halve(carry: tuple) -> tuple:
        y, n = carry
        return jnp.where(y > 1, y * 0.5, y), n + (y > 1)

    y, n = jax.lax.while_loop(lambda c: jnp.any(c[0] > 1), halve, (jnp.exp(x), jnp.zeros(x.shape, jnp.int32)))
    table = tree["table"] * jnp.tanh(x) ** power + shared
    return {"y": y / shared, "n": n, "table": table, "sum": jnp.sin(table).sum(0)}


def given(cells: int) -> dict:
    random = np.random.default_rng(0)
    whole = 20_000
    x, table = 5 * random.standard_normal(whole), random.standard_normal((2, 3, whole))
    return {"x": x[:cells], "table": table[..., :cells], "shared": np.float64(0.7)}


@pytest.mark.parametrize("cells", [1, 2, 511, 512, 513, 1000, 8192, 8193, 20_000])
def test_bits_of_a_cell_do_not_depend_on_the_size_of_the_population(cells: int) -> None:
    whole, part = in_blocks(several, given(20_000), 20_000, 3), in_blocks(several, given(cells), cells, 3)
    for name, value in part.items():
        assert isinstance(value, np.ndarray) and value.shape[-1] == cells
        assert np.array_equal(value, whole[name][..., :cells])


def test_a_cell_has_the_same_bits_wherever_it_stands() -> None:
    """Reversed, every cell has other neighbours and another place in another block."""
    tree, back = given(20_000), given(20_000)
    back["x"], back["table"] = tree["x"][::-1], tree["table"][..., ::-1]
    there, reversed_ = in_blocks(several, tree, 20_000, 3), in_blocks(several, back, 20_000, 3)
    for name, value in there.items():
        assert np.array_equal(value, reversed_[name][..., ::-1])


def test_values_are_those_of_the_function() -> None:
    cells = 9000
    tree = given(cells)
    found = in_blocks(several, tree, cells, 2)
    table = tree["table"] * np.tanh(tree["x"]) ** 2 + 0.7
    assert found["table"].shape == (2, 3, cells) and found["sum"].shape == (3, cells)
    np.testing.assert_allclose(found["table"], table, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(found["sum"], np.sin(table).sum(0), rtol=1e-13, atol=1e-14)
    assert np.array_equal(found["n"], np.maximum(np.ceil(tree["x"] / np.log(2)), 0))
    np.testing.assert_allclose(found["y"], np.exp(tree["x"]) * 0.5 ** found["n"] / 0.7, rtol=1e-14)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_precision_is_that_of_the_leaves_whatever_the_caller_has_set(precision: str) -> None:
    tree = {name: x.astype(precision) for name, x in given(600).items()}
    with jax.enable_x64(False):
        found = in_blocks(several, tree, 600, 3)
        assert not jax.config.jax_enable_x64
    assert {found[name].dtype for name in ("y", "table", "sum")} == {np.dtype(precision)}
    assert found["n"].dtype == np.int32


def test_a_shared_number_may_change_without_a_new_program() -> None:
    tree = given(300)
    in_blocks(several, tree, 300, 3)
    before = blocks._program._cache_size()
    other = in_blocks(several, tree | {"shared": np.float64(0.9)}, 300, 3)
    assert blocks._program._cache_size() == before
    np.testing.assert_allclose(other["table"] - 0.9, tree["table"] * np.tanh(tree["x"]) ** 3, atol=1e-15)
