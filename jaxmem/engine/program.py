"""A pass over the traced step: models stay as in the textbook, the loop computes each thing once.

Two things happen to a step ``function(fixed, moving)`` between tracing and running:

1. What depends on ``fixed`` alone and is dear (temperature factors, the pump at given concentrations, dt/C) is computed
   once, before the loop. A sum or product is cheaper made again than loaded from memory, and stays in the loop.
2. ``exp(a*x + b)`` for several a that are multiples of one unit become powers of one exponential of x: the six rates of
   the 1952 squid need two exponentials instead of six, cortical kinetics two instead of nine.

Anything it does not recognise is left as it is. The result is ordinary JAX: it can be differentiated and vectorised.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

LARGEST_POWER = 24  # beyond, the rounding of repeated products outgrows what an exponential would cost
LARGEST_EXPONENT = 30.0  # of exp(b + a*centre): keeps the constant factor far from overflow in float32

DEAR = {
    "exp", "exp2", "expm1", "log", "log1p", "pow", "sqrt", "rsqrt", "cbrt", "tanh", "logistic", "sin", "cos", "div",
    "custom_jvp_call",
}  # fmt: skip

Value = int | core.Literal  # a value is known by its number


def compile_step(
    function: Callable[[Any, Any], Any], fixed: Any, moving: Any, barriers: bool = True
) -> Callable[[Any], Any]:
    """``moving -> function(fixed, moving)`` with everything that depends on ``fixed`` alone computed here and now.

    ``moving`` serves as an example of shapes and dtypes. Bitwise the same step wherever it is compiled from. Without
    ``barriers`` the optimization barriers in it are left out, so that several steps can become one kernel on a GPU.
    """
    closed, shape = jax.make_jaxpr(lambda f, m: function(f, m), return_shape=True)(fixed, moving)
    code = _Code(closed, len(jax.tree.leaves(fixed)), len(jax.tree.leaves(moving)), barriers)
    groups = _groups(code)
    structure = jax.tree.structure(shape)
    before: dict[int, Any] = dict(zip(code.constants, closed.consts, strict=True))
    before |= dict(zip(code.fixed, jax.tree.leaves(fixed), strict=True))
    inside = []
    for equation, given, results in code.equations:
        if not any(x in code.varying for x in results):
            before |= dict(zip(results, _evaluate(equation, [_read(before, x) for x in given]), strict=True))
        if any(x in code.varying or x in code.cheap for x in results):
            inside.append((equation, given, results))

    def step(moving: Any) -> Any:
        values = {n: x for n, x in before.items() if n not in code.cheap}
        values |= dict(zip(code.moving, jax.tree.leaves(moving), strict=True))
        powers: dict[tuple[int, float, int], Any] = {}
        for equation, given, results in inside:
            if results[:1] and results[0] in groups:
                values[results[0]] = groups[results[0]].exponential(values, powers)
            else:
                values |= dict(zip(results, _evaluate(equation, [_read(values, x) for x in given]), strict=True))
        return jax.tree.unflatten(structure, [_read(values, x) for x in code.outputs])

    return step


class _Code:
    """Straight-line code with nested jits inlined: (equation, inputs, results); and what varies with ``moving``."""

    def __init__(self, closed: core.ClosedJaxpr, n_fixed: int, n_moving: int, barriers: bool):
        self.count, self.barriers = 0, barriers
        self.equations: list[tuple[Any, list[Value], list[int]]] = []
        self.constants = self._new(len(closed.consts))
        self.fixed, self.moving = self._new(n_fixed), self._new(n_moving)
        self.varying = set(self.moving)  # depend on what moves
        self.dear: set[int] = set()  # stand still, and took something dear to make
        self.cheap: set[int] = set()  # stand still, and are cheaper made again than kept
        self.outputs = self._flatten(closed.jaxpr, self.constants, [*self.fixed, *self.moving])

    def _new(self, n: int) -> list[Any]:
        self.count += n
        return list(range(self.count - n, self.count))

    def _flatten(self, jaxpr: core.Jaxpr, constants: list[Value], inputs: list[Value]) -> list[Value]:
        known = dict(zip(jaxpr.constvars, constants, strict=True)) | dict(zip(jaxpr.invars, inputs, strict=True))
        read = lambda x: x if isinstance(x, core.Literal) else known[x]
        for equation in jaxpr.eqns:
            results: Any
            given, inner = [read(x) for x in equation.invars], equation.params.get("jaxpr")
            if (
                equation.primitive.name in ("jit", "pjit", "closed_call")
                and isinstance(inner, core.ClosedJaxpr)
                and not inner.consts
            ):
                results = self._flatten(inner.jaxpr, [], given)
            elif equation.primitive.name == "optimization_barrier" and not self.barriers:
                results = given
            else:
                results = self._new(len(equation.outvars))
                self.equations.append((equation, given, results))
                self._sort(equation, {x for x in given if not isinstance(x, core.Literal)}, results)
            known |= dict(zip(equation.outvars, results, strict=True))
        return [read(x) for x in jaxpr.outvars]

    def _sort(self, equation: Any, given: set[int], results: list[int]) -> None:
        if given & self.varying:
            self.varying.update(results)
            return
        spreads = equation.primitive.name == "broadcast_in_dim"  # a kept scalar is a register, a kept array is a load
        dear = equation.primitive.name in DEAR or bool(given & self.dear and not spreads)
        (self.dear if dear else self.cheap).update(results)


def _read(values: dict[int, Any], x: Value) -> Any:
    return x.val if isinstance(x, core.Literal) else values[x]


def _evaluate(equation: Any, inputs: list[Any]) -> list[Any]:
    answer = equation.primitive.bind(*inputs, **equation.primitive.get_bind_params(equation.params))
    return answer if equation.primitive.multiple_results else [answer]


class _Exponential:
    """``exp(a*x + b)`` as ``exp(unit*(x - centre))**power * exp(b + a*centre)``."""

    def __init__(self, root: int, centre: float, unit: float, power: int, factor: float):
        self.root, self.centre, self.unit, self.power, self.factor = root, centre, unit, power, factor

    def exponential(self, values: dict[int, Any], powers: dict[tuple[int, float, int], Any]) -> Any:
        def power(k: int) -> Any:
            key = self.root, self.unit, k
            if key not in powers:
                if k == 1:
                    powers[key] = jnp.exp(self.unit * (values[self.root] - self.centre))
                elif k < 0:
                    powers[key] = 1 / power(-k)
                else:
                    powers[key] = power(k // 2) ** 2 if k % 2 == 0 else power(k - 1) * power(1)
            return powers[key]

        return power(self.power) * self.factor


def _groups(code: _Code) -> dict[int, _Exponential]:
    """For each exponential worth sharing, by the number of its result, how it is made."""
    affine: dict[int, tuple[int, float, float]] = {}
    found: dict[int, dict[int, tuple[float, float]]] = {}
    for equation, given, results in code.equations:
        if len(results) != 1 or results[0] not in code.varying:
            continue
        if form := _affine(equation, given, affine):
            affine[results[0]] = form
        if equation.primitive.name == "exp" and not isinstance(given[0], core.Literal):
            root, a, b = affine.get(given[0], (given[0], 1.0, 0.0))
            if a:
                found.setdefault(root, {})[results[0]] = a, b
    shared: dict[int, _Exponential] = {}
    for root, group in found.items():
        centre = float(np.median([-b / a for a, b in group.values()]))
        group = {result: (a, b) for result, (a, b) in group.items() if abs(b + a * centre) < LARGEST_EXPONENT}
        if len(group) > 1:
            plan = _plan([a for a, _ in group.values()])
            for result, (a, b) in group.items():
                shared[result] = _Exponential(root, centre, *plan[a], math.exp(b + a * centre))
    return shared


def _affine(
    equation: Any, inputs: list[Value], known: dict[int, tuple[int, float, float]]
) -> tuple[int, float, float] | None:
    """(root, a, b) where the equation's result is a*root + b with plain numbers a and b."""
    name = equation.primitive.name
    if name not in ("neg", "add", "sub", "mul", "div") or not jnp.issubdtype(
        equation.outvars[0].aval.dtype, jnp.floating
    ):
        return None
    number = lambda x: float(x.val) if isinstance(x, core.Literal) and np.ndim(x.val) == 0 else None
    form = lambda x: None if isinstance(x, core.Literal) else known.get(x, (x, 1.0, 0.0))
    left, right = form(inputs[0]), form(inputs[-1])
    if name == "neg":
        return left and (left[0], -left[1], -left[2])
    if left and (c := number(inputs[1])) is not None:
        r, a, b = left
        return {
            "add": (r, a, b + c),
            "sub": (r, a, b - c),
            "mul": (r, a * c, b * c),
            "div": (r, a / c, b / c) if c else None,
        }[name]
    if right and (c := number(inputs[0])) is not None:
        r, a, b = right
        return {"add": (r, a, b + c), "sub": (r, -a, c - b), "mul": (r, a * c, b * c), "div": None}[name]
    return None


def _plan(slopes: list[float]) -> dict[float, tuple[float, int]]:
    """slope -> (unit, power), with as few units as possible."""
    plan, left = {}, sorted(set(slopes), key=lambda a: (abs(a), a))
    while left:

        def fits(unit: float, left: list[float] = left) -> list[float]:
            whole = lambda a: abs(a / unit - round(a / unit)) < 1e-9 * abs(a / unit)
            return [a for a in left if whole(a) and 1 <= abs(round(a / unit)) <= LARGEST_POWER]

        unit = max((abs(a) / j for a in left for j in range(1, 7)), key=lambda u: (len(fits(u)), u))
        together = fits(unit)
        if sum(a < 0 for a in together) > len(together) / 2:
            unit = -unit  # a negative power costs a division
        for a in together:
            plan[a] = unit, round(a / unit)
            left.remove(a)
    return plan
