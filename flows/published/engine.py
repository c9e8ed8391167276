"""A flow run in a process of its own, as `python -m prefect.engine` has it, but begun warm (prefork.py)."""

from __future__ import annotations

import runpy
import sys
import warnings

from prefect.context import refresh_global_settings_context
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings


def main() -> None:
    """Without heartbeats, as stage.py has it for runs of a command: each flow waits for the end of its own."""
    refresh_global_settings_context()  # of this run's environment, not of the process that was copied
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="runpy")  # that it is loaded is the point
    sys.argv = ["prefect.engine"]
    with temporary_settings(updates={PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
