#!/usr/bin/env python3
"""A sparse set: the descriptions of Debian's packages as BM25 of their words, or of words and pairs of neighbours.

Needs apt's lists (demo/catalogue.py) and nothing else. Of descriptions that are equal one is taken. A dimension is a word
of two letters or more (with --pairs also two that follow each other) that two descriptions have; its value is BM25's, with
k1 = 1.2 and b = .75. One description in 200 is a query. Those of more than 1,000 elements, which pgvector
does not index, are left out.

Usage: make_bm25.py FOLDER [--pairs]    writes base.npz and query.npz (sparse_rows.py); measure with --metric cos or ip
"""
import argparse
import collections
import re
import sys
from pathlib import Path

import numpy as np

from sparse_rows import SparseRows

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "demo"))
import catalogue  # noqa: E402

QUERY_STEP = 200
MOST_ELEMENTS = 1000
K1, B = 1.2, 0.75


def words_of(text, pairs):
    words = re.findall(r"[a-z]{2,}", text.lower())
    return words + [f"{a} {b}" for a, b in zip(words, words[1:])] if pairs else words


def bm25(documents):
    """Rows of lists of words; words of one document only are left out, and so are rows without any."""
    among = collections.Counter(word for words in documents for word in set(words))
    number = {word: i for i, word in enumerate(sorted(word for word in among if among[word] > 1))}
    mean_length = np.mean([len(words) for words in documents])
    starts, indices, values = [0], [], []
    for words in documents:
        row = {}
        for word, count in collections.Counter(word for word in words if word in number).items():
            rarity = np.log(1 + (len(documents) - among[word] + 0.5) / (among[word] + 0.5))
            row[number[word]] = rarity * count * (K1 + 1) / (count + K1 * (1 - B + B * len(words) / mean_length))
        if 0 < len(row) <= MOST_ELEMENTS:
            indices += sorted(row)
            values += [row[i] for i in sorted(row)]
            starts.append(len(indices))
    return SparseRows(starts, indices, values, len(number))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", action="store_true")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    packages = catalogue.read(args.folder, print).parse()
    texts = dict.fromkeys(package.text() for package in packages)
    rows = bm25([words_of(text, args.pairs) for text in texts])
    asked = np.arange(len(rows)) % QUERY_STEP == 0
    rows[~asked].save(args.folder / "base.npz")
    rows[asked].save(args.folder / "query.npz")
    print(f"{(~asked).sum():,} rows, {asked.sum():,} queries, {rows.shape[1]:,} dimensions, {len(rows.values) / len(rows):.0f} elements a row")


if __name__ == "__main__":
    main()
