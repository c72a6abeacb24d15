"""The project on this machine: the AWS emulator, the deployed stack, sample data, and the demonstration."""

import sys
from pathlib import Path

# Reports are checked here by the code that reads them in the functions.
sys.path.insert(0, str(Path(__file__).parent.parent / "functions"))
