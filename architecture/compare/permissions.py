"""Permissions that are wider or narrower than before, however the policies are written."""

from collections.abc import Iterable, Iterator
from typing import Any

from architecture.model import FUNCTIONS, Architecture
from architecture.policies import Grant, Limit, Statement, uncovered
from architecture.rules import ENCRYPTION, FUNCTION, NARROWED, PERMISSION, PUBLIC, TRUST, WILDCARD, Change, Rule

_TRUST = "(assume its role)"


def changes(old: Architecture, new: Architecture) -> Iterator[Change]:
    """A change for each statement that allows more than before, and for each that allows less."""
    allowed_before, denied_before = _split(old)
    allowed, denied = _split(new)
    still = {*allowed}
    gone = [each for each in allowed_before if each not in still]
    more = uncovered(allowed, allowed_before)
    usual = [each for each in more if _is_usual(old, new, each)]
    for who in dict.fromkeys(each.who for each in usual if each.who in new.resources):
        statements = (new.grants[each] for each in usual if each.who == who)
        reasons = ", ".join(dict.fromkeys(each.sid for each in statements if each))
        yield Change(FUNCTION, who, f"may what every function may: {reasons}", new.place(who))
    for grants in _grouped(new, (each for each in more if each not in usual)):
        yield _widened(old, new, grants, gone)
    for grants in _grouped(old, uncovered(denied_before, denied)):
        if _exists(new, old, grants[0]):
            yield Change(
                _rule(old, grants[0], PERMISSION), _name(grants[0].who), f"is no longer denied {_text(grants)}"
            )
    for grants in _grouped(old, uncovered(allowed_before, allowed)):
        if _exists(new, old, grants[0]):
            yield Change(NARROWED, _name(grants[0].who), f"may no longer {_text(grants)}")
    for grants in _grouped(new, uncovered(denied, denied_before)):
        yield Change(NARROWED, _name(grants[0].who), f"is now denied {_text(grants)}", _place(new, grants[0]))


def _is_usual(old: Architecture, new: Architecture, grant: Grant) -> bool:
    """Whether a new function gets only what all functions had before, such as writing into its own log."""
    actor = grant.who if grant.who in new.resources else new.named(f"${{{grant.resource.partition(' ')[0]}}}")
    if actor in old.resources or actor not in new.resources or new.resources[actor].type not in FUNCTIONS:
        return False
    before = [each.name for each in old.of(*FUNCTIONS)]
    return bool(before) and all(_as_of(grant, actor, other) in old.grants for other in before)


def _as_of(grant: Grant, actor: str, other: str) -> Grant:
    """The same permission of another function."""
    who, resource = (text.replace(actor, other) for text in (grant.who, grant.resource))
    return grant._replace(who=who, resource=resource)


def _split(architecture: Architecture) -> tuple[list[Grant], list[Grant]]:
    allowed = [each for each in architecture.grants if each.effect == "Allow"]
    return allowed, [each for each in architecture.grants if each.effect != "Allow"]


def _grouped(architecture: Architecture, grants: Iterable[Grant]) -> list[list[Grant]]:
    """Grants of the same statement and the same actor together."""
    groups: dict[tuple[Any, ...], list[Grant]] = {}
    for grant in grants:
        statement = architecture.grants[grant]
        key = (grant.who, statement.holder, statement.path) if statement else (grant.who, grant.action)
        groups.setdefault((*key, grant.limits - grant.guards, _TRUST in grant.resource), []).append(grant)
    return list(groups.values())


def _widened(old: Architecture, new: Architecture, grants: list[Grant], gone: list[Grant]) -> Change:
    first = grants[0]
    statement = new.grants[first]
    before = [each for each in gone if any(_replaces(grant, each) for grant in grants)]
    who = first.who if first.who in old.resources or first.who not in new.resources else f"{first.who} (new)"
    said = [f"may {'now ' if who == first.who else ''}{_text(grants)}"]
    if before:
        same = {(each.action, each.resource) for each in before} == {(each.action, each.resource) for each in grants}
        said.append(f"before: {_conditions(before)}" if same and _conditions(before) else f"before: {_text(before)}")
    if statement:
        reason = new.reason(statement)
        said.append(f"reason: {statement.sid or 'none'}{f', “{reason}”' if reason else ''}")
    rules = [_rule(new, grant, _widening(old, grant)) for grant in grants]
    rule = min(rules, key=[PUBLIC, TRUST, WILDCARD, PERMISSION, ENCRYPTION].index)
    return Change(rule, _name(who), "; ".join(said), _place(new, first))


def _replaces(new: Grant, old: Grant) -> bool:
    """Whether a grant is what became of another one."""
    return new.who == old.who and (new.covers(old) or new.action == old.action)


def _widening(old: Architecture, grant: Grant) -> Rule:
    if grant.action.startswith(("everything in", "not ")) or grant.resource.startswith("not ") or "*" in grant.action:
        return WILDCARD
    # X-Ray, for example, has no narrower resource than *: it is no news if somebody has the same already.
    known = any(each.action == grant.action and each.resource == "*" for each in old.grants)
    return WILDCARD if grant.resource == "*" and not known else PERMISSION


def _rule(architecture: Architecture, grant: Grant, otherwise: Rule) -> Rule:
    statement = architecture.grants.get(grant)
    of_a_resource = isinstance(statement, Statement) and bool(statement.principals)
    if _TRUST in grant.resource:
        return TRUST
    if any(each.key == "aws:SecureTransport" for each in grant.limits):
        return ENCRYPTION
    return PUBLIC if of_a_resource and grant.who == "*" else otherwise


def _exists(new: Architecture, old: Architecture, grant: Grant) -> bool:
    """Whether who had a permission, and what it was for, is still there: otherwise the removal says it all."""
    if grant.who in old.resources and grant.who not in new.resources:
        return False
    statement = old.grants[grant]
    target = old.named(grant.resource)
    if grant.effect == "Allow" and target and target not in new.resources:
        return False
    return (
        statement is None or statement.holder in new.resources or grant.who in new.resources or grant.effect != "Allow"
    )


def _text(grants: list[Grant]) -> str:
    actions = list(dict.fromkeys(f"`{each.action}`" for each in grants))
    where = list(dict.fromkeys(_resource(each) for each in grants))
    conditions = _conditions(grants)
    return f"{', '.join(actions)} on {', '.join(where)}{f' {conditions}' if conditions else ''}"


def _resource(grant: Grant) -> str:
    name = grant.resource if _TRUST in grant.resource else f"`{grant.resource}`"
    return name + (f" if {_and(grant.guards)}" if grant.guards else "")


def _conditions(grants: list[Grant]) -> str:
    found = dict.fromkeys(_and(each.limits - each.guards) for each in grants if each.limits - each.guards)
    return f"only with {' or '.join(found)}" if found else ""


def _and(limits: frozenset[Limit]) -> str:
    return " and ".join(sorted(map(str, limits)))


def _name(who: str) -> str:
    return "everybody" if who == "*" else who


def _place(architecture: Architecture, grant: Grant) -> str:
    statement = architecture.grants.get(grant)
    if statement:
        return architecture.place(statement.holder, "Properties", *statement.path)
    return architecture.place(grant.who) if grant.who in architecture.resources else ""
