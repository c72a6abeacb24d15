"""The architecture of one revision: everything that the document shows and the difference compares, as plain data."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import yaml

from architecture import workflow
from architecture.policies import Grant, Statement, statements
from architecture.values import NOTHING, Names, cases, pattern, renamed, shown
from checks.repository import LOADER, Document, named_below, reference, references

FUNCTIONS = ("AWS::Serverless::Function", "AWS::Lambda::Function")
MACHINES = ("AWS::Serverless::StateMachine", "AWS::StepFunctions::StateMachine")
QUEUES = ("AWS::SQS::Queue",)
RULES = ("AWS::Events::Rule", "AWS::Scheduler::Schedule")
PIPES = ("AWS::Pipes::Pipe",)
APIS = ("AWS::Serverless::Api", "AWS::Serverless::HttpApi")
ALARMS = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
ROLES = ("AWS::IAM::Role",)
POLICIES = ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy")
ARTIFACTS = ("CodeUri", "ContentUri", "DefinitionUri", "Code", "Content")
"""Properties that say where code is. `sam deploy` replaces them by places in S3, so they are not compared."""
DEAD_LETTERS = ("DeadLetterConfig", "DeadLetterQueue", "OnFailure", "RedrivePolicy")
"""Properties that name the target for what could not be delivered or processed."""
_GLOBALS = {
    "AWS::Serverless::Function": "Function",
    "AWS::Serverless::Api": "Api",
    "AWS::Serverless::HttpApi": "HttpApi",
    "AWS::Serverless::StateMachine": "StateMachine",
    "AWS::Serverless::LayerVersion": "LayerVersion",
    "AWS::Serverless::SimpleTable": "SimpleTable",
}


class Resource(NamedTuple):
    """A resource, with the properties of Globals merged in."""

    name: str
    """Its logical id."""
    type: str
    properties: dict[str, Any]
    settings: dict[str, Any]
    """What stands beside the properties: Condition, DeletionPolicy, UpdateReplacePolicy, DependsOn."""

    @property
    def condition(self) -> str:
        """The condition of the template under which it exists; empty if it always does."""
        return str(self.settings.get("Condition", ""))

    @property
    def kind(self) -> str:
        """The last word of its type, such as ``Queue``."""
        return self.type.rpartition("::")[2]


class Route(NamedTuple):
    """A route of an API."""

    method: str
    path: str
    function: str
    event: str
    """The name of its event in the function."""
    caller: str
    """Who may call it: the name of an authorizer, ``AWS_IAM``, or ``NONE`` for everybody."""

    @property
    def is_open(self) -> bool:
        """Whether everybody may call it."""
        return self.caller == "NONE"


class Trigger(NamedTuple):
    """What starts a function, a state machine or a target of an event."""

    kind: str
    """Such as ``route``, ``state``, ``Schedule``, ``queue``."""
    what: str
    target: str
    event: str = ""
    """The name of the event in the function's Events; empty if it is a resource of its own."""
    sources: tuple[str, ...] = ()
    """The resources whose events it gets."""


