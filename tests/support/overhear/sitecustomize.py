"""Notes every name that a Python process looks up and every address that it connects to, but for this machine's own.

On the path of a process (and so of all that it starts) by `PYTHONPATH`; one line each goes into the file that OVERHEARD
names, after one that says that it is listened to. uvloop looks names up where Python does not see it, which is how an
earlier log missed Prefect's heartbeat; Prefect's server runs on asyncio's own loop here.
"""

import os
import sys

NEAR = ("127.", "::1", "localhost", "0.0.0.0", "::")


def note(event, args):
    if event == "socket.getaddrinfo":
        host = args[0]
    elif event in ("socket.connect", "socket.sendto") and isinstance(args[1], tuple):
        host = args[1][0]
    elif event == "socket.gethostbyname":
        host = args[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host and not host.startswith(NEAR):
        write(f"{event} {host} by {' '.join(sys.orig_argv[1:])}"[:300])


def write(line):
    descriptor = os.open(os.environ["OVERHEARD"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


if "OVERHEARD" in os.environ:
    if "flows.runs.prefect_server:create_app" in sys.orig_argv:
        sys.modules["uvloop"] = None  # type: ignore[assignment]
    write(f"listening to {' '.join(sys.orig_argv[1:])}"[:300])
    sys.addaudithook(note)
