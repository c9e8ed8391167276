"""May a label that somebody gave teach the next model? The border between the prediction log and a data version.

What breaks a rule is set aside with its reason, and the rest goes on. A rule of severity critical, or one that cannot
be judged, keeps out all that was collected: it stays in the log. Whether a label is right nobody can tell from it; that
a model which learned from wrong ones goes live is prevented by the gate, whose rows none of these people chose. The
suite judges the facts of `ratchet.monitoring.labels.feedback_rules`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from expectations.rules import Rules, warned

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.expectations import Expectation

    from expectations.verdict import Action


def suite(rules: Rules) -> ExpectationSuite:
    """First what a label is of, then what it says, then whether that can be."""
    from great_expectations import ExpectationSuite

    aside: Action = "set aside"
    return ExpectationSuite(
        name="feedback",
        expectations=[
            _never("unknown_id", "Every label is of a prediction that is logged.", aside),
            _never("unknown_label", "Every label is a class of the problem.", aside),
            _never("no_text", "The log kept the text of every labelled prediction.", aside),
            _never("unsound", "Every labelled text could be a row of the table.", aside),
            _never("contradicts", "No label contradicts the table, or what was learned before.", aside),
            _never("conflict", "Nobody gave one text two labels.", aside),
            _never("improbable", "There are no more corrections than the model can have made mistakes.", aside),
            _never("unusual", "No source corrects several times as much as it used to.", aside),
            _never("waits", "No source gives more labels than one turn takes; the rest wait.", "flag"),
            _one_sided(rules),
        ],
    )


def _never(fact: str, sentence: str, action: Action) -> Expectation:
    """That a fact is false in every row; where it is not, nothing but these rows is stopped."""
    from great_expectations.expectations import ExpectColumnValuesToBeInSet

    return ExpectColumnValuesToBeInSet(column=fact, value_set=[False], **warned(sentence, action))


def _one_sided(rules: Rules) -> Expectation:
    from great_expectations.expectations import ExpectColumnMaxToBeBetween

    words = warned(f"No class has more than {rules.max_class:.0%} of the new labels.", "flag")
    return ExpectColumnMaxToBeBetween(column="class_share", max_value=rules.max_class, **words)
