"""What a run was asked for: times, device, precision, cells, records and measures, looked up and checked."""

import dataclasses
import importlib
import math
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import numpy as np

from jaxmem.engine.measures import ASKING, EFEL, MEASURES, Measure
from jaxmem.engine.records import Record, expand, steps_between
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import cell_count, path_error
from jaxmem.membrane.state import State
from jaxmem.rig.protocol import Protocol

LAST_STEP = 2**30  # steps are counted in int32, with room for edges


@dataclasses.dataclass(frozen=True)
class Execution:
    """How a run is carried out; changes speed, never results.

    ``device``: "cpu", "gpu" or a JAX device (None: JAX's default). ``threads``: on a CPU, one per core if None.
    ``unroll``: steps per iteration of the loop (None: 1 on a CPU; on a GPU up to 16, a divisor of the refresh interval).
    """

    device: Any = None
    threads: int | None = None
    unroll: int | None = None


def positive_time(name: str, value: float) -> float:
    number = float(value)
    if not (number > 0 and math.isfinite(number)):
        raise ValueError(f"{name} must be a time above 0 ms; found {value!r}")
    return number


def whole_steps(duration: float, dt: float) -> int:
    steps = duration / dt
    if abs(steps - round(steps)) > 1e-6 * max(1.0, steps) or round(steps) < 1:
        raise ValueError(
            f"duration {duration:g} ms is not a whole number of steps of {dt:g} ms; the nearest is {max(1, round(steps)) * dt:g} ms"
        )
    return round(steps)


def find_device(wanted: Any) -> Any:
    if wanted is None:
        return jax.devices()[0]
    if not isinstance(wanted, str):
        return wanted
    try:
        return jax.devices(wanted)[0]
    except RuntimeError:
        there = ", ".join(sorted({d.platform for d in jax.devices()} | {"cpu"}))
        raise RuntimeError(
            f"no device {wanted!r} here; there is: {there}. For an NVIDIA GPU install jaxmem[cuda12] or jaxmem[cuda13]"
        ) from None


def find_dtype(precision: str | None) -> Any:
    x64 = bool(jax.config.jax_enable_x64)  # type: ignore[attr-defined]
    if precision is None:
        return np.float64 if x64 else np.float32
    if precision not in ("float32", "float64"):
        raise ValueError(f"precision is 'float32' or 'float64', not {precision!r}")
    if precision == "float64" and not x64:
        raise ValueError("float64 needs jax.config.update('jax_enable_x64', True) before the first array is made")
    return np.dtype(precision).type


def count_cells(membrane: Membrane, protocol: Protocol, state: State | None) -> tuple[int, bool]:
    """How many cells, and whether the results come without a cell axis."""
    found = {"the membrane": membrane.cells, "what is done to it": cell_count(protocol)}
    if state is not None and np.ndim(state.v):
        found["the initial state"] = int(np.shape(state.v)[-1])
    lengths = {who: n for who, n in found.items() if n is not None}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            "arrays over cells must have one length: " + ", ".join(f"{who} has {n}" for who, n in lengths.items())
        )
    n = next(iter(lengths.values()), None)
    if n == 0:
        raise ValueError("a population needs at least one cell")
    return (1, True) if n is None else (n, False)


def fit_state(state: State, n: int, dtype: Any) -> State:
    """The state as NumPy arrays over n cells in this precision, with what a narrower type leaves out kept in its remainder."""
    state = jax.tree.map(np.asarray, state)
    narrow = lambda x: x.astype(dtype)
    rest = lambda whole, low: narrow(whole.astype(np.float64) + low - narrow(whole + low))
    fitted = State(**{
        **vars(jax.tree.map(lambda x: narrow(x) if np.issubdtype(x.dtype, np.floating) else x, state)),
        "v": narrow(state.v + state.v_low),
        "v_low": rest(state.v, state.v_low),
        "total": {k: narrow(x + state.total_low[k]) for k, x in state.total.items()},
        "total_low": {k: rest(x, state.total_low[k]) for k, x in state.total.items()},
    }) if state.v.dtype != dtype else state  # fmt: skip

    def spread(x: np.ndarray, shared: bool) -> np.ndarray:
        return x if shared else np.ascontiguousarray(np.broadcast_to(x if x.ndim else x[None], (*x.shape[:-1], n)))

    names = jax.tree_util.tree_map_with_path(lambda key, _: jax.tree_util.keystr(key) in (".step", ".lag"), fitted)
    fitted = jax.tree.map(spread, fitted, names)
    if np.ndim(state.cell) == 0 and n > 1:  # the state of one cell for many: each gets its own random draws
        fitted = eqx.tree_at(lambda s: s.cell, fitted, np.arange(n, dtype=np.int32))
    return fitted


