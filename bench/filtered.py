"""Searches with a condition on other columns, at selectivities from every row to one in 10,000,
and searches of one tenant among many. bench/README.md says what the figures mean.

Two columns are made for any data set: `spread`, which has nothing to do with the vectors, and
`along`, the rank of a row along the direction in which the rows differ most. A window of `along`
about the query's own place holds rows near to the query, one at the other end rows far from it.
What a set has of its own (attributes.npy) is filtered by as well.
"""
import copy
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psycopg

import dataset
from contenders import UNSET
from server import cpu_clock, scan_of

SHARES = (1, 0.5, 0.1, 0.01, 0.001, 0.0001)
SCALE = 1_000_000          # both made columns run from 0 to this, evenly
AXIS_SAMPLE = 20_000       # rows that the direction of `along` is found from
OWN_COLUMNS = ("section", "size", "depends")   # of attributes.npy; what follows them are tags
NEAR_ENOUGH = 2.0          # a value's share may differ by this factor from the one that is wanted
GOAL = 0.95
EXPLAINED = 5
TENANTS = 10_000
TENANT_RANKS = (1, 10, 100, 1000, 3000, 10_000)


# --- pure parts ---------------------------------------------------------------------------------
@dataclass
class Condition:
    """What is asked for: SQL with a constant for each query, and the rows that pass, as a mask."""
    kind: str
    share: float        # the one that stands for it in tables; its own may differ
    sql: object         # of a query's number
    mask: object        # of a query's number

    @property
    def name(self):
        return f"{self.kind} {self.share:g}"


