"""Sets of mail addresses as people write them: "a@x", "@x", "@*.x", "*glob@x". One look-up, however many there are."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass

from config.values import DOMAIN, MAIL, ascii_domain
from connectors.model import Address


def normal_pattern(text: str) -> str:
    """A pattern in the form it is compared: lower case, its domain in A-labels."""
    local, at, domain = text.strip().rpartition("@")
    if not at or "*" in domain.removeprefix("*."):
        return text.strip().lower()
    star = "*." if domain.startswith("*.") else ""
    return f"{local.lower()}@{star}{ascii_domain(domain.removeprefix('*.'))}"


def is_pattern(text: str) -> bool:
    """Whether `text` is an address, "@domain", "@*.domain" or a glob with one @."""
    word = text.strip()
    if MAIL.fullmatch(word) or DOMAIN.fullmatch(word):
        return True
    return "*" in word and word.count("@") == 1 and not re.search(r"[\s,;<>\"]", word)


@dataclass(frozen=True, slots=True)
class AddressSet:
    """Patterns made ready. `exact` and `domains` are looked up by hash; the rest is tried one by one."""

    exact: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    below: tuple[str, ...] = ()
    globs: re.Pattern[str] | None = None

    def holds(self, address: Address) -> bool:
        """Whether the set covers the address. Case is ignored."""
        return self.covers(address.email.lower())

    def covers(self, key: str) -> bool:
        """The same for an address key (lower case)."""
        domain = key.rpartition("@")[2]
        if key in self.exact or domain in self.domains:
            return True
        if self.below and domain.endswith(self.below):
            return True
        return self.globs is not None and self.globs.match(key) is not None

    def __bool__(self) -> bool:
        return bool(self.exact or self.domains or self.below or self.globs)


def address_set(patterns: Iterable[str]) -> AddressSet:
    """Build a set from patterns that `is_pattern` accepts."""
    exact: set[str] = set()
    domains: set[str] = set()
    below: list[str] = []
    globs: list[str] = []
    for pattern in map(normal_pattern, patterns):
        if pattern.startswith("@*.") and "*" not in pattern[3:]:
            below.append(pattern[2:])
        elif "*" in pattern:
            globs.append(fnmatch.translate(pattern))
        elif pattern.startswith("@"):
            domains.add(pattern[1:])
        else:
            exact.add(pattern)
    joined = re.compile("|".join(globs)) if globs else None
    return AddressSet(frozenset(exact), frozenset(domains), tuple(below), joined)
