"""The ratings of a study, in SQLite or PostgreSQL, with nothing of people but random numbers."""

from __future__ import annotations

import secrets
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
    make_url,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError

from gluon_enhance.study.design import Item, Study, StudyError

FILE = "ratings.sqlite"
UPSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
"""Databases that can be used, and their insert that replaces."""
BUSY = 30
"""Seconds that SQLite waits for other writers."""

SCHEMA = MetaData()
STUDIES = Table("study", SCHEMA, Column("fingerprint", String(16), primary_key=True))
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
    url : str
        Of SQLAlchemy: ``sqlite:///FILE`` or ``postgresql://USER:PASSWORD@HOST/NAME``.
    study : Study

    Raises
    ------
    StudyError
        If the database cannot be used, or has ratings of another study.
    """

    def __init__(self, url: str, study: Study):
        self._engine = _engine(url)
        self._upsert = UPSERTS[self._engine.dialect.name]
        try:
            SCHEMA.create_all(self._engine)
            self._claim(study.fingerprint())
        except StudyError:
            self.close()
            raise
        except DBAPIError as error:
            self.close()
            where = self._engine.url.render_as_string(hide_password=True)
            raise StudyError(f"the database {where} cannot be used: {error.orig}") from error

    def _claim(self, fingerprint):
        with self._engine.begin() as connection:
            found = connection.execute(select(STUDIES.c.fingerprint)).scalars().all()
            if found == [fingerprint]:
                return
            if connection.execute(select(PEOPLE.c.place).limit(1)).first() is None:
                connection.execute(delete(STUDIES))
                connection.execute(insert(STUDIES).values(fingerprint=fingerprint))
            else:
                raise StudyError(
                    "the database has ratings of another study, or study.toml has changed since "
                    "(title and consent may); make a new study, or name another --database"
                )

    def join(self) -> str:
        """Add a person, and return the random number that is all that is known of them."""
        number = secrets.token_urlsafe(32)
        with self._engine.begin() as connection:
            connection.execute(insert(PEOPLE).values(number=number))
        return number

    def place(self, number: str) -> Optional[int]:
        """Return the place of a person, from 0 in the order in which they came; None if unknown."""
        with self._engine.connect() as connection:
            query = select(PEOPLE.c.place).where(PEOPLE.c.number == number)
            place = connection.execute(query).scalar()
        return None if place is None else place - 1

    def rate(self, place: int, index: int, item: Item, value: int) -> None:
        """Store what a person says of their item of a number, in place of what they said before."""
        first, second = (*item.shown, None)[:2]
        row = {"place": place + 1, "item": index, "stage": item.stage, "picture": item.picture}
        row.update(first=first, second=second, value=value)
        keys = [RATINGS.c.place, RATINGS.c.item]
        with self._engine.begin() as connection:
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


def file_url(folder: str | Path) -> str:
    """Return the URL of the database in a study's folder."""
    return URL.create("sqlite", database=str(Path(folder, FILE))).render_as_string()


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StudyError(f"--database: {error}; give postgresql://USER@HOST/NAME") from error
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in UPSERTS:
        raise StudyError(f"--database is {parsed.drivername}: known are {', '.join(UPSERTS)}")
    try:
        engine = create_engine(parsed, **_options(parsed))
    except ImportError as error:
        raise StudyError(f"--database needs {error.name}: pip install 'psycopg[binary]'") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _write_ahead)
    return engine


def _options(url):
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": BUSY}}
    return {"pool_pre_ping": True}


def _write_ahead(connection, _):
    """Keep SQLite's log beside the file, so that readers do not wait for a writer."""
    for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {setting}")
