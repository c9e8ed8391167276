"""Which data is pinned, and how it is split: data.dvc and data/split.json as frozen values, read without DVC.

data/ holds table.csv (canonical bytes, the owner's column names), split.json (how rows are split), once somebody has
labelled what the champion was asked feedback.csv (ratchet/data/versions/feedback_table.py), and must.csv where a person
wrote one (ratchet/data/incoming/must_file.py). data.dvc pins them all by one hash, the data version; its `meta` says
what can rebuild them.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from typing import Literal

import yaml

from ratchet.problem.settings import refuse_conflict
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places

TABLE = "table.csv"
SPLIT = "split.json"
FEEDBACK = "feedback.csv"
MUST = "must.csv"
ON_TOP = {FEEDBACK: "feedback on ", MUST: f"{MUST} beside "}
"""Prefixes of data.dvc's `meta.source` for the files that may lie beside the table."""
KINDS: tuple[Literal["example", "table"], ...] = ("example", "table")
MD5 = re.compile(r"[0-9a-f]{32}\.dir")


@dataclass(frozen=True)
class Pin:
    """What data.dvc says.

    version: DVC's hash of the folder, without its `.dir` ending; the key of every cache, tag and ledger line.
    bytes: size of the folder. files: in it.
    source: what the bytes were made from, e.g. `example film_reviews`.
    """

    version: str
    bytes: int
    source: str
    files: int = 2

    @property
    def short(self) -> str:
        return self.version[:8]

    def to_yaml(self) -> str:
        """data.dvc as DVC writes it, with our `meta` behind."""
        out = {"md5": f"{self.version}.dir", "size": self.bytes, "nfiles": self.files, "hash": "md5", "path": "data"}
        return yaml.safe_dump({"outs": [out], "meta": {"source": self.source}}, sort_keys=False)


def pinned(here: Places) -> Pin:
    """The version that data.dvc pins, read without DVC.

    Raises:
        Refusal: there is no data.dvc, or it is not one of ours.
    """
    path = here.root / "data.dvc"
    try:
        text = path.read_text(encoding="utf-8")
        refuse_conflict(path, text)
        content = yaml.safe_load(text)
        out = content["outs"][0]
        if not MD5.fullmatch(out["md5"]) or out["path"] != "data":
            raise ValueError(f"md5 {out['md5']} of {out['path']}")
        source, files = str(content.get("meta", {}).get("source", "")), int(out.get("nfiles", 2))
        return Pin(out["md5"].removesuffix(".dir"), int(out["size"]), source, files)
    except FileNotFoundError:
        raise Refusal(
            "data.dvc pins the data.", "no such file", "Choose data: make data EXAMPLE=film_reviews"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise Refusal(
            "data.dvc must pin data/ by its hash.",
            f"a damaged file ({' '.join(str(error).split())})",
            "Restore it: git checkout data.dvc",
        ) from None


@dataclass(frozen=True)
class Source:
    """What the bytes of data/ were made from, as data.dvc's `meta.source` states it.

    Attributes:
        kind: `example` or `table`; None for any other text, which `name` then holds whole.
        name: name of the example, or of the table's files.
        feedback: whether data/ holds feedback.csv.
        must: whether data/ holds must.csv.
    """

    kind: Literal["example", "table"] | None
    name: str
    feedback: bool = False
    must: bool = False

    @classmethod
    def parse(cls, text: str) -> Source:
        """Read `meta.source`. Prefixes may come in any order and more than once; every text is a source."""
        table, prefixes = text, set[str]()
        while prefix := next((prefix for prefix in ON_TOP.values() if table.startswith(prefix)), None):
            table = table.removeprefix(prefix)
            prefixes.add(prefix)
        kind = next((kind for kind in KINDS if table.startswith(f"{kind} ")), None)
        name = table.removeprefix(f"{kind} ") if kind else table
        return cls(kind, name, ON_TOP[FEEDBACK] in prefixes, ON_TOP[MUST] in prefixes)

    def __str__(self) -> str:
        """The text of `meta.source`."""
        table = f"{self.kind} {self.name}" if self.kind else self.name
        return ON_TOP[FEEDBACK] * self.feedback + ON_TOP[MUST] * self.must + table

    @property
    def example(self) -> str | None:
        """The example that can rebuild the bytes; None for a table, and where feedback.csv or must.csv was added."""
        return self.name if self.kind == "example" and not (self.feedback or self.must) else None


def made_from(source: str, feedback: bool, must: bool) -> str:
    """The text of `meta.source` for the same table, with these files beside it."""
    return str(replace(Source.parse(source), feedback=feedback, must=must))


def as_pinned(here: Places, pin: Pin) -> Pin:
    """The pin as data.dvc has it, where it pins these very bytes already: they keep the source that was named first."""
    try:
        known = pinned(here)
    except Refusal:
        return pin
    return known if known.version == pin.version else pin


SPLITS = ("train", "validation", "holdout")


@dataclass(frozen=True)
class SplitSpec:
    """How rows are split; part of the data version, because a change of it starts a new lineage.

    by: what stays together.
    salt: a word that makes this problem's split independent of another's.
    validation, holdout: shares of the groups (or texts); the rest trains.
    """

    by: Literal["group", "text"]
    salt: str
    validation: float = 0.1
    holdout: float = 0.1

    def __post_init__(self) -> None:
        if self.by not in ("group", "text"):
            raise ValueError(f"A split is by 'group' or by 'text'. Received: {self.by!r}. Choose one of the two.")
        shares = (self.validation, self.holdout)
        if not (min(shares) > 0 and sum(shares) < 1):
            raise ValueError(
                "The shares of validation and holdout must be above 0 and leave something to train on. "
                f"Received: {self.validation} and {self.holdout}. The usual shares are 0.1 and 0.1."
            )

    def to_json(self) -> str:
        """The specification as one line of JSON with sorted keys: the same for the same specification."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> SplitSpec:
        """The specification that `to_json` wrote."""
        return cls(**json.loads(text))
