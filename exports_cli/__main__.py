"""The entry point of the command `exports`."""

from exports_cli.commands import exports


def main() -> None:
    """Runs one command and ends the process with its exit status."""
    exports.main(prog_name="exports")


if __name__ == "__main__":
    main()
