"""Rows of which most numbers are 0: a data set's base.npz and query.npz, and what the tool does with them."""
import struct

import numpy as np


class SparseRows:
    """`count` rows of `dims` dimensions. Row i has the dimensions indices[starts[i]:starts[i + 1]], from 0 and ascending,
    and at these places of `values` (float32, not 0) its numbers."""
    dtype = np.dtype(np.float32)

    def __init__(self, starts, indices, values, dims):
        self.starts = np.asarray(starts, np.int64)
        self.indices, self.values = np.asarray(indices, np.int32), np.asarray(values, np.float32)
        self.shape = (len(self.starts) - 1, int(dims))

    @staticmethod
    def load(path):
        stored = np.load(path)
        return SparseRows(stored["starts"], stored["indices"], stored["values"], stored["dims"])

    def save(self, path):
        np.savez(path, starts=self.starts, indices=self.indices, values=self.values, dims=self.shape[1])

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, which):
        """Row of a number, dense and in double precision; rows of a slice or of an array of numbers."""
        if isinstance(which, (int, np.integer)):
            row = np.zeros(self.shape[1])
            at = slice(self.starts[which], self.starts[which + 1])
            row[self.indices[at]] = self.values[at]
            return row
        rows = np.arange(len(self))[which]
        lengths = (self.starts[1:] - self.starts[:-1])[rows]
        starts = np.concatenate(([0], np.cumsum(lengths)))
        at = np.repeat(self.starts[rows] - starts[:-1], lengths) + np.arange(starts[-1])
        return SparseRows(starts, self.indices[at], self.values[at], self.shape[1])

    def sums(self, elements):
        """Of each row's share of `elements`, one for each value."""
        before = np.concatenate(([0], np.cumsum(elements)))
        return before[self.starts[1:]] - before[self.starts[:-1]]

    def products(self, query):
        """Inner products with one dense vector."""
        return self.sums(self.values * query[self.indices])

    def squares(self):
        return self.sums(np.square(self.values, dtype=np.float64))

    def arrays(self):
        return self.starts, self.indices, self.values, np.asarray(self.shape)

    def copy_rows(self, first_id):
        """Rows of (id int4, v sparsevec) in COPY's binary format: dims, count, an unused 0, indices, values."""
        pieces = []
        for i in range(len(self)):
            at = slice(self.starts[i], self.starts[i + 1])
            v = (struct.pack(">iii", self.shape[1], at.stop - at.start, 0)
                 + self.indices[at].astype(">i4").tobytes() + self.values[at].astype(">f4").tobytes())
            pieces.append(struct.pack(">hiii", 2, 4, first_id + i, len(v)) + v)
        return b"".join(pieces)
