"""No webhook goes to a port of this installation, however its address is spelled."""

import socket
from ipaddress import ip_address

import pytest

from producers.control.own_endpoints import is_of_this_machine, own_endpoints
from producers.control.resolver import Resolver
from producers.control.webhook_guard import check_webhook_url
from producers.errors import WebhookAddressError
from producers.settings import WebhookSettings

OWN = own_endpoints("7700, 20001", "broker.test:9092,127.0.0.1:8123", "http://store.test:8443")


def own_interface() -> str | None:
    """An address of this machine besides loopback, if it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return None
        return str(probe.getsockname()[0])


@pytest.fixture(autouse=True)
def names(monkeypatch):
    """Answers of the name server; what is not listed is looked up as it is."""
    real = socket.getaddrinfo
    answers = {
        "broker.test": ["10.1.2.3"],
        "broker.test.": ["10.9.9.9"],
        "alias.test": ["10.1.2.3"],
        "home.test": ["127.0.0.1"],
        "mixed.test": ["93.184.215.14", "127.8.8.8"],
        "mapped.test": ["::ffff:127.0.0.1"],
        "elsewhere.test": ["10.9.9.9"],
    }

    def getaddrinfo(host, port, *args, **options):
        if host == "store.test":
            raise socket.gaierror("no such name")
        if host in answers:
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port)) for text in answers[host]
            ]
        return real(host, port, *args, **options)

    monkeypatch.setattr("producers.control.resolver.socket.getaddrinfo", getaddrinfo)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:7700/?query=DROP+TABLE+x",
        "http://localhost:7700/",
        "http://LOCALHOST:07700/",
        "http://127.255.255.254:20001/",
        "http://127.1:7700/",
        "http://2130706433:7700/",
        "http://0x7f.1:7700/",
        "http://0x7f000001:7700/",
        "http://0177.0.0.1:7700/",
        "http://0.0.0.0:7700/",
        "http://0:7700/",
        "http://[::1]:7700/",
        "http://[::]:7700/",
        "http://[::ffff:127.0.0.1]:7700/",
        "http://[::ffff:7f00:1]:8123/",
        "http://[0:0:0:0:0:ffff:127.0.0.1]:20001/",
        "http://home.test:7700/",
        "http://home.test:8123/",
        "http://mixed.test:20001/",
        "http://mapped.test:7700/",
        "http://broker.test:9092/",
        "http://BROKER.test.:9092/",
        "http://alias.test:9092/",
        "http://10.1.2.3:9092/",
        "http://[::ffff:10.1.2.3]:9092/",
        "https://127.0.0.2:8123/",
    ],
)
async def test_an_own_port_is_refused_in_every_spelling_whatever_else_is_allowed(url):
    with pytest.raises(WebhookAddressError, match="belongs to this installation"):
        await check_webhook_url(url, Resolver(), allow_private=True, own=OWN)


async def test_an_own_port_is_refused_on_every_interface_of_this_machine():
    address = own_interface()
    if address is None:
        pytest.skip("this machine has loopback only")
    for port in (7700, 8123):
        with pytest.raises(WebhookAddressError, match="belongs to this installation"):
            await check_webhook_url(
                f"http://{address}:{port}/", Resolver(), allow_private=True, own=OWN
            )


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:7701/",
        "http://elsewhere.test:7700/",
        "http://elsewhere.test:9092/",
        "http://elsewhere.test:8443/",
        "http://10.1.2.3:9093/",
        "https://127.0.0.1/",
    ],
)
async def test_other_ports_and_other_machines_are_taken(url):
    await check_webhook_url(url, Resolver(), allow_private=True, own=OWN)


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("0.0.0.0", True),
        ("8.8.8.8", False),
        ("2001:db8::1", False),
    ],
)
def test_an_address_of_this_machine_is_known(address, here):
    assert is_of_this_machine(ip_address(address)) is here


@pytest.mark.parametrize("text", ["0", "65536", "broker", "a:b", "http://", "host:0", "[::1", "²"])
def test_what_is_no_port_is_refused_when_settings_are_read(text):
    with pytest.raises(ValueError):
        own_endpoints(text)
    with pytest.raises(ValueError):
        WebhookSettings(forbidden_ports=text)


def test_empty_entries_do_not_matter():
    assert own_endpoints("", " , ,7700,", "").ports == {7700}
