# SPDX-License-Identifier: Apache-2.0
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cluster import Up  # noqa: E402
from scripted_node import ScriptedNode  # noqa: E402
from sealclient import Client  # noqa: E402


@pytest.fixture(scope="session")
def up():
    """One system shared by the tests that do it no harm."""
    with Up() as u:
        yield u


@pytest.fixture(scope="module")
def system():
    """One for the tests of a file, and a node in it that answers as each of them says."""
    with Up() as u:
        with ScriptedNode(u) as node:
            yield u, node


@pytest.fixture
def client(up):
    return Client(up.url, up.token, up.model)
