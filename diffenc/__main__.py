"""`python -m diffenc`, the same as the command `diffenc`, by a fork of the fork server where there is one."""

import os
import sys

if "DIFFENC_FORK_SERVER" in os.environ:
    from diffenc.cli.fork_server import run

    if (status := run(sys.argv[1:])) is not None:
        sys.exit(status)

from diffenc.cli.main import main

main()
