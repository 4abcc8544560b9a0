"""Implement the decorator that records each call of a function as a span."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from tracemill.contract import ObservationType

if TYPE_CHECKING:
    from tracemill.span import Span
    from tracemill.tracer import Tracer

F = TypeVar("F", bound=Callable[..., Any])

_ITEMS_MAX: Final = 1_000
"""Maximum number of items of a generator that are recorded as its output."""


class Observe:
    """The decorator that ``Tracer.observe`` returns."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    @overload
    def __call__(self, function: F, /) -> F: ...
    @overload
    def __call__(
        self,
        name: str | None = None,
        /,
        *,
        type: ObservationType = "SPAN",
        capture_input: bool = True,
        capture_output: bool = True,
    ) -> Callable[[F], F]: ...
    def __call__(
        self,
        subject: Any = None,
        /,
        *,
        type: ObservationType = "SPAN",  # noqa: A002 - the contract's name
        capture_input: bool = True,
        capture_output: bool = True,
    ) -> Any:
        if callable(subject):
            return self(None)(subject)

        def decorate(function: F) -> F:
            name = subject or getattr(function, "__name__", "call")

            def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Span:
                span = self._tracer.span(name, type=type)
                if capture_input:
                    span.update(input=_arguments(function, args, kwargs))
                return span

            return _wrapped(function, begin, capture_output=capture_output)

        return decorate


Begin = Callable[[tuple[Any, ...], dict[str, Any]], "Span"]


def _wrapped(function: F, begin: Begin, *, capture_output: bool) -> F:
    """Wrap a function so that each call runs inside a span."""
    wrapper: Any
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            return _async_steps(function(*args, **kwargs), begin, args, kwargs, capture_output)

    elif inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            return _steps(function(*args, **kwargs), begin, args, kwargs, capture_output)

    elif inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            with begin(args, kwargs) as span:
                result = await function(*args, **kwargs)
                if capture_output:
                    span.update(output=result)
                return result

    else:

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with begin(args, kwargs) as span:
                result = function(*args, **kwargs)
                if capture_output:
                    span.update(output=result)
                return result

    return wrapper  # type: ignore[no-any-return]


def _arguments(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> Any:
    """Return the arguments by parameter name, without ``self`` and ``cls``."""
    try:
        bound = dict(inspect.signature(function).bind(*args, **kwargs).arguments)
    except (TypeError, ValueError):
        return {"args": args, **kwargs}
    first = next(iter(bound), None)
    if first in ("self", "cls"):
        del bound[first]
    return bound


class _Yielded:
    """Collect the items of a generator as its span's output."""

    def __init__(self, span: Span, *, capture: bool) -> None:
        self._span = span
        self._capture = capture
        self._items: list[Any] = []

    def add(self, item: Any) -> None:
        self._span.first_token()
        if self._capture and len(self._items) < _ITEMS_MAX:
            self._items.append(item)

    def end(self) -> None:
        if self._capture:
            texts = all(isinstance(item, str) for item in self._items)
            self._span.update(output="".join(self._items) if texts else self._items)
        self._span.end()


def _steps(
    generator: Generator[Any, Any, Any],
    begin: Begin,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    capture: bool,
) -> Generator[Any, Any, Any]:
    """Run a generator inside a span.

    The span is current while the generator runs, but not while its consumer runs. It ends with the
    last item, or when the generator is closed.
    """
    span = begin(args, kwargs)
    yielded = _Yielded(span, capture=capture)
    step: Callable[[], Any] = functools.partial(generator.send, None)
    try:
        while True:
            with span.current():
                item = step()
            yielded.add(item)
            try:
                sent = yield item
            except GeneratorExit:
                generator.close()
                raise
            except BaseException as error:  # noqa: BLE001 - passed on to the generator
                step = functools.partial(generator.throw, error)
            else:
                step = functools.partial(generator.send, sent)
    except StopIteration as stop:
        return stop.value
    except GeneratorExit:
        raise
    except BaseException as error:
        span.fail(error)
        raise
    finally:
        yielded.end()


async def _async_steps(
    generator: AsyncGenerator[Any, Any],
    begin: Begin,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    capture: bool,
) -> AsyncGenerator[Any, Any]:
    """Run an asynchronous generator inside a span, like ``_steps``."""
    span = begin(args, kwargs)
    yielded = _Yielded(span, capture=capture)
    step: Callable[[], Awaitable[Any]] = functools.partial(generator.asend, None)
    try:
        while True:
            with span.current():
                item = await step()
            yielded.add(item)
            try:
                sent = yield item
            except GeneratorExit:
                await generator.aclose()
                raise
            except BaseException as error:  # noqa: BLE001 - passed on to the generator
                step = functools.partial(generator.athrow, error)
            else:
                step = functools.partial(generator.asend, sent)
    except StopAsyncIteration:
        return
    except GeneratorExit:
        raise
    except BaseException as error:
        span.fail(error)
        raise
    finally:
        yielded.end()
