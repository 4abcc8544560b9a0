"""Normalize model ids: list the names under which a price list may contain the model.

The candidates are tried from the most specific to the least. Examples of ids: ``openai/gpt-4o``,
``models/gemini-2.5-pro``, ``us.anthropic.claude-sonnet-4-20250514-v1:0``,
``claude-sonnet-4@20250514``, ``azure/gpt-35-turbo``, ``qwen/qwen3-32b:nitro``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import unquote

from producers.model_patterns import NAME_CHARS_MAX
from producers.provider_names import PROVIDER_OF, provider_of

MODEL_LENGTH_MAX: Final = NAME_CHARS_MAX
"""Maximum length of a model id; longer ids match no price."""

PREFIXES_MAX: Final = 8
"""Maximum prefixes that are removed from an id, as in ``litellm/openrouter/openai/gpt-4o``."""


class NameCandidate(NamedTuple):
    """A possible provider and name of a model; the provider is None if the id names none."""

    provider: str | None
    name: str
    is_exact: bool = False
    """Whether the name matches only a model that is listed under exactly this name."""
    steps: tuple[str, ...] = ()
    """Descriptions of the steps that normalized the id."""


_LOCAL: Final = {
    *("ollama", "ollama_chat", "lm_studio", "lmstudio", "vllm", "hosted_vllm"),
    *("llamafile", "llamacpp", "local", "localai", "xinference", "tgi"),
}
"""Runtimes on the user's own machines, whose models have no list price."""

_COLON_PREFIXES: Final = {
    *PROVIDER_OF,
    *_LOCAL,
    *("arcee", "avian", "baseten", "cerebras", "cursor", "databricks", "deepinfra", "deepseek"),
    *("doubleword", "elevenlabs", "google_anthropic_vertex", "groq", "heroku", "huggingface"),
    *("hyperbolic", "ibm", "meta", "minimax", "modal", "nebius", "novita", "nvidia", "nvidia_nim"),
    *("openai-decisions", "openrouter", "ovhcloud", "quicksilverpro", "replicate", "sambanova"),
    *("snowflake", "typesafe", "upstage", "vercel", "watsonx"),
}
"""Providers that may precede a name with a colon: ``openai:gpt-4o``."""
_ROUTED: Final = re.compile(r"huggingface_[\w-]+$")
"""Hugging Face with the host that it routes to."""

_WRAPPERS: Final = re.compile(
    r"^(?:(?:litellm(?:_proxy)?|gateway|ai-gateway|vercel[_-]ai[_-]gateway|github(?:_models)?|"
    r"portkey|helicone|requesty)[:/]|models/|tunedmodels/|projects/[^/]+/(?:locations/[^/]+/)?|"
    r"publishers/[^/]+/models/)+"
)
_ARN: Final = re.compile(r"arn:aws[\w-]*:([\w-]*):[^:]*:[^:]*:([\w-]+)/(.*)$")
_ARN_RESOURCES: Final = {"foundation-model", "inference-profile"}
"""Bedrock's resources whose ids contain the model's name; ids of other resources are random."""
_REGIONS: Final = "us|us-gov|eu|ap|apac|au|ca|jp|sa|in|me|af|mx|il|global"
_BEDROCK: Final = re.compile(
    rf"^(?:({_REGIONS})\.)?"
    r"((?:anthropic|amazon|meta|mistral|cohere|ai21|deepseek|qwen|openai|writer|stability|google|"
    r"moonshotai|minimax|nvidia|zai)\.)"
)
_BEDROCK_REGION: Final = re.compile(rf"^(?:{_REGIONS})\.")
_BEDROCK_VERSION: Final = re.compile(r"-v\d+(?::\d+(?::\d+k)?)?$")
_VARIANT: Final = re.compile(
    r":(?:nitro|floor|online|extended|beta|exacto|thinking|latest|default)$"
)
_FREE: Final = ":free"
_SIZE: Final = re.compile(r":(?:e?\d+(?:x\d+)?(?:\.\d+)?[bm])(?:-[\w.-]+)?$")
"""Ollama's names of sizes: ``deepseek-r1:14b`` runs on the user's own machine."""
_COMPACT_DATE: Final = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")
_DATE: Final = re.compile(
    r"[-@](?:20\d\d-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12]\d|3[01])|latest|default)$"
)


def undated_bedrock_name(name: str) -> str:
    """Return Bedrock's id of a model without its date and version."""
    return _DATE.sub("", _BEDROCK_VERSION.sub("", name))


def name_candidates(model: str) -> Iterator[NameCandidate]:
    """Yield the candidates for ``model``, the most specific first, each once.

    Candidates with the provider that the id names precede those without a provider. Full names
    precede names without a date.
    """
    name = model.strip().lower()
    if not name or len(name) > MODEL_LENGTH_MAX:
        return
    seen: set[NameCandidate] = set()
    for candidate in _read(name):
        key = candidate._replace(steps=())
        if candidate.name and key not in seen:
            seen.add(key)
            yield candidate


