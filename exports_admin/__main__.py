"""What bin/exports-admin runs."""

import logging
import sys

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from exports_cli.trouble import Trouble


def main() -> None:
    """Runs one command; 2 when it was called wrongly, 1 and a message when something could not be done."""
    try:
        # Here, for the product's tracer reads the AWS configuration as soon as it is imported.
        from exports_admin.commands import exports_admin
        from shared.lambda_.telemetry import logger

        logger.setLevel(logging.CRITICAL)  # what the product logs is not what a command writes
        exports_admin.main(prog_name="exports-admin")
    except (Trouble, ClientError, BotoCoreError, Boto3Error) as error:
        sys.exit(f"exports-admin: {error}")


if __name__ == "__main__":
    main()
