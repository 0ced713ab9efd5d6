"""Keyed hashes: how the store remembers an address or a domain without holding it.

BLAKE2b with a secret key of this office (RFC 7693, section 2.9), 16 bytes, in hexadecimal.
Without the key file nobody can test whether an address is among the hashes.
"""

from __future__ import annotations

import os
import secrets
from hashlib import blake2b
from pathlib import Path

from config.values import ascii_domain, mail_key
from store.errors import StoreDamaged, StoreUnavailable

KEY_SIZE = 32


class HashKey:
    """The secret of this store. `id` names it without giving it away."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_SIZE:
            raise StoreDamaged(
                f"the hash key has {len(key)} bytes instead of {KEY_SIZE}",
                hint="restore state/hash.key from a backup: quietcrm db restore",
            )
        self._key = key

    @classmethod
    def load(cls, path: Path) -> HashKey:
        """Read the key file. StoreUnavailable if it is not there, StoreDamaged if it is no key."""
        try:
            text = path.read_text(encoding="ascii").strip()
            return cls(bytes.fromhex(text))
        except FileNotFoundError as error:
            raise StoreUnavailable(
                f"there is no hash key at {path}", hint="restore it from a backup: quietcrm db restore"
            ) from error
        except OSError as error:
            raise StoreUnavailable(f"cannot read {path}: {error.strerror}", hint=f"make {path} readable") from error
        except ValueError as error:
            raise StoreDamaged(
                f"{path} is no hash key", hint="restore it from a backup: quietcrm db restore"
            ) from error

    @classmethod
    def create(cls, path: Path) -> HashKey:
        """Make a new key file (mode 0600); if another process was faster, or there is one, load that."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = cls(secrets.token_bytes(KEY_SIZE))
        draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(key._key.hex() + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)  # fails if the name is taken: the file is never half written, never overwritten
        except FileExistsError:
            return cls.load(path)
        except OSError as error:
            raise StoreUnavailable(
                f"cannot write {path}: {error.strerror}", hint=f"make the folder {path.parent} writable"
            ) from error
        finally:
            draft.unlink(missing_ok=True)
        return key

    @property
    def id(self) -> str:
        """Eight digits that tell two keys apart; says nothing about the key."""
        return self._hash("key")[:8]

    def address(self, email: str) -> str:
        """Hash of an address, upper and lower case alike: "a:..."."""
        return "a:" + self._hash("address " + mail_key(email))

    def domain(self, domain: str) -> str:
        """Hash of a mail domain, upper and lower case alike: "d:..."."""
        return "d:" + self._hash("domain " + ascii_domain(domain.strip().rstrip(".")))

    def message(self, message_id: str) -> str:
        """Hash of a Message-ID that a mail answers: "m:...". Case counts, as in the header."""
        return "m:" + self._hash("message " + message_id.strip())

    def own_message(self, message_id: str) -> str:
        """Hash of the Message-ID an unmatched mail itself carries: "o:..."; a person may ask for it by its id."""
        return "o:" + self._hash("own message " + message_id.strip())

    def identity(self, text: str) -> str:
        """Hash of the identity of a mail (see store.identity), so that an unmatched mail cannot be guessed."""
        return "i:" + self._hash("identity " + text)

    def _hash(self, text: str) -> str:
        return blake2b(text.encode("utf-8", "surrogatepass"), key=self._key, digest_size=16).hexdigest()
