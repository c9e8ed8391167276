"""Nothing leaves the machine: whom the tools call in a turn of the loop, and that a call would have been heard."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.project import ROOT, Project, overheard, overhearing

HEARTBEAT = """
import os, time
from pathlib import Path
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "true"
from flows.runs import ui_servers
from ratchet.servers import servers
from ratchet.project.paths import places, settle
here = places()
settle(here)
server = ui_servers.prefect(here, here.prefect_port)
heard, deadline = Path(os.environ["OVERHEARD"]), time.monotonic() + 60
with servers.started(here, server) as watcher:
    servers.wait_until_ready(here, server, watcher)
    while "prefect.io" not in heard.read_text() and time.monotonic() < deadline:
        time.sleep(0.1)
"""


def test_a_turn_of_the_loop_calls_nobody(brought: Project, original: Project) -> None:
    """From the table that is brought (DVC, Great Expectations) to the champion (Prefect and its server, MLflow)."""
    data, turn = overheard(brought), overheard(original)
    assert "listening to -m ratchet data" in data
    assert "listening to -m ratchet run" in turn
    assert "uvicorn --factory flows.runs.prefect_server:create_app" in turn
    assert [line for line in (data + turn).splitlines() if not line.startswith("listening to ")] == []


def test_keras_and_great_expectations_call_nobody_when_loaded(own: Project) -> None:
    """The small turn trains no LSTM."""
    done = own.python(
        "from ratchet.project.paths import places, settle; settle(places()); import expectations; expectations.load();"
        "import keras; keras.Sequential([keras.layers.Dense(1)]).build((1, 1))",
        OVERHEARD=overhearing(own)["OVERHEARD"],
        PYTHONPATH=f"{overhearing(own)['PYTHONPATH']}:{own.root}",
    )
    assert done.status == 0, done.text
    assert [line for line in overheard(own).splitlines() if not line.startswith("listening to ")] == []


def test_onnx_runtime_leaves_nothing_in_the_home_and_has_its_telemetry_off(tmp_path: Path) -> None:
    """Its library uploads events by itself, which no hook of Python's hears. First it leaves two files in the home.

    It does so nowhere where it recognises continuous integration, so the environment is a bare one.
    """
    code = "from models.text.onnx_lstm import _session\ntry: _session(b'')\nexcept Exception as error: print(error)"
    for off in (False, True):
        home = tmp_path / str(off)
        home.mkdir()
        run = code if off else "import onnxruntime"
        environment = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run([sys.executable, "-c", run], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert any(home.rglob("*")) is not off, "without the variable it would have been seen"


def test_the_heartbeat_of_prefects_server_would_have_been_heard(own: Project) -> None:
    done = own.python(
        HEARTBEAT,
        OVERHEARD=overhearing(own)["OVERHEARD"],
        PYTHONPATH=f"{overhearing(own)['PYTHONPATH']}:{own.root}",
    )
    assert done.status == 0, done.text
    assert "socket.getaddrinfo sens-o-matic.prefect.io by -m uvicorn" in overheard(own)
