"""An export in each state lives through the upgrade from the release before, and a rollback to it."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from exports_admin import sample_data
from local import launcher
from tests.deploy.conftest import RUNTIME, Project, deployed_as, packaged, resources
from tests.emulator.conftest import archive
from tests.integration.api import Caller
from tests.integration.deployed import until
from tests.unit.support import event

if TYPE_CHECKING:
    from pathlib import Path

    from tests.emulator.conftest import Cloud
    from tests.integration.deployed import Deployed

pytestmark = pytest.mark.xdist_group("deploy")

BEFORE = "b759455b8f5fcf7a55b298a9f7e3b9a157a9b328"
"""The commit of release 0.1.0 (CHANGELOG.md)."""
NAME = "upgraded"
MONTH = "flights/year=2013/month=1/flights.parquet"


@pytest.fixture(scope="module")
def release_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release before, built."""
    needed = ["template.yaml", "samconfig.toml", "functions", "layers", "reports", "statemachines"]
    git = ["git", "-C", str(launcher.ROOT), "archive", BEFORE, *needed]
    archived = subprocess.run(git, capture_output=True)
    if archived.returncode:
        pytest.skip("the history of this clone lacks release 0.1.0")
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=io.BytesIO(archived.stdout)) as packed:
        packed.extractall(folder, filter="data")
    launcher.sam("build", "--parameter-overrides", RUNTIME, folder=folder)
    return folder


def deploy_before(folder: Path, cloud: Cloud) -> Deployed:
    """The stack as the release before deploys it."""
    options = ["--stack-name", NAME, "--no-confirm-changeset", "--parameter-overrides", RUNTIME]
    launcher.sam("deploy", *options, port=cloud.port, folder=folder)
    return deployed_as(NAME, cloud)


def function(stack: Deployed, name: str) -> str:
    return f"{stack.name}-{name}"


def fail(stack: Deployed, caller: Caller) -> dict[str, Any]:
    """An export that fails, because its data is gone for the moment."""
    s3, data = stack.client("s3"), f"data/{MONTH}"
    s3.delete_object(Bucket=stack["bucket"], Key=data)
    failed = caller.follow(caller.request(first="2013-01-01", last="2013-01-02")).end
    s3.upload_file(str(sample_data.FOLDER / MONTH), stack["bucket"], data)
    assert (failed["status"], failed["error"]["type"]) == ("FAILED", "SourceMissing")
    return failed


def hold(stack: Deployed, caller: Caller) -> dict[str, Any]:
    """An export that stays RUNNING until a deployment: its PlanParts hangs, then fails and is retried."""
    code = archive({"plan_parts/__init__.py": "", "plan_parts/app.py": BUSY})
    stack.client("lambda").update_function_code(FunctionName=function(stack, "plan-parts"), ZipFile=code)
    held = caller.request(first="2013-01-01", last="2013-01-05")
    until(lambda: caller.get(held["links"]["self"]).json["status"] == "RUNNING", "the export to run")
    return held


BUSY = """
import time


class ServiceUnavailable(Exception):
    pass


def handler(event, context):
    time.sleep(20)
    raise ServiceUnavailable("not now")
"""


def lost_its_start(stack: Deployed, caller: Caller) -> str:
    """A QUEUED export whose execution was never started."""
    return stack.fabricate(
        caller.owner, "QUEUED", queued_at="2026-01-01T00:00:00.000Z", parameters=json.dumps(DAY), options=OPTIONS
    )


DAY = {"from": "2013-01-01", "to": "2013-01-01"}
OPTIONS = json.dumps(
    {"spreadsheet_safe": True, "bom": False, "delimiter": ",", "header_style": "title", "timezone": "UTC"}
    | {"decimal_comma": False, "line_ending": "lf", "encoding": "utf-8"}
)


def of_every_state(stack: Deployed, caller: Caller) -> dict[str, dict[str, Any]]:
    """An export in each state. RUNNING comes last: no export can be planned after it."""
    exports = {"SUCCEEDED": caller.make(first="2013-01-01", last="2013-01-03"), "FAILED": fail(stack, caller)}
    exports["QUEUED"] = {"id": lost_its_start(stack, caller)}
    exports["RUNNING"] = hold(stack, caller)
    exports["CANCELLED"] = caller.request(first="2013-01-01", last="2013-01-04")
    assert caller.delete(exports["CANCELLED"]).status == 202
    return exports


def lives_on(stack: Deployed, caller: Caller, exports: dict[str, dict[str, Any]], file: bytes) -> None:
    """Each export does what it would have done without a deployment in between."""
    listed = {each["id"]: each for each in caller.exports()}
    assert {each["id"] for each in exports.values()} <= listed.keys()
    here = {status: listed[export["id"]] for status, export in exports.items()}
    assert {status: export["status"] for status, export in here.items()} == {status: status for status in exports}
    assert caller.download(here["SUCCEEDED"]).content == file
    assert caller.follow(here["RUNNING"]).end["status"] == "SUCCEEDED"
    scheduled = json.dumps(event("reconcile_exports/scheduled")).encode()
    stack.client("lambda").invoke(FunctionName=function(stack, "reconcile-exports"), Payload=scheduled)
    assert caller.follow(here["QUEUED"]).end["status"] == "SUCCEEDED"
    for status in ("FAILED", "CANCELLED"):
        assert caller.retry(here[status]).status == 202
        assert caller.follow(here[status]).end["status"] == "SUCCEEDED"
    for export in here.values():
        assert caller.delete(export).status == 204


def test_exports_live_through_an_upgrade_and_a_rollback(
    release_before: Path, first: Deployed, cloud: Cloud, tmp_path: Path
) -> None:
    old = deploy_before(release_before, cloud)
    old.client("s3").upload_file(str(sample_data.FOLDER / MONTH), old["bucket"], f"data/{MONTH}")
    caller = old.sign_up("UA")
    exports = of_every_state(old, caller)
    file, before = caller.download(exports["SUCCEEDED"]).content, resources(old)

    new = Project(tmp_path, cloud, packaged(first)).deploy(NAME)
    kept = ("ExportsTable", "ExportsBucket", "UserPool", "UserPoolClient", "ReportExport", "DeadLetters")
    assert {name: resources(new)[name] for name in kept} == {name: before[name] for name in kept}
    caller = reached(new, caller)
    lives_on(new, caller, exports, file)

    exports = of_every_state(new, caller)
    back = deploy_before(release_before, cloud)
    lives_on(back, reached(back, caller), exports, file)


def reached(stack: Deployed, caller: Caller) -> Caller:
    """The caller at the API's address, which changes on the emulator with each deployment that changes the API."""
    return Caller(stack["api_url"], caller.token, caller.email)
