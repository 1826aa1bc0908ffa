#!/usr/bin/env python3
"""Recall against queries per second for vector indexes in PostgreSQL. bench/README.md explains.

  bench.py run   load, truth, build, sweep and plot, making only what is missing
  bench.py load | truth | build | sweep | plot     up to that step
  bench.py growth | builds                         more and more rows; builds with workers, little memory
  bench.py cold  --restart COMMAND                 the first query with nothing in memory
  bench.py churn                                   what writes cost and leave behind
  bench.py filtered | tenants                      searches with a condition on other columns

Measurements are lines of JSON in RESULTS/measurements.jsonl; `plot` makes table and pictures of
them. `run` starts that file anew; the others append, and the last line about a thing counts.
"""
import argparse
import json
import os
import platform
import sys
from functools import partial
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo
from tqdm import tqdm

import churn
import churn_report
import cold
import dataset
import filtered
import filtered_report
import growth
import inprocess
import report
import server
from contenders import UNSET, read_contenders, read_in_process
from goals import least_value

HERE = Path(__file__).resolve().parent
DEFAULT_DATA = HERE.parent / "test" / "data"
# What tells one measurement of a sweep from another.
SWEEP_KEY = ("step", "contender", "setting", "k", "clients", "rows", "workers", "memory")


class Results:
    """The measurements of one kind in a results folder."""

    def __init__(self, folder, name, key, fresh):
        self.folder, self.key = Path(folder), key
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path = self.folder / name
        if fresh:
            self.path.unlink(missing_ok=True)

    def add(self, **record):
        line = json.dumps(record)
        with self.path.open("a") as file:
            file.write(line + "\n")
        tqdm.write(line)

    def records(self):
        records = map(json.loads, self.path.read_text().splitlines())
        return list({tuple(record.get(name) for name in self.key): record
                     for record in records}.values())


