"""What is done to the registry as a whole, for all problems: what a kill left is closed, what nothing needs goes.

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
    """All problems of a registry, and the way to be rid of runs and versions for good.

    Where the registry is not a file of this project's own, others may turn their loops on it, and their ledgers are not
    here: then only runs of this state may go, and no version that was ever promoted.
    """

    def __init__(self, here: Places) -> None:
        self.here = here
        self.client = Registry("", here).client
        self.shared = mlflow_database() is None

    def close_orphans(self) -> int:
        """End the runs that a killed process of this state left open, as killed; how many.

        Call it only while holding the loop's lock. Runs of others, where a server is shared, are left alone.
        """
        experiments = [each.experiment_id for each in self.client.search_experiments()]
        mine = f"attributes.status = 'RUNNING' and tags.{STATE} = '{self.here.identity}'"
        open_runs = self.client.search_runs(experiments, mine)
        for run in open_runs:
            self.client.set_terminated(run.info.run_id, "KILLED")
        return len(open_runs)

    def versions(self) -> list[retention.Version]:
        found = []
        for model in every(self.client.search_registered_models):
            aliased = {int(number) for number in model.aliases.values()}
            for one in every(self.client.search_model_versions, filter_string=f"name = '{model.name}'"):
                data, version = one.tags.get("data_version", ""), int(one.version)
                created = one.creation_timestamp / 1000
                logged = one.model_id or one.source.removeprefix("models:/")
                named = version in aliased or (self.shared and one.tags.get("decision") == Standing.PROMOTE)
                found.append(retention.Version(model.name, version, one.run_id, logged, data, named, created))
        return found

    def runs(self, of_others: bool = False) -> list[retention.Run]:
        """Those of the problems' experiments that may go; one that somebody deleted in the UI is among them.

        Args:
            of_others: those of other states in a shared registry, too.
        """
        found = []
        for experiment in self.experiments():
            logged: dict[str, list[str]] = {}
            for model in every(self.client.search_logged_models, experiment_ids=[experiment.experiment_id]):
                logged.setdefault(model.source_run_id, []).append(model.model_id)
            for run in every(
                self.client.search_runs, experiment_ids=[experiment.experiment_id], run_view_type=deleted_too()
            ):
                tags, ended = run.data.tags, run.info.end_time
                if self.shared and not of_others and tags.get(STATE) != self.here.identity:
                    continue
                found.append(
                    retention.Run(
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
        """Those of problems: with a registered model of the same name, or artifacts where this project puts its own."""
        below = artifact_root(self.here).rstrip("/") + "/"
        models = {model.name for model in every(self.client.search_registered_models)}
        found = every(self.client.search_experiments)
        return [one for one in found if one.name in models or one.artifact_location.startswith(below)]

    def folders(self, runs: Sequence[retention.Run]) -> list[Path]:
        """Where runs and the models they logged keep their artifacts, as far as that is below the state."""
        root = self.here.state / "artifacts"
        found = [root / run.problem / run.id for run in runs]
        found += [root / run.problem / "models" / model for run in runs for model in run.models]
        return [folder for folder in found if folder.is_dir()]

    def objects(self, runs: Sequence[retention.Run]) -> list[tuple[Bucket, dict[str, int]]]:
        """The same in buckets: key and bytes of each object. None on a server, which only marks runs as deleted."""
        found = []
        for experiment in self.experiments():
            mine = [run for run in runs if run.problem == experiment.name]
            owners = {run.id for run in mine} | {f"models/{model}" for run in mine for model in run.models}
            if owners and is_bucket(experiment.artifact_location) and self.deletes_for_good:
                bucket = of_mlflow(experiment.artifact_location.rstrip("/") + "/")
                sizes = {key: size for key, size in bucket.objects() if owner(key, bucket.prefix) in owners}
                found.append((bucket, sizes))
        return found

    @property
    def deletes_for_good(self) -> bool:
        return hasattr(self.client._tracking_client.store, "_hard_delete_run")

    def size(self, choice: retention.Choice) -> int:
        stored = sum(sum(sizes.values()) for _, sizes in self.objects(choice.runs))
        return stored + sum(map(retention.bytes_of, self.folders(choice.runs)))

    def unowned(self, choice: retention.Choice, cutoff: float) -> list[Path]:
        """Old folders of artifacts that no run owns, as a kill or `mlflow gc` leaves them, or that nothing will own."""
        owned = set(self.folders(self.runs(of_others=True)))
        found = []
        for experiment in self.experiments():
            root = self.here.state / "artifacts" / experiment.name
            folders = [*root.glob("*"), *(root / "models").glob("*")]
            found += [path for path in folders if path.is_dir() and path.name != "models" and path not in owned]
        return sorted(path for path in found if retention.is_old(path, cutoff))

    def remove(self, choice: retention.Choice) -> None:
        """Versions first, then models and runs, then their artifacts: cut off anywhere, nothing points to nothing.

        On a server the runs are marked as deleted; `mlflow gc` there gives the room back.
        """
        folders, objects = self.folders(choice.runs), self.objects(choice.runs)
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


def owner(key: str, prefix: str) -> str:
    """Whose an object is, by its key below an experiment's place: a run's id, or `models/` and a model's."""
    parts = key.removeprefix(prefix).split("/")
    return "/".join(parts[:2]) if parts[0] == "models" else parts[0]


def every(search: Callable[..., Any], **asked: Any) -> list[Any]:
    """All pages of one of the client's searches."""
    page = search(**asked)
    found = list(page)
    while page.token:
        page = search(**asked, page_token=page.token)
        found += page
    return found
