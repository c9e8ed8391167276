"""Makes what an earlier commit leaves behind, for test_earlier_states.py; run by hand, once for each such commit.

    .venv/bin/python -m tests.maintenance.earlier_state COMMIT FOLDER

clones the repository at that commit into FOLDER/project, FOLDER being new, lends it today's environment, and lets the
earlier code live through some days of a bicycle shop: 300 tickets in some haste and a first champion; three answers of
the service, one of them corrected; 900 tickets with mended labels and a better one, and a row without a label; one
that is refused; a step back; an answer that is confirmed; a backup. All of it goes into COMMIT.tar.xz beside this file:

    told.json    what the earlier commands printed, in which folder, and the answers they gave
    backup.tar   what `make backup` wrote, without its compression
    left/        state/, data/, data.dvc and params.yaml as they lay there in the end

The name of FOLDER stays in what is kept: best a short one below /tmp. To keep it small, pictures are drawn with hard
edges, and Prefect's events are taken out of its database. Where requirements.lock pinned other versions then, FOLDER
needs an environment of its own, and `earlier` below a change.
"""

from __future__ import annotations

import io
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ratchet.maintenance import archive
from tests.support.project import ROOT, Project
from tests.support.service import Served, until, wait_until_answers

SHOP = """\
problem: tickets
data: {text: text, label: queue, group: customer}
build: {candidates: [linear], minutes: 2}
evaluate: {metric: accuracy}
deploy: {log: {days: 36500}}
"""
"""Its params.yaml; the log keeps its rows for a century, so that they are still there when a test asks for them."""
ASKED = (
    "the brake squeals and the chain is worn",
    "my parcel came late and the invoice is wrong",
    "the wheel wobbles since the courier left it",
)
UNKEPT = ("logs", "work", "servers", "backups", "matplotlib", "keras", "loop.lock", "prefect/ui", "dvc/tmp")
"""What a state has of its machine alone, and the backup itself."""

WORDS = {
    "workshop": [
        "brake", "chain", "saddle", "wheel", "spoke", "gear", "pedal", "fork", "rim", "hub", "tyre", "valve",
        "lever", "cable", "bell", "lamp", "dynamo", "mudguard", "stand", "grip", "axle", "bearing", "crank",
        "sprocket", "derailleur",
    ],
    "office": [
        "parcel", "invoice", "refund", "order", "receipt", "voucher", "delivery", "courier", "address", "payment",
        "basket", "discount", "account", "letter", "catalogue", "stamp", "deposit", "price", "bill", "contract",
        "counter", "reminder", "carton", "label", "shipment",
    ],
}  # fmt: skip
SAYS = ["arrived", "broke", "left", "lost", "changed", "needed", "asked", "showed", "took", "gave"]


def tickets(rows: int, hasty: float = 0.0) -> str:
    """A CSV of made-up tickets of a bicycle shop; one word in eight is of the other queue. Fewer rows: its beginning.

    Args:
        hasty: the share of the rows that were put into the wrong queue.
    """
    chance, slip = random.Random(7), random.Random(8)
    lines = ["text,queue,customer"]
    for number in range(rows):
        queue = chance.choice(sorted(WORDS))
        sides = [queue if chance.random() > 0.25 else chance.choice(sorted(WORDS)) for _ in range(3)]
        first, second, third = (chance.choice(WORDS[side]) for side in sides)
        said = f"the {first} {chance.choice(SAYS)} with the {second} and the {third} on day {chance.randint(1, 28)}"
        given = next(other for other in WORDS if other != queue) if slip.random() < hasty else queue
        lines.append(f"{said},{given},customer {number // 3}")
    return "\n".join(lines) + "\n"


def main(commit: str, folder: Path) -> None:
    project = earlier(commit, folder)
    told: dict[str, Any] = {"commit": commit, "root": str(project.root), "state": str(project.root / "state")}
    bring(project, 300, hasty=0.3)
    done(project, "run")
    with open_service(project) as address:
        told["corrected"] = answered_by(1, address)["predictions"][2]["id"]
        post(address, "/feedback", {"id": told["corrected"], "label": "office"})
    bring(project, 900, more="the bell rings by itself,,customer 300\n")
    done(project, "run")
    (project.root / "params.yaml").write_text(SHOP.replace("[linear]", "[majority]"))
    done(project, "build")
    done(project, "evaluate")
    (project.root / "params.yaml").write_text(SHOP)
    told["second"] = [done(project, "predict", f"TEXT={text}") for text in ASKED]
    done(project, "rollback")
    told["asked"] = list(ASKED)
    with open_service(project) as address:
        told["served"] = answered_by(1, address)
        post(address, "/feedback", {"id": told["served"]["predictions"][0]["id"], "label": "workshop"})
    told["predict"] = [done(project, "predict", f"TEXT={text}") for text in ASKED]
    told["trace"] = done(project, "trace", f"ID={told['corrected']}")
    told["lineage"] = [done(project, "lineage", f"VERSION={number}") for number in (1, 2, 3)]
    told["history"] = done(project, "history")
    told["status"] = done(project, "status")
    age(project)
    done(project, "backup", f"TO={folder / 'backup.tar.gz'}")
    keep(project, folder, told)
    shutil.rmtree(project.root)


