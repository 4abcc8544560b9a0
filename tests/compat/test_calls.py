"""Every call of every SDK that the documentation lists has the state that it lists."""

from __future__ import annotations

import json

import pytest

from tests.compat.calls import DOCUMENT, HERE, SDKS, SIGNS, Sdk, document, read_states
from tests.compat.environments import Environments
from tests.compat.node_environments import NodeEnvironments
from tests.compat.sdk_runs import run_program
from tests.fixtures.installation import Server


@pytest.mark.parametrize("sdk", SDKS, ids=lambda sdk: sdk.label)
def test_the_calls_of_an_sdk_have_the_documented_states(
    sdk: Sdk,
    installation: Server,
    environments: Environments,
    node_environments: NodeEnvironments,
) -> None:
    program = HERE / "programs" / sdk.program
    if sdk.language == "Python":
        command = [str(environments.python(sdk.requirement)), str(program)]
    else:
        source = HERE / "javascript_programs" / sdk.requirement
        command = node_environments.command(source, program)
    answer = run_program(installation, command, ADMIN_SECRET_KEY=installation.admin_secret_key)
    found = json.loads(answer)
    assert found == read_states()[sdk.label]


def test_the_document_lists_the_tested_states() -> None:
    states = read_states()
    assert set(states) == {each.label for each in SDKS}
    assert {state for calls in states.values() for state in calls.values()} <= set(SIGNS)
    assert DOCUMENT.read_text() == document(states), "run `make docs`"
