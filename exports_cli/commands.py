"""The commands of `exports`."""

from __future__ import annotations

import datetime
import json
import re
import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click

from exports_cli import cognito, download, follow, listing, places, session, text
from exports_cli.api import ACTIVE, STATUSES, Answer, Api, Export
from exports_cli.parameters import given, keys, names, typed
from exports_cli.places import Place
from exports_cli.session import Session
from exports_cli.trouble import NoFile, Refused, StackGone, Trouble

F = TypeVar("F", bound=Callable[..., Any])
_LISTED = 20
_SEARCHED = 1000
_SHORT_ID = re.compile(rf"[0-9a-f-]{{{listing.SHORT},35}}")  # shorter than an id, which has 36 characters

_STATUS = """\b
Exit status:
  0    success
  1    the command failed, or the API refused it
  2    wrong options or arguments
  3    the export has no file
  4    not signed in, or the session has ended
  5    busy or not reachable: try again later
  130  interrupted
"""


class Interrupted(Trouble):
    """The user pressed Ctrl-C. The message says what continues, and how to return to it."""

    exit_code = 130


class Command(click.Command):
    """A command that reports an error as text or JSON, and exits with the status of the error."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except Trouble as trouble:
            message = trouble.as_json() if ctx.params.get("as_json") else f"exports: {trouble}"
            click.echo(message, err=True)
            ctx.exit(trouble.exit_code)
        except KeyboardInterrupt:
            ctx.exit(Interrupted.exit_code)
        except BrokenPipeError:
            raise
        except OSError as error:  # a file of the user cannot be read or written
            click.echo(f"exports: {error}", err=True)
            ctx.exit(1)


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=_STATUS)
@click.option(
    "--profile",
    metavar="NAME",
    default="default",
    show_default=True,
    envvar="EXPORTS_PROFILE",
    help="The session to use. Each profile keeps one session.",
    callback=lambda _context, _parameter, name: _profile(name),
)
@click.pass_context
def exports(context: click.Context, profile: str) -> None:
    """Exports reports to files.

    Sign in once. Then `exports run REPORT` requests an export, waits for it and saves the file. EXPORT is the id of an
    export, or the last 8 or more characters of its id. With --json, standard output and errors are JSON.
    """
    context.obj = profile


def _profile(name: str) -> str:
    if not name.replace("-", "").replace("_", "").isalnum():
        raise click.BadParameter(f"{name!r} is not a valid name. Use letters, digits, - and _.")
    return name


def _command(name: str) -> Callable[[Callable[..., None]], click.Command]:
    return exports.command(name, cls=Command)


as_json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON, for scripts.")
export_argument = click.argument("export_id", metavar="EXPORT")


def _downloading(command: F) -> F:
    """Adds the options of the commands that save a file."""
    options = (
        click.option("--wait/--no-wait", default=True, help="Whether to wait for the export and save its file."),
        click.option(
            "-o",
            "--output",
            type=click.Path(path_type=Path),
            help="The file or the folder to write to.  [default: the export's file name, in the current folder]",
        ),
        click.option("--force", is_flag=True, help="Replace an existing file."),
        as_json_option,
        click.pass_obj,
    )
    for option in reversed(options):
        command = option(command)
    return command


# ── Signing in ──────────────────────────────────────────────────────────────────────────────────────────────────────


@_command("sign-in")
@click.option("--stack", metavar="NAME", help="The name of a stack that your AWS credentials can describe.")
@click.option("--api-url", metavar="URL", help="The stack's output ApiUrl. Requires --client-id.")
@click.option("--client-id", metavar="ID", help="The stack's output UserPoolClientId. Requires --api-url.")
@click.option("--region", help="The Region of the user pool, if the address of the API does not contain it.")
@click.option("--emulator", is_flag=True, help="The stack that `make up` has started (.local/stack.json).")
@click.option("--tenant", help="With --emulator: sign in as the user that `make up` created for this tenant.")
@click.option("--email", help="The e-mail address of the user.  [default: prompt]")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.  [default: prompt]")
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
    """Signs in and saves the session for the other commands.

    Name the stack with --stack, with --api-url and --client-id, or with --emulator. If you have signed in before, you
    can omit it. The session is saved in a file of mode 0600. The password is not saved.
    """
    if sum((stack is not None, api_url is not None or client_id is not None, emulator)) > 1:
        raise click.UsageError("Use only one of --stack, --api-url with --client-id, and --emulator.")
    if (api_url is None) != (client_id is None):
        raise click.UsageError("Use --api-url and --client-id together.")
    if tenant and (not emulator or email):
        raise click.UsageError("Use --tenant with --emulator and without --email.")
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
        raise click.UsageError("Name the stack: use --stack, --api-url with --client-id, or --emulator.")
    email = email or str(click.prompt("E-mail", default=before["email"] if before else None, err=True))
    if password is None:
        password = sys.stdin.readline().rstrip("\r\n") if password_stdin else _prompt_for_password()
    saved = session.save(profile, session.begun(place, email, cognito.sign_in(place, email, password)))
    click.echo(f"Signed in to {place['api_url']} as {email}. The session is saved in {saved}.", err=True)


def _user_of(tenant: str, users: dict[str, dict[str, str]]) -> tuple[str, str]:
    if tenant not in users:
        raise click.BadParameter(f"The tenant {tenant} has no user. These tenants have one: {', '.join(users)}.")
    return users[tenant]["email"], users[tenant]["password"]


def _prompt_for_password() -> str:
    return str(click.prompt("Password", hide_input=True, err=True))


@_command("sign-out")
@click.pass_obj
def sign_out(profile: str) -> None:
    """Ends the session. Cognito revokes its refresh token, and its file is removed.

    A copy of the ID token stays valid until it expires, at most one hour later.
    """
    try:
        ended = session.load(profile)
    finally:  # also if the file is damaged
        session.forget(profile)
    if ended is None:
        click.echo("You were not signed in.", err=True)
        return
    try:
        with suppress(StackGone):
            cognito.revoke(ended, ended["refresh_token"])
    except Trouble as trouble:
        raise type(trouble)(f"The session file was removed, but the session is not revoked. {trouble}") from trouble
    click.echo(f"Signed out {ended['email']}.", err=True)


# ── Reports and exports ─────────────────────────────────────────────────────────────────────────────────────────────


@_command("reports")
@click.argument("report", required=False)
@as_json_option
@click.pass_obj
def reports(profile: str, *, report: str | None, as_json: bool) -> None:
    """Lists the reports. With REPORT, shows how to request that report, and its columns."""
    deployed = Api(session.current(profile)).reports()
    if report is None:
        if not _show(deployed, as_json=as_json):
            _print(text.table(["report", "title", "formats"], [_report_row(each) for each in deployed]))
        return
    one = next((each for each in deployed if each["id"] == report), None)
    if one is None:
        names = ", ".join(each["id"] for each in deployed) or "none"
        raise Trouble(f"There is no report {report!r}. The reports are: {names}.")
    if _show(one, as_json=as_json):
        return
    _print(f"{one['id']}: {text.line(one['title'])}")
    if one["description"]:
        _print(text.line(one["description"]))
    for title, shown in (
        ("Parameters (-p name=value)", _parameters(one["parameters"])),
        ("Formats (-f)", ", ".join(each["name"] for each in one["formats"])),
        ("Options (--option name=value)", _options(one["formats"])),
        ("Columns (--columns)", text.table(["name", "type", "title"], [_column_row(each) for each in one["columns"]])),
        ("Columns to sort by (--sort)", ", ".join(one.get("sortable", [])) or "none"),
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


def _options(formats: list[dict[str, Any]]) -> Any:
    """One row for each option; formats that have the same option share its row."""
    options: dict[str, tuple[str, dict[str, Any], list[str]]] = {}
    for each in formats:
        for name, option in each["options"]["properties"].items():
            options.setdefault(json.dumps([name, option]), (name, option, []))[2].append(each["name"])
    rows = [
        [
            name,
            _kind(option),
            text.values({name: option["default"]}) if "default" in option else "",
            "all" if 1 < len(names) == len(formats) else ", ".join(names),
            option.get("title", ""),
        ]
        for name, option, names in options.values()
    ]
    return text.table(["name", "value", "default", "formats", "meaning"], rows)


def _kind(schema: dict[str, Any]) -> str:
    """The allowed values, in short."""
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if "enum" in schema:
        values = (text.plain(value) for value in schema["enum"])
        return " | ".join(f'"{value}"' if "|" in value else value for value in values)
    return str(schema.get("pattern") or schema.get("format") or schema.get("type") or "any")


def _default(schema: dict[str, Any]) -> str:
    return f"default {text.plain(schema['default'])}" if "default" in schema else "optional"


@_command("list")
@click.option("--status", type=click.Choice(STATUSES, case_sensitive=False), help="Only exports of this status.")
@click.option("-n", "--limit", type=click.IntRange(min=1), help=f"At most this many exports.  [default: {_LISTED}]")
@click.option("--all", "everything", is_flag=True, help="All exports.")
@as_json_option
@click.pass_obj
def list_exports(profile: str, *, status: str | None, limit: int | None, everything: bool, as_json: bool) -> None:
    """Lists your exports, newest first.

    Each export is one line. In a narrow terminal, the first column is the last 8 characters of the id. Every command
    accepts them as EXPORT.
    """
    if limit and everything:
        raise click.UsageError("Use only one of --limit and --all.")
    wanted = None if everything else limit or _LISTED
    newest, is_last = _newest(Api(session.current(profile)), status, wanted)
    if _show(newest[:wanted], as_json=as_json):
        return
    if not newest:
        click.echo(f"You have no {status} exports." if status else "You have no exports.")
        return
    for each in listing.lines(newest[:wanted], text.width(), datetime.datetime.now(datetime.UTC)):
        click.echo(each)
    if wanted is not None and (more := _more(len(newest) - wanted, is_last=is_last)):
        narrowed = f" --status {status.lower()}" if status else ""
        click.echo(f"{more} To list all: exports list{narrowed} --all", err=True)


def _newest(api: Api, status: str | None, wanted: int | None) -> tuple[list[Export], bool]:
    """Reads whole pages until there are at least ``wanted`` exports. Returns them, and whether they are all."""
    newest: list[Export] = []
    for page in api.pages(status):
        newest += page.exports
        if page.is_last:
            return newest, True
        if wanted is not None and len(newest) >= wanted:
            break
    return newest, False


def _more(known: int, *, is_last: bool) -> str:
    """How many exports are not shown. The API gives no total, so of later pages only their existence is known."""
    if known > 0:
        return f"{'' if is_last else 'At least '}{known} more {'export' if known == 1 else 'exports'}."
    return "" if is_last else "There may be more exports."


@_command("show")
@export_argument
@as_json_option
@click.pass_obj
def show(profile: str, *, export_id: str, as_json: bool) -> None:
    """Shows one export.

    Prints the request, the progress, the file, and why the export failed.
    """
    api = Api(session.current(profile))
    export = api.export(_whole_id(api, export_id)).body
    if not _show(export, as_json=as_json):
        _print("\n".join(f"{name:<11}{value}" for name, value in text.pairs(export)))


def _whole_id(api: Api, text_of_id: str) -> str:
    """The id of the user's export that ends with this text; a whole id, or what is no part of one, as it is.

    Raises:
        Trouble: no export ends with it, or several do.
    """
    if not _SHORT_ID.fullmatch(text_of_id):
        return text_of_id
    newest, is_last = _newest(api, None, _SEARCHED)
    matching = [each["id"] for each in newest if each["id"].endswith(text_of_id)]
    if len(matching) == 1:
        return str(matching[0])
    if matching:
        raise Trouble(f"{len(matching)} exports end with {text_of_id}: {', '.join(matching)}. Give the whole id.")
    searched = "exports" if is_last else f"{len(newest):,} newest exports"
    raise Trouble(f"None of your {searched} has an id that ends with {text_of_id}. To list them: exports list --all")


# ── Commands that change something ──────────────────────────────────────────────────────────────────────────────────


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
    help="A parameter of the report. Repeat it for more; repeat a name if the parameter takes a list.",
)
@click.option(
    "--option",
    "options",
    metavar="NAME=VALUE",
    multiple=True,
    callback=given,
    help="An option of the format. Repeat it for more.",
)
@click.option(
    "--columns",
    metavar="NAME,…",
    callback=names,
    help="The columns of the file, in this order.  [default: all columns of the report]",
)
@click.option(
    "--sort",
    metavar="[-]NAME,…",
    callback=keys,
    help="Sort the rows by these columns; a minus means descending.  [default: the order of the report]",
)
@click.option(
    "--idempotency-key",
    metavar="KEY",
    help="All runs with the same key within 24 hours are one export.  [default: a new key]",
)
@_downloading
def run(
    profile: str,
    *,
    report: str,
    file_format: str,
    parameters: dict[str, list[str]],
    options: dict[str, list[str]],
    columns: list[str] | None,
    sort: list[dict[str, Any]] | None,
    idempotency_key: str | None,
    wait: bool,
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Requests an export, waits for it and saves its file.

    `exports reports REPORT` shows the parameters, the options, the columns, and by which of them you can sort. Ctrl-C
    does not stop the export.
    """
    _refuse_output_without_waiting(output, wait=wait)
    if output:  # with a key, an existing file may be this export's, from an earlier run
        download.refuse(output, force=force or idempotency_key is not None)
    api = Api(session.current(profile))
    definition = next((each for each in api.reports() if each["id"] == report), None)
    formats = {each["name"]: each["options"] for each in definition["formats"]} if definition else {}
    body: dict[str, Any] = {
        "report": report,
        "format": file_format,
        "parameters": typed(parameters, definition["parameters"] if definition else {}),
        "options": typed(options, formats.get(file_format, {})),
    }
    body |= {name: value for name, value in (("columns", columns), ("sort", sort)) if value is not None}
    answer = api.request(body, idempotency_key)
    if answer.replayed:
        click.echo("An earlier run with this key requested the same export.", err=True)
    _finish(api, answer, output, wait=wait, force=force, as_json=as_json)


