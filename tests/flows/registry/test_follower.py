"""The process that follows the registry for the service."""

from __future__ import annotations

from pathlib import Path

from flows.registry.follower import Follower
from ratchet.project.paths import Places


def test_an_error_that_lasts_leaves_one_traceback_and_not_one_a_second(tmp_path: Path) -> None:
    here = Places(tmp_path, tmp_path / "state", "127.0.0.1", 1, 2, 3)
    here.params.mkdir()
    follower = Follower(here)
    first, second = follower.look(), follower.look()
    assert first == second
    assert "met an error that Ratchet does not know" in first["failed"]
    assert (here.logs / "errors.log").read_text().count("IsADirectoryError: ") == 1
    for connection in (object(), object(), object()):  # the HTTP library names it, and it is another one each time
        follower._explain(RuntimeError(f"{connection}: Max retries exceeded"))
    assert (here.logs / "errors.log").read_text().count("Max retries") == 1
