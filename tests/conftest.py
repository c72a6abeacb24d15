"""What holds for every test."""

import os

from hypothesis import settings

# The same examples every time, and no limit of time, for a busy machine is no fault.
# HYPOTHESIS_PROFILE=explore looks further.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
