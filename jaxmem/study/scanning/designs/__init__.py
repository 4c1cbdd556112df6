"""Designs: which points of parameter space a scan asks. Any of their points can be made alone, from their index.

    jm.designs.Grid({"k.outside": jm.Axis(2.0, 20.0, points=100), "pump.i_max": jm.Axis("1 uA/cm^2", ...)})

Needs no JAX.
"""

from jaxmem.study.scanning.designs.design import Design as Design
from jaxmem.study.scanning.designs.grid import Grid as Grid
from jaxmem.study.scanning.designs.latin_hypercube import LatinHypercube as LatinHypercube
from jaxmem.study.scanning.designs.listed import Listed as Listed
from jaxmem.study.scanning.designs.nested import Nested as Nested
from jaxmem.study.scanning.designs.random import Random as Random
from jaxmem.study.scanning.designs.saltelli import Saltelli as Saltelli
from jaxmem.study.scanning.designs.sobol import Sobol as Sobol
