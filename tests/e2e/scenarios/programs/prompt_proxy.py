"""An application that asks a proxy for its prompts; prints the texts of the prompts.

The proxy takes a prompt from the server, or else from the file that the application was shipped
with. Templates are Jinja2, which Langfuse's own variables do not interfere with.
"""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import jinja2
from langfuse import Langfuse


class PromptProxy:
    def __init__(self, assets: Path) -> None:
        self._langfuse = Langfuse()
        self._assets = json.loads(assets.read_text())
        self.fallbacks = 0

    def render(self, name: str, **variables: Any) -> str:
        fallback = self._assets[name]["prompt"]
        prompt = self._langfuse.get_prompt(
            name, label="production", fallback=fallback, max_retries=0, fetch_timeout_seconds=5
        )
        self.fallbacks += prompt.is_fallback
        return jinja2.Template(prompt.prompt).render(variables)


logging.disable()  # the SDK logs that the server cannot be reached
proxy = PromptProxy(Path(sys.argv[1]))
rendered = [
    proxy.render("sql/plan", tables=["orders", "users"], question="How many?"),
    proxy.render("sql/answer", rows=[]),
]
print(json.dumps({"prompts": rendered, "fallbacks": proxy.fallbacks}))
