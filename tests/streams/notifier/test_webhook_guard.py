"""Webhooks are sent to public addresses only, in whatever way a private one is written."""

from ipaddress import ip_address

import pytest

from producers.control.resolver import Resolver
from producers.control.webhook_guard import (
    check_webhook_url,
    checked_addresses,
    is_public,
    target_of,
)
from producers.errors import WebhookAddressError


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "198.18.0.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::7f00:1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "fe80::1",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "100::1",
    ],
)
def test_an_address_that_is_not_public_is_refused(address):
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700:4700::1111"])
def test_a_public_address_is_taken(address):
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/hook",
        "http://127.0.0.1:8080/hook",
        "https://[::1]/hook",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://127.1/",
        "http://0177.0.0.1/",
        "http://[::ffff:7f00:1]/",
        "http://169.254.169.254/latest/meta-data",
        "http://169.254.169.254./",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://0251.0376.0251.0376/",
        "http://0xa9.0xfe.0xa9.0xfe/",
        "http://169.254.43518/",
        "http://[fd00:ec2::254]/latest",
        "http://[::ffff:169.254.169.254]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://[::a9fe:a9fe]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[64:ff9b:1::a9fe:a9fe]/",
        "http://[2002:a9fe:a9fe::1]/",
        "http://[2001:0:a9fe:a9fe::1]/",
        "http://[fe80::1]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://[::]/",
        "http://LOCALHOST/",
        "http://localhost./",
        "http://127.0.0.1./",
        "http://0/",
        "http://0.0.0.0/",
        "http://00000177.0.0.1/",
        "http://192.168.1/",
        "http://10.0.0.1:80/",
        "http://168.63.129.16/",
        "http://100.100.100.200/",
    ],
)
async def test_an_inside_address_is_found_in_every_spelling(url):
    with pytest.raises(WebhookAddressError, match=r"public internet|does not resolve"):
        await check_webhook_url(url, Resolver(), allow_private=False)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hook",
        "ftp://example.com/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://",
        "http:///path",
        "https://user:secret@example.com/",
        "https://example.com@127.0.0.1/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com:x/",
        "https://example.com/ hook",
        "https://example.com/\r\nhost: inside",
        "https://example.com\\@127.0.0.1/",
        "https://example.com/#fragment",
        "http://[::1",
        "http://[fe80::1%25eth0]/",
        "https://exämple.com/",
        "http://①②⑦.⓪.⓪.①/",
        "http://127。0。0。1/",
        "http://１２７.0.0.1/",
        "http://loc\u00adalhost/",
        "http://127.0.0.1%2f@example.com/",
        "http://example.com:80:80/",
        "http://[::ffff:127.0.0.1/",
        "gopher://127.0.0.1/",
        "https://example.com/" + "a" * 2_000,
    ],
)
async def test_other_than_plain_web_addresses_are_refused_even_if_private_ones_are_allowed(url):
    with pytest.raises(WebhookAddressError):
        await check_webhook_url(url, Resolver(), allow_private=True)


async def test_a_loopback_receiver_is_taken_where_private_ones_are_allowed():
    target = target_of("http://127.0.0.1:8080/hook?a=1")
    [address] = await checked_addresses(target, Resolver(), allow_private=True)
    assert str(address) == "127.0.0.1"
    assert (target.path, target.authority) == ("/hook?a=1", "127.0.0.1:8080")


def test_the_host_header_leaves_out_a_port_that_goes_without_saying():
    assert target_of("https://example.com:443/x").authority == "example.com"
    assert target_of("http://[2001:db8::1]:8080").authority == "[2001:db8::1]:8080"
