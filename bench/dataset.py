"""A data set directory: base.npy (n x dims) and query.npy (q x dims), float16, float32 or uint8; of sparse rows
base.npz and query.npz (sparse_rows.py).

Exact neighbours are computed once and kept in a cache folder, under a name made of the arrays'
contents, so that a data set may lie in a read-only place and never meets another set's truth.
"""
import hashlib
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparse_rows import SparseRows

METRICS = {
    "l2": ("<->", "{type}_l2_ops"),
    "ip": ("<#>", "{type}_ip_ops"),
    "cos": ("<=>", "{type}_cosine_ops"),
}
TRUTH_K = 100
# Candidates taken beyond k before distances are recomputed in double precision: float32 products
# of 16,000 terms may swap neighbours whose distances agree to about 1e-4.
TRUTH_SLACK = 32
# Scores of one batch of queries against the whole base: 256 MB, and twice that for their order.
SCORES_IN_MEMORY = 1 << 26


@dataclass
class DataSet:
    name: str
    base: np.ndarray
    query: np.ndarray
    metric: str
    fingerprint: str

    @property
    def sparse(self):
        return isinstance(self.base, SparseRows)

    @property
    def operator(self):
        return METRICS[self.metric][0]

    def opclass(self, type_name):
        return METRICS[self.metric][1].format(type=type_name)


@dataclass
class Truth:
    ids: np.ndarray        # queries x k, nearest first
    distances: np.ndarray  # queries x k, float64; as `exact_distances` computes them


def open_dataset(folder, metric="auto", rows=None, queries=None):
    folder = Path(folder)
    base = read_rows(folder / "base.npy", rows)
    query = read_rows(folder / "query.npy", queries)
    if base.shape[1] != query.shape[1]:
        raise SystemExit(f"{folder}: base has {base.shape[1]} dims, query {query.shape[1]}")
    if metric == "auto":
        metric = "cos" if has_unit_rows(base) else "l2"
    name = "".join(c if c.isalnum() else "_" for c in folder.resolve().name.lower())
    return DataSet(name, base, query, metric, fingerprint_of(base, query))


def read_rows(path, rows):
    if path.with_suffix(".npz").exists():
        return SparseRows.load(path.with_suffix(".npz"))[:rows]
    if not path.exists():
        raise SystemExit(f"{path} is missing: a data set is a folder with base.npy and query.npy")
    array = np.load(path, mmap_mode="r")[:rows]
    if array.ndim != 2 or array.dtype not in (np.float16, np.float32, np.uint8):
        raise SystemExit(f"{path}: float16, float32 or uint8 of two dimensions expected, "
                         f"found {array.dtype} {array.shape}")
    return array


def has_unit_rows(base):
    first = base[:1000]
    norms = (np.sqrt(first.squares()) if isinstance(first, SparseRows)
             else np.linalg.norm(first.astype(np.float32), axis=1))
    return bool(np.all(np.abs(norms - 1) < 0.01))


def fingerprint_of(*arrays):
    digest = hashlib.blake2b(digest_size=8)
    parts = [array.arrays() if isinstance(array, SparseRows) else (array,) for array in arrays]
    for array in itertools.chain(*parts):
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def exact_distances(rows, query, metric):
    """Distances of `rows` (n x dims) to one query in double precision: squared L2, negative inner
    product, or cosine distance (NaN for zero vectors)."""
    query = np.asarray(query, np.float64)
    if isinstance(rows, SparseRows):
        products, squares = rows.products(query), rows.squares()
        if metric == "l2":
            return np.maximum(0, squares - 2 * products + query @ query)
    else:
        rows = np.asarray(rows, np.float64)
        if metric == "l2":
            return ((rows - query) ** 2).sum(axis=1)
        products, squares = rows @ query, (rows ** 2).sum(axis=1)
    if metric == "ip":
        return -products
    with np.errstate(invalid="ignore"):
        return 1 - products / (np.sqrt(squares) * np.linalg.norm(query))


def find_truth(data, cache, progress):
    """Reads the exact neighbours from the cache folder, or computes and keeps them."""
    k = min(TRUTH_K, len(data.base))
    path = Path(cache) / f"truth_{data.fingerprint}_{data.metric}_{k}.npz"
    if path.exists():
        stored = np.load(path)
        return Truth(stored["ids"], stored["distances"])
    truth = compute_truth(data, k, progress)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, ids=truth.ids, distances=truth.distances)
    return truth


def compute_truth(data, k, progress):
    if data.sparse:
        return compute_sparse_truth(data, k, progress)
    base = as_scorable(data.base, data.metric)
    query = as_scorable(data.query, data.metric)
    squares = (base ** 2).sum(axis=1) if data.metric == "l2" else np.zeros(len(base), np.float32)
    wanted = min(k + TRUTH_SLACK, len(base))
    ids = np.empty((len(query), k), np.int32)
    distances = np.empty((len(query), k), np.float64)
    step = max(1, SCORES_IN_MEMORY // len(base))
    for start in progress(range(0, len(query), step), desc="exact neighbours"):
        batch = query[start:start + step]
        scores = squares - 2 * (batch @ base.T)
        near = np.argpartition(scores, wanted - 1, axis=1)[:, :wanted]
        for i, candidates in enumerate(near, start):
            exact = exact_distances(data.base[candidates], data.query[i], data.metric)
            order = np.argsort(exact, kind="stable")[:k]
            ids[i], distances[i] = candidates[order], exact[order]
    return Truth(ids, distances)


def compute_sparse_truth(data, k, progress):
    ids, distances = np.empty((len(data.query), k), np.int32), np.empty((len(data.query), k))
    for i in progress(range(len(data.query)), desc="exact neighbours"):
        exact = exact_distances(data.base, data.query[i], data.metric)
        ids[i] = np.argsort(exact, kind="stable")[:k]
        distances[i] = exact[ids[i]]
    return Truth(ids, distances)


def as_scorable(array, metric):
    array = np.asarray(array, np.float32)
    if metric != "cos":
        return array
    return array / np.maximum(np.linalg.norm(array, axis=1, keepdims=True), 1e-30)


def count_hits(returned, query_index, data, truth, k):
    """How many of the returned ids are among the k nearest. A row as near as the k-th neighbour
    counts as well, since equal vectors are equally right answers; an id returned twice counts
    once."""
    k = min(k, truth.ids.shape[1])
    ids = np.unique(np.asarray(returned, np.int64))
    if len(ids) == 0:
        return 0
    # Servers compute in float32, so neighbours that differ by its rounding are ties to them.
    limit = truth.distances[query_index, k - 1]
    slack = 1e-6 * max(1.0, abs(limit))
    exact = exact_distances(data.base[ids], data.query[query_index], data.metric)
    return min(k, int((exact <= limit + slack).sum()))
