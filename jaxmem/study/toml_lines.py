"""On which line of a TOML file each key stands: what tomllib does not tell, and what an error message needs.

Reads only text that tomllib has accepted, so it looks for keys and skips values; it checks nothing.
"""

import re
from collections.abc import Mapping

Path = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", re.DOTALL)
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}


def key_lines(text: str) -> dict[Path, int]:
    """Path of every key, table and array element -> its line, from 1. The whole document, ``()``, is line 1.

    A path is a tuple of keys and, in arrays and arrays of tables, of indices: ``("output", "traces", 0, "every")``.
    """
    return _Scanner(text).run()


def nearest_line(lines: Mapping[Path, int], path: Path) -> int:
    """The line of a path, or of the innermost table around it where it is not in the file."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


class _Scanner:
    """Reads from ``i`` on; ``line`` is the line there."""

    def __init__(self, text: str):
        self.text, self.i, self.line = text, 0, 1
        self.lines: dict[Path, int] = {(): 1}
        self.counts: dict[Path, int] = {}  # elements so far of each array of tables

    def run(self) -> dict[Path, int]:
        table: Path = ()
        self._space(newlines=True)
        while self.i < len(self.text):
            if self.text[self.i] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._space(newlines=True)
        return self.lines

    # ------------------------------------------------------------------ grammar
    def _header(self) -> Path:
        double = self.text.startswith("[[", self.i)
        line = self.line
        self._skip(2 if double else 1)
        path = self._resolve((), self._key())
        self._skip(2 if double else 1)
        for n in range(1, len(path) + 1):
            self.lines.setdefault(path[:n], line)
        if double:
            number = self.counts.get(path, 0)
            self.counts[path] = number + 1
            path = (*path, number)
        self.lines[path] = line
        return path

    def _pair(self, table: Path) -> None:
        line = self.line
        key = self._key()
        for n in range(1, len(key) + 1):
            self.lines.setdefault((*table, *key[:n]), line)
        self._skip(1)  # =
        self._space()
        self._value((*table, *key))

    def _value(self, path: Path) -> None:
        start = self.text[self.i]
        if start == "{":
            self._skip(1)
            while self._more("}"):
                self._pair(path)
            self._skip(1)
        elif start == "[":
            self._skip(1)
            index = 0
            while self._more("]"):
                self.lines[(*path, index)] = self.line
                self._value((*path, index))
                index += 1
            self._skip(1)
        elif start in "\"'":
            self._string()
        else:  # a number, a date, true or false
            while self.i < len(self.text) and self.text[self.i] not in ",]}#\n":
                self._skip(1)

    def _more(self, end: str) -> bool:
        """Past spaces, comments and a comma; is there another element before ``end``?"""
        self._space(newlines=True)
        if self.text[self.i] == ",":
            self._skip(1)
            self._space(newlines=True)
        return self.text[self.i] != end

    def _key(self) -> tuple[str, ...]:
        parts = []
        while True:
            self._space()
            if self.text[self.i] in "\"'":
                parts.append(self._string())
            else:
                word = _BARE.match(self.text, self.i)
                assert word, "tomllib accepts no such key"
                parts.append(word.group())
                self._skip(len(word.group()))
            self._space()
            if self.text[self.i] != ".":
                return tuple(parts)
            self._skip(1)

    def _string(self) -> str:
        mark = self.text[self.i]
        quote = mark * 3 if self.text.startswith(mark * 3, self.i) else mark
        self._skip(len(quote))
        begin = self.i
        while not self.text.startswith(quote, self.i):
            self._skip(2 if mark == '"' and self.text[self.i] == "\\" else 1)
        if len(quote) == 3:  # up to two quotation marks may stand before the closing three
            while self.text.startswith(mark, self.i + 3):
                self._skip(1)
        inside = self.text[begin : self.i]
        self._skip(len(quote))
        return _ESCAPE.sub(_unescape, inside) if mark == '"' else inside

    # ------------------------------------------------------------------ moving on
    def _resolve(self, base: Path, key: tuple[str, ...]) -> Path:
        """The path of a header; below an array of tables it means the last element."""
        path = base
        for n, part in enumerate(key):
            path = (*path, part)
            if n < len(key) - 1 and path in self.counts:
                path = (*path, self.counts[path] - 1)
        return path

    def _skip(self, n: int) -> None:
        self.line += self.text.count("\n", self.i, self.i + n)
        self.i += n

    def _space(self, newlines: bool = False) -> None:
        blank = " \t\r\n" if newlines else " \t"
        while self.i < len(self.text):
            if self.text[self.i] in blank:
                self._skip(1)
            elif newlines and self.text[self.i] == "#":
                end = self.text.find("\n", self.i)
                self.i = len(self.text) if end < 0 else end
            else:
                return


def _unescape(match: re.Match[str]) -> str:
    code = match.group(1)
    return _ESCAPED.get(code) or (chr(int(code[1:], 16)) if len(code) > 1 else code)
