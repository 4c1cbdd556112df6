"""What workers of a scan are asked in tests: functions of a module, as workers of their own process need them."""

import errno
import os
import signal
import sys
import tempfile
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
    """Has no memory for x = 13, which no number can be blamed for."""
    if np.any(given["x"] == 13.0):
        raise MemoryError("thirteen")
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
    """The process and the cores that it may use. Comes back when two have been asked, at x = 1 and x = 2."""
    x = given["x"]
    if x[0] != 0.5:
        mine, others = (Path(tempfile.gettempdir()) / f"jaxmem-{os.getppid()}-{i:g}" for i in (x[0], 3 - x[0]))
        mine.touch()
        end = time.monotonic() + 60
        while not others.exists() and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(0.2)  # the other one has seen it too
        mine.unlink()
    mask = np.sum(2.0 ** np.array(list(os.sched_getaffinity(0))))
    return {"process": np.full(len(x), float(os.getpid())), "cores": np.full(len(x), mask)}


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


def compiled(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """In the precision that JAX has, one number after the other rounded on the way."""
    import jax
    import jax.numpy as jnp

    return {"y": np.asarray(jax.jit(lambda x: jnp.exp(-0.1 * x) * jnp.sin(3.0 * x))(jnp.asarray(given["x"])), float)}
