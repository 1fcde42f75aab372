"""The ratings of a study, in SQLite or PostgreSQL, with nothing of people but random numbers."""

from __future__ import annotations

import os
import secrets
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Optional

from sqlalchemy import (
    URL,
    Column,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    event,
    func,
    insert,
    inspect,
    make_url,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError

from gluon_enhance.study.design import Item, Study, StudyError

FILE = "ratings.sqlite"
UPSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
"""Databases that can be used, and their insert that replaces."""
LOCKS = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "LOCK TABLE study IN EXCLUSIVE MODE"}
"""How a server keeps others from claiming the database while it does."""
BUSY = 30
"""Seconds that SQLite waits for other writers."""
MOMENT = 0.5
"""Seconds until who could not make the tables finds those that another server has made."""
NOBODY = "nobody has rated yet; `gluon-enhance study serve` asks people"

SCHEMA = MetaData()
STUDIES = Table(
    "study",
    SCHEMA,
    Column("fingerprint", String(16), primary_key=True),
    Column("name", String(16), nullable=False),
)
PEOPLE = Table(
    "people",
    SCHEMA,
    Column("place", Integer, primary_key=True),  # from 1, in the order of coming
    Column("number", String(43), unique=True, nullable=False),
    sqlite_autoincrement=True,
)
RATINGS = Table(
    "ratings",
    SCHEMA,
    Column("place", ForeignKey(PEOPLE.c.place), primary_key=True),
    Column("item", Integer, primary_key=True, autoincrement=False),
    Column("stage", String(8), nullable=False),
    Column("picture", String(100), nullable=False),
    Column("first", String(100), nullable=False),
    Column("second", String(100)),
    Column("value", Integer, nullable=False),
)


class Rating(NamedTuple):
    """A person's answer; `shown` is what the person saw, in this order."""

    place: int
    stage: str
    picture: str
    shown: tuple[str, ...]
    value: int


