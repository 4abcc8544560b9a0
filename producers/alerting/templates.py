"""Render templates of users: sandboxed Jinja2 with a bounded result and bounded time.

Templates consist of texts, values, conditions, filters and loops over the given lists. What could
take long is not part of the language: there are no calls, assignments, macros, includes and
attributes of Python objects, loops are nested at most ``LOOPS_MAX`` deep and only read given lists,
and operators accept only numbers. So the time of rendering is at most proportional to the length of
the template and the size of the values, and the result is cut off at a limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from jinja2 import StrictUndefined, Template, TemplateError, nodes
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

RESULT_CHARS_MAX: Final = 10_000
"""Maximum length of a rendered template."""
LOOPS_MAX: Final = 2
"""Maximum depth of nested loops."""
COMPILED_MAX: Final = 2_048
DECIMALS_MAX: Final = 12
_DEFAULT_DECIMALS: Final = 2
_INTEGER_MAX: Final = 10**40

_ALLOWED: Final = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr,
    nodes.Getitem, nodes.Filter, nodes.Test, nodes.If, nodes.CondExpr, nodes.Compare, nodes.Operand,
    nodes.And, nodes.Or, nodes.Not, nodes.Concat, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div,
    nodes.Neg, nodes.Pos, nodes.For, nodes.Tuple, nodes.Keyword,
)  # fmt: skip


def _number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise TemplateError("a filter for numbers has another value")
    try:
        return Decimal(str(value))
    except ArithmeticError as error:
        raise TemplateError(f"{str(value)[:64]!r} is not a number") from error


def _fixed(value: object, decimals: int, suffix: str = "") -> str:
    if isinstance(decimals, bool) or not 0 <= decimals <= DECIMALS_MAX:
        raise TemplateError(f"decimals: must be a number from 0 to {DECIMALS_MAX}")
    return f"{_number(value):.{decimals}f}{suffix}"


def _percent(value: object, decimals: int = 1) -> str:
    return _fixed(_number(value) * 100, decimals, " %")


def _round(value: object, decimals: int = 0) -> str:
    return _fixed(value, decimals)


def _usd(value: object, decimals: int = _DEFAULT_DECIMALS) -> str:
    return f"{_fixed(value, decimals)} USD"


def _join(values: object, separator: str = ", ") -> str:
    if not isinstance(values, list | tuple | dict):
        raise TemplateError("join: the value must be a list")
    return str(separator).join(map(str, values))


def _items(values: object) -> list[tuple[str, Any]]:
    if not isinstance(values, Mapping):
        raise TemplateError("items: the value must be an object, such as labels")
    return sorted(values.items())


def _first(values: object) -> object:
    if not isinstance(values, list | tuple | str):
        raise TemplateError("first: the value must be a list")
    return values[0] if values else ""


def _length(values: object) -> int:
    if not isinstance(values, list | tuple | dict | str):
        raise TemplateError("length: the value must be a list, an object or a text")
    return len(values)


def _truncate(value: object, length: int = 100) -> str:
    text = str(value)
    return text if len(text) <= length else f"{text[: max(length - 1, 0)]}…"


def _default(value: object, other: object = "") -> object:
    return value or other


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "round": _round,
    "percent": _percent,
    "usd": _usd,
    "join": _join,
    "items": _items,
    "first": _first,
    "length": _length,
    "truncate": _truncate,
    "default": _default,
    "upper": lambda value: str(value).upper(),
    "lower": lambda value: str(value).lower(),
}
"""None of them makes a value longer by more than its arguments, and none can be repeated on its own
result to do so."""
_OF_LOOPS: Final = frozenset({"index", "index0", "first", "last", "length"})
_OPERATORS: Final = frozenset("+-*/")


class _Sandbox(ImmutableSandboxedEnvironment):
    """An environment with few filters, whose operators accept only numbers."""

    intercepted_binops = _OPERATORS

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return an item of an object, or an attribute of a loop."""
        if isinstance(obj, LoopContext) and attribute in _OF_LOOPS:
            return getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return an item of an object or an element of a list; nothing else has any."""
        if isinstance(obj, Mapping) and isinstance(argument, str) and argument in obj:
            return obj[argument]
        is_index = isinstance(argument, int) and isinstance(obj, list | tuple)
        if is_index and -len(obj) <= argument < len(obj):
            return obj[argument]
        return self.undefined(f"there is no {str(argument)[:64]!r} in it")

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:  # noqa: ARG002
        """Compute with two numbers, exactly where that is possible."""
        first, second = _number(left), _number(right)
        if max(abs(first), abs(second)) > _INTEGER_MAX:
            raise TemplateError(f"numbers must be at most {_INTEGER_MAX:.0e}")
        match operator:
            case "+":
                return first + second
            case "-":
                return first - second
            case "*":
                return first * second
        if not second:
            raise TemplateError("division by zero")
        return first / second


def _environment() -> _Sandbox:
    environment = _Sandbox(undefined=StrictUndefined, autoescape=False, extensions=[])
    environment.filters = dict(FILTERS)
    environment.globals.clear()
    wanted = ("defined", "undefined", "none", "number", "string", "eq", "ne", "in")
    environment.tests = {name: environment.tests[name] for name in wanted}
    return environment


_ENVIRONMENT: Final = _environment()


@lru_cache(maxsize=COMPILED_MAX)
def compiled(template: str) -> Template:
    """Compile a template.

    Raises:
        ValueError: it has a syntax error, or uses what the language does not have.
    """
    try:
        tree = _ENVIRONMENT.parse(template)
        _check_nodes(tree, 0)
        return _ENVIRONMENT.from_string(tree)
    except (TemplateError, RecursionError, SyntaxError, OverflowError, ValueError) as error:
        raise ValueError(_reason(error)) from error


def render(template: str, values: Mapping[str, Any]) -> str:
    """Render a template.

    Raises:
        ValueError: it is not a valid template, uses a name that does not exist, or its result is
            too long.
    """
    parts: list[str] = []
    size = 0
    try:
        for part in compiled(template).generate(values):
            size += len(part)
            if size > RESULT_CHARS_MAX:
                raise ValueError(f"the result has more than {RESULT_CHARS_MAX} characters")
            parts.append(part)
    except (TemplateError, TypeError, ArithmeticError, RecursionError) as error:
        raise ValueError(_reason(error)) from error
    return "".join(parts)


def check_names(template: str, names: Iterable[str]) -> None:
    """Check that a template uses only these names, also in branches that are not rendered.

    Raises:
        ValueError: it uses another name, or cannot be compiled.
    """
    compiled(template)
    used = find_undeclared_variables(_ENVIRONMENT.parse(template))
    unknown = sorted(used - {*names})
    if unknown:
        raise ValueError(f"{unknown[0][:64]!r} is undefined")


def _check_nodes(node: nodes.Node, loops: int) -> None:
    if not isinstance(node, _ALLOWED):
        raise TemplateError(f"templates have no {type(node).__name__.lower()}")
    if isinstance(node, nodes.For):
        loops += 1
        if loops > LOOPS_MAX:
            raise TemplateError(f"loops can be nested at most {LOOPS_MAX} deep")
        if node.recursive:
            raise TemplateError("templates have no recursive loops")
    if isinstance(node, nodes.Filter | nodes.Test):
        known = _ENVIRONMENT.filters if isinstance(node, nodes.Filter) else _ENVIRONMENT.tests
        if node.name not in known:
            kind = type(node).__name__.lower()
            message = f"unknown {kind} {node.name!r}; allowed: {', '.join(sorted(known))}"
            raise TemplateError(message)
    for child in node.iter_child_nodes():
        _check_nodes(child, loops)


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "the template is nested too deeply"
    return str(error)[:300] or type(error).__name__
