"""The first query after a restart with nothing in memory: how long it takes, how many pages it reads,
and in how many runs of consecutive pages. bench/README.md explains.

Buffers of a server that has just started are handed out one after the other, so their numbers tell
the order in which pages were read; unless they were read through a ring of few buffers, which the
server's own count of reads tells.
"""
import statistics
import subprocess
import time

import psycopg

# A run of so many pages is as long as what Linux reads ahead by itself: 128 kB.
LONG_RUN = 16


def runs_of(blocks):
    """Lengths of the runs in a sequence of block numbers."""
    lengths = []
    for before, block in zip([None, *blocks], blocks):
        if before is not None and block == before + 1:
            lengths[-1] += 1
        else:
            lengths.append(1)
    return lengths


def reading(pages, blocks):
    """Pages, runs, and how many of the pages lie in long runs: the last two are None if buffers do
    not hold all that was read."""
    if pages != len(blocks):
        return {"pages": pages, "runs": None, "long": None}
    runs = runs_of(blocks)
    return {"pages": pages, "runs": len(runs),
            "long": sum(length for length in runs if length >= LONG_RUN)}


def setting_for(sweeps, contender, recall):
    """The least swept value with which a contender reaches a recall, as the sweep's record of it:
    the fastest one, if several do. None if it never does."""
    good = [row for row in sweeps if row["contender"] == contender and row["recall"] >= recall]
    return max(good, key=lambda row: row["qps"], default=None)


def restart(command):
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command} failed:\n{done.stdout}{done.stderr}")


def first_query(session, settings, query, k, command):
    """What the first query of the first session of a server reads, and its milliseconds."""
    with psycopg.connect(session.dsn, autocommit=True) as connection:
        before = pages_read(connection, session)
    restart(command)
    with psycopg.connect(session.dsn_with(settings), autocommit=True) as connection:
        start = time.monotonic()
        connection.execute(session.search_sql(f"{int(query)}::int4", k)).fetchall()
        milliseconds = 1000 * (time.monotonic() - start)
        connection.execute("SELECT pg_stat_force_next_flush()")
        after = pages_read(connection, session)
        found = {name: reading(after[name] - before[name],
                               blocks_read(connection, getattr(session, name)))
                 for name in ("index", "table")}
    return {"ms": milliseconds, "runs": total([one["runs"] for one in found.values()]),
            **{f"{name}_{figure}": value for name, one in found.items()
               for figure, value in one.items()}}


def pages_read(connection, session):
    """The server's count for index and table since it was made."""
    row = connection.execute(
        "SELECT idx_blks_read, (SELECT heap_blks_read FROM pg_statio_user_tables t"
        " WHERE t.relid = i.relid) FROM pg_statio_user_indexes i"
        " WHERE indexrelid = to_regclass(%s)", (session.index,)).fetchone()
    return dict(zip(("index", "table"), row))


def total(numbers):
    return None if None in numbers else sum(numbers)


def median(numbers):
    return None if None in numbers else statistics.median(numbers)


def blocks_read(connection, relation):
    """Blocks of a relation's main fork that are in buffers, in the order they were read."""
    return [row[0] for row in connection.execute(
        "SELECT relblocknumber FROM pg_buffercache WHERE relforknumber = 0"
        " AND relfilenode = pg_relation_filenode(to_regclass(%s))"
        " AND reldatabase = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " ORDER BY bufferid", (relation,))]


def measure(session, settings, k, queries, command):
    """Medians over so many first queries."""
    found = []
    session.close()
    for query in session.progress(range(queries), desc=f"cold {session.contender.name}"):
        found.append(first_query(session, settings, query, k, command))
    return {name: median([one[name] for one in found]) for name in found[0]}
