"""RATCHET_UI_HOST opens both UIs to the network: each asks for its password, which the loop's own clients send."""

from __future__ import annotations

import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.project import Project, copied, refused
from tests.support.up import addresses, showing

PASSWORDS = {"PREFECT_SERVER_API_AUTH_STRING": "anna:first secret", "MLFLOW_AUTH_ADMIN_PASSWORD": "second secret 2"}


@pytest.fixture(scope="module")
def opened(original: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = copied(original, tmp_path_factory.mktemp("opened") / "project")
    project.environment |= PASSWORDS | {"RATCHET_UI_HOST": "0.0.0.0"}
    with showing(project, "ui"):
        yield project


def status_of(address: str, user: str = "", **headers: str) -> int:
    """The status of an answer."""
    if user:
        headers |= {"Authorization": f"Basic {b64encode(user.encode()).decode()}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=30) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize(
    ("port", "path", "user"),
    [
        ("PREFECT_PORT", "api/deployments/name/optimise/optimise", "anna:first secret"),
        ("MLFLOW_PORT", "api/2.0/mlflow/registered-models/get?name=reviews", "admin:second secret 2"),
    ],
)
def test_each_is_reached_from_the_network_with_its_password_alone(
    opened: Project, port: str, path: str, user: str
) -> None:
    for address in addresses():
        page = f"http://{address}:{opened.environment[port]}/{path}"
        assert status_of(page) == status_of(page, "anna:guess") == status_of(page, "admin:guess") == 401
        assert status_of(page, user) == 200
        assert status_of(page, user, Host="ratchet.example") == 200


def test_the_loops_own_clients_still_work(opened: Project) -> None:
    """The forms are published, or `make ui` would not have said that it is ready; a stage goes through the server."""
    done = opened.make("optimise")
    assert done.status == 0, done.text
    assert "Live: version 1 of reviews." in done.text


def test_another_password_for_mlflow_than_the_one_it_keeps_is_refused(opened: Project, tmp_path: Path) -> None:
    other = copied(opened, tmp_path / "project")
    other.environment |= PASSWORDS | {"RATCHET_UI_HOST": "0.0.0.0", "MLFLOW_AUTH_ADMIN_PASSWORD": "third secret 3"}
    refused(other.make("ui"), "MLFLOW_AUTH_ADMIN_PASSWORD must be the password that MLflow keeps", "another one")


def test_without_passwords_nothing_is_opened(original: Project) -> None:
    for verb in ("ui", "up", "optimise"):
        done = original.make(verb, RATCHET_UI_HOST="0.0.0.0")
        refused(done, "RATCHET_UI_HOST=0.0.0.0 and no PREFECT_SERVER_API_AUTH_STRING and no MLFLOW_AUTH_ADMIN_PASSWORD")
