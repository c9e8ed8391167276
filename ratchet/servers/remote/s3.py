"""A bucket of an object store that speaks S3: does it answer, what lies below an address in it, and away with that.

Used where MLflow and DVC have no words for what is wrong, or wait for minutes: they reach the same bucket by the same
standard variables (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ratchet.project.errors import Refusal

PATIENCE = 8
"""Seconds, as in ratchet/servers/remote/reachable.py."""
KEYS = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "AuthorizationHeaderMalformed")
DENIED = ("AccessDenied", "403")
BATCH = 1000
"""The most objects that S3 removes at a time."""


@dataclass(frozen=True)
class Bucket:
    """A place in a bucket.

    name, prefix: of s3://name/prefix. endpoint: the server's address, where it is neither Amazon's nor in
    AWS_ENDPOINT_URL. account: what boto3's Session takes, where the keys are not in the environment.
    """

    name: str
    prefix: str
    endpoint: str = ""
    account: Mapping[str, str] = field(default_factory=dict)
    verify: bool = True

    @property
    def where(self) -> str:
        """The bucket and its server, in words."""
        server = self.endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        return f"s3://{self.name} at {server or 'Amazon'}"

    def connected(self) -> Any:
        """A client that gives up soon.

        Raises:
            BotoCoreError, ValueError: what the environment says of the account or the server cannot be used.
        """
        import boto3
        from botocore.config import Config

        limits = Config(connect_timeout=PATIENCE, read_timeout=PATIENCE, retries={"total_max_attempts": 2})
        endpoint = self.endpoint or None
        return boto3.Session(**self.account).client("s3", endpoint_url=endpoint, verify=self.verify, config=limits)

    def objects(self) -> Iterator[tuple[str, int]]:
        """Key and bytes of each object below the prefix."""
        pages = self.connected().get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.name, Prefix=self.prefix):
            yield from ((each["Key"], each["Size"]) for each in page.get("Contents", ()))

    def fill(self, folder: Path, files: Sequence[Path], done: Callable[[int], object]) -> None:
        """Put files of a folder below the prefix, under the names that they have there.

        Args:
            done: called with the bytes of each.
        """
        client, begin = self.connected(), f"{self.prefix.rstrip('/')}/" if self.prefix else ""
        for path in files:
            client.upload_file(str(path), self.name, f"{begin}{path.relative_to(folder).as_posix()}")
            done(path.stat().st_size)

    def remove(self, keys: Sequence[str]) -> None:
        """Remove these objects; no harm where one is gone already."""
        client = self.connected()
        for start in range(0, len(keys), BATCH):
            batch = [{"Key": key} for key in keys[start : start + BATCH]]
            client.delete_objects(Bucket=self.name, Delete={"Objects": batch, "Quiet": True})

    def require(self, named_by: str) -> None:
        """Raise unless the bucket is there, answers, and lets its objects be listed.

        Args:
            named_by: what the person set, e.g. `MLFLOW_DEFAULT_ARTIFACT_ROOT`.

        Raises:
            Refusal: it is not, or does not.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self.connected().list_objects_v2(Bucket=self.name, Prefix=self.prefix, MaxKeys=1)
        except ClientError as error:
            raise self.refusal(named_by, str(error.response["Error"].get("Code", "")), str(error)) from error
        except (BotoCoreError, ValueError) as error:
            raise self.refusal(named_by, type(error).__name__, str(error)) from error

    def refusal(self, named_by: str, code: str, said: str) -> Refusal:
        """What a code of S3, or the name of an error of boto3, comes to."""
        if code == "NoSuchBucket":
            return Refusal(
                f"The bucket that {named_by} names must be there.",
                f"no such bucket: {self.where}",
                f"Make it (aws s3 mb s3://{self.name}, or on the store's own page), or mend the name.",
            )
        if code in (*KEYS, *DENIED) or code.endswith("CredentialsError"):
            return Refusal(
                f"The object store must know the keys, and let them list, read and write what {named_by} names.",
                f"{code} from {self.where}",
                "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, to those of an account that may.",
            )
        if code.endswith(("ConnectionError", "TimeoutError", "ConnectionClosedError", "SSLError")):
            return Refusal(
                f"The object store must answer within {PATIENCE} s for what {named_by} names.",
                f"{code} from {self.where}",
                "Start it, or mend its address: AWS_ENDPOINT_URL (MLFLOW_S3_ENDPOINT_URL for MLflow alone).",
            )
        return Refusal(
            f"The bucket that {named_by} names must be one that can be used.",
            f"{' '.join(said.split())[:200]} ({self.where})",
            "Mend its address, its region (AWS_DEFAULT_REGION) or its keys.",
        )


def of_mlflow(address: str) -> Bucket:
    """The bucket of an s3:// address, reached as MLflow reaches it."""
    name, _, prefix = address.removeprefix("s3://").partition("/")
    unverified = os.environ.get("MLFLOW_S3_IGNORE_TLS", "").lower() in ("true", "1")
    return Bucket(name, prefix, os.environ.get("MLFLOW_S3_ENDPOINT_URL", ""), verify=not unverified)


def of_dvc(remote: Mapping[str, Any]) -> Bucket:
    """The bucket of a DVC remote, reached as its configuration says."""
    name, _, prefix = str(remote["url"]).removeprefix("s3://").partition("/")
    known = {
        "access_key_id": "aws_access_key_id", "secret_access_key": "aws_secret_access_key",
        "session_token": "aws_session_token", "profile": "profile_name", "region": "region_name",
    }  # fmt: skip
    account = {ours: str(remote[theirs]) for theirs, ours in known.items() if remote.get(theirs)}
    return Bucket(name, prefix, str(remote.get("endpointurl") or ""), account, remote.get("ssl_verify") is not False)


def is_bucket(address: str) -> bool:
    return address.startswith("s3://")
