"""The only code that knows MLflow: runs, model versions, aliases, and the stored models.

Names, tags, figures and files enter; the plain values of flows/registry/snapshot.py leave. Each problem has one
experiment and one registered model, both named as the problem. Aliases move in an order in which a kill at any moment
leaves a correct registry: harmless changes first, the champion last.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import models
from flows.registry.predictor import Predictor
from flows.registry.snapshot import (
    BUILD,
    CHALLENGER,
    CHAMPION,
    IN_DETAILS,
    NEXT,
    NOTE,
    PARENT,
    PREVIOUS,
    STATE,
    TURN,
    Origin,
    RegistrySnapshot,
    Standing,
    Version,
    packed,
    unpacked,
)
from flows.registry.store import deleted_too, keep_on_disk, make_store, quieten, raise_unless_absent
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places, artifact_root, mlflow_database
from ratchet.state import sqlite_file
from ratchet.tasks import Task

if TYPE_CHECKING:
    from mlflow import MlflowClient

MOST_DIGITS = 7
"""Digits of a build's number at most."""


class Registry:
    """The runs, versions and aliases that MLflow holds of one problem."""

    def __init__(self, problem: str, here: Places) -> None:
        self.problem = problem
        self.here = here

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client, connected on first use; it does not log its own database work.

        Raises:
            Refusal: Another program holds the database.
        """
        import mlflow

        quieten()
        path = mlflow_database()
        if path is not None:
            make_store(path)
            sqlite_file.wait_until_free(path)
        return mlflow.MlflowClient()

    def experiment(self, tags: Mapping[str, str] | None = None) -> str:
        """Return the id of the problem's experiment, made on first use; `tags` are set on it and make up its page."""
        experiment = self.client.get_experiment_by_name(self.problem)
        if experiment is None:
            is_remote = self.client.tracking_uri.startswith(("http", "databricks"))  # a server knows its own root
            location = None if is_remote else f"{artifact_root(self.here).rstrip('/')}/{self.problem}"
            experiment_id = self.client.create_experiment(self.problem, location)
        else:
            experiment_id = experiment.experiment_id
        for name, value in (tags or {}).items():
            self.client.set_experiment_tag(experiment_id, name, value)
        return experiment_id

    # Runs

    @contextmanager
    def run(self, name: str, tags: Mapping[str, str], parent: str | None = None, seconds: float = 0) -> Iterator[str]:
        """Open a run while the block runs, and yield its id; it ends as failed where the block raises.

        `parent` is the id of the run that it belongs to, `seconds` how long ago the logged work began.
        """
        run_id = self.begin(name, tags, parent, seconds)
        try:
            yield run_id
        except BaseException:
            self.end(run_id, "FAILED")
            raise
        self.end(run_id)

    def begin(self, name: str, tags: Mapping[str, str], parent: str | None = None, seconds: float = 0) -> str:
        """Open a run as `run` does, and return its id."""
        own_tags = {PARENT: parent} if parent else {}
        own_tags[STATE] = self.here.identity
        start_time = int(1000 * (time.time() - seconds))
        run = self.client.create_run(self.experiment(), start_time=start_time, run_name=name, tags={**tags, **own_tags})
        return str(run.info.run_id)

    def next_build(self) -> int:
        """Return the number of the next build, from 1: one above the highest, whatever the clock said.

        MLflow orders tags as texts, so the longest numbers are searched first.
        """
        for digits in range(MOST_DIGITS, 0, -1):
            pattern = f"tags.{BUILD} LIKE '{'_' * digits}'"
            builds = self.client.search_runs([self.experiment()], pattern, deleted_too(), 1, [f"tags.{BUILD} DESC"])
            if builds:
                return int(builds[0].data.tags[BUILD]) + 1
        return 1

    def end(self, run_id: str, status: str = "FINISHED") -> None:
        self.client.set_terminated(run_id, status)

    def log(
        self,
        run_id: str,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        curve: Sequence[Mapping[str, float]] = (),
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Log everything about a run in one write; `curve` gives a metric one value a step, counted from 1."""
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        steps = [Metric(name, value, now, step) for step, row in enumerate(curve, 1) for name, value in row.items()]
        finals = [Metric(name, value, now, 0) for name, value in (metrics or {}).items()]
        self.client.log_batch(
            run_id,
            metrics=(steps + finals)[:1000],
            params=[Param(name, str(value)) for name, value in (params or {}).items()],
            tags=[RunTag(name, str(value)) for name, value in (tags or {}).items()],
        )

    def log_data(self, run_id: str, version: str, source: str, columns: Mapping[str, str], rows: int) -> None:
        """Name the data version as the run's dataset, its hash as the digest."""
        import json

        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=self.problem,
            digest=version[:32],
            source_type="code",
            source=json.dumps({"tags": {"made_from": source, "pinned_by": "data.dvc"}}),
            schema=json.dumps({"mlflow_colspec": [
                {"name": name, "type": "string", "required": True, "role": role} for role, name in columns.items()
            ]}),
            profile=json.dumps({"num_rows": rows}),
        )  # fmt: skip
        self.client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])

    def log_text(self, run_id: str, text: str, path: str) -> None:
        self.client.log_text(run_id, text, path)

    def read_json(self, run_id: str, path: str) -> Any:
        """Read a JSON artifact of a run.

        Raises:
            Refusal: The run has no such artifact, or it cannot be read.
        """
        import json

        import mlflow

        try:
            return json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/{path}"))
        except (mlflow.exceptions.MlflowException, OSError) as error:
            raise Refusal(
                f"The run must have the artifact {path}.", str(error), "Judge the version here: make evaluate"
            ) from None

    def log_picture(self, run_id: str, png: bytes, path: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            picture = Path(folder) / Path(path).name
            picture.write_bytes(png)
            self.client.log_artifact(run_id, str(picture), str(Path(path).parent))

    def log_model(self, run_id: str, name: str, saved: Path, labels: Sequence[str], task: Task) -> str:
        """Log a saved model with a run, as data alone that `models.pyfunc` reads back; returns the model's id.

        The input example is no row of the table: a stored model outlives a row that is withdrawn.
        """
        import mlflow
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, DataType, Schema

        face = task.answers
        # An unnamed column: MLflow then takes a frame and a list of strings alike.
        inputs = Schema([ColSpec(DataType.string)]) if face.ONE_COLUMN else None
        outputs = Schema([ColSpec(DataType[type_name], column) for column, type_name in face.columns(tuple(labels))])
        with mlflow.start_run(run_id=run_id):
            info = mlflow.pyfunc.log_model(
                name=name,
                loader_module="models.pyfunc",
                data_path=str(saved),
                signature=ModelSignature(inputs, outputs),
                input_example=[face.EXAMPLE],
                pip_requirements=models.requirements(saved),
            )
        keep_on_disk(self.here, str(self.client.get_logged_model(info.model_id).artifact_location))
        return str(info.model_id)

    # Versions

    def register(self, run_id: str, model_id: str, tags: Mapping[str, str], description: str) -> Version:
        """Make a logged model the next version of the problem's registered model."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.get_registered_model(self.problem)
        except MlflowException as error:
            raise_unless_absent(error)
            self.client.create_registered_model(self.problem)
        entity = self.client.create_model_version(
            self.problem, f"models:/{model_id}", run_id, tags=packed(tags), description=description, model_id=model_id
        )
        return Version.of(entity)

    def version(self, number: int) -> Version:
        """Return the version of that number.

        Raises:
            Refusal: There is no such version.
        """
        from mlflow.exceptions import MlflowException

        try:
            return Version.of(self.client.get_model_version(self.problem, str(number)))
        except MlflowException as error:
            raise_unless_absent(error)
            entities = self.client.search_model_versions(f"name = '{self.problem}'")
            numbers = ", ".join(map(str, sorted(int(entity.version) for entity in entities))) or "none"
            raise Refusal(
                f"A version must be one of the registered model {self.problem}.", f"{number}", f"Those there: {numbers}"
            ) from None

    def has(self, number: int | None) -> bool:
        """Whether there is a version of that number."""
        return bool(self.client.search_model_versions(f"name = '{self.problem}' and version_number = {number}"))

    def version_of_turn(self, turn: str) -> Version | None:
        """Return the version that was made in a turn of the loop; None where that turn has made none yet."""
        return next((version for version in self.snapshot().versions if version.tags.get(TURN) == turn), None)

    def by_alias(self, alias: str) -> Version | None:
        """Return the version that has the alias; None where no version has it."""
        from mlflow.exceptions import MlflowException

        try:
            return Version.of(self.client.get_model_version_by_alias(self.problem, alias))
        except MlflowException as error:
            raise_unless_absent(error)
            return None

    def champion(self) -> Version | None:
        return self.by_alias(CHAMPION)

    def snapshot(self) -> RegistrySnapshot:
        """Return all versions and aliases; both are empty before the first version."""
        from mlflow.exceptions import MlflowException

        try:
            numbers = self.client.get_registered_model(self.problem).aliases
        except MlflowException as error:
            raise_unless_absent(error)
            numbers = {}
        entities = self.client.search_model_versions(f"name = '{self.problem}'", 1000, ["version_number DESC"])
        aliases = {alias: int(number) for alias, number in numbers.items()}
        return RegistrySnapshot(tuple(map(Version.of, entities)), aliases, self.experiment())

    def origin(self, version: Version) -> Origin:
        """Return the run that a version was made in, with what was measured."""
        run = self.client.get_run(version.run_id)
        return Origin(run.data.metrics, run.data.tags.get(PARENT, ""), run.info.experiment_id)

    def tags(self, run_id: str) -> Mapping[str, str]:
        """Return the tags of a run, with its name as `mlflow.runName`."""
        return dict(self.client.get_run(run_id).data.tags)

    def describe(self, version: Version, tags: Mapping[str, str], description: str) -> None:
        """Set tags on a version and its run, and replace the descriptions of both."""
        self.set_tags(version, tags)
        self.log(version.run_id, tags={**tags, NOTE: description})
        self.client.update_model_version(self.problem, str(version.number), description)

    def decide(self, version: Version, standing: Standing, tags: Mapping[str, str], description: str) -> None:
        """Write a decision on a version, beside other tags.

        Raises:
            ValueError: The version's standing cannot become this one (flows/registry/snapshot.py:NEXT).
        """
        if standing not in NEXT[version.standing]:
            raise ValueError(f"A version that is {version.standing.value!r} cannot become {standing.value!r}.")
        self.describe(version, {"decision": standing.value, **tags}, description)

    def set_tags(self, version: Version, tags: Mapping[str, str]) -> None:
        """Set tags on a version; a detail with a tag of its own loses it (flows/registry/snapshot.py:DETAILS)."""
        number = str(version.number)
        found = self.client.get_model_version(self.problem, number).tags
        for name, value in packed(tags, unpacked(found)).items():
            self.client.set_model_version_tag(self.problem, number, name, value)
        for name in IN_DETAILS & set(tags) & set(found):
            self.client.delete_model_version_tag(self.problem, number, name)

    def load(self, version: Version) -> Predictor:
        """Load the stored model of a version from the artifact store.

        Raises:
            Refusal: The stored model cannot be read.
        """
        import mlflow

        with self._readable(version):
            return Predictor(mlflow.pyfunc.load_model(version.uri, suppress_warnings=True))

    @contextmanager
    def downloaded(self, version: Version) -> Iterator[Path]:
        """Download the folder that the version's model was saved to, for as long as the block runs.

        Raises:
            Refusal: The stored model cannot be read.
        """
        import mlflow

        self.here.bundles.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.here.bundles, prefix=".fetching-") as scratch:
            with self._readable(version):
                folder = mlflow.artifacts.download_artifacts(f"{version.uri}/data", dst_path=scratch)
                (model_file,) = Path(folder).glob("*/model.json")
            yield model_file.parent

    @contextmanager
    def _readable(self, version: Version) -> Iterator[None]:
        """Turn errors of reading a version's model into a refusal."""
        import mlflow

        try:
            yield
        except (mlflow.exceptions.MlflowException, OSError, ValueError, KeyError) as error:
            raise Refusal(
                f"Version {version.number} must load from the registry.",
                " ".join(str(error).split())[:300],
                f"Bring back {artifact_root(self.here)} from a backup, or build anew: make build",
            ) from error

    def load_model(self, model_id: str) -> Predictor:
        """Load a model that is logged but not registered."""
        import mlflow

        return Predictor(mlflow.pyfunc.load_model(f"models:/{model_id}", suppress_warnings=True))

    # Aliases

    def set_challenger(self, version: Version) -> None:
        """Make the version the challenger."""
        self.set_alias(CHALLENGER, version.number)

    def set_alias(self, alias: str, number: int) -> None:
        """Give the alias to the version of that number."""
        self.client.set_registered_model_alias(self.problem, alias, str(number))

    def delete_alias(self, alias: str) -> None:
        """Take the alias from the version that has it."""
        self.client.delete_registered_model_alias(self.problem, alias)

    def move_champion(self, before: int | None, after: int) -> None:
        """Make version `after` the champion and `before` the previous one.

        The champion's alias moves last but for the challenger's, which is then taken away. A second call after a kill
        at any moment gives the same result.
        """
        if before is not None:
            self.set_alias(PREVIOUS, before)
        self.set_alias(CHAMPION, after)
        challenger = self.by_alias(CHALLENGER)
        if challenger is not None and challenger.number == after:
            self.delete_alias(CHALLENGER)

    def describe_problem(self, description: str, experiment_tags: Mapping[str, str]) -> None:
        """Replace the page of the registered model, and set the tags that the experiment's page is made of."""
        self.client.update_registered_model(self.problem, description)
        self.experiment(experiment_tags)
