"""A project folder within the test's own process: for the many ways of bringing data, each in about a second."""

from __future__ import annotations

import shutil
from pathlib import Path

from ratchet.data.incoming import table_import
from ratchet.data.incoming.table_import import ImportOptions
from ratchet.data.versions import transaction
from ratchet.monitoring.feedback import erase_withdrawn
from ratchet.project.paths import Places
from ratchet.state import ledger
from ratchet.state.ledger import DataChange
from tests.support.project import ROOT


class Desk:
    """Brings tables into a project of its own, and keeps what was said."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        (folder / ".dvc").mkdir(parents=True)
        shutil.copy(ROOT / ".dvc" / "config", folder / ".dvc" / "config")
        (folder / ".dvc" / "tmp").symlink_to("../state/dvc/tmp")
        self.here = Places(folder, folder / "state", "127.0.0.1", 0, 0, 0)
        for path in (self.here.state, self.here.work, self.here.state / "dvc" / "tmp"):
            path.mkdir(parents=True, exist_ok=True)
        self.lines: list[str] = []

    @property
    def said(self) -> str:
        return "\n".join(self.lines)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.write_text(text, encoding="utf-8")
        return path

    def own(self, file: str, **wished: object) -> str:
        """`make data SOURCE=file ...`; what it said."""
        return self._bring(table_import.import_table, file, wished)

    def add(self, file: str, **wished: object) -> str:
        """`make data ADD=file ...`; what it said."""
        return self._bring(table_import.add_rows, file, wished)

    def _bring(self, verb: object, file: str, wished: dict[str, object]) -> str:
        self.lines.clear()
        transaction.finish(self.here)
        verb(self.here, str(self.root / file), ImportOptions(**wished), erase_withdrawn, self.lines.append)  # type: ignore[operator, arg-type]
        return self.said

    @property
    def changes(self) -> tuple[DataChange, ...]:
        return ledger.data_changes(self.here.ledger)

    @property
    def table(self) -> str:
        return (self.here.data / "table.csv").read_text(encoding="utf-8")

    @property
    def quarantine(self) -> str:
        found = list(self.here.quarantine.glob("*.csv"))
        return found[0].read_text(encoding="utf-8") if found else ""

    def kept(self) -> dict[str, bytes]:
        """All that a person would call their data, byte for byte; and anything that lies about beside it."""
        names = [
            *self.root.glob("data*/*"),
            *self.root.glob("*.dvc*"),
            *self.root.glob("params*"),
            *self.root.glob("*.new"),
        ]
        names += [*self.here.quarantine.glob("*"), self.here.ledger]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in names if path.is_file()}

    def everywhere(self, words: str) -> list[str]:
        """Every file of the project that holds these words, the table they came from aside."""
        files = [path for path in self.root.rglob("*") if path.is_file() and path.parent != self.root]
        return sorted(str(path.relative_to(self.root)) for path in files if words.encode() in path.read_bytes())
