"""What drift compares of texts and classes."""

from __future__ import annotations

from collections.abc import Sequence

from ratchet.tasks.values import Answered, Signal

HAS_TEXTS = True


def of_answers(answered: Answered) -> Sequence[Signal]:
    return (
        Signal("text length", answered.characters, ",.0f"),
        Signal("predicted label", answered.answers),
        Signal("confidence", answered.confidences),
    )


def of_inputs(inputs: Sequence[str]) -> Sequence[Signal]:
    """Nothing: of texts their words are compared (ratchet/monitoring/drift/text_statistics.py)."""
    return ()
