"""From measurements to figures: the frontier, QPS at a recall, the table and the plots."""
import math

RECALL_GOALS = (0.90, 0.95, 0.99)
# A recall of 1 has no place on a logarithmic axis of misses; one miss in 100,000 stands for it.
LEAST_MISS = 1e-5


# --- figures ------------------------------------------------------------------------------------
def frontier(points):
    """The (recall, qps) points that no other point beats in both, by rising recall."""
    best = []
    for recall, qps in sorted(points, key=lambda point: (-point[0], -point[1])):
        if not best or qps > best[-1][1]:
            best.append((recall, qps))
    return best[::-1]


def qps_at(points, goal):
    """QPS at a recall by interpolation along the frontier, and whether it was bracketed.

    Interpolates log(QPS) over log(1 - recall), on which curves of graph and list searches are
    close to straight. Where even the lowest recall is above the goal, its QPS is a lower bound
    (second value False); where the goal is not reached, the QPS is None.
    """
    line = frontier(points)
    if not line or line[-1][0] < goal:
        return None, False
    if line[0][0] > goal:
        return line[0][1], False
    for (low, low_qps), (high, high_qps) in zip(line, line[1:]):
        if low <= goal <= high:
            share = (misses(goal) - misses(low)) / (misses(high) - misses(low))
            return math.exp((1 - share) * math.log(low_qps) + share * math.log(high_qps)), True
    return line[0][1], True


def misses(recall):
    return math.log(max(1 - recall, LEAST_MISS))


def milliseconds_less_floor(qps, floor_qps, clients):
    """Mean time of a query less that of the floor, for `clients` clients that wait for answers."""
    return 1000 * clients * (1 / qps - 1 / floor_qps)


def at_goals(sweeps, floors, k, clients):
    """For every contender and recall goal: the QPS, the backend's CPU milliseconds, the mean
    milliseconds less the floor's, and the ratios of each to the first contender's. Searches that
    took another plan than the contender's index say nothing of it and are left out."""
    chosen = [row for row in sweeps if (row["k"], row["clients"]) == (k, clients)
              and row.get("own_index", True)]
    floor = {row["contender"]: row["qps"] for row in floors
             if (row["k"], row["clients"]) == (k, clients)}
    names = list(dict.fromkeys(row["contender"] for row in chosen))
    entries = {}
    for name in names:
        rows = [row for row in chosen if row["contender"] == name]
        for goal in RECALL_GOALS:
            entries[name, goal] = dict(at_goal(rows, goal, floor[name], clients), best=best_at(rows, goal))
            add_ratios(entries[name, goal], entries[names[0], goal])
    return [dict(entry, contender=name, goal=goal) for (name, goal), entry in entries.items()]


def at_goal(rows, goal, floor_qps, clients):
    qps, bracketed = qps_at([(row["recall"], row["qps"]) for row in rows], goal)
    if qps is None:
        return {"qps": None, "bracketed": False, "cpu_ms": None}
    rate, _ = qps_at([(row["recall"], 1 / row["cpu_ms"]) for row in rows if row["cpu_ms"]], goal)
    return {"qps": qps, "bracketed": bracketed, "cpu_ms": 1 / rate if rate else None,
            "less_floor_ms": milliseconds_less_floor(qps, floor_qps, clients)}


def best_at(rows, goal):
    """The fastest measured setting that reaches the goal; None: none does."""
    return max((row for row in rows if row["recall"] >= goal), key=lambda row: row["qps"], default=None)


def add_ratios(entry, first):
    """How many times faster than the first contender, by each of the three figures."""
    if entry["cpu_ms"] and first["cpu_ms"]:
        entry["cpu_ratio"] = first["cpu_ms"] / entry["cpu_ms"]
    if entry["qps"] and first["qps"]:
        entry["ratio"] = entry["qps"] / first["qps"]
        entry["less_floor_ratio"] = first["less_floor_ms"] / max(entry["less_floor_ms"], 1e-6)


# --- the table ----------------------------------------------------------------------------------
def markdown(records):
    """The whole report of a list of measurement records (see bench.py for their fields)."""
    by_step = {}
    for record in records:
        by_step.setdefault(record["step"], []).append(record)
    run = by_step["conditions"][-1]
    parts = [f"# {run['data']}: {run['rows']:,} rows, {run['dims']} dims, {run['metric']}, "
             f"{run['queries']:,} queries",
             conditions_text(by_step["conditions"])]
    if "build" in by_step:
        parts.append(builds_table(by_step["build"]))
    for k, clients in sorted({(row["k"], row["clients"]) for row in by_step.get("sweep", ())}):
        parts += [f"## k = {k}, {clients} client{'s' if clients > 1 else ''}",
                  goals_table(at_goals(by_step["sweep"], by_step["floor"], k, clients)),
                  sweep_table(by_step["sweep"], by_step["floor"], k, clients)]
    if "growth" in by_step:
        parts += ["## From few rows to all", growth_table(by_step["growth"])]
    if "builds" in by_step:
        parts += ["## Builds", ways_table(by_step["builds"])]
    if "cold" in by_step:
        parts += ["## The first query, with nothing in memory", cold_table(by_step["cold"])]
    return "\n\n".join(parts) + "\n"


