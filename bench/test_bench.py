"""Tests of the figures: truth against a plain loop, hits, interpolation, ratios, the tables; who is
measured; runs of pages; of churn also which rows live, WAL records, targets; of conditions which rows
pass, their truth, what is chosen and shown."""
import importlib.util
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
import churn
import churn_report
import cold
import contenders
import dataset
import filtered
import filtered_report
import process
import report
import server


def quiet(iterable, **unused):
    return iterable


def write_set(folder, base, query):
    np.save(Path(folder) / "base.npy", base)
    np.save(Path(folder) / "query.npy", query)


def slow_distance(x, q, metric):
    product = sum(float(a) * float(b) for a, b in zip(x, q))
    if metric == "ip":
        return -product
    if metric == "l2":
        return sum((float(a) - float(b)) ** 2 for a, b in zip(x, q))
    norm = sum(float(a) ** 2 for a in x) ** 0.5 * sum(float(b) ** 2 for b in q) ** 0.5
    return 1 - product / norm


class TruthTest(unittest.TestCase):
    def test_nearest_are_those_of_a_plain_loop(self):
        random = np.random.default_rng(1)
        for kind in (np.float32, np.float16, np.uint8):
            base = (random.random((300, 17)) * 200).astype(kind)
            query = (random.random((5, 17)) * 200).astype(kind)
            for metric in dataset.METRICS:
                with tempfile.TemporaryDirectory() as folder:
                    write_set(folder, base, query)
                    data = dataset.open_dataset(folder, metric)
                    truth = dataset.find_truth(data, folder, quiet)
                    again = dataset.find_truth(data, folder, quiet)
                self.assertTrue((truth.ids == again.ids).all())
                for i, q in enumerate(query):
                    expected = sorted(slow_distance(x, q, metric) for x in base)[:100]
                    np.testing.assert_allclose(truth.distances[i], expected, rtol=1e-9, atol=1e-12)

    def test_metric_follows_the_norms(self):
        base = np.eye(8, dtype=np.float32)
        for scale, metric in ((1, "cos"), (3, "l2")):
            with tempfile.TemporaryDirectory() as folder:
                write_set(folder, base * scale, base[:2])
                self.assertEqual(dataset.open_dataset(folder).metric, metric)

    def test_wrong_arrays_are_refused(self):
        cases = ((np.zeros((4, 3), np.int32), np.zeros((4, 3), np.int32)),
                 (np.zeros(4, np.float32), np.zeros(4, np.float32)),
                 (np.zeros((4, 3), np.float32), np.zeros((4, 2), np.float32)))
        for base, query in cases:
            with tempfile.TemporaryDirectory() as folder:
                write_set(folder, base, query)
                with self.assertRaises(SystemExit):
                    dataset.open_dataset(folder)


class HitsTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        base = np.array([[0], [1], [2], [2], [2], [9]], np.float32)
        write_set(self.folder.name, base, np.zeros((1, 1), np.float32))
        self.data = dataset.open_dataset(self.folder.name, "l2")
        self.truth = dataset.find_truth(self.data, self.folder.name, quiet)

    def hits(self, ids, k):
        return dataset.count_hits(ids, 0, self.data, self.truth, k)

    def test_ties_of_the_last_count(self):
        self.assertEqual(self.hits([0, 1, 4], 3), 3)

    def test_far_rows_do_not(self):
        self.assertEqual(self.hits([0, 1, 5], 3), 2)

    def test_a_row_returned_twice_counts_once(self):
        self.assertEqual(self.hits([0, 0, 0], 3), 1)

    def test_no_rows(self):
        self.assertEqual(self.hits([], 3), 0)


