"""docs/howto/disaster.md: what it tells people to remove from the template, and to import, is complete."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from tests.unit.support import ROOT, template

PAGE = (ROOT / "docs" / "howto" / "disaster.md").read_text("utf-8")


def references(value: Any) -> Iterator[tuple[str, str]]:
    """What an element of a template refers to: (kind, name)."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key in ("Ref", "Condition") and isinstance(each, str):
                yield key, each
            elif key == "Fn::GetAtt":
                yield key, ".".join(map(str, each))
            elif key == "Fn::If":
                yield "Condition", each[0]
            elif key == "Fn::Sub":
                text = each if isinstance(each, str) else each[0]
                yield from (("Ref", name) for name in re.findall(r"\$\{(\w+)[.}]", text))
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_without_the_pipe_and_its_role_nothing_needs_the_stream() -> None:
    assert "remove the resources `AnnouncePipeRole` and `AnnouncePipe`, and the line `StreamSpecification`" in PAGE
    changed = copy.deepcopy(template())
    for name in ("AnnouncePipeRole", "AnnouncePipe"):
        del changed["Resources"][name]
    named = {name for _, name in references(changed)}
    assert not {name for name in named if name.startswith("AnnouncePipe") or name == "ExportsTable.StreamArn"}
    assert "ExportsTable.StreamArn" in {name for _, name in references(template())}


def test_the_template_of_the_import_has_all_that_its_resources_refer_to() -> None:
    (code,) = re.findall(r"python -c '\n(.*?)' > import\.json", PAGE, re.DOTALL)
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    imported = json.loads(ran.stdout)
    assert len(ran.stdout) < 51_200  # the limit of a template body ("Understand CloudFormation quotas")
    for kind, name in references(imported["Resources"]):
        where = {"Ref": "Parameters", "Condition": "Conditions", "Fn::GetAtt": "Resources"}[kind]
        assert name in imported[where] or name.startswith("AWS"), name
    kept = {name for name, each in template()["Resources"].items() if "DeletionPolicy" in each}
    assert imported["Resources"].keys() == kept
    listed = dict(re.findall(r'"ResourceType": "([\w:]+)", "LogicalResourceId": "(\w+)"', PAGE))
    assert listed == {each["Type"]: name for name, each in imported["Resources"].items()}
