"""Refusals, as they are told."""

from __future__ import annotations

import json

from ratchet.project.errors import Refusal


def test_a_refusal_survives_the_way_between_processes() -> None:
    import pickle

    refusal = Refusal("A rule.", "something else", "Do this.")
    assert str(pickle.loads(pickle.dumps(refusal))) == str(refusal) == "A rule. Received: something else. Do this."
    assert json.dumps(str(refusal))