class FiguresTest(unittest.TestCase):
    def test_frontier_drops_points_beaten_in_both(self):
        points = [(0.9, 100), (0.95, 50), (0.93, 40), (0.99, 10)]
        self.assertEqual(report.frontier(points), [(0.9, 100), (0.95, 50), (0.99, 10)])

    def test_interpolates_logarithms(self):
        # Misses .1 and .001; .01 is half way between their logarithms, so is 100 of 1000 and 10.
        qps, bracketed = report.qps_at([(0.9, 1000), (0.999, 10)], 0.99)
        self.assertAlmostEqual(qps, 100)
        self.assertTrue(bracketed)

    def test_a_measured_goal_is_its_own_figure(self):
        self.assertAlmostEqual(report.qps_at([(0.9, 300), (0.95, 200), (0.99, 7)], 0.95)[0], 200)

    def test_goal_out_of_reach(self):
        self.assertEqual(report.qps_at([(0.5, 300), (0.94, 200)], 0.95), (None, False))

    def test_goal_below_all_points_gives_a_lower_bound(self):
        self.assertEqual(report.qps_at([(0.97, 300), (0.99, 200)], 0.95), (300, False))

    def test_full_recall_is_finite(self):
        qps, bracketed = report.qps_at([(0.98, 300), (1.0, 200)], 0.99)
        self.assertTrue(200 < qps < 300 and bracketed)

    def test_less_floor(self):
        self.assertAlmostEqual(report.milliseconds_less_floor(1000, 2000, 1), 0.5)
        self.assertAlmostEqual(report.milliseconds_less_floor(1000, 2000, 4), 2.0)


def sweep_row(contender, recall, qps, **more):
    return {"step": "sweep", "contender": contender, "k": 10, "clients": 1, "recall": recall,
            "qps": qps, "p50_ms": 1.0, "p99_ms": 5.0, "cpu_ms": 900 / qps, "buffers": 7.0,
            "rows_short": 0, "plan": "an_index", "setting": f"ef={recall}", **more}


def build_row(contender, seconds, size, **more):
    return {"step": "build", "contender": contender, "version": "1", "seconds": seconds,
            "workers": 0, "index_bytes": size, "heap_bytes": 2**21, "toast_bytes": 0,
            "storage": "external", "sql": "CREATE INDEX", **more}


class ReportTest(unittest.TestCase):
    SWEEPS = [sweep_row("slow", 0.9, 200), sweep_row("slow", 0.999, 20),
              sweep_row("fast", 0.9, 800), sweep_row("fast", 0.97, 400)]
    FLOORS = [{"step": "floor", "contender": name, "k": 10, "clients": 1, "qps": 1000.0,
               "p50_ms": 1.0, "p99_ms": 2.0, "cpu_ms": None} for name in ("slow", "fast")]

    def test_ratios_are_to_the_first_contender(self):
        entries = {(entry["contender"], entry["goal"]): entry
                   for entry in report.at_goals(self.SWEEPS, self.FLOORS, 10, 1)}
        fast = entries["fast", 0.90]
        self.assertAlmostEqual(fast["ratio"], 4)
        self.assertAlmostEqual(fast["cpu_ratio"], 4)
        self.assertAlmostEqual(fast["less_floor_ms"], 0.25)
        self.assertAlmostEqual(fast["less_floor_ratio"], 16)
        self.assertIsNone(entries["fast", 0.99]["qps"])
        self.assertAlmostEqual(entries["slow", 0.99]["ratio"], 1)

    def test_searches_by_another_plan_do_not_count(self):
        other = sweep_row("fast", 0.999, 999, own_index=False)
        entries = {(entry["contender"], entry["goal"]): entry
                   for entry in report.at_goals([*self.SWEEPS, other], self.FLOORS, 10, 1)}
        self.assertIsNone(entries["fast", 0.99]["qps"])
        self.assertAlmostEqual(entries["fast", 0.90]["qps"], 800)
        self.assertIn("| **an_index** |", report.sweep_table([other], self.FLOORS, 10, 1))

    def test_builds_stand_beside_the_first(self):
        rows = [build_row("slow", 20.0, 2**21, cpu_seconds=10.0, memory_bytes=2**24),
                build_row("fast", 5.0, 2**20, cpu_seconds=None, memory_bytes=None)]
        lines = report.builds_table(rows).splitlines()
        self.assertTrue(lines[2].startswith("| slow | 1 | 20.0 | 1.000 | 10.0 | 1.000 | 16.0 |"))
        self.assertTrue(lines[3].startswith("| fast | 1 | 5.0 | 0.250 | – | – | – | 0 | 1.0 | 0.500"))

    def test_random_reads_stand_beside_the_first_of_the_same_k(self):
        pages = {"index_pages": 50, "index_runs": 40, "index_long": 0, "table_pages": 10,
                 "table_runs": 10, "table_long": 0}
        rows = [{"contender": name, "k": k, "at": "ef=1", "recall": 0.95, "ms": 3.0, "runs": runs,
                 **pages} for k, name, runs in ((10, "slow", 300), (100, "slow", 900),
                                                (10, "fast", 50), (100, "ring", None))]
        lines = report.cold_table(rows).splitlines()[2:]
        self.assertEqual([line.split(" | ")[5:7] for line in lines],
                         [["300", "1.00 ×"], ["900", "1.00 ×"], ["50", "6.00 ×"], ["–", "–"]])

    @unittest.skipUnless(importlib.util.find_spec("matplotlib"), "needs matplotlib")
    def test_table_and_plot_hold_every_measurement(self):
        build = build_row("slow", 2.0, 2**20)
        conditions = {"step": "conditions", "contender": "slow", "data": "set", "metric": "l2",
                      "rows": 1234, "dims": 4, "queries": 5, "machine": "a machine", "load": "0.1",
                      "seconds": 1, "repeats": 3, "settings": {"jit": "off"}}
        records = [conditions, build, *self.FLOORS, *self.SWEEPS]
        text = report.markdown(records)
        for row in self.SWEEPS:
            self.assertEqual(text.count(f"| {row['contender']} | {row['setting']} |"), 1)
        self.assertIn("not reached", text)
        self.assertIn("1,234 rows", text)
        with tempfile.TemporaryDirectory() as folder:
            paths = report.plot(records, Path(folder))
            self.assertEqual([path.name for path in paths],
                             ["recall_qps_k10_c1.png", "recall_cpu_k10.png"])
            for path in paths:
                self.assertTrue(path.read_bytes().startswith(b"\x89PNG"))

    def test_what_has_no_cpu_time_has_no_picture_of_it(self):
        names = [name for name, *_ in report.pictures(
            [dict(row, cpu_ms=None) for row in self.SWEEPS])]
        self.assertEqual(names, ["recall_qps_k10_c1"])


