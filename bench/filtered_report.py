"""What searches with conditions cost, and those of one tenant among many: tables and a picture."""
from report import conditions_text, number, table

KEY = ("step", "contender", "kind", "share")
GOAL = 0.95


def markdown(records):
    run = [record for record in records if record["step"] == "conditions"][-1]
    parts = [f"# {run['data']}: {run['rows']:,} rows, {run['dims']} dims, {run['metric']}",
             conditions_text([record for record in records if record["step"] == "conditions"])]
    for step, title, made_by in (("filtered", "Conditions", conditions_tables),
                                 ("tenant", "Tenants", tenants_table)):
        rows = [record for record in records if record["step"] == step]
        if rows:
            parts += [f"## {title}", made_by(rows)]
    return "\n\n".join(parts) + "\n"


def falls_short(row):
    return row["recall"] < GOAL or row["short"] > 0


# --- conditions -----------------------------------------------------------------------------------
def conditions_tables(rows):
    return costs_table(rows) + "\n\n" + details_table(rows)


def cells_of(rows):
    """(kind, share) in the order of measuring, and the row of each contender there."""
    cells = {}
    for row in rows:
        cells.setdefault((row["kind"], row["share"]), {})[row["contender"]] = row
    return cells


def costs_table(rows):
    """CPU milliseconds a query, and recall; bold where recall or rows are missing."""
    names = list(dict.fromkeys(row["contender"] for row in rows))
    lines = [(kind, percent(share), *(cost(found.get(name)) for name in names))
             for (kind, share), found in cells_of(rows).items()]
    return table(("condition", "rows that pass", *names), lines)


def cost(row):
    if row is None:
        return "–"
    text = f"{number(row['cpu_ms'], 2)} ({row['recall']:.3f})"
    return f"**{text}**" if falls_short(row) else text


def percent(value):
    return f"{100 * value:.3g} %"


def details_table(rows):
    """`of its own` is the share of the contender's speed without a condition that is left."""
    free = {row["contender"]: row["cpu_ms"] for row in rows if row["kind"] == "none"}
    head = ("condition", "rows that pass", "contender", "setting", "recall", "short", "queries",
            "CPU ms", "of its own", "p50 ms", "p99 ms", "buffers", "plan")
    return table(head, [
        (row["kind"], percent(row["passing"]), row["contender"], row["setting"],
         f"{row['recall']:.4f}", number(row["short"], 0), number(row["queries"], 0),
         number(row["cpu_ms"], 3), left_of(free.get(row["contender"]), row["cpu_ms"]),
         number(row["p50_ms"], 2), number(row["p99_ms"], 2), number(row["buffers"], 0), row["plan"])
        for found in cells_of(rows).values() for row in found.values()])


def left_of(free, cpu_ms):
    return "–" if free is None else f"1/{cpu_ms / free:.1f}"


# --- tenants --------------------------------------------------------------------------------------
def tenants_table(rows):
    head = ("contender", "tenant", "rows", "p50 CPU ms: alone", "together", "ratio",
            "p99 CPU ms: alone", "together", "ratio", "p50 ms", "ratio", "p99 ms", "ratio",
            "recall: alone", "together", "buffers", "plan")
    lines = []
    for name, rank in dict.fromkeys((row["contender"], row["share"]) for row in rows):
        alone, together = (
            next(row for row in rows
                 if (row["contender"], row["share"], row["kind"]) == (name, rank, kind))
            for kind in ("alone", "together"))
        lines.append((name, rank, f"{together['rows']:,}",
                      *beside(alone, together, "p50_cpu_ms"),
                      *beside(alone, together, "p99_cpu_ms"),
                      *beside(alone, together, "p50_ms")[1:],
                      *beside(alone, together, "p99_ms")[1:],
                      f"{alone['recall']:.3f}", f"{together['recall']:.3f}",
                      number(together["buffers"], 0), together["plan"]))
    return table(head, lines)


def beside(alone, together, figure):
    return (number(alone[figure], 3), number(together[figure], 3),
            f"{together[figure] / alone[figure]:.1f}")


# --- the picture ----------------------------------------------------------------------------------
def plot(records, folder):
    """Queries a second of CPU time against the share of rows that pass, a panel for each kind of
    condition. Hollow: recall or rows are missing."""
    rows = [record for record in records if record["step"] == "filtered"]
    kinds = [kind for kind in dict.fromkeys(row["kind"] for row in rows) if kind != "none"]
    if not kinds:
        return []
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, panels = pyplot.subplots(1, len(kinds), figsize=(4.2 * len(kinds), 4.4), sharey=True,
                                     squeeze=False)
    for axes, kind in zip(panels[0], kinds):
        draw_kind(axes, kind, rows)
    panels[0][0].set_ylabel("queries per second of CPU time")
    panels[0][0].legend(fontsize=8)
    path = folder / "filtered.png"
    figure.savefig(path, dpi=100, bbox_inches="tight")
    pyplot.close(figure)
    return [path]


def draw_kind(axes, kind, rows):
    for name in dict.fromkeys(row["contender"] for row in rows):
        own = points_of(name, kind, rows)
        shares = [row["passing"] for row in own]
        rates = [1000 / row["cpu_ms"] for row in own]
        line, = axes.plot(shares, rates, label=name)
        for share, rate, row in zip(shares, rates, own):
            axes.plot(share, rate, marker="o", color=line.get_color(),
                      fillstyle="none" if falls_short(row) else "full")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.invert_xaxis()
    axes.set_xlabel("share of the rows that pass")
    axes.set_title(kind)
    axes.grid(True, which="major", alpha=0.3)


def points_of(name, kind, rows):
    """By falling share; all rows pass where there is no condition."""
    own = [row for row in rows if row["contender"] == name and row["kind"] in (kind, "none")]
    return sorted(own, key=lambda row: (-row["passing"], row["kind"] != "none"))
