"""`python -m ratchet <verb>`: what every make target calls."""

import sys

from ratchet.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
