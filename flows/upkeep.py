"""What pruning asks of the registry and does to it; MLflow's client comes from flows/registry.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flows.registry import Registry, deleted_too
from ratchet import pruning
from ratchet.places import Places


class Upkeep:
    """All problems of a registry, and the way to be rid of runs and versions for good."""

    def __init__(self, here: Places) -> None:
        self.here = here
        self.client = Registry("", here).client

    def versions(self) -> list[pruning.Version]:
        found = []
        for model in every(self.client.search_registered_models):
            aliased = {int(number) for number in model.aliases.values()}
            for one in every(self.client.search_model_versions, filter_string=f"name = '{model.name}'"):
                data, version = one.tags.get("data_version", ""), int(one.version)
                created = one.creation_timestamp / 1000
                logged = one.model_id or one.source.removeprefix("models:/")
                found.append(
                    pruning.Version(model.name, version, one.run_id, logged, data, version in aliased, created)
                )
        return found

    def runs(self) -> list[pruning.Run]:
        """Those of the problems' experiments; one that somebody deleted in the UI is among them."""
        found = []
        for experiment in self.experiments():
            logged: dict[str, list[str]] = {}
            for model in every(self.client.search_logged_models, experiment_ids=[experiment.experiment_id]):
                logged.setdefault(model.source_run_id, []).append(model.model_id)
            for run in every(
                self.client.search_runs, experiment_ids=[experiment.experiment_id], run_view_type=deleted_too()
            ):
                tags, ended = run.data.tags, run.info.end_time
                found.append(
                    pruning.Run(
                        experiment.name,
                        run.info.run_id,
                        tags.get("mlflow.parentRunId", ""),
                        tuple(logged.get(run.info.run_id, ())),
                        tags.get("data_version", ""),
                        ended / 1000 if ended else None,
                    )
                )
        return found

    def experiments(self) -> list[Any]:
        """Those of problems: with a registered model of the same name, or artifacts below the state."""
        below = (self.here.state / "artifacts").as_uri() + "/"
        models = {model.name for model in every(self.client.search_registered_models)}
        found = every(self.client.search_experiments)
        return [one for one in found if one.name in models or one.artifact_location.startswith(below)]

    def folders(self, runs: Sequence[pruning.Run]) -> list[Path]:
        """Where runs and the models they logged keep their artifacts, as far as that is below the state."""
        root = self.here.state / "artifacts"
        found = [root / run.problem / run.id for run in runs]
        found += [root / run.problem / "models" / model for run in runs for model in run.models]
        return [folder for folder in found if folder.is_dir()]

    def size(self, choice: pruning.Choice) -> int:
        return sum(map(pruning.bytes_of, self.folders(choice.runs)))

    def unowned(self, choice: pruning.Choice, cutoff: float) -> list[Path]:
        """Old folders of artifacts that no run owns, as a kill or `mlflow gc` leaves them, or that nothing will own."""
        owned = set(self.folders(self.runs()))
        found = []
        for experiment in self.experiments():
            root = self.here.state / "artifacts" / experiment.name
            folders = [*root.glob("*"), *(root / "models").glob("*")]
            found += [path for path in folders if path.is_dir() and path.name != "models" and path not in owned]
        return sorted(path for path in found if pruning.is_old(path, cutoff))

    def remove(self, choice: pruning.Choice) -> None:
        """Versions first, then models and runs, then their artifacts: cut off anywhere, nothing points to nothing.

        On a server the runs are marked as deleted; `mlflow gc` there gives the room back.
        """
        folders = self.folders(choice.runs)
        store = self.client._tracking_client.store
        for version in choice.versions:
            self.client.delete_model_version(version.problem, str(version.number))
        for model in choice.models:
            self.client.delete_logged_model(model)
            if hasattr(store, "_hard_delete_logged_model"):
                store._hard_delete_logged_model(model)
        for run in choice.runs:
            self.client.delete_run(run.id)
            if hasattr(store, "_hard_delete_run"):
                store._hard_delete_run(run.id)
        for folder in folders:
            pruning.remove(folder)


def every(search: Callable[..., Any], **asked: Any) -> list[Any]:
    """All pages of one of the client's searches."""
    page = search(**asked)
    found = list(page)
    while page.token:
        page = search(**asked, page_token=page.token)
        found += page
    return found
