"""What the benchmark does in a server: load, build, ask, time. One `Session` for a contender.

Tables are named after the data set. Contenders have a database each, so that several of one
extension can stand side by side and the planner cannot take another's index; those that name the
same database share its tables, and build their indexes in turn. What a table or an index was made
from is kept as JSON in its comment, and it is made again only when that differs.
"""
import json
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psycopg
from psycopg import sql as sql_parts
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dataset import count_hits
from pgbench import find_pgbench, run_pgbench
from process import own_memory, server_cpu, since

REPORTED_SETTINGS = (
    "server_version", "shared_buffers", "huge_pages", "maintenance_work_mem", "work_mem",
    "effective_cache_size", "random_page_cost", "synchronous_commit", "full_page_writes", "fsync",
    "wal_level", "jit", "enable_seqscan")
# Every search runs with these: one query is one process's work, and compiling it is not wanted.
FIXED_SETTINGS = {"max_parallel_workers_per_gather": "0", "jit": "off"}
# Binary form of the vector types: int16 dims, int16 unused, then the elements, all big-endian.
ELEMENT_TYPES = {"vector": ">f4", "halfvec": ">f2"}
COPY_BATCH = 8192
MEMORY_LOOKS = 20       # a second, while an index is built
COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER = b"\xff\xff"
EXPLAINED_QUERIES = 20
# Nearest by bits, for each of the k that are then put in order by the vectors themselves.
WIDE = 10
CPU_QUERIES = 1000
# A statement gets its generic plan at the sixth execution.
CPU_WARM_UP = 10
# What a build costs; all else that is kept of an index says what it was made from.
BUILD_COSTS = ("seconds", "cpu_seconds", "memory_bytes")


def ensure_database(dsn):
    try:
        psycopg.connect(dsn).close()
        return
    except psycopg.OperationalError as error:
        if "does not exist" not in str(error):
            raise SystemExit(f"cannot connect: {error}") from None
    name = conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(make_conninfo(dsn, dbname="postgres"), autocommit=True) as connection:
        create = sql_parts.SQL("CREATE DATABASE {}").format(sql_parts.Identifier(name))
        connection.execute(create)


