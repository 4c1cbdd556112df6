"""Trees of membranes, stimuli and states as text and arrays: what is needed to build the same tree again, bit for bit.

The structure (classes by ``module:name``, static fields, the order of dictionaries) becomes JSON, every number a named
array. Nothing is pickled, and reading runs no code of the file: a class is looked up in the module that the file names,
must be an :class:`equinox.Module`, and its fields are set as they were, without calling it.
"""

import dataclasses
import importlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxmem.membrane.mechanism import METADATA, Declaration
from jaxmem.study.files import StoreError

Tree = TypeVar("Tree")


class Leaf(NamedTuple):
    """An array of a tree: its ``values``, and its ``declaration`` where it is a parameter (last axis: cells)."""

    values: np.ndarray
    declaration: Declaration | None


def encode(tree: Any, group: str) -> tuple[Any, dict[str, Leaf], list[str]]:
    """(structure for JSON, arrays by name, what cannot be stored).

    A name is ``group/`` and the path of a parameter (``parameters/sodium.g``) or of a part of a state. What is neither
    number, text, container nor module (a function in a field, say) stands in the structure as a note: the rest is
    stored, and only :func:`decode` refuses.
    """
    leaves: dict[str, Leaf] = {}
    lost: list[str] = []

    def leaf(x: Any, path: str, declaration: Declaration | None, kind: str) -> Any:
        name = f"{group}/{plain(path)}"
        while name in leaves:
            name += "_"
        leaves[name] = Leaf(np.asarray(x), declaration)
        return {"$data": name, "kind": kind}

    def node(x: Any, path: str, declaration: Declaration | None = None) -> Any:
        if x is None or type(x) in (bool, str):
            return x
        if isinstance(x, jax.Array | np.ndarray | np.generic) and _is_number(x):
            kind = "jax" if isinstance(x, jax.Array) else "array" if isinstance(x, np.ndarray) else "scalar"
            return leaf(x, path, declaration, kind)
        if type(x) in (int, float):
            return x if declaration is None else leaf(x, path, declaration, type(x).__name__)
        if type(x) is list:
            return [node(part, f"{path}.{i}") for i, part in enumerate(x)]
        if type(x) is tuple:
            return {"$tuple": [node(part, f"{path}.{i}") for i, part in enumerate(x)]}
        if type(x) is dict:
            return {"$dict": [[node(key, path), node(part, f"{path}.{key}")] for key, part in x.items()]}
        if isinstance(x, eqx.Module):
            fields = {f.name: node(part, inner, f.metadata.get(METADATA)) for f, part, inner in _fields(x, path)}
            return {"$class": f"{type(x).__module__}:{type(x).__qualname__}", "fields": fields}
        lost.append(f"{path.strip('.')} is a {type(x).__name__}")
        return {"$lost": lost[-1]}

    return node(tree, ""), leaves, lost


def decode(node: Any, fetch: Callable[[str], Any], expect: type[Tree]) -> Tree:
    """The tree of a structure; ``fetch(name)`` reads an array. Raises StoreError where it is no ``expect``."""
    built = _decode(node, fetch)
    if not isinstance(built, expect):
        raise StoreError(f"the file holds a {type(built).__name__} where a {expect.__name__} is wanted; it was changed")
    return built


def plain(name: str) -> str:
    """A name that HDF5 and netCDF accept: no slash or control character; a letter, digit or underscore first."""
    clean = "".join("_" if c == "/" or not c.isprintable() else c for c in name.strip(". "))
    return clean if clean[:1].isalnum() or clean[:1] == "_" else f"_{clean}"


def _is_number(x: Any) -> bool:
    return bool(jnp.issubdtype(x.dtype, np.integer) or x.dtype in (np.bool_, np.float16, np.float32, np.float64))


def _fields(x: Any, path: str) -> Iterator[tuple[dataclasses.Field, Any, str]]:
    """(field, value, path) of every field; paths as those of :mod:`jaxmem.membrane.parameters`."""
    for f in dataclasses.fields(x):
        if hasattr(x, f.name):
            yield f, getattr(x, f.name), path if f.name in ("mechanisms", "species", "parts") else f"{path}.{f.name}"


def _decode(node: Any, fetch: Callable[[str], Any]) -> Any:
    if isinstance(node, list):
        return [_decode(part, fetch) for part in node]
    if not isinstance(node, dict):
        return node
    if "$data" in node:
        return _number(fetch(node["$data"]), node["kind"])
    if "$tuple" in node:
        return tuple(_decode(part, fetch) for part in node["$tuple"])
    if "$dict" in node:
        return {_decode(key, fetch): _decode(part, fetch) for key, part in node["$dict"]}
    if "$lost" in node:
        raise StoreError(f"{node['$lost']}, which no file can hold, so this cannot be built again")
    return _module(_class(node["$class"]), {name: _decode(part, fetch) for name, part in node["fields"].items()})


def _number(value: Any, kind: str) -> Any:
    if kind in ("float", "int"):
        return value.item()
    if kind == "scalar":
        return value
    wide = value.dtype.itemsize == 8 and not jax.config.jax_enable_x64  # type: ignore[attr-defined]
    # without x64 JAX would drop half of the digits; NumPy keeps them, and a run takes either
    return np.asarray(value) if kind == "array" or wide else jnp.asarray(value)


def _module(cls: type, values: dict[str, Any]) -> Any:
    """An object with these fields, made as JAX itself rebuilds one; a field of a later version takes its default."""
    x: Any = object.__new__(cls)
    known = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    if strange := sorted(set(values) - set(known)):
        raise StoreError(
            f"the file gives {cls.__name__} a {strange[0]!r}, which it has not here; use the version that wrote it"
        )
    for name, f in known.items():
        if name in values:
            object.__setattr__(x, name, values[name])
        elif f.default is not dataclasses.MISSING:
            object.__setattr__(x, name, f.default)
        elif f.default_factory is not dataclasses.MISSING:
            object.__setattr__(x, name, f.default_factory())
        else:
            raise StoreError(f"the file has no {name!r} for {cls.__name__}; use the version that wrote it")
    return x


def _class(address: str) -> type:
    """The class at ``module:name``."""
    module, _, name = address.partition(":")
    advice = "the numbers can be read without it, by xarray.open_dataset(path, engine='h5netcdf')"
    if "<locals>" in name:
        raise StoreError(
            f"{name} was defined inside a function of {module!r} and cannot be found again: define it outside; {advice}"
        )
    if not all(part.isidentifier() for part in [*module.split("."), *name.split(".")]):
        raise StoreError(f"{address!r} is no class; the file was changed")
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:  # the module is the user's, and whatever it raises is why it cannot be had
        raise StoreError(
            f"{name} is defined in the module {module!r}, which cannot be imported here "
            f"({type(error).__name__}: {error}); put it on the path; {advice}"
        ) from error
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise StoreError(f"{name} is not in the module {module!r} here; {advice}")
    if not (isinstance(found, type) and issubclass(found, eqx.Module)):
        raise StoreError(f"{address!r} is no mechanism, geometry or stimulus; the file was changed and is not trusted")
    return found
