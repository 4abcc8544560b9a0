"""Build the query API as an ASGI application."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from clickhouse.store import Store
from producers.control.auth import Authenticator
from producers.control.kinds.score_config import ScoreConfig
from producers.control.log import ControlLog
from producers.disk import DiskFloor
from producers.encoded_slashes import KeepEncodedSlashes
from producers.head_requests import ServeHeadRequests
from producers.notifications.registry import EVENT_TYPES, EventTypes
from producers.options_requests import ServeOptionsRequests
from producers.settings import LimitsSettings
from producers.usage.counts import UsageCounts
from query_api.alerting.backtests import Backtester, NoBacktester
from query_api.budgets.backtests import BudgetBacktester, NoBudgetBacktester
from query_api.console.page_queries import PAGE_QUERIES
from query_api.console.routes import FORM_PATHS, console_of
from query_api.console.settings import ConsoleSettings
from query_api.context import AppContext, SendScores
from query_api.decisions.book import DecisionBook
from query_api.documents.documents import Documents
from query_api.documents.log import NO_DOCUMENTS, DocumentLog
from query_api.error_responses import install_error_responses
from query_api.event_stream.hub import EventHub
from query_api.health.readiness import Readiness, ReadinessCheck
from query_api.health.routes import health_router
from query_api.health.topic_rates import TopicProgress
from query_api.jobs.states import JobStates
from query_api.langfuse.api_keys import api_keys_router
from query_api.langfuse.comments import comments_router
from query_api.langfuse.daily_metrics import daily_metrics_router
from query_api.langfuse.dataset_items import dataset_items_router
from query_api.langfuse.dataset_run_items import dataset_run_items_router
from query_api.langfuse.dataset_runs import dataset_runs_router
from query_api.langfuse.datasets import datasets_router
from query_api.langfuse.datasets_v1 import datasets_v1_router
from query_api.langfuse.experiments import langfuse_experiments_router
from query_api.langfuse.media import media_router
from query_api.langfuse.metrics import metrics_router
from query_api.langfuse.models import models_router
from query_api.langfuse.observations import observations_router
from query_api.langfuse.projects import projects_router
from query_api.langfuse.prompts import PROMPT_PATHS, prompts_router
from query_api.langfuse.score_configs import score_configs_router
from query_api.langfuse.scores import scores_router
from query_api.langfuse.scores_v3 import scores_v3_router
from query_api.langfuse.sessions import sessions_router
from query_api.langfuse.traces import traces_router
from query_api.media.content import ServeMediaContent
from query_api.media.local_media import LocalMedia
from query_api.media.s3_signing import S3Access
from query_api.media.store import media_store_of
from query_api.middleware import DOCUMENT_PATHS, CountRequests, LimitBodies, UnbracketLists
from query_api.openapi.document import install_openapi
from query_api.openapi.pages import documentation_router
from query_api.prices.defaults import NO_DEFAULT_PRICES, DefaultPriceList
from query_api.prices.explained import PriceExplainer
from query_api.prometheus.routes import prometheus_router
from query_api.prometheus.sketches import SketchCounts, no_counts
from query_api.prompts.library import PromptLibrary
from query_api.query.engine import FreshUntil, QueryEngine, never_known
from query_api.quota import Quota
from query_api.responses import Documented
from query_api.settings import QuerySettings, limit_setting
from query_api.store.reader import Reader
from query_api.tenants.keys import Keys
from query_api.tenants.projects import Projects
from query_api.tenants.tiers import NO_TIERS, Tiers
from query_api.v1.admin_keys import admin_keys_router
from query_api.v1.admin_limits import admin_limits_router
from query_api.v1.admin_projects import admin_projects_router
from query_api.v1.alerts import alerts_router
from query_api.v1.cache import cache_router
from query_api.v1.crud import Resource, crud_router
from query_api.v1.dashboards import dashboards_router
from query_api.v1.dataset_imports import dataset_imports_router
from query_api.v1.dead_letter_replays import dead_letter_replays_router
from query_api.v1.dead_letters import dead_letters_router
from query_api.v1.decisions import decisions_router
from query_api.v1.default_prices import default_prices_router
from query_api.v1.deliveries import deliveries_router
from query_api.v1.event_stream import event_stream_router
from query_api.v1.experiments import experiments_router
from query_api.v1.exports import exports_router
from query_api.v1.jobs import jobs_router
from query_api.v1.late_events import late_events_router
from query_api.v1.owner_totals import owner_totals_router
from query_api.v1.owners import owners_router
from query_api.v1.pipeline import pipeline_router
from query_api.v1.price_resolution import price_resolution_router
from query_api.v1.prompt_comparison import prompt_comparison_router
from query_api.v1.prompt_split import prompt_split_router
from query_api.v1.protected_labels import protected_labels_router
from query_api.v1.query import query_router
from query_api.v1.resources import defined_resources
from query_api.v1.saved_views import saved_views_router
from query_api.v1.storage import storage_router
from query_api.v1.tiers import tiers_router
from query_api.v1.trace_totals import trace_totals_router
from query_api.v1.tree import tree_router
from query_api.v1.unpriced import unpriced_router
from query_api.v1.what_if import what_if_router
from query_api.v1.windows import windows_router

VERSION: Final = version("tracemill")
ROUTERS: Final = (
    # First, because applications wait for these, and FastAPI matches routes in order.
    decisions_router,
    prompts_router,
    projects_router,
    api_keys_router,
    models_router,
    metrics_router,
    daily_metrics_router,
    traces_router,
    observations_router,
    score_configs_router,
    scores_router,
    scores_v3_router,
    comments_router,
    dataset_items_router,
    dataset_run_items_router,
    datasets_router,
    dataset_runs_router,
    langfuse_experiments_router,
    datasets_v1_router,  # after runs, because names of datasets may have slashes
    sessions_router,
    protected_labels_router,
    prompt_split_router,
    prompt_comparison_router,
    media_router,
    tree_router,
    trace_totals_router,
    owner_totals_router,
    owners_router,
    windows_router,
    query_router,
    prometheus_router,
    cache_router,
    dataset_imports_router,
    saved_views_router,
    dashboards_router,
    experiments_router,
    exports_router,
    late_events_router,
    alerts_router,
    event_stream_router,
    dead_letter_replays_router,
    dead_letters_router,
    deliveries_router,
    default_prices_router,
    price_resolution_router,
    unpriced_router,
    what_if_router,
    pipeline_router,
    jobs_router,
    storage_router,
    tiers_router,
    admin_projects_router,
    admin_keys_router,
    admin_limits_router,
)
RESOURCES: Final = tuple(defined_resources())


def prepare_routes(app: FastAPI) -> None:
    """Build what FastAPI otherwise builds during the first request, for a tenth of a second.

    Later requests are then also faster, because garbage collections do not visit these objects, if
    they are frozen afterwards (``gc.freeze``).
    """
    for route in app.routes:
        route.matches({"type": "http", "method": "GET", "path": "/-", "headers": []})


def create_query_api(
    store: Store,
    control: ControlLog,
    authenticator: Authenticator,
    settings: QuerySettings,
    readiness: Sequence[ReadinessCheck],
    *,
    explainer: PriceExplainer,
    sketch_counts: SketchCounts = no_counts,
    event_types: EventTypes = EVENT_TYPES,
    resources: Iterable[Resource[Any, Any]] = RESOURCES,
    default_prices: DefaultPriceList = NO_DEFAULT_PRICES,
    limits: LimitsSettings | None = None,
    usage: UsageCounts | None = None,
    backtester: Backtester | None = None,
    budget_backtester: BudgetBacktester | None = None,
    tiers: Tiers = NO_TIERS,
    documents: DocumentLog = NO_DOCUMENTS,
    disk: DiskFloor | None = None,
    decisions: DecisionBook | None = None,
    s3: S3Access | None = None,
    fresh_until_us: FreshUntil = never_known,
    console: ConsoleSettings | None = None,
    send_scores: SendScores | None = None,
    events: EventHub | None = None,
    pipeline: Callable[[], Sequence[TopicProgress]] = tuple,
    jobs: JobStates | None = None,
) -> FastAPI:
    """Build the application. The caller closes the objects that it passes."""
    documented = Documented()
    reader = Reader(store, settings)
    context = AppContext(
        store=store,
        reader=reader,
        control=control,
        authenticator=authenticator,
        settings=settings,
        documented=documented,
        event_types=event_types,
        projects=Projects(control, settings.projects_max),
        keys=Keys(control, settings.api_keys_per_project_max),
        default_prices=default_prices,
        explainer=explainer,
        sketch_counts=sketch_counts,
        limits=limits or LimitsSettings(),
        usage=usage or UsageCounts(),
        backtester=backtester or NoBacktester(),
        budget_backtester=budget_backtester or NoBudgetBacktester(),
        tiers=tiers,
        documents=Documents(documents, reader, settings),
        prompts=PromptLibrary(control, settings),
        media=media_store_of(settings, control, disk, s3 or S3Access()),
        decisions=decisions,
        query_engine=QueryEngine(store, reader, settings, fresh_until_us),
        score_config_quota=Quota(
            ScoreConfig.plural,
            limit_setting(ScoreConfig),
            getattr(settings, limit_setting(ScoreConfig)),
        ),
        send_scores=send_scores,
        events=events,
        pipeline=pipeline,
        jobs=jobs or JobStates(),
        page_queries=PAGE_QUERIES,
    )
    app = FastAPI(
        title="tracemill",
        version=VERSION,
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        # A redirect would contain the value of the client's header ``Host``.
        redirect_slashes=False,
    )
    app.state.context = context
    app.include_router(documentation_router(app.title, VERSION))
    app.state.readiness = Readiness(readiness, settings)
    app.include_router(health_router(context, app.state.readiness, VERSION))
    for router in ROUTERS:
        app.include_router(router(context))
    for resource in resources:
        app.include_router(crud_router(context, resource))
    console_routes, error_pages = console_of(context, console or ConsoleSettings())
    app.include_router(console_routes)
    install_error_responses(app, error_pages.page_of)
    install_openapi(app, documented)
    app.add_middleware(
        LimitBodies,
        max_bytes=settings.body_max_bytes,
        of_paths=(
            (DOCUMENT_PATHS, "document_body_max_bytes", settings.document_body_max_bytes),
            (PROMPT_PATHS, "prompt_body_max_bytes", settings.prompt_body_max_bytes),
            (FORM_PATHS, "document_body_max_bytes", settings.document_body_max_bytes),
        ),
        timeout_s=settings.body_timeout_s,
    )
    if isinstance(context.media, LocalMedia):
        app.add_middleware(ServeMediaContent, media=context.media)
    app.add_middleware(CountRequests)
    app.add_middleware(UnbracketLists)
    app.add_middleware(
        CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"]
    )
    app.add_middleware(ServeHeadRequests)
    app.add_middleware(ServeOptionsRequests)
    app.add_middleware(KeepEncodedSlashes)
    return app
