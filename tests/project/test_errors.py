"""Refusals."""

from __future__ import annotations

import json

from ratchet.project.errors import Refusal


def test_a_refusal_survives_pickling() -> None:
    import pickle

    refusal = Refusal("A rule.", "something else", "Do this.")
    assert str(pickle.loads(pickle.dumps(refusal))) == str(refusal) == "A rule. Received: something else. Do this."
    assert json.dumps(str(refusal))
