"""The environment: pinned uv, and an interpreter that is kept if it runs and created anew if not."""

from __future__ import annotations

from pathlib import Path

from ratchet import setup_venv


def test_uv_is_installed_by_the_hash_that_the_lock_names() -> None:
    pin = setup_venv.pin_of("uv")
    assert pin.startswith("uv==")
    assert "--hash=sha256:" in pin
    assert len([line for line in pin.splitlines() if "==" in line]) == 1


def test_a_sound_environment_is_kept_and_a_broken_one_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "venv"
    python = setup_venv.interpreter(folder)
    assert setup_venv.output_of(python, "print(1)") == "1"
    (folder / "kept").touch()
    assert setup_venv.interpreter(folder) == python
    assert (folder / "kept").exists()
    python.unlink()
    python.symlink_to(tmp_path / "gone")
    assert setup_venv.output_of(setup_venv.interpreter(folder), "print(2)") == "2"
    assert not (folder / "kept").exists()
