"""Properties of resources, parameters and conditions that differ, and resources that are new or gone.

A table says which properties matter and when a new value is weaker. What is in no table is a setting, so nothing that
differs is left out, except what :mod:`architecture.compare.permissions` compares.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from architecture.compare.renames import HOLDS_DATA
from architecture.model import (
    ALARMS,
    APIS,
    ARTIFACTS,
    FUNCTIONS,
    MACHINES,
    PIPES,
    POLICIES,
    QUEUES,
    ROLES,
    RULES,
    Architecture,
    Resource,
    Route,
)
from architecture.rules import (
    ALARM,
    ALARM_WEAKENED,
    BOUNDARY,
    CORS,
    DATA,
    DEAD_LETTER,
    DEAD_LETTER_CHANGED,
    ENCRYPTION,
    ENVIRONMENT,
    EXISTS,
    FUNCTION,
    LIMIT,
    PARAMETER,
    PERMISSION,
    PUBLIC,
    QUEUE,
    RESOURCE,
    RETENTION,
    RETRY,
    RETRY_WEAKENED,
    ROUTE_OPENED,
    SETTING,
    SIGN_IN,
    TIMEOUT,
    TRIGGER,
    TRUST,
    Change,
    Rule,
)
from architecture.values import Difference, canonical, differences, number, shown
from checks.repository import reference, references

_POLICIES = {"PolicyDocument", "AssumeRolePolicyDocument", "Policies", "ManagedPolicyArns"}
"""Properties that are compared as permissions."""
_FLAGS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
_SETTINGS = {"Condition": EXISTS, "Connectors": PERMISSION}
"""Rules for what stands beside the properties of a resource."""
_TOLD_OF_ROUTES = ("Authorizer", "ApiKeyRequired")
"""Properties of a route that say who may call it."""
_KEEPS = ("Retain", "RetainExceptOnCreate", "Snapshot")

_ANSWERED = {"route", "authorizer", "state", "SQS"}
"""Triggers that learn of a failure, so that the function needs no dead letters of its own."""

_Weaker = Callable[[Any, Any], bool]


class _Property(NamedTuple):
    """A property that matters."""

    types: str
    """A pattern for the type of the resource."""
    place: str
    """A pattern for the beginning of the property's place."""
    weaker: _Weaker
    """Whether a new value is weaker than an old one; both are numbers, where they are numbers."""
    rule: Rule
    """If the new value is weaker."""
    otherwise: Rule = SETTING


def _always(_old: Any, _new: Any) -> bool:
    return True


def _never(_old: Any, _new: Any) -> bool:
    return False


def _gone(_old: Any, new: Any) -> bool:
    return new is None or new is False or new == ""


def _added(old: Any, _new: Any) -> bool:
    return old is None


def _not_true(_old: Any, new: Any) -> bool:
    return not _is_on(new)


def _is_on(value: Any) -> bool:
    """Whether a switch, or the switch in a block, is on."""
    if isinstance(value, dict):
        return any(map(_is_on, value.values()))
    return value is True or str(value).lower() in ("true", "enabled")


def _less(absent: float = 0) -> _Weaker:
    def weaker(old: Any, new: Any) -> bool:
        before, after = (absent if each is None else each for each in (old, new))
        return not isinstance(before, float | int) or not isinstance(after, float | int) or after < before

    return weaker


def _unblocked(_old: Any, new: Any) -> bool:
    if isinstance(new, dict):
        return not all(_is_on(new.get(flag)) for flag in _FLAGS)
    return not _is_on(new)


def _without_kms(old: Any, new: Any) -> bool:
    return new is None or (canonical(old).count("kms") > canonical(new).count("kms"))


def _expires_earlier(old: Any, new: Any) -> bool:
    if isinstance(new, dict):
        return any("Expiration" in key for key in new)
    return new is not None and _less(float("inf"))(old, new)


def _any_origin(_old: Any, new: Any) -> bool:
    return "*" in canonical(new)


def _more(old: Any, new: Any) -> bool:
    return not isinstance(old, float) or not isinstance(new, float) or new > old


def _not_kept(_old: Any, new: Any) -> bool:
    return new not in _KEEPS