class Architecture:
    """The architecture of one revision.

    Args:
        template: the text of template.yaml, or of the template of a deployed stack.
        definitions: the text of each state machine's definition, by DefinitionUri or by logical id.
        reports: the text of each report, by its file's name.
        file: the template's file, which the places of changes name.
        config: the text of samconfig.toml; empty if it does not count.

    Raises:
        yaml.YAMLError: a text is not YAML.
        ValueError: the template has no resources, or a definition has no states.
    """

    def __init__(
        self,
        template: str,
        definitions: Mapping[str, str],
        reports: Mapping[str, str] | None = None,
        *,
        file: str = "template.yaml",
        config: str = "",
    ) -> None:
        self.document = Document(template, file)
        if not isinstance(self.document.data, dict) or not isinstance(self.document.data.get("Resources"), dict):
            raise ValueError(f"{file} is not a template: it has no Resources.")
        self.config = tomllib.loads(config)
        self.definitions = dict(definitions)
        self.reports: dict[str, dict[str, Any]] = {
            name: yaml.load(text, LOADER) or {} for name, text in sorted((reports or {}).items())
        }
        self._written: Names = {}  # the logical ids in the template, by those that they were renamed to
        self._read(self.document.data)

    def renamed(self, names: Names) -> "Architecture":
        """The same architecture with other logical ids. Its lines stay those of its own template."""
        other = object.__new__(Architecture)
        other.document, other.definitions, other.reports = self.document, self.definitions, self.reports
        other.config = self.config
        other._written = {new: old for old, new in names.items()}
        data = renamed(self.document.data, names)
        data["Resources"] = {names.get(name, name): each for name, each in data["Resources"].items()}
        other._read(data)
        return other

    def _read(self, data: dict[str, Any]) -> None:
        self.data = data
        self.parameters: dict[str, Any] = data.get("Parameters") or {}
        shared = data.get("Globals") or {}
        self.resources: dict[str, Resource] = {}
        for name, each in data["Resources"].items():
            own = each.get("Properties") or {}
            properties = _merged(shared.get(_GLOBALS.get(each.get("Type", ""), ""), {}), own)
            settings = {key: value for key, value in each.items() if key not in ("Type", "Properties", "Metadata")}
            self.resources[name] = Resource(name, str(each.get("Type", "")), properties, settings)

    def of(self, *types: str) -> Iterator[Resource]:
        """The resources of some types, in the order of the template."""
        return (each for each in self.resources.values() if each.type in types)

    def line(self, name: str, *path: str | int) -> int:
        """The line of a resource, or of an element below it, in the template."""
        return self.document.line("Resources", self._written.get(name, name), *path)

    def place(self, name: str, *path: str | int) -> str:
        """The file and the line of a resource, or of an element below it."""
        return f"{self.document.file}:{self.line(name, *path)}"

    def retold(self, text: str) -> str:
        """A text, such as an alarm's description, with the new logical ids in it."""
        for after, before in self._written.items():
            text = re.sub(rf"\b{before}\b", after, text)
        return text

    # ─── Names ───

    @cached_property
    def physical(self) -> dict[str, str]:
        """The logical id of each resource with an explicit name, by that name, such as ``${AWS::StackName}-orders``."""
        found = {}
        for each in self.resources.values():
            for key in ("Name", f"{each.kind}Name"):
                name = each.properties.get(key)
                if isinstance(name, dict | str) and "${AWS::StackName}" in (text := pattern(name)):
                    found[text] = each.name
        return found

    def named(self, text: str) -> str:
        """The logical id of the resource that a pattern of a policy means; empty if it is none of the template."""
        for name in re.findall(r"\$\{([^!}.]+)", text):
            if name in self.resources:
                return str(name)
        found = [name for physical, name in self.physical.items() if re.search(rf"[:/]{re.escape(physical)}\b", text)]
        return found[0] if found else ""

    # ─── Functions and what starts them ───

    @cached_property
    def routes(self) -> list[Route]:
        """Every route, sorted by its path."""
        found = []
        for function in self.of(*FUNCTIONS):
            for event, each in (function.properties.get("Events") or {}).items():
                if each.get("Type") not in ("Api", "HttpApi"):
                    continue
                properties = each.get("Properties", {})
                named = reference(properties.get("RestApiId", properties.get("ApiId")))
                api = self.resources[named].properties if named in self.resources else self._only_api()
                own, default = properties.get("Auth") or {}, api.get("Auth") or {}
                caller = own.get("Authorizer") or default.get("DefaultAuthorizer") or "NONE"
                key = own.get("ApiKeyRequired", default.get("ApiKeyRequired"))
                text = shown(caller) + (" and an API key" if key else "")
                found.append(
                    Route(str(properties["Method"]).upper(), str(properties["Path"]), function.name, event, text)
                )
        return sorted(found, key=lambda route: (route.path, route.method))

    def _only_api(self) -> dict[str, Any]:
        apis = list(self.of(*APIS))
        return apis[0].properties if len(apis) == 1 else {}

    @cached_property
    def authorizers(self) -> dict[str, str]:
        """The functions that check the callers of an API, by the name of the authorizer."""
        found = {}
        for api in self.of(*APIS):
            for name, each in ((api.properties.get("Auth") or {}).get("Authorizers") or {}).items():
                arn = pattern(each.get("FunctionArn", ""))
                if function := self.named(arn):
                    found[name] = function
        return found

    @cached_property
    def triggers(self) -> list[Trigger]:
        """What starts each function and state machine, besides calls by code."""
        found = [Trigger("route", f"{each.method} {each.path}", each.function) for each in self.routes]
        found += [Trigger("authorizer", name, function) for name, function in self.authorizers.items()]
        for machine in self.machines.values():
            for state in machine.states.values():
                if (target := machine.target(state)) and self._is(target, *FUNCTIONS, *MACHINES):
                    found.append(Trigger("state", f"{machine.name}.{state.name}", target))
        for each in self.of(*FUNCTIONS, *MACHINES):
            for name, event in (each.properties.get("Events") or {}).items():
                if event.get("Type") not in ("Api", "HttpApi"):
                    source = event.get("Properties") or {}
                    of = next((source[key] for key in ("Queue", "Stream", "Topic", "Bucket") if key in source), None)
                    what = shown(source.get("Schedule", source.get("ScheduleExpression", source.get("Pattern", ""))))
                    what = reference(of) or shown(of) if of else what
                    sources = tuple(dict.fromkeys(one for _, one in references(source.get("Pattern"))))
                    found.append(Trigger(str(event.get("Type")), what, each.name, name, sources))
        for rule in self.of(*RULES):
            for target in rule.properties.get("Targets") or [rule.properties.get("Target") or {}]:
                if to := self.named(pattern(target.get("Arn", ""))):
                    found.append(Trigger("rule", rule.name, to))
        for pipe in self.of(*PIPES):
            if to := self.named(pattern(pipe.properties.get("Target", ""))):
                found.append(Trigger("pipe", pipe.name, to))
        return found

    def _is(self, name: str, *types: str) -> bool:
        return name in self.resources and self.resources[name].type in types

    def about(self, function: str) -> str:
        """What a function or a state machine is for: the comment ``# <name>: …`` above its group in the template."""
        holders = [function, *(role for role, actors in self.actors.items() if function in actors)]
        holders += [each for each in (f"{function}Logs", f"{function}Role") if each in self.resources]
        for holder in holders:
            text = " ".join(self.document.above("Resources", holder))
            if text.startswith(f"{function}: "):
                return text.removeprefix(f"{function}: ")
        # The comment may stand above the first resource of the group, such as a queue.
        for line, text in sorted(self.document.comments.items()):
            if text.startswith(f"{function}: "):
                following = [self.document.comments.get(line + 1, "")]
                return " ".join([text.removeprefix(f"{function}: "), *filter(None, following)])
        return ""

    # ─── Permissions ───

    @cached_property
    def actors(self) -> dict[str, list[str]]:
        """The resources that act with each role, by the role."""
        found: dict[str, list[str]] = {}
        for each in self.resources.values():
            for role in sorted(named_below(each.properties, "Role", "RoleArn")):
                if self._is(role, *ROLES):
                    found.setdefault(role, []).append(each.name)
        return found

    def acting_with(self, role: str) -> list[str]:
        """The resources that act with a role, or the role itself if none does."""
        return self.actors.get(role) or [role]

    @cached_property
    def statements(self) -> list[Statement]:
        """Every statement of every policy. Those of who may assume a role have that in their path."""
        return [each for one in self.resources.values() for each in statements(one.name, one.properties)]

    def of_role(self, actor: str) -> list[Statement]:
        """What a resource is allowed to do, in the order of the template."""
        return [each for each in self.statements if not _is_trust(each) and actor in self._who(each)]

    def reason(self, statement: Statement) -> str:
        """The comments above and in a statement; empty if it has none."""
        where = ("Resources", statement.holder, "Properties", *statement.path)
        texts = dict.fromkeys(text for text in self.document.remarks(*where) if not text.startswith("checkov:"))
        return "; ".join(text.rstrip(".") for text in texts if text)

    @cached_property
    def grants(self) -> dict[Grant, Statement | None]:
        """Everything that is allowed or denied, each with a statement that does it."""
        found: dict[Grant, Statement | None] = {}
        for each in self.statements:
            default = (
                each.holder
                if not _is_trust(each)
                else f"{' and '.join(self.acting_with(each.holder))} (assume its role)"
            )
            for grant in each.grants(self._who(each), default):
                found.setdefault(grant, each)
        for name, action in self._managed():
            found.setdefault(Grant("Allow", name, action, "*", frozenset()), None)
        for permission in self.of("AWS::Lambda::Permission"):
            found.setdefault(_permission(permission), None)
        return found

    def _who(self, statement: Statement) -> list[str]:
        if statement.principals:
            return statement.principals
        holder = self.resources[statement.holder]
        if holder.type in POLICIES:
            roles = sorted(named_below(holder.properties, "Roles", "RoleName"))
            return [actor for role in roles for actor in self.acting_with(role)] or [holder.name]
        return self.acting_with(holder.name) if holder.type in ROLES else [holder.name]

    def _managed(self) -> Iterator[tuple[str, str]]:
        """Policies that are only named: those of AWS, and SAM's policy templates."""
        for each in self.resources.values():
            listed = each.properties.get("ManagedPolicyArns", []) if each.type in ROLES else []
            if each.type in (*FUNCTIONS, *MACHINES):
                policies = each.properties.get("Policies", [])
                listed = [
                    one for one in (policies if isinstance(policies, list) else [policies]) if "Statement" not in one
                ]
            for _, policy in cases(listed):
                name = shown(policy) if isinstance(policy, dict) else pattern(policy).rpartition("/")[2]
                for actor in self.acting_with(each.name):
                    yield actor, f"everything in the policy {name}"

    # ─── Failures ───

    def dead_letters(self, name: str) -> list[str]:
        """The queues and topics that get what a resource could not deliver or process."""
        return sorted(named_below(self.resources[name].properties, *DEAD_LETTERS) & self.resources.keys())

    def sent_to(self, queue: str) -> list[str]:
        """The resources that leave in a queue what they could not deliver or process, or send to it."""
        senders = [each for each in self.resources if queue in self.dead_letters(each)]
        senders += [trigger.what for trigger in self.triggers if trigger.target == queue]
        senders += [
            grant.who
            for grant in self.grants
            if grant.action.startswith("sqs:Send")
            and self.named(grant.resource) == queue
            and grant.who in self.resources
        ]
        return sorted({*senders})

    @cached_property
    def alarms(self) -> dict[str, list[Resource]]:
        """The alarms that watch each resource, by its logical id; those of no resource under an empty name."""
        found: dict[str, list[Resource]] = {}
        for alarm in self.of(*ALARMS):
            named = [name for _, name in references(_dimensions(alarm.properties))]
            texts = [pattern(each.get("Value", "")) for each in _dimensions(alarm.properties)]
            named += [self.physical[text] for text in texts if text in self.physical]
            for name in dict.fromkeys(each for each in named if each in self.resources) or [""]:
                found.setdefault(name, []).append(alarm)
        return found

    # ─── State machines ───

    @cached_property
    def machines(self) -> dict[str, workflow.Machine]:
        """The state machines, by logical id."""
        found = {}
        for each in self.of(*MACHINES):
            properties = each.properties
            substitutions = properties.get("DefinitionSubstitutions") or {}
            uri = properties.get("DefinitionUri")
            if each.name in self.definitions:
                document = workflow.definition(self.definitions[each.name], each.name)
            elif isinstance(uri, str) and uri in self.definitions:
                document = workflow.definition(self.definitions[uri], uri)
            elif isinstance(properties.get("Definition"), dict):
                document = Document(yaml.safe_dump(properties["Definition"]), self.document.file)
            else:
                continue
            found[each.name] = workflow.Machine(each.name, document, substitutions)
        return found

    def value(self, value: Any) -> str:
        """A value for people. A parameter has its default behind it."""
        text = shown(value)
        default = self.parameters.get(text, {}).get("Default") if isinstance(value, dict) else None
        return f"{text} ({default})" if default not in (None, "") else text