class ColdTest(unittest.TestCase):
    def test_runs_are_of_consecutive_pages_in_the_order_of_reading(self):
        self.assertEqual(cold.runs_of([7, 8, 9, 3, 4, 9, 8, 8]), [3, 2, 1, 1, 1])
        self.assertEqual(cold.runs_of([]), [])

    def test_pages_in_long_runs_are_told(self):
        blocks = [*range(100, 120), 5, *range(200, 215)]
        self.assertEqual(cold.reading(36, blocks), {"pages": 36, "runs": 3, "long": 20})

    def test_nothing_is_said_of_runs_when_pages_are_missing(self):
        self.assertEqual(cold.reading(37, [1, 2]), {"pages": 37, "runs": None, "long": None})
        self.assertIsNone(cold.total([3, None]))
        self.assertIsNone(cold.median([3, None]))

    def test_the_fastest_setting_of_the_recall_is_taken(self):
        sweeps = [sweep_row("one", 0.94, 900), sweep_row("one", 0.96, 500),
                  sweep_row("one", 0.99, 100), sweep_row("two", 0.97, 800)]
        self.assertEqual(cold.setting_for(sweeps, "one", 0.95)["qps"], 500)
        self.assertIsNone(cold.setting_for(sweeps, "one", 0.995))


class ProcessTest(unittest.TestCase):
    def test_memory_that_is_shared_or_a_files_is_not_counted(self):
        status = "VmRSS:\t  9000 kB\nRssAnon:\t    2048 kB\nRssFile:\t 10 kB\nRssShmem:\t 1 kB\n"
        self.assertEqual(process.own_bytes(status), 2**21)
        self.assertEqual(process.own_bytes(""), 0)


