#!/usr/bin/env python3
"""Checks that words which were given up stay so: one word for one thing. Each line of the list says where a word does not
stand any more, and what is said instead. Identifiers are looked for in code, phrases in comments and pages too.
"""

import re
import subprocess
import sys

RUNTIME = "deriva-runtime/src/"
RUN = RUNTIME + "materialize/run/"
LAYERS = "deriva-layers/src/"
KV = "deriva-backends/src/kv/"

# (where, where not, identifier, what is said instead)
IDENTIFIERS = [
    (RUNTIME, None, r"[Ss]urveys?", "lookup"),
    (RUNTIME, None, r"Known", "Carried"),
    (RUNTIME, None, r"[Ss]ight(ing|ings|ed)", "unreachable_since"),
    (RUNTIME, None, r"Needs", "NeededBy"),
    (RUNTIME, None, r"living", "marked, live"),
    (RUNTIME, None, r"Shelf", "SharedIndex"),
    (RUNTIME, None, r"[Tt]reatments?", "FunctionMode, modes"),
    (RUNTIME, None, r"Moment|(with_|if_)?moved", "Revision, changed_since"),
    (RUNTIME, RUN, r"settle[ds]?", "settle is a run's word: assign, share, end"),
    (RUNTIME + "collect/", None, r"[Ff]rontier", "MarkStack; the frontier is the planner's"),
    (RUN, None, r"[Ll]anes?", "Workers; lanes are the timeline's"),
    (LAYERS, None, r"[Aa]round|Layered|around_layer", "Intercept, Intercepted"),
    (KV, None, r"Stage", "Overlay; a stage is a part of a request"),
    (KV, None, r"[Nn]oted", "watermark"),
]
# Phrases that a stranger reads twice.
PHRASES = [
    (r"\bin passing\b", "transient"),
    (r"\bso many\b(?! (that|as)\b)", "N, or the name of the number"),
    (r"\bbehind (the last|a cursor|an address)\b", "after"),
]


def lines(path):
    """Each line with its number, and how much of it is code."""
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        yield number, line, line.split("//")[0] if path.endswith(".rs") else ""


files = subprocess.run(["git", "ls-files", "*.rs", "*.md"], check=True, capture_output=True, text=True).stdout.splitlines()
found = []
for path in files:
    if path == "CHANGELOG.md":
        continue
    words = [
        (re.compile(rf"(?<!\w)(?:{word})(?!\w)"), word, instead)
        for where, but, word, instead in IDENTIFIERS
        if path.startswith(where) and not (but and path.startswith(but))
    ]
    for number, line, code in lines(path):
        for pattern, word, instead in words:
            if pattern.search(code):
                found.append(f"{path}:{number}: `{pattern.search(code).group()}`: say {instead}")
        for phrase, instead in PHRASES:
            if re.search(phrase, line, re.IGNORECASE):
                found.append(f"{path}:{number}: `{re.search(phrase, line, re.IGNORECASE).group()}`: say {instead}")
print("\n".join(found), end="\n" if found else "")
sys.exit(bool(found))
