"""The drivers with pgvector's types registered: values there and back, COPY, indexes, searches.

Every class walks the same way in its driver's words; the order of its tests is part of it (a table, its
first rows, the rest in bulk, indexes, searches).
"""

import asyncio
import io
import time

import asyncpg
import numpy as np
import pg8000.native
import pgvector.asyncpg
import pgvector.pg8000
import pgvector.psycopg
import pgvector.psycopg2
import psycopg
import psycopg2
import psycopg2.extras
import pytest
from pgvector import Bit, HalfVector, SparseVector, Vector

import corpus

TABLE = """CREATE TABLE items (id int PRIMARY KEY, category int, v vector({0}), h halfvec({0}), s sparsevec({0}), b bit({0}))""".format(
    corpus.DIMS
)
INSERT = "INSERT INTO items (id, category, v, h, s, b) VALUES "
COPY = "COPY items (id, category, v, h, s, b) FROM STDIN"
INDEXES = {
    f"items_{column}_{distance}": f"CREATE INDEX items_{column}_{distance} ON items USING hnsw "
    f"({column} {corpus.operator_class(column, distance)})"
    for column, distance in corpus.SEARCHES
} | {
    f"items_{column}_{distance}_lists": f"CREATE INDEX items_{column}_{distance}_lists ON items USING ivfflat "
    f"({column} {corpus.operator_class(column, distance)}) WITH (lists = 4)"
    for column, distance in [("v", "l2"), ("h", "cosine"), ("b", "hamming")]
}
# 600 rows are sorted faster than searched: this is about the index.
SETTINGS = ["SET enable_seqscan = off", "SET enable_sort = off", "SET hnsw.ef_search = 100", "SET ivfflat.probes = 4"]
EACH_SEARCH = pytest.mark.parametrize("column, distance", corpus.SEARCHES)


def search(column, distance, mark, where=""):
    operator = corpus.OPERATORS[distance]
    if mark == "%s":
        operator = operator.replace("%", "%%")
    return f"SELECT id FROM items {where} ORDER BY {column} {operator} {mark} LIMIT {corpus.K}"


def typed(column, x):
    """As the client's own types."""
    return {"v": Vector, "h": HalfVector, "s": SparseVector, "b": Bit}[column](x)


def record(row):
    return (row, corpus.category(row), *(typed(column, corpus.base(column)[row]) for column in corpus.COLUMNS))


def text_of(value):
    """As COPY and a quoted literal have it."""
    return value.to_text() if hasattr(value, "to_text") else str(value)


def same(value, column, row):
    """That a value read back is the row's, whatever its type is called in this client."""
    value = value.to_list() if hasattr(value, "to_list") else value
    return np.array_equal(np.asarray(value, np.float32), corpus.base(column)[row])


FIRST, REST = range(corpus.FIRST), range(corpus.FIRST, corpus.ROWS)