class ContendersTest(unittest.TestCase):
    PATH = Path(__file__).resolve().parent / "contenders.toml"

    def names(self, *wanted, **more):
        return [one.name for one in contenders.read_contenders(self.PATH, wanted, **more)]

    def test_names_give_the_order(self):
        self.assertEqual(self.names("ann-ivf", "pgvector", "ann-ivf"), ["ann-ivf", "pgvector"])
        with self.assertRaises(SystemExit):
            self.names("ann-ivf", "nobody")

    def test_churn_without_names_takes_some(self):
        self.assertEqual(self.names(churn_only=True), ["pgvector", "ann", "ann-ivf"])
        self.assertEqual(self.names("vchordrq", churn_only=True), ["vchordrq"])
        self.assertGreater(len(self.names()), 3)

    def test_each_has_a_database_and_text_that_can_be_filled_in(self):
        known = contenders.read_contenders(self.PATH, ())
        self.assertEqual(len({one.database for one in known}), len(known))
        for one in known:
            session = server.Session.__new__(server.Session)
            session.contender, session.index, session.table = one, "an_index", "a_table"
            for metric, lists in (("l2", "lists = [2]"), ("cos", "spherical_centroids = true")):
                session.data = dataset.DataSet("set", np.zeros((1, 4)), None, metric, "")
                session.queries = "queries"
                sql = session.index_sql(1000)
                self.assertRegex(sql, r"^CREATE INDEX an_index ON a_table USING \w+ \(.*\b(vector|halfvec|bit|sparsevec)_\w+_ops\)")
                self.assertNotIn("{", session.search_sql("7", 10))
                self.assertEqual(lists in sql, one.name == "vchordrq")


    def test_a_library_is_named_like_the_others(self):
        self.assertEqual(self.names("hnswlib", "ann"), ["ann"])
        named = [[one.name for one in contenders.read_in_process(self.PATH, wanted)] for wanted in ((), ("ann",), ("hnswlib",))]
        self.assertEqual(named, [["hnswlib"], [], ["hnswlib"]])

    def test_nearest_by_bits_are_ten_times_as_many(self):
        (one,) = contenders.read_contenders(self.PATH, ("ann-bits",))
        session = server.Session.__new__(server.Session)
        session.contender, session.table, session.queries = one, "t", "q"
        session.data = dataset.DataSet("set", np.zeros((1, 4)), None, "cos", "")
        self.assertRegex(session.search_sql("7", 5), r"bit\(4\) <~> .* LIMIT 50\) .* <=> .* LIMIT 5$")


class PopulationTest(unittest.TestCase):
    def test_rows_come_and_go(self):
        population = churn.Population(100, 80)
        for _ in range(10):
            before = population.live.copy()
            gone = population.delete(0.2)
            self.assertEqual(len(set(gone)), 16)
            self.assertTrue(before[gone].all())
            self.assertFalse(population.live[gone].any())
            absent = ~population.live
            added = population.insert(16)
            self.assertTrue(absent[added].all())
            self.assertTrue(population.live[added].all())
            self.assertEqual(population.live.sum(), 80)

    def test_rows_never_loaded_come_first_then_those_longest_gone(self):
        population = churn.Population(10, 8)
        gone = population.delete(0.25)
        self.assertEqual(population.insert(3), [8, 9, gone[0]])

    def test_truth_among_the_living_is_that_of_a_smaller_set(self):
        random = np.random.default_rng(4)
        base, query = random.random((500, 6), np.float32), random.random((7, 6), np.float32)
        live = random.random(500) < 0.8
        with tempfile.TemporaryDirectory() as folder:
            write_set(folder, base, query)
            all_rows = dataset.find_truth(dataset.open_dataset(folder, "l2"), folder, quiet)
            write_set(folder, base[live], query)
            fewer = dataset.find_truth(dataset.open_dataset(folder, "l2"), folder, quiet)
        among = churn.truth_among(all_rows, live, 10)
        self.assertTrue((np.flatnonzero(live)[fewer.ids[:, :10]] == among.ids).all())
        self.assertTrue((fewer.distances[:, :10] == among.distances).all())
        with self.assertRaises(SystemExit):
            churn.truth_among(all_rows, live & (random.random(500) < 0.05), 10)

    def test_order_is_random_and_always_the_same(self):
        base = np.arange(200, dtype=np.float32).reshape(100, 2)
        with tempfile.TemporaryDirectory() as folder:
            write_set(folder, base, base[:2])
            data = dataset.open_dataset(folder, "l2")
        once, again = churn.shuffled(data), churn.shuffled(data)
        self.assertEqual(once.fingerprint, again.fingerprint)
        self.assertFalse((once.base == base).all())
        self.assertTrue((np.sort(once.base, axis=0) == base).all())