class Session:
    """One contender over one data set in one database."""

    def __init__(self, contender, data, dsn, progress):
        self.contender, self.data, self.progress = contender, data, progress
        ensure_database(dsn)
        self.dsn = dsn
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.table = f"bench_{data.name}_{contender.type}"
        self.queries = f"{self.table}_q"
        self.index = f"{self.table}_idx"

    def close(self):
        self.connection.close()

    def value(self, sql, *args):
        row = self.connection.execute(sql, args).fetchone()
        return row[0] if row else None

    # --- load ---------------------------------------------------------------------------------
    def lacks_extension(self, name):
        """Creates the extension; returns the server's reason when it has none to create, else None.
        Trying is the only sure test: pg_available_extensions does not see those under Debian's
        extension_destdir."""
        try:
            self.connection.execute(f"CREATE EXTENSION IF NOT EXISTS {name} CASCADE")
            return None
        except psycopg.errors.FeatureNotSupported as error:
            return str(error).splitlines()[0]

    def load(self):
        """Loads both tables where they are missing or of another data set; False if they stood."""
        made_from = {"data": self.data.fingerprint, "rows": len(self.data.base)}
        if self.comment_of(self.table) == made_from:
            return False
        for table, rows in ((self.table, self.data.base), (self.queries, self.data.query)):
            self.copy_table(table, rows)
        self.set_comment("TABLE", self.table, made_from)
        return True

    def copy_table(self, table, rows):
        run = self.connection.execute
        run(f"DROP TABLE IF EXISTS {table}")
        run(f"CREATE TABLE {table} (id int, v {self.contender.type}({rows.shape[1]}))")
        with self.connection.cursor().copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy:
            copy.write(COPY_HEADER)
            for start in self.progress(range(0, len(rows), COPY_BATCH), desc=f"load {table}"):
                batch = rows[start:start + COPY_BATCH]
                copy.write(batch.copy_rows(start) if self.data.sparse else
                           copy_rows(batch, start, ELEMENT_TYPES[self.contender.type]))
            copy.write(COPY_TRAILER)
        run(f"ALTER TABLE {table} ADD PRIMARY KEY (id)")
        run(f"VACUUM ANALYZE {table}")

    def comment_of(self, relation):
        text = self.value("SELECT obj_description(to_regclass(%s), 'pg_class')", relation)
        return json.loads(text) if text else None

    def set_comment(self, kind, relation, value):
        self.connection.execute(sql_parts.SQL(f"COMMENT ON {kind} {relation} IS {{}}")
                                .format(sql_parts.Literal(json.dumps(value))))

    # --- build --------------------------------------------------------------------------------
    def build(self, workers, again):
        """Builds the contender's index unless it stands; the costs of a standing one are those of
        the day it was built."""
        sql = self.index_sql(len(self.data.base))
        made_from = {"sql": sql, "workers": workers, "version": self.extension_version()}
        standing = self.comment_of(self.index) or {}
        costs = {name: standing.pop(name, None) for name in BUILD_COSTS}
        if again or standing != made_from:
            costs = self.rebuild(workers)
            self.set_comment("INDEX", self.index, dict(made_from, **costs))
        return dict(made_from, **costs, **self.sizes())

    def rebuild(self, workers, memory_kb=None):
        """What a new build costs; the index does not say what it was made from, so that it is not taken for
        another."""
        self.connection.execute(f"DROP INDEX IF EXISTS {self.index}")
        costs = self.time_build(self.index_sql(len(self.data.base)), workers, memory_kb)
        # VectorChord's build leaves the table's row count at 0.
        self.connection.execute(f"ANALYZE {self.table}")
        return costs

    def index_sql(self, rows, attributes=""):
        l2 = self.data.metric == "l2"
        return self.contender.index.format(
            index=self.index, table=self.table,
            opclass=self.data.opclass(self.contender.type) + attributes,
            lists=max(1, rows // self.contender.rows_per_list),
            dims=self.data.base.shape[1], l2=str(l2).lower(), sphere=str(not l2).lower())

    def time_build(self, sql, workers, memory_kb=None):
        """`memory_kb`: maintenance_work_mem; None: as the server has it."""
        self.connection.execute("CHECKPOINT")
        self.connection.execute(f"SET max_parallel_maintenance_workers = {workers}")
        self.connection.execute("SET maintenance_work_mem = " + (f"'{memory_kb}kB'" if memory_kb else "DEFAULT"))
        start, cpu = time.monotonic(), server_cpu(self.connection)
        with BuildProgress(self) as progress:
            self.connection.execute(sql)
        used = since(cpu, server_cpu(self.connection))
        return {"seconds": round(time.monotonic() - start, 2),
                "cpu_seconds": used and round(used, 2), "memory_bytes": progress.memory or None}

    def extension_version(self):
        return self.value("SELECT extversion FROM pg_extension WHERE extname = %s",
                          self.contender.extension)

    def sizes(self):
        row = self.connection.execute(
            "SELECT pg_relation_size(to_regclass(%s)), pg_relation_size(c.oid),"
            " coalesce(pg_relation_size(nullif(reltoastrelid, 0)), 0), attstorage::text"
            " FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attname = 'v'"
            " WHERE c.oid = to_regclass(%s)", (self.index, self.table)).fetchone()
        storage = {"p": "plain", "e": "external", "x": "extended", "m": "main"}[row[3]]
        return {"index_bytes": row[0], "heap_bytes": row[1], "toast_bytes": row[2],
                "storage": storage}

    def server_settings(self):
        rows = self.connection.execute(
            "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s)",
            (list(REPORTED_SETTINGS),)).fetchall()
        return dict(sorted(rows))

    def warm(self):
        """Reads table and index into shared buffers, where pg_prewarm is to be had."""
        if not self.lacks_extension("pg_prewarm"):
            self.connection.execute("SELECT pg_prewarm(indexrelid) FROM pg_index WHERE indrelid ="
                                    " to_regclass(%s)", (self.table,))
            self.connection.execute("SELECT pg_prewarm(to_regclass(t)) FROM unnest(%s::text[]) t",
                                    ([self.table, self.queries],))

    # --- sweep --------------------------------------------------------------------------------
    def search_sql(self, query, k):
        if self.contender.search:
            return self.contender.search.format(table=self.table, queries=self.queries, query=query, k=k, wide=WIDE * k,
                                                operator=self.data.operator, dims=self.data.base.shape[1])
        return (f"SELECT id FROM {self.table} ORDER BY v {self.data.operator}"
                f" (SELECT v FROM {self.queries} WHERE id = {query}) LIMIT {k}")

    def floor_sql(self, query, k):
        """The same shape without a search: the query's row, then k heap rows by primary key. The
        tests of v keep both from being index-only scans, which a vector search cannot be."""
        return (f"SELECT id FROM {self.table} WHERE id >="
                f" (SELECT id FROM {self.queries} WHERE id = {query} AND v IS NOT NULL)"
                f" AND v IS NOT NULL ORDER BY id LIMIT {k}")

    def dsn_with(self, settings):
        settings = dict(FIXED_SETTINGS, **settings)
        old = conninfo_to_dict(self.dsn).get("options", "")
        words = [f"-c {name}=" + value.replace(" ", r"\ ") for name, value in settings.items()]
        return make_conninfo(self.dsn, options=" ".join([old, *words]).strip())

    def ask(self, settings, k, truth):
        """Recall, rows short, buffers and backend CPU time a query, asked one by one with the
        timed statement."""
        sql = self.search_sql("%s::int4", k)
        queries = range(len(self.data.query))
        label = f"{self.contender.name} {settings} k={k}"
        with psycopg.connect(self.dsn_with(settings), autocommit=True) as connection:
            answers = [ask_one(connection, sql, i) for i in self.progress(queries, desc=label)]
            cpu_ms = cpu_a_query(connection, sql, queries[:CPU_QUERIES])
            plans = [self.explain(connection, i, k) for i in queries[:EXPLAINED_QUERIES]]
        hits = sum(count_hits(ids, i, self.data, truth, k) for i, ids in enumerate(answers))
        wanted = min(k, len(self.data.base))
        return {"recall": round(hits / (len(queries) * wanted), 5),
                "rows_short": sum(len(ids) < wanted for ids in answers), "cpu_ms": cpu_ms,
                "buffers": round(statistics.mean(buffers for buffers, _ in plans), 1),
                "plan": ", ".join(sorted({plan for _, plan in plans})),
                "own_index": all(plan == self.index for _, plan in plans)}

    def explain(self, connection, query, k):
        sql = self.search_sql(query, k)
        plan = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}").fetchone()[0]
        top = plan[0]["Plan"]
        return top["Shared Hit Blocks"] + top["Shared Read Blocks"], scan_of(top, self.table)

    def time_search(self, settings, k, clients, seconds, repeats):
        return self.pgbench(settings, self.search_sql(":q", k), clients, seconds, repeats)

    def time_floor(self, k, clients, seconds, repeats):
        queries = range(len(self.data.query))
        with psycopg.connect(self.dsn_with({}), autocommit=True) as connection:
            cpu_ms = cpu_a_query(connection, self.floor_sql("%s::int4", k), queries[:CPU_QUERIES])
        timed = self.pgbench({}, self.floor_sql(":q", k), clients, seconds, repeats)
        return dict(timed, cpu_ms=cpu_ms)

    def pgbench(self, settings, sql, clients, seconds, repeats):
        """Medians over the repeats, after a run of a second that is thrown away."""
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder) / "search.sql"
            script.write_text(f"\\set q random(0, {len(self.data.query) - 1})\n{sql};\n")
            command = [find_pgbench(), "-n", "-M", "prepared", "--random-seed=1", "-f", str(script),
                       "-c", str(clients), "-j", str(min(clients, os.cpu_count()))]
            dsn = self.dsn_with(settings)
            run_pgbench(command + ["-T", "1", dsn], None)
            runs = [run_pgbench(command + ["-T", str(seconds), "-l", dsn], folder)
                    for _ in range(repeats)]
        return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


