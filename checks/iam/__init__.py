"""Granted = used: every permission in the template was needed in the integration tests, or AWS needs it.

`make iam` records what the roles do (tests/iam/used.json). `make check` compares that with the template.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

from checks import Fault
from checks.iam.decisions import USED, Decision, Recording
from checks.iam.deployment import Deployment, Grant
from checks.repository import ROOT, Document, read

EXCEPTIONS = "checks/iam/only_on_aws.yaml"
MOST = 15
"""The most entries that EXCEPTIONS may have."""


def faults() -> list[Fault]:
    """What is granted and not used, denied, or excepted without need."""
    return Comparison(read("template.yaml"), Recording.read(), read(EXCEPTIONS)).faults()


class Used(NamedTuple):
    """A grant, and what shows that it is needed."""

    grant: Grant
    decisions: list[Decision]
    """The decisions that would be denials without it."""
    page: str
    """The AWS page that requires it, if only AWS uses it."""


class Comparison:
    """A template, what was recorded with it, and the permissions that only AWS needs."""

    def __init__(self, document: Document, recording: Recording, exceptions: Document) -> None:
        self._document, self._recording, self._exceptions = document, recording, exceptions
        self._entries = exceptions.data
        stacks = recording.stacks.items()
        self._grants = {stack: list(Deployment(document, parameters).grants()) for stack, parameters in stacks}

    def faults(self) -> list[Fault]:
        """All faults, each once."""
        return sorted({*self._idle(), *self._not_deployed(), *self._denied(), *self._excess()})

    @cached_property
    def uses(self) -> list[Used]:
        """Every grant of the recorded stacks, in the order of the file."""
        grants: dict[Any, Grant] = {}
        for grant in (each for granted in self._grants.values() for each in granted):
            grants.setdefault(grant.key, grant)
        showing: dict[Any, list[Decision]] = {key: [] for key in grants}
        for decision in self._recording.decisions:
            if len(deciding := decision.by(self._grants[decision.stack])) == 1:  # no other grant allows the same
                showing[deciding[0].key].append(decision)
        ordered = sorted(grants.values(), key=lambda grant: (grant.line, grant.action, grant.place))
        return [Used(grant, showing[grant.key], self._page(grant)) for grant in ordered]

    def _page(self, grant: Grant) -> str:
        pages = [str(entry.get("page", "?")) for entry in self._entries if _excepts(entry, grant)]
        return next(iter(pages), "")

    def _idle(self) -> Iterator[Fault]:
        for grant, decisions, page in self.uses:
            if not decisions and not page:
                wrong = f"{grant.sid} allows {grant.action} on {grant.resource}, and no test fails without it"
                remedy = f"Test it, and run make iam; or remove it; or name the AWS page that needs it in {EXCEPTIONS}"
                yield Fault(self._document.file, grant.line, grant.role, wrong, remedy)

    def _not_deployed(self) -> Iterator[Fault]:
        deployed = {(use.grant.role, use.grant.sid) for use in self.uses}
        for role, sid, line in _statements(self._document):
            if (role, sid) not in deployed:
                remedy = "Set the parameter of its condition in tests/iam/conftest.py, and run make iam"
                yield Fault(self._document.file, line, role, f"{sid} was in no recorded stack", remedy)

    def _denied(self) -> Iterator[Fault]:
        file = str(USED.relative_to(ROOT))
        for line, decision in self._recording.lines():
            what = f"{decision.action} on {decision.resource} (in {', '.join(decision.tests)})"
            if not decision.allowed:
                remedy = "Grant it, or do without it. Then run make iam"
                yield Fault(file, line, decision.role, f"was denied {what}", remedy)
            elif not decision.by(self._grants[decision.stack]):
                remedy = "Grant it, or run make iam if it is not needed any more"
                yield Fault(file, line, decision.role, f"needs {what}, and no statement allows it", remedy)

    def _excess(self) -> Iterator[Fault]:
        if len(self._entries) > MOST:
            remedy = "Let the emulator do what AWS does (local/patches/), or remove permissions"
            yield Fault(EXCEPTIONS, 1, "the file", f"has {len(self._entries)} entries; {MOST} are allowed", remedy)
        for index, entry in enumerate(self._entries):
            line, place = self._exceptions.line(index), str(entry["sid"])
            if missing := [name for name in ("page", "url", "why") if not entry.get(name)]:
                yield Fault(EXCEPTIONS, line, place, f"has no {' and no '.join(missing)}", "Add it")
            for action in entry["actions"]:
                remedy = "Remove the action from this entry"
                mine = [use for use in self.uses if use.grant.action == action and _excepts(entry, use.grant)]
                if not mine:
                    yield Fault(EXCEPTIONS, line, place, f"no statement allows {action}", remedy)
                for grant, decisions, _ in mine:
                    if decisions:
                        wrong = f"{grant.role} used {action} in {decisions[0].tests[0]}"
                        yield Fault(EXCEPTIONS, line, place, wrong, f"{remedy}: a test shows the need")


def _excepts(entry: dict[str, Any], grant: Grant) -> bool:
    """Whether an entry of the exceptions is about the grant. It may name the roles that it is about."""
    is_same = entry["sid"] == grant.sid and grant.action in entry["actions"]
    return is_same and grant.role in entry.get("roles", [grant.role])


def _statements(document: Document) -> Iterator[tuple[str, str, int]]:
    """Role, Sid and line of every statement of the template's roles, also of those under a condition."""

    def within(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str, int]]:
        if isinstance(value, dict) and "Sid" in value:
            yield value["Sid"], document.line(*path)
        elif isinstance(value, dict | list):
            for key, each in value.items() if isinstance(value, dict) else enumerate(value):
                yield from within(each, (*path, key))

    for role, resource in document.data["Resources"].items():
        if resource["Type"] == "AWS::IAM::Role":
            path = ("Resources", role, "Properties", "Policies")
            for sid, line in within(resource["Properties"]["Policies"], path):
                yield role, sid, line
