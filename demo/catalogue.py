"""Reads Debian's package catalogue through apt (standard library only).

The rows come from `apt-cache dumpavail`; long descriptions live in apt's translation lists and are
joined by the MD5 that each record carries. A machine whose apt does not fetch translations (most
container images) gets them in a private copy below `run_dir`; the system's lists are not touched.
"""

import hashlib
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

APT_HELPER = "/usr/lib/apt/apt-helper"
# A machine that never ran `apt-get update` knows its installed packages only.
FEWEST_PACKAGES = 10_000

PRIVATE_APT_CONF = """\
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear Acquire::Languages;
Acquire::Languages {{ "en"; }};
Acquire::IndexTargets::deb::Packages::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Dir::State::lists "{lists}";
Dir::Cache "{cache}";
"""


class CatalogueError(Exception):
    """The catalogue cannot be had; the text says what to do."""


@dataclass
class Package:
    name: str
    section: str
    priority: str
    installed_kb: int
    needs: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    summary: str = ""
    description: str = ""

    def text(self) -> str:
        """What is embedded: summary and long description as one text."""
        return f"{self.summary}. {self.description}" if self.description else self.summary


def stanzas(lines):
    """Yields one dict a stanza of a control file; continuation lines keep their leading blank."""
    fields: dict[str, str] = {}
    key = None
    for line in lines:
        line = line.rstrip("\n")
        if not line:
            if fields:
                yield fields
            fields, key = {}, None
        elif line[0] in " \t":
            if key:
                fields[key] += "\n" + line
        else:
            key, colon, value = line.partition(":")
            if not colon:
                key = None
                continue
            fields[key] = value.strip()
    if fields:
        yield fields


def split_description(value: str) -> tuple[str, str]:
    """(summary, long description) of a Description field; the long one in a single line."""
    summary, _, rest = value.partition("\n")
    lines = (line.strip() for line in rest.split("\n"))
    return summary.strip(), " ".join(line for line in lines if line and line != ".")


def split_tags(value: str) -> list[str]:
    """Debtags, with `facet::{a,b}` expanded to facet::a and facet::b."""
    tags: list[str] = []
    for tag in re.split(r",\s*(?![^{]*\})", value.strip()):
        match = re.fullmatch(r"(.*::)\{(.*)\}", tag.strip())
        if match:
            tags += [match[1] + one.strip() for one in match[2].split(",")]
        elif tag.strip():
            tags.append(tag.strip())
    return tags


def split_depends(*values: str) -> list[str]:
    """The packages that a record needs: of each alternative the first, without version and arch."""
    names = []
    for group in ",".join(values).split(","):
        words = re.split(r"[|(:\[]", group, maxsplit=1)[0].split()
        if words:
            names.append(words[0])
    return list(dict.fromkeys(names))


def parse_translations(lines) -> dict[str, str]:
    """Description-md5 -> English Description field."""
    return {
        s["Description-md5"]: s["Description-en"]
        for s in stanzas(lines)
        if "Description-md5" in s and "Description-en" in s
    }


def parse_packages(lines, translations: dict[str, str]) -> list[Package]:
    """One Package a name (the first one wins), sorted by name."""
    packages: dict[str, Package] = {}
    for s in stanzas(lines):
        name = s.get("Package")
        if not name or name in packages:
            continue
        described = translations.get(s.get("Description-md5", ""))
        described = described or s.get("Description-en") or s.get("Description", "")
        summary, description = split_description(described)
        size = s.get("Installed-Size", "0")
        packages[name] = Package(
            name=name,
            section=s.get("Section", ""),
            priority=s.get("Priority", ""),
            installed_kb=int(size) if size.isdigit() else 0,
            needs=split_depends(s.get("Pre-Depends", ""), s.get("Depends", "")),
            tags=split_tags(s.get("Tag", "")),
            summary=summary,
            description=description,
        )
    return [packages[name] for name in sorted(packages)]


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        reason = done.stderr.decode(errors="replace").strip().splitlines()
        raise CatalogueError(
            f"`{' '.join(command)}` failed: {reason[-1] if reason else 'no message'}"
        )
    return done.stdout.decode(errors="replace")


def _translation_files(apt_get: list[str]) -> list[str]:
    listed = _output(
        [
            *apt_get,
            "indextargets",
            "--format",
            "$(FILENAME)",
            "Created-By: Translations",
            "Language: en",
        ]
    )
    return [name for name in listed.splitlines() if Path(name).exists()]


def _private_translation_files(run_dir: Path, say) -> list[str]:
    apt_dir = (run_dir / "apt").resolve()
    (apt_dir / "lists/partial").mkdir(parents=True, exist_ok=True)
    (apt_dir / "cache").mkdir(exist_ok=True)
    conf = apt_dir / "apt.conf"
    conf.write_text(PRIVATE_APT_CONF.format(lists=apt_dir / "lists", cache=apt_dir / "cache"))
    apt_get = ["apt-get", "-c", str(conf)]
    files = _translation_files(apt_get)
    if not files:
        say("this machine keeps no long descriptions: fetching a private copy (about 7 MB)")
        _output([*apt_get, "-qq", "update"])
        files = _translation_files(apt_get)
    return files


@dataclass
class RawCatalogue:
    """apt's own texts, not yet parsed: enough to tell whether the catalogue has changed."""

    available: str
    translations: str

    def fingerprint(self) -> str:
        digest = hashlib.sha256(self.available.encode())
        digest.update(self.translations.encode())
        return digest.hexdigest()

    def parse(self) -> list[Package]:
        """Raises CatalogueError where apt's lists are empty."""
        translations = parse_translations(self.translations.split("\n"))
        packages = parse_packages(self.available.split("\n"), translations)
        if len(packages) < FEWEST_PACKAGES:
            raise CatalogueError(
                f"apt knows only {len(packages):,} packages: its lists have not been fetched.\n"
                "As root run\n    apt-get update\nand then `make demo` again."
            )
        return packages


def read(run_dir: Path, say=lambda text: None) -> RawCatalogue:
    """The machine's catalogue. Raises CatalogueError with a text for the user."""
    if not shutil.which("apt-cache"):
        raise CatalogueError(
            "this demo reads Debian's package catalogue, and there is no apt-cache here.\n"
            "It needs Debian 12 or newer (or a system made from it)."
        )
    available = _output(["apt-cache", "dumpavail"])
    files = _translation_files(["apt-get"])
    if not files:
        try:
            files = _private_translation_files(run_dir, say)
        except CatalogueError as error:
            say(f"going on with summaries alone: {error}")
    translations = ""
    if files and Path(APT_HELPER).exists():
        translations = _output([APT_HELPER, "cat-file", *files])
    return RawCatalogue(available, translations)
