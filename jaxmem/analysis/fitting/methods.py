"""Methods by name."""

import difflib

from jaxmem.analysis.fitting.gradient_descent import GradientDescent, is_optimiser
from jaxmem.analysis.fitting.levenberg_marquardt import LevenbergMarquardt
from jaxmem.analysis.fitting.method import Method


def named(method: "str | Method | object") -> Method:
    """The method that a name or an optimiser of Optax stands for. Raises ValueError for anything else."""
    if isinstance(method, Method):
        return method
    if method == "levenberg_marquardt":
        return LevenbergMarquardt()
    if isinstance(method, str) and difflib.get_close_matches(method, ["levenberg_marquardt"], cutoff=0.5):
        raise ValueError(f"there is no method {method!r}; did you mean 'levenberg_marquardt'?")
    if isinstance(method, str) or is_optimiser(method):
        return GradientDescent(method)
    raise ValueError(
        "a method is a name, jm.LevenbergMarquardt(...), jm.GradientDescent(...), an optimiser of Optax, or several of these; "
        f"found {method!r}"
    )
