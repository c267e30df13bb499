#!/usr/bin/env python3
"""Every path of the tree that a document names must exist."""
import pathlib
import re
import sys

bad = 0
for doc in [*pathlib.Path(".").glob("*.md"), *pathlib.Path("docs").rglob("*.md"), pathlib.Path("bench/RESULTS.md")]:
    if not doc.exists():
        continue
    for number, line in enumerate(doc.read_text().splitlines(), 1):
        for path in re.findall(r"`((?:src|tests|tools|docs|bench)/[\w./\[\]*{},-]*)`", line):
            names = [path]
            m = re.search(r"\{([^}]*)\}", path)
            if m:
                names = [path.replace(m[0], part) for part in m[1].split(",")]
            for name in names:
                name = name.rstrip("/").replace("NAME", "*")
                if not list(pathlib.Path(".").glob(name)):
                    print(f"{doc}:{number}: {name} does not exist")
                    bad = 1
sys.exit(bad)
