"""Serve ``/docs`` with all its files and the root page, without credentials or other hosts."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path as FilePath
from typing import Final, Literal

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from query_api.responses import json_response

_FILES: Final = FilePath(str(files("fastapi_swagger"))) / "resources"

Asset = Literal["swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"]


def documentation_router(title: str, version: str) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    # Relative paths also work behind a proxy that adds a prefix.
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title=title,
        swagger_js_url="docs/assets/swagger-ui-bundle.js",
        swagger_css_url="docs/assets/swagger-ui.css",
        swagger_favicon_url="docs/assets/favicon-32x32.png",
        swagger_ui_parameters={"validatorUrl": None},  # the default sends the document elsewhere
    )

    @router.get("/")
    async def root(request: Request) -> Response:
        """Redirect browsers to the console; return the path of the documentation to others."""
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("console/sign-in")
        about = {"name": title, "version": version, "docs": "/docs", "openapi": "/openapi.json"}
        return json_response(about)

    @router.get("/docs")
    async def docs() -> Response:
        return HTMLResponse(page.body)

    @router.get("/docs/assets/{name}")
    async def asset(name: Asset) -> Response:
        return FileResponse(_FILES / name)

    return router
