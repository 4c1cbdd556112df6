"""What workers of a scan are asked in tests: functions of a module, as workers of their own process need them."""

import errno
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


def full(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    if np.any(given["x"] == 13.0):
        raise OSError(errno.ENOSPC, "full")
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
    """The process, the cores that it may use, and how long its numbers are; told when every core has a process."""
    import jax.numpy as jnp

    folder = Path(os.environ["NOTED"])
    (folder / str(os.getpid())).touch()
    while given["x"][0] != 0.5 and len(list(folder.iterdir())) < (os.cpu_count() or 1):
        time.sleep(0.05)
    n = len(given["x"])
    mask = np.sum(2.0 ** np.array(list(os.sched_getaffinity(0))))
    length = jnp.zeros(1, float).dtype.itemsize
    return {"process": np.full(n, float(os.getpid())), "cores": np.full(n, mask), "bytes": np.full(n, float(length))}


def tied(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Notes its process in the file that the environment names, then takes long."""
    with Path(os.environ["NOTED"]).open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(60)
    return cube(given)


def deadly_once(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Kills its process at x = 13, the first time; every chunk takes a moment, so that both workers have some."""
    time.sleep(0.05)
    if np.any(given["x"] == 13.0) and not Path(os.environ["NOTED"]).exists():
        Path(os.environ["NOTED"]).write_text(f"{os.getpid()}\n")
        os.kill(os.getpid(), signal.SIGKILL)
    return cube(given)
