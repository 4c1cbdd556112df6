"""Conditions on points in words: "v between -72 mV and -68 mV and atp_per_second < 2e8".

Comparisons (<, <=, >, >=, ==, !=, in chains too: "-72 < v <= -68"), "between ... and ..." with both ends, "is" and "is
not" with words of codes ("status is ok", "stability is stable"), |name| for the absolute value, "and", "or", "not" and
brackets; "not" binds closest, then "and", then "or". Numbers are in the unit of what they are compared with unless they
have one. A name with blanks stands in single quotes. What is compared with nothing known (NaN) is neither true nor false
("not" does not make it true), and only points for which a condition is true are inside.
"""

import dataclasses
import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxmem import units
from jaxmem.study.problems import unknown

KEYWORDS = ("and", "or", "not", "between", "is")
TOGETHER = {"stable": ("node", "oscillatory")}  # words that stand for several codes
COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal, "==": np.equal, "!=": np.not_equal,
}  # fmt: skip
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_NAME = re.compile(r"[A-Za-z_][\w.]*")
_QUOTED = re.compile(r"'([^']*)'")
_MARK = re.compile(r"<=|>=|==|!=|[<>()|=]")
_UNIT_ENDS = re.compile(r"[<>=!|,]|\b(?:and|or)\b")
Truth = tuple[np.ndarray, np.ndarray]  # where it is true, where it is false; neither where it is not known
Columns = Mapping[str, np.ndarray]


class Known(NamedTuple):
    """What a condition may ask of a name: its unit, and what its whole numbers stand for."""

    unit: str
    codes: Mapping[int, str]


@dataclasses.dataclass(frozen=True)
class Condition:
    """A condition that was read: its ``text``, the ``names`` in it, and ``holds(columns)``, which points are inside."""

    text: str
    names: tuple[str, ...]
    truth: Callable[[Columns], Truth]

    def holds(self, columns: Columns) -> np.ndarray:
        """For ``columns`` (n,) by name: a mask (n,)."""
        return self.truth(columns)[0]


def read(text: str, known: Mapping[str, Known]) -> Condition:
    """The condition that ``text`` states about what is ``known``, by name.

    Raises ValueError, which shows the place, for what cannot be read, an unknown name (with the nearest), a unit that
    does not fit, and words that are no code.
    """
    return _Reader(text, known).read()


class _Token(NamedTuple):
    kind: str  # "number", "name", "word" (a keyword), "mark", "end"
    text: str
    at: int


class _Operand(NamedTuple):
    name: str | None
    written: str
    absolute: bool
    at: int


