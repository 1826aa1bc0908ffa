#!/usr/bin/env python3
"""Real SIFT descriptors (128-d, uint8) from the photographs of Debian's wallpaper packages.

Needs python3-opencv, python3-numpy and gnome-backgrounds, plasma-workspace-wallpapers,
lomiri-wallpapers-16.04, lomiri-wallpapers-20.04, mate-backgrounds, ukui-wallpapers: on Debian 12
they give 862,215 descriptors in about three minutes on two cores.

Usage: make_sift.py FOLDER [ROWS]    writes base.npy and query.npy (2,000 rows)
"""
import argparse
import hashlib
from multiprocessing import Pool
from pathlib import Path

import cv2
import numpy as np

ROOTS = ("/usr/share/backgrounds", "/usr/share/wallpapers")
SUFFIXES = (".jpg", ".png", ".webp")
LONGEST_SIDE = 2600
QUERIES = 2000
# Of 256: the share of images that give queries and nothing to the base.
QUERY_IMAGES = 20


def find_images():
    files = (path for root in ROOTS for path in Path(root).rglob("*"))
    return sorted(path for path in files if path.suffix in SUFFIXES and not path.is_symlink()
                  and path.stat().st_size > 100_000)


def gives_queries(path):
    name = path.parent.name + path.name
    return hashlib.md5(name.encode()).digest()[0] < QUERY_IMAGES


def describe(path):
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        return path, np.zeros((0, 128), np.uint8)
    scale = LONGEST_SIDE / max(image.shape)
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    sift = cv2.SIFT_create(nfeatures=40000, contrastThreshold=0.008, edgeThreshold=15)
    _, descriptors = sift.detectAndCompute(image, None)
    if descriptors is None:
        descriptors = np.zeros((0, 128))
    return path, np.clip(np.rint(descriptors), 0, 255).astype(np.uint8)


def shuffled(blocks, rows, random):
    distinct = np.unique(np.concatenate(blocks), axis=0)
    return distinct[random.permutation(len(distinct))][:rows]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("rows", type=int, nargs="?", default=1_000_000)
    args = parser.parse_args()
    images = find_images()
    if not images:
        raise SystemExit(f"no images under {', '.join(ROOTS)}; install the packages named above")
    cv2.setNumThreads(1)
    with Pool() as pool:
        descriptors = dict(pool.imap_unordered(describe, images))
    random = np.random.default_rng(7)
    of_base = [descriptors[path] for path in images if not gives_queries(path)]
    of_queries = [descriptors[path] for path in images if gives_queries(path)]
    base = shuffled(of_base, args.rows, random)
    query = shuffled(of_queries, QUERIES, random)
    args.folder.mkdir(parents=True, exist_ok=True)
    np.save(args.folder / "base.npy", base)
    np.save(args.folder / "query.npy", query)
    print(f"{len(images)} images, base {base.shape}, query {query.shape}")


if __name__ == "__main__":
    main()
