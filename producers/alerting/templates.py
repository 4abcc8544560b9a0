"""Render templates of users: sandboxed Jinja2 with a bounded result and bounded time.

Templates consist of texts, values, conditions, filters and loops over the given lists. Everything
whose time could be unbounded is excluded: there are no calls, assignments, macros, includes and
attributes of Python objects, loops are nested at most ``LOOPS_MAX`` deep and only read lists, and
operators accept only numbers. Every text that a filter or ``~`` makes, every number, and the
iterations of all loops together are limited, so no combination of them makes a large value or takes
long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from jinja2 import StrictUndefined, Template, TemplateError, nodes, pass_context
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

RESULT_CHARS_MAX: Final = 10_000
"""Maximum length of a rendered template."""
LOOPS_MAX: Final = 2
"""Maximum depth of nested loops."""
ITERATIONS_MAX: Final = 10_000
"""Maximum iterations of all loops while a template is rendered."""
TEXT_CHARS_MAX: Final = 10_000
"""Maximum length of a text that a filter or ``~`` makes."""
COMPILED_MAX: Final = 2_048
DECIMALS_MAX: Final = 12
_DEFAULT_DECIMALS: Final = 2
_DIGITS_MAX: Final = 40
_ELEMENTS_MAX: Final = 100
"""Elements of a list or object that a filter can write as one text."""

_ALLOWED: Final = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr,
    nodes.Getitem, nodes.Filter, nodes.Test, nodes.If, nodes.CondExpr, nodes.Compare, nodes.Operand,
    nodes.And, nodes.Or, nodes.Not, nodes.Concat, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div,
    nodes.Neg, nodes.Pos, nodes.For, nodes.Tuple, nodes.Keyword,
)  # fmt: skip


def _number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise TemplateError("filters such as round, percent and usd need a number")
    try:
        number = Decimal(str(value)[:TEXT_CHARS_MAX])
    except ArithmeticError as error:
        raise TemplateError(f"{str(value)[:64]!r} is not a number") from error
    if number.is_finite() and number.adjusted() > _DIGITS_MAX:  # 1e99999999 has as many digits
        raise TemplateError(f"numbers must be at most 1e{_DIGITS_MAX}")
    return number


def _text(value: object) -> str:
    """Return a value as a text of limited length."""
    if isinstance(value, list | tuple | Mapping):
        each = [*value, *value.values()] if isinstance(value, Mapping) else value
        if len(each) > _ELEMENTS_MAX or any(isinstance(x, list | tuple | Mapping) for x in each):
            raise TemplateError("a text is expected, not a list or an object with such elements")
    return _limited(str(value))


def _limited(text: str) -> str:
    if len(text) > TEXT_CHARS_MAX:
        raise TemplateError(f"a text has more than {TEXT_CHARS_MAX} characters")
    return text


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
    between = _text(separator)
    parts: list[str] = []
    size = 0
    for each in values:
        part = _text(each)
        size += len(part) + len(between)
        if size > TEXT_CHARS_MAX + len(between):
            raise TemplateError(f"a text has more than {TEXT_CHARS_MAX} characters")
        parts.append(part)
    return between.join(parts)


def _concatenated(values: tuple[object, ...]) -> str:
    return _join(values, "")


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
    text = value if isinstance(value, str) else _text(value)
    shortened = text if len(text) <= length else f"{text[: max(length - 1, 0)]}…"
    return _limited(shortened)


def _default(value: object, other: object = "") -> object:
    return value or other


class _Iterations:
    """Counts the iterations of all loops of one rendering."""

    def __init__(self) -> None:
        self.left = ITERATIONS_MAX

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise TemplateError(f"the loops have more than {ITERATIONS_MAX} iterations")


@pass_context
def _looped(context: Context, values: object) -> object:
    """Return what a loop reads."""
    if not isinstance(values, list | tuple | Mapping):
        raise TemplateError("a loop reads a list or an object, and nothing else")
    iterations = context.parent.get(_COUNTER)
    # Without a counter, the compiler tries to compute the value: then it is not known yet.
    if not isinstance(iterations, _Iterations):
        raise nodes.Impossible
    iterations.take(len(values))
    return values


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
    "upper": lambda value: _limited(_text(value).upper()),
    "lower": lambda value: _limited(_text(value).lower()),
}
"""Filters of the language; the text of each is limited, so that none can be repeated to make a long
one."""
_COUNTER: Final = " iterations"
_LOOPED: Final = " looped"
_CONCATENATED: Final = " concatenated"
"""Names that templates cannot contain."""
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
    environment.filters = {**FILTERS, _LOOPED: _looped, _CONCATENATED: _concatenated}
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
        _limit_nodes(tree)
        return _ENVIRONMENT.from_string(tree)
    except (TemplateError, RecursionError, SyntaxError, OverflowError, ValueError) as error:
        raise ValueError(_reason(error)) from error


def render(template: str, values: Mapping[str, Any], *, cut: bool = False) -> str:
    """Render a template; with ``cut``, a result that is too long is cut.

    Raises:
        ValueError: it is not a valid template, uses a name that does not exist, or its result is
            too long.
    """
    parts: list[str] = []
    size = 0
    try:
        for part in compiled(template).generate({**values, _COUNTER: _Iterations()}):
            size += len(part)
            if size > RESULT_CHARS_MAX and cut:
                parts.append(f"{part[: RESULT_CHARS_MAX - size - 1]}…")
                break
            if size > RESULT_CHARS_MAX:
                raise ValueError(f"the result has more than {RESULT_CHARS_MAX} characters")
            parts.append(part)
        text = "".join(parts)
        text.encode()  # an escaped surrogate is no character, and could not be sent
    except UnicodeEncodeError as error:
        raise ValueError("the result has half of a surrogate pair") from error
    except (TemplateError, TypeError, ArithmeticError, RecursionError) as error:
        raise ValueError(_reason(error)) from error
    return text


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
        known = FILTERS if isinstance(node, nodes.Filter) else _ENVIRONMENT.tests
        if node.name not in known:
            kind = type(node).__name__.lower()
            message = f"unknown {kind} {node.name!r}; allowed: {', '.join(sorted(known))}"
            raise TemplateError(message)
    for child in node.iter_child_nodes():
        _check_nodes(child, loops)


def _limit_nodes(node: nodes.Node) -> None:
    """Put the limits of loops and of ``~`` into a checked template."""
    for child in node.iter_child_nodes():
        _limit_nodes(child)
    for field, value in node.iter_fields():
        if isinstance(value, list):
            setattr(node, field, [_limited_node(each) for each in value])
        else:
            setattr(node, field, _limited_node(value))
    if isinstance(node, nodes.For):
        node.iter = _filtered(node.iter, _LOOPED)


def _limited_node(value: Any) -> Any:
    if isinstance(value, nodes.Concat):
        values = nodes.Tuple(value.nodes, "load", lineno=value.lineno, environment=_ENVIRONMENT)
        return _filtered(values, _CONCATENATED)
    return value


def _filtered(value: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(
        value, name, [], [], None, None, lineno=value.lineno, environment=_ENVIRONMENT
    )


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "the template is nested too deeply"
    return str(error)[:300] or type(error).__name__
