"""`python -m ratchet <verb>`: what every make target calls."""

import gc
import sys

from ratchet.console.cli import main

if __name__ == "__main__":
    status = main(sys.argv[1:])
    gc.freeze()  # the interpreter's last collections then have nothing to walk: 1 to 2 s with all six tools loaded
    sys.exit(status)
