"""Tests of values found for a recall, of the library in this process, of parts of a set and builds in several ways."""
import sys
import types
import unittest
import unittest.mock
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
import dataset
import goals
import growth
import inprocess
import report


def quiet(iterable, **unused):
    return iterable


class GoalTest(unittest.TestCase):
    def find(self, asked, goal, recall_of):
        looked = []
        def ask(value):
            looked.append(value)
            return recall_of(value)
        return goals.least_value(asked, goal, ask), looked

    def test_the_least_value_is_found_between_those_asked(self):
        for least in (21, 22, 25, 39, 40):
            found, looked = self.find({10: 0.5, 20: 0.8, 40: 0.99}, 0.95, lambda value: 0.9 + 0.06 * (value >= least))
            self.assertEqual(found, least)
            self.assertLessEqual(len(looked), 5)

    def test_large_values_to_a_thirtieth(self):
        found, looked = self.find({320: 0.9, 640: 0.99}, 0.95, lambda value: value / 500)
        self.assertTrue(475 <= found <= 475 * 33 / 32 + 1)
        self.assertLessEqual(len(looked), 5)

    def test_what_the_ends_say_is_not_asked(self):
        self.assertEqual(self.find({10: 0.5, 640: 0.9}, 0.95, None), (None, []))
        self.assertEqual(self.find({10: 0.96, 640: 0.97}, 0.95, None), (10, []))
        self.assertEqual(self.find({}, 0.95, None), (None, []))

    def test_what_was_asked_is_kept(self):
        asked = {10: 0.5, 12: 1.0}
        self.find(asked, 0.9, lambda value: 0.7)
        self.assertEqual(asked, {10: 0.5, 11: 0.7, 12: 1.0})


class ExactIndex:
    """What inprocess.py uses of hnswlib, by comparing with all rows; `ef` of them."""

    def __init__(self, space, dims):
        self.space, self.rows = space, np.zeros((0, dims), np.float32)

    def init_index(self, rows, **unused):
        self.ef = 10

    def add_items(self, rows, ids, num_threads):
        assert list(ids) == list(range(len(self.rows), len(self.rows) + len(rows)))
        self.rows = np.concatenate([self.rows, rows])

    def set_ef(self, ef):
        self.ef = ef

    def knn_query(self, query, k, num_threads):
        return np.argsort(((self.rows[:self.ef] - query) ** 2).sum(axis=1))[None, :k], None

    def index_file_size(self):
        return self.rows.nbytes


class LibraryTest(unittest.TestCase):
    ENTRY = inprocess.InProcess("hnswlib", 16, 64, [10, 4000])

    def setUp(self):
        random = np.random.default_rng(5)
        self.data = dataset.DataSet("set", random.random((5000, 6), np.float32), random.random((9, 6), np.float32), "l2", "")
        self.truth = dataset.compute_truth(self.data, 10, quiet)

    def test_rows_are_added_once_and_asked_at_an_ef(self):
        with unittest.mock.patch.dict(sys.modules, hnswlib=types.SimpleNamespace(Index=ExactIndex)), \
                unittest.mock.patch("importlib.metadata.version", return_value="1"):
            self.assertIsNone(self.ENTRY.lacks_library())
            library = inprocess.Library(self.ENTRY, self.data, quiet)
            built = library.build()
        self.assertEqual(built["index_bytes"], 5000 * 24)
        self.assertEqual(library.ask(5000, 10, self.truth)["recall"], 1)
        self.assertLess(library.ask(10, 10, self.truth)["recall"], 0.5)
        self.assertGreater(library.time_search(10, 10, 0.01, 2)["qps"], 0)

    def test_one_that_is_not_there_is_left_out(self):
        with unittest.mock.patch.dict(sys.modules, hnswlib=None):
            self.assertIn("hnswlib", self.ENTRY.lacks_library())


class GrowthTest(unittest.TestCase):
    def test_a_part_is_a_set_of_its_own(self):
        data = dataset.DataSet("set", np.arange(40.0).reshape(10, 4), np.ones((2, 4)), "l2", "whole")
        part = growth.part_of(data, 3)
        self.assertEqual((part.name, len(part.base), len(part.query)), ("set_3", 3, 2))
        self.assertNotEqual(part.fingerprint, growth.part_of(data, 4).fingerprint)

    def test_each_stands_beside_itself_and_the_first(self):
        rows = [{"contender": name, "rows": count, "setting": "ef=9", "recall": 0.95, "qps": qps, "cpu_ms": 1.0,
                 "buffers": 3.0, "index_bytes": 2**20, "seconds": 2.0}
                for count, name, qps in ((100, "slow", 50), (100, "fast", 400), (900, "slow", 25), (900, "fast", 300))]
        lines = [line.split(" | ") for line in report.growth_table(rows).splitlines()[2:]]
        self.assertEqual([line[5:7] for line in lines],
                         [["1.00", "1.00 ×"], ["1.00", "8.00 ×"], ["0.50", "1.00 ×"], ["0.75", "12.00 ×"]])

    def test_builds_stand_beside_those_of_the_same_way(self):
        rows = [{"contender": name, "workers": workers, "memory": "ample", "memory_setting": "1GB", "seconds": seconds,
                 "cpu_seconds": seconds, "memory_bytes": 2**20, "index_bytes": 2**20}
                for workers, name, seconds in ((0, "slow", 50.0), (2, "slow", 30.0), (0, "fast", 10.0), (2, "fast", 3.0))]
        lines = [line.split(" | ") for line in report.ways_table(rows).splitlines()[2:]]
        self.assertEqual([line[4] for line in lines], ["1.000", "1.000", "0.200", "0.100"])


if __name__ == "__main__":
    unittest.main()
