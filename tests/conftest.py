"""What holds for every test."""

from __future__ import annotations

import os
import sys
import urllib.request
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.support import recipes, recorded, stack_beside
from tests.support.where_it_ran import WhereItRan

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

# Powertools reads them once, when a test or another conftest.py imports the product's telemetry.
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "ReportExports")
os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "report-exports")

# The same examples every time, and no limit of time, for a busy machine is no fault.
# HYPOTHESIS_PROFILE=explore looks further.
settings.register_profile("same", deadline=None, derandomize=True, max_examples=25)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(WhereItRan())
    recorded.configure(config)
    stack_beside.configure(config)
    if not _is_one_file(config) or "integration" in config.args[0]:
        config.pluginmanager.import_plugin("schemathesis.pytest.plugin")  # it takes a second


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two processes, but none beside this one for a single file: they would take longer to start than it runs."""
    return 0 if _is_one_file(config) else 2


def _is_one_file(config: pytest.Config) -> bool:
    return len(config.args) == 1 and ".py" in config.args[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    stack_beside.last(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and (page := recipes.page(item.path)):
        report.sections.append(("what helps", f"docs/{page}"))
    return report


@pytest.fixture(scope="session", autouse=True)
def boto3_alone() -> Iterator[None]:
    """No test asks AWS: sources ask boto3 alone, where a test imports them."""
    if "shared.datasets.objects" not in sys.modules:
        yield
        return
    from tests.support import quick_lane

    with quick_lane.closed():
        yield


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Address of moto's server, whose S3 refuses small parts as S3 does. It is empty: those of one process share."""
    from moto.server import ThreadedMotoServer  # it takes a second, which most tests need not wait for

    running = ThreadedMotoServer(port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    with urllib.request.urlopen(f"http://{host}:{port}/moto-api/reset", data=b""):
        yield f"http://{host}:{port}"
    running.stop()
