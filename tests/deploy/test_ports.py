"""Ports for servers that are about to start: no two processes are given the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.embedded.data_dir import open_installation
from deploy.embedded.ports import free_ports, reserve

RESERVE = "from deploy.embedded.ports import reserve; print(reserve({port})); input()"
FREE_PORTS = "from deploy.embedded.ports import free_ports; print(*free_ports({count})); input()"


@contextmanager
def another_process(program: str) -> Iterator[str]:
    """What the program prints first; it lives until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        text=True,
    )
    with process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


def test_a_port_that_was_given_to_a_process_is_given_to_no_other_until_it_ends() -> None:
    with another_process(FREE_PORTS.format(count=3)) as given:
        ports = [int(word) for word in given.split()]
        assert len(set(ports)) == 3
        assert not any(reserve(port) for port in ports)
    assert all(reserve(port) for port in ports)


def test_this_process_keeps_its_ports_from_others() -> None:
    (port,) = free_ports(1)
    with another_process(RESERVE.format(port=port)) as answer:
        assert answer == "False"


def test_an_installation_leaves_a_port_that_another_process_was_given(tmp_path: Path) -> None:
    with another_process(FREE_PORTS.format(count=1)) as given:
        public_port = int(given) - 9
        installation = open_installation(tmp_path, public_port=public_port)
    assert installation.ports.broker != int(given)
