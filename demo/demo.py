"""The demo of ann: semantic search in this machine's own Debian package catalogue.

Usage: demo.py show | search TEXT
Started by run.sh, which makes the virtual environment and the private server. The server is found
by PGHOST, PGPORT, PGUSER and PGDATABASE.
"""

import argparse
import functools
import json
import shlex
import sys
import time
from pathlib import Path

import catalogue
import model
import show
import store

RUN_DIR = Path(__file__).resolve().parent / ".run"
RECALL_QUERIES = 200

PHOTOS = "edit photos from the command line"
PUZZLES = "puzzle game for a short break"
COMPRESSION = "data compression library"

SEARCH = """SELECT name, section, embedding <=> :'q' AS distance, summary
  FROM packages
 ORDER BY distance
 LIMIT {limit};"""

FILTER = """SELECT name, installed_kb, embedding <=> :'q' AS distance, summary
  FROM packages
 WHERE section = 'games'
   AND installed_kb < 2000
   AND tags @> '{interface::graphical}'
 ORDER BY distance
 LIMIT 5;"""

JOIN = """SELECT p.name, count(*) AS needed_by, p.summary
  FROM (SELECT id, name, summary
          FROM packages
         WHERE section = 'libs'
         ORDER BY embedding <=> :'q'
         LIMIT 50) p
  JOIN dependencies d ON d.needs = p.id
 GROUP BY p.id, p.name, p.summary
 ORDER BY needed_by DESC
 LIMIT 5;"""

NEIGHBOURS = """SELECT name, section, summary
  FROM packages
 WHERE name <> 'stellarium'
 ORDER BY embedding <=> (SELECT embedding FROM packages WHERE name = 'stellarium')
 LIMIT 5;"""

TWINS = """SELECT a.name, b.name AS twin, b.distance, a.summary
  FROM packages a TABLESAMPLE BERNOULLI (1) REPEATABLE (7)
 CROSS JOIN LATERAL (
       SELECT p.name, p.summary, p.embedding <=> a.embedding AS distance
         FROM packages p
        WHERE p.id <> a.id
        ORDER BY distance
        LIMIT 1) b
 WHERE b.distance < 0.02 AND b.summary <> a.summary
 ORDER BY b.distance
 LIMIT 5;"""


def bar(total: int, name: str, unit: str = ""):
    from tqdm import tqdm

    # disable=None: no bar where the output is not a terminal.
    return tqdm(total=total, desc=f"  {name}", unit=unit, leave=False, disable=None, ncols=78)


def note(text: str):
    print(f"  note: {text}")


@functools.cache
def load_model():
    return model.load_model()


def embeddings_of(packages, fingerprint: str):
    """Rows of embeddings, from the last run's file where the catalogue is the same."""
    import numpy as np

    rows_file, mark_file = RUN_DIR / "embeddings.npy", RUN_DIR / "embeddings.json"
    start = time.perf_counter()
    if mark_file.exists() and json.loads(mark_file.read_text()) == fingerprint:
        rows = np.load(rows_file)
        show.step(
            "embed", f"{len(rows):,} texts, kept from the last run", time.perf_counter() - start
        )
        return rows
    with bar(len(packages), "embed", " texts") as progress:
        rows = model.embed(load_model(), [p.text() for p in packages], progress.update)
    mark_file.unlink(missing_ok=True)
    np.save(rows_file, rows)
    mark_file.write_text(json.dumps(fingerprint))
    show.step("embed", f"{len(rows):,} texts, {model.DIMS} dimensions", time.perf_counter() - start)
    return rows


def load_tables(conn, packages, embeddings):
    start = time.perf_counter()
    with bar(len(packages), "load", " rows") as progress:
        pairs = store.load(conn, packages, embeddings, progress.update)
    show.step(
        "load",
        f"{len(packages):,} packages, {pairs:,} dependencies (binary COPY)",
        time.perf_counter() - start,
    )


def build_index(conn, rows: int):
    start = time.perf_counter()
    with bar(rows, "index", " rows") as progress:

        def update(phase, done, total):
            progress.set_description_str(f"  {phase.removeprefix('building index: ')}")
            progress.total, progress.n = total, done
            progress.refresh()

        size = store.build_index(conn, rows, update)
    show.step("index", f"hnsw, {size / 2**20:.1f} MiB", time.perf_counter() - start)


