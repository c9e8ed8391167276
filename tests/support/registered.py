"""What MLflow's registry holds of a project, read by its own client; and a version that is put there by hand."""

from __future__ import annotations

from typing import Any

from tests.support.project import Project

ANOTHER = """
import mlflow
client = mlflow.MlflowClient()
model = next(m for m in mlflow.search_logged_models(["1"], output_format="list") if m.name == "linear")
first = client.get_model_version("reviews", "1")
client.create_model_version("reviews", f"models:/{model.model_id}", model.source_run_id, tags=dict(first.tags),
                            model_id=model.model_id)
"""
"""Version 2, as good as the first."""


def registry(project: Project, problem: str = "reviews") -> dict[str, Any]:
    """What MLflow's own client reads of the champion, its run and the registered model."""
    import mlflow

    client: Any = mlflow.MlflowClient(project.tracking_uri, project.tracking_uri)
    version = client.get_model_version_by_alias(problem, "champion")
    run = client.get_run(version.run_id)
    model = client.get_registered_model(problem)
    return {
        "version": int(version.version), "tags": dict(version.tags), "run_tags": dict(run.data.tags),
        "metrics": dict(run.data.metrics), "aliases": {name: int(held) for name, held in model.aliases.items()},
        "description": version.description, "page": model.description,
        "status": run.info.status, "digest": [each.dataset.digest for each in run.inputs.dataset_inputs],
        "open": len(client.search_runs([run.info.experiment_id], "attributes.status = 'RUNNING'")),
        "parent_files": files(client, run.data.tags["mlflow.parentRunId"], "data-docs"),
        "files": files(client, run.info.run_id),
    }  # fmt: skip


def files(client: Any, run_id: str, folder: str | None = None) -> list[str]:
    return sorted(file.path for file in client.list_artifacts(run_id, folder))
