"""What `exports` can do."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import click

from exports_cli import cognito, download, follow, places, session, text
from exports_cli.api import ACTIVE, STATUSES, Answer, Api, Export
from exports_cli.parameters import given, typed
from exports_cli.places import Place
from exports_cli.session import Session
from exports_cli.trouble import NoFile, Refused, StackGone, Trouble

F = TypeVar("F", bound=Callable[..., Any])


_STATUS = """\b
Exit status:
  0    done
  1    refused, or could not be done
  2    called wrongly
  3    the export has ended without a file
  4    sign in (again)
  5    busy or out of reach: try again later
  130  interrupted
"""


class Interrupted(Trouble):
    """Ctrl-C; what goes on, and how to come back to it."""

    exit_code = 130


class Command(click.Command):
    """One that ends by the status of its trouble, and tells it as it was asked to: in words, or as JSON."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs it."""
        try:
            return super().invoke(ctx)
        except Trouble as trouble:
            words = trouble.as_json() if ctx.params.get("as_json") else f"exports: {trouble}"
            click.echo(words, err=True)
            ctx.exit(trouble.exit_code)
        except KeyboardInterrupt:
            ctx.exit(Interrupted.exit_code)
        except BrokenPipeError:
            raise
        except OSError as error:  # of a file of the user's
            click.echo(f"exports: {error}", err=True)
            ctx.exit(1)


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=_STATUS)
@click.option(
    "--profile",
    metavar="NAME",
    default="default",
    show_default=True,
    envvar="EXPORTS_PROFILE",
    help="Whose session to use, where one signs in to several stacks.",
    callback=lambda _context, _parameter, name: _profile(name),
)
@click.pass_context
def exports(context: click.Context, profile: str) -> None:
    """Exports reports to files: request, watch, download.

    Sign in once; then `exports run REPORT` requests an export, waits for it and saves the file. With --json, standard
    output is JSON, and so is an error on standard error.
    """
    context.obj = profile


def _profile(name: str) -> str:
    if not name.replace("-", "").replace("_", "").isalnum():
        raise click.BadParameter(f"{name!r} is no name: letters, digits, - and _ are allowed.")
    return name


def _command(name: str) -> Callable[[Callable[..., None]], click.Command]:
    return exports.command(name, cls=Command)


as_json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON, for scripts.")
export_argument = click.argument("export_id", metavar="EXPORT")


def _downloading(command: F) -> F:
    """The options of whoever waits for a file."""
    options = (
        click.option("--wait/--no-wait", default=True, help="Whether to wait for the export and save its file."),
        click.option(
            "-o",
            "--output",
            type=click.Path(path_type=Path),
            help="The file to write, or the folder to write it to.  [default: the export's own name, here]",
        ),
        click.option("--force", is_flag=True, help="Replace a file of that name."),
        as_json_option,
        click.pass_obj,
    )
    for option in reversed(options):
        command = option(command)
    return command


# ── Who, and where ──────────────────────────────────────────────────────────────────────────────────────────────────