class BuildProgress:
    """Shows pg_stat_progress_create_index of the build from a second connection; `memory` is the
    most that the backend and its parallel workers had of their own at once."""

    def __init__(self, session):
        self.session, self.memory = session, 0

    def __enter__(self):
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.done.set()
        self.thread.join()

    def watch(self):
        pid = self.session.connection.info.backend_pid
        bar = self.session.progress(total=len(self.session.data.base),
                                    desc=f"build {self.session.contender.name}")
        with psycopg.connect(self.session.dsn, autocommit=True) as connection, bar:
            while True:
                workers = [row[0] for row in connection.execute(
                    "SELECT pid FROM pg_stat_activity WHERE leader_pid = %s", (pid,))]
                row = connection.execute("SELECT phase, tuples_done FROM"
                                         " pg_stat_progress_create_index WHERE pid = %s",
                                         (pid,)).fetchone()
                if row:
                    bar.set_postfix_str(row[0])
                    bar.n = row[1]
                    bar.refresh()
                for _ in range(MEMORY_LOOKS):
                    self.memory = max(self.memory, sum(map(own_memory, (pid, *workers))))
                    if self.done.wait(1 / MEMORY_LOOKS):
                        return


def ask_one(connection, sql, query):
    return [row[0] for row in connection.execute(sql, (query,) * sql.count("%s"), prepare=True)]