_TABLE = (
    _Property("S3::Bucket$", "PublicAccessBlock", _unblocked, PUBLIC),
    _Property("S3::Bucket$", "AccessControl", lambda _, new: bool(re.match("Public|Authent", str(new))), PUBLIC),
    _Property("S3::Bucket$", "WebsiteConfiguration", _added, PUBLIC),
    _Property("S3::Bucket$", "OwnershipControls", _always, PUBLIC),
    _Property("S3::Bucket$", "CorsConfiguration", lambda _, new: new is not None, CORS),
    _Property("S3::Bucket$", "BucketEncryption", _without_kms, ENCRYPTION),
    _Property(
        "S3::Bucket$", r"LifecycleConfiguration.*Expiration|LifecycleConfiguration\.Rules", _expires_earlier, RETENTION
    ),
    _Property("S3::Bucket$", "Versioning|ObjectLock|Replication", _not_true, RETENTION),
    _Property("DynamoDB", "PointInTimeRecovery|DeletionProtection", _not_true, RETENTION),
    _Property("DynamoDB", "TimeToLive", lambda _, new: new is not None, RETENTION),
    _Property("DynamoDB", "SSESpecification", _gone, ENCRYPTION),
    _Property("DynamoDB", "KeySchema|TableName", _always, DATA),
    _Property("S3::Bucket$", "BucketName", _always, DATA),
    _Property("SQS::Queue$", "MessageRetentionPeriod", _less(345600), RETENTION),
    _Property("SQS::Queue$", "SqsManagedSse|KmsMasterKey", _gone, ENCRYPTION),
    _Property("SQS::Queue$", "RedrivePolicy.*maxReceiveCount", _less(), RETRY_WEAKENED, RETRY),
    _Property("SQS::Queue$", "RedrivePolicy", _gone, DEAD_LETTER, DEAD_LETTER_CHANGED),
    _Property("SQS::Queue$", "VisibilityTimeout", _never, TIMEOUT, TIMEOUT),
    _Property("SNS::Topic$", "KmsMasterKey", _gone, ENCRYPTION),
    _Property("SNS::(Topic|Subscription)$", "Subscription|Endpoint", _always, ALARM_WEAKENED),
    _Property("Logs::LogGroup$", "RetentionInDays", _less(float("inf")), RETENTION),
    _Property("Logs::LogGroup$|Events::EventBus$|Function$", "Kms", _gone, ENCRYPTION),
    _Property("DomainName$", "SecurityPolicy", lambda old, new: str(new or "TLS_1_0") < str(old), ENCRYPTION),
    _Property("Cognito|::Authorizer$", "", _always, SIGN_IN),
    _Property("IAM::Role$", "PermissionsBoundary", _always, BOUNDARY),
    _Property("Serverless::(Http)?Api$", "Auth", _always, SIGN_IN),
    _Property("Serverless::(Http)?Api$", "Cors", _any_origin, CORS),
    _Property("Serverless::(Http)?Api$", "EndpointConfiguration|DisableExecuteApiEndpoint", _always, ROUTE_OPENED),
    _Property("Serverless::(Http)?Api$", "MethodSettings|DefaultRouteSettings", _never, LIMIT, LIMIT),
    _Property("Function$", "Timeout", _never, TIMEOUT, TIMEOUT),
    _Property("Function$", r"Events\..*\.Auth\b", _always, SIGN_IN),
    _Property("Function$", "FunctionUrlConfig", lambda _, new: "NONE" in canonical(new), ROUTE_OPENED, TRIGGER),
    _Property("ApiGateway.*::(Method|Route)$", "AuthorizationType|AuthorizerId", _always, ROUTE_OPENED),
    _Property("Lambda::Url$", "AuthType", lambda _, new: new == "NONE", ROUTE_OPENED, TRIGGER),
    _Property("", ".*(DeadLetter|OnFailure|DestinationConfig)", _gone, DEAD_LETTER, DEAD_LETTER_CHANGED),
    _Property("", ".*FunctionResponseTypes", _gone, DEAD_LETTER, DEAD_LETTER_CHANGED),
    _Property("", ".*OnPartialBatchItemFailure|.*BisectBatch", _gone, RETRY_WEAKENED, RETRY),
    _Property(
        "", ".*(MaximumRetryAttempts|RetryPolicy|MaximumRecordAge|MaximumEventAge)", _less(), RETRY_WEAKENED, RETRY
    ),
    _Property("Function$", "EventInvokeConfig", _gone, DEAD_LETTER, RETRY),
    _Property("", ".*(Concurren|BatchSize|MaximumBatching|ParallelizationFactor)", _never, LIMIT, LIMIT),
    _Property("Alarm$", "AlarmDescription|AlarmName|Tags", _never, ALARM),
    _Property("Alarm$", "(Threshold|EvaluationPeriods|DatapointsToAlarm|Period)$", _more, ALARM_WEAKENED, ALARM),
    _Property(
        "Alarm$", "AlarmActions|ActionsEnabled", lambda old, new: old is not None or new is False, ALARM_WEAKENED, ALARM
    ),
    _Property("Alarm$", "", _never, ALARM, ALARM),
    _Property("Function$", "Environment", _never, ENVIRONMENT, ENVIRONMENT),
    _Property("Function$|StateMachine$", "Events", _never, TRIGGER, TRIGGER),
    _Property("Pipe$|Rule$|Schedule$|EventSourceMapping$", "(?!Name|Description)", _never, TRIGGER, TRIGGER),
)


