"""Parameters by path, and the cell axis: which leaves of a tree are numbers, and which of them differ between cells.

A path is a name and a field, ``sodium.g``, ``na.inside``, ``geometry.radius``, ``capacitance``. The cell axis is always
the last axis of a field declared with :func:`jaxmem.membrane.mechanism.parameter`; it is never guessed from a length.
"""

import dataclasses
import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from jaxmem.membrane.mechanism import METADATA, Declaration

Tree = TypeVar("Tree")
VECTOR = 16  # numbers that a processor computes at a time, at the most


class Parameter(NamedTuple):
    """A parameter as ``Membrane.parameters()`` reports it."""

    value: ArrayLike
    unit: str
    description: str


class PathError(ValueError):
    """A parameter path that does not exist; the text names the nearest ones."""


def _walk(tree: Any, path: str, address: str) -> Iterator[tuple[str, str, Any, Declaration]]:
    """(path, address, value, declaration) of every declared field, also of None; the address is JAX's own key path."""
    if isinstance(tree, dict):
        for name, part in tree.items():
            yield from _walk(part, f"{path}{name}.", f"{address}[{name!r}]")
    elif isinstance(tree, tuple | list):
        for i, part in enumerate(tree):
            yield from _walk(part, f"{path}{i}.", f"{address}[{i}]")
    elif dataclasses.is_dataclass(tree):
        for field in dataclasses.fields(tree):
            value, inner = getattr(tree, field.name), f"{address}.{field.name}"
            if declaration := field.metadata.get(METADATA):
                yield path + field.name, inner, value, declaration
            elif not field.metadata.get("static"):
                # the membrane's own dictionaries do not appear in paths: "sodium.g", not "mechanisms.sodium.g"
                shown = path if field.name in ("mechanisms", "species", "parts") else f"{path}{field.name}."
                yield from _walk(value, shown, inner)


def declared(tree: Any, absent: bool = False) -> Iterator[tuple[str, Any, Declaration]]:
    """(path, value, declaration) of every declared field below ``tree`` that has a value.

    With ``absent`` also of those that are None but could be set, with the value that None stands for.
    """
    for path, _, value, declaration in _walk(tree, "", ""):
        if value is None and absent:
            value = declaration.absent
        if value is not None:
            yield path, value, declaration


def map_declared(function: Callable[[str, Any], Any], tree: Tree) -> Tree:
    """The same tree with ``function(path, value)`` in place of the value of every declared field."""
    paths = {address: path for path, address, value, _ in _walk(tree, "", "") if value is not None}
    change = lambda key, x: function(paths[a], x) if (a := jax.tree_util.keystr(key)) in paths else x
    return jax.tree_util.tree_map_with_path(change, tree)


def unset(tree: Any) -> list[str]:
    """Paths of the declared fields that are None."""
    return [path for path, _, value, _ in _walk(tree, "", "") if value is None]


def replaced(tree: Tree, new: Mapping[str, Any]) -> Tree:
    """The same tree with these values by path, also in fields that were None."""
    paths = {address: path for path, address, _, _ in _walk(tree, "", "")}
    change = lambda key, x: new.get(paths.get(jax.tree_util.keystr(key), ""), x)
    return jax.tree_util.tree_map_with_path(change, tree, is_leaf=lambda x: x is None)


def per_cell(tree: Tree) -> Tree:
    """The same tree with True where a leaf has a cell axis (its last), False elsewhere."""
    mine = {address for _, address, value, _ in _walk(tree, "", "") if value is not None and np.ndim(value)}
    return jax.tree_util.tree_map_with_path(lambda key, _: jax.tree_util.keystr(key) in mine, tree)


def cell_count(tree: Any) -> int | None:
    """The number of cells of a tree, None where it has no cell axis. Raises ValueError where lengths disagree."""
    lengths: dict[int, str] = {}
    for path, value, _ in declared(tree):
        if np.ndim(value):
            lengths.setdefault(int(np.shape(value)[-1]), path)
    if len(lengths) > 1:
        told = ", ".join(f"{path} has {n}" for n, path in lengths.items())
        raise ValueError(f"arrays over cells must have one length: {told}")
    return next(iter(lengths), None)


def select(tree: Tree, index: Any) -> Tree:
    """The chosen cells: ``index`` as for a NumPy axis (a number drops the axis)."""
    return map_declared(lambda _, x: x[..., index] if np.ndim(x) else x, tree)


def whole_vectors(cells: int) -> np.ndarray:
    """Indices of the cells and of some of them again, so that their number is a whole number of vectors.

    What is left of a vector XLA computes one by one, with functions that round otherwise: a cell's last bit would depend
    on how many cells there are.
    """
    return np.arange(-(-cells // VECTOR) * VECTOR) % cells


def is_traced(tree: Any) -> bool:
    """Whether a number of the tree is known to JAX only."""
    return any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(tree))


def concatenate(trees: list[Tree]) -> Tree:
    """One population from several of the same structure; a number that all share stays shared."""
    trees = list(trees)
    if not trees:
        raise ValueError("nothing to concatenate")
    if len({jax.tree.structure(t) for t in trees}) > 1:
        raise ValueError("only membranes of the same structure (mechanisms, species, geometry) can be concatenated")
    counts = [cell_count(t) or 1 for t in trees]
    values = [dict((path, value) for path, value, _ in declared(t)) for t in trees]

    def join(path: str, first: Any) -> Any:
        parts = [v[path] for v in values]
        if all(np.ndim(p) == 0 for p in parts) and all(_same(first, p) for p in parts):
            return first
        rows = max((np.shape(p)[:-1] for p in parts), key=len)
        xp = jnp if any(isinstance(p, jax.Array) for p in parts) else np
        return xp.concatenate(
            [xp.broadcast_to(xp.asarray(p), (*rows, n)) for p, n in zip(parts, counts, strict=True)], -1
        )

    return map_declared(join, trees[0])


def _same(a: Any, b: Any) -> bool:
    return a is b or (not isinstance(a, jax.core.Tracer) and not isinstance(b, jax.core.Tracer) and bool(a == b))


NEURON_NAMES = {  # what users of NEURON type, as hints
    "gnabar": "sodium.g", "gkbar": "potassium.g", "gl": "leak.g", "el": "leak.e", "ena": "sodium.e", "ek": "potassium.e",
    "nai": "na.inside", "nao": "na.outside", "ki": "k.inside", "ko": "k.outside", "cli": "cl.inside", "clo": "cl.outside",
    "cai": "ca.inside", "cao": "ca.outside", "cm": "capacitance",
}  # fmt: skip


def path_error(path: str, known: list[str], what: str = "parameter") -> PathError:
    """An error that names the nearest right paths."""
    last = path.rsplit(".", 1)[-1].lower().removesuffix("_hh")
    near = [NEURON_NAMES[last]] if NEURON_NAMES.get(last) in known else []
    near += [p for p in difflib.get_close_matches(path, known, n=3, cutoff=0.5) if p not in near]
    near += [p for p in known if p.rsplit(".", 1)[-1] == last and p not in near][: 3 - len(near)]
    hint = f"; did you mean {' or '.join(map(repr, near[:3]))}?" if near else f"; known are {', '.join(known)}"
    return PathError(f"there is no {what} {path!r}{hint}")
