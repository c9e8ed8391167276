"""data/must.csv: answers that a person requires, and that every model must give before it goes live.

The list is a file of the data version like the others. A person puts it into data/ or edits it there. The next turn of
the loop, or `make data`, finds that the file differs from the pinned one, and refuses it by its line or pins it as a
new data version. No model is trained or scored on the list: the rows of the table stay where they are.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from models.text.normalise import compared_form, normalise
from ratchet.data.incoming import incoming_table
from ratchet.data.prepare.rows import RawRows
from ratchet.data.tables import canonical_csv
from ratchet.data.tables.reading import read as read_table
from ratchet.data.versions import dvc_cache, dvc_repo, transaction
from ratchet.judging.must_list import Must
from ratchet.problem import data_pin, problem
from ratchet.problem.data_pin import MUST, Pin, Source
from ratchet.problem.problem import Problem
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.project.progress import Say
from ratchet.state import ledger
from ratchet.state.ledger import DataChange
from ratchet.tasks import Task

NAMED = f"data/{MUST}"
COLUMNS = ("text", "label", "same_as")
LISTED = 20
"""Most labels that a refusal lists."""


def read_list(folder: Path) -> tuple[Must, ...]:
    """The lines of the list in a folder; empty where the folder has no list.

    Raises:
        Refusal: the file is not a table of these columns.
    """
    path = folder / MUST
    if not path.exists():
        return ()
    reading = read_table(path, most_broken=0)
    names = reading.frame.columns
    if "text" not in names or not {"label", "same_as"} & set(names) or not set(names) <= set(COLUMNS):
        raise Refusal(
            f"{NAMED} has the columns text and label, or text and same_as, or all three.",
            f"{', '.join(names)}",
            "Name them so in its first line.",
        )
    columns = [reading.frame[name].to_list() if name in names else [None] * reading.frame.height for name in COLUMNS]
    rows = zip(*columns, reading.places["line"].to_list(), strict=True)
    return tuple(Must(text or "", trim(label), same_as, line) for text, label, same_as, line in rows)


def trim(label: str | None) -> str | None:
    """A label without white space around it; None where nothing is left."""
    return (label or "").strip() or None


def refuse_unable(musts: Sequence[Must], task: Task) -> None:
    """Raise where there is a list, and the kind of problem has no answers that can be required.

    Raises:
        Refusal: it has none.
    """
    if musts and not task.can("must"):
        raise Refusal(
            f"{NAMED} requires answers that are right or wrong; those of task {task.name} are not.",
            f"{len(musts):,} line{'s' * (len(musts) != 1)}",
            f"Nothing was changed: remove {NAMED}.",
        )


def refuse_faulty(musts: Sequence[Must], labels: Sequence[str]) -> None:
    """Raise unless a model of these classes can satisfy every line.

    Raises:
        Refusal: a line is faulty; the message has its number and the fault.
    """
    fault = find_fault(musts, labels)
    if fault is not None:
        line, reason = fault
        raise Refusal(
            f"Each line of {NAMED} says which label a text must get, or under same_as which text must get the same.",
            f"line {line}: {reason}",
            "Nothing was changed: mend that line, or remove it.",
        )


def read_checked_list(folder: Path, labels: Sequence[str]) -> tuple[Must, ...]:
    """The lines of the list in a folder, checked against the classes.

    Raises:
        Refusal: a line is faulty.
    """
    musts = read_list(folder)
    refuse_faulty(musts, sorted(labels))
    return musts


def write_list(musts: Sequence[Must], folder: Path) -> None:
    """Write the list into a folder that will become data/; no file for an empty list."""
    if musts:
        canonical_csv.write(as_frame(musts), folder / MUST)


def is_edited(here: Places) -> bool:
    """Whether a person wrote, changed or removed the list since it was pinned, and changed nothing else in data/.

    data/ may also hold a whole other version that the cache has, because data.dvc was changed by `git checkout`. Then
    the list counts as edited only if data/ was written after data.dvc.
    """
    path = here.data / MUST
    try:
        version = data_pin.pinned(here).version
        names = {path.name for path in here.data.iterdir()}
    except (Refusal, FileNotFoundError):
        return False
    pinned = dvc_cache.listed(here, version)
    if names == {MUST}:
        return True
    if pinned is None:
        return MUST in names and dvc_cache.digest(here.data, but=MUST) == version
    if pinned.get(MUST) == (md5_of(path) if MUST in names else None):
        return False
    others = names - {MUST}
    if others != set(pinned) - {MUST} or any(md5_of(here.data / name) != pinned[name] for name in others):
        return False
    return dvc_cache.listed(here, dvc_cache.digest(here.data)) is None or is_newer_than_pin(here)


def is_newer_than_pin(here: Places) -> bool:
    """Whether data/ or the list was written after data.dvc."""
    paths = [path for path in (here.data, here.data / MUST) if path.exists()]
    return max(path.stat().st_mtime_ns for path in paths) > (here.root / "data.dvc").stat().st_mtime_ns


def md5_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def take_in(here: Places, say: Say) -> Pin | None:
    """Pin an edited list as a new data version; None where the list is as it was pinned.

    Raises:
        Refusal: a line is faulty; the list and everything else stay as they are.
    """
    if not is_edited(here):
        return None
    restore_other_files(here)
    current = problem.load()
    raw = RawRows(current)
    before = read_pinned_list(here, current)
    refuse_unable(read_list(here.data), current.task)
    musts = read_checked_list(here.data, [label for label in raw.labels if label is not None])
    with transaction.staging_folder(here) as folder:
        for path in here.data.iterdir():
            if path.name != MUST:
                transaction.link_or_copy(path, folder / path.name)
        write_list(musts, folder)
        has_feedback = (folder / data_pin.FEEDBACK).exists()
        source = replace(Source.parse(current.pin.source), feedback=has_feedback, must=bool(musts))
        pin = data_pin.as_pinned(here, dvc_repo.into_cache(here, folder, str(source)))
        change = data_change(current, pin, raw.rows, change_sentence(before, musts))
        transaction.change_data(here, pin, None, None, change, [])
    say(f"{change.why} data.dvc pins {pin.short}.")
    return pin


def restore_other_files(here: Places) -> None:
    """Where data/ holds only the list, put the other pinned files beside it."""
    if {path.name for path in here.data.iterdir()} != {MUST}:
        return
    pin = data_pin.pinned(here)
    dvc_repo.lay_beside(here, pin, incoming_table.rebuilder(here, pin.source), MUST)


def read_pinned_list(here: Places, current: Problem) -> tuple[Must, ...] | None:
    """The list of the pinned version; None where the cache does not have the version any more."""
    pinned = dvc_cache.listed(here, current.pin.version)
    if pinned is None:
        return None
    if MUST not in pinned:
        return ()
    path = dvc_cache.path_of(here, pinned[MUST])
    if not path.exists():
        return None
    rows = enumerate(canonical_csv.read(path).iter_rows(), 2)
    return tuple(Must(text, label, same_as, line) for line, (text, label, same_as) in rows)


def change_sentence(before: Sequence[Must] | None, after: Sequence[Must]) -> str:
    """What changed in the list, and what follows. It has counts and no text, because it stands in the ledger."""
    number = f"{len(after):,} line{'s' * (len(after) != 1)}" if after else "nothing"
    rule = f"{number} of {NAMED} must be kept by every model that is to go live."
    if not after:
        rule = f"{NAMED} is gone: no list must be kept any more."
    if before is None:
        return f"{rule} It continues: no row changes its side of the split."
    old, new = (Counter((must.text, must.label, must.same_as) for must in musts) for musts in (before, after))
    added, removed = (new - old).total(), (old - new).total()
    counts = ", ".join(f"{count:,} {words}" for count, words in ((added, "new"), (removed, "gone")) if count)
    changes = f" ({counts})" if counts else " (the same as before)"
    return f"{rule.removesuffix('.')}{changes}. It continues: no row changes its side of the split."


def data_change(current: Problem, pin: Pin, rows: int, why: str) -> DataChange:
    """The ledger's line of the new version."""
    columns = current.settings.data.roles()
    return DataChange(current.name, current.pin.version, pin.version, rows, 0, ledger.person(), why, columns)


