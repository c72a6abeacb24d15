"""What MiniStack does differently from AWS and this project would notice, one module per difference.

A module says what AWS does, what stock MiniStack does and how its `apply()` corrects that. tests/emulator/ proves
both halves: a patch is deleted the day its gap test fails. Where two replace the same function, the later one wraps
the earlier one.
"""

IN_ORDER = (
    "lambda_runtime",
    "state_language",
    "machine_role",
    "distributed_map",
    "machine_timeout",
    "update_lets_invocations_end",
    "pipe_to_event_bus",
    "loopback_is_tls",
    "denial_names_resource",
    "mail_has_a_sender",
    "missing_key_is_403",
    "entity_too_small",
    "full_object_checksums",
    "sam_parameters",
    "imported_openapi",
    "api_links",
    "failed_integration_is_502",
)


def named(names: str) -> list[str]:
    """The patches a command line names, in order: `all`, `none`, or names separated by commas."""
    wanted = {"all": set(IN_ORDER), "none": set[str]()}.get(names, set(names.split(",")))
    if unknown := wanted.difference(IN_ORDER):
        raise SystemExit(f"no such patch: {', '.join(sorted(unknown))}; there are {', '.join(IN_ORDER)}")
    return [name for name in IN_ORDER if name in wanted]