class Database:
    """The ratings of one study.

    Parameters
    ----------
    url : str or sqlalchemy.URL
        Of SQLAlchemy: ``sqlite:///FILE`` or ``postgresql://USER:PASSWORD@HOST/NAME``.
    study : Study
    writes : bool
        Make what is not there yet, to ask people; else nothing is changed, so that results can be
        had of a folder that is read-only.

    Attributes
    ----------
    name : str
        Drawn by lot, which no other database has; of one that is only read there is none.

    Raises
    ------
    StudyError
        If the database cannot be used, or has ratings of another study; of one that is only read,
        also if there is none yet.
    """

    def __init__(self, url: str | URL, study: Study, writes: bool = True):
        self._fingerprint = study.fingerprint()
        parsed = _parsed(url)
        self._engine = _engine(parsed, writes)
        self._upsert = UPSERTS[self._engine.dialect.name]
        try:
            self._begin() if writes else self._check()
            self._file = _identity(self._engine.url)
        except StudyError:
            self.close()
            raise
        except DBAPIError as error:
            self.close()
            where = parsed.render_as_string(hide_password=True)
            raise StudyError(f"the database {where} cannot be used: {error.orig}") from error

    def _begin(self):
        try:
            self._claim()
        except DBAPIError:  # another server may have begun at the same moment, and made the tables
            time.sleep(MOMENT)
            self._claim()

    def _claim(self):
        SCHEMA.create_all(self._engine)
        with self._engine.begin() as connection:
            connection.exec_driver_sql(LOCKS[self._engine.dialect.name])
            if not self._is_own(connection):
                connection.execute(delete(STUDIES))
                self._refuse_others(connection)
                own = {"fingerprint": self._fingerprint, "name": secrets.token_hex(8)}
                connection.execute(insert(STUDIES).values(own))
            self.name = connection.execute(select(STUDIES.c.name)).scalar_one()

    def _check(self):
        if not inspect(self._engine).has_table(RATINGS.name):
            raise StudyError(NOBODY)
        with self._engine.connect() as connection:
            if not self._is_own(connection):
                self._refuse_others(connection)

    def _is_own(self, connection):
        found = connection.execute(select(STUDIES.c.fingerprint)).scalars().all()
        return found == [self._fingerprint]

    def _refuse_others(self, connection):
        if connection.execute(select(PEOPLE.c.place).limit(1)).first() is not None:
            raise StudyError(
                "the database has ratings of another study, or study.toml has changed since "
                "(title and consent may); take the change back, make a new study, or name another "
                "--database"
            )

    def join(self) -> str:
        """Add a person, and return the random number that is all that is known of them.

        Raises
        ------
        StudyError
            If another server has meanwhile taken the database for a study.toml that has changed, or
            its file is gone.
        """
        number = secrets.token_urlsafe(32)
        with self._writing() as connection:
            connection.execute(insert(PEOPLE).values(number=number))
            if not self._is_own(connection):
                raise StudyError("study.toml has changed; end this server and start another")
        return number

    def place(self, number: str) -> Optional[int]:
        """Return the place of a person, from 0 in the order in which they came; None if unknown."""
        with self._engine.connect() as connection:
            query = select(PEOPLE.c.place).where(PEOPLE.c.number == number)
            place = connection.execute(query).scalar()
        return None if place is None else place - 1

    @contextmanager
    def _writing(self):
        """Refuse to write to a file that was removed, which the system would keep until the end."""
        if self._file != _identity(self._engine.url):
            raise StudyError("the file of the ratings is gone; end this server and start another")
        with self._engine.begin() as connection:
            yield connection

    def rate(self, place: int, index: int, item: Item, value: int) -> None:
        """Store what a person says of their item of a number, in place of what they said before.

        Raises
        ------
        StudyError
            If the database's file is gone.
        """
        first, second = (*item.shown, None)[:2]
        row = {"place": place + 1, "item": index, "stage": item.stage, "picture": item.picture}
        row.update(first=first, second=second, value=value)
        keys = [RATINGS.c.place, RATINGS.c.item]
        with self._writing() as connection:
            query = self._upsert(RATINGS).values(row)
            connection.execute(
                query.on_conflict_do_update(index_elements=keys, set_={"value": value})
            )

    def rated(self, place: int) -> dict[int, int]:
        """Return what a person has said: number of the item -> rating."""
        query = select(RATINGS.c.item, RATINGS.c.value).where(RATINGS.c.place == place + 1)
        with self._engine.connect() as connection:
            return {item: value for item, value in connection.execute(query)}

    def ratings(self) -> list[Rating]:
        """Return what all have said, person by person in the order of their items."""
        query = select(RATINGS).order_by(RATINGS.c.place, RATINGS.c.item)
        with self._engine.connect() as connection:
            return [
                Rating(
                    row.place - 1,
                    row.stage,
                    row.picture,
                    (row.first,) if row.second is None else (row.first, row.second),
                    row.value,
                )
                for row in connection.execute(query)
            ]

    def joined(self) -> int:
        """Return how many people have begun."""
        with self._engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(PEOPLE)).scalar_one()

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


def file_url(folder: str | Path) -> URL:
    """Return the URL of the database in a study's folder."""
    return URL.create("sqlite", database=str(Path(folder, FILE)))


def _parsed(url):
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StudyError(f"--database: {error}; give postgresql://USER@HOST/NAME") from error
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in UPSERTS:
        raise StudyError(f"--database is {parsed.drivername}: known are {', '.join(UPSERTS)}")
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise StudyError(f"--database is {parsed}, which keeps nothing; give sqlite:///FILE")
    return parsed


def _engine(url: URL, writes: bool) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url if writes else _to_read(url), connect_args={"timeout": BUSY})
        if writes:
            event.listen(engine, "connect", _write_ahead)
        return engine
    try:
        return create_engine(url, pool_pre_ping=True)
    except ImportError as error:
        raise StudyError(f"--database needs {error.name}: pip install 'psycopg[binary]'") from error


def _identity(url):
    """Return what tells a database's file from another of its name; None if there is none."""
    with suppress(OSError):
        return url.get_backend_name() == "sqlite" and os.stat(url.database).st_ino
    return None


def _to_read(url):
    """Return the URL by which SQLite reads a file, and neither makes nor changes anything.

    To read what lies in the log, SQLite needs a file beside it that it can write. Without a log,
    which a server leaves only if it is killed, the file alone is whole.
    """
    path = Path(url.database).resolve()
    if not path.is_file():
        raise StudyError(f"{NOBODY} (there is no {path})")
    log = path.with_name(f"{path.name}-wal")
    has_log = log.exists() and log.stat().st_size > 0
    how = {"mode": "ro"} if has_log else {"immutable": "1"}
    return url.set(database=path.as_uri(), query={"uri": "true", **how})


def _write_ahead(connection, _):
    """Keep SQLite's log beside the file, so that readers do not wait for a writer."""
    for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {setting}")
