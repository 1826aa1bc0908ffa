"""hnswlib in this process, one thread: what a graph over full vectors costs where there is no server, no page
and no transaction. The line that an index in a database is held against."""
import importlib.metadata
import itertools
import math
import statistics
import time
from dataclasses import dataclass, field

import numpy as np

from dataset import as_scorable, count_hits
from process import own_memory

SPACES = {"l2": "l2", "ip": "ip", "cos": "cosine"}
ADDED_AT_ONCE = 2048


@dataclass
class InProcess:
    """An entry [[in_process]] of contenders.toml."""
    name: str
    m: int
    ef_construction: int
    values: list = field(default_factory=list)  # of ef

    def lacks_library(self):
        """Why it cannot run, or None."""
        try:
            import hnswlib  # noqa: F401
        except ImportError as error:
            return str(error)
        return None


class Library:
    """One in-process contender over one data set."""

    def __init__(self, contender, data, progress):
        self.contender, self.data, self.progress = contender, data, progress
        self.queries = as_scorable(data.query, data.metric)

    def build(self):
        import hnswlib
        rows, dims = self.data.base.shape
        before = own_memory("self")
        start, cpu = time.monotonic(), time.process_time()
        self.index = hnswlib.Index(SPACES[self.data.metric], dims)
        self.index.init_index(rows, ef_construction=self.contender.ef_construction, M=self.contender.m, random_seed=1)
        for at in self.progress(range(0, rows, ADDED_AT_ONCE), desc=f"build {self.contender.name}"):
            ids = np.arange(at, min(at + ADDED_AT_ONCE, rows))
            self.index.add_items(as_scorable(self.data.base[ids], self.data.metric), ids, num_threads=1)
        return {"sql": f"M = {self.contender.m}, ef_construction = {self.contender.ef_construction}",
                "version": importlib.metadata.version("hnswlib"), "workers": 0, "seconds": round(time.monotonic() - start, 2),
                "cpu_seconds": round(time.process_time() - cpu, 2), "memory_bytes": own_memory("self") - before,
                "index_bytes": self.index.index_file_size(), "heap_bytes": None, "toast_bytes": None, "storage": "–"}

    def search(self, query, k):
        return self.index.knn_query(self.queries[query], k=k, num_threads=1)[0][0]

    def ask(self, ef, k, truth):
        """Recall and CPU time a query, in the words of Session.ask."""
        self.index.set_ef(max(int(ef), k))
        start = time.thread_time()
        answers = [self.search(query, k) for query in range(len(self.queries))]
        cpu_ms = 1000 * (time.thread_time() - start) / len(answers)
        hits = sum(count_hits(ids, i, self.data, truth, k) for i, ids in enumerate(answers))
        return {"recall": round(hits / (len(answers) * k), 5), "rows_short": 0, "cpu_ms": round(cpu_ms, 4),
                "buffers": None, "plan": "in process", "own_index": True}

    def time_search(self, ef, k, seconds, repeats):
        """Medians over the repeats, each of so many seconds."""
        self.index.set_ef(max(int(ef), k))
        runs = [self.timed_run(k, seconds) for _ in range(repeats)]
        return {name: statistics.median(run[name] for run in runs) for name in runs[0]}

    def timed_run(self, k, seconds):
        order = itertools.cycle(np.random.default_rng(1).permutation(len(self.queries)))
        latency, start = [], time.monotonic()
        while (before := time.monotonic()) < start + seconds:
            self.search(next(order), k)
            latency.append(1000 * (time.monotonic() - before))
        p50, p99 = np.percentile(latency, (50, 99))
        return {"qps": len(latency) / (time.monotonic() - start), "p50_ms": float(p50), "p99_ms": float(p99)}


# A search in process has no statement below it.
NO_FLOOR = {"qps": math.inf, "p50_ms": None, "p99_ms": None, "cpu_ms": None}
