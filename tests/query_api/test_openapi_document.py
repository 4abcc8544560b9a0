from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate

from deploy.price_explanations import BilledPrices
from producers.gateway.app import create_gateway
from producers.settings import GatewaySettings, KafkaSettings
from query_api.app import create_query_api
from query_api.settings import QuerySettings
from tests.query_api.harness import ControlInMemory

INGESTION = {
    "POST /v1/traces",
    "POST /api/public/otel/v1/traces",
    "POST /api/public/otel/v1/metrics",
    "POST /api/public/ingestion",
    "POST /api/public/scores",
    "DELETE /api/public/scores/{scoreId}",
    "DELETE /api/public/traces/{traceId}",
    "DELETE /api/public/traces",
    "DELETE /v1/traces/{traceId}",
    "DELETE /v1/traces",
}


def document() -> dict[str, Any]:
    app = create_query_api(None, None, None, QuerySettings(), [], explainer=BilledPrices())  # type: ignore[arg-type]
    return app.openapi()


DOCUMENT = document()
OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
]


def test_the_document_is_valid_openapi() -> None:
    validate(DOCUMENT)


@pytest.mark.parametrize(("name", "operation"), OPERATIONS)
def test_every_answer_has_a_schema_and_an_example_that_meets_it(
    name: str, operation: dict[str, Any]
) -> None:
    assert operation["summary"]
    good = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
    assert len(good) == (3 if name == "POST /api/public/scores" else 1)
    if name.startswith("DELETE"):
        return
    for each in (*good, operation.get("requestBody")):
        if each is not None and each != operation["responses"].get("204"):
            of_texts = [
                content
                for content in each["content"].values()
                if content["schema"].get("format") != "binary"
            ]
            assert of_texts
            for content in of_texts:
                schema = content["schema"] | {"components": DOCUMENT["components"]}
                jsonschema.validate(content["example"], schema)


def test_both_halves_of_the_api_are_described() -> None:
    """The gateway answers on the same port."""
    gateway = create_gateway(KafkaSettings(), GatewaySettings(), ControlInMemory())  # type: ignore[arg-type]
    taken = {
        f"{method} {route.path.replace(':path', '')}"
        for route in gateway._app.routes
        for method in route.methods - {"HEAD"}
    }
    assert taken == INGESTION
    assert taken <= {name for name, _ in OPERATIONS}
    assert "GET /api/public/scores" in {name for name, _ in OPERATIONS}


@pytest.mark.parametrize(("name", "operation"), OPERATIONS)
def test_every_refusal_and_every_id_has_an_example(name: str, operation: dict[str, Any]) -> None:
    for status, refusal in operation["responses"].items():
        if operation["security"] and status[0] in "45":
            content = refusal["content"]["application/json"]
            schema = content["schema"] | {"components": DOCUMENT["components"]}
            jsonschema.validate(content["example"], schema)
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            assert parameter["schema"]["examples"]


@pytest.mark.parametrize(("name", "operation"), OPERATIONS)
def test_every_route_documents_its_errors_and_its_credential(
    name: str, operation: dict[str, Any]
) -> None:
    if name in {"GET /api/public/health", "GET /api/public/ready"}:
        assert operation["security"] == []
        return
    if {"adminKey": []} not in operation["security"]:
        assert operation["security"] == [{"projectKey": []}]
    if name in INGESTION:
        for status in ("400", "401", "403", "408", "413", "415", "503"):
            content = operation["responses"][status]["content"]["application/json"]
            assert content["schema"] == {"$ref": "#/components/schemas/IngestionRefusal"}
        return
    kind = "LangfuseRefusal" if "/api/public/" in name else "Refusal"
    for status in ("400", "401", "403", "404", "422", "503"):
        content = operation["responses"][status]["content"]["application/json"]
        assert content["schema"] == {"$ref": f"#/components/schemas/{kind}"}