def earlier(commit: str, folder: Path) -> Project:
    """A project of that commit, which needs no setting up."""
    (folder / "home").mkdir(parents=True)
    root = folder / "project"
    subprocess.run(["git", "clone", "--quiet", "--shared", str(ROOT), str(root)], check=True)
    subprocess.run(["git", "checkout", "--quiet", "--detach", commit], cwd=root, check=True)
    (root / ".venv").symlink_to((ROOT / ".venv").resolve())
    os.utime(root / "requirements.lock", (0, 0))
    (root / "state" / "prefect").mkdir(parents=True)
    project = Project(root)
    project.write("matplotlibrc", "".join(f"{what}.antialiased: False\n" for what in ("text", "lines", "patch")))
    project.environment["LOGNAME"] = "mechanic"
    return project


def done(project: Project, *words: str) -> str:
    """What a command printed that went well."""
    ended = project.make_really(*words)
    print(f"$ make {' '.join(words)}\n{ended.text}")
    assert ended.status == 0
    return ended.text


def bring(project: Project, rows: int, hasty: float = 0.0, more: str = "") -> None:
    project.write("tickets.csv", tickets(rows, hasty) + more)
    done(project, "data", "SOURCE=tickets.csv", "TEXT=text", "LABEL=queue", "GROUP=customer")
    project.write("params.yaml", SHOP)


@contextmanager
def open_service(project: Project) -> Iterator[str]:
    """The address of the earlier service, while the block runs."""
    log = project.root / "state" / "served.log"
    with open(log, "wb") as out:
        process = subprocess.Popen(
            ["make", "serve"], cwd=project.root, env=project.environment, stdout=out, stderr=out, start_new_session=True
        )
    service = Served(f"http://127.0.0.1:{project.environment['SERVE_PORT']}", process, log)
    try:
        wait_until_answers(service)
        yield service.address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
        log.unlink()


def answered_by(version: int, address: str) -> dict[str, Any]:
    """What the service answers once that version does; at first it may be the one that did when it was last open."""
    found: list[dict[str, Any]] = []

    def happened() -> bool:
        found.append(post(address, "/predict", {"texts": list(ASKED)}))
        return str(found[-1]["version"]) == str(version)

    until(happened, f"version {version} answers")
    return found[-1]


def post(address: str, path: str, body: object) -> Any:
    request = urllib.request.Request(address + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)


def age(project: Project) -> None:
    """Prefect's events, half of its database, are gone, as they are by themselves after some days."""
    with closing(sqlite3.connect(project.root / "state" / "prefect" / "prefect.db")) as connection:
        connection.executescript("delete from event_resources; delete from events; vacuum")


def keep(project: Project, folder: Path, told: dict[str, Any]) -> None:
    """Write the archive that the tests keep."""
    with archive.compressed(folder / "backup.tar.gz", "r") as stream:
        (folder / "backup.tar").write_bytes(stream.read())
    (folder / "told.json").write_text(json.dumps(told, ensure_ascii=False, indent=1))
    files = [("told.json", folder / "told.json"), ("backup.tar", folder / "backup.tar")]
    for name in ("state", "data", "data.dvc", "params.yaml"):
        path = project.root / name
        for file in archive.iterate(path) if path.is_dir() else (path,):
            inner = file.relative_to(project.root / "state").as_posix() if name == "state" else ""
            if not any(inner == out or inner.startswith(f"{out}/") for out in UNKEPT):
                files.append((f"left/{file.relative_to(project.root)}", file))
    made = Path(__file__).with_name(f"{told['commit']}.tar.xz")
    with tarfile.open(made, "w:xz", preset=9) as tar:
        for name, path in files:
            info = tarfile.TarInfo(name)
            info.size = path.stat().st_size
            tar.addfile(info, io.BytesIO(path.read_bytes()))
    print(f"{made}: {made.stat().st_size / 1000:.0f} kB, {len(files)} files")


if __name__ == "__main__":
    assert len(sys.argv) == 3, __doc__
    assert re.fullmatch("[0-9a-f]{7}", sys.argv[1]), "a commit, by its first 7 digits"
    main(sys.argv[1], Path(sys.argv[2]).absolute())
