"""Methods by name."""

from jaxmem.analysis.fitting.gradient_descent import GradientDescent, is_optimiser
from jaxmem.analysis.fitting.levenberg_marquardt import LevenbergMarquardt
from jaxmem.analysis.fitting.method import Method


def named(method: "str | Method | object") -> Method:
    """The method that a name or an optimiser of Optax stands for. Raises ValueError for anything else."""
    if isinstance(method, Method):
        return method
    if method == "levenberg_marquardt":
        return LevenbergMarquardt()
    if isinstance(method, str) or is_optimiser(method):
        return GradientDescent(method)
    raise ValueError(
        "a method is a name, jm.LevenbergMarquardt(...), jm.GradientDescent(...), an optimiser of Optax, or several of these; "
        f"found {method!r}"
    )
