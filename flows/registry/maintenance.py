"""Maintenance of the registry for all problems: closes runs that a kill left open, removes what nothing needs.

MLflow's client comes from flows/registry/registry.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flows.registry.registry import STATE, Registry
from flows.registry.snapshot import Standing
from flows.registry.store import deleted_too
from ratchet.project.paths import Places, artifact_root, mlflow_database
from ratchet.servers.remote.s3 import Bucket, is_bucket, of_mlflow
from ratchet.state import retention


class RegistryMaintenance:
    """All problems of a registry, and the removal of runs and versions for good.

    Where the registry is not a file of this project's own, other projects may use it, and their ledgers are not here.
    Then only runs of this state are removed, and no version that was ever promoted.
    """

    def __init__(self, here: Places) -> None:
        self.here = here
        self.client = Registry("", here).client
        self.shared = mlflow_database() is None

    def close_orphans(self) -> int:
        """End the runs that a killed process of this state left open, as killed; returns how many.

        Call it only while holding the loop's lock. Runs of other states in a shared registry are left alone.
        """
        ids = [experiment.experiment_id for experiment in self.client.search_experiments()]
        query = f"attributes.status = 'RUNNING' and tags.{STATE} = '{self.here.identity}'"
        open_runs = self.client.search_runs(ids, query)
        for run in open_runs:
            self.client.set_terminated(run.info.run_id, "KILLED")
        return len(open_runs)

    def versions(self) -> list[retention.Version]:
        """Return all versions of all problems."""
        versions = []
        for model in search_all(self.client.search_registered_models):
            aliased = {int(number) for number in model.aliases.values()}
            for entity in search_all(self.client.search_model_versions, filter_string=f"name = '{model.name}'"):
                number = int(entity.version)
                promoted = entity.tags.get("decision") == Standing.PROMOTE
                versions.append(
                    retention.Version(
                        model.name,
                        number,
                        entity.run_id,
                        entity.model_id or entity.source.removeprefix("models:/"),
                        entity.tags.get("data_version", ""),
                        number in aliased or (self.shared and promoted),
                        entity.creation_timestamp / 1000,
                    )
                )
        return versions

    def runs(self, of_others: bool = False) -> list[retention.Run]:
        """Return the runs of the problems' experiments that may go, also those that somebody deleted in the UI.

        Args:
            of_others: Whether runs of other states in a shared registry are included.
        """
        runs = []
        for experiment in self.experiments():
            model_ids: dict[str, list[str]] = {}
            for model in search_all(self.client.search_logged_models, experiment_ids=[experiment.experiment_id]):
                model_ids.setdefault(model.source_run_id, []).append(model.model_id)
            for run in search_all(
                self.client.search_runs, experiment_ids=[experiment.experiment_id], run_view_type=deleted_too()
            ):
                tags = run.data.tags
                ended = run.info.end_time
                if self.shared and not of_others and tags.get(STATE) != self.here.identity:
                    continue
                runs.append(
                    retention.Run(
                        experiment.name,
                        run.info.run_id,
                        tags.get("mlflow.parentRunId", ""),
                        tuple(model_ids.get(run.info.run_id, ())),
                        tags.get("data_version", ""),
                        ended / 1000 if ended else None,
                    )
                )
        return runs

    def experiments(self) -> list[Any]:
        """Return the problems' experiments.

        Each has a registered model of the same name, or keeps its artifacts below this project's root.
        """
        root = artifact_root(self.here).rstrip("/") + "/"
        models = {model.name for model in search_all(self.client.search_registered_models)}
        experiments = search_all(self.client.search_experiments)
        return [
            experiment
            for experiment in experiments
            if experiment.name in models or experiment.artifact_location.startswith(root)
        ]

    def folders(self, runs: Sequence[retention.Run]) -> list[Path]:
        """Return the artifact folders of runs and the models they logged, as far as they are below the state."""
        root = self.here.state / "artifacts"
        folders = [root / run.problem / run.id for run in runs]
        folders += [root / run.problem / "models" / model for run in runs for model in run.models]
        return [folder for folder in folders if folder.is_dir()]

    def objects(self, runs: Sequence[retention.Run]) -> list[tuple[Bucket, dict[str, int]]]:
        """Return the artifacts of runs in buckets: the size in bytes by key, for each bucket.

        There are none on a server, which only marks runs as deleted.
        """
        objects = []
        for experiment in self.experiments():
            owned = [run for run in runs if run.problem == experiment.name]
            owners = {run.id for run in owned} | {f"models/{model}" for run in owned for model in run.models}
            if owners and is_bucket(experiment.artifact_location) and self.deletes_for_good:
                bucket = of_mlflow(experiment.artifact_location.rstrip("/") + "/")
                sizes = {key: size for key, size in bucket.objects() if owner_of(key, bucket.prefix) in owners}
                objects.append((bucket, sizes))
        return objects

    @property
    def deletes_for_good(self) -> bool:
        """Whether the store can remove a run for good; a server only marks it as deleted."""
        return hasattr(self.client._tracking_client.store, "_hard_delete_run")

    def size(self, choice: retention.Choice) -> int:
        """Return the bytes of all artifacts of the chosen runs."""
        stored = sum(sum(sizes.values()) for _, sizes in self.objects(choice.runs))
        return stored + sum(map(retention.bytes_of, self.folders(choice.runs)))

    def unowned(self, choice: retention.Choice, cutoff: float) -> list[Path]:
        """Return old artifact folders that belong to no run, as a kill or `mlflow gc` leaves them."""
        owned = set(self.folders(self.runs(of_others=True)))
        orphans = []
        for experiment in self.experiments():
            root = self.here.state / "artifacts" / experiment.name
            folders = [*root.glob("*"), *(root / "models").glob("*")]
            orphans += [path for path in folders if path.is_dir() and path.name != "models" and path not in owned]
        return sorted(path for path in orphans if retention.is_old(path, cutoff))

    def remove(self, choice: retention.Choice) -> None:
        """Remove versions, then models and runs, then their artifacts, so that a kill leaves no dangling reference.

        On a server the runs are marked as deleted; `mlflow gc` there frees the space.
        """
        folders = self.folders(choice.runs)
        objects = self.objects(choice.runs)
        store = self.client._tracking_client.store
        for version in choice.versions:
            self.client.delete_model_version(version.problem, str(version.number))
        for model in choice.models:
            self.client.delete_logged_model(model)
            if hasattr(store, "_hard_delete_logged_model"):
                store._hard_delete_logged_model(model)
        for run in choice.runs:
            self.client.delete_run(run.id)
            if self.deletes_for_good:
                store._hard_delete_run(run.id)
        for folder in folders:
            retention.remove(folder)
        for bucket, sizes in objects:
            bucket.remove(list(sizes))


def owner_of(key: str, prefix: str) -> str:
    """Return the owner of an object from its key below an experiment's location: a run's id, or `models/` and an id."""
    parts = key.removeprefix(prefix).split("/")
    return "/".join(parts[:2]) if parts[0] == "models" else parts[0]


def search_all(search: Callable[..., Any], **arguments: Any) -> list[Any]:
    """Return the results of all pages of one of the client's searches."""
    page = search(**arguments)
    results = list(page)
    while page.token:
        page = search(**arguments, page_token=page.token)
        results += page
    return results