class Attributes:
    """The columns of a data set, and the conditions on them."""

    def __init__(self, data, folder):
        random = np.random.default_rng(3)
        rows = len(data.base)
        self.spread = (random.permutation(rows) * SCALE // rows).astype(np.int32)
        base = np.asarray(data.base, np.float32)
        axis = main_axis(base[::max(1, rows // AXIS_SAMPLE)])
        places = base @ axis
        self.along = ranks(places)
        found = np.searchsorted(np.sort(places), np.asarray(data.query, np.float32) @ axis)
        self.query_along = (found * SCALE // rows).astype(np.int64)
        self.query_start = random.random(len(data.query))
        path = Path(folder) / "attributes.npy"
        self.own = np.load(path)[:rows] if path.exists() else None

    def columns(self):
        """Name, type and values of each, tags as lists."""
        yield "spread", "int", self.spread
        yield "along", "int", self.along
        if self.own is not None:
            for i, name in enumerate(OWN_COLUMNS):
                yield name, "int", self.own[:, i]
            yield "tags", "int[]", [row[row >= 0].tolist() for row in self.own[:, 3:]]

    def conditions(self, shares):
        every = np.ones(len(self.spread), bool)
        yield Condition("none", 1, lambda query: "true", lambda query: every)
        for share in shares:
            yield self.window("uncorrelated", "spread", share, self.anywhere)
            if share < 1:
                yield self.window("correlated", "along", share, self.about)
                yield self.window("anti-correlated", "along", share, self.far)
        if self.own is not None:
            yield from self.of_own(shares)

    def window(self, kind, column, share, start_of):
        values, width = getattr(self, column), round(share * SCALE)

        def sql(query):
            start = start_of(query, width)
            return f"{column} BETWEEN {start} AND {start + width - 1}"

        def mask(query):
            start = start_of(query, width)
            return (values >= start) & (values < start + width)
        return Condition(kind, share, sql, mask)

    def anywhere(self, query, width):
        return int(self.query_start[query] * (SCALE - width))

    def about(self, query, width):
        return int(np.clip(self.query_along[query] - width // 2, 0, SCALE - width))

    def far(self, query, width):
        return SCALE - width if self.query_along[query] < SCALE // 2 else 0

    def of_own(self, shares):
        rows = len(self.own)
        sections = dict(zip(*np.unique(self.own[:, 0], return_counts=True)))
        tags = dict(zip(*np.unique(self.own[:, 3:], return_counts=True)))
        tags.pop(-1, None)
        sizes = np.sort(self.own[:, 1])
        for share in shares:
            limit = int(sizes[-max(1, round(share * rows))])
            yield fixed("size", share, f"size >= {limit}", self.own[:, 1] >= limit)
            section = value_of_share(sections, share * rows)
            if section is not None:
                yield fixed("section", share, f"section = {section}", self.own[:, 0] == section)
            tag = value_of_share(tags, share * rows)
            if tag is not None:
                yield fixed("tags", share, f"tags @> '{{{tag}}}'::int[]",
                            (self.own[:, 3:] == tag).any(axis=1))


def fixed(kind, share, sql, mask):
    """A condition that is the same for every query."""
    return Condition(kind, share, lambda query: sql, lambda query: mask)


def value_of_share(counts, wanted):
    """The value that so many rows have, or nearly; None if there is none."""
    value = min(counts, key=lambda one: abs(np.log(counts[one] / wanted)))
    near = max(counts[value], wanted) <= NEAR_ENOUGH * min(counts[value], wanted)
    return int(value) if near else None


def main_axis(sample):
    """The direction in which the rows differ most."""
    centred = sample - sample.mean(axis=0)
    return np.linalg.eigh(centred.T @ centred)[1][:, -1]


def ranks(places):
    order = np.empty(len(places), np.int64)
    order[np.argsort(places, kind="stable")] = np.arange(len(places))
    return (order * SCALE // len(places)).astype(np.int32)


@dataclass
class Truth:
    """Of one condition: how far a query's k-th passing row lies, and how many there are up to k."""
    limits: list
    counts: list

    def hits(self, data, query, ids):
        ids = np.unique(np.asarray(ids, np.int64))
        if len(ids) == 0:
            return 0
        exact = dataset.exact_distances(data.base[ids], data.query[query], data.metric)
        limit = self.limits[query]
        return min(self.counts[query], int((exact <= limit + 1e-6 * max(1, abs(limit))).sum()))


def truths_of(data, conditions, queries, k, progress):
    """By brute force, for all conditions at once: a query's distances to all rows are made once."""
    base = dataset.as_scorable(data.base, data.metric)
    query = dataset.as_scorable(data.query[:queries], data.metric)
    squares = (base ** 2).sum(axis=1) if data.metric == "l2" else 0
    truths = [Truth([], []) for _ in conditions]
    for i in progress(range(queries), desc="truth of conditions"):
        scores = squares - 2 * (base @ query[i])
        for condition, truth in zip(conditions, truths):
            limit, count = nearest_passing(data, scores, condition.mask(i), i, k)
            truth.limits.append(limit)
            truth.counts.append(count)
    return truths


def nearest_passing(data, scores, mask, query, k):
    passing = np.flatnonzero(mask)
    if len(passing) == 0:
        return 0.0, 0
    wanted = min(k + dataset.TRUTH_SLACK, len(passing))
    near = passing[np.argpartition(scores[passing], wanted - 1)[:wanted]]
    exact = np.sort(dataset.exact_distances(data.base[near], data.query[query], data.metric))
    count = min(k, len(passing))
    return float(exact[count - 1]), count


def zipf_tenants(rows):
    """A tenant for every row; the n-th largest of them has a share of about 1 / n."""
    weights = 1 / np.arange(1, TENANTS + 1)
    random = np.random.default_rng(4)
    return random.choice(TENANTS, rows, p=weights / weights.sum()).astype(np.int32) + 1


# --- the server's side --------------------------------------------------------------------------
def table_of(session, suffix):
    twin = copy.copy(session)
    twin.table = f"{session.table}_{suffix}"
    twin.index = f"{twin.table}_idx"
    return twin


def copy_columns(session, table, columns):
    """A table of ids and these columns."""
    columns = list(columns)
    session.connection.execute(f"DROP TABLE IF EXISTS {table}")
    session.connection.execute(f"CREATE UNLOGGED TABLE {table} (id int, " + ", ".join(
        f"{name} {kind}" for name, kind, _ in columns) + ")")
    texts = [[("{" + ",".join(map(str, one)) + "}") if isinstance(one, list) else str(one)
              for one in values] for _, _, values in columns]
    with session.connection.cursor().copy(f"COPY {table} FROM STDIN") as copied:
        for i, row in enumerate(zip(*texts)):
            copied.write(f"{i}\t" + "\t".join(row) + "\n")


def make_table(session, base_table, columns):
    """The data set's rows with these columns beside the vector, in the order of their ids."""
    columns = list(columns)
    run, extra = session.connection.execute, f"{session.table}_columns"
    copy_columns(session, extra, columns)
    names = ", ".join(name for name, _, _ in columns)
    run(f"DROP TABLE IF EXISTS {session.table}")
    run(f"CREATE TABLE {session.table} AS SELECT id, {names}, v FROM {base_table} JOIN {extra}"
        " USING (id) ORDER BY id")
    run(f"DROP TABLE {extra}")
    run(f"ALTER TABLE {session.table} ADD PRIMARY KEY (id)")


def index_columns(session, columns, workers):
    """The contender's indexes: the vector's, with the columns in it, or with a btree (arrays: GIN)
    on each, or with both."""
    names = [name for name, _, _ in columns]
    contender, run = session.contender, session.connection.execute
    if contender.attributes in ("btree", "both"):
        for name, kind, _ in columns:
            run(f"CREATE INDEX ON {session.table} USING {'gin' if '[' in kind else 'btree'}"
                f" ({name})")
    if contender.index:
        inside = ", " + ", ".join(names) if contender.attributes in ("columns", "both") else ""
        session.time_build(session.index_sql(len(session.data.base), inside), workers)
    run(f"VACUUM ANALYZE {session.table}")


class Search:
    """One contender with one setting of its own: a connection and what it measures with."""

    def __init__(self, session, value, k):
        self.session, self.value, self.k = session, value, k
        # Which share passes is what a plan hangs on, so every query is planned with its constants.
        settings = {**session.contender.settings_for(value), "plan_cache_mode": "force_custom_plan"}
        self.connection = psycopg.connect(session.dsn_with(settings), autocommit=True)
        self.clock = cpu_clock(self.connection)
        if self.clock() is None:
            raise SystemExit("the server must be on this machine, where its CPU time can be seen")

    def sql(self, condition, query):
        session = self.session
        return (f"SELECT id FROM {session.table} WHERE {condition.sql(query)} ORDER BY v"
                f" {session.data.operator} (SELECT v FROM {session.queries} WHERE id = {query})"
                f" LIMIT {self.k}")

    def ask(self, condition, query):
        """Ids, wall and CPU milliseconds."""
        sql = self.sql(condition, query)
        start, cpu = time.perf_counter(), self.clock()
        ids = [row[0] for row in self.connection.execute(sql, prepare=False)]
        return ids, 1000 * (time.perf_counter() - start), self.clock() - cpu

    def round(self, condition, truth, queries, seconds):
        """As many of the queries as the time allows, at least a few."""
        until, asked = time.monotonic() + seconds, []
        for query in queries:
            ids, wall, cpu = self.ask(condition, query)
            asked.append((truth.hits(self.session.data, query, ids), truth.counts[query],
                          len(ids), wall, cpu))
            if time.monotonic() > until and len(asked) >= EXPLAINED:
                break
        hits, counts, rows, walls, cpus = (np.array(column) for column in zip(*asked))
        return {"queries": len(asked), "recall": float(hits.sum() / max(1, counts.sum())),
                "short": int((rows < counts).sum()), "cpu_ms": float(np.mean(cpus)),
                "p50_ms": float(np.percentile(walls, 50)),
                "p99_ms": float(np.percentile(walls, 99)),
                "p50_cpu_ms": float(np.percentile(cpus, 50)),
                "p99_cpu_ms": float(np.percentile(cpus, 99))}

    def explain(self, condition, queries):
        """Buffers, and what the planner took."""
        found = []
        for query in list(queries)[:EXPLAINED]:
            sql = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {self.sql(condition, query)}"
            top = self.connection.execute(sql).fetchone()[0][0]["Plan"]
            found.append((top["Shared Hit Blocks"] + top["Shared Read Blocks"],
                          scan_of(top, self.session.table)))
        return {"buffers": statistics.mean(buffers for buffers, _ in found),
                "plan": ", ".join(sorted({plan.removeprefix(f"{self.session.table}_")
                                          for _, plan in found}))}


def good_enough(found):
    return found["recall"] >= GOAL and not found["short"]


def cheapest(tried):
    """Of (search, round) pairs: the cheapest that is good enough, else the one of most recall."""
    good = [pair for pair in tried if good_enough(pair[1])]
    if good:
        return min(good, key=lambda pair: pair[1]["cpu_ms"])
    return max(tried, key=lambda pair: pair[1]["recall"])


def medians(rounds):
    return {name: round(statistics.median(found[name] for found in rounds), 4)
            for name in rounds[0]}


class Filtered:
    """All contenders in one go, since they take turns."""

    def __init__(self, args, data, sessions, add, progress):
        self.args, self.data, self.sessions = args, data, sessions
        self.add, self.progress, self.k = add, progress, args.k[0]
        self.queries = range(min(args.asked, len(data.query)))

    # --- conditions ---------------------------------------------------------------------------
    def run(self):
        attributes = Attributes(self.data, self.args.data)
        tables = [self.prepare(session, attributes) for session in self.sessions]
        conditions = [condition for condition in attributes.conditions(self.args.shares)
                      if condition.kind in (self.args.kinds or (condition.kind,))]
        truths = truths_of(self.data, conditions, len(self.queries), self.k, self.progress)
        searches = {table.contender.name: [Search(table, value, self.k)
                                           for value in table.contender.values]
                    for table in tables}
        for condition, truth in self.progress(list(zip(conditions, truths)), desc="conditions"):
            self.measure(condition, truth, searches)

    def prepare(self, session, attributes):
        session.load()
        table = table_of(session, f"filtered_{session.contender.group}")
        columns = list(attributes.columns())
        made_from = {"data": self.data.fingerprint, "rows": len(self.data.base),
                     "index": session.contender.index, "attributes": session.contender.attributes,
                     "columns": [name for name, _, _ in columns]}
        if self.args.rebuild or table.comment_of(table.table) != made_from:
            make_table(table, session.table, columns)
            index_columns(table, columns, self.args.workers)
            table.set_comment("TABLE", table.table, made_from)
        table.warm()
        return table

    def measure(self, condition, truth, searches):
        """Every value once, then the chosen ones of all contenders in turns."""
        chosen = {}
        for name, own in searches.items():
            tried = []
            for search in own:
                search.ask(condition, 0)
                tried.append((search, search.round(condition, truth, self.queries,
                                                   self.args.seconds_each)))
            chosen[name] = cheapest(tried)
        rounds = {name: [found] for name, (_, found) in chosen.items()}
        for _ in range(self.args.repeats):
            for name, (search, _) in chosen.items():
                rounds[name].append(search.round(condition, truth, self.queries,
                                                 self.args.seconds_each))
        for name, (search, _) in chosen.items():
            self.add(step="filtered", contender=name, kind=condition.kind, share=condition.share,
                     passing=float(np.mean([condition.mask(i).mean() for i in self.queries[:10]])),
                     setting=search.value, **medians(rounds[name][1:] or rounds[name]),
                     **search.explain(condition, self.queries))

    # --- tenants ------------------------------------------------------------------------------
    def tenants(self):
        """A tenant's queries in the table of all, beside a table of that tenant alone."""
        owner = zipf_tenants(len(self.data.base))
        for session in self.sessions:
            if session.contender.attributes != "columns":
                continue
            whole = self.prepare_tenants(session, owner)
            for rank in self.args.tenant_ranks:
                self.measure_tenant(whole, owner == rank, rank)

    def prepare_tenants(self, session, owner):
        session.load()
        table = table_of(session, f"tenants_{session.contender.group}")
        made_from = {"data": self.data.fingerprint, "rows": len(owner),
                     "index": session.contender.index}
        if self.args.rebuild or table.comment_of(table.table) != made_from:
            columns = [("tenant", "int", owner)]
            make_table(table, session.table, columns)
            index_columns(table, columns, self.args.workers)
            table.set_comment("TABLE", table.table, made_from)
        table.warm()
        return table

    def measure_tenant(self, whole, mask, rank):
        alone = alone_table(whole, rank)
        conditions = {"together": fixed("tenant", rank, f"tenant = {rank}", mask),
                      "alone": fixed("tenant", rank, "true", mask)}
        truth, = truths_of(self.data, [conditions["alone"]], len(self.queries), self.k,
                           self.progress)
        searches = {"together": Search(whole, UNSET, self.k), "alone": Search(alone, UNSET, self.k)}
        rounds = {where: [] for where in searches}
        for number in range(self.args.repeats + 1):
            for where, search in searches.items():
                found = search.round(conditions[where], truth, self.queries, self.args.seconds_each)
                if number:      # the first one is a warm-up
                    rounds[where].append(found)
        for where, search in searches.items():
            self.add(step="tenant", contender=whole.contender.name, kind=where, share=rank,
                     rows=int(mask.sum()), **medians(rounds[where]),
                     **search.explain(conditions[where], self.queries))
        alone.connection.execute(f"DROP TABLE {alone.table}")


def alone_table(whole, rank):
    """A table of one tenant's rows, with an index of its own."""
    alone = table_of(whole, f"alone_{rank}")
    run = alone.connection.execute
    run(f"DROP TABLE IF EXISTS {alone.table}")
    run(f"CREATE TABLE {alone.table} AS SELECT id, v FROM {whole.table} WHERE tenant = {rank}")
    run(f"ALTER TABLE {alone.table} ADD PRIMARY KEY (id)")
    run(alone.index_sql(len(alone.data.base)))
    run(f"VACUUM ANALYZE {alone.table}")
    alone.warm()
    return alone