@_command("sign-in")
@click.option("--stack", metavar="NAME", help="A stack that the environment's AWS credentials may describe.")
@click.option("--api-url", metavar="URL", help="The stack's output ApiUrl; with --client-id.")
@click.option("--client-id", metavar="ID", help="The stack's output UserPoolClientId; with --api-url.")
@click.option("--region", help="The Region of the user pool, where the address of the API does not say it.")
@click.option("--emulator", is_flag=True, help="The stack of .local/stack.json, which `make up` has started.")
@click.option("--tenant", help="With --emulator: as the user of this tenant that `make up` has made.")
@click.option("--email", help="Who signs in.  [default: asked for]")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.  [default: asked for]")
@click.pass_obj
def sign_in(
    profile: str,
    *,
    stack: str | None,
    api_url: str | None,
    client_id: str | None,
    region: str | None,
    emulator: bool,
    tenant: str | None,
    email: str | None,
    password_stdin: bool,
) -> None:
    """Signs in, and keeps the session for the other commands.

    Say which stack: --stack, --api-url with --client-id, or --emulator. Who has signed in before may leave it out. The
    session lies in a file of mode 0600; the password is kept nowhere.
    """
    if sum((stack is not None, api_url is not None or client_id is not None, emulator)) > 1:
        raise click.UsageError("Say one of --stack, --api-url with --client-id, and --emulator.")
    if (api_url is None) != (client_id is None):
        raise click.UsageError("--api-url and --client-id go together.")
    if tenant and (not emulator or email):
        raise click.UsageError("--tenant goes with --emulator, and without --email.")
    before: Session | None = None
    password: str | None = None
    if emulator:
        place, users = places.local()
        if tenant:
            email, password = _user_of(tenant, users)
    elif stack:
        place = places.of_stack(stack, region)
    elif api_url and client_id:
        place = places.said(api_url, client_id, region)
    elif before := session.readable(profile):
        place = Place(api_url=before["api_url"], client_id=before["client_id"], cognito_url=before["cognito_url"])
    else:
        raise click.UsageError("Say which stack: --stack, --api-url with --client-id, or --emulator.")
    email = email or str(click.prompt("E-mail", default=before["email"] if before else None, err=True))
    if password is None:
        password = sys.stdin.readline().rstrip("\r\n") if password_stdin else _asked()
    kept = session.save(profile, session.begun(place, email, cognito.sign_in(place, email, password)))
    click.echo(f"Signed in to {place['api_url']} as {email}; the session is kept in {kept}.", err=True)


def _user_of(tenant: str, users: dict[str, dict[str, str]]) -> tuple[str, str]:
    if tenant not in users:
        raise click.BadParameter(f"There is no user of {tenant}; there are users of {', '.join(users)}.")
    return users[tenant]["email"], users[tenant]["password"]


def _asked() -> str:
    return str(click.prompt("Password", hide_input=True, err=True))


@_command("sign-out")
@click.pass_obj
def sign_out(profile: str) -> None:
    """Ends the session: Cognito revokes its refresh token, and its file is removed.

    An ID token that somebody has copied stays good until it expires, within the hour.
    """
    try:
        found = session.load(profile)
    finally:  # also one that cannot be read
        session.forget(profile)
    if found is None:
        click.echo("Nobody was signed in.", err=True)
        return
    try:
        with suppress(StackGone):
            cognito.revoke(found, found["refresh_token"])
    except Trouble as trouble:
        raise type(trouble)(f"The session was removed here, but is not revoked. {trouble}") from trouble
    click.echo(f"Signed out {found['email']}.", err=True)


# ── What there is ───────────────────────────────────────────────────────────────────────────────────────────────────


@_command("reports")
@click.argument("report", required=False)
@as_json_option
@click.pass_obj
def reports(profile: str, *, report: str | None, as_json: bool) -> None:
    """Lists the reports; of one that is named, its parameters, formats and columns."""
    found = Api(session.current(profile)).reports()
    if report is None:
        if not _show(found, as_json=as_json):
            _print(text.table(["report", "title", "formats"], [_report_row(each) for each in found]))
        return
    one = next((each for each in found if each["id"] == report), None)
    if one is None:
        raise Trouble(f"There is no report {report!r}; there are {', '.join(each['id'] for each in found) or 'none'}.")
    if _show(one, as_json=as_json):
        return
    _print(f"{one['id']}: {text.line(one['title'])}")
    if one["description"]:
        _print(text.line(one["description"]))
    for title, shown in (
        ("Parameters (-p name=value)", _parameters(one["parameters"])),
        ("Formats (--format) and options (--option name=value)", _formats(one["formats"])),
        ("Columns", text.table(["name", "type", "title"], [_column_row(each) for each in one["columns"]])),
    ):
        _print("")
        _print(title)
        _print(shown)


def _report_row(report: dict[str, Any]) -> list[str]:
    return [report["id"], report["title"], ", ".join(each["name"] for each in report["formats"])]


def _column_row(column: dict[str, Any]) -> list[str]:
    return [column["name"], column["type"], column["title"]]