def changes(old: Architecture, new: Architecture) -> Iterator[Change]:
    """Every difference of resources, parameters, conditions and outputs, apart from permissions."""
    yield from _routes(old, new)
    gone, come = _belongings(old, new), _belongings(new, old)
    for name in {**old.resources, **new.resources}:
        before, after = old.resources.get(name), new.resources.get(name)
        if before and after and before.type == after.type:
            yield from _changed(old, new, before, after)
            continue
        if before and not any(name in some for some in gone.values()):
            yield _removed(before, gone.get(name, []))
        if after:
            yield from _new(new, after, come)
    yield from _parameters(old, new)
    for each in differences(old.config, new.config):
        yield Change(SETTING, "samconfig.toml", f"`{each.place}` {_arrow(each)}")
    for section in ("Conditions", "Mappings", "Rules", "Outputs", "Transform", "Hooks"):
        before_it = json.loads(old.retold(json.dumps(old.data.get(section) or {}, default=str)))
        for each in differences(before_it, new.data.get(section) or {}):
            name = str(each.path[0]) if each.path else section
            users = _users(new, name) if section == "Conditions" else ""
            place = f"{new.document.file}:{new.document.line(section, name)}" if each.new is not None else ""
            yield Change(SETTING, name, f"{section}: {_arrow(each)}{users}", place)


def _changed(old: Architecture, new: Architecture, before: Resource, after: Resource) -> Iterator[Change]:
    name = after.name
    for each in differences(before.settings, after.settings):
        place = new.place(name, *each.path)
        if each.path[0] in ("DeletionPolicy", "UpdateReplacePolicy"):
            rule = RETENTION if _not_kept(each.old, each.new) else SETTING
            yield Change(rule, name, f"`{each.place}` {_arrow(each)}", place)
        else:
            yield Change(_SETTINGS.get(str(each.path[0]), SETTING), name, f"`{each.place}` {_arrow(each)}", place)
    first, second = _compared(before), _compared(after)
    if name in old.machines and name in new.machines:  # the states that use a substitution tell what it changes
        for properties in (first, second):
            properties.pop("DefinitionSubstitutions", None)
    for each in differences(first, second):
        if not (isinstance(each.old, str) and old.retold(each.old) == each.new):
            yield from _property(old, new, after, each)


def _property(old: Architecture, new: Architecture, resource: Resource, each: Difference) -> Iterator[Change]:
    rule = _rule(old, new, resource, each)
    place = new.place(resource.name, "Properties", *each.path)
    words = Difference(each.path, old.value(each.old), new.value(each.new))
    yield Change(rule, resource.name, f"`{each.place}` {_arrow(words)}", place)


def _rule(old: Architecture, new: Architecture, resource: Resource, each: Difference) -> Rule:
    place = ".".join(map(str, each.path))
    if resource.name in new.authorizers.values() and place.startswith("Environment"):
        return SIGN_IN
    values = []
    for architecture, value in ((old, each.old), (new, each.new)):
        found = number(value, architecture.parameters)
        values.append(value if found is None else found)
    for row in _TABLE:
        if re.search(row.types, resource.type) and re.match(row.place, place):
            return row.rule if row.weaker(*values) else row.otherwise
    return SETTING


def _compared(resource: Resource) -> dict[str, Any]:
    """The properties without those that are compared otherwise; the events of routes by their routes."""
    left = {key: value for key, value in resource.properties.items() if key not in (*_POLICIES, *ARTIFACTS)}
    if resource.type == "AWS::Lambda::Permission":
        return {}
    if resource.type in APIS and isinstance(left.get("Auth"), dict):
        left["Auth"] = {key: value for key, value in left["Auth"].items() if key != "DefaultAuthorizer"}
    if isinstance(left.get("Events"), dict):
        left["Events"] = dict(_event(name, event) for name, event in left["Events"].items())
    return left


