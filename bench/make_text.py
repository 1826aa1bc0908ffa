#!/usr/bin/env python3
"""A large text set: passages of what Debian packages document, embedded as the demo does.

Needs apt (Debian 12, main; nothing is installed) and what demo/requirements.txt names: the demo's
own environment will do. The packages below are downloaded into FOLDER/packages once, 620 MB; the
rest takes four minutes of CPU time and 3 GB of memory.

A passage is a paragraph of 10 words or more, of a long one some sentences in a row; an entry of a
dictionary is one too. No two have the same words in the same order, letters' case and numbers left
aside, and no package gives more than 40,000. One document (file, or entry) in 256 is kept out of the
base, and the queries are passages of those. Rows are in the order of a hash of their text: the
same packages give the same rows in the same order, wherever they are unpacked.

Usage: make_text.py FOLDER [ROWS]    writes base.npy (550,000 rows unless told otherwise) and
query.npy (1,000), 256 dims in float16, and base.tsv, query.tsv: package and text of each row
"""
import argparse
import gzip
import hashlib
import html
import re
import string
import subprocess
import sys
import tarfile
from multiprocessing import Pool
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "demo"))
import model as demo_model  # noqa: E402

PACKAGES = """
    anarchism ansible apache2-doc aptitude-doc-en bash-doc bind9-doc clang-14-doc cmake-doc
    cppreference-doc-en-html db5.3-doc dcmtk-doc debian-faq debian-handbook debian-policy
    debian-reference-en derby-doc developers-reference dict-devil dict-elements dict-foldoc
    dict-gcide dict-jargon dict-vera dict-wn dpdk-doc efl-doc erlang-doc exim4-doc-html
    fortunes gap-doc ghc-doc gimp-help-en git-doc glibc-doc gnu-standards gnuradio-doc
    groovy-doc guile-3.0-doc installation-guide-amd64 libboost1.81-doc libgecode-doc
    libglib2.0-doc libgtk-4-doc libgtkmm-4.0-doc libreoffice-help-en-us libstdc++-12-doc
    lilypond-doc-html linux-doc-6.1 llvm-14-doc maint-guide manpages manpages-dev maxima-doc
    nodejs-doc octave-doc openjdk-17-doc pari-doc perl-doc petsc3.18-doc postfix-doc
    postgresql-doc-15 python-astropy-doc python-django-doc python-pandas-doc python-scipy-doc
    python-sqlalchemy-doc python-statsmodels-doc python-sympy-doc python3.11-doc
    qtbase5-doc-html r-doc-html racket-doc rust-web-doc sbcl-doc scala-doc selinux-policy-doc
    singular-doc sqlite3-doc tcl8.6-doc tk8.6-doc twisted-doc vim-doc vim-runtime wx3.2-doc
    zsh-doc
""".split()
QUERIES = 1000
ROWS_OF_A_PACKAGE = 40_000
FEWEST_WORDS = 10
SHORTEST, LONGEST = 60, 480     # characters
LARGEST_FILE = 8 << 20
# Of 65,536: documents that give queries and nothing to the base.
QUERY_DOCUMENTS = 256

BLOCK_TAG = re.compile(r"</?(?:p|div|li|dd|dt|dl|td|th|tr|table|ul|ol|h[1-6]|br|hr|section|article|"
                       r"blockquote|body|title|nav|header|footer|aside|figure)\b[^>]*>", re.I)
DROPPED = re.compile(r"<(script|style|pre|nav|head)\b.*?</\1\s*>|<!--.*?-->", re.I | re.S)
ANY_TAG = re.compile(r"<[^>]*>")
ROFF_FONT = re.compile(r"\\f(?:\[[^]]*\]|\(..|.)|\\s[-+]?\d|\\[&|/,:%]")
ROFF_BREAK = re.compile(r"\.\s*(?:PP|P|LP|TP|IP|HP|SH|SS|Pp|It|Sh|Ss|RS|RE|nf|fi|EX|EE|Bl|El|sp|"
                        r"br)\b")
ROFF_TEXT = re.compile(r"\.\s*(?:B|I|BR|BI|IB|IR|RB|RI|SM|SB|Nm|Ar|Fl|Xr|Pa|Em|Sy|Cm|Va|Fa|Fn)"
                       r"\s+(.*)")
SENTENCE_END = re.compile(r"(?<=[.!?;:])\s+(?=[A-Z\"'(])")
WORD = re.compile(r"[A-Za-z]{2,}")
LANGUAGE = ("(?:ar|bg|ca|cs|da|de|el|es|eu|fa|fi|fr|gl|he|hr|hu|id|it|ja|ko|lt|nb|nl|nn|pl|pt|ro|"
            "ru|sk|sl|sv|tr|uk|vi|zh)(?:[-_][a-z]{2,4})?")
# Other languages, sources of what is there as HTML, and what is about the package.
NOT_READ = re.compile(f"/share/(?:man|locale|i18n)/|/_sources/|/(?:changelog|copyright|news)[^/]*$|"
                      rf"[/.]{LANGUAGE}[/.]|\.html\.(?!en)", re.I)
BASE64 = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"


# --- paragraphs of a file ---------------------------------------------------------------------
def html_paragraphs(text):
    text = BLOCK_TAG.sub("\n\n", DROPPED.sub("\n\n", text))
    return plain_paragraphs(html.unescape(ANY_TAG.sub("", text)))


def plain_paragraphs(text):
    return re.split(r"\n\s*\n", text)