class Bench:
    """The steps, over one data set and the contenders that can run."""

    def __init__(self, args):
        self.args = args
        self.progress = partial(tqdm, leave=False, disable=None, file=sys.stderr)
        self.data = dataset.open_dataset(args.data, args.metric, args.rows, args.queries)
        folder = args.results or HERE / ".run" / "results" / self.data.name
        self.results = Results(folder, "measurements.jsonl", SWEEP_KEY, fresh=args.step == "run")
        self.churned = Results(folder, "churn.jsonl", churn_report.KEY,
                               fresh=args.step == "churn")
        self.filtered_results = Results(folder, "filtered.jsonl", filtered_report.KEY, fresh=False)
        self.contenders = read_contenders(
            args.contenders, args.only, args.step == "churn",
            "filtered" if args.step in ("filtered", "tenants") else "contender")
        self.libraries = read_in_process(args.contenders, args.only)

    def session(self, contender, data):
        own = dict(self.args.contender_dsn).get(contender.name) or contender.dsn
        dsn = own or make_conninfo(self.args.dsn, dbname=contender.database)
        return server.Session(contender, data, dsn, self.progress)

    def each(self, step):
        """Runs one step for every contender whose extension the server has."""
        for contender in self.contenders:
            session = self.session(contender, self.data)
            try:
                if self.can_run(session):
                    step(session)
            except psycopg.Error as error:
                raise SystemExit(f"{contender.name}: {error}") from None
            finally:
                session.close()

    def can_run(self, session):
        contender = session.contender
        if (contender.type == "sparsevec") != self.data.sparse:
            tqdm.write(f"{contender.name}: left out, rows are {'' if self.data.sparse else 'not '}sparse")
            return False
        reason = session.lacks_extension(contender.extension)
        if reason:
            tqdm.write(f"{contender.name}: left out, {reason}")
        return not reason

    def truth(self, data=None):
        return dataset.find_truth(data or self.data, self.args.cache, self.progress)

    def load(self, session):
        loaded = session.load()
        tqdm.write(f"{session.contender.name}: {session.table} {'loaded' if loaded else 'stands'}")

    def build(self, session):
        self.load(session)
        built = session.build(self.args.workers, self.args.rebuild)
        self.results.add(step="build", contender=session.contender.name, **built)

    def sweep(self, session):
        """All of a contender's steps in one go: another one may need the table's only index."""
        self.build(session)
        args, contender = self.args, session.contender
        self.add_conditions(session, self.results)
        session.warm()
        for k in args.k:
            for clients in sorted(set(args.clients)):
                timed = session.time_floor(k, clients, args.seconds, args.repeats)
                self.results.add(step="floor", contender=contender.name, k=k, clients=clients,
                                 **rounded(timed))
            asked = {}
            for value in self.progress(contender.values, desc=f"sweep {contender.name}"):
                recall = self.measure(session, value, k)
                if value != UNSET:
                    asked[int(value)] = recall
            for value in self.values_at_goals(session, k, asked):
                self.measure(session, value, k)

    def measure(self, session, value, k):
        """Asks and times one value of the setting; its recall."""
        args, contender = self.args, session.contender
        settings = contender.settings_for(value)
        answers = session.ask(settings, k, self.truth())
        if not answers["own_index"]:
            tqdm.write(f"{contender.name}: the planner took {answers['plan']}")
        for clients in sorted(set(args.clients)):
            timed = session.time_search(settings, k, clients, args.seconds, args.repeats)
            self.results.add(step="sweep", contender=contender.name, k=k, clients=clients,
                             setting=f"{contender.setting}={value}", **answers, **rounded(timed))
        return answers["recall"]

    def values_at_goals(self, session, k, asked, truth=None, goals=report.RECALL_GOALS):
        """The least values that reach the recalls, those left out that were asked before."""
        def recall_of(value):
            settings = session.contender.settings_for(str(value))
            return session.ask(settings, k, truth or self.truth())["recall"]

        before = set(asked)
        found = {least_value(asked, goal, recall_of) for goal in goals}
        return [str(value) for value in sorted(found - before - {None})]

    def sweep_library(self, contender):
        """The same in this process: one thread, its values and no others."""
        reason = "rows are sparse" if self.data.sparse else contender.lacks_library()
        if reason:
            tqdm.write(f"{contender.name}: left out, {reason}")
            return
        args, truth = self.args, self.truth()
        library = inprocess.Library(contender, self.data, self.progress)
        self.results.add(step="build", contender=contender.name, **library.build())
        for k in args.k:
            self.results.add(step="floor", contender=contender.name, k=k, clients=1, **inprocess.NO_FLOOR)
            asked = {}
            recall_of = lambda ef: library.ask(ef, k, truth)["recall"]  # noqa: E731
            for ef in contender.values:
                asked[ef] = recall_of(ef)
            found = {least_value(asked, goal, recall_of) for goal in report.RECALL_GOALS} - {None}
            for ef in sorted(found | set(contender.values)):
                timed = library.time_search(ef, k, args.seconds, args.repeats)
                self.results.add(step="sweep", contender=contender.name, k=k, clients=1, setting=f"ef={ef}",
                                 **library.ask(ef, k, truth), **rounded(timed))

    def growth(self):
        growth.grow(self)

    def builds(self):
        growth.build_in_ways(self)

    def cold(self, session):
        """At the swept value that reached the recall in what has been measured."""
        args, name = self.args, session.contender.name
        if session.lacks_extension("pg_buffercache"):
            raise SystemExit("the server has no pg_buffercache, which tells what was read")
        records = self.results.records() if self.results.path.exists() else []
        for k in args.k:
            sweeps = [row for row in records if row["step"] == "sweep" and row["k"] == k]
            swept = cold.setting_for(sweeps, name, args.recall)
            if swept is None:
                tqdm.write(f"{name}: no swept value with recall {args.recall} at k = {k}")
                continue
            settings = session.contender.settings_for(swept["setting"].partition("=")[2])
            self.results.add(step="cold", contender=name, k=k, at=swept["setting"],
                             recall=swept["recall"], queries=args.cold_queries,
                             **rounded(cold.measure(session, settings, k, args.cold_queries,
                                                    args.restart)))

    def filtered(self):
        self.together(self.data, lambda sessions: self.with_conditions(sessions).run(),
                      self.filtered_results)

    def tenants(self):
        self.together(self.data, lambda sessions: self.with_conditions(sessions).tenants(),
                      self.filtered_results)

    def with_conditions(self, sessions):
        return filtered.Filtered(self.args, self.data, sessions, self.filtered_results.add,
                                 self.progress)

    def churn(self):
        data = churn.shuffled(self.data)
        self.together(data, lambda sessions: churn.Churn(
            self.args, data, sessions, self.truth, self.churned.add).run(self.args.parts),
            self.churned)

    def together(self, data, run, results):
        """All contenders in one go, since they take turns."""
        opened = [self.session(contender, data) for contender in self.contenders]
        try:
            sessions = [session for session in opened if self.can_run(session)]
            for session in sessions:
                self.add_conditions(session, results)
            run(sessions)
        except psycopg.Error as error:
            raise SystemExit(str(error)) from None
        finally:
            for session in opened:
                session.close()

    def add_conditions(self, session, results):
        data, args = self.data, self.args
        results.add(step="conditions", contender=session.contender.name, data=data.name,
                    metric=data.metric, rows=len(data.base), dims=data.base.shape[1],
                    queries=len(data.query), machine=machine_kind(),
                    load=f"{os.getloadavg()[0]:.1f}", seconds=args.seconds,
                    repeats=args.repeats, insert_goal=session.contender.insert_goal,
                    settings=session.server_settings())

    def plot(self):
        """Table and pictures of whatever has been measured."""
        if self.results.path.exists():
            self.show(self.results, report, "table.md")
        if self.churned.path.exists():
            self.show(self.churned, churn_report, "churn.md")
        if self.filtered_results.path.exists():
            self.show(self.filtered_results, filtered_report, "filtered.md")

    def show(self, results, made_by, name):
        records = results.records()
        text = made_by.markdown(records)
        table = results.folder / name
        table.write_text(text)
        print(text)
        for path in (table, *made_by.plot(records, results.folder)):
            print(path)


