"""Define the modalities that providers bill at the price of text if they list no other price.

Tokens of a modality that has no listed price and is not defined here are reported as unpriced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from streams.core.pricing.rates import Rate


class _Rule(NamedTuple):
    provider: str
    model: str
    units: tuple[str, ...]
    source: str


_RULES: Final = tuple(
    (re.compile(rule.provider), re.compile(rule.model), rule.units)
    for rule in (
        _Rule(
            r"^google$",
            r"^gemini-(?!.*(?:live|tts|native-audio|image|embedding))",
            ("input_image", "input_video", "input_audio"),
            "Gemini API pricing, 2026-11: one input price for text, image, video, and for audio "
            "where it is not listed",
        ),
        _Rule(
            r"^google$",
            r"^gemini-.*image",
            ("input_image",),
            "Gemini API pricing, 2026-11: input price for text and image",
        ),
        _Rule(
            r"^google$",
            r"^gemini-.*tts",
            ("output_audio",),
            "Gemini API pricing, 2026-11: the output of speech models is audio",
        ),
        _Rule(
            r"^(?:openai|azure)$",
            r"^(?!.*(?:audio|realtime|live|image|transcribe|tts))",
            ("input_image",),
            "OpenAI, Images and vision, 2026-11: image tokens are billed at the text input price",
        ),
        _Rule(
            r"^(?:openai|azure)$",
            r"^gpt-image",
            ("output_image",),
            "OpenAI pricing, 2026-11: the output of image models is images",
        ),
        _Rule(
            r"^(?:openai|azure)$",
            r"-tts",
            ("output_audio",),
            "OpenAI pricing, 2026-11: the output of speech models is audio",
        ),
        _Rule(
            r"^(?:alibaba|zai|zhipuai)$",
            r"^(?!.*(?:omni|audio|image))",
            ("input_image", "input_video"),
            "Price lists of the providers, 2026-11: image and video tokens of vision models are "
            "input tokens",
        ),
        _Rule(
            r"^(?:anthropic|aws|x-ai|mistral|meta|moonshotai)$",
            r"^(?!.*(?:audio|voxtral|sonic|image|canvas|reel))",
            ("input_image",),
            "Price lists of the providers, 2026-11: image tokens are input tokens",
        ),
    )
)


def plain_units_of(provider_id: str, model_id: str) -> tuple[str, ...]:
    """Return the units that cost as much as the model's text."""
    return tuple(
        unit
        for provider, model, units in _RULES
        if provider.search(provider_id) and model.search(model_id)
        for unit in units
    )


def with_plain_units(rates: Mapping[str, Rate], units: tuple[str, ...]) -> dict[str, Rate]:
    """Return rates with ``units`` added at the price of text; listed prices are kept."""
    found = dict(rates)
    for unit in units:
        side, _, modality = unit.partition("_")
        if unit not in rates and side in rates:
            found[unit] = rates[side]
        cached = f"cache_{modality}_read"
        if side == "input" and unit not in rates and cached not in rates and "cache_read" in rates:
            found[cached] = rates["cache_read"]
    return found
