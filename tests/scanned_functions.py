"""What workers of a scan are asked in tests: functions of a module, as workers of their own process need them."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np


def cube(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"y": given["x"] ** 3}


def deadly(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Kills its process at x = 13."""
    if np.any(given["x"] == 13.0):
        os.kill(os.getpid(), signal.SIGKILL)
    return cube(given)


def leaving(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Ends its process at x = 13, as a library may that meets what it cannot stand."""
    if np.any(given["x"] == 13.0):
        print("this cannot be", file=sys.stderr, flush=True)
        os._exit(7)
    return cube(given)


def faulty(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Raises at x = 13 what no number can be blamed for."""
    if np.any(given["x"] == 13.0):
        raise KeyError("thirteen")
    return cube(given)


def quitting(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    if np.any(given["x"] == 13.0):
        sys.exit("enough")
    return cube(given)


def noisy(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Writes to stdout in every way there is, more than a pipe holds."""
    print("x" * 100_000)
    os.write(1, b"y" * 100_000)
    os.system("echo z; cat")
    return cube(given)


def slow(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    time.sleep(0.3)
    return cube(given)


def where(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The process, the cores that it may use, and whether it computes in 64 bits."""
    import jax.numpy as jnp

    n = len(given["x"])
    mask = sum(1 << core for core in os.sched_getaffinity(0))
    found = {"process": os.getpid(), "cores": mask, "bytes": jnp.zeros(1, float).dtype.itemsize}
    return {name: np.full(n, float(x)) for name, x in found.items()}


def tied(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Notes its process in the file that the environment names, then takes long."""
    with Path(os.environ["NOTED"]).open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(60)
    return cube(given)
