"""Which cores and which GPU each of several workers gets. JAX is not asked: it would take every GPU for this process."""

import importlib.metadata
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxmem.engine.cores import cores

VISIBLE = "CUDA_VISIBLE_DEVICES"
SHARE = "XLA_PYTHON_CLIENT_MEM_FRACTION"
PLUGINS = ("jax-cuda12-plugin", "jax-cuda13-plugin")
MEMORY = 0.75  # of a GPU, which JAX takes at its start


class Slot(NamedTuple):
    """``cores``: the cores a worker may use. ``environment``: what shows it its GPU and no other."""

    cores: tuple[int, ...]
    environment: dict[str, str]

    def enter(self) -> None:
        """Hold the calling thread, and those that it will start, to these cores. JAX must not have started."""
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, self.cores)
        os.environ.update(self.environment)


def slots(
    workers: int | None = None, threads: int | None = None, devices: Sequence[int | str] | str | None = None
) -> list[Slot]:
    """One per worker.

    ``devices``: GPUs by number or UUID; "cpu" for none; None: all that CUDA shows this process. ``workers`` (None: one
    per GPU; without GPUs one per ``threads`` cores) beyond the number of GPUs share them and their memory.
    ``threads``: cores of each; None: as many as there are for each, one without GPUs and ``workers``. Workers that
    together want more cores than there are share them. Raises ValueError.
    """
    for name, given in (("workers", workers), ("threads", threads)):
        if given is not None and given < 1:
            raise ValueError(f"{name} is {given}; it must be at least 1")
    if isinstance(devices, str) and devices != "cpu":
        raise ValueError(f'devices is {devices!r}; give "cpu", or a list of GPUs by number or UUID')
    found = gpus() if devices is None else () if devices == "cpu" else tuple(str(d) for d in devices)
    none = {"JAX_PLATFORMS": "cpu"} if devices == "cpu" or not os.environ.get("JAX_PLATFORMS") else {}
    ours = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(cores()))
    if workers is None:
        workers = len(found) or max(1, len(ours) // (threads or 1))
    threads = min(threads or max(1, len(ours) // workers), len(ours))
    groups = [tuple(sorted({ours[(i * threads + j) % len(ours)] for j in range(threads)})) for i in range(workers)]
    return [Slot(group, _shown(found, i, workers) if found else none) for i, group in enumerate(groups)]


def _shown(found: tuple[str, ...], worker: int, workers: int) -> dict[str, str]:
    shown = {VISIBLE: found[worker % len(found)]}
    sharing = -(-workers // len(found))
    if sharing > 1 and SHARE not in os.environ:
        shown[SHARE] = f"{MEMORY / sharing:.3f}"
    return shown


def gpus() -> tuple[str, ...]:
    """The NVIDIA GPUs that JAX could use here, as CUDA_VISIBLE_DEVICES names them; none where its plugin is missing."""
    if os.environ.get("JAX_PLATFORMS", "cuda").split(",")[0] not in ("cuda", "gpu", "") or not _plugin():
        return ()
    if (shown := os.environ.get(VISIBLE)) is not None:
        listed = [name.strip() for name in shown.split(",")]
        end = next((i for i, name in enumerate(listed) if name in ("", "-1", "NoDevFiles")), len(listed))
        return tuple(listed[:end])  # CUDA too reads up to the first that is none
    try:
        told = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=60, check=True)
        count = sum(line.startswith("GPU ") for line in told.stdout.splitlines())
    except (OSError, subprocess.SubprocessError):
        folder = Path("/proc/driver/nvidia/gpus")
        count = len(list(folder.iterdir())) if folder.is_dir() else 0
    return tuple(str(i) for i in range(count))


def _plugin() -> bool:
    """Whether JAX has what it needs for a GPU; without it workers would share the cores, one per GPU."""
    return any(True for name in PLUGINS for _ in importlib.metadata.distributions(name=name))
