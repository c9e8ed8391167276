"""Publishes the flows to the Prefect UI, each with its run form, and runs what is started there.

Run by `make ui` as a server of its own: `python -m flows.deployments`, until it is ended.
"""

from __future__ import annotations

import inspect

from prefect import serve
from prefect.deployments.runner import EntrypointType

from flows.build import build
from flows.deploy import deploy
from flows.evaluate import evaluate
from flows.lifecycle import lifecycle
from flows.optimise import optimise

FLOWS = (lifecycle, build, evaluate, deploy, optimise)
STARTED_HERE = "Prefect UI"


def publish() -> None:
    """Serve every flow as a deployment of its own name; returns when it is ended."""
    serve(
        *(
            flow.to_deployment(
                name=flow.name,
                description=inspect.cleandoc(flow.fn.__doc__ or "").partition("\n\nArgs:")[0],
                parameters={"trigger": STARTED_HERE},
                tags=["ratchet"],
                entrypoint_type=EntrypointType.MODULE_PATH,
            )
            for flow in FLOWS
        ),
        limit=1,
        print_starting_message=False,
    )


if __name__ == "__main__":
    publish()