class TestPsycopg:
    @pytest.fixture(scope="class")
    @classmethod
    def connection(cls, database):
        with psycopg.connect(**database.keywords(), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            pgvector.psycopg.register_vector(connection)
            connection.execute(TABLE)
            yield connection

    def test_insert(self, connection):
        for row in FIRST:
            connection.execute(INSERT + "(%s, %s, %s, %s, %s, %s)", record(row))
        assert connection.execute("SELECT count(*) FROM items").fetchone()[0] == corpus.FIRST

    def test_copy(self, connection):
        copied = COPY + " WITH (FORMAT BINARY)"
        with connection.cursor() as cursor, cursor.copy(copied) as copy:
            copy.set_types(["int4", "int4", "vector", "halfvec", "sparsevec", "bit"])
            for row in REST:
                copy.write_row(record(row))
        assert connection.execute("SELECT count(*) FROM items").fetchone()[0] == corpus.ROWS

    @pytest.mark.parametrize("binary", [False, True])
    def test_values(self, connection, binary):
        with connection.cursor(binary=binary) as cursor:
            for row in (0, corpus.ROWS - 1):
                cursor.execute("SELECT v, h, s, b::text FROM items WHERE id = %s", (row,))
                v, h, s, b = cursor.fetchone()
                assert same(v, "v", row) and same(h, "h", row) and same(s, "s", row)
                assert b == text_of(Bit(corpus.base("b")[row]))

    @pytest.mark.parametrize("name", INDEXES)
    def test_index(self, connection, name):
        connection.execute(INDEXES[name])

    @EACH_SEARCH
    def test_search(self, connection, database, column, distance):
        for setting in SETTINGS:
            connection.execute(setting)
        for i in range(corpus.QUERIES):
            rows = connection.execute(search(column, distance, "%s"), (typed(column, corpus.query(column, i)),))
            corpus.check([row[0] for row in rows], column, distance, i)

    def test_filter(self, connection):
        for mode in ("strict_order", "relaxed_order"):
            connection.execute(f"SET hnsw.iterative_scan = {mode}")
            connection.execute("SET hnsw.max_scan_tuples = 20000")
            rows = connection.execute(
                search("v", "l2", "%s", "WHERE category = %s"), (3, typed("v", corpus.query("v")))
            ).fetchall()
            corpus.check([row[0] for row in rows], "v", "l2", only=3)

    def test_prepared(self, connection):
        for i in range(corpus.QUERIES):
            rows = connection.execute(
                search("v", "cosine", "%s"), (typed("v", corpus.query("v", i)),), prepare=True
            ).fetchall()
            corpus.check([row[0] for row in rows], "v", "cosine", i)

    def test_aggregates(self, connection):
        mean = connection.execute("SELECT avg(v) FROM items").fetchone()[0]
        mean = mean.to_list() if hasattr(mean, "to_list") else mean
        assert np.allclose(mean, corpus.base("v").mean(axis=0), atol=1e-5)

    def test_indexes_were_used(self, connection, database):
        connection.close()
        # Where a search has two indexes, of hnsw and of ivfflat, the planner has its choice.
        searched = "SELECT coalesce(array_agg(indexrelname::text), '{}') FROM pg_stat_user_indexes WHERE idx_scan > 0"
        wanted = {f"items_{column}_{distance}" for column, distance in corpus.SEARCHES}
        # A session's counts arrive when its backend has ended, some time after the client has closed it.
        deadline = time.monotonic() + 30
        while wanted - {name.removesuffix("_lists") for name in database.one(searched)}:
            assert time.monotonic() < deadline, database.one(searched)
            time.sleep(0.1)


class TestPsycopg2:
    @pytest.fixture(scope="class")
    @classmethod
    def cursor(cls, database):
        connection = psycopg2.connect(**database.keywords())
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
            pgvector.psycopg2.register_vector(connection)
            cursor.execute(TABLE)
            yield cursor
        connection.close()

    @staticmethod
    def record(row):
        return (*record(row)[:-1], text_of(record(row)[-1]))

    def test_insert(self, cursor):
        psycopg2.extras.execute_values(cursor, INSERT + "%s", [self.record(row) for row in FIRST])

    def test_copy(self, cursor):
        lines = "".join("\t".join(text_of(value) for value in record(row)) + "\n" for row in REST)
        cursor.copy_expert(COPY, io.StringIO(lines))
        cursor.execute("SELECT count(*) FROM items")
        assert cursor.fetchone()[0] == corpus.ROWS

    def test_values(self, cursor):
        cursor.execute("SELECT v, h, s, array_agg(v) OVER () FROM items WHERE id = 7")
        v, h, s, several = cursor.fetchone()
        assert same(v, "v", 7) and same(h, "h", 7) and same(s, "s", 7)
        assert len(several) == 1 and same(several[0], "v", 7)

    @pytest.mark.parametrize("name", INDEXES)
    def test_index(self, cursor, name):
        cursor.execute(INDEXES[name])

    @EACH_SEARCH
    def test_search(self, cursor, column, distance):
        for setting in SETTINGS:
            cursor.execute(setting)
        q = typed(column, corpus.query(column))
        cursor.execute(search(column, distance, "%s"), (text_of(q) if column == "b" else q,))
        corpus.check([row[0] for row in cursor], column, distance)

    def test_filter(self, cursor):
        cursor.execute("SET hnsw.iterative_scan = relaxed_order")
        cursor.execute(search("h", "ip", "%s", "WHERE category = %s"), (4, typed("h", corpus.query("h"))))
        corpus.check([row[0] for row in cursor], "h", "ip", only=4)


class TestAsyncpg:
    """One event loop and one connection for the class; asyncpg sends and takes everything as binary and
    prepares every statement."""

    @pytest.fixture(scope="class")
    @classmethod
    def run(cls, database):
        loop = asyncio.new_event_loop()

        async def start():
            connection = await asyncpg.connect(
                host=database.host, port=database.port, user=database.user, database=database.name
            )
            await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            await pgvector.asyncpg.register_vector(connection)
            await connection.execute(TABLE)
            return connection

        connection = loop.run_until_complete(start())
        yield lambda method, *arguments, **more: loop.run_until_complete(
            getattr(connection, method)(*arguments, **more)
        )
        loop.run_until_complete(connection.close())
        loop.close()

    @staticmethod
    def value(column, x):
        return asyncpg.BitString(text_of(Bit(x))) if column == "b" else typed(column, x)

    def record(self, row):
        return (row, corpus.category(row), *(self.value(c, corpus.base(c)[row]) for c in corpus.COLUMNS))

    def test_insert(self, run):
        run("executemany", INSERT + "($1, $2, $3, $4, $5, $6)", [self.record(row) for row in FIRST])

    def test_copy(self, run):
        run(
            "copy_records_to_table",
            "items",
            records=[self.record(row) for row in REST],
            columns=["id", "category", *corpus.COLUMNS],
        )
        assert run("fetchval", "SELECT count(*) FROM items") == corpus.ROWS

    def test_values(self, run):
        row = run("fetchrow", "SELECT * FROM items WHERE id = 11")
        assert all(same(row[column], column, 11) for column in "vhs")
        assert row["b"] == self.value("b", corpus.base("b")[11])

    @pytest.mark.parametrize("name", INDEXES)
    def test_index(self, run, name):
        run("execute", INDEXES[name])

    @EACH_SEARCH
    def test_search(self, run, column, distance):
        for setting in SETTINGS:
            run("execute", setting)
        rows = run("fetch", search(column, distance, "$1"), self.value(column, corpus.query(column)))
        corpus.check([row["id"] for row in rows], column, distance)

    def test_filter(self, run):
        run("execute", "SET hnsw.iterative_scan = strict_order")
        rows = run("fetch", search("v", "cosine", "$1", "WHERE category = $2"), typed("v", corpus.query("v")), 5)
        corpus.check([row["id"] for row in rows], "v", "cosine", only=5)


class TestPg8000:
    @pytest.fixture(scope="class")
    @classmethod
    def connection(cls, database):
        socket = f"{database.host}/.s.PGSQL.{database.port}"
        connection = pg8000.native.Connection(database.user, database=database.name, unix_sock=socket)
        connection.run("CREATE EXTENSION IF NOT EXISTS vector")
        pgvector.pg8000.register_vector(connection)
        connection.run(TABLE)
        yield connection
        connection.close()

    @staticmethod
    def value(column, x):
        return text_of(typed(column, x)) if column == "b" else typed(column, x)

    def test_insert(self, connection):
        for row in range(corpus.ROWS):
            values = {column: self.value(column, corpus.base(column)[row]) for column in corpus.COLUMNS}
            connection.run(
                INSERT + "(:id, :category, :v, :h, :s, :b)", id=row, category=corpus.category(row), **values
            )

    def test_values(self, connection):
        v, h, s = connection.run("SELECT v, h, s FROM items WHERE id = 5")[0]
        assert same(v, "v", 5) and same(h, "h", 5) and same(s, "s", 5)

    @EACH_SEARCH
    def test_search(self, connection, column, distance):
        connection.run(INDEXES[f"items_{column}_{distance}"])
        for setting in SETTINGS:
            connection.run(setting)
        cast = {"b": f"bit({corpus.DIMS})"}.get(column, corpus.COLUMNS[column][0])
        rows = connection.run(
            search(column, distance, f"CAST(:q AS {cast})"), q=self.value(column, corpus.query(column))
        )
        corpus.check([row[0] for row in rows], column, distance)