def _parameters(schema: dict[str, Any]) -> Any:
    required = schema.get("required", [])
    rows = [
        [
            name,
            _kind(each),
            "required" if name in required else _default(each),
            each.get("description") or each["title"],
        ]
        for name, each in schema["properties"].items()
    ]
    return text.table(["name", "value", "", "meaning"], rows)


def _formats(formats: list[dict[str, Any]]) -> Any:
    rows = [
        [
            each["name"],
            ", ".join(f"{name} ({_kind(o)}, {_default(o)})" for name, o in each["options"]["properties"].items()),
        ]
        for each in formats
    ]
    return text.table(["format", "options"], rows)


def _kind(schema: dict[str, Any]) -> str:
    """What a value may be, in few words."""
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if "enum" in schema:
        return " | ".join(text.plain(value) for value in schema["enum"])
    return str(schema.get("pattern") or schema.get("format") or schema.get("type") or "any")


def _default(schema: dict[str, Any]) -> str:
    return f"default {text.plain(schema['default'])}" if "default" in schema else "optional"


@_command("list")
@click.option("--status", type=click.Choice(STATUSES, case_sensitive=False), help="Only those of this status.")
@click.option("-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many at most.")
@as_json_option
@click.pass_obj
def list_exports(profile: str, *, status: str | None, limit: int, as_json: bool) -> None:
    """Lists your exports, newest first."""
    found = list(islice(Api(session.current(profile)).exports(status), limit))
    if _show(found, as_json=as_json):
        return
    rows = [
        [each["id"], each["created_at"], each["report"], each["format"], each["status"], _state(each)] for each in found
    ]
    head = ["export", "created", "report", "format", "status", ""]
    _print(text.table(head, rows) if rows else "There are no such exports.")


def _state(export: Export) -> str:
    if export["error"]:
        return str(export["error"]["title"])
    return text.size(export) or text.parts(export)


@_command("show")
@export_argument
@as_json_option
@click.pass_obj
def show(profile: str, *, export_id: str, as_json: bool) -> None:
    """Shows one export: what was asked for, how far it is, why it failed."""
    export = Api(session.current(profile)).export(export_id).body
    if not _show(export, as_json=as_json):
        _print("\n".join(f"{name:<11}{value}" for name, value in text.pairs(export)))


# ── What can be done ────────────────────────────────────────────────────────────────────────────────────────────────


