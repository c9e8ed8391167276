"""The word that callers of the prediction service must know: RATCHET_TOKEN."""

from __future__ import annotations

import os

from ratchet.places import Places
from ratchet.refusal import Refusal

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1", "[::1]"})
"""Names of this machine that nobody else can reach it by."""


def expected_token(here: Places) -> str:
    """The token that callers must have; empty where none is set.

    Raises:
        Refusal: none is set, and the service is to be reached from outside this machine.
    """
    token = os.environ.get("RATCHET_TOKEN", "")
    if not token and here.host not in LOOPBACK:
        raise Refusal(
            "A service that others can reach needs a token.",
            f"RATCHET_HOST={here.host} and no RATCHET_TOKEN",
            'Set one: export RATCHET_TOKEN="$(openssl rand -hex 16)"; or leave RATCHET_HOST out.',
        )
    return token