class WriteFiguresTest(unittest.TestCase):
    def test_wal_of_the_index_is_told_from_the_rest(self):
        records = [
            ("7", "Heap", "INSERT", 100, "blkref #0: rel 1/2/3 fork main blk 0"),
            ("7", "Generic", "Generic", 60, "blkref #0: rel 1/2/9 fork main blk 4"),
            ("7", "Generic", "Generic", 50, "blkref #0: rel 1/2/9 fork main blk 4; "
             "blkref #1: rel 1/2/9 fork main blk 5; blkref #2: rel 1/2/3 fork main blk 0"),
            ("8", "Generic", "Generic", 30, "blkref #0: rel 1/2/9 blk 44"),
            ("8", "Transaction", "COMMIT", 20, None),
            ("0", "Standby", "RUNNING_XACTS", 8, "")]
        found = churn.wal_figures(records, "1/2/9")
        self.assertEqual(found["transactions"], 2)
        self.assertEqual(found["bytes"], 268 / 2)
        self.assertEqual(found["index_bytes"], 140 / 2)
        self.assertEqual(found["pages"], (3 + 1) / 2)
        self.assertEqual(found["index_pages"], (2 + 1) / 2)
        self.assertEqual(found["index_records"], [["Generic", "Generic", 1, 1.0, 45.0],
                                                  ["Generic", "Generic", 2, 0.5, 25.0]])

    def test_steady_rate_leaves_out_first_transactions(self):
        runs = [[number, 50_000 if number <= churn.WARM_TRANSACTIONS else 2000]
                for number in range(1, 201)]
        self.assertAlmostEqual(churn.steady_rate(np.array(runs + runs), 2), 1000)

    def test_new_rows_suffice(self):
        for spare, runs, wanted in ((800, 12, 4000), (2000, 12, 4000), (40_000, 12, 2000),
                                    (400_000, 12, 4000)):
            for_wal, for_run = churn.share_out(spare, runs, wanted)
            self.assertLessEqual(for_wal + for_run * runs, spare)
            self.assertTrue(0 < for_run <= wanted and 0 < for_wal <= churn.WAL_ROWS)


def rate_row(contender, repeat, rate):
    return {"step": "rate", "contender": contender, "kind": "insert", "clients": 8,
            "synchronous": "off", "repeat": repeat, "rows": 9, "rate": rate, "cpu_ms": 80 / rate,
            "wal_bytes": 5.0}


def look_row(contender, number, state, recall, size=100):
    return {"step": "look", "contender": contender, "round": number, "state": state, "ef": "40",
            "recall": recall, "qps": 9.0, "cpu_ms": None, "index_bytes": size, "plan": "an_index"}


def vacuum_row(contender, number, seconds):
    return {"step": "vacuum", "contender": contender, "round": number, "deleted": 20,
            "full_page_writes": "off", "seconds": seconds, "cpu_seconds": None,
            "wal_bytes": 1000 * seconds}


