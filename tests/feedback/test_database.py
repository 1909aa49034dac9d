"""Writers side by side, processes that die, schemas of other times."""

import contextlib
import random
import shutil
import sqlite3
import subprocess
import sys
import threading

import pytest
import sqlalchemy as sa
from alembic import command, config
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.feedback import FeedbackStore, Judgement, database, tables
from tf_tokenrl.feedback.appending import append

PROGRAM = "tests.support.processes.append_feedback"


def thumb(key):
    return Judgement(key=key, answer="a", kind="thumb", score=1)


def processes(url, count, *arguments):
    started = [
        subprocess.Popen(
            [sys.executable, "-m", PROGRAM, url, f"p{n}", *arguments],
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(count)
    ]
    return started, [done.communicate()[0] for done in started]


def test_a_row_that_commits_late_is_read_once(url, store, answer):
    """The later writer waits, so that no reader passes the earlier one."""
    store.append([answer("a")])
    wrote, may_commit = threading.Event(), threading.Event()

    def slow():
        with FeedbackStore(url) as own, own._database.writing() as connection:
            append(connection, [thumb("early")])
            wrote.set()
            may_commit.wait()

    def fast():
        with FeedbackStore(url) as own:
            own.append([thumb("late")])

    threads = [threading.Thread(target=slow), threading.Thread(target=fast)]
    threads[0].start()
    wrote.wait()
    seen = [j.position for j in store.read()]
    threads[1].start()
    seen += [j.position for j in store.read(max(seen, default=0))]
    may_commit.set()
    for thread in threads:
        thread.join()
    found = [j.judgement.key for j in store.read(max(seen, default=0))]
    assert not seen and found == ["early", "late"]


@pytest.mark.parametrize("rows", [1200])
def test_a_reader_that_polls_misses_nothing(url, store, answer, rows):
    store.append([answer("a")])
    writers, batch = 8, 10

    def write(number):
        pause, never = random.Random(number), threading.Event()
        with FeedbackStore(url) as own:
            for begin in range(0, rows // writers, batch):
                some = [thumb(f"{number}-{begin + n}") for n in range(batch)]
                with own._database.writing() as connection:
                    append(connection, some)
                    never.wait(pause.uniform(0, 0.005))

    threads = [
        threading.Thread(target=write, args=(n,)) for n in range(writers)
    ]
    for thread in threads:
        thread.start()
    seen, after = [], 0
    while True:
        alive = any(thread.is_alive() for thread in threads)
        for judged in store.read(after):
            after = judged.position
            seen.append(judged.judgement.key)
        if not alive:
            break
    assert len(seen) == len(set(seen)) == rows


def test_processes_that_check_and_write_wait_for_each_other(url, answer):
    with FeedbackStore(url) as store:
        store.append([answer("a")])
    started, told = processes(url, 4, "25", "1")
    assert [process.returncode for process in started] == [0] * 4
    lines = [line.split() for text in told for line in text.splitlines()]
    assert len(lines) == 100
    assert {status for _, status in lines} == {"stored"}
    with FeedbackStore(url) as store:
        found = [judged.judgement.key for judged in store.read()]
    assert set(found) == {key for key, _ in lines}


def test_a_transaction_that_begins_with_reading_fails(tmp_path):
    """Why `_begin` takes the lock at once: shows that the test above bites."""
    path = tmp_path / "plain.db"
    first, second = (
        sqlite3.connect(path, isolation_level=None, timeout=60)
        for _ in range(2)
    )
    with contextlib.closing(first), contextlib.closing(second):
        first.execute("PRAGMA journal_mode = WAL")
        first.execute("CREATE TABLE t (x)")
        first.execute("BEGIN")
        first.execute("SELECT * FROM t").fetchall()
        second.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            first.execute("INSERT INTO t VALUES (2)")


def test_a_killed_writer_loses_no_row_that_it_was_told_of(url, answer):
    with FeedbackStore(url) as store:
        store.append([answer("a")])
    with subprocess.Popen(
        [sys.executable, "-m", PROGRAM, url, "p", "1000000", "7"],
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        told = [writer.stdout.readline() for _ in range(100)]
        writer.kill()
        told += writer.stdout.readlines()[:-1]  # the last may be cut
    stored = {line.split()[0] for line in told}
    with FeedbackStore(url) as store:
        found = [judged.judgement.key for judged in store.read()]
        assert stored <= set(found)
        assert len(found) % 7 == 0  # a batch is stored whole or not at all
        assert store.append([thumb("after")])[0].safe


def test_every_connection_checks_foreign_keys(tmp_path):
    made = database.Database(f"sqlite:///{tmp_path}/feedback.db")
    with contextlib.ExitStack() as stack:
        for _ in range(15):
            connection = stack.enter_context(made.reading())
            pragma = connection.exec_driver_sql("PRAGMA foreign_keys")
            assert pragma.scalar() == 1
    made.close()


def test_orphans_of_other_programs_are_named(tmp_path, answer, caplog):
    path = tmp_path / "feedback.db"
    with FeedbackStore(f"sqlite:///{path}") as store:
        store.append([answer("a"), answer("b"), thumb("1"), thumb("2")])
        store.append([thumb("3")])
        kept = Judgement(key="4", answer="b", kind="thumb", score=1)
        store.append([kept])
    with contextlib.closing(sqlite3.connect(path)) as careless:
        careless.execute("DELETE FROM answers WHERE key = 'a'")
        careless.commit()
    with FeedbackStore(f"sqlite:///{path}") as store:
        assert [judged.judgement for judged in store.read()] == [kept]
    assert "3 judgements" in caplog.text and "1, 2, 3" in caplog.text


def alembic(connection):
    settings = config.Config()
    folder = database.Path(database.__file__).parent / "migrations"
    settings.set_main_option("script_location", str(folder))
    settings.set_main_option("path_separator", "os")
    settings.attributes["connection"] = connection
    return settings


def test_migrations_make_the_tables_that_are_used(store):
    with store._database.writing() as connection:
        found = ScriptDirectory.from_config(alembic(connection))
        assert found.get_current_head() == database.SCHEMA
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, tables.metadata) == []


def test_an_older_schema_is_refused_and_can_be_upgraded(url, answer):
    made = database._engine(database._parsed(url))
    with made.execution_options(writes=True).begin() as connection:
        command.upgrade(alembic(connection), "1")
        append(connection, [answer("a"), thumb("1")])
    made.dispose()
    with pytest.raises(TokenRLError, match="schema 1, older than 2: open") as e:
        FeedbackStore(url)
    assert "\n" not in str(e.value)
    with FeedbackStore(url, upgrade=True) as store:
        assert [j.judgement.key for j in store.read()] == ["1"]
        store.ack("learner", 1)
    with FeedbackStore(url) as store:
        assert store.position("learner") == 1


@pytest.mark.parametrize("upgrade", [False, True])
def test_a_newer_schema_is_refused(url, upgrade):
    with FeedbackStore(url) as store, store._database.writing() as connection:
        connection.execute(
            sa.text("UPDATE alembic_version SET version_num='3'")
        )
    with pytest.raises(TokenRLError, match="schema 3.*update tf_tokenrl"):
        FeedbackStore(url, upgrade)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("feedback.db", "write sqlite:///FILE"),
        ("sqlite://", "write sqlite:///FILE"),
        ("mysql://host/name", "write sqlite:///FILE"),
        ("postgresql://u:hidden@127.0.0.1:1/name", "u:\\*\\*\\*@.*failed"),
        ("sqlite:////proc/feedback/x.db", "Cannot make the folder"),
    ],
)
def test_store_that_cannot_be_reached_is_one_sentence(url, message):
    with pytest.raises(TokenRLError, match=message) as error:
        FeedbackStore(url)
    assert "\n" not in str(error.value) and "hidden" not in str(error.value)


def test_a_file_that_is_no_database_is_one_sentence(tmp_path):
    (tmp_path / "feedback.db").write_text("no database" * 1000)
    with pytest.raises(TokenRLError, match="not a database"):
        FeedbackStore(f"sqlite:///{tmp_path}/feedback.db")


@pytest.mark.skipif(not shutil.which("prlimit"), reason="needs prlimit")
def test_a_full_disk_is_said_and_the_retry_stores_one_row(tmp_path, answer):
    """The limit on the size of files stands in for the disk."""
    url = f"sqlite:///{tmp_path}/feedback.db"
    with FeedbackStore(url) as store:
        store.append([answer("a")])
    code = f"""
import resource, signal
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.feedback import FeedbackStore, Judgement
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = FeedbackStore({url!r})
said = Judgement(key="k", answer="a", kind="edit", edit="x" * 10**6)
resource.setrlimit(resource.RLIMIT_FSIZE, (2**18, resource.RLIM_INFINITY))
try:
    store.append([said])
except TokenRLError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, [resource.RLIM_INFINITY] * 2)
print(store.append([said])[0].status, store.counts())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert "nothing of this call was stored" in first
    assert second == "stored {'answers': 1, 'judgements': 1}"
