"""The one error a user meets: something that they can put right, said in one breath."""

from __future__ import annotations


class Refusal(Exception):
    """A rule that was not kept: the rule, what was received, and what to do next.

    The command line prints it as it is, without a traceback, and ends non-zero; a flow run shows it as its reason.
    """

    def __init__(self, rule: str, received: str, next_step: str) -> None:
        super().__init__(f"{rule} Received: {received.rstrip('.')}. {next_step}")
        self.rule = rule
        self.received = received
        self.next_step = next_step

    def __reduce__(self) -> tuple[type[Refusal], tuple[str, str, str]]:
        return Refusal, (self.rule, self.received, self.next_step)