class ChurnReportTest(unittest.TestCase):
    RECORDS = [
        *(rate_row("slow", repeat, rate) for repeat, rate in enumerate((90, 100, 900))),
        *(rate_row("slow floor", repeat, 1000) for repeat in range(3)),
        *(rate_row("fast", repeat, rate) for repeat, rate in enumerate((400, 510, 700))),
        vacuum_row("slow", 0, 30), vacuum_row("fast", 0, 4), vacuum_row("fast floor", 0, 1),
        look_row("slow", 0, "fresh", 0.93), look_row("fast", 0, "fresh", 0.96, 100),
        look_row("slow", 1, "churned", 0.90), look_row("fast", 1, "churned", 0.94, 105),
        look_row("slow", 1, "rebuilt", 0.93), look_row("fast", 1, "rebuilt", 0.96)]

    def target(self, start):
        found = [line for line in churn_report.targets(self.RECORDS, "slow", "fast")
                 if line["cost"].startswith(start)]
        self.assertEqual(len(found), 1, start)
        return found[0]

    def test_rates_are_medians_and_ratios_to_the_first(self):
        line = self.target("inserts/s, 8 clients")
        self.assertAlmostEqual(line["ours"], 5.1)
        self.assertTrue(line["met"])

    def test_vacuum_must_be_a_tenth(self):
        line = self.target("vacuum after deleting 20 %, s")
        self.assertAlmostEqual(line["ours"], 4 / 30)
        self.assertFalse(line["met"])
        self.assertTrue(self.target("vacuum, WAL bytes, ")["met"])

    def test_notes_leave_out_the_floor(self):
        records = [*self.RECORDS, *(rate_row("fast floor", repeat, 1020) for repeat in range(3))]
        line, = [line for line in churn_report.targets(records, "slow", "fast")
                 if line["cost"].startswith("inserts/s")]
        self.assertEqual(line["note"], "above the floor: waiting 9.2 × less, CPU 9.2 × less")

    def test_recall_is_held_against_both(self):
        self.assertTrue(self.target("recall after 1 round, ef 40, against the other's")["met"])
        self.assertFalse(self.target("recall after 1 round, ef 40, against a fresh")["met"])

    def test_values_that_only_one_was_looked_at_with_are_held_against_a_fresh_build(self):
        records = [*self.RECORDS, dict(look_row("fast", 1, "churned", 0.91), ef="96"),
                   dict(look_row("fast", 1, "rebuilt", 0.915), ef="96")]
        lines = [line for line in churn_report.targets(records, "slow", "fast")
                 if "ef 96" in line["cost"]]
        self.assertEqual([line["cost"] for line in lines],
                         ["recall after 1 round, ef 96, against a fresh build's"])
        self.assertTrue(lines[0]["met"])

    def test_a_contender_may_have_a_goal_of_its_own_for_inserts(self):
        goal = {"step": "conditions", "contender": "fast", "insert_goal": 8}
        updates = [dict(row, kind="update") for row in self.RECORDS if row["step"] == "rate"]
        limits = {line["cost"].split("/")[0]: (line["limit"], line["met"])
                  for line in churn_report.targets([goal, *self.RECORDS, *updates], "slow", "fast")
                  if "s/s" in line["cost"]}
        self.assertEqual(limits, {"inserts": (8, False), "updates": (5, True)})

    def test_growth(self):
        self.assertTrue(self.target("index size after 1 round")["met"])

    def test_floor_is_taken_off(self):
        rows = churn_report.merged(self.RECORDS)
        slow = churn_report.one(rows, contender="slow", step="rate")
        self.assertAlmostEqual(churn_report.less_floor(rows, slow, "ms"), 80 - 8)
        fast = churn_report.one(rows, contender="fast", step="rate")
        self.assertIsNone(churn_report.less_floor(rows, fast, "ms"))

    @unittest.skipUnless(importlib.util.find_spec("matplotlib"), "needs matplotlib")
    def test_table_and_picture(self):
        conditions = [{"step": "conditions", "contender": name, "data": "set", "metric": "l2",
                       "rows": 1234, "dims": 4, "queries": 5, "machine": "a machine",
                       "load": "0.1", "seconds": 1, "repeats": 3, "settings": {"jit": "off"}}
                      for name in ("slow", "fast")]
        text = churn_report.markdown(conditions + self.RECORDS)
        self.assertIn("| inserts/s, 8 clients, synchronous_commit off | ≥ 5 | 100 | 510 |", text)
        self.assertIn("**missed**", text)
        with tempfile.TemporaryDirectory() as folder:
            paths = churn_report.plot(conditions + self.RECORDS, Path(folder))
            self.assertEqual([path.name for path in paths], ["churn.png"])
            self.assertTrue(paths[0].read_bytes().startswith(b"\x89PNG"))


