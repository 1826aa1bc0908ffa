"""What writing costs and what it leaves behind: inserts, updates, deletes, vacuum, an index that
began empty. Contenders take turns in one run; beside each stands the same table without a vector
index, the floor. bench/README.md says what the figures mean.

Rows are a random order of the data set, so a row's id says nothing of its neighbourhood. The first
ones are loaded and indexed, the rest are what gets inserted.
"""
import copy
import os
import re
import subprocess
import tempfile
import time
from collections import deque
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import dataset
from pgbench import find_pgbench
from process import server_cpu, since

PARTS = ("writes", "rounds", "empty")
LOADED_SHARE = 0.8
TURNOVER = 0.2            # share of the rows that a round deletes and inserts
EMPTY_START_ROWS = 100_000
WAL_ROWS = 1000           # single-row transactions of which every WAL record is looked at, at most
WARM_TRANSACTIONS = 25    # of each pgbench client, left out: its backend reads the catalogues
INSERT_BATCH = 1000       # rows a statement where speed is not what is measured
CLIENTS = (1, 8)
SYNCHRONOUS = ("off", "on")
FLOOR = " floor"          # what follows a contender's name in measurements of its floor
BLOCK = re.compile(r"rel (\d+/\d+/\d+)(?: fork (\w+))? blk (\d+)")


# --- pure parts ---------------------------------------------------------------------------------
def shuffled(data):
    """The data set in a random order that is always the same."""
    order = np.random.default_rng(1).permutation(len(data.base))
    base = np.ascontiguousarray(data.base[order])
    return replace(data, name=f"{data.name}_churn", base=base,
                   fingerprint=dataset.fingerprint_of(base, data.query))


class Population:
    """Which rows are in the table. Rows that were deleted come back, the longest gone first."""

    def __init__(self, rows, loaded):
        self.random = np.random.default_rng(2)
        self.live = np.zeros(rows, bool)
        self.live[:loaded] = True
        self.absent = deque(range(loaded, rows))

    def delete(self, share):
        living = np.flatnonzero(self.live)
        gone = self.random.choice(living, round(len(living) * share), replace=False)
        self.live[gone] = False
        self.absent.extend(gone.tolist())
        return gone

    def insert(self, count):
        added = [self.absent.popleft() for _ in range(count)]
        self.live[added] = True
        return added


def truth_among(truth, live, k):
    """The k nearest of the rows that live, from the nearest of all."""
    lists = [np.flatnonzero(live[ids])[:k] for ids in truth.ids]
    if min(map(len, lists)) < k:
        raise SystemExit(f"too few of the {truth.ids.shape[1]} nearest rows are left for k = {k}")
    picked = np.array(lists)
    return dataset.Truth(np.take_along_axis(truth.ids, picked, 1),
                         np.take_along_axis(truth.distances, picked, 1))


