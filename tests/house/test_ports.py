"""The ports of tests, which share a machine with others."""

from __future__ import annotations

import subprocess
import sys

from tests.support import ports
from tests.support.project import ROOT


def test_two_processes_that_test_have_no_port_in_common() -> None:
    """Each has a block of its own, so that a server of one is never on a port that the other was about to use."""
    mine = ports.free_ports(3)
    code = "from tests.support import ports; print(*ports.free_ports(3))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    blocks = {port // ports.BLOCK for port in mine}
    assert len(blocks) == 1
    assert len({int(port) // ports.BLOCK for port in done.stdout.split()} - blocks) == 1