class AttributesTest(unittest.TestCase):
    ROWS = 2000

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        random = np.random.default_rng(5)
        base = (random.normal(size=(self.ROWS, 4)) * (1, 9, 1, 1)).astype(np.float32)
        write_set(folder.name, base, base[:20] + np.float32(0.1))
        own = np.full((self.ROWS, 5), -1, np.int32)
        own[:, 0] = np.arange(self.ROWS) % 10       # a tenth each
        own[:, 1] = random.permutation(self.ROWS)
        own[:20, 3], own[20:40, 4] = 7, 7           # a tag that a fiftieth has, in either place
        np.save(Path(folder.name) / "attributes.npy", own)
        self.data = dataset.open_dataset(folder.name, "l2")
        self.attributes = filtered.Attributes(self.data, folder.name)
        self.conditions = {condition.name: condition
                           for condition in self.attributes.conditions((1, 0.1, 0.02))}

    def test_as_many_pass_as_are_wanted(self):
        for kind in ("uncorrelated", "correlated", "anti-correlated", "size"):
            for share in (0.1, 0.02):
                for query in range(20):
                    passing = self.conditions[f"{kind} {share}"].mask(query).mean()
                    self.assertAlmostEqual(passing, share, delta=0.001)

    def test_sql_says_what_the_mask_does(self):
        for kind, column in (("uncorrelated", "spread"), ("correlated", "along"),
                             ("anti-correlated", "along")):
            values = getattr(self.attributes, column)
            for query in range(20):
                condition = self.conditions[f"{kind} 0.1"]
                name, between, low, _, high = condition.sql(query).split()
                self.assertEqual((name, between), (column, "BETWEEN"))
                expected = (values >= int(low)) & (values <= int(high))
                self.assertTrue((condition.mask(query) == expected).all())

    def test_windows_about_the_query_hold_near_rows_and_those_at_the_end_far_ones(self):
        truth = dataset.compute_truth(self.data, 10, quiet)
        for kind, low, high in (("correlated", 0.6, 1), ("anti-correlated", 0, 0.05)):
            mask = self.conditions[f"{kind} 0.1"].mask
            share = np.mean([mask(query)[truth.ids[query]].mean() for query in range(20)])
            self.assertTrue(low <= share <= high, (kind, share))

    def test_values_of_the_sets_own_are_taken_where_their_share_is_near(self):
        self.assertEqual(self.conditions["section 0.1"].mask(0).sum(), self.ROWS / 10)
        self.assertNotIn("section 0.02", self.conditions)
        self.assertEqual(self.conditions["tags 0.02"].sql(0), "tags @> '{7}'::int[]")
        self.assertEqual(self.conditions["tags 0.02"].mask(0).sum(), 40)

    def test_truth_is_that_of_the_rows_that_pass(self):
        condition = self.conditions["uncorrelated 0.02"]
        truth, = filtered.truths_of(self.data, [condition], 5, 10, quiet)
        for query in range(5):
            passing = np.flatnonzero(condition.mask(query))
            exact = dataset.exact_distances(self.data.base[passing], self.data.query[query], "l2")
            nearest = passing[np.argsort(exact)]
            self.assertEqual(truth.hits(self.data, query, nearest[:10]), 10)
            self.assertEqual(truth.hits(self.data, query, nearest[5:15]), 5)
            self.assertEqual(truth.hits(self.data, query, []), 0)

    def test_fewer_rows_than_k_may_pass(self):
        few = filtered.fixed("few", 0, "", np.arange(self.ROWS) < 3)
        none = filtered.fixed("none", 0, "", np.zeros(self.ROWS, bool))
        truths = filtered.truths_of(self.data, [few, none], 1, 10, quiet)
        self.assertEqual([truth.counts for truth in truths], [[3], [0]])
        self.assertEqual(truths[0].hits(self.data, 0, [0, 1, 2]), 3)

    def test_tenants_are_of_skewed_sizes(self):
        sizes = np.bincount(filtered.zipf_tenants(200_000))
        self.assertEqual((sizes[0], len(sizes) - 1 <= filtered.TENANTS), (0, True))
        self.assertAlmostEqual(sizes[1] / sizes[10], 10, delta=1)


