"""`python -m local.port 4566`: checks that this folder's emulator can use the port, unless it already runs.

Uses only the standard library, because the Makefile runs it before anything is installed.
"""

import argparse
import socket
import sys

from exports_admin import locks


def number(text: str) -> int:
    """The port as a number.

    Raises:
        argparse.ArgumentTypeError: the text is not a port.
    """
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"PORT must be a number from 1 to 65535, not {text!r}")
    return int(text)


def fault(port: int) -> str:
    """Why the port cannot be used, and what to do; "" if it is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return f"Port {port} is in use ({error.strerror}). Use a free one: make … PORT={port + 1}"
    return ""


def main() -> str:
    """The fault of the port on the command line; "" if there is none."""
    try:
        wanted = number(sys.argv[1])
    except argparse.ArgumentTypeError as error:
        return str(error)
    return "" if locks.holder(locks.STATE / "emulator.lock") else fault(wanted)


if __name__ == "__main__":
    sys.exit(main() or None)
