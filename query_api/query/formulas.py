"""Parse and evaluate formulas over named measures: numbers, names, ``+ - * /`` and parentheses."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, DivisionByZero, InvalidOperation, Overflow, localcontext
from typing import Final, NamedTuple

LENGTH_MAX: Final = 500
DEPTH_MAX: Final = 30
"""Maximum nesting of parentheses and signs."""
_PRECISION: Final = 50
_SPACE: Final = re.compile(r"\s*")
_TOKEN: Final = re.compile(
    r"(?P<number>[0-9]{1,18}(?:\.[0-9]{1,12})?)|(?P<name>[A-Za-z_][A-Za-z0-9_.:]*)|[-+*/()]",
    re.ASCII,
)
_SHOWN_MAX: Final = 20

Values = Mapping[str, Decimal | None]
Evaluate = Callable[[Values], Decimal | None]


class FormulaError(ValueError):
    """A text is not a formula; ``position`` is the index of the first wrong character."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(f"{message} at position {position}")
        self.position = position


class _Token(NamedTuple):
    text: str
    at: int
    kind: str | None


class Formula:
    """A parsed formula; the result is null if one of its values is, or a divisor is zero.

    Raises:
        FormulaError: the text is not a formula, is too long, or nested too deeply.
    """

    def __init__(self, text: str) -> None:
        if len(text) > LENGTH_MAX:
            raise FormulaError(f"must have at most {LENGTH_MAX} characters; it is longer",
                               LENGTH_MAX)  # fmt: skip
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0
        self.names: dict[str, int] = {}
        """Names in the order of the text, with their positions."""
        self._evaluate = self._sum()
        if (rest := self._peek()).text:
            raise _unexpected(rest)

    def value(self, values: Values) -> float | None:
        """Return the result for values by name; null if it is outside the range of doubles."""
        with localcontext() as context:
            context.prec = _PRECISION
            try:
                found = self._evaluate(values)
                return None if found is None else _double(found)
            except (InvalidOperation, DivisionByZero, Overflow):
                return None

    def _sum(self) -> Evaluate:
        left = self._product()
        while self._peek().text in {"+", "-"}:
            left = _binary(self._next().text, left, self._product())
        return left

    def _product(self) -> Evaluate:
        left = self._factor()
        while self._peek().text in {"*", "/"}:
            left = _binary(self._next().text, left, self._factor())
        return left

    def _factor(self) -> Evaluate:
        token = self._next()
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise FormulaError(f"must be nested at most {DEPTH_MAX} times; it is deeper", token.at)
        found = self._operand(token)
        self._depth -= 1
        return found

    def _operand(self, token: _Token) -> Evaluate:
        if token.text == "(":
            inner = self._sum()
            closing = self._next()
            if closing.text != ")":
                raise _unexpected(closing, " where ')' is expected")
            return inner
        if token.text == "-":
            return _binary("-", lambda _values: Decimal(0), self._factor())
        if token.kind == "number":
            number = Decimal(token.text)
            return lambda _values: number
        if token.kind == "name":
            name = token.text
            self.names.setdefault(name, token.at)
            return lambda values: values[name]
        raise _unexpected(token)

    def _peek(self) -> _Token:
        return self._tokens[self._at]

    def _next(self) -> _Token:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token


def _tokens(text: str) -> list[_Token]:
    """Split a text into tokens; the last one is empty."""
    found = []
    at = _after_space(text, 0)
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _unexpected(_Token(text[at], at, None))
        found.append(_Token(match[0], at, match.lastgroup))
        at = _after_space(text, match.end())
    return [*found, _Token("", at, None)]


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None  # it also matches an empty text
    return match.end()


def _unexpected(token: _Token, expected: str = "") -> FormulaError:
    shown = repr(token.text[:_SHOWN_MAX]) if token.text else "end"
    return FormulaError(f"unexpected {shown}{expected}", token.at)


def _binary(operator: str, left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(values: Values) -> Decimal | None:
        first, second = left(values), right(values)
        if first is None or second is None:
            return None
        match operator:
            case "+":
                return first + second
            case "-":
                return first - second
            case "*":
                return first * second
            case _:
                return first / second if second else None

    return evaluate


def _double(number: Decimal) -> float | None:
    found = float(number)
    return found if abs(found) != float("inf") else None
