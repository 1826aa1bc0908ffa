"""The rows that every client stores and searches, and the exact answers: real embeddings as vector, halfvec,
bit and sparsevec, with ten categories. `python corpus.py FILE` writes them as JSON for clients of other
languages.

A base value is a float16 in the file, so vector and halfvec hold the same numbers and have the same neighbours.
"""

import json
import pathlib
import sys

import numpy as np

DATA = pathlib.Path(__file__).resolve().parents[2] / "data"
ROWS, QUERIES, DIMS, K = 600, 5, 64, 10
FIRST = 100  # rows stored one by one; the rest in bulk
CATEGORIES = 10

OPERATORS = {"l2": "<->", "ip": "<#>", "cosine": "<=>", "l1": "<+>", "hamming": "<~>", "jaccard": "<%>"}
DENSE = ("l2", "ip", "cosine", "l1")
# column -> its type, and the distances it is searched by
COLUMNS = {
    "v": ("vector", DENSE),
    "h": ("halfvec", DENSE),
    "s": ("sparsevec", DENSE),
    "b": ("bit", ("hamming", "jaccard")),
}
SEARCHES = [(column, distance) for column, (_, distances) in COLUMNS.items() for distance in distances]


def operator_class(column, distance):
    return f"{COLUMNS[column][0]}_{distance}_ops"


def _sparse(x):
    """Only what is large in a vector, so that a sparsevec is one."""
    return np.where(np.abs(x) > np.quantile(np.abs(x), 0.7, axis=1, keepdims=True), x, 0)


def _load():
    base = np.load(DATA / "base.npy")[:ROWS, :DIMS].astype(np.float32)
    query = np.load(DATA / "query.npy")[:QUERIES, :DIMS].astype(np.float32)
    return {
        "v": (base, query),
        "h": (base, query),
        "s": (_sparse(base), _sparse(query)),
        "b": (base > 0, query > 0),
    }


VALUES = _load()


def base(column):
    return VALUES[column][0]


def query(column, i=0):
    return VALUES[column][1][i]


def category(row):
    return row % CATEGORIES


def distances(column, distance, i=0):
    """From query i to every row, as the operator gives it."""
    x, q = base(column), query(column, i)
    if distance == "hamming":
        return (x != q).sum(axis=1).astype(float)
    if distance == "jaccard":
        both, either = (x & q).sum(axis=1), (x | q).sum(axis=1)
        return 1 - both / np.maximum(either, 1) if either.any() else np.ones(len(x))
    x, q = x.astype(float), q.astype(float)
    if distance == "l2":
        return np.sqrt(((x - q) ** 2).sum(axis=1))
    if distance == "ip":
        return -(x @ q)
    if distance == "cosine":
        return 1 - (x @ q) / np.linalg.norm(x, axis=1) / np.linalg.norm(q)
    return np.abs(x - q).sum(axis=1)


def check(ids, column, distance, i=0, only=None):
    """That these are K of the nearest rows, in order; at most one may be a farther one than the exact
    answer has, as with an approximate index. `only`: a category."""
    ids = [int(row) for row in ids]
    assert len(ids) == K and len(set(ids)) == K, ids
    every = distances(column, distance, i)
    allowed = [row for row in range(ROWS) if only is None or category(row) == only]
    assert only is None or all(category(row) == only for row in ids), ids
    found = every[ids]
    assert (np.diff(found) >= -1e-4).all(), found
    truth = np.sort(every[allowed])[:K]
    near = int((found <= truth[-1] + 1e-4).sum())
    assert near >= K - 1, (column, distance, found, truth)


def _json_value(column, x):
    return "".join("01"[int(bit)] for bit in x) if column == "b" else [float(value) for value in x]


def as_json():
    return {
        "dims": DIMS,
        "k": K,
        "first": FIRST,
        "rows": [
            {"id": row, "category": category(row)} | {c: _json_value(c, base(c)[row]) for c in COLUMNS}
            for row in range(ROWS)
        ],
        "searches": [
            {
                "column": column,
                "distance": distance,
                "operator": OPERATORS[distance],
                "operator_class": operator_class(column, distance),
                "query": _json_value(column, query(column)),
                "distances": [round(float(d), 6) for d in distances(column, distance)],
            }
            for column, distance in SEARCHES
        ],
    }


if __name__ == "__main__":
    pathlib.Path(sys.argv[1]).write_text(json.dumps(as_json()))