def roff_paragraphs(text):
    lines = []
    for line in text.split("\n"):
        if not line.startswith((".", "'")):
            lines.append(line)
        elif ROFF_BREAK.match(line):
            lines.append("\n")
        elif shown := ROFF_TEXT.match(line):
            lines.append(shown[1].replace('"', ""))
    text = ROFF_FONT.sub("", "\n".join(lines)).replace("\\-", "-").replace("\\(aq", "'")
    return plain_paragraphs(re.sub(r"\\\(..|\\\[[^]]*\]|\\e|\\\S?", "", text))


def fortunes(text):
    return text.split("\n%\n")


def reader_of(name):
    """The function that cuts a file into paragraphs; None of what is not English prose."""
    name = name.removesuffix(".gz")
    folder, _, file = name.rpartition("/")
    if re.search(r"/man/man[1-9]$", folder):
        return roff_paragraphs
    if NOT_READ.search(name):
        return None
    if folder.endswith("/games/fortunes"):
        return fortunes if "." not in file else None
    ending = file.rpartition(".")[2].lower()
    if ending in ("html", "htm", "xhtml", "en"):
        return html_paragraphs
    if ending in ("txt", "md", "info") or ending.startswith("info-"):
        return plain_paragraphs
    return None


# --- documents of a package -------------------------------------------------------------------
def number_of(digits):
    value = 0
    for digit in digits:
        value = value * 64 + BASE64.index(digit)
    return value


def dictionary(index, data):
    """Entries of a dictionary in dictd's format: headword, offset and length in base 64."""
    places = {(number_of(line[1]), number_of(line[2]))
              for line in (line.split("\t") for line in index.decode().splitlines())
              if not line[0].startswith("00-database")}
    for start, length in sorted(places):
        entry = data[start:start + length].decode("utf-8", "replace")
        yield f"entry {start}", [re.sub(r"[{}\\]", "", entry)]


def documents(deb):
    """(name, paragraphs) of every document of a package."""
    dump = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE)
    parts = {}
    with tarfile.open(fileobj=dump.stdout, mode="r|") as archive:
        for member in archive:
            if not member.isfile() or not 0 < member.size < (64 << 20):
                continue
            if "/dictd/" in member.name:
                data = archive.extractfile(member).read()
                ending = member.name.rsplit("/", 1)[1].split(".", 1)[1]
                parts[ending] = gzip.decompress(data) if ending.endswith("dz") else data
                continue
            reader = reader_of(member.name)
            if reader and member.size < LARGEST_FILE:
                data = archive.extractfile(member).read()
                if member.name.endswith(".gz"):
                    data = gzip.decompress(data)
                yield member.name, reader(data.decode("utf-8", "replace"))
    dump.wait()
    if "index" in parts:
        yield from dictionary(parts["index"], parts["dict.dz"])


# --- passages ---------------------------------------------------------------------------------
def passages(paragraph):
    text = " ".join(paragraph.split())
    if len(text) <= LONGEST:
        return [text]
    cut, part = [], ""
    for sentence in SENTENCE_END.split(text):
        if part and len(part) + len(sentence) > LONGEST:
            cut.append(part)
            part = ""
        part = f"{part} {sentence}".strip()[:LONGEST]
    return [*cut, part]


def is_prose(text):
    if not SHORTEST <= len(text):
        return False
    letters = sum(c.isascii() and (c.isalpha() or c == " ") for c in text)
    return letters >= 0.85 * len(text) and len(WORD.findall(text)) >= FEWEST_WORDS


def digest(text):
    return hashlib.md5(text.encode()).digest()


def read_package(deb):
    """{hash of the words: (hash of the text, of queries?, text)} of the package's passages."""
    package = deb.name.split("_")[0]
    found = {}
    for name, paragraphs in documents(deb):
        of_queries = int.from_bytes(digest(package + name)[:2], "big") < QUERY_DOCUMENTS
        for paragraph in paragraphs:
            for text in passages(paragraph):
                if is_prose(text):
                    words = digest(" ".join(WORD.findall(text.lower())))
                    row = (digest(text), of_queries, text)
                    found[words] = min(row, found.get(words, row))
    return package, dict(sorted(found.items(), key=lambda item: item[1])[:ROWS_OF_A_PACKAGE])


def download(folder):
    folder.mkdir(parents=True, exist_ok=True)
    have = {path.name.split("_")[0] for path in folder.glob("*.deb")}
    lacking = [name for name in PACKAGES if name not in have]
    if lacking:
        subprocess.run(["apt-get", "-qq", "download", *lacking], cwd=folder, check=True)
    return sorted(path for path in folder.glob("*.deb") if path.name.split("_")[0] in PACKAGES)


def collect(debs):
    """Rows (hash, of queries?, package, text), of each sequence of words the first by hash."""
    found = {}
    with Pool() as pool:
        for package, part in pool.imap_unordered(read_package, debs):
            print(f"{package}: {len(part):,}", file=sys.stderr)
            for words, (key, of_queries, text) in part.items():
                row = (key, of_queries, package, text)
                found[words] = min(row, found.get(words, row))
    return sorted(found.values())


def write(folder, name, rows, model):
    with open(folder / f"{name}.tsv", "w") as out:
        out.writelines(f"{package}\t{text.replace(chr(9), ' ')}\n" for _, _, package, text in rows)
    vectors = demo_model.embed(model, [row[3] for row in rows])
    np.save(folder / f"{name}.npy", vectors.astype(np.float16))
    print(f"{name}: {vectors.shape}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("rows", type=int, nargs="?", default=550_000)
    args = parser.parse_args()
    rows = collect(download(args.folder / "packages"))
    model = demo_model.load_model()
    write(args.folder, "base", [row for row in rows if not row[1]][:args.rows], model)
    write(args.folder, "query", [row for row in rows if row[1]][:QUERIES], model)


if __name__ == "__main__":
    main()
