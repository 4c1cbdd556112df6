"""Results that are no simulation: named arrays over named dimensions in one HDF5 file, whole or not at all."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxmem import units
from jaxmem.study.files import check_target
from jaxmem.study.hdf5 import Variable, write
from jaxmem.study.layout import CONVENTIONS
from jaxmem.study.provenance import attribute, jsonable, provenance
from jaxmem.study.tree import plain

GROUPS = ("provenance", "structure")  # of the file; no variable is called so
NUMBERS = "biuf"  # kinds of arrays that HDF5 and netCDF hold as they are
Given = tuple[str | Sequence[str], Any, str, str]


def save_variables(
    path: Any,
    variables: Mapping[str, Given],
    *,
    coordinates: Mapping[str, tuple[Any, str, str]] | None = None,
    attributes: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write arrays with their units and meanings: ``{name: (dims, values, unit, description)}``.

    ``dims`` names each axis (``("time", "cell")``; ``()`` of a single number; a text is one axis). A variable that is
    called like its one dimension is that dimension's coordinate; ``coordinates`` gives more of these, ``{dimension:
    (values, unit, description)}``. Dimensions without one count from 0. ``unit`` is one of :mod:`jaxmem.units`, "1" for
    pure numbers and texts. A name may have a group before it (``parameters/k_leak.g``).

    ``attributes`` are kept with the provenance, next to versions, revision and date: texts, numbers, or what JSON can
    say; ``question`` and ``title`` are those of the file, and :attr:`jaxmem.Findings.attributes` fits. The file opens
    with ``xarray.open_dataset(path, engine="h5netcdf")``, and ``jaxmem show`` tells what it holds.

    Raises ValueError for axes that do not fit their names or each other, a name that is taken and values that are
    neither numbers nor texts; UnitError for a unit that is none; FileExistsError where the file exists, unless
    ``overwrite``, and what else :meth:`jaxmem.Simulation.save` raises.
    """
    given = {name: ((name,), *told) for name, told in (coordinates or {}).items()}
    if twice := sorted(set(given) & set(variables)):
        raise ValueError(f"{', '.join(twice)} is given both as a coordinate and as a variable; give it once")
    store(
        path, {name: _variable(name, *told) for name, told in (given | dict(variables)).items()}, attributes, overwrite
    )


def store(
    path: Any,
    table: Mapping[str, Variable],
    attributes: Mapping[str, Any] | None,
    overwrite: bool,
    *,
    beside: Mapping[str, Variable] | None = None,
    experiment: str | None = None,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write checked variables; ``more`` goes into the index (``kind``: what sort of result this is).

    ``beside``: variables that the index does not tell of; their dimensions are those of the table.
    """
    check_target(path, overwrite)
    told = dict(attributes or {})
    lengths = _lengths(table)
    coordinates = {name: table[name] for name in lengths if name in table}
    for dim, n in lengths.items():
        coordinates.setdefault(dim, Variable(np.arange(n), (dim,), "1", f"index of the {dim}"))
    variables = {name: v for name, v in table.items() if name not in coordinates}
    came_from = json.loads(json.dumps(provenance({}, told), default=jsonable))
    index = {
        "kind": "variables",
        "variables": {
            name: {"dims": v.dims, "shape": v.values.shape, "unit": v.unit, "description": v.description}
            for name, v in table.items()
        },
        "provenance": came_from,
        **(more or {}),
    }
    texts = {"structure/index": json.dumps(index, default=jsonable)}
    if experiment is not None:
        texts["provenance/experiment"] = experiment
    root = {"Conventions": CONVENTIONS, "title": str(told.get("title") or "Variables computed by jaxmem")}
    if told.get("question"):
        root["question"] = str(told["question"])
    groups = {"/": root, "provenance": {k: attribute(v) for k, v in came_from.items()}}
    write(path, coordinates, variables | dict(beside or {}), texts, groups, overwrite=overwrite)


def _variable(name: str, dims: str | Sequence[str], values: Any, unit: str, description: str) -> Variable:
    parts = name.split("/")
    if any(not part or plain(part) != part for part in parts) or parts[0] in GROUPS:
        raise ValueError(f"{name!r} cannot name a variable: letters first, and {', '.join(GROUPS)} are taken")
    axes = (dims,) if isinstance(dims, str) else tuple(dims)
    x = np.asarray(values)
    more: dict[str, Any] = {}
    if x.dtype == bool:
        x, more = x.astype(np.int8), {"dtype": "bool"}  # as xarray writes and reads them
    elif x.dtype.kind == "U":
        x = x.astype(object)
    elif x.dtype.kind not in NUMBERS:
        hint = "; give real and imaginary part a name each" if x.dtype.kind == "c" else ""
        raise ValueError(f"{name}: found values of the kind {x.dtype}; numbers or texts are wanted{hint}")
    if x.ndim != len(axes):
        raise ValueError(
            f"{name}: its values have the shape {x.shape}, but {len(axes)} dimensions {axes}; name each axis"
        )
    if len(set(axes)) < len(axes):
        raise ValueError(f"{name}: each of its dimensions {axes} has a name of its own")
    units.cf(unit)
    return Variable(x, axes, unit, description, more)


def _lengths(table: Mapping[str, Variable]) -> dict[str, int]:
    """Every dimension and how long it is, in the order in which they are met."""
    found: dict[str, tuple[int, str]] = {}
    for name, v in table.items():
        if name in v.dims and len(v.dims) > 1:
            raise ValueError(f"{name} is called like one of its dimensions {v.dims}; a coordinate has that one alone")
        for dim, n in zip(v.dims, v.values.shape, strict=True):
            length, first = found.setdefault(dim, (n, name))
            if length != n:
                raise ValueError(f"the dimension {dim!r} has {length} entries in {first}, but {n} in {name}")
    for dim in found:
        if dim in table and table[dim].dims != (dim,):
            raise ValueError(f"{dim!r} names a dimension and a variable over {table[dim].dims}; rename one of them")
    return {dim: n for dim, (n, _) in found.items()}
