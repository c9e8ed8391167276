"""Texts to classes: each row is a text with one label, and an answer is a probability of each class."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ratchet.tasks.contract import Ability

NAME = "classify"
SUMMARY = "One of several labels for each text."
ABILITIES: tuple[Ability, ...] = ("feedback", "must", "right_or_wrong", "confidence", "explanation")
