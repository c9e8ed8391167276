"""Tags of a version: seven of the contract stand in MLflow's table, the rest in one."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from flows.registry.snapshot import BUILD, DETAILS, IN_DETAILS, TURN, packed, unpacked
from tests.support.project import Project
from tests.support.registered import registry

CONTRACT = {"data_version", "git_commit", "model", "trigger", "prefect_flow_run_id", "decision", "decision_reason"}
NAMES = st.sampled_from(sorted(IN_DETAILS | CONTRACT))
TAGS = st.dictionaries(NAMES, st.text(max_size=20))


@given(TAGS, TAGS)
def test_tags_come_back_as_they_were_written_whatever_was_there(earlier: dict[str, str], tags: dict[str, str]) -> None:
    """In two writes, as a build registers a version and evaluate decides on it."""
    kept = packed(earlier)
    kept |= packed(tags, unpacked(kept))
    assert unpacked(kept) == earlier | tags
    assert not set(kept) & IN_DETAILS


@given(TAGS)
def test_a_write_without_details_leaves_them_alone(tags: dict[str, str]) -> None:
    """The service's follower marks a bundle while a turn writes a decision: neither may undo the other."""
    rest = {name: value for name, value in tags.items() if name not in IN_DETAILS}
    assert packed(rest, {"lineage": "old"}) == rest


def test_tags_of_earlier_versions_and_by_hand_are_read() -> None:
    """Each detail was a tag of its own; a person may write anything."""
    old = {"lineage": "abc", "decision": "promote", "gate": "none"}
    assert unpacked(old) == old
    assert unpacked({DETAILS: json.dumps({"lineage": "new"}), "lineage": "by hand"}) == {"lineage": "by hand"}
    for damaged in ("", "{", "[1]", "null", "[" * 5000, '{"decision": "promote", "lineage": null}'):
        assert unpacked({DETAILS: damaged, "model": "linear"}) == {"model": "linear"}


def test_a_judged_version_shows_few_tags(turned: Project) -> None:
    tags = registry(turned)["tags"]
    assert set(tags) == CONTRACT | {DETAILS, "bundle"}
    assert {"lineage", "decided_against", "gate", "predictions_digest", "holdout", BUILD, TURN} == set(
        json.loads(tags[DETAILS])
    )
