"""Tests of the demo's pure parts: catalogue parser, packer, tables. Standard library only."""

import struct
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import binary_copy  # noqa: E402
import catalogue  # noqa: E402
import show  # noqa: E402
import store  # noqa: E402

PACKAGES = """\
Package: zeta
Installed-Size: 120
Pre-Depends: base (>= 1)
Depends: libc6 (>= 2.34), mail-agent | other, python3:any, base
Description: short words
Description-md5: aa
Tag: role::program, implemented-in::{c,c++},
 use::editing
Section: utils
Priority: optional

Package: alpha
Description: has its own text
 First line
 goes on.
 .
  verbatim
Section: games
Priority: extra

Package: zeta
Section: second-record

"""

TRANSLATIONS = """\
Package: zeta
Description-md5: aa
Description-en: short words
 The long: text.
 .
 Second paragraph.
"""


def parsed():
    translations = catalogue.parse_translations(TRANSLATIONS.split("\n"))
    return catalogue.parse_packages(PACKAGES.split("\n"), translations)


class CatalogueTest(unittest.TestCase):
    def test_packages_are_sorted_and_the_first_record_of_a_name_wins(self):
        self.assertEqual(
            [(p.name, p.section) for p in parsed()], [("alpha", "games"), ("zeta", "utils")]
        )

    def test_long_description_is_joined_by_md5(self):
        self.assertEqual(parsed()[1].description, "The long: text. Second paragraph.")
        self.assertEqual(parsed()[1].text(), "short words. The long: text. Second paragraph.")

    def test_long_description_in_the_record_itself(self):
        self.assertEqual(parsed()[0].summary, "has its own text")
        self.assertEqual(parsed()[0].description, "First line goes on. verbatim")

    def test_missing_fields(self):
        alpha = parsed()[0]
        self.assertEqual((alpha.installed_kb, alpha.needs, alpha.tags), (0, [], []))
        self.assertEqual(catalogue.parse_packages(["Section: x", ""], {}), [])

    def test_text_without_long_description_is_the_summary(self):
        self.assertEqual(catalogue.split_description("only this"), ("only this", ""))
        package = catalogue.Package("n", "s", "p", 0, summary="only this")
        self.assertEqual(package.text(), "only this")

    def test_depends_takes_first_alternatives_once(self):
        self.assertEqual(parsed()[1].needs, ["base", "libc6", "mail-agent", "python3"])

    def test_depends_of_odd_text(self):
        self.assertEqual(catalogue.split_depends("", " , ", "a [amd64] | b, c(=1)"), ["a", "c"])

    def test_tags_with_braces(self):
        self.assertEqual(
            parsed()[1].tags,
            ["role::program", "implemented-in::c", "implemented-in::c++", "use::editing"],
        )

    def test_last_stanza_without_blank_line(self):
        self.assertEqual(
            list(catalogue.stanzas(["A: 1", " more", "no colon", " lost"])), [{"A": "1\n more"}]
        )

    def test_fingerprint_follows_both_texts(self):
        marks = {
            catalogue.RawCatalogue(a, t).fingerprint()
            for a, t in (("x", "y"), ("x", "z"), ("w", "y"))
        }
        self.assertEqual(len(marks), 3)

    def test_empty_lists_say_what_to_run(self):
        with self.assertRaisesRegex(catalogue.CatalogueError, "apt-get update"):
            catalogue.RawCatalogue(PACKAGES, TRANSLATIONS).parse()


class BinaryCopyTest(unittest.TestCase):
    def test_vector(self):
        self.assertEqual(
            binary_copy.pack_vector([1.5, -2.0]), struct.pack("!hhff", 2, 0, 1.5, -2.0)
        )

    def test_vector_from_a_float32_buffer(self):
        from array import array

        buffer = memoryview(array("f", [0.25, 3.0, -1.0]))
        self.assertEqual(
            binary_copy.pack_vector(buffer), struct.pack("!hhfff", 3, 0, 0.25, 3.0, -1.0)
        )

    def test_text(self):
        self.assertEqual(binary_copy.pack_text("é\0x"), b"\xc3\xa9x")

    def test_text_array(self):
        self.assertEqual(
            binary_copy.pack_text_array(["ab", ""]),
            struct.pack("!iiiiii2si", 1, 0, 25, 2, 1, 2, b"ab", 0),
        )
        self.assertEqual(binary_copy.pack_text_array([]), struct.pack("!iii", 0, 0, 25))

    def test_row_with_null(self):
        self.assertEqual(
            binary_copy.pack_row([binary_copy.pack_int4(7), None]),
            struct.pack("!hiii", 2, 4, 7, -1),
        )

    def test_frame(self):
        self.assertEqual(len(binary_copy.HEADER), 19)
        self.assertEqual(binary_copy.TRAILER, b"\xff\xff")


class StoreTest(unittest.TestCase):
    def test_dependencies_on_names_without_a_package_are_left_out(self):
        packages = [
            catalogue.Package("a", "", "", 0, needs=["b", "virtual"]),
            catalogue.Package("b", "", "", 0),
        ]
        self.assertEqual(store.dependency_pairs(packages), [(0, 1)])


class ShowTest(unittest.TestCase):
    def test_numbers_stand_right_and_the_widest_text_gives_way(self):
        lines = show.table_lines(["name", "n"], [("x" * 40, 1234), ("y", 5)], 20)
        self.assertEqual(
            lines,
            [
                "name" + " " * 15 + "n",
                "-" * 13 + "  " + "-" * 5,
                "x" * 12 + "…  1,234",
                "y" + " " * 18 + "5",
            ],
        )

    def test_empty_table_has_its_head(self):
        self.assertEqual(show.table_lines(["a"], [], 60), ["a", "-"])

    def test_recall_counts_ties_as_found(self):
        self.assertEqual(show.recall([0.1, 0.2, 0.2], [0.1, 0.2, 0.2]), 1.0)
        self.assertEqual(show.recall([0.1, 0.3], [0.1, 0.2]), 0.5)
        self.assertEqual(show.recall([], [0.1, 0.2]), 0.0)

    def test_scan_nodes_of_a_nested_plan(self):
        plan = {
            "Node Type": "Limit",
            "Plans": [
                {
                    "Node Type": "Nested Loop",
                    "Plans": [
                        {"Node Type": "Seq Scan", "Relation Name": "a"},
                        {
                            "Node Type": "Index Scan",
                            "Index Name": "i",
                            "Relation Name": "b",
                            "Index Cond": "(c = 1)",
                        },
                    ],
                }
            ],
        }
        self.assertEqual(
            show.scan_nodes(plan), ["Seq Scan on a", "Index Scan using i on b · (c = 1)"]
        )

    def test_times(self):
        self.assertEqual(show.milliseconds(0.00123), "1.23 ms")
        self.assertEqual(show.milliseconds(1.5), "1,500 ms")


if __name__ == "__main__":
    unittest.main()
