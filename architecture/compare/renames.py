"""Resources that have another logical id than before, so that they do not count as removed and added."""

from collections.abc import Callable, Hashable, Iterator

from architecture.model import ARTIFACTS, FUNCTIONS, MACHINES, Architecture, Resource
from architecture.rules import DATA, RENAMED, Change
from architecture.values import Names, canonical, pattern, renamed

HOLDS_DATA = (
    "AWS::DynamoDB::Table",
    "AWS::DynamoDB::GlobalTable",
    "AWS::S3::Bucket",
    "AWS::Cognito::UserPool",
    "AWS::KMS::Key",
)
"""Types with data that cannot be made again."""
_Identity = Callable[[Architecture, Resource, Names], Hashable | None]


def found(old: Architecture, new: Architecture) -> Names:
    """The new logical ids, by the old ones."""
    names: Names = {}
    for identity in (_handler, _definition, _explicit_name, _starters, _actors, _content):
        names |= _matches(old, new, names, identity)
        names |= _belongings(old, new, names)
    return names


def changes(old: Architecture, new: Architecture, names: Names) -> Iterator[Change]:
    """The renamed resources; those that belong to a renamed function, such as its log group, in its line."""
    heads = {before: after for before, after in names.items() if old.resources[before].type in (*FUNCTIONS, *MACHINES)}
    for before, after in names.items():
        kind = new.resources[after].type
        place = new.place(after)
        if kind in HOLDS_DATA:
            yield Change(DATA, after, f"was {before}: another logical id makes a new, empty {kind}", place)
        elif before in heads:
            with_it = sorted(one for one in names if one != before and before in one)
            more = f", with {', '.join(with_it)}" if with_it else ""
            yield Change(RENAMED, after, f"was {before}{more}", place)
        elif not any(head in before for head in heads):
            yield Change(RENAMED, after, f"was {before}", place)


def _matches(old: Architecture, new: Architecture, names: Names, identity: _Identity) -> Names:
    """The pairs of resources that only one of the two has, and that have the same identity as no other."""
    gone = [each for name, each in old.resources.items() if name not in new.resources and name not in names]
    come = [each for name, each in new.resources.items() if name not in old.resources and name not in names.values()]
    pairs = {}
    for each in gone:
        of = identity(old, each, names)
        same = [one for one in come if one.type == each.type and of is not None and identity(new, one, {}) == of]
        rivals = [one for one in gone if one.type == each.type and identity(old, one, names) == of]
        if len(same) == len(rivals) == 1:
            pairs[each.name] = same[0].name
    return pairs


def _belongings(old: Architecture, new: Architecture, names: Names) -> Names:
    """What is named after a renamed resource, such as PlanPartsRole after PlanParts."""
    gone = old.resources.keys() - new.resources.keys() - names.keys()
    come = new.resources.keys() - old.resources.keys() - {*names.values()}
    pairs = {}
    for before, after in names.items():
        for name, each in old.resources.items():
            other = name.replace(before, after)
            is_pair = name in gone and other in come and new.resources[other].type == each.type
            if before in name and is_pair:
                pairs[name] = other
    return pairs


def _handler(_of: Architecture, resource: Resource, _names: Names) -> Hashable | None:
    code = resource.properties.get("CodeUri")
    local = code if isinstance(code, str) and not code.startswith("s3:") else ""
    handler = resource.properties.get("Handler")
    return (pattern(handler), local) if resource.type in FUNCTIONS and handler else None


def _definition(_of: Architecture, resource: Resource, _names: Names) -> Hashable | None:
    uri = resource.properties.get("DefinitionUri")
    return uri if resource.type in MACHINES and isinstance(uri, str) else None


def _explicit_name(of: Architecture, resource: Resource, _names: Names) -> Hashable | None:
    return next((name for name, logical in of.physical.items() if logical == resource.name), None)


def _starters(of: Architecture, resource: Resource, _names: Names) -> Hashable | None:
    """What starts a function: its routes or its states."""
    starters = frozenset((each.kind, each.what) for each in of.triggers if each.target == resource.name)
    return starters or None


def _actors(of: Architecture, resource: Resource, names: Names) -> Hashable | None:
    """Who acts with a role."""
    return frozenset(names.get(each, each) for each in of.actors.get(resource.name, [])) or None


def _content(_of: Architecture, resource: Resource, names: Names) -> Hashable | None:
    content = renamed({key: value for key, value in resource.properties.items() if key not in ARTIFACTS}, names)
    return canonical(content) if content else None