@_command("run")
@click.argument("report")
@click.option("-f", "--format", "file_format", required=True, help="The format of the file, such as csv or xlsx.")
@click.option(
    "-p",
    "--parameter",
    "parameters",
    metavar="NAME=VALUE",
    multiple=True,
    callback=given,
    help="Repeatable; with one name, where the parameter takes a list.",
)
@click.option("--option", "options", metavar="NAME=VALUE", multiple=True, callback=given, help="Repeatable.")
@click.option(
    "--idempotency-key",
    metavar="KEY",
    help="Makes one export of every run with this key within a day.  [default: a new key]",
)
@_downloading
def run(
    profile: str,
    *,
    report: str,
    file_format: str,
    parameters: dict[str, list[str]],
    options: dict[str, list[str]],
    idempotency_key: str | None,
    wait: bool,
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Requests an export, waits for it, and saves its file.

    `exports reports REPORT` says which parameters and options there are. Ctrl-C leaves the export running.
    """
    _refuse_output_without_waiting(output, wait=wait)
    if output:  # with a key, a file that is there may be the very export, from an earlier run
        download.refuse(output, force=force or idempotency_key is not None)
    api = Api(session.current(profile))
    found = next((each for each in api.reports() if each["id"] == report), None)
    formats = {each["name"]: each["options"] for each in found["formats"]} if found else {}
    body = {
        "report": report,
        "format": file_format,
        "parameters": typed(parameters, found["parameters"] if found else {}),
        "options": typed(options, formats.get(file_format, {})),
    }
    answer = api.request(body, idempotency_key)
    if answer.replayed:
        click.echo("An earlier run with this key has requested it already.", err=True)
    _finish(api, answer, output, wait=wait, force=force, as_json=as_json)


@_command("retry")
@export_argument
@_downloading
def retry(profile: str, *, export_id: str, wait: bool, output: Path | None, force: bool, as_json: bool) -> None:
    """Makes another attempt at an export that is FAILED or CANCELLED; parts that are finished are kept."""
    _refuse_output_without_waiting(output, wait=wait)
    if output:
        download.refuse(output, force=force)
    api = Api(session.current(profile))
    _finish(api, api.retry(export_id), output, wait=wait, force=force, as_json=as_json)


@_command("download")
@export_argument
@_downloading
def download_file(profile: str, *, export_id: str, wait: bool, output: Path | None, force: bool, as_json: bool) -> None:
    """Saves the file of an export; waits for one that is not finished, unless --no-wait.

    Goes on where an earlier download stopped. The file gets its name once its size and CRC-32 are those of the export.
    """
    api = Api(session.current(profile))
    answer = api.export(export_id)
    if answer.body["status"] in ACTIVE and not wait:
        raise NoFile(f"The export is {answer.body['status']}: there is no file yet.")
    _finish(api, answer, output, wait=True, force=force, as_json=as_json)


@_command("cancel")
@export_argument
@as_json_option
@click.pass_obj
def cancel(profile: str, *, export_id: str, as_json: bool) -> None:
    """Cancels an export that is queued or running."""
    answer = Api(session.current(profile)).cancel(export_id)
    if not _show(answer.body, as_json=as_json):
        _print(f"{export_id} is {answer.body['status']}.")


def _refuse_output_without_waiting(output: Path | None, *, wait: bool) -> None:
    if output and not wait:
        raise click.UsageError("--no-wait saves no file: leave --output out, and use `exports download` later.")


def _finish(api: Api, answer: Answer, output: Path | None, *, wait: bool, force: bool, as_json: bool) -> None:
    """Waits for an export and saves its file; or says how to, where that is not wanted."""
    export: Export = answer.body
    if not wait:
        if not _show(export, as_json=as_json):
            _print(export["id"])
        click.echo(f"It is {export['status']}. To wait for its file: exports download {export['id']}", err=True)
        return
    go_on = _to_go_on(export, output, force=force)
    try:
        export = follow.until_ended(api, answer)
    except KeyboardInterrupt:
        what = f"{export['id']} goes on without you. To stop it: exports cancel {export['id']}"
        raise Interrupted(what).of(export["id"], go_on) from None
    except Trouble as trouble:
        _add_export(trouble, export, go_on)
        raise
    if export["status"] != "SUCCEEDED":
        if as_json:
            _show(export, as_json=True)
        words = "\n".join(f"  {name:<11}{value}" for name, value in text.pairs(export) if name in _OF_A_FAILURE)
        raise NoFile(f"{export['id']} is {export['status']}." + (f"\n{words}" if words else ""))
    try:
        with follow.downloading(export) as bar:
            saved = download.save(api, export, output, bar, force=force)
    except KeyboardInterrupt:
        raise Interrupted("What has come is kept.").of(export["id"], go_on) from None
    except Trouble as trouble:
        _add_export(trouble, export, go_on)
        raise
    except OSError as error:  # of the file, such as a full disk
        raise Trouble(str(error)).of(export["id"], go_on) from error
    if not _show(export | {"file": str(saved.path)}, as_json=as_json):
        _print(f"{saved.path}: {text.size(export)}{', as it was before' if saved.before else ''}")


_OF_A_FAILURE = ("failed in", "error", "detail", "retry", "remedy")


def _to_go_on(export: Export, output: Path | None, *, force: bool) -> str:
    where = f" -o {shlex.quote(str(output))}" if output else ""
    return f"To go on: exports download {export['id']}{where}{' --force' * force}"


def _add_export(trouble: Trouble, export: Export, go_on: str) -> None:
    """Of a trouble that leaves an export behind: how to come back to it, or to look at it where that would not help."""
    final = isinstance(trouble, Refused) and trouble.exit_code == Refused.exit_code
    trouble.of(export["id"], f"To look at it: exports show {export['id']}" if final else go_on)


def _show(found: Any, *, as_json: bool) -> bool:
    """Writes JSON where it is wanted; whether it was."""
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    return as_json


def _print(shown: Any) -> None:
    text.console().print(shown)
