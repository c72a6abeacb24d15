"""Policies as sets of permissions, so that what a change allows can be told from how it is written.

A :class:`Grant` is one action on one resource. A grant covers another one if it allows at least as much. A statement
that was split, reordered, renamed or moved to another role of the same function allows the same.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import product
from typing import Any, NamedTuple

from architecture.values import canonical, cases, pattern
from checks.repository import Path

_NEGATIVE = re.compile(r"Not(Equals|Like|IpAddress)|^Null$")
"""Operators of conditions for which more values mean a narrower permission, or for which that cannot be told."""


class Limit(NamedTuple):
    """A condition of a statement, or a condition of the template under which the statement exists at all."""

    operator: str
    """Such as ``StringEquals``; ``if`` for a condition of the template."""
    key: str
    values: frozenset[str]

    def is_within(self, other: "Limit") -> bool:
        """Whether whatever this condition lets pass, the other one does too."""
        if (self.operator, self.key.lower()) != (other.operator, other.key.lower()):
            return False
        if _NEGATIVE.search(self.operator):
            return self.values == other.values
        return self.values <= other.values

    def __str__(self) -> str:
        if self.operator == "if":
            return self.key
        return f"{self.key} {self.operator} {' or '.join(sorted(self.values))}"


class Grant(NamedTuple):
    """One action that a statement allows or denies to somebody on a resource."""

    effect: str
    who: str
    """The logical id of the resource that acts, or the principal of a resource's own policy."""
    action: str
    resource: str
    limits: frozenset[Limit]

    def covers(self, other: "Grant") -> bool:
        """Whether it allows (or denies) at least what the other one does."""
        return (
            self.effect == other.effect
            and contains(self.who, other.who)
            and contains(self.action.lower(), other.action.lower())
            and contains(self.resource, other.resource)
            and all(any(theirs.is_within(ours) for theirs in other.limits) for ours in self.limits)
        )

    @property
    def guards(self) -> frozenset[Limit]:
        """Its limits that are conditions of the template."""
        return frozenset(each for each in self.limits if each.operator == "if")


class Statement(NamedTuple):
    """A statement of a policy."""

    holder: str
    """The logical id of the resource that has the policy."""
    path: Path
    data: dict[str, Any]
    guards: frozenset[str]
    """The conditions of the template that must hold."""

    @property
    def sid(self) -> str:
        """Its Sid, which says why it exists; empty if it has none."""
        return str(self.data.get("Sid", ""))

    @property
    def actions(self) -> list[str]:
        """Its actions; those of NotAction as ``not s3:GetObject``."""
        return self._each("Action") + [f"not {each}" for each in self._each("NotAction")]

    @property
    def principals(self) -> list[str]:
        """Whom a resource's own policy names, such as ``*`` or ``events.amazonaws.com``."""
        found: list[str] = []
        for key, prefix in (("Principal", ""), ("NotPrincipal", "not ")):
            value = self.data.get(key, [])
            named = value.values() if isinstance(value, dict) and not value.keys() & {"Ref", "Fn::If"} else [value]
            found += [prefix + pattern(each) for one in named for _, each in cases(one)]
        return found

    @property
    def resources(self) -> list[tuple[frozenset[str], str]]:
        """Its resources, each with the conditions of the template under which it is one."""
        found = [(guards, pattern(each)) for guards, each in cases(self.data.get("Resource", []))]
        return found + [(guards, f"not {pattern(each)}") for guards, each in cases(self.data.get("NotResource", []))]

    @property
    def limits(self) -> frozenset[Limit]:
        """Its conditions, without those of the template."""
        found = []
        for operator, keys in self.data.get("Condition", {}).items():
            if not isinstance(keys, dict):
                found.append(Limit(operator, canonical(keys), frozenset()))
                continue
            for key, value in keys.items():
                found.append(Limit(operator, key, frozenset(pattern(each) for _, each in cases(value))))
        return frozenset(found)

    def grants(self, who: Iterable[str], default: str) -> Iterator[Grant]:
        """What it allows or denies.

        Args:
            who: the resources that act with it; unused if it names principals.
            default: the resource of a statement that names none, such as those of who may assume a role.
        """
        effect = str(self.data.get("Effect", "Deny"))
        everyone = self.principals or [*who]
        for name, action, (guards, resource) in product(
            everyone, self.actions, self.resources or [(frozenset(), default)]
        ):
            required = frozenset(Limit("if", each, frozenset()) for each in self.guards | guards)
            yield Grant(effect, name, action, resource, self.limits | required)

    def _each(self, key: str) -> list[str]:
        return [pattern(each) for _, each in cases(self.data.get(key, []))]


def statements(holder: str, value: Any, path: Path = ()) -> Iterator[Statement]:
    """Every statement in the properties of a resource, wherever its policies stand."""
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from statements(holder, each, (*path, index))
    elif isinstance(value, dict):
        for key, each in value.items():
            if key == "Statement":
                for index, one in enumerate(each if isinstance(each, list) else [each]):
                    where = (*path, key, index) if isinstance(each, list) else (*path, key)
                    yield from _of(holder, one, where, frozenset())
            else:
                yield from statements(holder, each, path if key == "Fn::If" else (*path, key))


def _of(holder: str, value: Any, path: Path, guards: frozenset[str]) -> Iterator[Statement]:
    match value:
        case {"Fn::If": [str(condition), first, second]}:
            yield from _of(holder, first, (*path, 1), guards | {condition})
            yield from _of(holder, second, (*path, 2), guards | {f"not {condition}"})
        case {"Effect": _}:
            yield Statement(holder, path, value, guards)


def uncovered(grants: Iterable[Grant], by: Iterable[Grant]) -> list[Grant]:
    """The grants that none of the others covers."""
    others = list(by)
    known = {*others}
    return [each for each in grants if each not in known and not any(other.covers(each) for other in others)]


@cache
def contains(wide: str, narrow: str) -> bool:
    """Whether a pattern with ``*`` and ``?`` matches everything that another pattern matches."""
    if wide == narrow or wide == "*":
        return True
    if wide.startswith("not ") or narrow.startswith("not "):
        return False  # what is excluded differs: whether it is less cannot be told, so it counts as more
    parts = (".*" if each == "*" else "[^*]" if each == "?" else re.escape(each) for each in re.split(r"([*?])", wide))
    return re.fullmatch("".join(parts), narrow, re.DOTALL) is not None