@_command("retry")
@export_argument
@_downloading
def retry(profile: str, *, export_id: str, wait: bool, output: Path | None, force: bool, as_json: bool) -> None:
    """Starts another attempt at an export that is FAILED or CANCELLED. Finished parts are kept."""
    _refuse_output_without_waiting(output, wait=wait)
    if output:
        download.refuse(output, force=force)
    api = Api(session.current(profile))
    _finish(api, api.retry(_whole_id(api, export_id)), output, wait=wait, force=force, as_json=as_json)


@_command("download")
@export_argument
@_downloading
def download_file(profile: str, *, export_id: str, wait: bool, output: Path | None, force: bool, as_json: bool) -> None:
    """Saves the file of an export. Waits until the export has ended, unless you use --no-wait.

    Resumes an interrupted download. The file gets its name after its size and CRC-32 are verified.
    """
    api = Api(session.current(profile))
    answer = api.export(_whole_id(api, export_id))
    if answer.body["status"] in ACTIVE and not wait:
        raise NoFile(f"The export is {answer.body['status']} and has no file yet.")
    _finish(api, answer, output, wait=True, force=force, as_json=as_json)


@_command("cancel")
@export_argument
@as_json_option
@click.pass_obj
def cancel(profile: str, *, export_id: str, as_json: bool) -> None:
    """Cancels an export that is QUEUED or RUNNING."""
    api = Api(session.current(profile))
    export = api.cancel(_whole_id(api, export_id)).body
    if not _show(export, as_json=as_json):
        _print(f"{export['id']} is {export['status']}.")