def _is_trust(statement: Statement) -> bool:
    return "AssumeRolePolicyDocument" in statement.path


def _permission(resource: Resource) -> Grant:
    """What a Lambda permission allows."""
    properties = dict(resource.properties)
    statement = {
        "Effect": "Allow",
        "Principal": properties.get("Principal", "*"),
        "Action": properties.get("Action", "lambda:*"),
        "Resource": properties.get("FunctionName", "*"),
        "Condition": {
            "ArnLike": {f"aws:{key}": value for key, value in properties.items() if key.startswith("Source")}
        },
    }
    (grant,) = Statement(resource.name, (), statement, frozenset()).grants([], "*")
    return grant


def _dimensions(properties: dict[str, Any]) -> list[dict[str, Any]]:
    """The dimensions of every metric of an alarm."""
    found = list(properties.get("Dimensions") or [])
    for each in properties.get("Metrics") or []:
        found += each.get("MetricStat", {}).get("Metric", {}).get("Dimensions") or []
    return found


def _merged(shared: Any, own: Any) -> Any:
    """Properties over those of Globals, as SAM merges them ("Globals section of the AWS SAM template")."""
    if isinstance(shared, dict) and isinstance(own, dict):
        return shared | {key: _merged(shared.get(key), value) for key, value in own.items()}
    if isinstance(shared, list) and isinstance(own, list):
        return [*shared, *own]
    return own if own != NOTHING else shared