def _event(name: str, event: dict[str, Any]) -> tuple[str, Any]:
    properties = event.get("Properties") or {}
    if event.get("Type") not in ("Api", "HttpApi"):
        return name, event
    route = f"{properties.get('Method')} {properties.get('Path')}"
    rest = {key: value for key, value in properties.items() if key not in ("Path", "Method", "RestApiId", "ApiId")}
    auth = {key: value for key, value in (rest.pop("Auth", None) or {}).items() if key not in _TOLD_OF_ROUTES}
    return route, (rest | ({"Auth": auth} if auth else {})) or None


def _routes(old: Architecture, new: Architecture) -> Iterator[Change]:
    before, after = ({(each.method, each.path): each for each in one.routes} for one in (old, new))
    for key in {**before, **after}:
        was, now = before.get(key), after.get(key)
        subject = " ".join(key)
        if now is None:
            yield Change(TRIGGER, subject, f"is gone; it started {was.function if was else ''}")
            continue
        place = new.place(now.function, "Properties", "Events", now.event)
        if was is None:
            rule = ROUTE_OPENED if now.is_open else TRIGGER
            yield Change(rule, subject, f"is a new route to {now.function} for {_callers(now)}", place)
            continue
        if was.caller != now.caller:
            rule = ROUTE_OPENED if now.is_open else SIGN_IN
            yield Change(rule, subject, f"is for {_callers(now)}; before: for {_callers(was)}", place)
        if was.function != now.function:
            yield Change(TRIGGER, subject, f"starts {now.function}; before: {was.function}", place)


def _callers(route: Route) -> str:
    return "everybody, without an authorizer" if route.is_open else f"callers whom {route.caller} accepts"


def _belongings(of: Architecture, other: Architecture) -> dict[str, list[str]]:
    """The roles, log groups and alarms of each function, state machine or queue that only one architecture has."""
    only = [each for name, each in of.resources.items() if name not in other.resources]
    found = {}
    for each in only:
        if each.type in (*FUNCTIONS, *MACHINES, *QUEUES):
            alarms = {alarm.name for alarm in of.alarms.get(each.name, [])}
            roles = {role for role, actors in of.actors.items() if actors == [each.name]}
            own = alarms | roles | {reference(each.properties.get("LoggingConfig", {}))}
            found[each.name] = [one.name for one in only if one.name in own]
    return found


def _removed(resource: Resource, belongings: list[str]) -> Change:
    what = f"is gone ({resource.type})" + (f", with {', '.join(belongings)}" if belongings else "")
    if resource.type in HOLDS_DATA:
        kept = resource.settings.get("DeletionPolicy", "Delete")
        return Change(DATA, resource.name, f"{what}; DeletionPolicy: {kept}")
    if resource.type in ALARMS:
        return Change(ALARM_WEAKENED, resource.name, f"{what}: nobody is told any more")
    if resource.type == "AWS::Logs::LogGroup":
        return Change(RETENTION, resource.name, f"{what}, with its logs")
    return Change(_of_type(resource), resource.name, what)


