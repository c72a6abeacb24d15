"""The entry point of bin/exports-admin."""

import logging
import sys

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from exports_cli.trouble import Trouble


def main() -> None:
    """Runs one command. Exits with 2 after a usage error, and with 1 and a message after any other error."""
    try:
        # Imported here, inside the try: the product's tracer reads the AWS configuration on import.
        from exports_admin.commands import exports_admin
        from shared.lambda_.telemetry import logger

        logger.setLevel(logging.CRITICAL)  # keeps the product's log lines out of the output
        exports_admin.main(prog_name="exports-admin")
    except (Trouble, ClientError, BotoCoreError, Boto3Error) as error:
        sys.exit(f"exports-admin: {error}")


if __name__ == "__main__":
    main()
