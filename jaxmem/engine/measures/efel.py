"""The names of eFEL (https://github.com/openbraininstitute/eFEL, its defaults) for measures that agree with it.

On the same trace, with eFEL's ``interp_step`` at the trace's own dt, the values are the same: spikes are peaks above -20 mV,
timed at their highest sample; a feature that eFEL gives for every spike is the mean over them here, or "each" of the first
so many. A trace must begin at 0 ms, as eFEL takes the base from nine tenths of the stimulus' start.

Left out are features that need the trace again once their level is known, or all spikes at once: spike_half_width (half
height from the minimum that follows), time_constant (an iterated fit), AP_duration and AP_fall_time, burst_number and
strict_burst_number (medians of all intervals so far). spike_count is eFEL's Spikecount only with ``threshold=-20``.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from jaxmem.engine.measures import passive, shapes, trains
from jaxmem.engine.measures.base import Measure

THRESHOLD = -20.0  # mV, eFEL's default

_spikes: Any = lambda kind, **more: partial(kind, **({"threshold": THRESHOLD, "at": "peak", "stretch": "run"} | more))
_shapes: Any = lambda kind, **more: partial(kind, **({"threshold": THRESHOLD} | more))

EFEL: dict[str, Callable[..., Measure]] = {
    # when spikes come
    "Spikecount": _spikes(trains.SpikeCount),
    "Spikecount_stimint": _spikes(trains.SpikeCount, stretch="during"),
    "peak_time": _spikes(trains.SpikeTimes),
    "time_to_first_spike": _spikes(trains.Latency),
    "mean_frequency": _spikes(trains.MeanFrequency, stretch="during"),
    "doublet_ISI": _spikes(trains.FirstInterval),
    "ISI_CV": _spikes(trains.IntervalCV, skip=1),
    "adaptation_index2": _spikes(trains.Adaptation, skip=1, stretch="during"),
    # what they look like
    "peak_voltage": _shapes(shapes.SpikePeak, stretch="run"),
    "AP_amplitude": _shapes(shapes.SpikeAmplitude, stretch="during"),
    "AP1_amp": _shapes(shapes.SpikeAmplitude, stretch="during", of="first"),
    "APlast_amp": _shapes(shapes.SpikeAmplitude, stretch="during", of="last"),
    "mean_AP_amplitude": _shapes(shapes.SpikeAmplitude, stretch="during"),
    "AP_begin_voltage": _shapes(shapes.SpikeThreshold),
    "AP_duration_half_width": _shapes(shapes.SpikeWidth, nearest=True),
    "min_AHP_values": _shapes(shapes.Afterhyperpolarisation, stretch="run", below="zero"),
    "AHP_depth": _shapes(shapes.Afterhyperpolarisation, stretch="run"),
    "AHP_depth_from_peak": _shapes(shapes.Afterhyperpolarisation, stretch="run", below="peak"),
    # below threshold
    "steady_state_voltage_stimend": passive.SteadyVoltage,
    "voltage_deflection": passive.VoltageDeflection,
    "sag_ratio1": passive.SagRatio,
    "ohmic_input_resistance_vb_ssse": passive.InputResistance,
    "decay_time_constant_after_stim": passive.TimeConstant,
}
