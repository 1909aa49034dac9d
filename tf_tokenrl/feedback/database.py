"""The database under a store: connections, transactions, schema versions."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tf_tokenrl.errors import TokenRLError

logger = logging.getLogger(__name__)
SCHEMA = "2"  # what the newest file of `migrations/versions` makes
_WAIT_SECONDS = 60.0  # for another writer of the same SQLite file
_LOCK = 0x746F6B656E726C  # names our lock among others of the PostgreSQL
_MOST_NAMED = 5


class Database:
    """SQLite or PostgreSQL, one writer at a time.

    One writer at a time is what makes a position in the store mean "all that
    came before": numbers are drawn inside the lock, so that the order of the
    numbers is the order of the commits.

    Args:
        url: "sqlite:///FILE" or "postgresql+psycopg://...".
        upgrade: bring an older schema up to date instead of refusing it.

    Raises:
        TokenRLError: the database cannot be reached, or its schema is older
            or newer than this program's.
    """

    def __init__(self, url: str, upgrade: bool = False):
        self.url = _parsed(url)
        self.name = self.url.render_as_string(hide_password=True)
        self._engine = _engine(self.url)
        try:
            with self.writing() as connection:
                self._prepare(connection, upgrade)
            if self.is_sqlite:
                self._look_for_orphans()
        except BaseException:
            self.close()
            raise

    @property
    def is_sqlite(self) -> bool:
        """The database is a file of SQLite's."""
        return self.url.get_backend_name() == "sqlite"

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees what was committed before it began."""
        with self._explained(), self._engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """The one transaction that writes; committed at the end."""
        engine = self._engine.execution_options(writes=True)
        with self._explained(), engine.begin() as connection:
            if not self.is_sqlite:
                connection.execute(
                    sa.select(sa.func.pg_advisory_xact_lock(_LOCK))
                )
            yield connection

    def forget(self) -> None:
        """Overwrite what was deleted, in the log of SQLite's writes too."""
        if self.is_sqlite:
            with self._explained(), self._engine.connect() as connection:
                driver: Any = connection.connection.driver_connection
                driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Hang up."""
        self._engine.dispose()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.DBAPIError as error:
            said = str(error.orig).strip().partition("\n")[0].rstrip(".")
            raise TokenRLError(
                f'The feedback store "{self.name}" failed: {said}; nothing of '
                "this call was stored."
            ) from error

    def _prepare(self, connection: sa.Connection, upgrade: bool) -> None:
        found = _version(connection)
        if found == SCHEMA:
            return
        if found is None or upgrade:
            _migrate(connection, self.name)
            return
        if found.isdigit() and int(found) < int(SCHEMA):
            raise TokenRLError(
                f'The feedback store "{self.name}" has schema {found}, older '
                f"than {SCHEMA}: open it once with upgrade=True, which keeps "
                "every row."
            )
        raise TokenRLError(_too_new(self.name, found))

    def _look_for_orphans(self) -> None:
        """SQLite takes them from a program that does not ask for the check."""
        with self.reading() as connection:
            query = sa.text(
                "SELECT key FROM judgements WHERE rowid IN (SELECT rowid FROM "
                "pragma_foreign_key_check('judgements')) ORDER BY number"
            )
            keys = list(connection.scalars(query))
        if keys:
            named = ", ".join(keys[:_MOST_NAMED])
            named += ", ..." if len(keys) > _MOST_NAMED else ""
            logger.warning(
                '%d judgements in "%s" belong to answers that are not there '
                "and are left out: %s.",
                len(keys),
                self.name,
                named,
            )


def _parsed(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
        backend = parsed.get_backend_name()
    except sa.exc.ArgumentError:
        parsed, backend = None, ""
    if parsed is not None and backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    database = parsed.database if parsed is not None else None
    if parsed is None or backend != "sqlite" or database in (None, ":memory:"):
        raise TokenRLError(
            "Cannot take that URL as a feedback store: write sqlite:///FILE "
            "or postgresql+psycopg://USER@HOST/DATABASE."
        )
    return parsed.set(drivername="sqlite")


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True)
    folder = Path(str(url.database)).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TokenRLError(
            f'Cannot make the folder "{folder}" of the feedback store: '
            f"{error.strerror}."
        ) from error
    engine = sa.create_engine(url, connect_args={"timeout": _WAIT_SECONDS})
    sa.event.listen(engine, "connect", _set_up)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _set_up(connection: Any, record: Any) -> None:
    """Each connection to SQLite must ask for what it wants.

    Within a transaction most of these would do nothing, hence the switch to
    no transaction at all; `_begin` opens them.
    """
    connection.isolation_level = None
    for pragma in (
        "journal_mode = WAL",  # readers do not wait for the writer
        "synchronous = FULL",  # a commit survives a power cut as well
        "foreign_keys = ON",
        "secure_delete = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: sa.Connection) -> None:
    """Take the lock of writers at once.

    A transaction that reads first and writes then fails at once when another
    has written in between, however long it may wait.
    """
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _version(connection: sa.Connection) -> str | None:
    """The schema's version; None in a database without our tables."""
    inspector = sa.inspect(connection)
    if inspector.has_table("alembic_version"):
        query = sa.text("SELECT version_num FROM alembic_version")
        return connection.scalar(query)
    return None


def _migrate(connection: sa.Connection, name: str) -> None:
    from alembic import command, config, util  # only where it is needed

    settings = config.Config()
    folder = Path(__file__).parent / "migrations"
    settings.set_main_option("script_location", str(folder).replace("%", "%%"))
    settings.set_main_option("path_separator", "os")
    settings.attributes["connection"] = connection
    try:
        command.upgrade(settings, SCHEMA)
    except util.CommandError as error:
        raise TokenRLError(_too_new(name, _version(connection))) from error


def _too_new(name: str, found: str | None) -> str:
    return (
        f'The feedback store "{name}" has schema {found}, which this program '
        f"does not know (it knows {SCHEMA}): update tf_tokenrl."
    )