class _Reader:
    def __init__(self, text: str, known: Mapping[str, Known]):
        self.text, self.known = text, known
        self.names: dict[str, None] = {}
        self.tokens = self._split()
        self.i = 0

    def read(self) -> Condition:
        if self.tokens[0].kind == "end":
            raise ValueError("the condition is empty; write one such as 'v between -72 mV and -68 mV'")
        truth = self._or()
        if self.now.kind != "end":
            self._fail(f"found {self.now.text!r} after a whole condition; join conditions with 'and' or 'or'")
        return Condition(self.text, tuple(self.names), truth)

    # ------------------------------------------------------------------ pieces of text
    def _split(self) -> list[_Token]:
        found, at, text = [], 0, self.text
        while at < len(text):
            if text[at].isspace():
                at += 1
            elif match := _NUMBER.match(text, at):
                stop = self._unit(match.end())
                found.append(_Token("number", text[at:stop].strip(), at))
                at = stop
            elif match := _QUOTED.match(text, at):
                found.append(_Token("name", match.group(1), at))
                at = match.end()
            elif match := _NAME.match(text, at):
                word = match.group().rstrip(".")
                keyword = word.lower() in KEYWORDS
                found.append(_Token("word" if keyword else "name", word.lower() if keyword else word, at))
                at += len(word)
            elif match := _MARK.match(text, at):
                found.append(
                    _Token("mark", match.group().replace("=", "==") if match.group() == "=" else match.group(), at)
                )
                at = match.end()
            else:
                self._fail(f"{text[at]!r} is not understood", at)
        return [*found, _Token("end", "", len(text))]

    def _unit(self, at: int) -> int:
        """Where the unit ends that begins here: brackets may be part of it."""
        ends = _UNIT_ENDS.search(self.text, at)
        stop, depth = ends.start() if ends else len(self.text), 0
        for i in range(at, stop):
            depth += (self.text[i] == "(") - (self.text[i] == ")")
            if depth < 0:
                return i
        return stop

    @property
    def now(self) -> _Token:
        return self.tokens[self.i]

    def _take(self, *texts: str, kind: str = "word") -> str | None:
        """The token's text if it is one of these; it is used up then."""
        if self.now.kind == kind and self.now.text in texts:
            self.i += 1
            return self.tokens[self.i - 1].text
        return None

    def _fail(self, why: str, at: int | None = None) -> Any:
        at = self.now.at if at is None else at
        raise ValueError(
            f"condition {self.text!r}: at {'its end' if at >= len(self.text) else f'column {at + 1}'}: {why}"
        )

    # ------------------------------------------------------------------ the grammar
    def _or(self) -> Callable[[Columns], Truth]:
        parts = [self._and()]
        while self._take("or"):
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else _any(parts)

    def _and(self) -> Callable[[Columns], Truth]:
        parts = [self._not()]
        while self._take("and"):
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else _all(parts)

    def _not(self) -> Callable[[Columns], Truth]:
        if self._take("not"):
            inner = self._not()
            return lambda columns: inner(columns)[::-1]
        if self._take("(", kind="mark"):
            inside = self._or()
            if not self._take(")", kind="mark"):
                self._fail("a bracket is not closed; ')' is wanted")
            return inside
        return self._comparison()

    def _comparison(self) -> Callable[[Columns], Truth]:
        left = self._operand()
        if self._take("is"):
            return self._is(left)
        if self._take("between"):
            return self._between(left)
        parts = []
        while sign := self._take(*COMPARED, kind="mark"):
            right = self._operand()
            parts.append(self._compare(left, sign, right))
            left = right
        if not parts:
            near = difflib.get_close_matches(self.now.text.lower(), ("between", "is"), n=1, cutoff=0.6)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            self._fail(f"after {left.written!r} one of {', '.join(COMPARED)}, 'between' or 'is' is wanted{hint}")
        return parts[0] if len(parts) == 1 else _all(parts)

    def _between(self, left: _Operand) -> Callable[[Columns], Truth]:
        low = self._operand()
        if not self._take("and"):
            self._fail("'between' wants two ends: between -72 mV and -68 mV")
        high = self._operand()
        if left.name is not None and low.name is None and high.name is None:
            ends = [self._number(x, self.known[left.name]) for x in (low, high)]
            if ends[0] > ends[1]:
                self._fail(f"nothing is between {low.written} and {high.written}; the smaller end comes first", low.at)
        return _all([self._compare(left, ">=", low), self._compare(left, "<=", high)])

    def _is(self, left: _Operand) -> Callable[[Columns], Truth]:
        other = self._take("not") is not None
        codes = self.known[left.name].codes if left.name is not None else {}
        if not codes or left.absolute or left.name is None:
            self._fail(
                f"{left.written} has no words; 'is' goes with codes such as status; compare numbers with ==", left.at
            )
        word = self.now
        if word.kind != "name":
            self._fail(f"a word is wanted: {', '.join(codes.values())}")
        self.i += 1
        plain = word.text.lower().replace(" ", "_")
        group = [x for x in TOGETHER.get(plain, ()) if x in codes.values()]
        meant = [code for code, name in codes.items() if name == plain or name in group]
        if not meant:
            words = [*codes.values(), *(w for w, those in TOGETHER.items() if set(those) & set(codes.values()))]
            self._fail(unknown(word.text, words, f"word of {left.name}"), word.at)
        name, wanted = str(left.name), np.array(meant)

        def truth(columns: Columns) -> Truth:
            x = columns[name]
            inside, there = np.isin(x, wanted), ~np.isnan(x)
            return (~inside & there, inside) if other else (inside, ~inside & there)

        return truth

    def _operand(self) -> _Operand:
        start = self.now
        if self._take("|", kind="mark"):
            inner = self._operand()
            if not self._take("|", kind="mark"):
                self._fail(f"'|' is not closed after {inner.written}")
            if inner.name is None:
                self._fail("a name is wanted between the bars: |v|", inner.at)
            return inner._replace(absolute=True, written=f"|{inner.written}|", at=start.at)
        if start.kind == "number":
            self.i += 1
            return _Operand(None, start.text, False, start.at)
        if start.kind != "name":
            self._fail(f"a name or a number is wanted{f'; found {start.text!r}' if start.text else ''}")
        if start.text not in self.known:
            self._fail(unknown(start.text, self.known, "axis or output"), start.at)
        self.i += 1
        self.names[start.text] = None
        return _Operand(start.text, start.text, False, start.at)

    def _compare(self, left: _Operand, sign: str, right: _Operand) -> Callable[[Columns], Truth]:
        compared = COMPARED[sign]
        if left.name is None and right.name is None:
            self._fail(f"{left.written} {sign} {right.written} compares two numbers; a name is wanted", left.at)
        about = self.known[str(left.name if left.name is not None else right.name)]
        a, b = (self._values(x, about) for x in (left, right))

        def truth(columns: Columns) -> Truth:
            x, y = a(columns), b(columns)
            there = ~(np.isnan(x) | np.isnan(y))
            inside = compared(x, y) & there
            return inside, ~inside & there

        return truth

    def _values(self, operand: _Operand, about: Known) -> Callable[[Columns], Any]:
        """What gives the values in the unit of what the comparison is about."""
        if operand.name is None:
            value = self._number(operand, about)
            return lambda columns: value
        name, unit, absolute = operand.name, self.known[operand.name].unit, operand.absolute
        if unit != about.unit:
            try:
                units.convert(1.0, unit, about.unit)
            except units.UnitError as error:
                self._fail(
                    f"{name} is in {unit} and cannot be compared with what is in {about.unit} ({error})", operand.at
                )

        def values(columns: Columns) -> np.ndarray:
            x = columns[name] if unit == about.unit else np.asarray(units.convert(columns[name], unit, about.unit))
            return np.abs(x) if absolute else x

        return values

    def _number(self, operand: _Operand, about: Known) -> float:
        try:
            return float(operand.written)
        except ValueError:
            pass
        try:
            return units.parse_quantity(operand.written, about.unit)
        except units.UnitError as error:
            return self._fail(str(error), operand.at)


def _all(parts: list[Callable[[Columns], Truth]]) -> Callable[[Columns], Truth]:
    def truth(columns: Columns) -> Truth:
        found = [part(columns) for part in parts]
        return np.logical_and.reduce([f[0] for f in found]), np.logical_or.reduce([f[1] for f in found])

    return truth


def _any(parts: list[Callable[[Columns], Truth]]) -> Callable[[Columns], Truth]:
    def truth(columns: Columns) -> Truth:
        found = [part(columns) for part in parts]
        return np.logical_or.reduce([f[0] for f in found]), np.logical_and.reduce([f[1] for f in found])

    return truth
