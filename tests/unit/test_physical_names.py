"""An update keeps what is deployed: a resource whose name changed would be replaced, its logs or messages lost."""

import json
from pathlib import Path
from typing import Any

from tests.unit.support import template

NAMES = json.loads((Path(__file__).parent / "physical_names.json").read_text("utf-8"))
"""By logical id, what version 0.1 calls each resource; in ``Fn::Sub``'s own words."""
_PROPERTIES = (
    *("Name", "AlarmName", "LogGroupName", "QueueName", "TableName", "TopicName", "FunctionName", "UserPoolName"),
    *("ClientName", "StageName", "LayerName"),
)


def _name(resource: dict[str, Any]) -> str | None:
    given = (resource.get("Properties", {}).get(name) for name in _PROPERTIES)
    found = next((name for name in given if name is not None), None)
    return found["Fn::Sub"] if isinstance(found, dict) else found


def test_every_resource_keeps_its_logical_id_and_its_name() -> None:
    resources = template()["Resources"]
    assert {name: _name(resources.get(name, {})) for name in NAMES} == NAMES