def cpu_a_query(connection, sql, queries):
    """The backend's CPU milliseconds a query; None where its process cannot be seen."""
    clock = cpu_clock(connection)
    for query in queries[:CPU_WARM_UP]:
        ask_one(connection, sql, query)
    start = clock()
    if start is None:
        return None
    for query in queries:
        ask_one(connection, sql, query)
    return round((clock() - start) / len(queries), 4)


def cpu_clock(connection):
    """A function that tells the milliseconds of CPU time that the backend has had, None where its
    process cannot be seen.

    Waiting for a busy machine is not in it, so it can be compared where QPS cannot.
    """
    path = Path(f"/proc/{connection.info.backend_pid}/schedstat")
    if not connection.info.host.startswith("/") or not path.exists():
        return lambda: None
    return lambda: int(path.read_text().split()[0]) / 1e6


def copy_rows(rows, first_id, element):
    """Rows of (id int4, v) in COPY's binary format, packed by numpy as one block."""
    dims = rows.shape[1]
    payload = 4 + dims * np.dtype(element).itemsize
    block = np.empty(len(rows), np.dtype([
        ("fields", ">i2"), ("id_bytes", ">i4"), ("id", ">i4"), ("v_bytes", ">i4"),
        ("dims", ">i2"), ("unused", ">i2"), ("v", element, (dims,))]))
    block["fields"], block["id_bytes"], block["v_bytes"] = 2, 4, payload
    block["id"] = np.arange(first_id, first_id + len(rows))
    block["dims"], block["unused"], block["v"] = dims, 0, rows
    return block.tobytes()


def scan_of(node, table):
    """How the plan reads the table: the index's name, or the node's type."""
    if node.get("Relation Name") == table:
        return node.get("Index Name") or node["Node Type"]
    for child in node.get("Plans", ()):
        found = scan_of(child, table)
        if found:
            return found
    return None