def _refuse_output_without_waiting(output: Path | None, *, wait: bool) -> None:
    if output and not wait:
        raise click.UsageError("--no-wait saves no file. Omit --output, and use `exports download` later.")


def _finish(api: Api, answer: Answer, output: Path | None, *, wait: bool, force: bool, as_json: bool) -> None:
    """Waits for an export and saves its file. With ``wait=False``, prints the command that does so."""
    export: Export = answer.body
    if not wait:
        if not _show(export, as_json=as_json):
            _print(export["id"])
        command = f"exports download {export['id']}"
        click.echo(f"The export is {export['status']}. To wait for its file: {command}", err=True)
        return
    go_on = _to_go_on(export, output, force=force)
    try:
        export = follow.until_ended(api, answer)
    except KeyboardInterrupt:
        message = f"{export['id']} continues. To cancel it: exports cancel {export['id']}"
        raise Interrupted(message).of(export["id"], go_on) from None
    except Trouble as trouble:
        _add_export(trouble, export, go_on)
        raise
    if export["status"] != "SUCCEEDED":
        if as_json:
            _show(export, as_json=True)
        reasons = "\n".join(f"  {name:<11}{value}" for name, value in text.pairs(export) if name in _OF_A_FAILURE)
        raise NoFile(f"{export['id']} is {export['status']}." + (f"\n{reasons}" if reasons else ""))
    try:
        with follow.downloading(export) as bar:
            saved = download.save(api, export, output, bar, force=force)
    except KeyboardInterrupt:
        raise Interrupted("The partial file is kept.").of(export["id"], go_on) from None
    except Trouble as trouble:
        _add_export(trouble, export, go_on)
        raise
    except OSError as error:  # the file cannot be written, for example because the disk is full
        raise Trouble(str(error)).of(export["id"], go_on) from error
    if not _show(export | {"file": str(saved.path)}, as_json=as_json):
        _print(f"{saved.path}: {text.size(export)}{', unchanged' if saved.before else ''}")


_OF_A_FAILURE = ("failed in", "error", "detail", "retry", "remedy")


def _to_go_on(export: Export, output: Path | None, *, force: bool) -> str:
    where = f" -o {shlex.quote(str(output))}" if output else ""
    return f"To continue: exports download {export['id']}{where}{' --force' * force}"


def _add_export(trouble: Trouble, export: Export, go_on: str) -> None:
    """Adds the next command to an error that leaves an export behind: `show` if the API refuses to continue."""
    final = isinstance(trouble, Refused) and trouble.exit_code == Refused.exit_code
    trouble.of(export["id"], f"To see it: exports show {export['id']}" if final else go_on)


def _show(value: Any, *, as_json: bool) -> bool:
    """Writes JSON if ``as_json``, and returns ``as_json``."""
    if as_json:
        click.echo(json.dumps(value, indent=2, ensure_ascii=False))
    return as_json


def _print(shown: Any) -> None:
    text.console().print(shown)
