"""Which data is pinned, and how it is split: data.dvc and data/split.json as frozen values, read without DVC.

data/ holds table.csv (canonical bytes, the owner's column names), split.json (how rows are split), once somebody has
labelled what the champion was asked feedback.csv (ratchet/data/versions/feedback_table.py), and must.csv where a person
wrote one (ratchet/data/incoming/must_file.py). data.dvc pins them all by one hash, the data version; its `meta` says
what can rebuild them.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Literal

import yaml

from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.project.settings import refuse_conflict

TABLE = "table.csv"
SPLIT = "split.json"
FEEDBACK = "feedback.csv"
MUST = "must.csv"
ON_TOP = {FEEDBACK: "feedback on ", MUST: f"{MUST} beside "}
"""How data.dvc's `meta.source` begins where such a file came to the bytes: then nothing can rebuild them."""
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


def made_from(source: str, feedback: bool, must: bool) -> str:
    """What data.dvc says that the bytes were made from. source: the table's, with or without what came to it."""
    while (bare := source.removeprefix(ON_TOP[FEEDBACK]).removeprefix(ON_TOP[MUST])) != source:
        source = bare
    return ON_TOP[FEEDBACK] * feedback + ON_TOP[MUST] * must + source


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
