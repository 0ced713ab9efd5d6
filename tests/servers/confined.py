"""Runs a command with what systemd/quietcrm.service takes away from it, without systemd as PID 1.

    python confined.py UNIT-FILE COMMAND...

The unit is the source: system calls (SystemCallFilter, expanded by systemd-analyze), namespaces, address families,
writable and executable memory, limits. Capabilities go too, so root is no better than anybody. What systemd does with
mounts and cgroups is left to `make unit-test` and to systemd itself.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_uint, c_uint32, c_uint64, c_void_p
from pathlib import Path

ALLOW, ERRNO = 0x7FFF0000, 0x00050000
EQUAL, MASKED_EQUAL = 4, 7
NAMESPACES = 0x7E020080
"""Every CLONE_NEW* flag."""
PROT_WRITE, PROT_EXEC = 2, 4
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
NO_NEW_PRIVS, CAPBSET_DROP = 38, 24


class _Compare(Structure):
    _fields_ = [("arg", c_uint), ("op", c_int), ("datum_a", c_uint64), ("datum_b", c_uint64)]


def settings(unit: Path) -> dict[str, list[str]]:
    """The [Service] section: name -> values in order."""
    found: dict[str, list[str]] = defaultdict(list)
    section = ""
    for line in unit.read_text("utf-8").splitlines():
        if line.startswith("["):
            section = line
        elif "=" in line and section == "[Service]" and not line.startswith("#"):
            name, _, value = line.partition("=")
            found[name].append(value)
    return found


def system_calls(filters: Iterable[str]) -> set[str]:
    """The names that SystemCallFilter= lets through (systemd.exec(5)); @default always is."""
    allowed = _expand("@default")
    for text in filters:
        names = set().union(*(_expand(word) for word in text.lstrip("~").split()))
        allowed = allowed - names if text.startswith("~") else allowed | names
    return allowed


def _expand(word: str) -> set[str]:
    if not word.startswith("@"):
        return {word}
    told = subprocess.run(["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, check=True)
    lines = [line.strip() for line in told.stdout.splitlines()[1:]]
    return set().union(*(_expand(line) for line in lines if line and not line.startswith("#")))


class Filter:
    """A seccomp filter: all that is not allowed fails with EPERM."""

    def __init__(self) -> None:
        library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        library.seccomp_init.restype = c_void_p
        library.seccomp_init.argtypes = [c_uint32]
        library.seccomp_load.argtypes = [c_void_p]
        library.seccomp_syscall_resolve_name.argtypes = [c_char_p]
        library.seccomp_rule_add_array.argtypes = [c_void_p, c_uint32, c_int, c_uint, POINTER(_Compare)]
        self._library = library
        self._context = library.seccomp_init(ERRNO | errno.EPERM)

    def add(self, name: str, *, action: int = ALLOW, argument: int = 0, mask: int = 0, value: int = 0) -> None:
        """Let a call through (or fail otherwise); with `mask` only where that part of an argument has this value."""
        number = self._library.seccomp_syscall_resolve_name(name.encode())
        if number < 0:  # not of this architecture
            return
        compare = _Compare(argument, MASKED_EQUAL, mask, value)
        wrong = self._library.seccomp_rule_add_array(
            self._context, action, number, 1 if mask else 0, byref(compare) if mask else None
        )
        assert wrong == 0, f"{name}: {os.strerror(-wrong)}"

    def load(self) -> None:
        """From here on it holds, for this process and what it starts."""
        wrong = self._library.seccomp_load(self._context)
        assert wrong == 0, os.strerror(-wrong)


def confine(unit: Path) -> None:
    """Take everything away from this process."""
    told = settings(unit)
    library = ctypes.CDLL(None, use_errno=True)
    for name, limit in (("LimitNOFILE", resource.RLIMIT_NOFILE), ("LimitCORE", resource.RLIMIT_CORE)):
        number = int(told[name][0])
        resource.setrlimit(limit, (number, number))
    for capability in range(64):
        library.prctl(CAPBSET_DROP, capability, 0, 0, 0)
    assert library.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    made = Filter()
    special = {"clone", "clone3", "unshare", "setns", "socket", "mmap", "mprotect", "pkey_mprotect"}
    for name in sorted(system_calls(told["SystemCallFilter"]) - special):
        made.add(name)
    assert told["RestrictNamespaces"] == ["yes"]
    for name in ("clone", "unshare"):
        made.add(name, mask=NAMESPACES)
    made.add("clone3", action=ERRNO | errno.ENOSYS)
    for family in told["RestrictAddressFamilies"][0].split():
        made.add("socket", mask=0xFFFFFFFF, value=FAMILIES[family])
    assert told["MemoryDenyWriteExecute"] == ["yes"]
    for protection in (0, PROT_WRITE, PROT_EXEC):
        made.add("mmap", argument=2, mask=PROT_WRITE | PROT_EXEC, value=protection)
    for name in ("mprotect", "pkey_mprotect"):
        made.add(name, argument=2, mask=PROT_EXEC)
    made.load()


if __name__ == "__main__":
    confine(Path(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
