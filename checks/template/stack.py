"""The template as written and as deployed; SAM's own translator makes the second from the first, offline."""

import copy
import json
import logging
from collections.abc import Iterator
from typing import Any

import boto3
from samtranslator.parser.parser import Parser  # type: ignore[import-untyped]
from samtranslator.translator.translator import Translator  # type: ignore[import-untyped]

from checks import Fault
from checks.repository import Document

# The translator warns of a feature toggle that exists only in AWS's own deployment.
logging.getLogger("samtranslator").setLevel(logging.ERROR)


class Stack:
    """The template in the forms that the rules use.

    Raises:
        InvalidDocumentException: SAM rejects the template.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.written = _whole(document.data["Resources"])
        self.transformed = self._transform()
        self.deployed = _whole(self.transformed["Resources"])
        """The resources that CloudFormation gets, with globals merged in, and functions and APIs expanded."""

    def of(self, *types: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Logical id and properties of the deployed resources of these types."""
        for name, resource in self.deployed.items():
            if resource["Type"] in types:
                yield name, resource["Properties"]

    def has(self, name: str | None, kind: str) -> bool:
        """Whether the template as written has a resource with this logical id and type."""
        return name in self.written and self.written[name]["Type"] == kind

    def origin(self, name: str) -> str:
        """The written resource from which SAM made the deployed one, whose logical id starts with it."""
        parents = [each for each in self.written if name.startswith(each)]
        return name if name in self.written else max(parents, key=len, default="Resources")

    def fault(self, name: str, wrong: str, remedy: str, *path: str | int) -> Fault:
        """A fault of a resource, at a path below it."""
        place = self.origin(name)
        return Fault(self.document.file, self.document.line("Resources", place, *path), place, wrong, remedy)

    def comment(self, name: str, *path: str | int) -> str:
        """The comment on the line of the path below a resource; empty if there is none."""
        return self.document.comments.get(self.document.line("Resources", name, *path), "")

    def _transform(self) -> dict[str, Any]:
        template = copy.deepcopy(self.document.data)
        # Replace what sam package would upload.
        for each in (*template["Resources"].values(), *template.get("Globals", {}).values()):
            properties = each.get("Properties", each)
            for name in {"CodeUri", "ContentUri", "DefinitionUri"} & properties.keys():
                properties[name] = {"Bucket": "bucket", "Key": "key"}
        translator = Translator({}, Parser(), boto_session=boto3.Session(region_name="us-east-1"))
        return json.loads(json.dumps(translator.translate(template, {})))  # type: ignore[no-any-return]


def _whole(resources: dict[str, Any]) -> dict[str, Any]:
    return {name: {"Type": "", "Properties": {}} | resource for name, resource in resources.items()}
