"""Terminal output and measurement: aligned tables, a statement with its time and plan, recall."""

import shutil
import statistics
import sys
import time
from decimal import Decimal

from store import INDEX

RUNS = 5
RUNS_SECONDS = 1.0
WIDEST = 110
NARROWEST = 12


def width() -> int:
    return max(60, min(WIDEST, shutil.get_terminal_size().columns))


def style(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if sys.stdout.isatty() else text


def heading(text: str):
    print("\n" + style(text, "1"))


def step(name: str, result: str, seconds: float):
    print(f"  {name:<10} {result:<58} {seconds:7.1f} s")


def milliseconds(seconds: float) -> str:
    ms = seconds * 1000
    return f"{ms:.2f} ms" if ms < 10 else f"{ms:,.0f} ms"


def cell(value) -> str:
    if value is None:
        return ""
    if isinstance(value, float | Decimal):
        return f"{value:.3f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def table_lines(columns: list[str], rows: list[tuple], total: int) -> list[str]:
    """Aligned lines of at most `total` characters: the widest text columns give way."""
    cells = [[cell(value) for value in row] for row in rows]
    right = [
        all(isinstance(row[i], int | float | Decimal) for row in rows) for i in range(len(columns))
    ]
    widths = [max([len(name)] + [len(line[i]) for line in cells]) for i, name in enumerate(columns)]
    texts = [i for i in range(len(columns)) if not right[i]]
    for _ in range(sum(widths) + 2 * (len(widths) - 1) - total):
        widest = max(texts, key=lambda i: widths[i], default=None)
        if widest is None or widths[widest] <= NARROWEST:
            break
        widths[widest] -= 1

    def line(values):
        parts = [
            (v.rjust(w) if r else clip(v, w).ljust(w)) for v, w, r in zip(values, widths, right)
        ]
        return "  ".join(parts).rstrip()

    return [line(columns), "  ".join("-" * w for w in widths), *(line(row) for row in cells)]


def scan_nodes(plan: dict) -> list[str]:
    """The scans of an EXPLAIN (FORMAT JSON) plan, as EXPLAIN names them, and their conditions."""
    found = []
    if "Relation Name" in plan:
        using = f" using {plan['Index Name']}" if "Index Name" in plan else ""
        condition = f" · {plan['Index Cond']}" if "Index Cond" in plan else ""
        found.append(f"{plan['Node Type']}{using} on {plan['Relation Name']}{condition}")
    for child in plan.get("Plans", []):
        found += scan_nodes(child)
    return found


def plan_line(conn, sql: str, parameters) -> str:
    """One line: the scan of the vector index where there is one, else every scan."""
    plan = conn.execute("EXPLAIN (FORMAT JSON) " + sql, parameters).fetchone()[0][0]["Plan"]
    scans = scan_nodes(plan)
    ours = [scan for scan in scans if f" using {INDEX} " in scan]
    return ours[0] if ours else "vector index not chosen: " + ", ".join(scans)


def run_timed(conn, sql: str, parameters):
    """(cursor of the last run, rows, median seconds) of RUNS runs, fewer if they are slow."""
    seconds: list[float] = []
    while not seconds or (len(seconds) < RUNS and sum(seconds) < RUNS_SECONDS):
        start = time.perf_counter()
        cursor = conn.execute(sql, parameters, prepare=True)
        rows = cursor.fetchall()
        seconds.append(time.perf_counter() - start)
    return cursor, rows, statistics.median(seconds)


def statement(conn, title: str, sql: str, vector=None):
    """Prints a statement, its rows, its time and its plan; `:'q'` stands for `vector`."""
    heading(title)
    for line in sql.splitlines():
        print("    " + style(line, "2"))
    bound = sql.replace(":'q'", "%(q)s")
    parameters = {"q": vector} if vector is not None else None
    cursor, rows, seconds = run_timed(conn, bound, parameters)
    for line in table_lines([c.name for c in cursor.description], rows, width() - 2):
        print("  " + line)
    print(f"  {len(rows)} rows in {milliseconds(seconds)} · {plan_line(conn, bound, parameters)}")


NEAREST = """SELECT id, embedding <=> %s AS distance FROM packages
 ORDER BY distance LIMIT 10"""


def distances(conn, vectors, progress):
    """(distances of the ten rows found, seconds) for each vector."""
    results = []
    for vector in vectors:
        start = time.perf_counter()
        rows = conn.execute(NEAREST, (vector,), prepare=True).fetchall()
        results.append(([row[1] for row in rows], time.perf_counter() - start))
        progress(1)
    return results


def recall(found: list[float], exact: list[float], slack: float = 1e-6) -> float:
    """Share of the exact neighbours found; rows as near as the last exact one count (ties)."""
    return sum(1 for d in found[: len(exact)] if d <= exact[-1] + slack) / len(exact)


def recall_table(conn, vectors, progress):
    """Prints recall@10 and medians of the index against an exact scan of the table."""
    heading(f"6. Recall and speed: the 10 nearest, {len(vectors)} queries")
    distances(conn, vectors[:20], progress)  # warms caches and prepares the statement
    by_index = distances(conn, vectors, progress)
    with conn.transaction():
        conn.execute("SET LOCAL enable_indexscan = off")
        conn.execute("DISCARD PLANS")  # a setting alone does not replace a prepared plan
        exact = distances(conn, vectors, progress)
    conn.execute("DISCARD PLANS")
    score = statistics.mean(recall(f[0], e[0]) for f, e in zip(by_index, exact, strict=True))
    fast = statistics.median(seconds for _, seconds in by_index)
    slow = statistics.median(seconds for _, seconds in exact)
    rows = [
        ("hnsw index", f"{score:.3f}", milliseconds(fast), f"{1 / fast:,.0f}"),
        ("exact (enable_indexscan = off)", "1.000", milliseconds(slow), f"{1 / slow:,.0f}"),
    ]
    for line in table_lines(["search", "recall@10", "median", "queries/s"], rows, width() - 2):
        print("  " + line)
    print(f"  the index is {slow / fast:,.0f} times as fast, on one connection")
