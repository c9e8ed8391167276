"""data/must.csv: a list that a person writes, and that every model must keep before it goes live.

It is a file of the data version like the others. A person puts it into data/ or edits it there; whoever turns the loop
next, and `make data`, finds that it is not as it is pinned, refuses it by its line or pins it as a new data version. It
trains nothing and plays no part in the holdout: the table's own rows stay where they are.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from models.text.normalise import normalise
from ratchet.data.incoming import incoming_table
from ratchet.data.prepare.row_facts import compared
from ratchet.data.prepare.rows import RawRows
from ratchet.data.tables import canonical_csv
from ratchet.data.tables.reading import read as read_table
from ratchet.data.versions import dvc_cache, dvc_repo, transaction
from ratchet.judging.must_list import Must
from ratchet.project import data_pin, problem
from ratchet.project.data_pin import MUST, Pin
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.project.problem import Problem
from ratchet.project.progress import Say
from ratchet.state import ledger
from ratchet.state.ledger import DataChange

NAMED = f"data/{MUST}"
COLUMNS = ("text", "label", "same_as")
LISTED = 20
"""Labels that a sentence lists."""


def kept(folder: Path) -> tuple[Must, ...]:
    """The lines of the list in a folder; none where it has none.

    Raises:
        Refusal: it is no table of these columns.
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
    return tuple(Must(text or "", bare(label), same_as, line) for text, label, same_as, line in rows)


def bare(label: str | None) -> str | None:
    """A label without white space around it; none where nothing is left."""
    return (label or "").strip() or None


def refuse_faulty(musts: Sequence[Must], labels: Sequence[str]) -> None:
    """Raise unless every line says something that a model of these classes can keep.

    Raises:
        Refusal: one does not.
    """
    wrong = fault(musts, labels)
    if wrong is not None:
        raise Refusal(
            f"Each line of {NAMED} says which label a text must get, or under same_as which text must get the same.",
            f"line {wrong[0]}: {wrong[1]}",
            "Nothing was changed: mend that line, or remove it.",
        )


def sound(folder: Path, labels: Sequence[str]) -> tuple[Must, ...]:
    """The lines of the list in a folder, fit for the classes.

    Raises:
        Refusal: they are not.
    """
    musts = kept(folder)
    refuse_faulty(musts, sorted(labels))
    return musts


def lay_out(musts: Sequence[Must], folder: Path) -> None:
    """Write the list into a folder that is to be data/; no file where there is no line."""
    if musts:
        canonical_csv.write(as_frame(musts), folder / MUST)


def is_edited(here: Places) -> bool:
    """Whether somebody wrote, changed or removed the list since it was pinned, and nothing else in data/.

    A whole version that the cache has may also be what data.dvc pinned before somebody took another one (git checkout):
    then it counts whether data/ was written in after data.dvc.
    """
    path = here.data / MUST
    try:
        version = data_pin.pinned(here).version
        there = {found.name for found in here.data.iterdir()}
    except (Refusal, FileNotFoundError):
        return False
    known = dvc_cache.listed(here, version)
    if there == {MUST}:
        return True
    if known is None:
        return MUST in there and dvc_cache.digest(here.data, but=MUST) == version
    if known.get(MUST) == (md5_of(path) if MUST in there else None):
        return False
    others = there - {MUST}
    if others != set(known) - {MUST} or any(md5_of(here.data / name) != known[name] for name in others):
        return False
    return dvc_cache.listed(here, dvc_cache.digest(here.data)) is None or written_after_the_pin(here)


def written_after_the_pin(here: Places) -> bool:
    paths = [path for path in (here.data, here.data / MUST) if path.exists()]
    return max(path.stat().st_mtime_ns for path in paths) > (here.root / "data.dvc").stat().st_mtime_ns


def md5_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def take_in(here: Places, say: Say) -> Pin | None:
    """Pin the list as a person left it in data/ as a new data version; None where it is as it was pinned.

    Raises:
        Refusal: a line of it says nothing that a model could keep; it stays as it is, and so does everything else.
    """
    if not is_edited(here):
        return None
    fill_in(here)
    current = problem.load()
    raw = RawRows(current)
    before = listed_before(here, current)
    musts = sound(here.data, [label for label in raw.labels if label is not None])
    with transaction.laying_out(here) as folder:
        for path in here.data.iterdir():
            if path.name != MUST:
                transaction.beside(path, folder / path.name)
        lay_out(musts, folder)
        source = data_pin.made_from(current.pin.source, (folder / data_pin.FEEDBACK).exists(), bool(musts))
        pin = data_pin.as_pinned(here, dvc_repo.into_cache(here, folder, source))
        line = as_line(current, pin, raw.rows, told(before, musts))
        transaction.make(here, pin, None, None, line, [])
    say(f"{line.why} data.dvc pins {pin.short}.")
    return pin


def fill_in(here: Places) -> None:
    """Where data/ holds the list alone, put the pinned files beside it."""
    if {path.name for path in here.data.iterdir()} != {MUST}:
        return
    pin = data_pin.pinned(here)
    dvc_repo.lay_beside(here, pin, incoming_table.rebuilder(here, pin.source), MUST)


