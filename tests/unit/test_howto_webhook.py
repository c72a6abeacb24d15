"""docs/howto/notify-webhook.md: its template can be deployed, and what it sends is what it says."""

from __future__ import annotations

import json
import re
from functools import reduce
from typing import Any

from cfnlint.api import ManualArgs, lint  # type: ignore[import-untyped]
from samcli.yamlhelper import yaml_parse

from shared.lambda_ import contract
from tests.unit.support import FUNCTIONS, ROOT, template

TEXT = (ROOT / "docs" / "howto" / "notify-webhook.md").read_text("utf-8")
SCHEMA = json.loads((FUNCTIONS / "shared" / "records" / "export_ended.schema.json").read_text("utf-8"))
[EVENT] = [json.loads(each) for each in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]
WEBHOOK, SLACK = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


def sent(transformer: dict[str, Any]) -> Any:
    """What EventBridge posts of the event: a variable is its JSON, or its bare text within a string."""
    paths = {name: path.removeprefix("$.").split(".") for name, path in transformer["InputPathsMap"].items()}
    values = {name: reduce(lambda found, key: found[key], path, EVENT) for name, path in paths.items()}
    # Every second piece between quotes lies within a string.
    pieces = transformer["InputTemplate"].split('"')
    for at, piece in enumerate(pieces):
        for name, value in values.items():
            piece = piece.replace(f"<{name}>", str(value) if at % 2 else json.dumps(value))
        pieces[at] = piece
    return json.loads('"'.join(pieces))


def test_the_event_on_the_page_keeps_the_published_schema_and_the_template_is_valid() -> None:
    assert contract.faults(SCHEMA, EVENT) == []
    assert [str(match) for match in lint(WEBHOOK, config=ManualArgs(regions=["us-east-1"]))] == []


def test_the_template_on_the_page_listens_to_our_bus_and_loses_nothing() -> None:
    stack = yaml_parse(WEBHOOK)
    bus = template()["Resources"]["EventBus"]["Properties"]["Name"]["Fn::Sub"]
    assert stack["Parameters"]["EventBusName"]["Default"] == bus.replace("${AWS::StackName}", "report-exports")
    rule = stack["Resources"]["Rule"]["Properties"]
    assert rule["EventPattern"]["source"] == [EVENT["source"]]
    [target] = rule["Targets"]
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["Undelivered", "Arn"]}}


def test_what_is_posted_to_a_webhook_and_to_slack() -> None:
    [target] = yaml_parse(WEBHOOK)["Resources"]["Rule"]["Properties"]["Targets"]
    posted = {"status": "SUCCEEDED", "report": "flights", "export": EVENT["detail"]["export_id"]}
    assert sent(target["InputTransformer"]) == posted | {"idempotency_key": EVENT["detail"]["key"]}
    assert sent(yaml_parse(SLACK)["InputTransformer"]) == {"text": f"Export {posted['export']} of flights: SUCCEEDED"}
