"""`python -m architecture [--base main]`: what this checkout changes in the architecture, as Markdown."""

import argparse
import sys

from architecture import checkout
from architecture.compare import code, compare, markdown, ordered


def main(words: list[str]) -> int:
    """Prints the differences between a base and this checkout. Returns 1 after a message if they cannot be compared."""
    parser = argparse.ArgumentParser(prog="python -m architecture", description=main.__doc__)
    parser.add_argument("--base", default="main", help="a branch, a tag or a commit (main)")
    named = parser.parse_args(words).base
    try:
        base = checkout.base_of(named)
        files = checkout.changed_since(base, *code.FOLDERS)
        changes = []
        for old, new in checkout.pairs(base):
            file = new.document.file
            if file == checkout.TEMPLATE:
                changes += compare(old, new, files)
            else:
                changes += [each._replace(subject=f"{file} {each.subject}") for each in compare(old, new)]
    except checkout.Unreadable as error:
        print(error, file=sys.stderr)
        return 1
    print(markdown(ordered(changes), f"Architecture: this checkout against {named} ({base[:10]})"), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
