"""What a difference can be: how dangerous it is, why it matters, and where the documentation says what to do.

The sections are in the order in which a reviewer must see them.
"""

from typing import NamedTuple

SECTIONS = (
    "Permissions widened",
    "Routes, sign-in and tenants opened",
    "Public access, encryption and retention weakened",
    "Retries, timeouts, dead letters and alarms changed",
    "Functions, triggers, queues, states and edges",
    "Settings",
    "Code only",
)


class Rule(NamedTuple):
    """A kind of change."""

    name: str
    section: int
    """The index in SECTIONS."""
    is_dangerous: bool
    why: str
    """Why it matters, as one sentence."""
    recipe: str
    """The page under docs/ that says how to do it right."""


WILDCARD = Rule(
    "permission-wildcard",
    0,
    True,
    "`*` also allows what will exist only later. Name each action and each resource.",
    "howto/add-a-permission.md",
)
PERMISSION = Rule(
    "permission-widened",
    0,
    True,
    "Why does this need that? A permission that nothing needs only helps an attacker.",
    "howto/add-a-permission.md",
)
TRUST = Rule(
    "role-assumable", 0, True, "Whoever may assume a role has all its permissions.", "howto/add-a-permission.md"
)
BOUNDARY = Rule(
    "boundary-removed", 0, True, "The permissions boundary limits what a role can ever be allowed.", "howto/deploy.md"
)
ROUTE_OPENED = Rule(
    "route-opened", 1, True, "Anybody on the internet may call a route without an authorizer.", "howto/sign-in.md"
)
SIGN_IN = Rule(
    "sign-in",
    1,
    True,
    "Tokens say who the caller is and of which tenant: the access control depends on it.",
    "howto/sign-in.md",
)
CORS = Rule(
    "cors-opened", 1, True, "Web pages of other origins can call the API with their users' tokens.", "howto/embed.md"
)
SHARED = Rule(
    "dataset-shared",
    1,
    True,
    "All tenants see every row of a shared dataset. Is nothing in it one tenant's own?",
    "howto/bring-your-data.md",
)
TENANT = Rule(
    "tenant-filter",
    1,
    True,
    "`tenant` decides which rows a caller sees. A wrong column shows others' rows.",
    "howto/add-a-report.md",
)
PUBLIC = Rule("public-access", 2, True, "Everybody, or every AWS account, could read or write it.", "howto/deploy.md")
ENCRYPTION = Rule(
    "encryption-weakened", 2, True, "Data would be stored or sent with a weaker encryption, or none.", "howto/deploy.md"
)
RETENTION = Rule(
    "retention-weakened", 2, True, "Data or logs are deleted earlier, or cannot be restored.", "howto/disaster.md"
)
DATA = Rule(
    "data-replaced",
    2,
    True,
    "CloudFormation makes a new, empty resource; the data stays in the old one or is lost.",
    "howto/disaster.md",
)
SWALLOWED = Rule(
    "failure-swallowed",
    3,
    True,
    "A failure would look like a success, or nobody would hear of it.",
    "howto/add-a-state.md",
)
DEAD_LETTER = Rule(
    "dead-letter-weakened",
    3,
    True,
    "What cannot be delivered or processed would be lost in silence.",
    "howto/add-a-queue-consumer.md",
)
RETRY_WEAKENED = Rule(
    "retry-weakened",
    3,
    True,
    "A short fault of AWS would fail an export that a retry would save.",
    "howto/add-a-state.md",
)
ALARM_WEAKENED = Rule("alarm-weakened", 3, True, "Nobody would be told, or later.", "howto/add-a-function.md")
RETRY = Rule(
    "retry", 3, False, "More retries take longer, cost more, and repeat what is not idempotent.", "howto/add-a-state.md"
)
DEAD_LETTER_CHANGED = Rule(
    "dead-letter", 3, False, "Who looks at this queue, and can its messages be replayed?", "howto/replay-a-failure.md"
)
CATCH = Rule("catch", 3, False, "Where does the failure go now, and who records it?", "howto/add-a-state.md")
TIMEOUT = Rule(
    "timeout",
    3,
    False,
    "The caller's timeout must be longer, and that of a queue's messages six times as long.",
    "howto/add-a-queue-consumer.md",
)
LIMIT = Rule("limit", 3, False, "Concurrency and throttling limit cost and load.", "howto/deploy.md")
ALARM = Rule("alarm", 3, False, "Does it still fire when it must, and only then?", "howto/add-a-function.md")
RENAMED = Rule(
    "renamed", 4, False, "CloudFormation makes a new resource and deletes the old one.", "howto/roll-back.md"
)
FUNCTION = Rule(
    "function",
    4,
    False,
    "A function needs a role, a log group, alarms, and a contract of its own.",
    "howto/add-a-function.md",
)
TRIGGER = Rule(
    "trigger",
    4,
    False,
    "What starts it decides how often it runs, and what its failures do.",
    "howto/add-a-function.md",
)
QUEUE = Rule(
    "queue",
    4,
    False,
    "A queue needs a dead-letter queue or an alarm, and a policy for who may send.",
    "howto/add-a-queue-consumer.md",
)
STATE = Rule("state", 4, False, "The table of the states is the contract of the workflow.", "howto/add-a-state.md")
EDGE = Rule(
    "edge", 4, False, "Each route through the workflow must end with a recorded status.", "howto/add-a-state.md"
)
REPORT = Rule("report", 4, False, "What may its callers see?", "howto/add-a-report.md")
RESOURCE = Rule(
    "resource",
    4,
    False,
    "The role of the deployment needs permissions for each new type of resource.",
    "howto/deploy.md",
)
NARROWED = Rule("permission-narrowed", 4, False, "Does something still use it?", "howto/add-a-permission.md")
EXISTS = Rule("exists", 4, False, "Some stacks have it, others do not.", "howto/upgrade.md")
ENVIRONMENT = Rule(
    "environment", 5, False, "Does the code read it, and does it have no secret?", "howto/add-a-function.md"
)
PARAMETER = Rule(
    "parameter", 5, False, "A stack that exists keeps its value; a new one gets the default.", "howto/upgrade.md"
)
SETTING = Rule("setting", 5, False, "Everything else that differs.", "howto/upgrade.md")
CODE = Rule("code", 6, False, "The architecture does not tell what these changes do.", "howto/run-locally.md")

RULES = tuple(value for value in list(globals().values()) if isinstance(value, Rule))
"""Every rule, in the order of its section and of its danger."""


class Change(NamedTuple):
    """One change, as a reviewer reads it."""

    rule: Rule
    subject: str
    """Whom or what it concerns: a logical id, a route, a state, a report."""
    what: str
    """What is different, in Markdown, without a full stop."""
    place: str = ""
    """Where it stands, such as ``template.yaml:120``."""

    def __str__(self) -> str:
        return f"- **{self.subject}**: {self.what}{f' ({self.place})' if self.place else ''}"
