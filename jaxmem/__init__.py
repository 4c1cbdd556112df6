"""jaxmem: populations of excitable membranes with electrogenic pumps and living ion concentrations, on JAX.

Units: mV, ms, mS/cm^2, uA/cm^2 (outward positive), uF/cm^2, mM, cm/s, um, degC. A population is a membrane whose numbers
are arrays.
"""

from jaxmem import electrochemistry as electrochemistry
from jaxmem import units as units
from jaxmem.analysis.resting import RestingState as RestingState
from jaxmem.analysis.resting import balance as balance
from jaxmem.analysis.resting import resting_state as resting_state
from jaxmem.engine.audit import Audit as Audit
from jaxmem.engine.integrate import Run as Run
from jaxmem.engine.integrate import integrate as integrate
from jaxmem.engine.measures import MEASURES as MEASURES
from jaxmem.engine.measures import Measure as Measure
from jaxmem.engine.records import Record as Record
from jaxmem.engine.simulate import Execution as Execution
from jaxmem.engine.simulate import simulate as simulate
from jaxmem.engine.simulation import Simulation as Simulation
from jaxmem.membrane import presets as presets
from jaxmem.membrane.channels import GHKLeak as GHKLeak
from jaxmem.membrane.channels import HodgkinHuxleyPotassium as HodgkinHuxleyPotassium
from jaxmem.membrane.channels import HodgkinHuxleySodium as HodgkinHuxleySodium
from jaxmem.membrane.channels import Leak as Leak
from jaxmem.membrane.channels import TraubMilesPotassium as TraubMilesPotassium
from jaxmem.membrane.channels import TraubMilesSodium as TraubMilesSodium
from jaxmem.membrane.check import MembraneError as MembraneError
from jaxmem.membrane.environment import Environment as Environment
from jaxmem.membrane.geometry import AreaVolume as AreaVolume
from jaxmem.membrane.geometry import Cylinder as Cylinder
from jaxmem.membrane.geometry import Sphere as Sphere
from jaxmem.membrane.mechanism import Current as Current
from jaxmem.membrane.mechanism import Linear as Linear
from jaxmem.membrane.mechanism import Mechanism as Mechanism
from jaxmem.membrane.mechanism import Rates as Rates
from jaxmem.membrane.mechanism import Scheme as Scheme
from jaxmem.membrane.mechanism import parameter as parameter
from jaxmem.membrane.membrane import Membrane as Membrane
from jaxmem.membrane.parameters import Parameter as Parameter
from jaxmem.membrane.parameters import PathError as PathError
from jaxmem.membrane.parameters import concatenate as concatenate
from jaxmem.membrane.pumps import NaKATPase as NaKATPase
from jaxmem.membrane.species import Species as Species
from jaxmem.membrane.species import impermeant as impermeant
from jaxmem.membrane.state import Point as Point
from jaxmem.membrane.state import State as State
from jaxmem.membrane.state import Status as Status
from jaxmem.rig.stimuli import ConstantCurrent as ConstantCurrent
from jaxmem.rig.stimuli import StepCurrent as StepCurrent
from jaxmem.rig.stimuli import Stimulus as Stimulus
from jaxmem.study.store import load as load
from jaxmem.units import UnitError as UnitError

__version__ = "0.1.0"
