"""The whole loop: four calls, each result named and handed on."""

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
from ratchet.monitoring.feedback import withdraw
from ratchet.project import settings
from ratchet.project.paths import Places, places
from ratchet.state import turn


@dataclass(frozen=True)
class Turn:
    """One turn of the loop. challenger, champion: version numbers."""

    challenger: int
    evaluation: Evaluation
    champion: int
    outlook: Outlook

    @property
    def summary(self) -> dict[str, Any]:
        """What a person is shown of it."""
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
    winner live, and looks at what the champion has met since. A turn that was killed is gone on with.

    Args:
        model: Train this model alone; empty trains all candidates of params.yaml.
        example: Bring this example data set first, which changes data.dvc and params.yaml; empty keeps what they say.
        trigger: What set this run off; written on every run, version and ledger line.
        learn: Take in first what people said of answers; where that gives nothing new, or another version still waits
            for its verdict, the turn ends there.

    Returns:
        What came of each of the four; nothing where there was nothing to learn.
    """
    here = places()
    if example is not None:
        bring_example(here, example)
    if learn and (not feedback_intake.brings_more(trigger) or waits_for_another(trigger)):
        return None
    with turn.under_way(here, model) as begun:
        challenger = build(model, trigger, begun.id)
        evaluation = evaluate(challenger, trigger)
        assert evaluation is not None, "a version that is named is judged"
        champion = deploy(evaluation.version, trigger)
        keep_pace(here, begun)
        outlook = optimise(champion, trigger)
        done = Turn(challenger, evaluation, champion, outlook)
        conclude(done)
        if model is None:
            turn.remember(here, begun.cause, done.summary)
    return done


def waits_for_another(trigger: str) -> bool:
    """Whether a version is on trial or waits for a person, which this turn's would end; then the labels judge that."""
    problem, registry = problem_and_registry()
    if not admission.pending(problem, registry):
        return False
    retrain_state.held(problem)
    outlook = optimise(trigger=trigger)
    log_quietly(f"No turn is made: {admission.pending(problem, registry) or 'a verdict came'}. {outlook.verdict}")
    return True


@step("Bring the example data")
def bring_example(here: Places, example: Example) -> None:
    """The example becomes the pinned data, and its problem the one in params.yaml."""
    table_import.example(here, example.value, withdraw, say)


def keep_pace(here: Places, begun: turn.RunningTurn) -> None:
    """What this turn was made from, so that another begins by itself only where there is more."""
    retrain_state.turned(
        here, settings.load(here.params).problem, begun.cause, feedback_table.by_source(feedback_table.kept(here.data))
    )


def conclude(done: Turn) -> None:
    """What the turn came to: as the run's name, and at the end of its log."""
    evaluation = done.evaluation
    rename_run(evaluation.problem, evaluation.version, evaluation.model, standing(evaluation.decision).words)
    came_to = f"{evaluation.decision.verdict}: {evaluation.decision.reason}"
    log_quietly(came_to)
    log_quietly(f"{done.outlook.verdict} Live: version {done.champion} of {evaluation.problem}.")
    show_standing(evaluation, came_to, done.outlook.verdict)


@step("Say how it stands")
def show_standing(evaluation: Evaluation, came_to: str, outlook: str) -> None:
    """What the turn came to, and what is live, before, beside and next: as the registered model's page has it."""
    problem, registry = problem_and_registry()
    live = registry.champion()
    assert live is not None
    page = champions.page(problem, registry, live)
    short = f"Version {evaluation.version} ({evaluation.model}): {standing(evaluation.decision).words}"
    create_markdown_artifact(f"{came_to}\n\n{outlook}\n\n{page}", key="turn", description=short)
