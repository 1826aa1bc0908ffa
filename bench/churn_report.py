"""From measurements of churn to the targets, the tables and a picture of the rounds."""
import statistics

from report import conditions_text, megabytes, number, ratio, table

# What tells one measurement from another.
KEY = ("step", "contender", "kind", "clients", "synchronous", "round", "state", "ef",
       "repeat")
FLOOR = " floor"          # what follows a contender's name in the measurements of its floor
AT_LEAST, AT_MOST = "≥", "≤"
UPDATE_GOAL = 5           # times as many as the first contender
RECALL_LOSS = 0.01        # against a fresh build
SIZE_GROWTH = 1.1
EMPTY_START_SHARE = 0.9   # of a fresh build's recall and QPS


# --- figures ------------------------------------------------------------------------------------
def select(records, **wanted):
    return [record for record in records
            if all(record.get(name) == value for name, value in wanted.items())]


def one(records, **wanted):
    found = select(records, **wanted)
    return found[0] if found else None


def less_floor(records, row, figure):
    """A figure of a contender's record less that of its floor's record; None without it."""
    wanted = {name: row[name] for name in KEY if name in row and name != "contender"}
    floor = one(records, contender=row["contender"] + FLOOR, **wanted)
    if not floor or row.get(figure) is None or floor.get(figure) is None:
        return None
    return row[figure] - floor[figure]


def merged(records):
    """The records with all runs of a rate as one: medians of the figures, and the mean
    milliseconds that a client waits for a row."""
    runs, rest = {}, []
    for row in records:
        if row["step"] == "rate":
            case = tuple(row[name] for name in ("contender", "kind", "clients", "synchronous"))
            runs.setdefault(case, []).append(row)
        else:
            rest.append(row)
    return rest + [merged_runs(rows) for rows in runs.values()]


def merged_runs(rows):
    first = {name: value for name, value in rows[0].items() if name != "repeat"}
    medians = {name: median([row[name] for row in rows])
               for name in ("rate", "cpu_ms", "wal_bytes")}
    return dict(first, **medians, runs=len(rows), ms=1000 * first["clients"] / medians["rate"])


def median(values):
    return None if None in values else statistics.median(values)


def quotient(value, first):
    return None if value is None or not first else value / first


def entry(cost, sign, limit, first, value, ours, digits=2, note=""):
    """One line of the targets: the two figures, what is compared with the limit, and whether it
    is met (None where it could not be measured)."""
    met = None if ours is None else ours >= limit if sign == AT_LEAST else ours <= limit
    return {"cost": cost, "sign": sign, "limit": limit, "first": first, "value": value,
            "ours": ours, "met": met, "digits": digits, "note": note}


def targets(records, first, name):
    """Every target, of contender `name` against contender `first`."""
    records = merged(records)
    return [*rate_targets(records, first, name, insert_goal(records, name)), *wal_targets(records, first, name),
            *vacuum_targets(records, first, name), *recall_targets(records, first, name),
            *size_targets(records, name), *empty_targets(records, name)]


def insert_goal(records, name):
    """How many times as many single-row inserts a contender is to do."""
    found = one(records, step="conditions", contender=name) or {}
    return found.get("insert_goal", UPDATE_GOAL)


def pairs(records, first, name, step):
    """Records of both contenders about the same thing."""
    for row in select(records, contender=first, step=step):
        wanted = {key: row[key] for key in KEY if key in row and key != "contender"}
        other = one(records, contender=name, **wanted)
        if other:
            yield row, other


def rate_targets(records, first, name, inserts):
    for row, other in pairs(records, first, name, "rate"):
        cost = (f"{row['kind']}s/s, {plural(row['clients'], 'client')},"
                f" synchronous_commit {row['synchronous']}")
        goal = inserts if row["kind"] == "insert" else UPDATE_GOAL
        yield entry(cost, AT_LEAST, goal, row["rate"], other["rate"],
                    quotient(other["rate"], row["rate"]), 0, shares(records, row, other))


def shares(records, row, other):
    """How much less of the waiting and of the CPU time above the floor."""
    words = []
    for figure, name in (("ms", "waiting"), ("cpu_ms", "CPU"), ("cpu_seconds", "CPU")):
        mine, theirs = (less_floor(records, of, figure) for of in (other, row))
        if mine and theirs and mine > 0:
            words.append(f"{name} {theirs / mine:.1f} × less")
    return "above the floor: " + ", ".join(words) if words else ""


def wal_targets(records, first, name):
    for row, other in pairs(records, first, name, "wal"):
        if row["kind"] == "insert":
            for figure, unit in (("index_bytes", "WAL bytes"), ("index_pages", "pages dirtied")):
                yield entry(f"{unit} a row inserted, the index's own", AT_MOST, 0.5, row[figure],
                            other[figure], quotient(other[figure], row[figure]), 1)


