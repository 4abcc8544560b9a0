"""`tracemill webhooks` and `tracemill channels`: list, test and delete receivers of alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from deploy.api_options import AsJson, PublicKey, SecretKey, Url, api_of_project
from deploy.arguments import checked_id
from deploy.record_output import print_record, print_records

if TYPE_CHECKING:
    from deploy.admin_client import AdminClient

_ABOUT: Final = """

    The commands use the project's key. Create receivers with the API."""

webhooks = typer.Typer(
    name="webhooks",
    no_args_is_help=True,
    help=f"List, test and delete webhooks, which receive alerts as JSON.{_ABOUT}",
)
channels = typer.Typer(
    name="channels",
    no_args_is_help=True,
    help=f"List, test and delete channels, such as Slack, which receive messages.{_ABOUT}",
)

_WEBHOOK: Final = ("id", "url", "events", "disabled", "description", "created_at")
_CHANNEL: Final = ("id", "type", "name", "events", "disabled", "created_at")
_REQUESTED: Final = ("delivery_id", "request_id")

WebhookId = Annotated[
    str, typer.Argument(metavar="WEBHOOK", help="Id of the webhook: wh_….", callback=checked_id)
]
ChannelId = Annotated[
    str, typer.Argument(metavar="CHANNEL", help="Id of the channel: ch_….", callback=checked_id)
]


@webhooks.command("list")
def list_webhooks(
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
    as_json: AsJson = False,
) -> None:
    """List webhooks, oldest first."""
    client = api_of_project(url, public_key, secret_key)
    print_records(client.pages(("v1", "webhooks")), as_json, _WEBHOOK)


@webhooks.command("test")
def send_webhook_test(
    webhook_id: WebhookId,
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
    as_json: AsJson = False,
) -> None:
    """Send a test to a webhook; `GET /v1/deliveries` shows the result."""
    client = api_of_project(url, public_key, secret_key)
    _print_request(client, ("v1", "webhooks", webhook_id, "test"), as_json)


@webhooks.command("delete")
def delete_webhook(
    webhook_id: WebhookId,
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
) -> None:
    """Delete a webhook; what it has not received yet is dropped."""
    api_of_project(url, public_key, secret_key).call("DELETE", ("v1", "webhooks", webhook_id))


@channels.command("list")
def list_channels(
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
    as_json: AsJson = False,
) -> None:
    """List channels, oldest first."""
    client = api_of_project(url, public_key, secret_key)
    print_records(client.pages(("v1", "channels")), as_json, _CHANNEL)


@channels.command("test")
def send_channel_test(
    channel_id: ChannelId,
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
    as_json: AsJson = False,
) -> None:
    """Send a test to a channel; `GET /v1/deliveries` shows the result."""
    client = api_of_project(url, public_key, secret_key)
    _print_request(client, ("v1", "channels", channel_id, "test"), as_json)


@channels.command("delete")
def delete_channel(
    channel_id: ChannelId,
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
) -> None:
    """Delete a channel; what it has not received yet is dropped."""
    api_of_project(url, public_key, secret_key).call("DELETE", ("v1", "channels", channel_id))


def _print_request(client: AdminClient, path: tuple[str, ...], as_json: bool) -> None:
    print_record(client.record("POST", path, fields=_REQUESTED), as_json, _REQUESTED)
