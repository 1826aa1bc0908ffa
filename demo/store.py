"""Tables of the demo: creation, binary COPY, index build with progress."""

import threading

from binary_copy import (
    HEADER,
    TRAILER,
    pack_int4,
    pack_row,
    pack_text,
    pack_text_array,
    pack_vector,
)
from model import DIMS

INDEX = "packages_embedding_idx"
# Searches filter by these, so they lie beside the vector, where the extension can have them there.
ATTRIBUTES = ("section", "installed_kb", "tags")
TABLES = f"""
DROP TABLE IF EXISTS demo_state, queries, dependencies, packages;
CREATE TABLE packages (
    id           int NOT NULL,
    name         text NOT NULL,
    section      text NOT NULL,
    priority     text NOT NULL,
    installed_kb int NOT NULL,
    depends      int NOT NULL,
    tags         text[] NOT NULL,
    summary      text NOT NULL,
    description  text NOT NULL,
    embedding    vector({DIMS})
);
CREATE TABLE dependencies (package int NOT NULL, needs int NOT NULL);
CREATE TABLE queries (text text PRIMARY KEY, embedding vector({DIMS}) NOT NULL);
"""
KEYS = """
ALTER TABLE packages ADD PRIMARY KEY (id), ADD UNIQUE (name);
ALTER TABLE dependencies
    ADD PRIMARY KEY (package, needs),
    ADD FOREIGN KEY (package) REFERENCES packages,
    ADD FOREIGN KEY (needs) REFERENCES packages;
CREATE INDEX ON dependencies (needs);
"""
POLL_SECONDS = 0.2
COPY_ROWS = 2_000


class Vector:
    """A query parameter that goes to the server in vector's binary format."""

    def __init__(self, values):
        self.values = values


def connect():
    """Connects by PGHOST, PGPORT, PGUSER and PGDATABASE."""
    import psycopg

    return psycopg.connect("", autocommit=True)


def register_vector(conn):
    """Makes Vector a parameter type; the extension must exist."""
    import psycopg
    from psycopg.types import TypeInfo

    info = TypeInfo.fetch(conn, "vector")

    class VectorDumper(psycopg.adapt.Dumper):
        format = psycopg.pq.Format.BINARY
        oid = info.oid

        def dump(self, obj):
            return pack_vector(obj.values)

    conn.adapters.register_dumper(Vector, VectorDumper)


def index_columns(conn) -> list[str]:
    """The columns of the index, in the terms of CREATE INDEX."""
    several = conn.execute(
        "SELECT pg_indexam_has_property(oid, 'can_multi_col') FROM pg_am WHERE amname = 'hnsw'"
    ).fetchone()[0]
    return ["embedding vector_cosine_ops", *(ATTRIBUTES if several else ())]


def stored_fingerprint(conn) -> str | None:
    """The fingerprint of the data in the server; None unless they and the index are complete."""
    if conn.execute("SELECT to_regclass('demo_state')").fetchone()[0] is None:
        return None
    valid = conn.execute(
        "SELECT indisvalid AND indnatts = %s FROM pg_index WHERE indexrelid = to_regclass(%s)",
        (len(index_columns(conn)), INDEX),
    ).fetchone()
    row = conn.execute("SELECT fingerprint FROM demo_state").fetchone()
    return row[0] if row and valid and valid[0] else None


def finish(conn, fingerprint: str):
    """Marks the data as complete: written last, so that a broken run starts over."""
    with conn.transaction():
        conn.execute("CREATE TABLE demo_state (fingerprint text NOT NULL)")
        conn.execute("INSERT INTO demo_state VALUES (%s)", (fingerprint,))


def package_row(number: int, package, embedding) -> bytes:
    return pack_row(
        [
            pack_int4(number),
            pack_text(package.name),
            pack_text(package.section),
            pack_text(package.priority),
            pack_int4(package.installed_kb),
            pack_int4(len(package.needs)),
            pack_text_array(package.tags),
            pack_text(package.summary),
            pack_text(package.description),
            pack_vector(embedding) if embedding.any() else None,
        ]
    )


def dependency_pairs(packages) -> list[tuple[int, int]]:
    """(package, needed package) by row number; names that no package bears are left out."""
    numbers = {package.name: number for number, package in enumerate(packages)}
    return [
        (number, numbers[name])
        for number, package in enumerate(packages)
        for name in package.needs
        if name in numbers
    ]


def copy_rows(conn, table: str, rows, progress=lambda done: None):
    with conn.cursor().copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy:
        copy.write(HEADER)
        batch = []
        for row in rows:
            batch.append(row)
            if len(batch) == COPY_ROWS:
                copy.write(b"".join(batch))
                progress(len(batch))
                batch = []
        copy.write(b"".join(batch) + TRAILER)
        progress(len(batch))


def load(conn, packages, embeddings, progress) -> int:
    """Fills packages and dependencies; returns the number of dependencies."""
    conn.execute(TABLES)
    rows = (package_row(i, p, e) for i, (p, e) in enumerate(zip(packages, embeddings, strict=True)))
    copy_rows(conn, "packages", rows, progress)
    pairs = dependency_pairs(packages)
    copy_rows(conn, "dependencies", (pack_row([pack_int4(a), pack_int4(b)]) for a, b in pairs))
    conn.execute(KEYS)
    conn.execute("VACUUM ANALYZE packages")
    conn.execute("VACUUM ANALYZE dependencies")
    return len(pairs)


def build_index(conn, rows: int, progress) -> int:
    """Builds the index and returns its bytes; progress(phase, done, total) is called meanwhile."""
    failure = []
    columns = ", ".join(index_columns(conn))

    def build():
        try:
            conn.execute(f"CREATE INDEX {INDEX} ON packages USING hnsw ({columns})")
        except Exception as error:  # raised again below, in the caller's thread
            failure.append(error)

    builder = threading.Thread(target=build)
    with connect() as watcher:
        builder.start()
        while builder.is_alive():
            row = watcher.execute(
                "SELECT phase, tuples_done, tuples_total FROM pg_stat_progress_create_index"
                " WHERE pid = %s",
                (conn.info.backend_pid,),
            ).fetchone()
            if row:
                progress(row[0], row[1], row[2] or rows)
            builder.join(POLL_SECONDS)
    if failure:
        raise failure[0]
    return conn.execute("SELECT pg_relation_size(to_regclass(%s))", (INDEX,)).fetchone()[0]


def query_vector(conn, model_of, text: str) -> Vector:
    """The stored vector of a query text; a new text is embedded and stored for use in psql."""
    import numpy as np
    from model import ModelError, embed

    row = conn.execute("SELECT embedding::real[] FROM queries WHERE text = %s", (text,)).fetchone()
    if row:
        return Vector(np.array(row[0], np.float32))
    values = embed(model_of(), [text])[0]
    if not values.any():
        raise ModelError(f"the model knows no word of {text!r}")
    conn.execute("INSERT INTO queries VALUES (%s, %s)", (text, Vector(values)))
    return Vector(values)
