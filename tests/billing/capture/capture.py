"""Print the attributes of the spans that an instrumentation sends for one call.

Run it in a virtual environment that has the packages, for example:

    python capture.py openinference openai

The output is JSON: scope, version of the scope, and the attributes that matter for cost.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import stand_in
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

ADDRESS = stand_in.start()
EXPORTER = InMemorySpanExporter()
TEXTS = ("messages", "content", "prompt.name", "input.value", "output.value", "logfire.json_schema")
QUESTION: Any = [{"role": "user", "content": "Is it?"}]


def openai() -> None:
    client = importlib.import_module("openai").OpenAI(base_url=f"{ADDRESS}/v1", api_key="k")
    client.chat.completions.create(model="gpt-5-mini", messages=QUESTION, service_tier="flex")
    client.responses.create(model="gpt-5-mini", input="Is it?", service_tier="flex")


def anthropic() -> None:
    client = importlib.import_module("anthropic").Anthropic(base_url=ADDRESS, api_key="k")
    client.messages.create(model="claude-sonnet-4-5", max_tokens=900, messages=QUESTION)


def google() -> None:
    genai = importlib.import_module("google.genai")
    client = genai.Client(api_key="k", http_options={"base_url": ADDRESS})
    client.models.generate_content(model="gemini-2.5-flash", contents="Is it?")


def bedrock() -> None:
    client = importlib.import_module("boto3").client(
        "bedrock-runtime",
        endpoint_url=ADDRESS,
        region_name="us-east-1",
        aws_access_key_id="k",
        aws_secret_access_key="s",
    )
    content = [{"role": "user", "content": [{"text": "Is it?"}]}]
    client.converse(modelId="us.anthropic.claude-sonnet-4-5-20250929-v1:0", messages=content)


def litellm() -> None:
    completion = importlib.import_module("litellm").completion
    completion("openai/gpt-5-mini", QUESTION, api_base=f"{ADDRESS}/v1", api_key="k")
    completion("anthropic/claude-sonnet-4-5", QUESTION, api_base=ADDRESS, api_key="k")


def langchain() -> None:
    chat_openai = importlib.import_module("langchain_openai").ChatOpenAI
    chat_openai(
        model="gpt-5-mini", base_url=f"{ADDRESS}/v1", api_key="k", service_tier="flex"
    ).invoke("Is it?", config=LANGCHAIN_CONFIG)
    chat_anthropic = importlib.import_module("langchain_anthropic").ChatAnthropic
    chat_anthropic(model="claude-sonnet-4-5", base_url=ADDRESS, api_key="k").invoke(
        "Is it?", config=LANGCHAIN_CONFIG
    )
    if importlib.util.find_spec("langchain_google_genai") is None:
        return
    chat_google = importlib.import_module("langchain_google_genai").ChatGoogleGenerativeAI
    chat_google(model="gemini-2.5-flash", google_api_key="k", base_url=ADDRESS).invoke(
        "Is it?", config=LANGCHAIN_CONFIG
    )


LANGCHAIN_CONFIG: dict[str, Any] = {}


def pydantic_ai() -> None:
    agent = importlib.import_module("pydantic_ai").Agent
    agent.instrument_all(True)
    os.environ["OPENAI_BASE_URL"], os.environ["ANTHROPIC_BASE_URL"] = f"{ADDRESS}/v1", ADDRESS
    os.environ["GOOGLE_GEMINI_BASE_URL"] = ADDRESS
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY"):
        os.environ[name] = "k"
    for model in (
        "openai-chat:gpt-5-mini",
        "openai-responses:gpt-5-mini",
        "anthropic:claude-sonnet-4-5",
        "google:gemini-2.5-flash",
    ):
        try:
            agent(model).run_sync("Is it?")
        except Exception as error:  # noqa: BLE001  names of providers differ between versions
            print(model, repr(error), file=sys.stderr)


def langfuse_openai() -> None:
    module = importlib.import_module("langfuse.openai")
    client = module.OpenAI(base_url=f"{ADDRESS}/v1", api_key="k")
    client.chat.completions.create(model="gpt-5-mini", messages=QUESTION, service_tier="flex")
    client.responses.create(model="gpt-5-mini", input="Is it?", service_tier="flex")


def openai_agents() -> None:
    agents = importlib.import_module("agents")
    client = importlib.import_module("openai").AsyncOpenAI(base_url=f"{ADDRESS}/v1", api_key="k")
    agents.set_default_openai_client(client, use_for_tracing=False)
    agents.Runner.run_sync(agents.Agent(name="agent", model="gpt-5-mini"), "Is it?")


def llama_index() -> None:
    llm = importlib.import_module("llama_index.llms.openai").OpenAI(
        model="gpt-5-mini", api_base=f"{ADDRESS}/v1", api_key="k"
    )
    message = importlib.import_module("llama_index.core.llms").ChatMessage
    llm.chat([message(role="user", content="Is it?")])


def dspy() -> None:
    module = importlib.import_module("dspy")
    lm = module.LM("openai/gpt-5-mini", api_base=f"{ADDRESS}/v1", api_key="k", cache=False)
    lm("Is it?")


def smolagents() -> None:
    module = importlib.import_module("smolagents")
    model = module.OpenAIModel("gpt-5-mini", api_base=f"{ADDRESS}/v1", api_key="k")
    model([module.ChatMessage(role="user", content="Is it?")])


def strands() -> None:
    os.environ["AWS_ACCESS_KEY_ID"] = os.environ["AWS_SECRET_ACCESS_KEY"] = "k"
    model = importlib.import_module("strands.models.bedrock").BedrockModel(
        model_id="us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        endpoint_url=ADDRESS,
        region_name="us-east-1",
        streaming=False,
    )
    importlib.import_module("strands").Agent(model=model, callback_handler=None)("Is it?")


def adk() -> None:
    os.environ["GOOGLE_API_KEY"], os.environ["GOOGLE_GEMINI_BASE_URL"] = "k", ADDRESS
    agent = importlib.import_module("google.adk.agents").Agent(
        name="agent", model="gemini-2.5-flash"
    )
    runners = importlib.import_module("google.adk.runners")
    runner = runners.InMemoryRunner(agent=agent, app_name="app")
    asyncio.run(runner.run_debug("Is it?"))


def agno() -> None:
    os.environ["AGNO_TELEMETRY"] = "false"
    chat = importlib.import_module("agno.models.openai").OpenAIChat
    model = chat(id="gpt-5-mini", base_url=f"{ADDRESS}/v1", api_key="k")
    importlib.import_module("agno.agent").Agent(model=model, telemetry=False).run("Is it?")


CALLS: dict[str, Callable[[], None]] = {
    "langfuse-openai": langfuse_openai,
    "openai-agents": openai_agents,
    "llama-index": llama_index,
    "dspy": dspy,
    "smolagents": smolagents,
    "strands": strands,
    "adk": adk,
    "agno": agno,
    "openai": openai,
    "anthropic": anthropic,
    "google": google,
    "bedrock": bedrock,
    "litellm": litellm,
    "langchain": langchain,
    "pydantic-ai": pydantic_ai,
}
INSTRUMENTORS = {
    ("official", "openai"): "opentelemetry.instrumentation.openai_v2.OpenAIInstrumentor",
    ("official", "google"): "opentelemetry.instrumentation.google_genai.GoogleGenAiSdkInstrumentor",
    ("openinference", "openai-agents"): (
        "openinference.instrumentation.openai_agents.OpenAIAgentsInstrumentor"
    ),
    ("openinference", "llama-index"): (
        "openinference.instrumentation.llama_index.LlamaIndexInstrumentor"
    ),
    ("openinference", "dspy"): "openinference.instrumentation.dspy.DSPyInstrumentor",
    ("openinference", "smolagents"): (
        "openinference.instrumentation.smolagents.SmolagentsInstrumentor"
    ),
    ("openinference", "bedrock"): "openinference.instrumentation.bedrock.BedrockInstrumentor",
    ("openinference", "agno"): "openinference.instrumentation.agno.AgnoInstrumentor",
    ("openinference", "openai"): "openinference.instrumentation.openai.OpenAIInstrumentor",
    ("openinference", "anthropic"): "openinference.instrumentation.anthropic.AnthropicInstrumentor",
    ("openinference", "google"): (
        "openinference.instrumentation.google_genai.GoogleGenAIInstrumentor"
    ),
    ("openinference", "litellm"): "openinference.instrumentation.litellm.LiteLLMInstrumentor",
    ("openinference", "langchain"): "openinference.instrumentation.langchain.LangChainInstrumentor",
    ("openllmetry", "openai"): "opentelemetry.instrumentation.openai.OpenAIInstrumentor",
    ("openllmetry", "anthropic"): "opentelemetry.instrumentation.anthropic.AnthropicInstrumentor",
    ("openllmetry", "google"): (
        "opentelemetry.instrumentation.google_generativeai.GoogleGenerativeAiInstrumentor"
    ),
    ("openllmetry", "bedrock"): "opentelemetry.instrumentation.bedrock.BedrockInstrumentor",
    ("openlit", "openai"): "openlit.instrumentation.openai.OpenAIInstrumentor",
}


def instrument(kind: str, what: str, provider: TracerProvider) -> None:
    if kind == "logfire":
        logfire = importlib.import_module("logfire")
        logfire.configure(
            send_to_logfire=False,
            console=False,
            additional_span_processors=[SimpleSpanProcessor(EXPORTER)],
        )
        getattr(logfire, f"instrument_{what.replace('-', '_').replace('google', 'google_genai')}")()
    elif kind == "openlit":
        importlib.import_module("openlit").init(disable_metrics=True)
    elif kind == "langfuse":
        langfuse = importlib.import_module("langfuse")
        langfuse.Langfuse(
            public_key="pk", secret_key="sk", base_url=ADDRESS, tracer_provider=provider
        )
        if what == "langchain":
            handler = importlib.import_module("langfuse.langchain").CallbackHandler
            LANGCHAIN_CONFIG["callbacks"] = [handler(public_key="pk")]
    elif kind == "mlflow":
        os.environ["MLFLOW_ENABLE_OTLP_EXPORTER"] = "true"
        getattr(importlib.import_module("mlflow"), what).autolog()
    elif kind == "litellm-otel":
        otel = importlib.import_module("litellm.integrations.opentelemetry")
        config = otel.OpenTelemetryConfig(exporter=EXPORTER)
        importlib.import_module("litellm").callbacks = [otel.OpenTelemetry(config=config)]
    elif (kind, what) in INSTRUMENTORS:
        module, _, name = INSTRUMENTORS[kind, what].rpartition(".")
        getattr(importlib.import_module(module), name)().instrument(tracer_provider=provider)


def main(kind: str, what: str) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(EXPORTER))
    if kind != "logfire":
        trace.set_tracer_provider(provider)
    instrument(kind, what, provider)
    CALLS[what]()
    for span in EXPORTER.get_finished_spans():
        scope = span.instrumentation_scope
        attributes = {
            key: value
            for key, value in (span.attributes or {}).items()
            if not any(text in key for text in TEXTS)
        }
        found = {"scope": scope.name if scope else "", "version": scope.version if scope else ""}
        print(json.dumps({**found, "name": span.name, "attributes": attributes}, default=str))


if __name__ == "__main__":
    main(*sys.argv[1:3])
