#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Starts a program under the rules of its systemd unit, without systemd: unit_rules.py UNIT MORE_CALLS PROGRAM [ARGUMENT ...]

What systemd makes a filter of system calls becomes one here, by the same library (libseccomp) and with systemd's own sets:
SystemCallFilter, RestrictAddressFamilies, MemoryDenyWriteExecute."""
import ctypes
import os
import re
import resource
import socket
import subprocess
import sys

ALLOW, EPERM, EAFNOSUPPORT = 0x7FFF0000, 0x00050000 | 1, 0x00050000 | 97  # SCMP_ACT_
EQUAL, MASKED_EQUAL = 4, 7  # SCMP_CMP_
FAMILIES = range(46)
PROT_WRITE, PROT_EXEC, PR_SET_NO_NEW_PRIVS = 2, 4, 38


class Compare(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def settings(path):
    """{name: [value]} of a unit's file."""
    out = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", open(path).read(), re.M):
        out.setdefault(name, []).append(value)
    return out


def systemds_sets():
    """{@set: its words}."""
    text = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter"], capture_output=True, text=True, check=True).stdout
    sets, words = {}, []
    for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines():
        if line.startswith("@"):
            words = sets[line.strip()] = []
        elif line.startswith("    ") and not line.strip().startswith("#"):
            words.append(line.strip())
    return sets


def allowed_calls(lines):
    """As systemd reads them: the first line says what is allowed beside its @default, `~` takes away."""
    sets = systemds_sets()

    def members(words):
        return set().union(*(members(sets[w]) if w.startswith("@") else {w} for w in words))

    out = members(["@default"])
    for line in lines:
        calls = members(line.lstrip("~").split())
        out = out - calls if line.startswith("~") else out | calls
    return out


class Filter:
    def __init__(self, otherwise):
        self.lib = ctypes.CDLL("libseccomp.so.2")
        self.lib.seccomp_init.restype = ctypes.c_void_p
        self.context = ctypes.c_void_p(self.lib.seccomp_init(otherwise))

    def rule(self, action, call, *compares):
        number = self.lib.seccomp_syscall_resolve_name(call.encode())
        if number >= 0:  # else this machine has none of that name
            array = (Compare * len(compares))(*compares)
            assert self.lib.seccomp_rule_add_array(self.context, action, number, len(compares), array) == 0, call

    def load(self):
        assert self.lib.seccomp_load(self.context) == 0


def filters(unit, more):
    families, memory, calls = Filter(ALLOW), Filter(ALLOW), Filter(EPERM)
    for family in set(FAMILIES) - {int(getattr(socket, name)) for name in unit["RestrictAddressFamilies"][0].split()}:
        families.rule(EAFNOSUPPORT, "socket", Compare(0, EQUAL, family, 0))
    assert unit["MemoryDenyWriteExecute"] == ["yes"]
    memory.rule(EPERM, "mmap", Compare(2, MASKED_EQUAL, PROT_WRITE | PROT_EXEC, PROT_WRITE | PROT_EXEC))
    memory.rule(EPERM, "mprotect", Compare(2, MASKED_EQUAL, PROT_EXEC, PROT_EXEC))
    assert unit["SystemCallErrorNumber"] == ["EPERM"]
    for call in allowed_calls([*unit["SystemCallFilter"], more]):
        calls.rule(ALLOW, call)
    return families, memory, calls  # the last one may take away what it needs to load another


def main():
    path, more, *command = sys.argv[1:]
    rules = filters(settings(path), more)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    assert ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    for r in rules:
        r.load()
    os.execv(command[0], command)


main()
