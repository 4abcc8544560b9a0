"""The command line: `tracemill up` for everything on one machine, and one command per role for production."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from deploy.directories import absolute, default_data_dir
from deploy.output import safe_output
from deploy.quarantine_cli import quarantine

app = typer.Typer(
    name="tracemill",
    help="""Event-streaming analytics for LLM applications: cost, latency and budget alerts while it happens.

    Start with `tracemill up`, then `tracemill demo`. In production each role is a process of its own:
    gateway, streams, sink, query; `migrate` comes first. They are configured by environment variables: `tracemill settings` lists them.""",
    no_args_is_help=True,
    add_completion=False,
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
    version: Annotated[  # its callback prints and exits
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
            help="Public port; by default the one of the last run, at first 7700.",
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
            help="Where all data is kept.",
            show_default=str(default_data_dir()),
            envvar="TRACEMILL_DATA_DIR",
        ),
    ] = None,
    broker: Annotated[
        str,
        typer.Option(
            help="'embedded' (Apache Kafka, started here) or HOST:PORT of a Kafka broker."
        ),
    ] = EMBEDDED,
    clickhouse: Annotated[
        str,
        typer.Option(
            help="'embedded' (the ClickHouse engine, started here) or the URL of a server."
        ),
    ] = EMBEDDED,
) -> None:
    """Start everything on this machine and keep it running until Ctrl-C.

    The first project and its keys are taken from TRACEMILL_INIT_PROJECT_ID, TRACEMILL_INIT_PUBLIC_KEY
    and TRACEMILL_INIT_SECRET_KEY (default, pk-tm-dev, sk-tm-dev).
    """
    from deploy.embedded.data_dir import Installation
    from deploy.embedded.roles import UpOptions, broker_of
    from deploy.embedded.up import up as run
    from deploy.greeting import greeting

    options = UpOptions(
        data_dir=absolute(data_dir or default_data_dir()),
        host=host,
        port=port,
        broker=broker,
        clickhouse=clickhouse,
    )

    def greet(installation: Installation, started: UpOptions) -> str:
        kafka, password_file = broker_of(options, installation)
        port, grpc_port = installation.public_port, started.otlp_grpc_port
        return greeting(host, port, grpc_port, kafka, password_file)

    raise SystemExit(run(options, greet=greet))


@app.command()
def demo(
    url: Annotated[
        str, typer.Option(help="Address of tracemill.", envvar="TRACEMILL_URL")
    ] = "http://127.0.0.1:7700",
    public_key: Annotated[
        str,
        typer.Option(
            help="Of the project that the traces go to.", envvar="TRACEMILL_INIT_PUBLIC_KEY"
        ),
    ] = "pk-tm-dev",
    secret_key: Annotated[
        str,
        typer.Option(
            help="The public key's secret; in the environment it is not seen by others.",
            envvar="TRACEMILL_INIT_SECRET_KEY",
        ),
    ] = "sk-tm-dev",
    traces: Annotated[
        int, typer.Option(help="How many traces to send.", min=1, max=1_000_000)
    ] = 500,
    minutes: Annotated[
        float,
        typer.Option(help="Spread their times over the last so many minutes.", min=0, max=10_080),
    ] = 60,
    rate: Annotated[
        float, typer.Option(help="Traces per second; 0: as fast as it goes.", min=0)
    ] = 50,
) -> None:
    """Send a realistic load: a support chat with retrieval, two generations a trace, scores, a slow spell and an error spell."""
    from deploy.demo.send import send_demo
    from deploy.errors import DeployError

    try:
        send_demo(url, public_key, secret_key, traces=traces, minutes=minutes, rate=rate)
    except DeployError as error:
        print(f"tracemill demo: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    print(f"sent {traces} traces; ask for them:")
    print(f"  curl -u {public_key}:… '{url}/v1/windows?step=1h&group_by=model'")


@app.command()
def gateway() -> None:
    """Ingestion: OTLP and the Langfuse ingestion API in, Kafka out. Needs TRACEMILL_BROKER.

    Listens on TRACEMILL_HOST and TRACEMILL_PORT (127.0.0.1, 7700), with /metrics, /healthz and /readyz beside the API.
    """
    from deploy.process import run_process
    from deploy.processes import edge

    raise SystemExit(run_process("gateway", edge.gateway))


@app.command()
def query() -> None:
    """The query API. Needs TRACEMILL_BROKER and TRACEMILL_CLICKHOUSE_URL.

    Listens on TRACEMILL_HOST and TRACEMILL_PORT (127.0.0.1, 7700), with /metrics, /healthz and /readyz beside the API.
    """
    from deploy.process import run_process
    from deploy.processes import edge

    raise SystemExit(run_process("query", edge.query))


@app.command()
def edge() -> None:
    """Ingestion and queries on one port: gateway and query in one process. Listens and needs as they do."""
    from deploy.process import run_process
    from deploy.processes import edge as role

    raise SystemExit(run_process("edge", role.edge))


@app.command()
def streams() -> None:
    """The stream processors: prices, totals, windows, budgets, webhooks. Needs TRACEMILL_BROKER and TRACEMILL_CLICKHOUSE_URL.

    TRACEMILL_METRICS_PORT, where set, serves /metrics, /healthz and /readyz on TRACEMILL_METRICS_HOST (127.0.0.1).
    """
    from deploy.process import run_process
    from deploy.processes import streams as role

    raise SystemExit(run_process("streams", role.main))


@app.command()
def sink() -> None:
    """Rows from Kafka into ClickHouse. Needs TRACEMILL_BROKER and TRACEMILL_CLICKHOUSE_URL.

    TRACEMILL_METRICS_PORT, where set, serves /metrics, /healthz and /readyz on TRACEMILL_METRICS_HOST (127.0.0.1).
    """
    from deploy.process import run_process
    from deploy.processes import sink as role

    raise SystemExit(run_process("sink", role.main))


@app.command()
def migrate(
    plan: Annotated[
        bool, typer.Option("--plan", help="Show what would be done, and do nothing.")
    ] = False,
    users: Annotated[
        bool,
        typer.Option(
            "--users",
            help="Print the SQL that creates a ClickHouse server's users, with new passwords, and exit.",
        ),
    ] = False,
) -> None:
    """Create what the roles need: topics, tables, the first project and its key. Safe to repeat.

    Needs TRACEMILL_BROKER and TRACEMILL_CLICKHOUSE_URL. What it makes follows TRACEMILL_EVENT_PARTITIONS, TRACEMILL_PROJECT_PARTITIONS,
    TRACEMILL_REPLICATION_FACTOR, TRACEMILL_TOPIC_PREFIX and TRACEMILL_TOPIC_RETENTION_H (topics); TRACEMILL_CLICKHOUSE_DATABASE,
    TRACEMILL_STORAGE_POLICY and TRACEMILL_HOT_DAYS (tables); TRACEMILL_INIT_PROJECT_ID, TRACEMILL_INIT_PUBLIC_KEY and
    TRACEMILL_INIT_SECRET_KEY (the first project).
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
        typer.Option(help="'embedded' (started for it) or HOST:PORT.", envvar="TRACEMILL_BROKER"),
    ] = EMBEDDED,
    clickhouse: Annotated[
        str,
        typer.Option(
            help="'embedded' (started for it) or a URL.", envvar="TRACEMILL_CLICKHOUSE_URL"
        ),
    ] = EMBEDDED,
) -> None:
    """Rebuild a log in Kafka that lost its data from the store. Stop all other roles first.

    Creates the topics, restores projects, keys, prices, budgets, webhooks and alerts from the
    store, and lists what could not be restored. Webhooks keep their secrets if
    TRACEMILL_ENCRYPTION_KEY, or the key in the data directory, is the one that they were stored
    with. Safe to repeat.
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
        typer.Option(help="Where the log is kept.", show_default="kafka in TRACEMILL_DATA_DIR"),
    ] = None,
) -> None:
    """Run the embedded Apache Kafka alone, one node on loopback.

    Clients log in as `tracemill` with TRACEMILL_BROKER_PASSWORD; if that is not set, with the
    password that is generated into `credentials` in TRACEMILL_DATA_DIR.
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
        typer.Option(help="Where the tables are kept.", show_default="store in TRACEMILL_DATA_DIR"),
    ] = None,
) -> None:
    """Run the embedded ClickHouse engine behind its HTTP interface, on loopback.

    Its users are ingest, query and migrate, with the passwords in TRACEMILL_STORE_INGEST_PASSWORD
    and so on; or TRACEMILL_CLICKHOUSE_USER, with all privileges, and TRACEMILL_CLICKHOUSE_PASSWORD.
    If no password is set, they are generated into `credentials` in TRACEMILL_DATA_DIR.

    Its cold volume is TRACEMILL_COLD_URL (s3://bucket/prefix, with AWS_ENDPOINT_URL, AWS_REGION,
    AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), by default a directory beside the hot one.
    """
    from deploy.processes.store import run

    raise SystemExit(run(data_dir, port))


@app.command()
def settings() -> None:
    """List every environment variable: what it is for, what it takes, its default. Every line is a comment: uncomment one to set another value."""
    from deploy.variables import as_text

    print(as_text(), end="")


app.add_typer(quarantine)


def main() -> None:
    """Entry point of the `tracemill` command."""
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
