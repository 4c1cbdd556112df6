"""One configuration of JAX for all tests: float64 throughout, and programs compiled once for all workers.

The command line does the same: it enables 64-bit numbers and asks for float32 where the user does. A test of float32
says so: ``precision="float32"``, or arrays of that type. (Rank promotion stays allowed: a leaf over compartments and
cells beside one over cells is a feature.)
"""

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator

import jax
import pytest

CACHE = "JAXMEM_TEST_COMPILATION_CACHE"


def pytest_configure(config: pytest.Config) -> None:
    """Runs in the process that starts the workers and in each of them, which inherit its environment."""
    jax.config.update("jax_enable_x64", True)
    if not hasattr(config, "workerinput"):
        # New for every session: no program of an older jaxlib or another processor can be met in it.
        os.environ[CACHE] = tempfile.mkdtemp(prefix="jaxmem-tests-")
    jax.config.update("jax_compilation_cache_dir", os.environ[CACHE])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(CACHE, ""), ignore_errors=True)


@pytest.fixture(autouse=True, scope="module")
def programs_do_not_pile_up() -> Iterator[None]:
    """A module's compiled programs are let go when it is through: together they would take several gigabytes."""
    yield
    jax.clear_caches()
    gc.collect()