def list_for_next(here: Places, same: bool, last: Sequence[Must]) -> tuple[Must, ...]:
    """The list that goes along with a next table.

    It is the one in data/, where that belongs to the problem or is pinned for none; otherwise that of the problem's
    last version.

    Args:
        same: whether the table is the next version of the problem whose data is pinned.
        last: the list of the problem's last version.
    """
    has_list = (here.data / MUST).exists()
    has_table = (here.data / data_pin.TABLE).exists()
    if (same and (has_list or has_table)) or (has_list and not is_pinned(here)):
        return read_list(here.data)
    return tuple(last)


def is_pinned(here: Places) -> bool:
    """Whether the list in data/ is the pinned one."""
    try:
        pinned = dvc_cache.listed(here, data_pin.pinned(here).version)
    except Refusal:
        return False
    return pinned is not None and pinned.get(MUST) == md5_of(here.data / MUST)


def find_fault(musts: Sequence[Must], labels: Sequence[str]) -> tuple[int, str] | None:
    """The first line that no model could satisfy.

    Args:
        labels: the classes of the table.

    Returns:
        The line's number and the reason; None where there is no such line.
    """
    return find_invalid(musts, labels) or find_conflict(musts)


def find_invalid(musts: Sequence[Must], labels: Sequence[str]) -> tuple[int, str] | None:
    """The first line that is wrong by itself, and the reason."""
    for must in musts:
        if not normal(must.text):
            return must.line, "a blank text"
        if must.label is not None and must.same_as is not None:
            return must.line, "a label and a text under same_as, where there must be one of the two"
        if must.label is None and must.same_as is None:
            return must.line, "neither a label nor a text under same_as"
        if must.label is not None and must.label not in labels:
            more = f" and {len(labels) - LISTED} more" if len(labels) > LISTED else ""
            return must.line, f"the label {must.label!r}; the table has {', '.join(labels[:LISTED])}{more}"
        if must.same_as is not None and not normal(must.same_as):
            return must.line, "a blank text under same_as"
        if must.same_as is not None and normal(must.same_as) == normal(must.text):
            return must.line, "a text that must get the same answer as itself"
    return None


