"""Secrets by reference: the configuration says where a password lies, never what it is."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from config.errors import QuietcrmError

SecretKind = Literal["env", "file", "credential", "keyring"]
KINDS: tuple[SecretKind, ...] = ("env", "file", "credential", "keyring")
LARGEST_SECRET = 64 * 1024
KEYRING_USER = "quietcrm"


class SecretUnavailable(QuietcrmError):
    """The place a secret reference names holds nothing readable."""


class Secret:
    """A value that hides itself in logs, tracebacks and messages; `reveal` is the only way to it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself; hand it straight to the library that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a secret is not written anywhere")


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret lies: `kind` is env, file, credential or keyring, `name` what to look up there."""

    kind: SecretKind
    name: str

    def __str__(self) -> str:
        return f"{{{self.kind}: {self.name}}}"


def parse_ref(value: object) -> SecretRef | None:
    """`{env: X}`, `{file: path}`, `{credential: name}` or `{keyring: service}`; None if it is anything else."""
    if isinstance(value, SecretRef):
        return value
    if not isinstance(value, dict) or len(value) != 1:
        return None
    kind, name = next(iter(value.items()))
    if kind not in KINDS or not isinstance(name, str) or not name.strip():
        return None
    return SecretRef(cast(SecretKind, kind), name.strip())


def resolve(ref: SecretRef, *, base: Path) -> Secret:
    """Fetch the secret; relative files lie below `base`. Raises SecretUnavailable with what to do."""
    readers = {"env": _from_env, "credential": _from_credential, "keyring": _from_keyring}
    text = _from_file(base / ref.name) if ref.kind == "file" else readers[ref.kind](ref.name)
    if not text:
        raise SecretUnavailable(f"the secret {ref} is empty", hint="store the password there and start again")
    return Secret(text)


def loose_mode(path: Path) -> int | None:
    """The permission bits of `path` if group or others may use it, else None (also if it does not exist)."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None
    return mode if mode & 0o077 else None


def _from_env(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise SecretUnavailable(f"the environment variable {name} is not set", hint=f"set it: export {name}=...")
    return value


def _from_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_SECRET + 1)
        if len(raw) > LARGEST_SECRET:
            raise SecretUnavailable(f"{path} is too large for a secret", hint="put the password alone into the file")
        return raw.decode("utf-8").rstrip("\r\n")
    except OSError as error:
        hint = f"create it with the password on one line, then: chmod 600 {path}"
        raise SecretUnavailable(f"{path} cannot be read: {error.strerror}", hint=hint) from error
    except UnicodeDecodeError as error:
        raise SecretUnavailable(f"{path} is not text", hint="save it as UTF-8 text") from error


def _from_credential(name: str) -> str:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        hint = f"run under systemd with LoadCredential={name}:/path, or use {{env: ...}} or {{file: ...}}"
        raise SecretUnavailable(f"no credential {name}: CREDENTIALS_DIRECTORY is not set", hint=hint)
    if "/" in name or name.startswith("."):
        raise SecretUnavailable(f"{name} is not a credential name", hint="write the name given to LoadCredential=")
    return _from_file(Path(folder) / name)


def _from_keyring(service: str) -> str:
    import keyring  # slow to import and touches the desktop session: only when asked for
    import keyring.errors

    try:
        value = keyring.get_password(service, KEYRING_USER)
    except keyring.errors.KeyringError as error:
        hint = "use {env: ...} or {file: ...} on a machine without a keyring"
        raise SecretUnavailable(f"the keyring does not answer for {service}: {error}", hint=hint) from error
    if value is None:
        hint = f"store it: keyring set {service} {KEYRING_USER}"
        raise SecretUnavailable(f"the keyring has no entry {service}", hint=hint)
    return value
