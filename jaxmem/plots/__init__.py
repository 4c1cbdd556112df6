"""Figures of a simulation. Each kind is a function ``(simulation, *, title=None, ...) -> matplotlib Figure``.

matplotlib is imported when a figure is drawn; pyplot never is. ``save`` writes a figure to a file. Figures of one's own
look like these with ``@styled`` on the function that draws, ``new_figure`` and ``finish`` (title above, caption below).
"""

from jaxmem.plots._currents import currents as currents
from jaxmem.plots._fits import fits as fits
from jaxmem.plots._ions import concentrations as concentrations
from jaxmem.plots._ions import reversals as reversals
from jaxmem.plots._overview import overview as overview
from jaxmem.plots._population import distributions as distributions
from jaxmem.plots._population import map_of as map_of
from jaxmem.plots._rests import rests as rests
from jaxmem.plots._scan_map import scan_map as scan_map
from jaxmem.plots._scans import scan as scan
from jaxmem.plots._scans import scan_panels as scan_panels
from jaxmem.plots._style import CYCLE as CYCLE
from jaxmem.plots._style import ION_COLOURS as ION_COLOURS
from jaxmem.plots._style import caption_of as caption_of
from jaxmem.plots._style import finish as finish
from jaxmem.plots._style import label as label
from jaxmem.plots._style import new_figure as new_figure
from jaxmem.plots._style import save as save
from jaxmem.plots._style import styled as styled
from jaxmem.plots._voltage import voltage as voltage

KINDS = {
    "overview": overview,
    "voltage": voltage,
    "concentrations": concentrations,
    "reversals": reversals,
    "currents": currents,
    "map": map_of,
    "distributions": distributions,
}

DESCRIPTIONS = {name: (function.__doc__ or "").splitlines()[0] for name, function in KINDS.items()}
"""Kind -> one line that says what it shows."""
