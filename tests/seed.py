"""What draws the samples of `make test`: another number draws others."""

import os

SEED = os.environ.get("AISHELL_TEST_SEED", "1")