def share_out(spare, runs, wanted):
    """How many of the new rows the look at the WAL gets, and how many each timed run."""
    for_wal = min(WAL_ROWS, spare // 4)
    return for_wal, min(wanted, (spare - for_wal) // runs)


def steady_rate(latencies, clients):
    """Transactions a second of clients that never pause, from (client's transaction number,
    microseconds) pairs."""
    warm = latencies[:, 0] > min(WARM_TRANSACTIONS, latencies[:, 0].max() / 4)
    return clients * 1e6 / latencies[warm, 1].mean()


def wal_figures(records, relation):
    """Of the WAL records (xid, manager, type, bytes, block references) of many small transactions:
    bytes and pages a transaction, all and those of one relation; and that relation's records by
    kind and number of pages."""
    pages, own_pages, kinds, total, own = {}, {}, {}, 0, 0
    for xid, manager, kind, size, references in records:
        total += size
        blocks = BLOCK.findall(references or "")
        pages.setdefault(xid, set()).update(blocks)
        mine = [block for block in blocks if block[0] == relation]
        if mine:
            own += size
            own_pages.setdefault(xid, set()).update(mine)
            count, held = kinds.get((manager, kind, len(mine)), (0, 0))
            kinds[manager, kind, len(mine)] = count + 1, held + size
    writers = {xid: found for xid, found in pages.items() if xid != "0"}
    count = max(1, len(writers))
    return {"transactions": len(writers), "bytes": total / count, "index_bytes": own / count,
            "pages": sum(map(len, writers.values())) / count,
            "index_pages": sum(len(found) for xid, found in own_pages.items()) / count,
            "index_records": [[*key, n / count, held / count]
                              for key, (n, held) in sorted(kinds.items())]}


# --- the server's side --------------------------------------------------------------------------
@dataclass
class Table:
    """One table under churn: a contender's, or its floor."""
    name: str
    session: object   # a Session whose `table` and `index` are this one's
    indexed: bool

    def run(self, sql, *args):
        return self.session.connection.execute(sql, args or None)


def table_of(session, suffix, indexed):
    twin = copy.copy(session)
    twin.table = f"{session.table}_{suffix}{'' if indexed else '_floor'}"
    twin.index = f"{twin.table}_idx"
    return Table(session.contender.name + ("" if indexed else FLOOR), twin, indexed)


def make_table(table):
    """An empty table; a btree on `touched` keeps updates of it from being heap-only."""
    run, name = table.run, table.session.table
    dims, kind = table.session.data.base.shape[1], table.session.contender.type
    run(f"DROP TABLE IF EXISTS {name}")
    run(f"CREATE TABLE {name} (id int PRIMARY KEY, touched int NOT NULL, v {kind}({dims}))"
        " WITH (autovacuum_enabled = off)")
    run(f"CREATE INDEX {name}_touched ON {name} (touched)")


def fill(table, staging, ids, batch=None):
    """Inserts the rows of these ids, `batch` a statement (all in one, if None)."""
    ids = [int(i) for i in ids]
    step = batch or max(1, len(ids))
    for start in table.session.progress(range(0, len(ids), step), desc=f"insert {table.name}"):
        table.run(f"INSERT INTO {table.session.table} SELECT id, 0, v FROM {staging}"
                  " WHERE id = ANY(%s)", ids[start:start + step])


def build(table):
    """Seconds of CREATE INDEX."""
    session = table.session
    sql = session.index_sql(len(session.data.base))
    return session.time_build(sql, 0)["seconds"]


def wal_position(table):
    return table.session.value("SELECT pg_current_wal_insert_lsn()::text")


def wal_since(table, start):
    return int(table.session.value("SELECT pg_current_wal_insert_lsn() - %s::pg_lsn", start))


@contextmanager
def full_page_writes(tables, value):
    """Sets it for the tables' servers, of which there may be several."""
    with ExitStack() as stack:
        for table in tables:
            stack.enter_context(full_page_writes_of(table, value))
        yield


@contextmanager
def full_page_writes_of(table, value):
    """Sets it for the server, waits until it holds, and puts it back."""
    def put(sql):
        table.run(sql)
        table.run("SELECT pg_reload_conf()")

    before = table.session.value("SELECT setting FROM pg_file_settings WHERE applied AND"
                                 " name = 'full_page_writes' AND sourcefile LIKE '%%.auto.conf'")
    put(f"ALTER SYSTEM SET full_page_writes = {value}")
    try:
        while table.session.value("SELECT full_page_writes FROM pg_control_checkpoint()") \
                != (value == "on"):
            time.sleep(0.1)
            table.run("CHECKPOINT")
        yield
    finally:
        put(f"ALTER SYSTEM SET full_page_writes = {before}" if before
            else "ALTER SYSTEM RESET full_page_writes")


def write_rate(table, script, clients, transactions, variables, settings):
    """Runs a pgbench script `transactions` times in all: rows a second, the server's CPU
    milliseconds and WAL bytes a row."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "script.sql"
        path.write_text(script)
        each = max(1, transactions // clients)
        command = [find_pgbench(), "-n", "-M", "prepared", "-f", str(path), "-c", str(clients),
                   "-j", str(min(clients, os.cpu_count())), "-t", str(each), "-l",
                   f"--log-prefix={folder}/log",
                   *(f"-D{name}={value}" for name, value in variables.items()),
                   table.session.dsn_with(settings)]
        cpu, wal = server_cpu(table.session.connection), wal_position(table)
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            raise SystemExit(f"pgbench failed:\n{result.stdout}{result.stderr}")
        logs = [np.loadtxt(log, usecols=(1, 2), ndmin=2) for log in Path(folder).glob("log*")]
    count = each * clients
    used = since(cpu, server_cpu(table.session.connection))
    return {"rate": steady_rate(np.concatenate(logs), clients),
            "cpu_ms": used and 1000 * used / count, "wal_bytes": wal_since(table, wal) / count}


def insert_script(table, staging):
    return ("\\set n :n + 1\n\\set id :first + :n * :clients + :client_id\n"
            f"INSERT INTO {table.session.table} SELECT id, 0, v FROM {staging} WHERE id = :id;\n")


def variables(first, clients):
    """Of the scripts, which insert rows from id `first` on."""
    return {"n": -1, "first": first, "clients": clients}


def update_script(table, loaded):
    return (f"\\set id random(0, {loaded - 1})\n"
            f"UPDATE {table.session.table} SET touched = touched + 1 WHERE id = :id;\n")


def wal_of_writes(table, script, values, rows):
    """Every WAL record of so many transactions of one client. None without pg_walinspect."""
    if table.session.lacks_extension("pg_walinspect"):
        return None
    table.run("CHECKPOINT")
    start = wal_position(table)
    write_rate(table, script, 1, rows, values, {"synchronous_commit": "on"})
    relation = table.session.value(
        "SELECT concat_ws('/', coalesce(nullif(reltablespace, 0), dattablespace), d.oid,"
        " pg_relation_filenode(c.oid)) FROM pg_class c, pg_database d"
        " WHERE datname = current_database() AND c.oid = to_regclass(%s)", table.session.index)
    records = table.run(
        "SELECT xid::text, resource_manager, record_type, record_length, block_ref"
        " FROM pg_get_wal_records_info(%s::pg_lsn, pg_current_wal_flush_lsn())", start)
    return wal_figures(records, relation)


# --- the parts ----------------------------------------------------------------------------------
class Churn:
    def __init__(self, args, data, sessions, truth_of, add):
        """`truth_of(data)` gives exact neighbours, `add(**record)` keeps a measurement."""
        self.args, self.data, self.sessions = args, data, sessions
        self.truth_of, self.add = truth_of, add
        self.loaded = round(len(data.base) * LOADED_SHARE)
        self.truth = truth_of(data)

    def run(self, parts):
        for session in self.sessions:
            session.load()
            session.warm()
        for part in parts:
            getattr(self, part)()

    def tables(self, suffix, floors=True):
        return [table_of(session, suffix, indexed) for session in self.sessions
                for indexed in ((True, False) if floors else (True,))]

    def staging(self, table):
        return f"bench_{self.data.name}_{table.session.contender.type}"

    def load(self, table, ids):
        """A table of these rows, built the usual way: the index comes last."""
        make_table(table)
        fill(table, self.staging(table), ids)
        table.run(f"VACUUM ANALYZE {table.session.table}")
        seconds = build(table) if table.indexed else None
        table.session.warm()
        return seconds

    # --- single-row writes ------------------------------------------------------------------
    def writes(self):
        tables = self.tables("w")
        for table in tables:
            self.load(table, range(self.loaded))
        cases = [(clients, synchronous) for clients in CLIENTS for synchronous in SYNCHRONOUS]
        for_wal, for_run = share_out(len(self.data.base) - self.loaded,
                                     len(cases) * self.args.repeats, self.args.writes)
        self.wal(tables, for_wal)
        self.rates(tables, cases, self.loaded + for_wal, for_run)
        self.drop(tables)

    def wal(self, tables, rows):
        with full_page_writes(self.tables("w", floors=False), "off"):
            for table in tables:
                for kind, script in self.scripts(table).items():
                    found = wal_of_writes(table, script, variables(self.loaded, 1), rows)
                    if found:
                        self.add(step="wal", contender=table.name, kind=kind, **found)

    def scripts(self, table):
        return {"insert": insert_script(table, self.staging(table)),
                "update": update_script(table, self.loaded)}

    def rates(self, tables, cases, first, rows):
        """Tables take turns within each repetition; all insert the same, from `first` on."""
        for session in self.sessions:
            session.connection.execute("CHECKPOINT")
        for repeat in range(self.args.repeats):
            for clients, synchronous in cases:
                # One client that waits for a disk does some hundred rows a second.
                count = rows // 4 if (clients, synchronous) == (1, "on") else rows
                for table in tables:
                    for kind, script in self.scripts(table).items():
                        done = write_rate(table, script, clients, count,
                                          variables(first, clients),
                                          {"synchronous_commit": synchronous})
                        self.add(step="rate", contender=table.name, kind=kind, clients=clients,
                                 synchronous=synchronous, repeat=repeat, rows=count, **done)
                first += count

    # --- rounds -----------------------------------------------------------------------------
    def rounds(self):
        """Delete and vacuum once, then rounds of delete, vacuum and insert."""
        tables = self.tables("r")
        for table in tables:
            seconds = self.load(table, range(self.loaded))
            self.look(table, np.arange(len(self.data.base)) < self.loaded, 0, "fresh", seconds)
        population = Population(len(self.data.base), self.loaded)
        with full_page_writes(self.tables("r", floors=False), "off"):
            self.delete(tables, population, 0)
        for table in tables:
            self.look(table, population.live, 0, "vacuumed")
        self.beside_fresh(population.live, 0)
        if self.args.rounds:
            self.insert(tables, population, 0)
            self.turn_over(tables, population)
        self.drop(tables)

    def turn_over(self, tables, population):
        for number in range(1, self.args.rounds + 1):
            self.delete(tables, population, number)
            self.insert(tables, population, number)
            for table in tables:
                self.look(table, population.live, number, "churned")
        self.beside_fresh(population.live, self.args.rounds)

    def delete(self, tables, population, number):
        gone = [int(i) for i in population.delete(TURNOVER)]
        for table in tables:
            table.run(f"DELETE FROM {table.session.table} WHERE id = ANY(%s)", gone)
            table.run("CHECKPOINT")
            clock, wal = server_cpu(table.session.connection), wal_position(table)
            start = time.monotonic()
            table.run(f"VACUUM (INDEX_CLEANUP ON, PARALLEL 0) {table.session.table}")
            seconds = time.monotonic() - start
            self.add(step="vacuum", contender=table.name, round=number, deleted=len(gone),
                     full_page_writes=table.session.value("SHOW full_page_writes"),
                     seconds=round(seconds, 3), wal_bytes=wal_since(table, wal),
                     cpu_seconds=since(clock, server_cpu(table.session.connection)))

    def insert(self, tables, population, number):
        """As many rows as were deleted."""
        added = population.insert(self.loaded - int(population.live.sum()))
        for table in tables:
            start = time.monotonic()
            fill(table, self.staging(table), added, INSERT_BATCH)
            self.add(step="refill", contender=table.name, round=number, rows=len(added),
                     seconds=round(time.monotonic() - start, 3))
            table.run(f"ANALYZE {table.session.table}")

    def beside_fresh(self, live, number):
        for session in self.sessions:
            table = table_of(session, "f", True)
            seconds = self.load(table, np.flatnonzero(live))
            self.look(table, live, number, "rebuilt", seconds)
            self.drop([table])

    def look(self, table, live, number, state, build_seconds=None):
        """Recall, speed and size of an index as it is now."""
        if not table.indexed:
            return
        truth = truth_among(self.truth, live, self.args.k[0])
        for ef in table.session.contender.looks or self.args.ef:
            self.ask(table, truth, ef, 1, step="look", round=number, state=state,
                     build_seconds=build_seconds)

    def ask(self, table, truth, ef, repeats, **record):
        session, k = table.session, self.args.k[0]
        settings = session.contender.settings_for(ef)
        answers = session.ask(settings, k, truth)
        timed = session.time_search(settings, k, 1, self.args.seconds, repeats)
        self.add(contender=table.name, ef=ef, **record, **answers, qps=timed["qps"],
                 **session.sizes())

    # --- an index made on an empty table ----------------------------------------------------
    def empty(self):
        rows = min(EMPTY_START_ROWS, len(self.data.base))
        part = replace(self.data, base=self.data.base[:rows],
                       fingerprint=dataset.fingerprint_of(self.data.base[:rows], self.data.query))
        truth = self.truth_of(part)
        for state in ("grown", "rebuilt"):
            for table in self.tables("e", floors=False):
                if state == "grown":
                    make_table(table)
                    build(table)
                    fill(table, self.staging(table), range(rows), INSERT_BATCH)
                    table.run(f"VACUUM ANALYZE {table.session.table}")
                    table.session.warm()
                else:
                    self.load(table, range(rows))
                for ef in (*(table.session.contender.looks or self.args.ef), "unset"):
                    self.ask(table, truth, ef, self.args.repeats, step="empty", state=state,
                             rows=rows)
                self.drop([table])

    def drop(self, tables):
        for table in tables:
            table.run(f"DROP TABLE {table.session.table}")

