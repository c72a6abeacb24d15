"""Reads the architecture of the working tree or of a revision of git."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

import yaml

from architecture.model import MACHINES, Architecture
from checks.repository import ROOT, Document

TEMPLATE = "template.yaml"
CONFIG = "samconfig.toml"
REPORTS = "reports"
OTHER_TEMPLATES = ("deploy/roles.yaml",)
"""Templates of stacks of their own. They have no state machines."""


class Unreadable(Exception):
    """A revision cannot be compared. The message says why, and what to do."""


def current() -> Architecture:
    """The architecture of the working tree.

    Raises:
        Unreadable: a file is missing or wrong.
    """
    files = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / REPORTS).glob("*.yaml"))
    return _read("this checkout", _text_of_file, files)


def pairs(base: str, head: str = "") -> Iterator[tuple[Architecture, Architecture]]:
    """Each template of two revisions. A template that one of them lacks has no resources.

    Args:
        base: a revision.
        head: another one; if empty, the working tree.

    Raises:
        Unreadable: there is no such revision, a file is wrong, or one of the two has no template.yaml.
    """
    yield at(base), at(head) if head else current()
    for file in OTHER_TEMPLATES:
        yield _other(_text_at(base, file), file), _other(_text_at(head, file), file)


def _text_at(revision: str, file: str) -> str:
    """A file of a revision or, if that is empty, of the working tree; empty if there is none."""
    if not revision:
        return _text_of_file(file) if (ROOT / file).exists() else ""
    return git("show", f"{revision}:{file}") if _succeeds("cat-file", "-e", f"{revision}:{file}") else ""


def _other(text: str, file: str) -> Architecture:
    try:
        return Architecture(text or "Resources: {}", {}, file=file)
    except (yaml.YAMLError, ValueError) as error:
        raise Unreadable(f"{file} cannot be compared: {error}") from error


def at(revision: str) -> Architecture:
    """The architecture of a revision.

    Raises:
        Unreadable: there is no such revision, or it has no template, or a file of it is wrong.
    """
    listed = git("ls-tree", "--name-only", "-z", revision, f"{REPORTS}/").split("\0")
    files = [each for each in listed if each.endswith(".yaml")]
    return _read(revision, lambda path: git("show", f"{revision}:{path}"), files)


def base_of(name: str, head: str = "") -> str:
    """The commit at which a revision left a branch: what a pull request compares with.

    If ``head`` is older than ``name``, it is what a rollback deploys. A rollback compares with what it takes back.

    Args:
        name: a branch, a tag or a commit. If it is a branch that exists only at the remote, that one counts.
        head: the revision that left it; if empty, that of this checkout.

    Returns:
        The full id of the commit.

    Raises:
        Unreadable: there is no such revision, or nothing in common with it.
    """
    base, other = commit(name), commit(head or "HEAD")
    try:
        left = git("merge-base", base, other).strip()
    except Unreadable as error:
        remedy = "A shallow clone lacks it: git fetch --unshallow"
        raise Unreadable(f"{name} and {head or 'HEAD'} have no commit in common. {remedy}") from error
    return base if head and left == other else left


def commit(name: str) -> str:
    """The full id of the commit of a branch, here or at the remote, of a tag or of a commit.

    Raises:
        Unreadable: there is none.
    """
    for each in (name, f"origin/{name}"):
        try:
            return git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{each}^{{commit}}").strip()
        except Unreadable:
            continue
    remedy = "Name a branch, a tag or a commit: make architecture-diff BASE=…"
    raise Unreadable(f"git knows neither {name} nor origin/{name}. Fetch it (git fetch origin). {remedy}")


def changed(base: str, head: str, *folders: str) -> list[str]:
    """The files in some folders that differ between two revisions.

    Args:
        base: a revision.
        head: another one; if empty, the working tree, with its new files.
        folders: relative to the root.
    """
    tracked = git("diff", "--name-only", "-z", base, *([head] if head else []), "--", *folders).split("\0")
    new = [] if head else git("ls-files", "--others", "--exclude-standard", "-z", "--", *folders).split("\0")
    return sorted({*tracked, *new} - {""})


def git(*arguments: str) -> str:
    """The output of git.

    Raises:
        Unreadable: git failed, or is not installed.
    """
    try:
        run = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    except FileNotFoundError as error:
        raise Unreadable("git is not installed.") from error
    if run.returncode:
        raise Unreadable(f"git {arguments[0]} failed: {run.stderr.strip()}")
    return run.stdout


def _succeeds(*arguments: str) -> bool:
    try:
        git(*arguments)
    except Unreadable:
        return False
    return True


def _text_of_file(path: str) -> str:
    try:
        return (ROOT / path).read_text("utf-8")
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}") from error


def _read(name: str, text_of: Callable[[str], str], reports: list[str]) -> Architecture:
    try:
        template = text_of(TEMPLATE)
        definitions = {uri: text_of(uri) for uri in uris(template)}
        texts = {PurePosixPath(each).name: text_of(each) for each in reports}
        return Architecture(template, definitions, texts, config=text_of(CONFIG))
    except yaml.YAMLError as error:
        raise Unreadable(f"A file of {name} is not YAML: {error}") from error
    except (ValueError, Unreadable) as error:
        raise Unreadable(f"{name} has no architecture to compare: {error}") from error


def uris(template: str) -> list[str]:
    """The files of the state machines' definitions that a template names."""
    data: Any = Document(template, TEMPLATE).data
    resources = data.get("Resources") if isinstance(data, dict) else None
    machines = [each for each in (resources or {}).values() if each.get("Type") in MACHINES]
    found = [(each.get("Properties") or {}).get("DefinitionUri") for each in machines]
    return [each for each in found if isinstance(each, str)]
