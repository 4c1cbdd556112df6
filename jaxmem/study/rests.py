"""The resting states of a population of any size: solved block by block, a number per cell kept, one HDF5 file."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np

from jaxmem.analysis.blocks import in_blocks
from jaxmem.analysis.budget import budget, input_resistance, membrane_time_constant
from jaxmem.analysis.resting import resting_state
from jaxmem.analysis.setting import widened
from jaxmem.analysis.stability import Stability
from jaxmem.engine.simulation import Labels
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import select
from jaxmem.membrane.state import State, Status
from jaxmem.study import layout
from jaxmem.study.files import StoreError
from jaxmem.study.hdf5 import Variable, opened
from jaxmem.study.tree import encode
from jaxmem.study.variables import store

BLOCK = 65_536  # cells that are solved at a time: what memory holds beside a few numbers per cell
KIND = "resting states"
TOLD = {  # in the order in which they stand in the file, the concentrations after v
    "v": ("mV", "resting potential"),
    "input_resistance": ("MOhm", "input resistance at rest, gates at their steady states"),
    "time_constant": ("ms", "membrane time constant at rest, gates fixed"),
    "pump_current": ("pA", "net current of the pumps of the cell, outward positive"),
    "atp_per_second": ("1/s", "molecules of ATP that the cell uses per second at rest"),
    "power": ("pW", "free energy of that ATP, at 50 kJ/mol"),
    "residual": ("uA/cm^2", "largest current left where the search ended"),
    "status": ("1", "what became of the cell"),
    "stability": ("1", "how the rest answers to a small push"),
    "iterations": ("1", "steps of the search"),
}
CODES: dict[str, Iterable[Any]] = {"status": Status, "stability": Stability}


@dataclasses.dataclass(frozen=True)
class Rests:
    """A number per cell: ``variables`` by name, all over ``cell``; NaN where a cell has no rest (see ``status``).

    ``ions``: path of a dynamic concentration -> valence of its species. ``varied``: paths of the parameters that differ
    between cells, and the variables that hold them.
    """

    variables: dict[str, Variable]
    ions: dict[str, int]
    varied: dict[str, str]

    def __getitem__(self, name: str) -> np.ndarray:
        return self.variables[name].values

    def __contains__(self, name: str) -> bool:
        return name in self.variables

    @property
    def resting(self) -> np.ndarray:
        """Which cells have a rest."""
        return self["status"] == Status.OK


def find_rests(
    membrane: Membrane,
    cells: int,
    *,
    labels: Mapping[str, Labels] | None = None,
    precision: str = "float64",
    block: int = BLOCK,
    progress: Callable[[int, int], None] | None = None,
) -> Rests:
    """Each cell's :func:`jaxmem.resting_state`, with what it costs and how it answers, in ``precision``.

    Solved in float64 whatever is kept, ``block`` cells at a time; ``progress(done, total)`` is called after each.
    """
    found: dict[str, np.ndarray] = {}
    alike = membrane.cells is None
    total = 1 if alike else cells
    block = min(block, total)
    for start in range(0, total, block):
        if progress is not None:
            progress(start, total)
        stop = min(start + block, total)
        # the last block is filled up with its own cells: one size is one program
        part = membrane if alike else select(membrane, start + np.arange(block) % (stop - start))
        for name, x in numbers_at_rest(part).items():
            kept = x.dtype if x.dtype.kind != "f" else np.dtype(precision)
            whole = found.setdefault(name, np.empty(total, kept))
            whole[start:stop] = np.reshape(x, -1)[: stop - start]
    if progress is not None:
        progress(total, total)
    pools = {f"{name}.{side}": (name, side) for name, side in membrane.pools()}
    variables = {}
    for name in dict.fromkeys(("v", *pools, *TOLD)):
        if name not in found:
            continue
        x = found[name]
        unit, told = told_of(membrane, name)
        more = _codes(CODES[name]) if name in CODES else {}
        variables[name] = Variable(np.resize(x, cells) if alike else x, ("cell",), unit, told, more)
    varied = {}
    for path, (value, unit, told) in membrane.parameters().items():
        if np.ndim(value) and (path != "initial_v" or np.ptp(value) > 0):
            varied[path] = name = f"parameter_{path}" if path in variables else path
            variables[name] = Variable(np.asarray(value, precision), ("cell",), unit, told)
    for name, known in (labels or {}).items():
        words = {"flag_values": np.arange(len(known.names), dtype=np.int32), "flag_meanings": " ".join(known.names)}
        variables[name] = Variable(np.asarray(known.values, np.int32), ("cell",), "1", known.description, words)
    return Rests(variables, {path: membrane.species[name].valence for path, (name, _) in pools.items()}, varied)


def save_rests(
    rests: Rests,
    membrane: Membrane,
    path: Any,
    *,
    experiment: str | None = None,
    attributes: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write one HDF5 file, whole or not at all: the numbers of the cells, ``/parameters``, ``/provenance``.

    Raises what :func:`jaxmem.save_variables` raises.
    """
    axes = layout.Axes(len(rests["v"]))
    tree, leaves, _ = encode(membrane, "parameters")
    more = {
        "kind": KIND,
        "trees": {"membrane": tree},
        "reasons": {int(s): s.reason for s in Status},
        "ions": rests.ions,
        "varied": rests.varied,
    }
    inside = layout.parameters(leaves, axes)
    store(
        path,
        {**axes.coordinates, **rests.variables},
        {"title": "Resting states computed by jaxmem", **(attributes or {})},
        overwrite,
        beside=inside,
        experiment=experiment,
        more=more,
    )