class ConditionContendersTest(unittest.TestCase):
    def test_each_says_how_columns_are_indexed_and_what_it_shares(self):
        path = Path(__file__).resolve().parent / "contenders.toml"
        entries = contenders.read_contenders(path, [], kind="filtered")
        groups = {}
        for entry in entries:
            self.assertIn(entry.attributes, ("columns", "btree", "both"))
            made_of = (entry.index, entry.attributes)
            self.assertEqual(groups.setdefault((entry.database, entry.group), made_of), made_of)
        self.assertIn("", {entry.index for entry in entries})


class ChoiceTest(unittest.TestCase):
    def test_the_cheapest_that_is_good_enough_is_taken(self):
        def found(recall, short, cpu_ms):
            return {"recall": recall, "short": short, "cpu_ms": cpu_ms}
        fast, right, dear = found(0.9, 0, 1), found(0.96, 0, 2), found(0.99, 0, 3)
        lacking = found(0.97, 2, 1)
        tried = [("fast", fast), ("right", right), ("dear", dear), ("lacking", lacking)]
        self.assertEqual(filtered.cheapest(tried)[0], "right")
        self.assertEqual(filtered.cheapest(tried[:1] + tried[3:])[0], "lacking")


def filtered_row(contender, kind, share, cpu_ms, recall=1.0, short=0):
    return {"step": "filtered", "contender": contender, "kind": kind, "share": share,
            "passing": share, "setting": "ef", "queries": 9, "recall": recall, "short": short,
            "cpu_ms": cpu_ms, "p50_ms": 1.0, "p99_ms": 2.0, "buffers": 7, "plan": "idx"}


class FilteredReportTest(unittest.TestCase):
    ROWS = [{"step": "conditions", "contender": "a", "data": "set", "rows": 9, "dims": 3,
             "metric": "l2", "machine": "m", "load": "1", "repeats": 1, "seconds": 1,
             "settings": {}},
            filtered_row("a", "none", 1, 2.0), filtered_row("b", "none", 1, 1.0),
            filtered_row("a", "size", 0.1, 8.0), filtered_row("b", "size", 0.1, 5.0, 0.9),
            filtered_row("b", "size", 0.01, 5.0, 1.0, 3)]

    def test_costs_stand_side_by_side_and_what_falls_short_is_bold(self):
        lines = filtered_report.costs_table(self.ROWS[1:]).splitlines()[2:]
        self.assertEqual(lines, ["| none | 100 % | 2.00 (1.000) | 1.00 (1.000) |",
                                 "| size | 10 % | 8.00 (1.000) | **5.00 (0.900)** |",
                                 "| size | 1 % | – | **5.00 (1.000)** |"])

    def test_what_is_left_of_the_speed_is_told(self):
        lines = filtered_report.details_table(self.ROWS[1:]).splitlines()
        self.assertIn("| 8.000 | 1/4.0 |", lines[4])
        self.assertIn("| 5.000 | 1/5.0 |", lines[5])

    def test_tenants_stand_beside_themselves_alone(self):
        row = {"step": "tenant", "contender": "a", "share": 3, "rows": 50, "recall": 1.0,
               "buffers": 4, "plan": "idx"}
        figures = ("p50_cpu_ms", "p99_cpu_ms", "p50_ms", "p99_ms")
        line = filtered_report.tenants_table([
            {**row, "kind": "together", **dict.fromkeys(figures, 3.0)},
            {**row, "kind": "alone", **dict.fromkeys(figures, 2.0)}]).splitlines()[2]
        self.assertIn("| a | 3 | 50 | 2.000 | 3.000 | 1.5 |", line)

    @unittest.skipUnless(importlib.util.find_spec("matplotlib"), "needs matplotlib")
    def test_page_and_picture(self):
        text = filtered_report.markdown(self.ROWS)
        self.assertEqual(text.count("| b | ef |"), 3)
        with tempfile.TemporaryDirectory() as folder:
            paths = filtered_report.plot(self.ROWS, Path(folder))
            self.assertEqual([path.name for path in paths if path.exists()], ["filtered.png"])


if __name__ == "__main__":
    unittest.main()
