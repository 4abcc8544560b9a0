"""Serve ``/api/public/models``: prices in the format of Langfuse's model definitions.

They are the prices of ``/v1/prices`` and ``/v1/admin/prices``, and the shipped prices.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from producers.control.kinds.price import Price
from producers.langfuse_sdk import is_python_before, sdk_of
from query_api.context import AppContext, ProjectId
from query_api.errors import BadRequestError, NotFoundError
from query_api.langfuse.model_bodies import ModelBody
from query_api.langfuse.parameters import PageParameters
from query_api.langfuse.shapes.model import (
    Model,
    id_of_default,
    model_of_default,
    model_of_record,
)
from query_api.openapi.price_examples import MODEL_EXAMPLE
from query_api.pages import PageMeta, page_meta
from query_api.prices.defaults import DefaultPrice
from query_api.quota import Quota
from query_api.responses import Responses, json_response
from query_api.settings import limit_setting
from tracemill.clock import now_us

CONDITIONS_SINCE: Final = (4, 15)
"""Version of the Python SDK that can parse conditions of model parameters and metadata."""

ModelId = Annotated[str, Path(min_length=1, max_length=255, examples=[MODEL_EXAMPLE["id"]])]


class ModelList(msgspec.Struct):
    data: list[Model]
    meta: PageMeta


class Deleted(msgspec.Struct):
    message: str = "Model successfully deleted"


def models_router(context: AppContext) -> APIRouter:
    router = APIRouter(tags=["models"])
    models = _Models(context)
    one: Responses = {200: context.documented.response(Model, "The model.", MODEL_EXAMPLE)}
    page = {
        "data": [MODEL_EXAMPLE],
        "meta": {"page": 1, "limit": 50, "totalItems": 1, "totalPages": 1},
    }

    @router.get(
        "/api/public/models",
        summary="List models",
        responses={200: context.documented.response(ModelList, "A page of models.", page)},
    )
    async def list_models(
        request: Request, project_id: ProjectId, parameters: Annotated[PageParameters, Query()]
    ) -> Response:
        """Return the models of the project, then of the installation, then the shipped ones."""
        found = models.page(project_id, parameters)
        for each in found.data:
            _fit(each, request)
        return json_response(found)

    @router.post("/api/public/models", summary="Create a model", responses=one)
    async def create_model(project_id: ProjectId, body: ModelBody) -> Response:
        """Create a model. Its prices apply to calls that arrive from now on."""
        record_id = f"prc_{secrets.token_hex(12)}"
        return json_response(await models.create(project_id, record_id, body))

    @router.get("/api/public/models/{model_id:path}", summary="Get a model", responses=one)
    async def get_model(request: Request, project_id: ProjectId, model_id: ModelId) -> Response:
        return json_response(_fit(models.get(project_id, model_id), request))

    @router.put(
        "/api/public/models/{model_id:path}", summary="Create or replace a model", responses=one
    )
    async def put_model(project_id: ProjectId, model_id: ModelId, body: ModelBody) -> Response:
        """Create or replace a model; models of the installation and shipped ones are read-only."""
        return json_response(await models.put(project_id, model_id, body))

    @router.delete(
        "/api/public/models/{model_id:path}",
        summary="Delete a model",
        responses={
            200: context.documented.response(
                Deleted, "The model is deleted.", {"message": Deleted().message}
            )
        },
    )
    async def delete_model(project_id: ProjectId, model_id: ModelId) -> Response:
        """Delete a model. The default prices apply to calls that arrive from now on."""
        await models.delete(project_id, model_id)
        return json_response(Deleted())

    return router


class _Models:
    def __init__(self, context: AppContext) -> None:
        self._control = context.control
        self._defaults = context.default_prices
        setting = limit_setting(Price)
        self._quota = Quota(Price.plural, setting, getattr(context.settings, setting))

    def page(self, project_id: str, parameters: PageParameters) -> ModelList:
        owners = (project_id, None)
        records = [
            price
            for owner in owners
            for price in sorted(
                self._control.view.in_project(Price, owner).values(),
                key=lambda each: each.position,
            )
        ]
        every: list[Price | DefaultPrice] = [*records, *self._defaults.every()]
        shown = every[parameters.offset : parameters.offset + parameters.limit]
        meta = page_meta(parameters.page, parameters.limit, len(every))
        return ModelList([_shown(each) for each in shown], meta)

    def get(self, project_id: str, model_id: str) -> Model:
        own = self._own(project_id, model_id)
        if own is not None:
            return model_of_record(own)
        managed = self._managed(model_id)
        if managed is None:
            raise NotFoundError("No model with this id found.")
        return managed

    async def create(
        self, project_id: str, record_id: str, body: ModelBody, chosen_id: str = ""
    ) -> Model:
        price = Price(
            id=record_id, project_id=project_id, created_us=now_us(), **body.fields(chosen_id)
        )
        with self._quota.taken_by(price, self._control.view.in_project(Price, project_id)):
            await self._control.create(price)
        return model_of_record(price)

    async def put(self, project_id: str, model_id: str, body: ModelBody) -> Model:
        own = self._own(project_id, model_id)
        if own is None:
            if self._managed(model_id) is not None:
                raise BadRequestError("Built-in models cannot be modified.", field="id")
            record_id = _record_id(project_id, model_id)
            return await self.create(project_id, record_id, body, model_id)

        def replaced(held: Price) -> Price:
            chosen_id = held.langfuse.id if held.langfuse else ""
            return Price(
                id=held.id,
                project_id=held.project_id,
                created_us=held.created_us,
                **body.fields(chosen_id),
            )

        written = await self._control.update(Price, own.id, replaced)
        if written is None:
            raise NotFoundError("No model with this id found.")
        return model_of_record(written)

    async def delete(self, project_id: str, model_id: str) -> None:
        own = self._own(project_id, model_id)
        if own is None:
            raise NotFoundError(
                "No model with this id found. Built-in models cannot be deleted, but your own model"
                " with the same name takes precedence."
            )
        await self._control.delete(own.kind, own.id)

    def _own(self, project_id: str, model_id: str) -> Price | None:
        own = self._control.view.in_project(Price, project_id)
        return own.get(model_id) or own.get(_record_id(project_id, model_id))

    def _managed(self, model_id: str) -> Model | None:
        record = self._control.view.in_project(Price, None).get(model_id)
        if record is not None:
            return model_of_record(record)
        for price in self._defaults.every():
            if id_of_default(price) == model_id:
                return model_of_default(price)
        return None


def _fit(model: Model, request: Request) -> Model:
    """Remove the tiers that an old SDK cannot parse: those with conditions other than usage."""
    sdk = sdk_of(dict(request.headers.raw))
    if is_python_before(sdk, *CONDITIONS_SINCE):
        model.pricing_tiers = [each for each in model.pricing_tiers if each.depends_on_usage_only]
    return model


def _shown(price: Price | DefaultPrice) -> Model:
    return model_of_record(price) if isinstance(price, Price) else model_of_default(price)


def _record_id(project_id: str, chosen_id: str) -> str:
    """Return the record id for an id that a client chose, which is unique across projects."""
    digest = hashlib.sha256(f"{project_id}\0{chosen_id}".encode(errors="replace")).hexdigest()
    return f"prc_{digest[:24]}"