@dataclasses.dataclass(frozen=True)
class Asked:
    """A record with everything looked up."""

    prefix: str
    paths: tuple[str, ...]
    every: int
    cells: np.ndarray


def look_up_records(records: list[Record], known: dict[str, Any], n: int, dt: float) -> list[Asked]:
    asked, seen = [], set()
    for r in records:
        cells = np.arange(n) if r.cells is None else np.atleast_1d(np.asarray(r.cells))
        if cells.dtype == bool and cells.size == n:
            cells = np.flatnonzero(cells)
        if cells.size and (not np.issubdtype(cells.dtype, np.integer) or cells.min() < -n or cells.max() >= n):
            raise ValueError(f"a record's cells are indices below {n}; found {cells.tolist()[:5]}")
        cells = np.unique(np.where(cells < 0, cells + n, cells).astype(int))
        prefix = f"{r.name}." if r.name else ""
        paths = tuple(expand(r.paths, known))
        if again := [p for p in paths if prefix + p in seen]:
            raise ValueError(f"{again[0]!r} is recorded twice; give one of the records a name")
        seen |= {prefix + p for p in paths}
        asked.append(Asked(prefix, paths, steps_between(r.every, dt, f"record of {', '.join(r.paths)}"), cells))
    return asked


def look_up_measures(measures: Any) -> dict[str, Measure]:
    """Measures by the name under which their results appear, from names and objects.

    A sequence names those of :data:`jaxmem.MEASURES`, eFEL's, or classes as ``module:name``; a dict gives them names.
    """
    if isinstance(measures, Mapping):
        return {name: find_measure(m) if isinstance(m, str) else m for name, m in measures.items()}
    found: dict[str, Measure] = {}
    for m in [measures] if isinstance(measures, str | Measure) else measures:
        if isinstance(m, str):
            name, new = measure_name(m), find_measure(m)
        else:
            name, new = next((k for k, kind in _named().items() if kind is type(m)), type(m).__name__.lower()), m
        if name in found and m != name:
            raise ValueError(
                f"two measures would be called {name!r}; pass a dict that names them, {{'first': ..., ...}}"
            )
        found[name] = new
    return found


def measure_name(name: str) -> str:
    """What the results of a measure are called unless told otherwise: ``rebound`` for ``my_lab.measures:Rebound``."""
    return name.rpartition(":")[2].lower() if ":" in name else name


def _named() -> dict[str, Any]:
    return {**EFEL, **MEASURES, **ASKING}


def measure_class(name: str) -> Callable[..., Measure]:
    """What makes the measure of this name: of ours, of eFEL's, or ``module:name`` for a class (or object) of one's own."""
    module, colon, attribute = name.partition(":")
    if not colon:
        if name not in _named():
            raise path_error(name, list(_named()), "measure")
        return _named()[name]
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise ValueError(
            f"{name!r} cannot be imported: {error}; write module:name, of a module that Python finds"
        ) from error
    except AttributeError:
        raise ValueError(f"the module {module!r} has no {attribute!r}") from None
    if isinstance(found, Measure):
        return lambda: found
    if not (isinstance(found, type) and issubclass(found, Measure)):
        raise ValueError(f"{name!r} is no measure; derive it from jaxmem.Measure")
    return found


def find_measure(name: str, **given: Any) -> Measure:
    """The measure of this name, made with these arguments."""
    try:
        return measure_class(name)(**given)
    except TypeError as error:
        said = str(error).partition(") ")[2] or str(error).partition("() ")[2] or str(error)
        raise ValueError(
            f"{name!r} cannot be made: {said}; make it yourself and pass the object, or in a file a table, "
            f'{{ measure = "{name}", ... }}'
        ) from None
