"""The list of the checks, in the order of the output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exports_admin.health import alerts, exports, stack_state, storage, users
from exports_admin.health.deployment import Check, Finding, Unchecked

if TYPE_CHECKING:
    from exports_admin.health.deployment import Deployment

ALWAYS = (
    Check("stack", "state, drift, version of the template", (stack_state.state, stack_state.version)),
    Check("clock", "of this machine", (stack_state.skew,)),
)
"""The checks of a stack in any state."""
DEPLOYED = (
    Check("lambda", "concurrency for MapConcurrency", (stack_state.concurrency, stack_state.stopped)),
    Check("step functions", "use of the account's quotas", (stack_state.step_functions,)),
    Check("alarms", "exist, can go off, are off", (alerts.alarms,)),
    Check("alert mail", "somebody gets it", (alerts.subscription,)),
    Check("queues", "no dead letters", (alerts.queues,)),
    Check("logs", "log groups and their retention", (alerts.logs,)),
    Check("active", "no export runs for too long", (exports.active,)),
    Check("settling", "no failed or cancelled export waits", (exports.settling,)),
    Check("table", "index, stream, recovery, time to live", (storage.table, storage.recovery, storage.expiry)),
    Check("pipe", "runs and reads the table's stream", (storage.pipe,)),
    Check("rules", "the schedule and the events are on", (storage.rules,)),
    Check(
        "bucket",
        "encryption, public access, lifecycle, policy",
        (storage.encryption, storage.public_access, storage.lifecycle, storage.policy),
    ),
    Check("user pool", "exists, users cannot write their tenant", (users.pool, users.clients)),
    Check("users", "each has a tenant", (users.tenants,)),
    Check("mail", "SES sends it (only with SenderEmail)", (users.sender, users.sending)),
)
"""The checks of a stack that was deployed at least once."""
FILES = Check("files", "records and files match", (exports.files,))
"""The check that reads the whole table and lists all files."""


def run(check: Check, deployment: Deployment) -> list[Finding]:
    """The findings of a check. An aspect that AWS does not answer is a warning, and the others are checked."""
    findings: list[Finding] = []
    for aspect in check.aspects:
        try:
            findings += aspect(deployment)
        except Unchecked as unchecked:
            summary = (aspect.__doc__ or "").split(". ")[0].split("\n")[0].rstrip(".")
            findings.append(Finding("warning", f"{summary} could not be checked: {unchecked}", unchecked.remedy))
    return findings
