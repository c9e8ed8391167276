"""Deploy: decision -> aliases move -> the champion answers."""

from __future__ import annotations

from prefect.artifacts import create_markdown_artifact

from flows import admission
from flows.pages import reports
from flows.registry import bundles
from flows.registry.registry import Registry
from flows.registry.snapshot import CHALLENGER, PREVIOUS, Standing, Version, number
from flows.runs import champion as champions
from flows.runs.run_names import rename_run
from flows.runs.stage import log_quietly, problem_and_registry, say, stage, step
from ratchet.problem.problem import Problem
from ratchet.project.errors import Refusal
from ratchet.state import ledger


@stage
def deploy(version: int | None = None, trigger: str = "manual", tried: bool = False, approved: bool = False) -> int:
    """Does the decision go live?

    Where *evaluate* decided to promote, the version is read from the registry, packed for the service, answers a smoke
    test, and becomes the **champion**; the old champion becomes **previous**. Otherwise the champion stays. Comes after
    *evaluate*.

    Args:
        version: The version that was decided on; empty takes the one with the alias `challenger`.
        trigger: What set this run off; written into the ledger.
        tried: It needs no trial on live traffic (deploy.canary), or has passed it.
        approved: A person lets it through (deploy.approval); so does Resume on a run that waits.

    Returns:
        The number of the version that is live.
    """
    problem, registry = problem_and_registry()
    decided = registry.version(version) if version else registry.by_alias(CHALLENGER)
    live = find_live(problem, registry)
    if decided is not None and is_to_go_live(problem, decided, live):
        require_fresh(decided, live)
        pack(registry, decided)
        live = admit(problem, registry, decided, live, trigger, tried, approved)
    champion = report(problem, registry, decided, live)
    outcome = "live" if decided and decided.number == champion.number else "stays live"
    rename_run(problem.name, champion.number, champion.model, outcome)
    return champion.number


@step("See what is live")
def find_live(problem: Problem, registry: Registry) -> Version | None:
    """Return today's champion, and update the ledger to it."""
    return champions.reconcile(problem, registry)


def admit(
    problem: Problem,
    registry: Registry,
    decided: Version,
    live: Version | None,
    trigger: str,
    tried: bool,
    approved: bool,
) -> Version | None:
    """Promote the version, unless it needs a canary or an approval first; returns the champion afterwards."""
    if not tried and not approved and admission.needs_canary(problem, decided, live):
        admission.begin_canary(problem, registry, decided)
        bundles.update_lineup(registry, problem.settings.deploy.canary)
        return live
    if not approved and admission.needs_approval(problem, live):
        admission.ask_for_approval(problem, registry, decided)
        return live
    promote(problem, registry, decided, trigger)
    admission.settle_approval(problem, registry, decided)
    return serve_champion(problem, registry)


def is_to_go_live(problem: Problem, decided: Version, live: Version | None) -> bool:
    """Whether a version is to go live and is not yet; after a rollback it comes back only by hand."""
    promoted = decided.standing is Standing.PROMOTE
    is_live = live is not None and live.number == decided.number
    moves = ledger.read(problem.here.ledger, problem.name)
    return promoted and not is_live and not ledger.was_taken_back(moves, decided.number)


def require_fresh(decided: Version, live: Version | None) -> None:
    """Check that the decision was made against today's champion.

    Raises:
        Refusal: Another version went live since.
    """
    against = decided.tags.get("decided_against", "none")
    if against != number(live):
        raise Refusal(
            "A decision holds for the champion that it was made against.",
            f"version {decided.number} was held against {against}, and {number(live)} is live",
            "Hold it against what is live: make evaluate",
        )


@step("Pack and smoke-test it for the prediction service")
def pack(registry: Registry, version: Version) -> None:
    """Make the version's bundle, which is all that the service reads.

    The packed model answers odd texts as a smoke test, before anything is live.

    Raises:
        Refusal: The version cannot be read, or an answer is not valid; nothing went live.
    """
    exported = bundles.export(registry, version)
    say(f"Packed version {version.number} as bundle {exported.digest[:12]}.")


@step("Move the aliases")
def promote(problem: Problem, registry: Registry, version: Version, trigger: str) -> None:
    """Move aliases and write the ledger; the champion's alias moves last."""
    champions.promote(problem, registry, version, trigger, version.tags.get("decision_reason", "decided by evaluate"))


def serve_champion(problem: Problem, registry: Registry) -> Version:
    """Have the service answer with the new champion, and return it."""
    live = registry.champion()
    assert live is not None
    bundles.update_lineup(registry, problem.settings.deploy.canary)
    say(f"Version {live.number} ({live.model}) is the champion of {problem.name}.")
    return live


@step("Say what is live")
def report(problem: Problem, registry: Registry, decided: Version | None, live: Version | None) -> Version:
    """Report the champion, why it is live, and how to go back, in Prefect and on the registered model's page in MLflow.

    Raises:
        Refusal: No model has ever passed the gate.
    """
    if live is None:
        why = decided.tags.get("decision_reason", "") if decided else "no challenger waits either"
        raise Refusal(
            f"{problem.name} needs a champion.",
            f"no model that ever passed the gate ({why})",
            "See the scorecard; then better data, other candidates, or another floor in params.yaml.",
        )
    champions.describe(problem, registry, live)
    kept = decided is not None and decided.number != live.number
    verdict = (
        f"Version {live.number} ({live.model}) stays champion of {problem.name}."
        if kept or decided is None
        else f"Version {live.number} ({live.model}) is live as champion of {problem.name}."
    )
    log_quietly(verdict)
    read_on = reports.links(problem, live, registry.experiment(), decided if kept else None)
    create_markdown_artifact(
        f"{verdict}\n\n{reports.champion(live, registry.by_alias(PREVIOUS), read_on)}",
        key="registered-model",
        description=f"Version {live.number} ({live.model}): live",
    )
    return live
