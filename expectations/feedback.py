"""The suite of feedback: which labels may teach the next model, at the border between prediction log and data version.

A label that breaks a rule is set aside with the reason; the others pass. A broken critical rule, or a rule that cannot
be judged, keeps out the whole batch, which stays in the log. No rule can tell whether a label is right. The gate keeps
a model that learned from wrong labels from going live, since the labellers did not choose the rows of the gate. The
suite judges the facts of `ratchet.monitoring.labels.feedback_rules`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from expectations.rules import Rules, warning_wording

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.expectations import Expectation

    from expectations.verdict import Action


def suite(rules: Rules) -> ExpectationSuite:
    """Rules about the prediction, then about the label itself, then about its plausibility."""
    from great_expectations import ExpectationSuite

    aside: Action = "set aside"
    unit = rules.unit
    known = "a class of the problem" if rules.has_classes else "one that an answer could be"
    return ExpectationSuite(
        name="feedback",
        expectations=[
            _never("unknown_id", "Every label is of a prediction that is logged.", aside),
            _never("unknown_label", f"Every label is {known}.", aside),
            _never("no_text", f"The log kept the {unit} of every labelled prediction.", aside),
            _never("unsound", f"Every labelled {unit} could be a row of the table.", aside),
            _never("contradicts", "No label contradicts the table, or what was learned before.", aside),
            _never("conflict", f"Nobody gave one {unit} two labels.", aside),
            *(_plausible() if rules.has_confidence else []),
            _never("waits", "No source gives more labels than one turn takes; the rest wait.", "flag"),
            *([_one_sided(rules)] if rules.has_classes else []),
        ],
    )


def _plausible() -> list[Expectation]:
    """Rules about corrections, as many as an answer's probability allows."""
    return [
        _never("improbable", "There are no more corrections than the model can have made mistakes.", "set aside"),
        _never("unusual", "No source corrects several times as much as it used to.", "set aside"),
    ]


def _never(fact: str, sentence: str, action: Action) -> Expectation:
    """The expectation that a fact is false in every row; only the rows that break it are stopped."""
    from great_expectations.expectations import ExpectColumnValuesToBeInSet

    return ExpectColumnValuesToBeInSet(column=fact, value_set=[False], **warning_wording(sentence, action))


def _one_sided(rules: Rules) -> Expectation:
    from great_expectations.expectations import ExpectColumnMaxToBeBetween

    words = warning_wording(f"No class has more than {rules.max_class:.0%} of the new labels.", "flag")
    return ExpectColumnMaxToBeBetween(column="class_share", max_value=rules.max_class, **words)
