"""Split SQL into tokens; reject syntax that ClickHouse might split differently."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["string", "quoted", "number", "word", "symbol"]

# All other syntax is rejected, such as dollar quotes, hash comments, typographic quotes, non-ASCII
# letters outside of quotes, and unterminated quotes and comments.
_TOKEN: Final = re.compile(
    rb"""(?P<skip>[ \t\r\n\f\v]+|--[^\n]*|/\*.*?\*/)
    |(?P<string>'(?:[^'\\]|\\.)*')
    |(?P<quoted>"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`)
    |(?P<number>[0-9][0-9A-Za-z_.]*)
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<symbol>/(?!\*)|[()\[\]{},.;:?+\-*%<>=!|&@^~])""",
    re.VERBOSE | re.DOTALL,
)


class UnreadableSql(ValueError):
    """The statement has syntax that this lexer does not support."""


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    """The token's text; quoted identifiers are unquoted."""

    @property
    def is_name(self) -> bool:
        return self.kind in {"word", "quoted"}

    def is_word(self, *words: str) -> bool:
        """Return whether the token is one of these keywords, given in upper case."""
        return self.kind == "word" and self.text.upper() in words

    def is_symbol(self, symbol: str) -> bool:
        return self.kind == "symbol" and self.text == symbol


def tokens(sql: bytes) -> Iterator[Token]:
    """Yield the tokens of ``sql`` without whitespace and comments.

    Raises:
        UnreadableSql: the statement has unsupported syntax.
    """
    at = 0
    while at < len(sql):
        match = _TOKEN.match(sql, at)
        if match is None or b"\0" in match.group():
            shown = sql[at : at + 20].decode(errors="replace")
            raise UnreadableSql(f"has unsupported syntax at {shown!r}")
        at = match.end()
        kind = match.lastgroup
        text = match.group().decode(errors="surrogateescape")
        if kind == "quoted":
            yield Token("quoted", _unquoted(text))
        elif kind != "skip":
            yield Token(kind, text)  # type: ignore[arg-type]  # the groups' names are the kinds


def is_one_statement(found: list[Token]) -> bool:
    """Return whether the only semicolon, if any, is the last token."""
    ends = [at for at, token in enumerate(found) if token.is_symbol(";")]
    return not ends or ends == [len(found) - 1]


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
