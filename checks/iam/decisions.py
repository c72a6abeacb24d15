"""What the roles did while the integration tests ran on the AWS emulator: tests/iam/used.json, and how it is made."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from checks.iam.deployment import STACK, Deployment, Grant
from checks.repository import ROOT, Document
from checks.template.permissions import ACCOUNT

USED = ROOT / "tests" / "iam" / "used.json"
_ACCOUNT = "000000000000"
_SHOWN = 2
_PLACEHOLDERS = {
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}": "ID",
    r"\b\d{8}-[0-9a-f]{8}\b": "DATE-HASH",  # of a file's name
    r"\b[0-9a-f]{16,64}\b": "HASH",
    r"\b\d{6}\b": "N",
}


class Decision(NamedTuple):
    """An example of the decisions of IAM that the same grants of a role decide."""

    stack: str
    role: str
    action: str
    resource: str
    """An ARN with the names of :class:`Deployment`; ids, hashes and numbers have placeholders."""
    context: dict[str, str]
    """The condition keys that the role's policies compare."""
    allowed: bool
    tests: list[str]
    """The first two tests in which IAM decided so."""
    more: bool
    """Whether there were others. How many differs from run to run."""

    def by(self, grants: Iterable[Grant]) -> list[Grant]:
        """The grants that allow the request; none if IAM would deny it."""
        mine = (each for each in grants if each.role == self.role)
        return [each for each in mine if each.covers(self.action, self.resource, self.context)]


class Recording(NamedTuple):
    """The decisions, and the parameters of the stacks whose roles acted, without those that have their defaults."""

    stacks: dict[str, dict[str, str]]
    decisions: list[Decision]

    @classmethod
    def read(cls) -> "Recording":
        """The committed recording."""
        found = json.loads(USED.read_text("utf-8"))
        return cls(found["stacks"], [Decision(**each) for each in found["decisions"]])

    def write(self) -> None:
        """Writes the recording, a line for each stack and each decision."""
        stacks = ",\n".join(f"{json.dumps(name)}: {json.dumps(each)}" for name, each in sorted(self.stacks.items()))
        decisions = ",\n".join(json.dumps(each._asdict(), ensure_ascii=False) for each in self.decisions)
        USED.write_text(f'{{"stacks": {{\n{stacks}\n}},\n"decisions": [\n{decisions}\n]}}\n', "utf-8")

    def lines(self) -> Iterator[tuple[int, Decision]]:
        """Each decision with its line in the file."""
        return enumerate(self.decisions, len(self.stacks) + 4)


def made(file: Path, document: Document) -> tuple[Recording, list[str]]:
    """The recording of a run, from the file that local/decisions.py describes, and the tests that failed.

    A function that a test has created (``<stack>-test-…``) borrows a role: what it does is not counted. Nor is what
    happens in a test that takes permissions away (the marker ``denies``).
    """
    deployments = _Deployments(document)
    failed: list[str] = []
    found: dict[Any, tuple[set[str], dict[str, None]]] = {}
    test, counts = "the deployment", True
    for line in map(json.loads, file.read_text("utf-8").splitlines()):
        match line:
            case {"test": test, "denies": denies}:
                counts = not denies
            case {"failed": name}:
                failed.append(name)
            case {"stack": stack, "parameters": parameters, "names": names}:
                deployments.add(stack, parameters, names)
            case {"stack": stack, "session": session} if counts and not session.startswith(f"{stack}-test-"):
                kind, resource = deployments.classify(**line)
                resources, tests = found.setdefault(kind, (set(), {}))
                resources.add(resource)
                tests[test] = None
    decisions = []
    for (stack, role, action, context, allowed, _), (resources, tests) in found.items():
        shown, more = [*tests][:_SHOWN], len(tests) > _SHOWN
        decisions.append(Decision(stack, role, action, min(resources), dict(context), allowed, shown, more))
    decisions.sort(key=lambda each: (each[:4], str(each.context), each.allowed))
    return Recording(deployments.parameters, decisions), failed


class _Deployments:
    """The stacks of a run, and what their roles may do."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._defaults = {name: str(each["Default"]) for name, each in document.data["Parameters"].items()}
        self._names: dict[str, dict[str, str]] = {}
        self._grants: dict[str, list[Grant]] = {}
        self.parameters: dict[str, dict[str, str]] = {}

    def add(self, stack: str, parameters: dict[str, str], names: dict[str, str]) -> None:
        """A stack with its parameters, and the logical ids of its resources by their physical ids."""
        changed = {name: value for name, value in parameters.items() if self._defaults.get(name) != value}
        changed.pop("PythonRuntime", None)  # the machine's
        self.parameters[stack] = {name: _placeheld(value) for name, value in sorted(changed.items())}
        self._grants[stack] = list(Deployment(self._document, self.parameters[stack]).grants())
        ends = {re.split("[/:]", name)[-1]: logical for name, logical in names.items()}
        generated = [end for end, logical in ends.items() if end.lower().startswith(f"{stack}-{logical}-".lower())]
        ours = {end: f"{STACK}-{ends[end]}" for end in sorted(generated, key=len, reverse=True)}
        self._names[stack] = ours | {f"{stack}-": f"{STACK}-"}

    def classify(
        self, stack: str, role: str, action: str, resource: str, context: dict[str, str], allowed: bool, **_: Any
    ) -> tuple[Any, str]:
        """What a decision has in common with others that the same grants decide, and the resource with our names."""
        for name, ours in self._names[stack].items():
            resource = resource.replace(name, ours)
        resource = _placeheld(re.sub(r"(table/([^/]+)/stream/).*", r"\1\2", resource))
        mine = [each for each in self._grants[stack] if each.role == role]
        covering = tuple(each.key for each in mine if each.covers(action, resource, context))
        # Every denied request is news of its own.
        which = covering if allowed and covering else resource
        return (stack, role, action, tuple(sorted(context.items())), allowed, which), resource


def _placeheld(text: str) -> str:
    text = text.replace(_ACCOUNT, ACCOUNT)
    for pattern, placeholder in _PLACEHOLDERS.items():
        text = re.sub(pattern, placeholder, text)
    return text
