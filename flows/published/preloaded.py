"""What a turn of the loop needs, loaded ahead for the processes that begin warm (ratchet/servers/prefork.py)."""

from __future__ import annotations

from importlib import import_module

NEEDED = (
    "flows.lifecycle",
    "flows.published.engine",
    "prefect.engine",
    "prefect.flow_engine",
    "prefect.task_engine",
    "prefect.utilities.visualization",
    "models.linear",
    "models.pyfunc",
    "ratchet.training.job",
    "anyio._backends._asyncio",
    "git",
    "matplotlib.backends.backend_agg",
    "matplotlib.pyplot",
    "mlflow.pyfunc.scoring_server",
    "mlflow.store.model_registry.sqlalchemy_workspace_store",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "PIL.JpegImagePlugin",
    "pyarrow.pandas_compat",
    "pyarrow.parquet",
    "scipy.optimize",
    "scipy.stats",
    "sklearn.linear_model",
    "sqlalchemy.dialects.sqlite",
)


def load() -> None:
    """Load it, and nothing more: no server is asked, no file of the project is read."""
    import expectations
    from flows.registry import store
    from ratchet.data.versions import dvc_repo

    for name in NEEDED:
        import_module(name)
    expectations.load()
    store.load()
    dvc_repo.load()
