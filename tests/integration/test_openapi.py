"""What openapi.json describes is what the deployed API does: schemathesis attacks every operation that it names.

Schemathesis makes requests of the description, valid ones and such as break it, and holds each answer against it: no
5xx, no status, header or body that is not described, nothing accepted that is not valid, nothing done without a token.
"""

from __future__ import annotations

import copy
import itertools
import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi import checks

from shared.api import identity, request
from shared.catalogue import reports
from shared.records.table import ACTIVE
from tests.integration.api import Caller, http
from tests.support.description import breaches, description
from tests.unit.support import REPORTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.deployed import Deployed

EXAMPLES = 10
"""Random requests of each operation, besides those that schemathesis makes of each rule of the description."""
STATUSES = ("QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED")
EXAMPLE_ID = description()["paths"]["/exports/{id}"]["get"]["parameters"][0]["example"]
EXAMPLE_KEY = description()["paths"]["/exports"]["post"]["parameters"][0]["example"]
UNSAYABLE = {"/cursor", "/parameters/to", "/options/timezone", *(f"/sort/{index}/column" for index in range(16))}
"""Where a valid request may have a fault all the same: a foreign cursor, a span, a zone, a column that sorts twice."""

# With the reports of this deployment, which a valid request must name.
ATTACKED = copy.deepcopy(description())
ATTACKED["components"]["schemas"]["ExportRequest"] = request.whole(reports.load(REPORTS))
api = schemathesis.openapi.from_dict(ATTACKED)
# API Gateway has no 405: of a method that a path does not have it says 404, as of a path that is not there (test_cors).
api.config.phases.coverage.unexpected_methods = set()


@pytest.fixture(scope="module")
def attacker(deployed: Deployed) -> Caller:
    """Somebody who may have two more active exports, so that not every request that is valid is worked on."""
    caller = deployed.sign_up("HA")
    for _ in range(3):
        deployed.fabricate(caller.owner, "QUEUED")
    return caller


@pytest.fixture(scope="module")
def make_export(attacker: Caller, deployed: Deployed) -> Callable[[], str]:
    """Makes one more export of the attacker's, of the next status; it does not count as active."""
    statuses = itertools.cycle(STATUSES)
    failure = {"state": "PlanParts", "type": "SourceMissing", "error": "{}", "part": ""}
    more = {"FAILED": {"failure": failure}} | {status: {"active_owner": "nobody"} for status in ACTIVE}

    def make_export() -> str:
        status = next(statuses)
        return deployed.fabricate(attacker.owner, status, **more.get(status, {}))

    return make_export


def test_it_is_served_to_everybody_with_the_address_and_without_the_reports(deployed: Deployed) -> None:
    answer = http("GET", deployed["api_url"] + "/openapi.json")
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"]
    assert answer.json == description() | {"servers": [{"url": deployed["api_url"]}]}


def exactly_as_described(_context: Any, response: Any, case: Any) -> None:
    """The answer holds nothing that openapi.json does not name."""
    headers = {name: values[0] for name, values in response.headers.items()}
    path = case.operation.path.replace("{id}", "id")
    assert breaches(case.method, path, response.status_code, headers, response.content) == []


def accepted_when_valid(_context: Any, response: Any, case: Any) -> None:
    """A request that keeps the description is refused only for what a schema cannot say."""
    if case.meta.generation.mode.is_positive and response.status_code == 400:
        faults = json.loads(response.content)["errors"]
        assert {fault["pointer"] for fault in faults} <= UNSAYABLE


def ask_for_no_mail(given: Any) -> None:
    """Nobody owns the attacker's address. A valid body stays valid and a broken one broken."""
    options = given.get("options") if isinstance(given, dict) else None
    if isinstance(options, dict) and options.get("notify") is True:
        options["notify"] = False


def attack_on(name: str) -> Any:
    """The attack on one operation, a test of its own name: pytest-xdist takes tests of the same name for one."""

    @api.include(operation_id=name).parametrize()
    @settings(
        max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=[*HealthCheck]
    )
    def attack(case: Any, attacker: Caller, make_export: Callable[[], str], deployed: Deployed) -> None:
        if not deployed.emulated:
            ask_for_no_mail(case.body)
        if case.path_parameters.get("id") == EXAMPLE_ID:
            case.path_parameters["id"] = make_export()
        if case.headers.get("Idempotency-Key") == EXAMPLE_KEY:
            case.headers["Idempotency-Key"] = str(uuid.uuid4())
        case.call_and_validate(
            base_url=attacker.api_url,
            headers={"Authorization": attacker.token},
            allow_redirects=False,
            timeout=60,
            additional_checks=[exactly_as_described, accepted_when_valid],
            excluded_checks=[checks.positive_data_acceptance],  # accepted_when_valid knows what a schema cannot say
        )

    return attack


# The routes of backends are described by those of users, and the same code answers them (test_on_behalf).
for name, path in description()["paths"].items():
    for operation in path.values() if not name.startswith(identity.ON_BEHALF) else ():
        globals()[f"test_{operation['operationId']}_does_what_it_says"] = attack_on(operation["operationId"])