def prepare(conn):
    """Makes tables and index agree with the machine's catalogue; quick where they do."""
    start = time.perf_counter()
    raw = catalogue.read(RUN_DIR, note)
    fingerprint = f"{model.NAME} {raw.fingerprint()}"
    if store.stored_fingerprint(conn) == fingerprint:
        rows = conn.execute("SELECT count(*) FROM packages").fetchone()[0]
        show.step("ready", f"{rows:,} packages, loaded before", time.perf_counter() - start)
        return
    packages = raw.parse()
    described = sum(1 for package in packages if package.description)
    show.step(
        "catalogue",
        f"{len(packages):,} packages, {described:,} with a long description",
        time.perf_counter() - start,
    )
    embeddings = embeddings_of(packages, fingerprint)
    load_tables(conn, packages, embeddings)
    build_index(conn, len(packages))
    store.finish(conn, fingerprint)


def show_recall(conn):
    rows = conn.execute(
        "SELECT summary FROM packages WHERE embedding IS NOT NULL" " ORDER BY md5(name) LIMIT %s",
        (RECALL_QUERIES,),
    ).fetchall()
    vectors = [store.Vector(v) for v in model.embed(load_model(), [r[0] for r in rows])]
    vectors = [v for v in vectors if v.values.any()]
    with bar(20 + 2 * len(vectors), "measure", " queries") as progress:
        show.recall_table(conn, vectors, progress.update)


def show_psql(conn):
    info = conn.info
    where = " ".join(
        f"{key}={shlex.quote(str(value))}"
        for key, value in (
            ("host", info.host),
            ("port", info.port),
            ("user", info.user),
            ("dbname", info.dbname),
        )
    )
    show.heading("Go on")
    print(f"    psql {shlex.quote(where)}")
    print(f"    SELECT embedding AS q FROM queries WHERE text = '{PHOTOS}' \\gset")
    print("  then any statement above, or your own. A question of yours:")
    print('    make demo-search Q="play chess against the computer"')
    print("  `make demo-stop` stops the server, `make demo-clean` removes everything it made.")


def run_show(conn):
    prepare(conn)
    print(
        "\n  Times are medians of 5 runs as the client sees them; :'q' is the vector of the words."
    )
    vectors = {t: store.query_vector(conn, load_model, t) for t in (PHOTOS, PUZZLES, COMPRESSION)}
    show.statement(
        conn, f'1. Search by meaning: "{PHOTOS}"', SEARCH.format(limit=5), vectors[PHOTOS]
    )
    show.statement(
        conn, f'2. The same with filters: "{PUZZLES}", small, graphical', FILTER, vectors[PUZZLES]
    )
    show.statement(
        conn,
        f'3. With a join: "{COMPRESSION}", the most needed of the nearest 50',
        JOIN,
        vectors[COMPRESSION],
    )
    show.statement(conn, "4. Neighbours of a row: what else, if you like stellarium", NEIGHBOURS)
    show.statement(
        conn, "5. Near-duplicate descriptions: a search for each row of a 1 % sample", TWINS
    )
    show_recall(conn)
    show_psql(conn)


def run_search(conn, text: str):
    if store.stored_fingerprint(conn) is None:
        raise catalogue.CatalogueError("no packages are loaded yet: run `make demo` first")
    vector = store.query_vector(conn, load_model, text)
    show.statement(conn, f'"{text}"', SEARCH.format(limit=10), vector)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--extension", default="ann", help="extension that gives the type vector")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("show")
    commands.add_parser("search").add_argument("text")
    arguments = parser.parse_args()

    import psycopg

    try:
        RUN_DIR.mkdir(exist_ok=True)
        with store.connect() as conn:
            conn.execute("SET client_min_messages = warning")
            conn.execute(f'CREATE EXTENSION IF NOT EXISTS "{arguments.extension}"')
            store.register_vector(conn)
            if arguments.command == "show":
                run_show(conn)
            else:
                run_search(conn, arguments.text)
    except (catalogue.CatalogueError, model.ModelError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except psycopg.Error as error:
        print(f"demo: the server says: {str(error).strip()}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