def conditions_text(conditions):
    run = conditions[-1]
    lines = [f"Machine: {run['machine']}; load before the run {run['load']}.",
             f"Warm cache, prepared statements; medians of {run['repeats']} runs of "
             f"{run['seconds']} s."]
    servers = {}
    for record in conditions:
        settings = ", ".join(f"{name} {value}" for name, value in record["settings"].items())
        servers.setdefault(settings, []).append(record["contender"])
    lines += [f"Server of {', '.join(names)}: {settings}." for settings, names in servers.items()]
    return "\n".join(f"- {line}" for line in lines)


def builds_table(rows):
    first = rows[0]
    return table(
        ("contender", "version", "build s", "ratio", "CPU s", "ratio", "memory MB", "workers",
         "index MB", "ratio", "heap MB", "toast MB", "storage", "index"),
        [(row["contender"], row["version"], *beside(row, first, "seconds"),
          *beside(row, first, "cpu_seconds"), megabytes(row.get("memory_bytes")), row["workers"],
          megabytes(row["index_bytes"]), share(row, first, "index_bytes"),
          *(megabytes(row[part]) for part in ("heap_bytes", "toast_bytes")),
          row["storage"], f"`{row['sql']}`") for row in rows])


def quotient(value, by):
    return value / by if value and by else None


def beside(row, first, figure):
    return number(row.get(figure), 1), share(row, first, figure)


def share(row, first, figure):
    """Of the first contender's figure."""
    return number(quotient(row.get(figure), first.get(figure)), 3)


def cold_table(rows):
    first = {row["k"]: row for row in reversed(rows)}
    return table(
        ("contender", "k", "setting", "recall", "ms", "random reads", "ratio", "index pages",
         "in runs", "in long runs", "table pages", "in runs"),
        [(row["contender"], row["k"], row["at"], f"{row['recall']:.4f}", number(row["ms"], 0),
          number(row["runs"], 0),
          ratio(quotient(first[row["k"]]["runs"], row["runs"])),
          *(number(row[figure], 0) for figure in ("index_pages", "index_runs", "index_long",
                                                  "table_pages", "table_runs"))) for row in rows])


def growth_table(rows):
    """QPS at the recall by rows, as a share of the contender's own with the fewest, and beside the first."""
    fewest, first = {}, {}
    for row in sorted(rows, key=lambda row: row["rows"]):
        fewest.setdefault(row["contender"], row)
    for row in rows:
        first.setdefault(row["rows"], row)
    return table(
        ("contender", "rows", "setting", "recall", "QPS", "of its own with the fewest", "ratio", "CPU ms", "ratio",
         "buffers", "index MB", "build s"),
        [(row["contender"], f"{row['rows']:,}", row["setting"] or "not reached", number(row["recall"], 4),
          number(row["qps"], 0), number(quotient(row["qps"], fewest[row["contender"]]["qps"]), 2),
          ratio(quotient(row["qps"], first[row["rows"]]["qps"])), number(row["cpu_ms"], 3),
          ratio(quotient(first[row["rows"]]["cpu_ms"], row["cpu_ms"])), number(row["buffers"], 0),
          megabytes(row["index_bytes"]), number(row["seconds"], 1)) for row in rows])


def ways_table(rows):
    """Builds by workers and memory, beside the first contender's in the same way."""
    first = {}
    for row in rows:
        first.setdefault((row["workers"], row["memory"]), row)
    return table(
        ("contender", "workers", "maintenance_work_mem", "build s", "ratio", "CPU s", "ratio", "memory MB", "ratio", "index MB"),
        [(row["contender"], row["workers"], f"{row['memory']} ({row['memory_setting']})",
          *beside(row, first[row["workers"], row["memory"]], "seconds"),
          *beside(row, first[row["workers"], row["memory"]], "cpu_seconds"), megabytes(row["memory_bytes"]),
          share(row, first[row["workers"], row["memory"]], "memory_bytes"), megabytes(row["index_bytes"]))
         for row in rows])


def goals_table(entries):
    return table(
        ("contender", "recall", "QPS", "ratio", "CPU ms", "ratio", "ms less floor", "ratio", "measured at", "recall there",
         "p50 ms", "p99 ms", "buffers"),
        [(entry["contender"], f"{entry['goal']:.2f}", goal_qps(entry), ratio(entry.get("ratio")),
          number(entry["cpu_ms"], 3), ratio(entry.get("cpu_ratio")),
          number(entry.get("less_floor_ms"), 3), ratio(entry.get("less_floor_ratio")),
          *measured_at(entry["best"])) for entry in entries])


