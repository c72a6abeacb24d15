"""`python -m local.port 4566`: whether the emulator of this folder can have the port; it may run on another already.

Only the standard library: the Makefile asks before anything is installed.
"""

import argparse
import socket
import sys

from exports_admin import locks


def number(text: str) -> int:
    """The port that a person has written."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"PORT is a number from 1 to 65535, not {text!r}")
    return int(text)


def fault(port: int) -> str:
    """Why the port cannot be had, and what to do; "" when it is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return f"Port {port} is in use ({error.strerror}). Name a free one: make … PORT={port + 1}"
    return ""


def main() -> str:
    """What is wrong with the port of the command line; "" when nothing is."""
    try:
        wanted = number(sys.argv[1])
    except argparse.ArgumentTypeError as error:
        return str(error)
    return "" if locks.holder(locks.STATE / "emulator.lock") else fault(wanted)


if __name__ == "__main__":
    sys.exit(main() or None)
