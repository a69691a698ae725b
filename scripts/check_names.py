#!/usr/bin/env python3
"""Checks that files which pages and comments name in backticks are there: `run/{heavy,light}.rs` are two names, and a
name may leave out the folders before it. The changelog tells of the past and is left out.
"""

import re
import subprocess
import sys

ENDINGS = (".rs", ".md", ".toml", ".py", ".sh")


def each(name):
    """The names that one with braces stands for."""
    braces = re.search(r"\{([^{}]*)\}", name)
    if not braces:
        return [name]
    parts = braces.group(1).split(",")
    return [full for part in parts for full in each(name[: braces.start()] + part + name[braces.end() :])]


def prose(path):
    """The lines that are not code, with their numbers."""
    code = False
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        if path.endswith(".rs"):
            code = "//" not in line
        elif line.startswith("```"):
            code = not code
        if not code:
            yield number, line


listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
files = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.splitlines()
known = {"/".join(path.split("/")[start:]) for path in files for start in range(path.count("/") + 1)}
gone = [
    f"{page}:{number}: there is no `{name}`"
    for page in files
    if page.endswith((".md", ".rs")) and page != "CHANGELOG.md"
    for number, line in prose(page)
    for quoted in re.findall(r"`([^`\s*]+)`", line)
    for name in each(quoted)
    if name.endswith(ENDINGS) and name not in known
]
print("\n".join(gone), end="\n" if gone else "")
sys.exit(bool(gone))