def listed_before(here: Places, current: Problem) -> tuple[Must, ...] | None:
    """The list as it is pinned; None where that cannot be known any more."""
    known = dvc_cache.listed(here, current.pin.version)
    if known is None:
        return None
    path = dvc_cache.path_of(here, known.get(MUST, ""))
    if MUST not in known:
        return ()
    if not path.exists():
        return None
    rows = enumerate(canonical_csv.read(path).iter_rows(), 2)
    return tuple(Must(text, label, same_as, line) for line, (text, label, same_as) in rows)


def told(before: Sequence[Must] | None, after: Sequence[Must]) -> str:
    """What changed, and what follows, in counts: no text of the list stands in the ledger."""
    asked = f"{len(after):,} line{'s' * (len(after) != 1)}" if after else "nothing"
    follows = f"{asked} of {NAMED} must be kept by every model that is to go live."
    if not after:
        follows = f"{NAMED} is gone: no list must be kept any more."
    if before is None:
        return f"{follows} It continues: no row changes its side of the split."
    old, new = (Counter((one.text, one.label, one.same_as) for one in musts) for musts in (before, after))
    came, gone = (new - old).total(), (old - new).total()
    counted = ", ".join(f"{count:,} {words}" for count, words in ((came, "new"), (gone, "gone")) if count)
    changed = f" ({counted})" if counted else " (the same as before)"
    return f"{follows.removesuffix('.')}{changed}. It continues: no row changes its side of the split."


def as_line(current: Problem, pin: Pin, rows: int, why: str) -> DataChange:
    """The ledger's line of the new version."""
    data = current.settings.data
    named = {"text": data.text, "label": data.label, "group": data.group}
    return DataChange(current.name, current.pin.version, pin.version, rows, 0, ledger.person(), why, named)


def coming(here: Places, same: bool, last: Sequence[Must]) -> tuple[Must, ...]:
    """The list that goes along with a next table: what lies in data/, where that is the problem's or nobody pinned it;
    otherwise that of the problem's last version.

    Args:
        same: the table is the next version of the problem whose data is pinned. last: that problem's own list.
    """
    lies, is_laid_out = (here.data / MUST).exists(), (here.data / data_pin.TABLE).exists()
    if (same and (lies or is_laid_out)) or (lies and not is_pinned(here)):
        return kept(here.data)
    return tuple(last)


def is_pinned(here: Places) -> bool:
    """Whether the list that lies in data/ is the one that is pinned."""
    try:
        known = dvc_cache.listed(here, data_pin.pinned(here).version)
    except Refusal:
        return False
    return known is not None and known.get(MUST) == md5_of(here.data / MUST)


def fault(musts: Sequence[Must], labels: Sequence[str]) -> tuple[int, str] | None:
    """The first line that says nothing that a model could keep, and what is wrong with it; None where none does.

    labels: the classes of the table.
    """
    return first_odd(musts, labels) or first_clash(musts)


def first_odd(musts: Sequence[Must], labels: Sequence[str]) -> tuple[int, str] | None:
    """The first line that is wrong by itself."""
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


def first_clash(musts: Sequence[Must]) -> tuple[int, str] | None:
    """The first line that an earlier one says already, or that cannot hold beside the earlier ones.

    Texts that must get the same answer are one set, which may have one label.
    """
    said: dict[tuple[str, str, str], int] = {}
    parent: dict[str, str] = {}
    label: dict[str, tuple[str, int]] = {}

    def set_of(text: str) -> str:
        while parent.setdefault(text, text) != text:
            text = parent[text]
        return text

    for must in musts:
        text = normal(must.text)
        other = normal(must.same_as or "")
        one = (min(text, other), max(text, other), "") if must.label is None else (text, "", must.label)
        if one in said:
            return must.line, f"the same as line {said[one]}"
        said[one] = must.line
        found = set_of(text)
        if must.label is None:
            merged = set_of(other)
            known = [label[each] for each in (found, merged) if each in label]
            parent[merged] = found
            label |= {found: known[0]} if known else {}
            if len({name for name, _ in known}) > 1:
                lines = " and ".join(f"{name} by line {line}" for name, line in known)
                return must.line, f"two texts that must get the same answer, and must get {lines}"
        elif found in label and label[found][0] != must.label:
            name, line = label[found]
            return must.line, f"the label {must.label!r} for a text that must get {name!r} by line {line}"
        else:
            label.setdefault(found, (must.label, must.line))
    return None


def normal(text: str) -> str:
    return normalise([text])[0]


def as_frame(musts: Sequence[Must]) -> pl.DataFrame:
    """The list as data/ holds it."""
    rows = [(must.text, must.label, must.same_as) for must in musts]
    return pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")


def without(musts: Sequence[Must], gone: pl.Series) -> tuple[Must, ...]:
    """The lines that hold none of the texts that were withdrawn. gone: in compared form."""
    kept = []
    for must in musts:
        held = compared(pl.Series([text for text in (must.text, must.same_as) if text is not None]))
        if not held.is_in(gone.implode()).any():
            kept.append(must)
    return tuple(kept)
