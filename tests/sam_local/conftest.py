"""Tests in real containers: `make test-sam-local` runs them, `make test` does not."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local import launcher
from tests.integration.deployed import Deployed
from tests.sam_local.containers import Containers, Sam
from tests.sam_local.host import Way, forwarded

if TYPE_CHECKING:
    from collections.abc import Iterator

WANTED = "SAM_LOCAL"
"""What `python -m tests.sam_local.host` printed."""

# In make test there is nothing to say of each of them.
collect_ignore_glob = [] if WANTED in os.environ else ["test_*.py"]


@pytest.fixture(scope="session")
def deployed() -> Deployed:
    """The stack on the emulator."""
    description = launcher.describe()
    assert description, "make test-sam-local starts the emulator"
    return Deployed(description)


@pytest.fixture(scope="session")
def sam(deployed: Deployed) -> Iterator[Sam]:
    """`sam local`, whose functions find the emulator."""
    way = Way(*os.environ[WANTED].split())
    with forwarded(way.listen, deployed["port"]) as port:
        made = Sam(deployed, f"http://{way.host}:{port}", Path(tempfile.mkdtemp()))
        yield made
        made.close()


@pytest.fixture
def containers(deployed: Deployed, sam: Sam) -> Iterator[Containers]:
    """The stack on the emulator, its functions in containers."""
    place = Containers(deployed, sam)
    yield place
    place.clean()
