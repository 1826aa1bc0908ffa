"""The same search over more and more rows, and the same build with workers and with little memory."""
from dataclasses import replace

import dataset
from contenders import UNSET

SIZES = [50_000, 200_000]
WORKERS = [0, 2]
GOAL = 0.95
# The server takes no less for maintenance_work_mem.
LEAST_KB = 1024


def part_of(data, rows):
    base = data.base[:rows]
    return replace(data, name=f"{data.name}_{rows}", base=base, fingerprint=dataset.fingerprint_of(base, data.query))


def grow(bench):
    """Of each contender, for each number of rows: a table and an index of their own, and the least value of its
    setting that reaches the recall, timed by one client."""
    total = len(bench.data.base)
    for rows in sorted({size for size in bench.args.sizes if size < total} | {total}):
        data = part_of(bench.data, rows) if rows < total else bench.data
        truth = bench.truth(data)
        for contender in bench.contenders:
            session = bench.session(contender, data)
            if bench.can_run(session):
                bench.results.add(step="growth", contender=contender.name, rows=rows,
                                  **at_goal(bench, session, truth))
            session.close()


def at_goal(bench, session, truth):
    args, contender, k = bench.args, session.contender, bench.args.k[0]
    session.load()
    built = session.build(args.workers, args.rebuild)
    session.warm()
    bench.add_conditions(session, bench.results)
    asked = {}
    for value in contender.values:
        if value == UNSET:
            continue
        asked[int(value)] = session.ask(contender.settings_for(value), k, truth)["recall"]
        if asked[int(value)] >= GOAL:
            break
    bench.values_at_goals(session, k, asked, truth, (GOAL,))
    least = min((value for value, recall in asked.items() if recall >= GOAL), default=None)
    sizes = {"k": k, "index_bytes": built["index_bytes"], "seconds": built["seconds"]}
    if least is None:
        return dict(sizes, setting=None, recall=None, qps=None, cpu_ms=None, buffers=None)
    settings = contender.settings_for(str(least))
    answers = session.ask(settings, k, truth)
    timed = session.time_search(settings, k, 1, args.seconds, args.repeats)
    return dict(sizes, setting=f"{contender.setting}={least}", recall=answers["recall"], qps=round(timed["qps"], 1),
                cpu_ms=answers["cpu_ms"], buffers=answers["buffers"])


def build_in_ways(bench):
    """Builds with each number of workers with the memory that the server has for it, then with a quarter of what
    that took."""
    for contender in bench.contenders:
        session = bench.session(contender, bench.data)
        if bench.can_run(session):
            session.load()
            bench.add_conditions(session, bench.results)
            for workers in bench.args.build_workers:
                build_twice(bench, session, workers)
        session.close()


def build_twice(bench, session, workers):
    ample = session.value("SHOW maintenance_work_mem")
    costs = session.rebuild(workers)
    add_build(bench, session, workers, "ample", ample, costs)
    if not costs["memory_bytes"]:
        print(f"{session.contender.name}: its memory cannot be seen, so there is no quarter of it")
        return
    quarter = max(LEAST_KB, costs["memory_bytes"] // 4096)
    add_build(bench, session, workers, "a quarter", f"{quarter / 1024:.0f}MB", session.rebuild(workers, quarter))


def add_build(bench, session, workers, memory, setting, costs):
    bench.results.add(step="builds", contender=session.contender.name, workers=workers, memory=memory,
                      memory_setting=setting, **costs, index_bytes=session.sizes()["index_bytes"])