def rounded(timed):
    return {name: value and round(value, 4) for name, value in timed.items()}


def machine_kind():
    cpu = platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
        cpu = models[0] if models else cpu
        memory = f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB"
    except (OSError, ValueError):
        memory = ""
    return f"{cpu}, {os.cpu_count()} cores{memory}, {platform.system()} {platform.release()}"


def parse_args(argv):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("run", "load", "truth", "build", "sweep", "cold",
                                         "growth", "builds", "churn", "filtered", "tenants", "plot"))
    add = parser.add_argument_group("what").add_argument
    add("--data", default=os.environ.get("ANN_BENCH_DATA", DEFAULT_DATA),
        help="folder with base.npy and query.npy (or ANN_BENCH_DATA; default test/data)")
    add("--metric", choices=("auto", *dataset.METRICS), default="auto",
        help="auto: cos when rows have unit length, else l2")
    add("--rows", type=int, help="only the first rows of base.npy")
    add("--queries", type=int, help="only the first rows of query.npy")
    add("--contenders", default=HERE / "contenders.toml", help="TOML file")
    add("--only", nargs="+", default=[], metavar="NAME", help="only these contenders; "
        "ratios are against the first of them")
    add = parser.add_argument_group("where").add_argument
    add("--dsn", default="", help="server (default: PGHOST and so on); each contender has a "
        "database of its own there, made when missing")
    add("--contender-dsn", nargs=2, action="append", default=[], metavar=("NAME", "DSN"),
        help="database for one contender")
    add("--cache", default=HERE / ".run" / "truth", help="folder of exact neighbours")
    add("--results", help="folder (default bench/.run/results/DATA)")
    add = parser.add_argument_group("how").add_argument
    add("--k", type=int, nargs="+", default=[10])
    add("--clients", type=int, nargs="+", default=[1])
    add("--seconds", type=int, default=3, help="of one timed run")
    add("--repeats", type=int, default=3, help="timed runs, of which medians are taken")
    add("--workers", type=int, default=0, help="parallel workers of a build")
    add("--rebuild", action="store_true", help="build indexes that stand already")
    add = parser.add_argument_group("cold").add_argument
    add("--restart", help="shell command that restarts the server and empties the system's cache")
    add("--cold-queries", type=int, default=5, help="first queries, of which medians are taken")
    add("--recall", type=float, default=0.95, help="that the sweep reached with the value taken")
    add = parser.add_argument_group("growth and builds").add_argument
    add("--sizes", type=int, nargs="+", default=growth.SIZES, help="rows, besides all of them")
    add("--build-workers", type=int, nargs="+", default=growth.WORKERS)
    add = parser.add_argument_group("churn").add_argument
    add("--parts", nargs="+", choices=churn.PARTS, default=churn.PARTS)
    add("--writes", type=int, default=4000, help="rows of one timed run of single-row writes")
    add("--rounds", type=int, default=10, help="of delete, vacuum and insert")
    add("--ef", nargs="+", default=["40", "100"], help="at which recall is compared")
    add = parser.add_argument_group("filtered").add_argument
    add("--shares", type=float, nargs="+", default=filtered.SHARES, help="of the rows that pass")
    add("--kinds", nargs="+", help="only these conditions")
    add("--asked", type=int, default=100, help="queries")
    add("--seconds-each", type=float, default=10,
        help="of a round, after which queries are left out")
    add("--tenant-ranks", type=int, nargs="+", default=filtered.TENANT_RANKS,
        help="the n-th largest tenants")
    args = parser.parse_args(argv)
    if args.step == "cold" and not args.restart:
        parser.error("cold needs --restart")
    return args


def main(argv=None):
    args = parse_args(argv)
    bench = Bench(args)
    steps = {"load": bench.load, "build": bench.build, "sweep": bench.sweep, "run": bench.sweep,
             "cold": bench.cold}
    if args.step == "truth":
        bench.truth()
    if args.step in steps:
        bench.each(steps[args.step])
    if args.step in ("sweep", "run"):
        for library in bench.libraries:
            bench.sweep_library(library)
    if args.step in ("growth", "builds", "churn", "filtered", "tenants"):
        getattr(bench, args.step)()
    if args.step not in ("load", "truth", "build", "sweep"):
        bench.plot()


if __name__ == "__main__":
    main()
