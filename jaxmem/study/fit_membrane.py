"""The membrane that is fitted: in the solutions and at the temperature of the recording, with its fixed numbers and area."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxmem import units
from jaxmem.membrane.geometry import AreaVolume, Sphere
from jaxmem.membrane.membrane import Membrane
from jaxmem.membrane.parameters import declared
from jaxmem.membrane.species import Species
from jaxmem.study import membrane_table
from jaxmem.study.fit_tables import DERIVED, FitTable, RecordingTable
from jaxmem.study.problems import Problems

AREA = "geometry.area"


def recorded(
    membrane: Membrane, table: RecordingTable, columns: Mapping[str, Any], problems: Problems, notes: list[str]
) -> Membrane:
    """The membrane at the temperature and in the solutions of the recording."""
    if table.celsius is not None:
        with problems.at("recording", "celsius"):
            membrane = membrane.with_parameters({"celsius": table.celsius})
    if table.ions == "cell" and not table.bath:
        return membrane
    state = membrane.initial_state()
    flowing = set(membrane.fluxes(state.v, state.states, membrane.environment(state.book)))
    changed = {}
    for name, s in membrane.species.items():
        if s.counted_only:
            continue
        new: dict[str, Any] = {}
        for side, solution in (("inside", table.pipette), ("outside", table.bath)):
            if name in solution:
                new[side] = solution[name]
            elif table.ions == "pipette" and s.valence and name in flowing and f"{name}.{side}" not in columns:
                where = ("recording", "pipette" if side == "inside" else "bath")
                problems.add(where, f"has no {name}, which crosses this membrane: say how much, {name} = ... mM")
            if name in solution and not solution[name] and s.valence and name in flowing:
                problems.add(
                    ("recording", "pipette" if side == "inside" else "bath", name),
                    f"must be above 0 mM: {name} crosses this membrane",
                )
        clamped = (
            () if table.ions == "pipette" else tuple(x for x in s.dynamic if not (x == "outside" and "outside" in new))
        )
        fields = {f: getattr(s, f) for f in ("inside", "outside", "depth", "outside_depth", "valence", "every_step")}
        changed[name] = Species(**(fields | new | {"dynamic": clamped}))
    unused = [n for n in dict.fromkeys([*table.pipette, *table.bath]) if n not in membrane.species]
    if unused:
        notes.append(
            f"[recording]: {', '.join(unused)} of the solutions {'are' if len(unused) > 1 else 'is'} not in this membrane: not used"
        )
    return membrane.with_species(changed)


def fixed(membrane: Membrane, fit: FitTable, problems: Problems) -> Membrane:
    for path, text in fit.fixed.items():
        with problems.at("fit", "fixed", path):
            if path == AREA and text == DERIVED:
                continue
            if path == AREA and not isinstance(membrane.geometry, AreaVolume):
                membrane = sized(membrane, units.parse_quantity(text, "um^2"))
            else:
                membrane = membrane.with_parameters({path: membrane_table.number(text, path, membrane)})
    return membrane


def no_whole_cell(parameters: Mapping[str, Any], fit: FitTable, membrane: Membrane, problems: Problems) -> None:
    """What is given for the whole cell means nothing yet where each cell's area is derived."""
    known = {path: d for path, _, d in declared(membrane, absent=True)}
    for where, given in ((("membrane", "parameters"), parameters), (("fit", "fixed"), fit.fixed)):
        for path, text in given.items():
            if path in known and isinstance(text, str) and text != DERIVED:
                with problems.at(*where, path):
                    units.parse_quantity(text, known[path].unit, capacitance=membrane.capacitance)


def sized(membrane: Membrane, area: Any) -> Membrane:
    """A cell of this area: of the volume of a sphere where it was one, else with the same volume over area."""
    old = membrane.geometry
    depth = np.sqrt(area / (4 * np.pi)) / 3 if isinstance(old, Sphere) else old.depth
    return membrane.with_geometry(AreaVolume(area, area * depth, old.outside_volume_fraction))
