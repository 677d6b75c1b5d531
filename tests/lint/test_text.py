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


def test_secrets_are_compared_in_constant_time():
    """mem_same for whatever is named like a secret (docs/SECURITY.md)."""
    call = re.compile(r"\b(?:mem|str|strn|strcase|strncase)cmp\(([^;{]*)|\bslice_(?:eq|is)\(([^;{]*)")
    name = re.compile(r"(?:\b|_|>|\.)(rid|token|secret|seed|password|plain_hash|body_hash|tag|mac)\b(?!_)")
    public = {"client/verify.c", "client/receipt.c"}  # the client's own hash of its own text, at home
    assert name.search("a->rid, b") and call.search("if (memcmp(m->rid, rid, 16))") and not name.search("node_key, key")
    bad = []
    for f in tracked(".c", ".h"):
        if f.startswith("tests/") or f in public:
            continue
        for n, line in enumerate(read(f).splitlines(), 1):
            m = call.search(line)
            if m and name.search(m.group(1) or m.group(2)):
                bad.append(f"{f}:{n}: {line.strip()}")
    assert not bad, "\n".join(bad)