def _new(new: Architecture, resource: Resource, belongings: dict[str, list[str]]) -> Iterator[Change]:
    place = new.place(resource.name)
    own = belongings.get(resource.name, [])
    said = [f"is new ({resource.type})" + (f", with {', '.join(own)}" if own else "")]
    if resource.type in FUNCTIONS:
        properties = resource.properties
        triggers = [f"`{each.what}`" for each in new.triggers if each.target == resource.name]
        said.append(f"starts: {', '.join(triggers) or 'nothing starts it'}")
        said.append(f"{new.value(properties.get('Timeout'))} s, {new.value(properties.get('MemorySize'))} MB")
        letters = new.dead_letters(resource.name)
        waits = {each.kind for each in new.triggers if each.target == resource.name} <= _ANSWERED
        said += [f"dead letters: {', '.join(letters)}"] if letters else [] if waits else ["**no dead letters**"]
        if not new.alarms.get(resource.name):
            said.append("**no alarm**")
    elif resource.type in QUEUES:
        said.append(f"dead letters: {', '.join(new.dead_letters(resource.name)) or 'none'}")
        said.append(f"gets from: {', '.join(new.sent_to(resource.name)) or 'nothing in the template'}")
        if not new.alarms.get(resource.name):
            said.append("**no alarm**")
    if resource.condition:
        said.append(f"exists if {resource.condition}")
    if not any(resource.name in some for some in belongings.values()):
        yield Change(_of_type(resource), resource.name, "; ".join(said), place)
    if resource.type == "AWS::S3::Bucket" and _unblocked(
        None, resource.properties.get("PublicAccessBlockConfiguration")
    ):
        yield Change(PUBLIC, resource.name, "is new and does not block public access", place)
    if resource.type in QUEUES and not {"SqsManagedSseEnabled", "KmsMasterKeyId"} & resource.properties.keys():
        yield Change(ENCRYPTION, resource.name, "is new and does not say that it is encrypted", place)
    if resource.type in HOLDS_DATA and _not_kept(None, resource.settings.get("DeletionPolicy")):
        yield Change(RETENTION, resource.name, "is new and is deleted with the stack", place)
    if resource.type in ROLES and "PermissionsBoundary" not in resource.properties:
        yield Change(BOUNDARY, resource.name, "is new and has no permissions boundary", place)
    is_route = re.search("ApiGateway.*::(Method|Route)$", resource.type)
    if is_route and resource.properties.get("AuthorizationType", "NONE") == "NONE":
        yield Change(ROUTE_OPENED, resource.name, "is a new route for everybody", place)
    if resource.type == "AWS::Lambda::Url" and resource.properties.get("AuthType") == "NONE":
        yield Change(ROUTE_OPENED, resource.name, "is a new URL for everybody", place)
    if "FunctionUrlConfig" in resource.properties and "NONE" in canonical(resource.properties["FunctionUrlConfig"]):
        yield Change(ROUTE_OPENED, resource.name, "has a URL for everybody", place)


def _of_type(resource: Resource) -> Rule:
    if resource.type.startswith("AWS::Cognito"):
        return SIGN_IN
    if resource.type == "AWS::Serverless::Connector":  # SAM makes policies of it
        return PERMISSION
    if resource.type.startswith("AWS::IAM::") and resource.type not in (*ROLES, *POLICIES):
        return TRUST
    groups = (
        (FUNCTIONS, FUNCTION),
        (MACHINES, FUNCTION),
        (QUEUES, QUEUE),
        ((*PIPES, *RULES), TRIGGER),
        (ALARMS, ALARM),
    )
    return next((rule for types, rule in groups if resource.type in types), RESOURCE)


def _parameters(old: Architecture, new: Architecture) -> Iterator[Change]:
    for each in differences(old.parameters, new.parameters):
        if not each.path:
            continue
        name, place = str(each.path[0]), f"{new.document.file}:{new.document.line('Parameters', *each.path)}"
        if len(each.path) == 1:
            said = "is new" if each.old is None else "is gone"
            default = (each.new or each.old).get("Default", "none")
            yield Change(PARAMETER, name, f"{said}; default: `{_short(default)}`", place if each.new else "")
        elif each.path[1] != "Description":
            yield Change(PARAMETER, name, f"`{each.path[1]}` {_arrow(each)}{_users(new, name)}", place)
        if each.path[1:] == ("Default",):
            yield from _through(old, new, name)


def _through(old: Architecture, new: Architecture, parameter: str) -> Iterator[Change]:
    """What a parameter's new default makes weaker, where a resource uses it."""
    values = [one.parameters[parameter].get("Default") for one in (old, new)]
    for resource in new.resources.values():
        for path, name in references(_compared(resource)):
            if name == parameter:
                each = Difference(path, *values)
                rule = _rule(old, new, resource, each)
                if rule.section < 4 and resource.name in old.resources:
                    by = f"by the default of {parameter}"
                    place = new.place(resource.name, "Properties", *path)
                    yield Change(rule, resource.name, f"`{each.place}` {_arrow(each)}, {by}", place)


def _users(architecture: Architecture, name: str) -> str:
    """The resources that use a parameter or a condition, as the end of a sentence."""
    found = []
    for each in architecture.resources.values():
        whole = {"Properties": each.properties, **each.settings}
        if name in {one for _, one in references(whole)} or f'"{name}"' in canonical(whole):
            found.append(each.name)
    more = f" and {len(found) - 6} more" if len(found) > 6 else ""
    return f"; used by {', '.join(found[:6])}{more}" if found else ""


def _arrow(each: Difference) -> str:
    old, new = ("nothing" if value is None else _short(value) for value in (each.old, each.new))
    if old == new:
        return "is different"
    return " → ".join(text if text == "nothing" else f"`{text}`" for text in (old, new))


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else shown(value)
    text = re.sub(r"\s+", " ", text)
    return text if len(text) <= 120 else f"{text[:117]}…"
