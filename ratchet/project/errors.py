"""Refusal, the error that users see: one sentence about something that they can put right."""

from __future__ import annotations


class Refusal(Exception):
    """A rule that was broken.

    The command line prints it without a traceback and exits non-zero; a flow run shows it as the reason of its failure.

    Attributes:
        rule: what must hold.
        received: what was found instead.
        next_step: what the user can do.
    """

    def __init__(self, rule: str, received: str, next_step: str) -> None:
        super().__init__(f"{rule} Received: {received.rstrip('.')}. {next_step}")
        self.rule = rule
        self.received = received
        self.next_step = next_step

    def __reduce__(self) -> tuple[type[Refusal], tuple[str, str, str]]:
        return Refusal, (self.rule, self.received, self.next_step)
