"""The whole loop: four calls, each result named and passed on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from prefect.artifacts import create_markdown_artifact

from flows import admission, feedback_intake
from flows.build import build
from flows.deploy import deploy
from flows.evaluate import evaluate
from flows.evaluation import Evaluation, standing
from flows.optimise import Outlook, optimise
from flows.runs import champion as champions
from flows.runs.run_names import rename_run
from flows.runs.stage import Example, Model, log_quietly, problem_and_registry, say, stage, step
from ratchet.data.incoming import table_import
from ratchet.data.versions import feedback_table
from ratchet.monitoring import retrain_state
from ratchet.monitoring.feedback import erase_withdrawn
from ratchet.problem import settings
from ratchet.project.paths import Places, places
from ratchet.state import turn


@dataclass(frozen=True)
class Turn:
    """One turn of the loop.

    Attributes:
        challenger: The number of the version that was built.
        evaluation: The decision on it.
        champion: The number of the version that is live.
        outlook: The verdict on live traffic.
    """

    challenger: int
    evaluation: Evaluation
    champion: int
    outlook: Outlook

    @property
    def summary(self) -> dict[str, Any]:
        """The turn as the terminal shows it."""
        evaluation = self.evaluation
        return {
            "problem": evaluation.problem,
            "champion": self.champion,
            "scorecard": [asdict(row) for row in evaluation.scorecard],
            "verdict": evaluation.decision.verdict,
            "reason": evaluation.decision.reason,
            "decision": "promote" if evaluation.decision.promote else "keep",
            "outlook": self.outlook.verdict,
        }


@stage
def lifecycle(
    model: Model | None = None, example: Example | None = None, trigger: str = "manual", learn: bool = False
) -> Turn | None:
    """One turn of the loop, as `make run` does: build, evaluate, deploy, optimise.

    Trains on the pinned data, lets the best candidate meet the champion on rows that neither has seen, puts the
    winner live, and checks the champion's live traffic for drift. A turn that was killed is continued.

    Args:
        model: Train this model alone; empty trains all candidates of params.yaml.
        example: Bring this example data set first, which changes data.dvc and params.yaml; empty keeps what they say.
        trigger: What set this run off; written on every run, version and ledger line.
        learn: Take in the waiting feedback first; where that gives nothing new, or another version still waits for its
            verdict, the turn ends there.

    Returns:
        The results of the four stages; nothing where there was nothing to learn.
    """
    here = places()
    if example is not None:
        bring_example(here, example)
    if learn and (not feedback_intake.take_in(trigger) or another_version_waits(trigger)):
        return None
    with turn.running_turn(here, model) as begun:
        challenger = build(model, trigger, begun.id)
        evaluation = evaluate(challenger, trigger)
        assert evaluation is not None, "a version that is named is judged"
        champion = deploy(evaluation.version, trigger)
        record_training_data(here, begun)
        outlook = optimise(champion, trigger)
        result = Turn(challenger, evaluation, champion, outlook)
        report(result)
        if model is None:
            turn.remember(here, begun.cause, result.summary)
    return result


def another_version_waits(trigger: str) -> bool:
    """Whether a version is on trial or waits for a person; then optimise alone runs, with the new labels.

    This turn's version would take the other one's alias and end its trial.
    """
    problem, registry = problem_and_registry()
    if not admission.describe_pending(problem, registry):
        return False
    retrain_state.reset_label_count(problem)
    outlook = optimise(trigger=trigger)
    reason = admission.describe_pending(problem, registry) or "a verdict came"
    log_quietly(f"No turn is made: {reason}. {outlook.verdict}")
    return True


@step("Bring the example data")
def bring_example(here: Places, example: Example) -> None:
    """Make the example the pinned data, and its problem the one in params.yaml."""
    table_import.import_example(here, example.value, erase_withdrawn, say)


def record_training_data(here: Places, begun: turn.RunningTurn) -> None:
    """Record the data of this turn, so that another turn begins by itself only where there is more."""
    labels = feedback_table.by_source(feedback_table.read_feedback(here.data))
    retrain_state.record_turn(here, settings.load(here.params).problem, begun.cause, labels)


def report(result: Turn) -> None:
    """Put the turn's outcome into the run's name and at the end of its log."""
    evaluation = result.evaluation
    rename_run(evaluation.problem, evaluation.version, evaluation.model, standing(evaluation.decision).words)
    decision = f"{evaluation.decision.verdict}: {evaluation.decision.reason}"
    log_quietly(decision)
    log_quietly(f"{result.outlook.verdict} Live: version {result.champion} of {evaluation.problem}.")
    publish_turn(evaluation, decision, result.outlook.verdict)


@step("Publish the turn")
def publish_turn(evaluation: Evaluation, decision: str, outlook: str) -> None:
    """Publish the turn's outcome with the text of the registered model's page as an artifact."""
    problem, registry = problem_and_registry()
    live = registry.champion()
    assert live is not None
    page = champions.page(problem, registry, live)
    description = f"Version {evaluation.version} ({evaluation.model}): {standing(evaluation.decision).words}"
    create_markdown_artifact(f"{decision}\n\n{outlook}\n\n{page}", key="turn", description=description)
