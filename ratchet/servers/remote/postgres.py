"""Is a PostgreSQL database there, and does it let its user in? Asked in the words of libpq, by asyncpg.

SQLAlchemy, which MLflow and Prefect use, asks a server that is not there for minutes, and ends in a traceback.
"""

from __future__ import annotations

import asyncio

from ratchet.project.errors import Refusal
from ratchet.project.faults import without_password

READY = """
select to_regclass('alembic_version') is not null or coalesce(has_schema_privilege(current_schema(), 'create'), false)
"""
"""MLflow and Prefect both number their tables there; where it is not, they are still to be made."""


def require(variable: str, address: str, patience: float) -> None:
    """Raise unless the database answers and lets its user make tables; nothing is asked of an address of another kind.

    Args:
        variable: the environment variable that holds the address.
        address: as SQLAlchemy has it, e.g. `postgresql+asyncpg://user:password@host/name`.
        patience: seconds.

    Raises:
        Refusal: it does not.
    """
    kind, mark, rest = address.partition("://")
    if not mark or kind.partition("+")[0] != "postgresql":
        return
    try:
        usable = asyncio.run(asked(f"postgresql://{rest.replace('?ssl=', '?sslmode=')}", patience))
    except Exception as error:  # of asyncpg, the network or the address, each of many kinds
        raise refusal(error, variable, address, patience) from None
    if not usable:
        raise Refusal(
            f"The user that {variable} names must be allowed to make tables in that database.",
            f"no right to, in {without_password(address)}",
            "As its owner: grant all on schema public to that user; or make a database of that user's own.",
        )


async def asked(address: str, patience: float) -> bool:
    """Whether the tables are there, or the user may make them."""
    import asyncpg

    connection = await asyncpg.connect(address, timeout=patience)
    try:
        return bool(await connection.fetchval(READY, timeout=patience))
    finally:
        await connection.close(timeout=patience)


def refusal(error: Exception, variable: str, address: str, patience: float) -> Refusal:
    """What an error on the way to a database comes to, by PostgreSQL's own number for it where it has one."""
    shown, state = without_password(address), getattr(error, "sqlstate", None) or ""
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    if state == "3D000":
        return Refusal(
            f"PostgreSQL must have the database that {variable} names.",
            f"{said} ({shown})",
            "Make it (createdb NAME, as a user who may), or mend the name.",
        )
    if state.startswith("28"):
        return Refusal(
            f"PostgreSQL must let in the user that {variable} names.",
            f"{said} ({shown})",
            "Mend the name or the password; in an address @ is written %40, : %3A, / %2F and % %25.",
        )
    if isinstance(error, OSError) or state.startswith(("08", "53", "57P")):
        return Refusal(
            f"PostgreSQL must answer within {patience:g} s at the address that {variable} names.",
            f"{said} from {shown}",
            f"Start it, mend the address, or leave {variable} out: Ratchet then uses a file of its own.",
        )
    return Refusal(
        f"{variable} must name a PostgreSQL database that can be used.",
        f"{said} ({shown})",
        "It reads postgresql://user:password@host:5432/name.",
    )