def measured_at(row):
    if row is None:
        return ("–",) * 5
    return (row["setting"], f"{row['recall']:.4f}", number(row["p50_ms"], 3), number(row["p99_ms"], 3),
            number(row["buffers"], 0))


def sweep_table(sweeps, floors, k, clients):
    head = ("contender", "setting", "recall", "QPS", "p50 ms", "p99 ms", "CPU ms", "ms less floor",
            "buffers", "short", "plan")
    rows = []
    for floor in floors:
        if (floor["k"], floor["clients"]) != (k, clients):
            continue
        for row in sweeps:
            if (row["contender"], row["k"], row["clients"]) == (floor["contender"], k, clients):
                less = milliseconds_less_floor(row["qps"], floor["qps"], clients)
                rows.append((row["contender"], row["setting"], f"{row['recall']:.4f}",
                             *times(row), number(less, 3), number(row["buffers"], 0),
                             row["rows_short"], plan_of(row)))
        rows.append((floor["contender"], "floor", "", *times(floor), number(0, 3), "", "", ""))
    return table(head, rows)


def plan_of(row):
    return row["plan"] if row.get("own_index", True) else f"**{row['plan']}**"


def times(row):
    return (number(row["qps"], 0), number(row["p50_ms"], 3), number(row["p99_ms"], 3),
            number(row["cpu_ms"], 3))


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def goal_qps(entry):
    if entry["qps"] is None:
        return "not reached"
    return ("" if entry["bracketed"] else "≥ ") + number(entry["qps"], 0)


def number(value, digits):
    return "–" if value is None or math.isinf(value) else f"{value:,.{digits}f}"


def ratio(value):
    return "–" if value is None else f"{value:.2f} ×"


def megabytes(count):
    return "–" if count is None else number(count / 2**20, 1)


# --- the plots ----------------------------------------------------------------------------------
def plot(records, folder):
    """A picture of recall against QPS for each k and number of clients, and one against queries a
    second of the backend's CPU time for each k; returns their paths."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    sweeps = [record for record in records if record["step"] == "sweep"]
    title = [record for record in records if record["step"] == "conditions"][-1]["data"]
    paths = []
    for name, rate, label, text, rows in pictures(sweeps):
        figure, axes = pyplot.subplots(figsize=(8, 5.5))
        for contender in dict.fromkeys(row["contender"] for row in rows):
            draw_contender(axes, contender, rate,
                           [row for row in rows if row["contender"] == contender])
        finish_axes(axes, label, f"{title}, {text}")
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=110, bbox_inches="tight")
        pyplot.close(figure)
    return paths


def pictures(sweeps):
    """File name, what is drawn over recall, its label, title and rows of every picture."""
    for k, clients in sorted({(row["k"], row["clients"]) for row in sweeps}):
        rows = [row for row in sweeps if (row["k"], row["clients"]) == (k, clients)]
        yield (f"recall_qps_k{k}_c{clients}", lambda row: row["qps"], "queries per second",
               f"k = {k}, clients: {clients}", rows)
    for k in sorted({row["k"] for row in sweeps if row["cpu_ms"]}):
        fewest = min(row["clients"] for row in sweeps if row["k"] == k)
        rows = [row for row in sweeps
                if (row["k"], row["clients"]) == (k, fewest) and row["cpu_ms"]]
        yield (f"recall_cpu_k{k}", lambda row: 1000 / row["cpu_ms"],
               "queries per second of CPU time", f"k = {k}", rows)


def draw_contender(axes, name, rate, rows):
    rows = sorted(rows, key=lambda row: row["recall"])
    misses_ = [max(1 - row["recall"], LEAST_MISS) for row in rows]
    line, = axes.plot(misses_, [rate(row) for row in rows], marker="o", label=name)
    for miss, row in zip(misses_, rows):
        axes.annotate(row["setting"].split("=")[-1], (miss, rate(row)), fontsize=7,
                      xytext=(3, 4), textcoords="offset points", color=line.get_color())


def finish_axes(axes, label, title):
    from matplotlib.ticker import LogLocator, StrMethodFormatter
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.invert_xaxis()
    ticks = [0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.001, 0.0001]
    low, high = sorted(axes.get_xlim())
    shown = [tick for tick in ticks if low <= tick <= high]
    axes.set_xticks(shown, [f"{1 - tick:g}" for tick in shown])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel("recall")
    axes.set_ylabel(label)
    axes.set_title(title)
    axes.grid(True, which="major", alpha=0.3)
    axes.legend()
