"""One simulation, one HDF5 file: everything it was made from and everything that came of it.

``xarray.open_dataset(path, engine="h5netcdf")`` opens the root group: traces over (time, cell), measures, status and
audit over cell. ``/parameters`` and ``/stimulus`` hold what was simulated, ``/initial_state`` and ``/final_state`` all
that is needed to run it again or go on, ``/provenance`` the experiment's text, versions and device, and
``/structure/index`` (JSON) how to build it all again.
"""

import json
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmem.engine.audit import Audit
from jaxmem.engine.integrators import Integrator
from jaxmem.engine.simulation import Labels, Measured, Simulation, Trace
from jaxmem.membrane.geometry import Geometry
from jaxmem.membrane.mechanism import Mechanism
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import declared
from jaxmem.membrane.species import Species
from jaxmem.membrane.state import State, Status
from jaxmem.rig.protocol import Change
from jaxmem.rig.stimuli import Stimulus
from jaxmem.study import layout as table
from jaxmem.study.files import StoreError as StoreError
from jaxmem.study.files import check_target as check_target
from jaxmem.study.hdf5 import Reader, opened, write
from jaxmem.study.provenance import attribute, jsonable, provenance
from jaxmem.study.summary import FileSummary as FileSummary
from jaxmem.study.summary import summary as summary
from jaxmem.study.tree import decode, encode


def save(
    simulation: Simulation,
    path: Any,
    *,
    overwrite: bool = False,
    experiment: str | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Write one HDF5 file, whole or not at all.

    ``experiment`` is the text of the experiment file. ``attributes`` are kept with the provenance (``seed``,
    ``preset``, ``question``, ``title``, ...): texts, numbers, or what JSON can say. Raises FileExistsError where the
    file exists, unless ``overwrite``; FileNotFoundError, NotADirectoryError, PermissionError where its directory is not
    there or not writable; OSError where the disk is full. Warns where a mechanism holds what cannot be stored, so that
    the file cannot be run again.
    """
    check_target(path, overwrite)
    told = dict(attributes or {})
    view, axes = table.layout(simulation)
    trees, variables, lost = {}, dict(view.variables), []
    for name, group, describe in (
        ("membrane", "parameters", table.parameters),
        ("stimulus", "stimulus", table.parameters),
        ("changes", "changes", table.parameters),
        ("integrator", "integrator", table.parameters),
        ("initial_state", "initial_state", table.state),
        ("final_state", "final_state", table.state),
    ):
        trees[name], leaves, missed = encode(getattr(simulation, name), group)
        variables |= describe(leaves, axes)
        lost += [f"{name}: {what}" for what in missed]
    if lost:
        text = "this cannot be stored, so jaxmem.load will refuse the file; other programs read the rest"
        warnings.warn(f"{'; '.join(lost)}: {text}", stacklevel=2)
    came_from = json.loads(json.dumps(provenance(simulation.info, told), default=jsonable))
    index = {
        "trees": trees,
        "start": simulation.start,
        "duration": simulation.duration,
        "dt": simulation.dt,
        "precision": simulation.precision,
        "info": simulation.info,
        "cells": view.cells,
        "recorded": view.recorded,
        "measured": view.measured,
        "labelled": {
            name: {"variable": v, "names": simulation.labels[name].names} for name, v in view.labelled.items()
        },
        "variables": {
            name: {"dims": v.dims, "shape": v.values.shape, "unit": v.unit, "description": v.description}
            for name, v in view.variables.items()
        },
        "varied": [path for path, value, _ in declared(simulation.membrane) if np.ndim(value)],
        "changes": [change.told for change in simulation.changes],
        "reasons": {int(s): s.reason for s in Status},
        "provenance": came_from,
    }
    texts = {"structure/index": json.dumps(index, default=jsonable)}
    if experiment is not None:
        texts["provenance/experiment"] = experiment
    groups = {
        "/": table.dataset_attributes(simulation, told),
        "provenance": {k: attribute(v) for k, v in came_from.items()},
    }
    write(path, axes.coordinates, variables, texts, groups, overwrite=overwrite)


def load(path: Any) -> Simulation:
    """The simulation in a file; its membrane, stimulus and initial state run again to the same bits.

    The modules that define its mechanisms are imported: of files by strangers read :func:`summary`, or open them with
    xarray. Arrays of 64 bits come as NumPy arrays where JAX has no x64. Raises FileNotFoundError, and
    :class:`StoreError` for what is no file of jaxmem, is damaged, or has mechanisms that cannot be found here.
    """
    with opened(path) as file:
        index = json.loads(file.text("structure/index") or "")
        if "kind" in index:
            if index["kind"] == "scan":
                raise StoreError(f'{path} holds a scan, no simulation: jm.read_scan("{path}") opens it')
            raise StoreError(
                f"{path} holds {index['kind']}, no simulation: 'jaxmem show' tells them, xarray.open_dataset(..., "
                'engine="h5netcdf") opens it'
            )
        return _simulation(file, index)


def to_xarray(simulation: Simulation, attributes: Mapping[str, Any] | None = None) -> Any:
    """The root group of the file as an :class:`xarray.Dataset`; ImportError without xarray."""
    try:
        import xarray
    except ImportError as error:
        raise ImportError("to_xarray needs xarray: pip install 'jaxmem[xarray]'") from error
    view, _ = table.layout(simulation)
    known = lambda those: {name: (v.dims, v.values, v.attributes) for name, v in those.items()}
    return xarray.Dataset(
        known(view.variables), known(view.coordinates), table.dataset_attributes(simulation, attributes or {})
    )


def _simulation(file: Reader, index: dict[str, Any]) -> Simulation:
    trees, told = index["trees"], index["variables"]
    membrane = decode(trees["membrane"], file.array, Membrane)
    for name, parts, role in (("mechanism", membrane.mechanisms, Mechanism), ("species", membrane.species, Species)):
        for key, part in parts.items():
            if not isinstance(part, role):
                raise StoreError(f"the {name} {key!r} is a {type(part).__name__}, which is none; the file was changed")
    if not isinstance(membrane.geometry, Geometry):
        raise StoreError(f"the geometry is a {type(membrane.geometry).__name__}, which is none; the file was changed")
    return Simulation(
        membrane=membrane,
        stimulus=None if trees["stimulus"] is None else decode(trees["stimulus"], file.array, Stimulus),
        changes=tuple(decode(part, file.array, Change) for part in trees["changes"]["$tuple"]),
        integrator=decode(trees["integrator"], file.array, Integrator),
        initial_state=decode(trees["initial_state"], file.array, State),
        final_state=decode(trees["final_state"], file.array, State),
        dt=index["dt"],
        duration=index["duration"],
        precision=index["precision"],
        recorded={
            name: Trace(
                values=file.array(r["variable"]),
                time=file.array(r["time"]),
                cells=np.zeros(1, int) if r["cells"] is None else file.array(r["cells"]),
                unit=told[r["variable"]]["unit"],
                description=told[r["variable"]]["description"],
            )
            for name, r in index["recorded"].items()
        },
        measured={
            name: Measured(np.asarray(file.array(v)), told[v]["unit"], told[v]["description"])
            for name, v in index["measured"].items()
        },
        audit=Audit(np.asarray(file.array("audit_charge")), np.asarray(file.array("audit_mass"))),
        info=index["info"],
        labels={
            name: Labels(np.asarray(file.array(k["variable"])), tuple(k["names"]), told[k["variable"]]["description"])
            for name, k in index.get("labelled", {}).items()
        },
    )
