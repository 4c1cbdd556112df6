"""jaxmem: populations of excitable membranes with electrogenic pumps and living ion concentrations, on JAX.

Units: mV, ms, mS/cm^2, uA/cm^2 (outward positive), uF/cm^2, mM, cm/s, um, degC. A population is a membrane whose
numbers are arrays.

Names are imported when they are first used: JAX takes more than a second to import, which ``jaxmem --help`` need not
wait for.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

# Every public name and where it comes from. Type checkers read the imports below; a test holds the two equal.
_MODULES = {
    "designs": "jaxmem.study.scanning.designs",
    "electrochemistry": "jaxmem.electrochemistry",
    "executors": "jaxmem.study.scanning.executors",
    "experiment": "jaxmem.study.experiment",
    "measures": "jaxmem.engine.measures",
    "presets": "jaxmem.membrane.presets",
    "questions": "jaxmem.study.scanning.questions",
    "testing": "jaxmem.testing",
    "units": "jaxmem.units",
}
_HOME = {
    # what is simulated
    "AreaVolume": "jaxmem.membrane.geometry",
    "BathExchange": "jaxmem.membrane.bath",
    "Current": "jaxmem.membrane.mechanism",
    "Cylinder": "jaxmem.membrane.geometry",
    "Environment": "jaxmem.membrane.environment",
    "GHKLeak": "jaxmem.membrane.channels",
    "HodgkinHuxleyPotassium": "jaxmem.membrane.channels",
    "HodgkinHuxleySodium": "jaxmem.membrane.channels",
    "HodgkinHuxleyPotassiumStates": "jaxmem.membrane.channel_states",
    "HodgkinHuxleySodiumStates": "jaxmem.membrane.channel_states",
    "HubelDahlemChannels": "jaxmem.membrane.one_gate",
    "Leak": "jaxmem.membrane.channels",
    "Linear": "jaxmem.membrane.mechanism",
    "Mechanism": "jaxmem.membrane.mechanism",
    "Membrane": "jaxmem.membrane.membrane",
    "MembraneError": "jaxmem.membrane.check",
    "NaKATPase": "jaxmem.membrane.pumps",
    "Number": "jaxmem.membrane.mechanism",
    "Parameter": "jaxmem.membrane.parameters",
    "PathError": "jaxmem.membrane.parameters",
    "Point": "jaxmem.membrane.state",
    "PumpCycle": "jaxmem.membrane.pump_cycle",
    "Rates": "jaxmem.membrane.mechanism",
    "Scheme": "jaxmem.membrane.mechanism",
    "SigmoidPump": "jaxmem.membrane.pumps",
    "Species": "jaxmem.membrane.species",
    "Sphere": "jaxmem.membrane.geometry",
    "State": "jaxmem.membrane.state",
    "Status": "jaxmem.membrane.state",
    "TraubMilesPotassium": "jaxmem.membrane.channels",
    "TraubMilesSodium": "jaxmem.membrane.channels",
    "WangBuzsakiPotassium": "jaxmem.membrane.fast_spiking",
    "WangBuzsakiSodium": "jaxmem.membrane.fast_spiking",
    "concatenate": "jaxmem.membrane.parameters",
    "impermeant": "jaxmem.membrane.species",
    "parameter": "jaxmem.membrane.mechanism",
    # what is done to it
    "Amplifier": "jaxmem.rig.amplifier",
    "Chirp": "jaxmem.rig.waves",
    "ConductanceClamp": "jaxmem.rig.conductance",
    "ConstantCurrent": "jaxmem.rig.stimuli",
    "CurrentCourse": "jaxmem.rig.courses",
    "Drug": "jaxmem.rig.schedules",
    "occupancy": "jaxmem.rig.schedules",
    "OrnsteinUhlenbeck": "jaxmem.rig.noise",
    "PulseTrain": "jaxmem.rig.pulses",
    "Ramp": "jaxmem.rig.courses",
    "Schedule": "jaxmem.rig.schedules",
    "Sinusoid": "jaxmem.rig.waves",
    "StepCurrent": "jaxmem.rig.stimuli",
    "Stimulus": "jaxmem.rig.stimuli",
    "Sum": "jaxmem.rig.sums",
    "TimeCourse": "jaxmem.rig.timecourse",
    "VoltageClamp": "jaxmem.rig.clamp",
    "Waveform": "jaxmem.rig.waveform",
    "WhiteNoise": "jaxmem.rig.noise",
    # how it is advanced
    "Adaptive": "jaxmem.engine.adaptive",
    "Audit": "jaxmem.engine.audit",
    "Checkpoint": "jaxmem.engine.checkpoint",
    "Execution": "jaxmem.engine.request",
    "Integrator": "jaxmem.engine.integrators",
    "RungeKutta4": "jaxmem.engine.runge_kutta",
    "RushLarsen": "jaxmem.engine.rush_larsen",
    "Staggered": "jaxmem.engine.integrators",
    "MEASURES": "jaxmem.engine.measures",
    "Measure": "jaxmem.engine.measures",
    "Record": "jaxmem.engine.records",
    "Run": "jaxmem.engine.integrate",
    "Simulation": "jaxmem.engine.simulation",
    "integrate": "jaxmem.engine.integrate",
    "measure_trace": "jaxmem.engine.measures.traces",
    "richardson": "jaxmem.engine.richardson",
    "simulate": "jaxmem.engine.simulate",
    # what one asks of it
    "Attractors": "jaxmem.analysis.attractors",
    "Budget": "jaxmem.analysis.budget",
    "Fit": "jaxmem.analysis.fitting.result",
    "FitStatus": "jaxmem.analysis.fitting.result",
    "Free": "jaxmem.analysis.fitting.free",
    "GradientDescent": "jaxmem.analysis.fitting.gradient_descent",
    "Identifiability": "jaxmem.analysis.fitting.identifiability",
    "Laplace": "jaxmem.analysis.fitting.laplace",
    "LevenbergMarquardt": "jaxmem.analysis.fitting.levenberg_marquardt",
    "Manifold": "jaxmem.analysis.fitting.manifold",
    "Target": "jaxmem.analysis.fitting.target",
    "fit": "jaxmem.analysis.fitting.fit",
    "laplace": "jaxmem.analysis.fitting.laplace",
    "solution_line": "jaxmem.analysis.fitting.manifold",
    "solution_manifold": "jaxmem.analysis.fitting.manifold",
    "Bifurcation": "jaxmem.analysis.bifurcations",
    "Continuation": "jaxmem.analysis.continuation",
    "LeakSubtracted": "jaxmem.analysis.leak_subtraction",
    "RestingState": "jaxmem.analysis.resting",
    "RestingStates": "jaxmem.analysis.crossings",
    "Spectrum": "jaxmem.analysis.spectrum",
    "Stability": "jaxmem.analysis.stability",
    "Trial": "jaxmem.analysis.fitting.trials",
    "all_resting_states": "jaxmem.analysis.crossings",
    "attractors": "jaxmem.analysis.attractors",
    "balance": "jaxmem.analysis.balance",
    "budget": "jaxmem.analysis.budget",
    "input_resistance": "jaxmem.analysis.budget",
    "continuation": "jaxmem.analysis.continuation",
    "leak_subtracted": "jaxmem.analysis.leak_subtraction",
    "membrane_area": "jaxmem.electrochemistry.capacitor",
    "membrane_time_constant": "jaxmem.analysis.budget",
    "readings": "jaxmem.analysis.readings",
    "resting_state": "jaxmem.analysis.resting",
    "spectrum": "jaxmem.analysis.spectrum",
    # scans
    "Axis": "jaxmem.study.scanning.axis",
    "Scan": "jaxmem.study.scanning.result",
    "ScanError": "jaxmem.study.scanning.shards",
    "ScanPlan": "jaxmem.study.scanning.plan",
    "read_scan": "jaxmem.study.scanning.result",
    "scan": "jaxmem.study.scanning.scan",
    # files
    "Experiment": "jaxmem.study.experiment",
    "ExperimentError": "jaxmem.study.problems",
    "Findings": "jaxmem.study.findings",
    "FindingsError": "jaxmem.study.findings",
    "load": "jaxmem.study.store",
    "save_variables": "jaxmem.study.variables",
    "Sensitivity": "jaxmem.study.scanning.sensitivity",
    "sensitivity": "jaxmem.study.scanning.sensitivity",
    "UnitError": "jaxmem.units",
}
__all__ = [*_MODULES, *_HOME, "__version__"]

if TYPE_CHECKING:
    from jaxmem import electrochemistry as electrochemistry
    from jaxmem import testing as testing
    from jaxmem import units as units
    from jaxmem.analysis.attractors import Attractors as Attractors
    from jaxmem.analysis.attractors import attractors as attractors
    from jaxmem.analysis.balance import balance as balance
    from jaxmem.analysis.bifurcations import Bifurcation as Bifurcation
    from jaxmem.analysis.budget import Budget as Budget
    from jaxmem.analysis.budget import budget as budget
    from jaxmem.analysis.budget import input_resistance as input_resistance
    from jaxmem.analysis.budget import membrane_time_constant as membrane_time_constant
    from jaxmem.analysis.continuation import Continuation as Continuation
    from jaxmem.analysis.continuation import continuation as continuation
    from jaxmem.analysis.crossings import RestingStates as RestingStates
    from jaxmem.analysis.crossings import all_resting_states as all_resting_states
    from jaxmem.analysis.fitting.fit import fit as fit
    from jaxmem.analysis.fitting.free import Free as Free
    from jaxmem.analysis.fitting.gradient_descent import GradientDescent as GradientDescent
    from jaxmem.analysis.fitting.identifiability import Identifiability as Identifiability
    from jaxmem.analysis.fitting.laplace import Laplace as Laplace
    from jaxmem.analysis.fitting.laplace import laplace as laplace
    from jaxmem.analysis.fitting.levenberg_marquardt import LevenbergMarquardt as LevenbergMarquardt
    from jaxmem.analysis.fitting.manifold import Manifold as Manifold
    from jaxmem.analysis.fitting.manifold import solution_line as solution_line
    from jaxmem.analysis.fitting.manifold import solution_manifold as solution_manifold
    from jaxmem.analysis.fitting.result import Fit as Fit
    from jaxmem.analysis.fitting.result import FitStatus as FitStatus
    from jaxmem.analysis.fitting.target import Target as Target
    from jaxmem.analysis.fitting.trials import Trial as Trial
    from jaxmem.analysis.leak_subtraction import LeakSubtracted as LeakSubtracted
    from jaxmem.analysis.leak_subtraction import leak_subtracted as leak_subtracted
    from jaxmem.analysis.readings import readings as readings
    from jaxmem.analysis.resting import RestingState as RestingState
    from jaxmem.analysis.resting import resting_state as resting_state
    from jaxmem.analysis.spectrum import Spectrum as Spectrum
    from jaxmem.analysis.spectrum import spectrum as spectrum
    from jaxmem.analysis.stability import Stability as Stability
    from jaxmem.electrochemistry.capacitor import membrane_area as membrane_area
    from jaxmem.engine import measures as measures
    from jaxmem.engine.adaptive import Adaptive as Adaptive
    from jaxmem.engine.audit import Audit as Audit
    from jaxmem.engine.checkpoint import Checkpoint as Checkpoint
    from jaxmem.engine.integrate import Run as Run
    from jaxmem.engine.integrate import integrate as integrate
    from jaxmem.engine.integrators import Integrator as Integrator
    from jaxmem.engine.integrators import Staggered as Staggered
    from jaxmem.engine.measures import MEASURES as MEASURES
    from jaxmem.engine.measures import Measure as Measure
    from jaxmem.engine.measures.traces import measure_trace as measure_trace
    from jaxmem.engine.records import Record as Record
    from jaxmem.engine.request import Execution as Execution
    from jaxmem.engine.richardson import richardson as richardson
    from jaxmem.engine.runge_kutta import RungeKutta4 as RungeKutta4
    from jaxmem.engine.rush_larsen import RushLarsen as RushLarsen
    from jaxmem.engine.simulate import simulate as simulate
    from jaxmem.engine.simulation import Simulation as Simulation
    from jaxmem.membrane import presets as presets
    from jaxmem.membrane.bath import BathExchange as BathExchange
    from jaxmem.membrane.channel_states import HodgkinHuxleyPotassiumStates as HodgkinHuxleyPotassiumStates
    from jaxmem.membrane.channel_states import HodgkinHuxleySodiumStates as HodgkinHuxleySodiumStates
    from jaxmem.membrane.channels import GHKLeak as GHKLeak
    from jaxmem.membrane.channels import HodgkinHuxleyPotassium as HodgkinHuxleyPotassium
    from jaxmem.membrane.channels import HodgkinHuxleySodium as HodgkinHuxleySodium
    from jaxmem.membrane.channels import Leak as Leak
    from jaxmem.membrane.channels import TraubMilesPotassium as TraubMilesPotassium
    from jaxmem.membrane.channels import TraubMilesSodium as TraubMilesSodium
    from jaxmem.membrane.check import MembraneError as MembraneError
    from jaxmem.membrane.environment import Environment as Environment
    from jaxmem.membrane.fast_spiking import WangBuzsakiPotassium as WangBuzsakiPotassium
    from jaxmem.membrane.fast_spiking import WangBuzsakiSodium as WangBuzsakiSodium
    from jaxmem.membrane.geometry import AreaVolume as AreaVolume
    from jaxmem.membrane.geometry import Cylinder as Cylinder
    from jaxmem.membrane.geometry import Sphere as Sphere
    from jaxmem.membrane.mechanism import Current as Current
    from jaxmem.membrane.mechanism import Linear as Linear
    from jaxmem.membrane.mechanism import Mechanism as Mechanism
    from jaxmem.membrane.mechanism import Number as Number
    from jaxmem.membrane.mechanism import Rates as Rates
    from jaxmem.membrane.mechanism import Scheme as Scheme
    from jaxmem.membrane.mechanism import parameter as parameter
    from jaxmem.membrane.membrane import Membrane as Membrane
    from jaxmem.membrane.one_gate import HubelDahlemChannels as HubelDahlemChannels
    from jaxmem.membrane.parameters import Parameter as Parameter
    from jaxmem.membrane.parameters import PathError as PathError
    from jaxmem.membrane.parameters import concatenate as concatenate
    from jaxmem.membrane.pump_cycle import PumpCycle as PumpCycle
    from jaxmem.membrane.pumps import NaKATPase as NaKATPase
    from jaxmem.membrane.pumps import SigmoidPump as SigmoidPump
    from jaxmem.membrane.species import Species as Species
    from jaxmem.membrane.species import impermeant as impermeant
    from jaxmem.membrane.state import Point as Point
    from jaxmem.membrane.state import State as State
    from jaxmem.membrane.state import Status as Status
    from jaxmem.rig.amplifier import Amplifier as Amplifier
    from jaxmem.rig.clamp import VoltageClamp as VoltageClamp
    from jaxmem.rig.conductance import ConductanceClamp as ConductanceClamp
    from jaxmem.rig.courses import CurrentCourse as CurrentCourse
    from jaxmem.rig.courses import Ramp as Ramp
    from jaxmem.rig.noise import OrnsteinUhlenbeck as OrnsteinUhlenbeck
    from jaxmem.rig.noise import WhiteNoise as WhiteNoise
    from jaxmem.rig.pulses import PulseTrain as PulseTrain
    from jaxmem.rig.schedules import Drug as Drug
    from jaxmem.rig.schedules import Schedule as Schedule
    from jaxmem.rig.schedules import occupancy as occupancy
    from jaxmem.rig.stimuli import ConstantCurrent as ConstantCurrent
    from jaxmem.rig.stimuli import StepCurrent as StepCurrent
    from jaxmem.rig.stimuli import Stimulus as Stimulus
    from jaxmem.rig.sums import Sum as Sum
    from jaxmem.rig.timecourse import TimeCourse as TimeCourse
    from jaxmem.rig.waveform import Waveform as Waveform
    from jaxmem.rig.waves import Chirp as Chirp
    from jaxmem.rig.waves import Sinusoid as Sinusoid
    from jaxmem.study import experiment as experiment
    from jaxmem.study.experiment import Experiment as Experiment
    from jaxmem.study.findings import Findings as Findings
    from jaxmem.study.findings import FindingsError as FindingsError
    from jaxmem.study.problems import ExperimentError as ExperimentError
    from jaxmem.study.scanning import designs as designs
    from jaxmem.study.scanning import executors as executors
    from jaxmem.study.scanning import questions as questions
    from jaxmem.study.scanning.axis import Axis as Axis
    from jaxmem.study.scanning.plan import ScanPlan as ScanPlan
    from jaxmem.study.scanning.result import Scan as Scan
    from jaxmem.study.scanning.result import read_scan as read_scan
    from jaxmem.study.scanning.scan import scan as scan
    from jaxmem.study.scanning.sensitivity import Sensitivity as Sensitivity
    from jaxmem.study.scanning.sensitivity import sensitivity as sensitivity
    from jaxmem.study.scanning.shards import ScanError as ScanError
    from jaxmem.study.store import load as load
    from jaxmem.study.variables import save_variables as save_variables
    from jaxmem.units import UnitError as UnitError
else:  # unseen by type checkers, which would take any name for granted

    def __getattr__(name: str):
        import importlib

        if name in _MODULES:
            found = importlib.import_module(_MODULES[name])
        elif name in _HOME:
            found = getattr(importlib.import_module(_HOME[name]), name)
        else:
            raise AttributeError(f"module 'jaxmem' has no attribute {name!r}")
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
