"""What a sign-in left behind: one file for each person at a provider, in the state folder, closed to others.

    DIR/state/sign-in/KEY.json    tokens, what was granted, who it is; or with `keep: keyring` the same without tokens
    DIR/state/sign-in/KEY.lock    held while tokens are renewed, by whichever process does it

Written beside, synced, renamed and synced again: after a power cut there is the old file or the new one. Renewing
happens under the lock, reading included, so that two processes never spend the same refresh token.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from config.sign_in import SignIn

__all__ = ["Access", "Refused", "Shelf", "Signed", "shelf_folder"]

_KEYRING_SERVICE = "quietcrm sign-in"
_SLUG = re.compile(r"[^a-z0-9.@-]+")


@dataclass(frozen=True, slots=True)
class Access:
    """An access token. `until` is when it ends, `renew_at` when another is got; both in seconds since 1970."""

    token: str = field(repr=False)
    until: float
    renew_at: float


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider's last word: only a person can mend it. `at` in seconds since 1970."""

    code: str
    message: str
    hint: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """One sign-in.

    user, provider, client_id    whose it is
    who         the name that the provider gave for who signed in; "" if it gave none
    granted     scopes that were allowed
    access      access tokens by what they are for
    refused     what was refused last, by what it was for
    """

    user: str
    provider: str
    client_id: str
    at: float = 0.0
    who: str = ""
    granted: tuple[str, ...] = ()
    refresh_token: str = field(default="", repr=False)
    access: dict[str, Access] = field(default_factory=dict, repr=False)
    refused: dict[str, Refused] = field(default_factory=dict)


def shelf_folder(state: Path) -> Path:
    """Where the files lie."""
    return state / "sign-in"


@dataclass(frozen=True, slots=True)
class Shelf:
    """The place of one sign-in. Equal shelves are the same place."""

    folder: Path
    key: str
    in_keyring: bool = False

    @staticmethod
    def of(state: Path, sign_in: SignIn, user: str) -> Shelf:
        """The place for this person at this provider: accounts and senders with the same login share it."""
        parts = (sign_in.provider, sign_in.client_id or "", sign_in.organisation, sign_in.token or "", user.lower())
        digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]
        slug = _SLUG.sub("-", user.lower())[:60].strip("-.") or "user"
        return Shelf(shelf_folder(state), f"{slug}.{sign_in.provider}.{digest}", sign_in.keep == "keyring")

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / f"{self.key}.json"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with this sign-in, whatever other processes do. Ends with the process too. Raises OSError."""
        self._make_folder()
        lock = os.open(self.folder / f"{self.key}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._give_away(lock)
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def load(self) -> Signed | None:
        """What lies there; None if nobody signed in, or the file is none of ours. Raises OSError."""
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            if self.in_keyring:
                data |= json.loads(_from_keyring(self.key) or "{}")
            return _from_data(data)
        except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def save(self, signed: Signed) -> None:
        """On the disk for good when it returns. Call it inside `locked`. Raises OSError."""
        data = asdict(signed)
        if self.in_keyring:
            secret = {name: data.pop(name) for name in ("refresh_token", "access")}
            _to_keyring(self.key, json.dumps(secret))
        draft = self.folder / f".{self.key}.new"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            self._give_away(descriptor)
            json.dump(data, file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(descriptor)
        draft.replace(self.path)
        self._sync()

    def remove(self) -> bool:
        """Forget it. Call it inside `locked`. False if there was nothing. Raises OSError."""
        there = self.path.exists()
        self.path.unlink(missing_ok=True)
        if self.in_keyring:
            _from_keyring(self.key, forget=True)
        self._sync()
        return there

    def stamp(self) -> tuple[int, int]:
        """Changes whenever the file does; (0, 0) while there is none."""
        try:
            found = self.path.stat()
        except OSError:
            return 0, 0
        return found.st_mtime_ns, found.st_ino

    def _make_folder(self) -> None:
        fresh = not self.folder.exists()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if fresh:
            folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                self._give_away(folder)
            finally:
                os.close(folder)

    def _give_away(self, descriptor: int) -> None:
        """What root makes belongs to whom the state folder belongs to: `sudo quietcrm auth login` beside a daemon that
        runs as another user."""
        if os.geteuid() == 0:
            owner = self.folder.parent.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)

    def _sync(self) -> None:
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _from_data(data: dict[str, Any]) -> Signed:
    plain = Signed(**{name: data[name] for name in ("user", "provider", "client_id", "at", "who")})
    return replace(
        plain,
        granted=tuple(data["granted"]),
        refresh_token=str(data.get("refresh_token", "")),
        access={key: Access(**one) for key, one in data.get("access", {}).items()},
        refused={key: Refused(**one) for key, one in data["refused"].items()},
    )


def _to_keyring(key: str, secret: str) -> None:
    import keyring  # slow to import and touches the desktop session: only when asked for
    import keyring.errors

    try:
        keyring.set_password(_KEYRING_SERVICE, key, secret)
    except keyring.errors.KeyringError as error:
        raise OSError(f"the keyring does not take it: {error}") from error


def _from_keyring(key: str, *, forget: bool = False) -> str | None:
    import keyring
    import keyring.errors

    try:
        found: str | None = keyring.get_password(_KEYRING_SERVICE, key)
        if forget and found is not None:
            keyring.delete_password(_KEYRING_SERVICE, key)
    except keyring.errors.KeyringError as error:
        raise OSError(f"the keyring does not answer: {error}") from error
    return found