def _read(name: str) -> Iterator[NameCandidate]:
    steps: tuple[str, ...] = ()
    if "%" in name:
        name, steps = unquote(name), ("percent-encoding decoded",)
    yield from _all_candidates(name, steps)
    if " " in name:
        name = "-".join(name.split())
        yield from _all_candidates(name, (*steps, "spaces replaced by -"))


def _all_candidates(
    name: str, steps: tuple[str, ...], prefixes_max: int = PREFIXES_MAX
) -> Iterator[NameCandidate]:
    arn = _ARN.search(name)
    if arn:
        service, resource, named = arn.groups()
        if service == "bedrock" and resource in _ARN_RESOURCES:
            yield from _at_bedrock(named, (*steps, f"resource of an ARN: {named}"))
        return
    wrapper = _WRAPPERS.match(name)
    if wrapper and wrapper[0] != name:
        name = name[wrapper.end() :]
        steps = (*steps, f"prefix {wrapper[0]} removed")
    if _SIZE.search(name):
        return
    yield from _after_colon(name, steps, prefixes_max)
    provider, slash, rest = name.partition("/")
    last = name.rpartition("/")[2]
    if _BEDROCK.match(last):
        yield from _at_bedrock(last, steps if last == name else (*steps, f"last part: {last}"))
        return
    if not slash:
        yield from _candidates(None, name, steps)
        return
    yield from _after_slash(provider, rest, steps, prefixes_max)


def _after_slash(
    provider: str, rest: str, steps: tuple[str, ...], prefixes_max: int
) -> Iterator[NameCandidate]:
    """Yield the candidates of ``provider/rest``, where the first part may be a provider or not."""
    name, known = f"{provider}/{rest}", provider_of(provider)
    of_provider = f"provider {provider}" + (f", listed as {known}" if known != provider else "")
    # In Bedrock's names, a region or the name of an API may precede the id.
    at_provider = name.rpartition("/")[2] if known == "aws" else rest
    yield from _candidates(known, at_provider, (*steps, of_provider))
    if known == "aws":
        undated = f"regional.anthropic.{undated_bedrock_name(at_provider)}"
        yield NameCandidate(known, undated, True, (*steps, of_provider, f"read as {undated}"))
    if provider in _LOCAL:
        return
    if name.endswith(_FREE):
        yield NameCandidate("openrouter", name, steps=(*steps, "free model of OpenRouter"))
        return
    yield from _candidates(None, name, steps)
    # A second prefix may follow, as in "openrouter/openai/gpt-4o".
    if prefixes_max:
        without = (*steps, f"prefix {provider}/ removed")
        yield from _all_candidates(rest, without, prefixes_max - 1)


def _after_colon(name: str, steps: tuple[str, ...], prefixes_max: int) -> Iterator[NameCandidate]:
    """Yield the candidates of ``openai:gpt-4o``.

    Ollama also names versions with a colon (``mistral:latest``), so the whole name is a candidate
    as well.
    """
    prefix, colon, named = name.partition(":")
    if colon and named and (prefix in _COLON_PREFIXES or _ROUTED.match(prefix)):
        yield from _all_candidates(f"{prefix}/{named}", steps, prefixes_max)


def _at_bedrock(name: str, steps: tuple[str, ...]) -> Iterator[NameCandidate]:
    """Yield the candidates of a Bedrock id: prices of Bedrock, then those of the model's maker."""
    steps = (*steps, "an id of Bedrock")
    found = _BEDROCK.match(name)
    region = found[1] if found else None
    if region:
        surcharge = "" if region == "global" else ", with its regional price if there is one"
        steps = (*steps, f"region {region}{surcharge}")
    yield from _candidates("aws", name, steps)
    undated = undated_bedrock_name(_BEDROCK_REGION.sub("", name))
    scope = "global" if region == "global" else "regional"
    yield NameCandidate("aws", f"{scope}.{undated}", True, (*steps, "date and version ignored"))
    if found:
        name = _BEDROCK_VERSION.sub("", _BEDROCK.sub("", name))
        yield from _candidates(None, name, (*steps, "price of the model's maker"))


def _candidates(provider: str | None, name: str, steps: tuple[str, ...]) -> Iterator[NameCandidate]:
    """Yield ``name``, then variants without region, date and routing suffixes."""
    variant = _VARIANT.search(name)
    yield NameCandidate(provider, name, variant is not None or name.endswith(_FREE), steps)
    if name.endswith(_FREE):
        return
    if variant:
        name = name[: variant.start()]
        steps = (*steps, f"suffix {variant[0]} removed")
        yield NameCandidate(provider, name, steps=steps)
    for other, step in (
        (_BEDROCK_REGION.sub("", name), "region removed"),
        (_COMPACT_DATE.sub(r"-\1-\2-\3", name), "date written with -"),
        (name.replace("@", "-"), "@ replaced by -"),
    ):
        if other != name:
            yield NameCandidate(provider, other, steps=(*steps, step))
    date = _DATE.search(name)
    if date:
        name = name[: date.start()]
        steps = (*steps, f"suffix {date[0]} removed")
        yield NameCandidate(provider, name, steps=steps)
    if "gpt-35" in name:
        steps = (*steps, "gpt-35 read as gpt-3.5")
        yield NameCandidate(provider, name.replace("gpt-35", "gpt-3.5"), steps=steps)