def find_conflict(musts: Sequence[Must]) -> tuple[int, str] | None:
    """The first line that repeats or contradicts earlier lines, and the reason.

    Texts that must get the same answer form one set (union-find), which may have one label.
    """
    lines: dict[tuple[str, str, str], int] = {}
    parent: dict[str, str] = {}
    label: dict[str, tuple[str, int]] = {}

    def root_of(text: str) -> str:
        while parent.setdefault(text, text) != text:
            text = parent[text]
        return text

    for must in musts:
        text = normal(must.text)
        other = normal(must.same_as or "")
        key = (min(text, other), max(text, other), "") if must.label is None else (text, "", must.label)
        if key in lines:
            return must.line, f"the same as line {lines[key]}"
        lines[key] = must.line
        root = root_of(text)
        if must.label is None:
            merged = root_of(other)
            labels = [label[member] for member in (root, merged) if member in label]
            parent[merged] = root
            label |= {root: labels[0]} if labels else {}
            if len({name for name, _ in labels}) > 1:
                required = " and ".join(f"{name} by line {line}" for name, line in labels)
                return must.line, f"two texts that must get the same answer, and must get {required}"
        elif root in label and label[root][0] != must.label:
            name, line = label[root]
            return must.line, f"the label {must.label!r} for a text that must get {name!r} by line {line}"
        else:
            label.setdefault(root, (must.label, must.line))
    return None


def normal(text: str) -> str:
    """The text in normal form, in which lines are compared."""
    return normalise([text])[0]


def as_frame(musts: Sequence[Must]) -> pl.DataFrame:
    """The list as the table that must.csv holds."""
    rows = [(must.text, must.label, must.same_as) for must in musts]
    return pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")


def without(musts: Sequence[Must], gone: pl.Series) -> tuple[Must, ...]:
    """The lines that hold none of the withdrawn texts.

    Args:
        gone: the withdrawn texts in compared form.
    """
    kept = []
    for must in musts:
        texts = compared_form(pl.Series([text for text in (must.text, must.same_as) if text is not None]))
        if not texts.is_in(gone.implode()).any():
            kept.append(must)
    return tuple(kept)
