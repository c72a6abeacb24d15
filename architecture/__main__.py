"""`python -m architecture [--base main] [--head …]`: what a revision changes in the architecture, as Markdown."""

import argparse
import sys

from architecture import checkout
from architecture.compare import Change, code, compare, markdown, ordered


def main(words: list[str]) -> int:
    """Prints what a revision changes in the architecture. Returns 1 after a message if it cannot be compared."""
    parser = argparse.ArgumentParser(prog="python -m architecture", description=main.__doc__)
    parser.add_argument("--base", default="main", help="a branch, a tag or a commit (main)")
    parser.add_argument("--head", default="", help="what left the base: as --base (the files of this checkout)")
    named = parser.parse_args(words)
    changes: list[Change] = []
    try:
        head = checkout.commit(named.head) if named.head else ""
        base = checkout.base_of(named.base, head)
        files = checkout.changed(base, head, *code.FOLDERS)
        for old, new in checkout.pairs(base, head):
            file = new.document.file
            if file == checkout.TEMPLATE:
                changes += compare(old, new, files)
            else:
                changes += [each._replace(subject=f"{file} {each.subject}") for each in compare(old, new)]
    except checkout.Unreadable as error:
        print(error, file=sys.stderr)
        return 1
    title = f"Architecture: {named.head or 'this checkout'} against {named.base} ({base[:10]})"
    print(markdown(ordered(changes), title), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
