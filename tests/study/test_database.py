"""What is stored of a study, in SQLite and, where there is one, in a real PostgreSQL server."""

import os
import shutil
import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest

from gluon_enhance.study.database import Database, Rating, file_url
from gluon_enhance.study.design import Item, Study, StudyError

STUDY = Study(title="t", methods=("a", "b"), pictures=("p", "q"))
ITEM = Item("test", "p", ("a",))
PAIR = Item("repeat", "q", ("b", "a"))


def postgres_programs():
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    names = ("initdb", "pg_ctl")
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, found)])
    programs = {name: shutil.which(name, path=path) for name in names}
    return programs if all(programs.values()) else None


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    """The URL of a server of our own, which listens on a socket in a folder alone."""
    pytest.importorskip("psycopg")
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL's initdb and pg_ctl are not installed")
    folder = tmp_path_factory.mktemp("postgres")
    as_other = []
    if os.geteuid() == 0:  # which the server refuses to be
        if not shutil.which("runuser") or not shutil.which("chown"):
            pytest.skip("PostgreSQL does not run as root, and there is no runuser")
        for parent in (folder, *list(folder.parents)[:3]):
            parent.chmod(parent.stat().st_mode | 0o011)
        shutil.chown(folder, "nobody")
        as_other = ["runuser", "-u", "nobody", "--"]

    def run(name, *arguments):
        command = [*as_other, programs[name], "-D", str(folder / "data"), *arguments]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, timeout=60)

    run("initdb", "-U", "tester", "-A", "trust", "--no-sync")
    settings = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
    run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", settings, "start")
    yield f"postgresql://tester@/postgres?host={folder}"
    run("pg_ctl", "-m", "immediate", "stop")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        yield file_url(tmp_path)
        return
    url = request.getfixturevalue("postgres")
    yield url
    import psycopg

    with psycopg.connect(url) as connection:
        connection.execute("DROP TABLE ratings, people, study")


@pytest.fixture
def store(url):
    with closing(Database(url, STUDY)) as made:
        yield made


def test_people_come_back_by_their_number(store):
    numbers = [store.join() for _ in range(3)]
    assert [store.place(number) for number in numbers] == [0, 1, 2]
    assert store.place("unknown") is None and store.joined() == 3


def test_a_rating_is_stored_once_and_can_be_mended(store):
    store.join()
    store.rate(0, 4, ITEM, 2)
    store.rate(0, 4, ITEM, 5)
    store.rate(0, 7, PAIR, 1)
    assert store.rated(0) == {4: 5, 7: 1}
    assert store.ratings() == [
        Rating(0, "test", "p", ("a",), 5),
        Rating(0, "repeat", "q", ("b", "a"), 1),
    ]


def test_ratings_are_there_for_who_opens_the_database_anew(store, url):
    store.join()
    store.rate(0, 0, ITEM, 3)
    with closing(Database(url, STUDY)) as other:
        assert other.ratings() == store.ratings() != []


def test_many_people_rate_at_once_and_nothing_is_lost(store):
    def rate_all(_):
        place = store.place(store.join())
        for index in range(10):
            store.rate(place, index, ITEM, 1 + index % 5)
        return place

    with ThreadPoolExecutor(8) as pool:
        places = list(pool.map(rate_all, range(8)))
    assert sorted(places) == list(range(8)) and len(store.ratings()) == 8 * 10


def test_servers_can_begin_at_the_same_moment(url):
    ready = Barrier(4)

    def begin(_):
        ready.wait()
        with closing(Database(url, STUDY)) as store:
            return store.join()

    with ThreadPoolExecutor(4) as pool:
        numbers = set(pool.map(begin, range(4)))
    with closing(Database(url, STUDY)) as store:
        assert store.joined() == len(numbers) == 4


def test_a_study_may_change_until_somebody_has_joined(url):
    changed = Study(title="t", methods=("a", "b"), pictures=("p", "q"), seed=1)
    with closing(Database(url, STUDY)):
        pass
    with closing(Database(url, changed)) as store:
        store.join()
    with pytest.raises(StudyError, match="study.toml has changed since"):
        Database(url, STUDY)


def test_nobody_joins_once_another_server_has_taken_the_database_for_a_changed_study(url):
    changed = Study(title="t", methods=("a", "b"), pictures=("p", "q"), seed=1)
    with closing(Database(url, STUDY)) as before, closing(Database(url, changed)) as after:
        with pytest.raises(StudyError, match="study.toml has changed; end this server"):
            before.join()
        assert after.joined() == 0
        after.join()


def test_who_only_reads_does_not_take_the_database_for_a_changed_study(url, store):
    changed = Study(title="t", methods=("a", "b"), pictures=("p", "q"), seed=1)
    with closing(Database(url, changed, writes=False)) as other:
        assert other.ratings() == []
    store.join()
    with pytest.raises(StudyError, match="take the change back"):
        Database(url, changed, writes=False)


def test_reading_writes_nothing_as_a_folder_may_be_read_only(tmp_path):
    folder = tmp_path / "50% sure?"
    folder.mkdir()
    with closing(Database(file_url(folder), STUDY)) as store:
        store.join()
        store.rate(0, 0, ITEM, 3)
    stored = (folder / "ratings.sqlite").read_bytes()
    with closing(Database(file_url(folder), STUDY, writes=False)) as reader:
        assert reader.ratings() == [Rating(0, "test", "p", ("a",), 3)]
        assert [(one.name, one.read_bytes()) for one in folder.iterdir()] == [
            ("ratings.sqlite", stored)
        ]


def test_what_a_killed_server_left_in_its_log_is_read(tmp_path):
    (tmp_path / "served").mkdir()
    with closing(Database(file_url(tmp_path / "served"), STUDY)) as store:
        store.join()
        store.rate(0, 0, ITEM, 3)
        shutil.copytree(tmp_path / "served", tmp_path / "left")
        with closing(Database(file_url(tmp_path / "left"), STUDY, writes=False)) as reader:
            assert reader.ratings() == store.ratings() != []


def test_a_database_that_is_only_read_is_not_made(tmp_path):
    with pytest.raises(StudyError, match="nobody has rated yet.*there is no .*ratings.sqlite"):
        Database(file_url(tmp_path), STUDY, writes=False)
    assert not list(tmp_path.iterdir())


def test_sqlite_writes_ahead_and_stores_nothing_of_people_but_a_number(tmp_path):
    with closing(Database(file_url(tmp_path), STUDY)) as store:
        store.join()
    with closing(sqlite3.connect(tmp_path / "ratings.sqlite")) as file:
        assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert [row[1] for row in file.execute("PRAGMA table_info(people)")] == ["place", "number"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "give postgresql://USER@HOST/NAME"),
        ("mysql://a@b/c", "--database is mysql: known are sqlite, postgresql"),
        ("sqlite://", "--database is sqlite://, which keeps nothing; give sqlite:///FILE"),
        ("sqlite:////nowhere/at/all.sqlite", "cannot be used: unable to open"),
        ("postgresql://a:secret@127.0.0.1:1/c", "cannot be used"),
    ],
)
def test_a_database_that_cannot_be_used_is_named_without_its_password(url, message):
    pytest.importorskip("psycopg")
    with pytest.raises(StudyError) as error:
        Database(url, STUDY)
    assert message in str(error.value) and "secret" not in str(error.value)
