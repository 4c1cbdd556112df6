"""Measures: numbers folded over a run on the device, so that a million cells need no stored trace.

``MEASURES`` are those that a name is enough for, ``EFEL`` eFEL's names for them, ``ASKING`` those that must be told
something more.
"""

from jaxmem.engine.measures.base import GRID, Measure, Plan, Result, Samples, StepView, Values, Windowed, filled
from jaxmem.engine.measures.clamp import PeakInwardCurrent, PeakOutwardCurrent, SteadyCurrent
from jaxmem.engine.measures.detect import Spikes
from jaxmem.engine.measures.efel import EFEL
from jaxmem.engine.measures.energy import ATP, ATPPerSpike, ConcentrationChange, Energy, PumpTurnover
from jaxmem.engine.measures.passive import (
    InputResistance,
    SagAmplitude,
    SagRatio,
    SteadyVoltage,
    TimeConstant,
    VoltageBase,
    VoltageDeflection,
)
from jaxmem.engine.measures.shapes import (
    Afterhyperpolarisation,
    SpikeAmplitude,
    SpikePeak,
    SpikeThreshold,
    SpikeWidth,
)
from jaxmem.engine.measures.traces import measure_trace as of_trace
from jaxmem.engine.measures.trains import (
    Adaptation,
    BurstCount,
    FiringRate,
    FirstInterval,
    FirstSpikeTime,
    InterspikeInterval,
    IntervalCV,
    Latency,
    MeanFrequency,
    SpikeCount,
    SpikeTimes,
)
from jaxmem.engine.measures.voltage import Drift, FinalV, MaximumV, MeanV, MinimumV, RestingPotential

MEASURES: dict[str, type[Measure]] = {
    # the voltage
    "minimum_v": MinimumV, "maximum_v": MaximumV, "mean_v": MeanV, "final_v": FinalV,
    "resting_potential": RestingPotential, "drift": Drift,
    # when spikes come
    "spike_count": SpikeCount, "firing_rate": FiringRate,
    "first_spike_time": FirstSpikeTime, "latency": Latency, "spike_times": SpikeTimes,
    "isi_mean": InterspikeInterval, "isi_first": FirstInterval, "isi_cv": IntervalCV, "adaptation": Adaptation,
    "burst_count": BurstCount,
    # what they look like
    "spike_peak": SpikePeak, "spike_amplitude": SpikeAmplitude, "spike_width": SpikeWidth,
    "spike_threshold": SpikeThreshold, "afterhyperpolarisation": Afterhyperpolarisation,
    # the answer to a step
    "voltage_base": VoltageBase, "steady_voltage": SteadyVoltage, "sag_amplitude": SagAmplitude, "sag_ratio": SagRatio,
    "input_resistance": InputResistance, "time_constant": TimeConstant,
    # the electrode's current
    "peak_inward_current": PeakInwardCurrent, "peak_outward_current": PeakOutwardCurrent,
    "steady_current": SteadyCurrent,
    # ions and energy
    "concentration_change": ConcentrationChange, "atp": ATP, "pump_turnover": PumpTurnover, "energy_per_second": Energy,
}  # fmt: skip
ASKING: dict[str, type[Measure]] = {"atp_per_spike": ATPPerSpike}
