"""The project's git repository: the commit of its code, and the commit of data.dvc."""

from __future__ import annotations

import subprocess

from ratchet.project.paths import Places


def code_version(here: Places) -> str:
    """The commit of the project's code, followed by `-dirty` where tracked files differ from it."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(here.root), *words], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    commit = git("rev-parse", "HEAD")
    if not commit:
        return "unknown"
    return commit + ("-dirty" if git("status", "--porcelain", "--untracked-files=no") else "")


def is_committed(here: Places) -> bool:
    """Whether data.dvc is committed as it is now."""
    words = ["git", "-C", str(here.root), "status", "--porcelain", "--", "data.dvc"]
    done = subprocess.run(words, capture_output=True, text=True)
    return done.returncode == 0 and not done.stdout


def commit(here: Places, message: str) -> str:
    """Commit data.dvc alone, whatever else is staged or changed; return a sentence that says whether it worked."""
    words = ["git", "-C", str(here.root), "commit", "--quiet", "-m", message, "--", "data.dvc"]
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode == 0:
        return f"Committed data.dvc to git: {message}"
    output = (done.stderr or done.stdout).strip().splitlines()
    return f"data.dvc is not committed to git ({output[0] if output else 'git said nothing'}); commit it by hand."
