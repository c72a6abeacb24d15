"""What holds for every test."""

import os
import urllib.request
from collections.abc import Iterator

import pytest
from hypothesis import settings
from moto.server import ThreadedMotoServer

from tests.support import quick_lane
from tests.support.edges import definition
from tests.support.edges_walked import EdgesWalked

# The same examples every time, and no limit of time, for a busy machine is no fault.
# HYPOTHESIS_PROFILE=explore looks further.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def pytest_configure(config: pytest.Config) -> None:
    # Powertools reads them when the first test that is collected imports the product's telemetry, and then never again.
    os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "ReportExports")
    os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "report-exports")
    config.pluginmanager.register(EdgesWalked(definition()))


@pytest.fixture(scope="session", autouse=True)
def boto3_alone() -> Iterator[None]:
    """No test asks AWS."""
    with quick_lane.closed():
        yield


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Address of moto's server, whose S3 refuses small parts as S3 does. It is empty: those of one process share."""
    running = ThreadedMotoServer(port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    with urllib.request.urlopen(f"http://{host}:{port}/moto-api/reset", data=b""):
        yield f"http://{host}:{port}"
    running.stop()
