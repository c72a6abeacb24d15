"""Granted = used: every permission in the template was needed in the integration tests, or AWS needs it.

`make iam` records what the roles do (tests/iam/used.json). `make check` compares that with the template.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from checks import Fault
from checks.iam.decisions import USED, Decision, Recording, deciding, needed
from checks.iam.deployment import Deployment, Grant
from checks.repository import ROOT, Document, read

EXCEPTIONS = "checks/iam/only_on_aws.yaml"
MOST = 15
"""The most entries that EXCEPTIONS may have."""
_FIELDS = ["sid", "actions", "page", "url"]


class Used(NamedTuple):
    """A grant, and what shows that it is needed."""

    grant: Grant
    decisions: list[Decision]
    """The decisions that would be denials without it."""
    page: str
    """The AWS page that requires it, if only AWS uses it."""


def faults() -> list[Fault]:
    """What is granted and not used, denied, or excepted without need."""
    document = read("template.yaml")
    return faults_of(document, Recording.read(), read(EXCEPTIONS))


def faults_of(document: Document, recording: Recording, exceptions: Document) -> list[Fault]:
    """The faults of a template, of what was recorded with it, and of the exceptions."""
    return sorted(
        {
            *_idle(document, recording, exceptions),
            *_denied(document, recording),
            *_excess(document, recording, exceptions),
        }
    )


def table(document: Document, recording: Recording, exceptions: Document) -> list[Used]:
    """Every grant of the template, in the order of the file."""
    showing: dict[Any, list[Decision]] = {}
    for grant, decision in needed(recording, document):
        showing.setdefault(grant.key, []).append(decision)
    entries = exceptions.data
    return [
        Used(grant, showing.get(grant.key, []), next((each["page"] for each in entries if _excepts(each, grant)), ""))
        for grant in all_grants(document, recording)
    ]


def all_grants(document: Document, recording: Recording) -> list[Grant]:
    """The grants of all recorded stacks, each once, and those that none of these stacks has."""
    found: dict[Any, Grant] = {}
    for parameters in recording.stacks.values():
        for grant in Deployment(document, parameters).grants():
            found.setdefault(grant.key, grant)
    return sorted(found.values(), key=lambda grant: (grant.line, grant.action, grant.place))


def _excepts(entry: dict[str, Any], grant: Grant) -> bool:
    """Whether an entry of the exceptions is about the grant. It may name the roles that it is about."""
    is_same = (entry["sid"], grant.action in entry["actions"]) == (grant.sid, True)
    return is_same and grant.role in entry.get("roles", [grant.role])


def _idle(document: Document, recording: Recording, exceptions: Document) -> Iterator[Fault]:
    for grant, decisions, page in table(document, recording, exceptions):
        if not decisions and not page:
            wrong = f"{grant.sid} allows {grant.action} on {grant.resource}, and no test fails without it"
            remedy = f"Remove it; or test what needs it; or name the AWS page that requires it in {EXCEPTIONS}"
            yield Fault(document.file, grant.line, grant.role, wrong, remedy)
    deployed = {(grant.role, grant.sid) for grant in all_grants(document, recording)}
    for role, sid, line in _statements(document):
        if (role, sid) not in deployed:
            remedy = "Deploy it in tests/iam with the parameters of its condition, and run make iam"
            yield Fault(document.file, line, role, f"{sid} was in no recorded stack", remedy)


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


def _denied(document: Document, recording: Recording) -> Iterator[Fault]:
    file = str(USED.relative_to(ROOT))
    grants = {stack: list(Deployment(document, given).grants()) for stack, given in recording.stacks.items()}
    for line, decision in recording.lines():
        allows = bool(deciding(decision, grants[decision.stack]))
        what = f"{decision.action} on {decision.resource} (in {', '.join(decision.tests)})"
        if not decision.allowed:
            yield Fault(
                file, line, decision.role, f"was denied {what}", "Grant it, or do without it; then run make iam"
            )
        elif not allows:
            yield Fault(
                file, line, decision.role, f"needs {what}, and no statement allows it", "Grant it, or run make iam"
            )


def _excess(document: Document, recording: Recording, exceptions: Document) -> Iterator[Fault]:
    entries = exceptions.data
    if len(entries) > MOST:
        remedy = "Let the emulator do what AWS does (local/patches/), or remove permissions"
        yield Fault(EXCEPTIONS, 1, "the file", f"has {len(entries)} entries; {MOST} are allowed", remedy)
    uses = table(document, recording, exceptions)
    for index, entry in enumerate(entries):
        line, place = exceptions.line(index), str(entry.get("sid"))
        if missing := [name for name in _FIELDS if not entry.get(name)]:
            yield Fault(EXCEPTIONS, line, place, f"has no {' and no '.join(missing)}", "Add it")
            continue
        for action in entry["actions"]:
            mine = [use for use in uses if use.grant.action == action and _excepts(entry, use.grant)]
            if not mine:
                yield Fault(EXCEPTIONS, line, place, f"no statement allows {action}", "Remove it")
            for use in mine:
                if use.decisions:
                    wrong = f"{use.grant.role} used {action} in {use.decisions[0].tests[0]}"
                    yield Fault(EXCEPTIONS, line, place, wrong, "Remove it: a test shows the need")
