# SPDX-License-Identifier: Apache-2.0
"""What a reader would trip over: licences, unfinished words, line lengths, unformatted code."""
import os
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def tracked(*suffixes):
    out = subprocess.run(["git", "-c", "safe.directory=*", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [f for f in out.splitlines() if f.endswith(suffixes) and os.path.exists(os.path.join(ROOT, f))]


def read(path):
    return open(os.path.join(ROOT, path), encoding="utf-8").read()


def test_every_source_names_its_licence():
    files = tracked(".c", ".h", ".py")
    assert len(files) > 100
    assert not [f for f in files if "SPDX-License-Identifier: Apache-2.0" not in read(f)[:200]]


def test_nothing_is_marked_unfinished():
    word = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
    assert not [f for f in tracked(".c", ".h", ".py", ".md", "meson.build") if word.search(read(f))]


def test_lines_are_readable():
    bad = []
    for f in tracked(".c", ".h"):
        for n, line in enumerate(read(f).splitlines(), 1):
            if len(line.expandtabs(8)) > 120 or line != line.rstrip():
                bad.append(f"{f}:{n}")
    assert not bad, "\n".join(bad)


def test_source_files_stay_small():
    long = {f: len(read(f).splitlines()) for f in tracked(".c")}
    assert not [f for f, n in long.items() if n > (1000 if f.startswith("tests/") else 700)]


def test_no_test_skips_itself():
    word = re.compile(r"pytest\.sk" r"ip|mark\.sk" r"ip|mark\.xf" r"ail|\bsk" r"ip\(\)")
    assert not [f for f in tracked(".py", ".c", ".js") if f.startswith("tests/") and word.search(read(f))]
