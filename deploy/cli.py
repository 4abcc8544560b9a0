"""The command line: `tracemill up`, one command per role, and commands for operators."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from deploy.alerts_cli import alerts
from deploy.api_options import Url
from deploy.console_link import console
from deploy.datasets_cli import datasets
from deploy.directories import absolute, default_data_dir
from deploy.examples import add_examples
from deploy.experiments_cli import experiments
from deploy.limits_cli import limits
from deploy.measures_cli import measures
from deploy.notifications_cli import channels, webhooks
from deploy.output import safe_output
from deploy.prices_unpriced_cli import prices
from deploy.prompts_cli import prompts
from deploy.quarantine_cli import quarantine
from deploy.tenants_cli import keys, projects

app = typer.Typer(
    name="tracemill",
    help="""Event-streaming analytics for LLM applications: cost, latency and budgets in real time.

    Start with `tracemill up`, then run `tracemill demo`.

    In production, run `tracemill migrate`, and then each role as a separate process:
    gateway, streams, sink and query. Roles are configured by environment variables;
    `tracemill settings` lists them.""",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

EMBEDDED = "embedded"


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import version
    from platform import machine, python_version, system

    print(f"tracemill {version('tracemill')}, Python {python_version()}, {system()} {machine()}")
    raise typer.Exit


@app.callback()
def common(
    version: Annotated[  # the option's callback prints and exits
        bool,
        typer.Option(
            "--version",
            "-V",
            help="Print the versions of tracemill and Python, and exit.",
            callback=_print_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    pass


@app.command()
def up(
    port: Annotated[
        int | None,
        typer.Option(
            help="Public port. By default that of the last run, or 7700 at the first run.",
            min=1,
            max=65535,
            envvar="TRACEMILL_PORT",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on.", envvar="TRACEMILL_HOST")
    ] = "127.0.0.1",
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Directory of all data.",
            show_default=str(default_data_dir()),
            envvar="TRACEMILL_DATA_DIR",
        ),
    ] = None,
    broker: Annotated[
        str,
        typer.Option(
            help="'embedded' (starts Apache Kafka) or HOST:PORT of a running Kafka broker."
        ),
    ] = EMBEDDED,
    clickhouse: Annotated[
        str,
        typer.Option(
            help="'embedded' (starts the ClickHouse engine) or the URL of a running server."
        ),
    ] = EMBEDDED,
) -> None:
    """Start the engines and all roles on this machine, and stop them at Ctrl-C.

    The first run creates a project and a key from TRACEMILL_INIT_PROJECT_ID,
    TRACEMILL_INIT_PUBLIC_KEY and TRACEMILL_INIT_SECRET_KEY (default, pk-tm-dev, sk-tm-dev).
    """
    from deploy.embedded.data_dir import Installation
    from deploy.embedded.roles import UpOptions, broker_of, console_secret
    from deploy.embedded.up import up as run
    from deploy.startup_message import startup_message

    options = UpOptions(
        data_dir=absolute(data_dir or default_data_dir()),
        host=host,
        port=port,
        broker=broker,
        clickhouse=clickhouse,
    )

    def message(installation: Installation, started: UpOptions) -> str:
        broker, secret = broker_of(options, installation), console_secret(options.data_dir)
        port, grpc_port = installation.public_port, started.otlp_grpc_port
        return startup_message(host, port, grpc_port, *broker, secret)

    raise SystemExit(run(options, startup_message=message))


@app.command()
def demo(
    url: Url = None,
    public_key: Annotated[
        str,
        typer.Option(
            help="Public key of the project that receives the traces.",
            envvar="TRACEMILL_INIT_PUBLIC_KEY",
        ),
    ] = "pk-tm-dev",
    secret_key: Annotated[
        str,
        typer.Option(
            help="Secret key; other users cannot see it if it is set in the environment.",
            envvar="TRACEMILL_INIT_SECRET_KEY",
        ),
    ] = "sk-tm-dev",
    traces: Annotated[
        int, typer.Option(help="Number of traces to send.", min=1, max=1_000_000)
    ] = 500,
    minutes: Annotated[
        float,
        typer.Option(
            help="Spread the traces' times over this many minutes before now.", min=0, max=10_080
        ),
    ] = 60,
    rate: Annotated[
        float, typer.Option(help="Traces per second; 0: as fast as possible.", min=0)
    ] = 50,
) -> None:
    """Send the traces of a simulated support chat.

    Each trace has a retrieval and two generations, and some have a score. In one period the
    generations are slow; in another period many of them fail.
    """
    from deploy.admin_client import server_address
    from deploy.demo.send import send_demo
    from deploy.errors import DeployError

    try:
        url = server_address(url)
        send_demo(url, public_key, secret_key, traces=traces, minutes=minutes, rate=rate)
    except DeployError as error:
        print(f"tracemill demo: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    print(f"sent {traces} traces; to query them:")
    print(f"  curl -u {public_key}:… '{url}/v1/windows?step=1h&group_by=model'")


@app.command()
def gateway() -> None:
    """Run the ingestion API: OTLP and Langfuse events to Kafka. Needs TRACEMILL_BROKER.

    Listens on TRACEMILL_HOST and TRACEMILL_PORT (127.0.0.1, 7700), and for OTLP over gRPC on
    TRACEMILL_OTLP_GRPC_PORT (4317). Also serves /metrics, /healthz and /readyz.
    """
    from deploy.process import run_process
    from deploy.processes import edge

    raise SystemExit(run_process("gateway", edge.gateway))


@app.command()
def query() -> None:
    """Run the query API. Needs TRACEMILL_BROKER and TRACEMILL_CLICKHOUSE_URL.

    Listens on TRACEMILL_HOST and TRACEMILL_PORT (127.0.0.1, 7700). Also serves /metrics, /healthz
    and /readyz.
    """
    from deploy.process import run_process
    from deploy.processes import edge

    raise SystemExit(run_process("query", edge.query))


@app.command()
def edge() -> None:
    """Run gateway and query in one process, on one port. Needs the settings of both."""
    from deploy.process import run_process
    from deploy.processes import edge as role

    raise SystemExit(run_process("edge", role.edge))


@app.command()
def streams() -> None:
    """Run the stream processors: prices, totals, windows, budgets and webhooks.

    Needs TRACEMILL_BROKER and TRACEMILL_CLICKHOUSE_URL. If TRACEMILL_METRICS_PORT is set, serves
    /metrics, /healthz and /readyz on that port of TRACEMILL_METRICS_HOST (127.0.0.1).
    """
    from deploy.process import run_process
    from deploy.processes import streams as role

    raise SystemExit(run_process("streams", role.main))


@app.command()
def sink() -> None:
    """Insert rows from Kafka into ClickHouse. Needs TRACEMILL_BROKER and TRACEMILL_CLICKHOUSE_URL.

    If TRACEMILL_METRICS_PORT is set, serves /metrics, /healthz and /readyz on that port of
    TRACEMILL_METRICS_HOST (127.0.0.1).
    """
    from deploy.process import run_process
    from deploy.processes import sink as role

    raise SystemExit(run_process("sink", role.main))


@app.command()
def migrate(
    plan: Annotated[
        bool, typer.Option("--plan", help="Print the SQL that would be run, and run nothing.")
    ] = False,
    users: Annotated[
        bool,
        typer.Option(
            "--users",
            help="Print SQL that creates the roles' users on a ClickHouse server, and exit.",
        ),
    ] = False,
) -> None:
    """Create topics, tables, the first project and its key. Safe to repeat.

    Needs TRACEMILL_BROKER and TRACEMILL_CLICKHOUSE_URL. Topics are created with
    TRACEMILL_TOPIC_PREFIX, TRACEMILL_EVENT_PARTITIONS, TRACEMILL_PROJECT_PARTITIONS,
    TRACEMILL_REPLICATION_FACTOR and TRACEMILL_TOPIC_RETENTION_H; tables with
    TRACEMILL_CLICKHOUSE_DATABASE, TRACEMILL_STORAGE_POLICY and TRACEMILL_HOT_DAYS; the first
    project with TRACEMILL_INIT_PROJECT_ID, TRACEMILL_INIT_PUBLIC_KEY and TRACEMILL_INIT_SECRET_KEY.
    """
    from deploy.processes.migrate import run, users_script

    if users:
        print(users_script(), end="")
        return
    raise SystemExit(run(plan=plan))


@app.command()
def recover(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Data directory of an installation on this machine.",
            show_default=str(default_data_dir()),
            envvar="TRACEMILL_DATA_DIR",
        ),
    ] = None,
    broker: Annotated[
        str,
        typer.Option(
            help="'embedded' (started for this command), or HOST:PORT of a running broker.",
            envvar="TRACEMILL_BROKER",
        ),
    ] = EMBEDDED,
    clickhouse: Annotated[
        str,
        typer.Option(
            help="'embedded' (started for this command), or the URL of a running server.",
            envvar="TRACEMILL_CLICKHOUSE_URL",
        ),
    ] = EMBEDDED,
) -> None:
    """Rebuild Kafka's data from the store, after Kafka has lost it. Stop all other roles first.

    Creates the topics, restores projects, keys, prices, budgets, rules, channels, routes, webhooks,
    users' tiers and alerts, and lists what could not be restored. Webhooks and channels keep their
    secrets if TRACEMILL_ENCRYPTION_KEY, or the key in the data directory, is the key that encrypted
    them. Documents (datasets, comments, …) are in the store; only changes that were not stored yet
    are lost. Channels receive a message again if its route was deleted, or if its delivery was not
    stored. Rules begin with empty windows. Safe to repeat.
    """
    from deploy.embedded.recover import run
    from deploy.embedded.roles import UpOptions

    options = UpOptions(
        data_dir=absolute(data_dir or default_data_dir()),
        broker=broker,
        clickhouse=clickhouse,
    )
    raise SystemExit(run(options, yes=yes))


@app.command()
def broker(
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 9092,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Directory of the broker's data.", show_default="kafka in TRACEMILL_DATA_DIR"
        ),
    ] = None,
) -> None:
    """Run only the embedded Apache Kafka: one node on loopback.

    Clients log in as `tracemill` with TRACEMILL_BROKER_PASSWORD. If it is not set, a password is
    generated into `credentials` in TRACEMILL_DATA_DIR.
    """
    from deploy.local import run_broker

    raise SystemExit(run_broker(data_dir, port))


@app.command()
def store(
    port: Annotated[
        int,
        typer.Option(help="Port to listen on.", min=1, max=65535, envvar="TRACEMILL_STORE_PORT"),
    ] = 8123,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Directory of the tables.", show_default="store in TRACEMILL_DATA_DIR"),
    ] = None,
) -> None:
    """Run the embedded ClickHouse engine behind its HTTP interface, on loopback.

    Its users are ingest, query and migrate, with the passwords TRACEMILL_STORE_INGEST_PASSWORD,
    TRACEMILL_STORE_QUERY_PASSWORD and TRACEMILL_STORE_MIGRATE_PASSWORD; or one user with all
    privileges, TRACEMILL_CLICKHOUSE_USER with TRACEMILL_CLICKHOUSE_PASSWORD. If no password is set,
    passwords are generated into `credentials` in TRACEMILL_DATA_DIR.

    Its cold volume is TRACEMILL_COLD_URL (s3://bucket/prefix, with AWS_ENDPOINT_URL, AWS_REGION,
    AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), by default a directory beside the hot volume.
    """
    from deploy.processes.store import run

    raise SystemExit(run(data_dir, port))


@app.command()
def settings() -> None:
    """List all environment variables with their meaning, allowed values and defaults.

    Every line is a comment: uncomment those that you want to change.
    """
    from deploy.variables import as_text

    print(as_text(), end="")


app.command()(console)
app.command()(measures)
for group in (projects, keys, webhooks, channels, limits, prices, quarantine):
    app.add_typer(group)
for group in (alerts, datasets, experiments, prompts):
    app.add_typer(group)
add_examples(app)


def main() -> None:
    """Run the `tracemill` command."""
    try:
        with safe_output():
            app()
    except Exception as error:
        from deploy.failures import exit_code_for, lines_for

        lines = lines_for(error)
        if not lines:
            raise
        for line in lines:
            print(f"tracemill: {line}", file=sys.stderr)
        raise SystemExit(exit_code_for(error)) from None
