"""The page under docs/ that helps with the faults of a check: each message of `make check` ends with it."""

from collections.abc import Callable, Iterable

from checks import Fault

PAGES = {
    "checks.documents": "howto/review-a-change.md",
    "checks.documents.gateway_faults": "howto/call-the-api.md",
    "checks.iam": "howto/add-a-permission.md",
    "checks.page": "howto/page.md",
    "checks.queries": "howto/query-report.md",
    "checks.reports": "howto/add-a-report.md",
    "checks.suites": "howto/run-locally.md",
    "checks.template": "howto/add-a-function.md",
    "checks.template.doors.routes": "howto/sign-in.md",
    "checks.template.permissions": "howto/add-a-permission.md",
    "checks.template.running.consumers": "howto/add-a-queue-consumer.md",
    "checks.template.running.event_sources": "howto/add-a-queue-consumer.md",
    "checks.template.running.queues": "howto/add-a-queue-consumer.md",
    "checks.template.running.senders": "howto/add-a-queue-consumer.md",
    "checks.template.wiring.retention": "howto/roll-back.md",
    "checks.workflow": "howto/add-a-state.md",
    "checks.workflow.permissions": "howto/add-a-permission.md",
}
"""By a check's function, its module, or the package around it; the closest counts."""


def page(check: Callable[..., Iterable[Fault]]) -> str:
    """The page of a check, relative to docs/.

    Raises:
        KeyError: PAGES has none.
    """
    name = f"{check.__module__}.{check.__name__}"
    while name not in PAGES and "." in name:
        name = name.rpartition(".")[0]
    return PAGES[name]


def of(check: Callable[..., Iterable[Fault]], *given: object) -> list[Fault]:
    """The faults that a check finds, each with its page, unless a closer check has named one."""
    return [fault._replace(recipe=fault.recipe or page(check)) for fault in check(*given)]