def read_rests(path: Any) -> Rests:
    """What :func:`save_rests` wrote; raises StoreError for any other file."""
    with opened(path) as file:
        index = json.loads(file.text("structure/index") or "")
        if index.get("kind") != KIND:
            raise StoreError(f"{path} holds {index.get('kind', 'a simulation')}, no {KIND}")
        variables = {
            name: Variable(np.asarray(file.array(name)), tuple(v["dims"]), v["unit"], v["description"])
            for name, v in index["variables"].items()
            if v["dims"] == ["cell"] and name != "cell"
        }
        return Rests(variables, index["ions"], index["varied"])


def numbers_at_rest(membrane: Membrane) -> dict[str, np.ndarray]:
    """What there is to say of each cell's rest, by name; real numbers are NaN where a cell has none."""
    rest = resting_state(membrane)
    if rest.v.ndim == 1:  # one program for any number of cells
        numbers = in_blocks(_numbers, (widened(membrane), rest.state), rest.v.size)
    else:
        with jax.enable_x64(True):
            numbers = {name: np.asarray(x) for name, x in jax.jit(_numbers)((widened(membrane), rest.state)).items()}
    real = {"v": rest.v, **rest.concentrations, **numbers}
    resting = np.asarray(rest.status) == Status.OK
    kept = {name: np.where(resting, np.asarray(x), np.nan) for name, x in real.items()}
    whole = {"status": rest.status, "stability": rest.stability, "iterations": rest.iterations}
    return kept | {"residual": np.asarray(rest.residual)} | {k: np.asarray(x, np.int32) for k, x in whole.items()}


def types_at_rest(membrane: Membrane) -> dict[str, np.dtype]:
    """The names and types of :func:`numbers_at_rest`, without a search."""
    state = jax.eval_shape(lambda m: m.initial_state(), membrane)
    real = (
        "v",
        *sorted(f"{name}.{side}" for name, side in membrane.pools()),
        *jax.eval_shape(_numbers, (membrane, state)),
    )
    whole = dict.fromkeys(("status", "stability", "iterations"), np.dtype(np.int32))
    return dict.fromkeys((*real, "residual"), np.dtype(np.float64)) | whole


def told_of(membrane: Membrane, number: str) -> tuple[str, str]:
    """Unit and meaning of one of these numbers."""
    if number in TOLD:
        return TOLD[number]
    name, _, side = number.rpartition(".")
    if name == membrane.water:
        return "1", "volume at rest over that at the start"
    return "mM", f"concentration of {name} {side} at rest"


def _numbers(given: tuple[Membrane, State]) -> dict[str, jax.Array]:
    membrane, state = given
    told = budget(membrane, state)
    costs = {"pump_current": told.pump_current, "atp_per_second": told.atp_per_second, "power": told.power}
    return {
        "input_resistance": input_resistance(membrane, state),
        "time_constant": membrane_time_constant(membrane, state),
        **(costs if told.pumps else {}),
    }


def _codes(words: Iterable[Any]) -> dict[str, Any]:
    """CF attributes of a variable of codes."""
    return {"flag_values": np.array(list(words), np.int32), "flag_meanings": " ".join(w.name.lower() for w in words)}
