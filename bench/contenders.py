"""Who is measured: the entries of contenders.toml."""
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from inprocess import InProcess

# A swept value that stands for leaving the setting alone, as a new user does.
UNSET = "unset"


@dataclass
class Contender:
    name: str
    extension: str
    database: str
    index: str       # CREATE INDEX text with {index}, {table}, {opclass}, ...
    setting: str     # what is swept
    values: list
    type: str = "vector"
    search: str = ""                           # SELECT text in place of the usual one
    dsn: str = ""
    also: dict = field(default_factory=dict)   # settings that stand through the sweep
    rows_per_list: int = 1000                  # what {lists} in the index's text follows from
    churn: bool = False                        # takes part in churn when no names are given
    looks: list = field(default_factory=list)  # values that churn looks with, for those of --ef
    insert_goal: float = 5                     # single-row inserts, as a multiple of the first's
    attributes: str = ""                       # of `filtered`: index's "columns", "btree", "both"
    group: str = ""                            # those of one group share a table of `filtered`

    def settings_for(self, value):
        return dict(self.also) if value == UNSET else {**self.also, self.setting: value}


def read_contenders(path, wanted, churn_only=False, kind="contender"):
    """Those that are wanted, in that order; without names all of the kind, or all for churn."""
    entries = tomllib.loads(Path(path).read_text())[kind]
    known = {entry["name"]: Contender(**entry) for entry in entries}
    libraries = {library.name for library in read_in_process(path, ())}
    unknown = set(wanted) - set(known) - libraries
    if unknown:
        raise SystemExit(f"{path} has no contender {', '.join(sorted(unknown))}")
    if wanted:
        return [known[name] for name in dict.fromkeys(wanted) if name in known]
    return [contender for contender in known.values() if contender.churn or not churn_only]


def read_in_process(path, wanted):
    """Libraries that search in this process: all, or those among the names."""
    entries = tomllib.loads(Path(path).read_text()).get("in_process", [])
    return [InProcess(**entry) for entry in entries if not wanted or entry["name"] in wanted]