def vacuum_targets(records, first, name):
    for row, other in pairs(records, first, name, "vacuum"):
        if row["round"] > 1:
            continue
        where = f"full_page_writes {row['full_page_writes']}"
        yield entry(f"vacuum after deleting 20 %, s, {where}", AT_MOST, 0.1, row["seconds"],
                    other["seconds"], quotient(other["seconds"], row["seconds"]), 2,
                    shares(records, row, other))
        yield entry(f"vacuum, WAL bytes, {where}", AT_MOST, 0.25, row["wal_bytes"],
                    other["wal_bytes"], quotient(other["wal_bytes"], row["wal_bytes"]), 0)
        theirs, mine = (less_floor(records, of, "wal_bytes") for of in (row, other))
        yield entry(f"vacuum, WAL bytes less the floor's, {where}", AT_MOST, 0.25, theirs, mine,
                    quotient(mine, theirs), 0)


def recall_targets(records, first, name):
    """After the vacuum and after the last round: not below the first contender's, where both were
    looked at with the same value, nor more than RECALL_LOSS below a fresh build's."""
    for row in select(records, contender=name, step="look"):
        about = {key: row[key] for key in ("step", "round", "ef")}
        rebuilt = one(records, contender=name, state="rebuilt", **about)
        if row["state"] not in ("vacuumed", "churned") or not rebuilt:
            continue
        when = "vacuum" if row["state"] == "vacuumed" else plural(row["round"], "round")
        other = one(records, contender=first, state=row["state"], **about)
        if other:
            yield entry(f"recall after {when}, ef {row['ef']}, against the other's", AT_LEAST, 0,
                        other["recall"], row["recall"], row["recall"] - other["recall"], 4)
        yield entry(f"recall after {when}, ef {row['ef']}, against a fresh build's", AT_LEAST,
                    -RECALL_LOSS, rebuilt["recall"], row["recall"],
                    row["recall"] - rebuilt["recall"], 4)


def size_targets(records, name):
    looks = select(records, contender=name, step="look")
    fresh = [row["index_bytes"] for row in looks if row["state"] == "fresh"]
    rounds = [row for row in looks if row["state"] == "churned"]
    if fresh and rounds:
        last = max(rounds, key=lambda row: row["round"])
        yield entry(f"index size after {plural(last['round'], 'round')} against before", AT_MOST,
                    SIZE_GROWTH, fresh[0], last["index_bytes"], last["index_bytes"] / fresh[0], 0)


def empty_targets(records, name):
    for grown in select(records, contender=name, step="empty", state="grown"):
        rebuilt = one(records, contender=name, step="empty", state="rebuilt", ef=grown["ef"])
        for figure, digits in (("recall", 4), ("qps", 0)):
            yield entry(f"{figure} from an empty start against a fresh build, ef {grown['ef']}",
                        AT_LEAST, EMPTY_START_SHARE, rebuilt[figure], grown[figure],
                        quotient(grown[figure], rebuilt[figure]), digits)


# --- the tables ---------------------------------------------------------------------------------
def markdown(records):
    """The whole report of a list of measurement records (see churn.py for their fields)."""
    conditions = select(records, step="conditions")
    run = conditions[-1]
    names = [row["contender"] for row in conditions]
    parts = [f"# Churn of {run['data']}: {run['rows']:,} rows, {run['dims']} dims, "
             f"{run['metric']}, {run['queries']:,} queries", conditions_text(conditions)]
    for name in names[1:]:
        parts += [f"## {name} against {names[0]}",
                  targets_table(targets(records, names[0], name), names[0], name)]
    records = merged(records)
    for title, make in SECTIONS:
        rows = make(records)
        if len(rows) > 1:
            parts += [f"## {title}", table(rows[0], rows[1:])]
    return "\n\n".join(parts) + "\n"


def targets_table(entries, first, name):
    lines = []
    for line in entries:
        reached = {True: "met", False: "**missed**", None: "not measured"}[line["met"]]
        lines.append((line["cost"], f"{line['sign']} {line['limit']:g}",
                      number(line["first"], line["digits"]), number(line["value"], line["digits"]),
                      number(line["ours"], 3), reached, line["note"]))
    return table(("cost", "target", f"{first}, or fresh", name, "ratio or difference", "", ""),
                 lines)


def rate_rows(records):
    head = ("kind", "clients", "synchronous", "contender", "rows/s", "ms a row", "less floor",
            "CPU ms", "less floor", "WAL bytes", "rows")
    rows = [(row["kind"], row["clients"], row["synchronous"], row["contender"],
             number(row["rate"], 0), number(row["ms"], 3),
             number(less_floor(records, row, "ms"), 3), number(row["cpu_ms"], 3),
             number(less_floor(records, row, "cpu_ms"), 3), number(row["wal_bytes"], 0),
             f"{row['runs']} × {row['rows']}")
            for row in ordered(select(records, step="rate"))]
    return [head, *rows]


