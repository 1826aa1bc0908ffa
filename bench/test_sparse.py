"""Tests of sets whose rows are sparse: against the same rows as dense ones, and BM25 by hand."""
import struct
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
import dataset
import make_bm25
from sparse_rows import SparseRows
from test_bench import quiet


def rows_of(dense):
    starts, indices = [0], []
    for row in dense:
        indices += list(np.flatnonzero(row))
        starts.append(len(indices))
    return SparseRows(starts, indices, dense[dense != 0], dense.shape[1])


def some_rows(count, seed):
    """Random ones, of which the second is empty."""
    random = np.random.default_rng(seed)
    dense = (random.random((count, 40)) * (random.random((count, 40)) < 0.2)).astype(np.float32)
    dense[1] = 0
    return dense


class SparseRowsTest(unittest.TestCase):
    def test_parts_are_those_of_the_dense_rows(self):
        dense = some_rows(30, 1)
        rows = rows_of(dense)
        self.assertEqual((len(rows), rows.shape), (30, (30, 40)))
        for which in (slice(None, 7), slice(5, 9), np.array([3, 1, 3]), np.arange(30) % 2 == 0):
            part = rows[which]
            np.testing.assert_array_equal([part[i] for i in range(len(part))], dense[which])
        np.testing.assert_allclose(rows.products(dense[4].astype(float)), dense @ dense[4], rtol=1e-6)
        np.testing.assert_allclose(rows.squares(), (dense ** 2).sum(axis=1), rtol=1e-6)

    def test_truth_is_that_of_the_dense_set(self):
        base, query = some_rows(300, 2), some_rows(6, 3)
        for metric in dataset.METRICS:
            with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
                np.save(Path(one) / "base.npy", base)
                np.save(Path(one) / "query.npy", query)
                rows_of(base).save(Path(other) / "base.npz")
                rows_of(query).save(Path(other) / "query.npz")
                dense, sparse = (dataset.open_dataset(folder, metric) for folder in (one, other))
                truths = [dataset.find_truth(data, one, quiet) for data in (dense, sparse)]
            self.assertEqual((dense.sparse, sparse.sparse), (False, True))
            for i in (0, 2, 3, 4, 5):
                np.testing.assert_allclose(truths[1].distances[i], truths[0].distances[i], rtol=1e-5, atol=1e-6)
                self.assertEqual(dataset.count_hits(truths[0].ids[i, :10], i, sparse, truths[1], 10), 10)

    def test_metric_follows_the_norms(self):
        unit = rows_of(np.eye(5, dtype=np.float32))
        self.assertTrue(dataset.has_unit_rows(unit))
        self.assertFalse(dataset.has_unit_rows(rows_of(some_rows(9, 4))))

    def test_binary_rows_have_the_types_form(self):
        sent = rows_of(np.array([[0, 1.5, 0, -2]], np.float32)).copy_rows(7)
        self.assertEqual(sent, struct.pack(">hiiiiiiiiff", 2, 4, 7, 28, 4, 2, 0, 1, 3, 1.5, -2))



class Bm25Test(unittest.TestCase):
    def test_words_and_pairs(self):
        self.assertEqual(make_bm25.words_of("An X-server, an editor", False), ["an", "server", "an", "editor"])
        self.assertEqual(make_bm25.words_of("one two three", True), ["one", "two", "three", "one two", "two three"])

    def test_values_by_hand(self):
        rows = make_bm25.bm25([["a", "b", "b"], ["b", "c", "c"], ["d"], ["c", "b"]])
        # b is in three of four, c in two; lengths 3, 3, 1, 2 about 2.25; the third has neither, and a is in one only.
        self.assertEqual(rows.shape, (3, 2))
        rare, length = np.log(1 + 1.5 / 3.5), 0.25 + 0.75 * 3 / 2.25
        np.testing.assert_allclose(rows[0], [rare * 2 * 2.2 / (2 + 1.2 * length), 0], rtol=1e-6)
        self.assertTrue((rows[1] > 0).all() and (rows[2] > 0).all())


if __name__ == "__main__":
    unittest.main()