def ordered(rows):
    return sorted(rows, key=lambda row: (row["kind"], row["clients"], row["synchronous"]))


def wal_rows(records):
    head = ("kind", "contender", "WAL bytes", "of the index", "pages", "of the index")
    return [head, *((row["kind"], row["contender"], number(row["bytes"], 0),
                     number(row["index_bytes"], 0), number(row["pages"], 1),
                     number(row["index_pages"], 1))
                    for row in sorted(select(records, step="wal"), key=lambda row: row["kind"]))]


def record_rows(records):
    head = ("kind", "contender", "record", "pages", "a row", "bytes a row")
    return [head, *((row["kind"], row["contender"], f"{manager} {kind}", pages, number(count, 2),
                     number(held, 0))
                    for row in sorted(select(records, step="wal"), key=lambda row: row["kind"])
                    for manager, kind, pages, count, held in row["index_records"])]


def vacuum_rows(records):
    head = ("round", "contender", "rows deleted", "full_page_writes", "s", "less floor", "CPU s",
            "WAL MB", "less floor")
    rows = []
    for row in select(records, step="vacuum"):
        extra = less_floor(records, row, "wal_bytes")
        rows.append((row["round"], row["contender"], number(row["deleted"], 0),
                     row["full_page_writes"], number(row["seconds"], 2),
                     number(less_floor(records, row, "seconds"), 2),
                     number(row["cpu_seconds"], 2), megabytes(row["wal_bytes"]),
                     "–" if extra is None else megabytes(extra)))
    return [head, *rows]


def look_rows(records):
    return look_table(select(records, step="look"), ("round", "state"))


def empty_rows(records):
    return look_table(select(records, step="empty"), ("state",))


def look_table(rows, columns):
    head = (*columns, "contender", "ef", "recall", "QPS", "CPU ms", "index MB", "plan")
    return [head, *((*(row[column] for column in columns), row["contender"], row["ef"],
                     f"{row['recall']:.4f}", number(row["qps"], 0), number(row["cpu_ms"], 3),
                     megabytes(row["index_bytes"]), row["plan"]) for row in rows)]


def refill_rows(records):
    head = ("round", "contender", "rows", "rows/s")
    return [head, *((row["round"], row["contender"], number(row["rows"], 0),
                     number(row["rows"] / max(row["seconds"], 1e-9), 0))
                    for row in select(records, step="refill"))]


SECTIONS = (
    ("Single-row transactions, full_page_writes on", rate_rows),
    ("WAL and pages of a row, full_page_writes off", wal_rows),
    ("WAL records that touch the index", record_rows),
    ("Vacuum", vacuum_rows),
    ("Recall, speed and size over the rounds", look_rows),
    ("Inserts between the rounds", refill_rows),
    ("An index that began empty", empty_rows))


def plural(count, noun):
    return f"{count} {noun}{'' if count == 1 else 's'}"


# --- the picture --------------------------------------------------------------------------------
def plot(records, folder):
    """Recall and size over the rounds; returns the paths (none, if there were no rounds)."""
    looks = select(records, step="look")
    if not select(looks, state="churned"):
        return []
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.5))
    for color, name in enumerate(dict.fromkeys(row["contender"] for row in looks)):
        mine = select(looks, contender=name)
        for line, ef in zip(("-", "--", ":"), dict.fromkeys(row["ef"] for row in mine)):
            draw(left, select(mine, ef=ef), "recall", 1, f"C{color}{line}", f"{name}, ef {ef}")
        draw(right, select(mine, ef=mine[0]["ef"]), "index_bytes", 2**20, f"C{color}-", name)
    title = select(records, step="conditions")[-1]["data"]
    finish(left, "recall", f"{title}: rounds of delete 20 %, vacuum, insert 20 %")
    finish(right, "index MB", "crosses: built anew from the rows of the last round")
    right.set_ylim(bottom=0)
    path = folder / "churn.png"
    figure.savefig(path, dpi=110, bbox_inches="tight")
    pyplot.close(figure)
    return [path]


def draw(axes, rows, figure, unit, style, label):
    """The rounds as a line from the fresh index on, with a cross for the build at their end."""
    line = select(rows, state="fresh") + select(rows, state="churned")
    drawn, = axes.plot([row["round"] for row in line], [row[figure] / unit for row in line], style,
                       marker="o", markersize=3, label=label)
    last = max(row["round"] for row in line)
    for row in select(rows, state="rebuilt", round=last):
        axes.plot([last], [row[figure] / unit], "x", color=drawn.get_color())


def finish(axes, label, title):
    axes.set_xlabel("round")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylabel(label)
    axes.set_title(title, fontsize=9)
    axes.grid(True, alpha=0.3)
    axes.legend(fontsize=8)
