"""Access tokens that renew themselves: of a person who signed in, or of quietcrm as an application of its own.

A provider may replace the refresh token whenever it is used, and end the old one as soon as the new access token
shows up anywhere. So the new one is on the disk, synced, before the access token leaves this module: a crash at any
moment leaves a refresh token that is still good. See docs/adr/0011-tokens-on-disk-first.md.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from config.errors import QuietcrmError
from config.secrets import SecretUnavailable
from connectors.errors import AuthRejected, Misconfigured, Unavailable
from connectors.oauth.providers import identity_scopes, names_scopes
from connectors.oauth.shelf import Access, Refused, Shelf, Signed
from connectors.oauth.wire import Answer, Desk, Refusing
from connectors.refusals import login_command

__all__ = ["AppTokens", "PersonTokens", "access_of", "key_of"]

MARGIN = 300.0
"""Seconds before its end at which a token is renewed; half its life if that is short."""
ASK_AGAIN = 3600.0
"""Seconds after which a refusal is doubted: an administrator may have changed the rule that was behind it."""


def access_of(answer: Answer, now: float) -> Access:
    """The access token with its times."""
    return Access(answer.access_token, now + answer.life, now + max(answer.life - MARGIN, answer.life / 2))


def key_of(desk: Desk, scopes: tuple[str, ...]) -> str:
    """Under what an access token is kept: one for all where the provider gives one for all."""
    return " ".join(sorted(scopes)) if names_scopes(desk.sign_in) else ""


@dataclass(slots=True)
class PersonTokens:
    """`Tokens` of a person who signed in with `quietcrm auth login`. Equal ones ask the same provider for the same."""

    desk: Desk
    user: str
    scopes: tuple[str, ...]
    shelf: Shelf
    clock: Callable[[], float] = field(default=time.time, compare=False)
    _held: Access | None = field(default=None, init=False, repr=False, compare=False)
    _turn: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def bearer(self, *, refused: str = "") -> str:
        """A token that is good now, from memory if it can be, else from the disk, else from the provider."""
        held = self._held
        if held is not None and held.token != refused and self.clock() < held.renew_at:
            return held.token
        with self._turn:
            try:
                self._held = self._fetch(refused)
            except OSError as error:
                hint = f"let quietcrm's user write to {self.shelf.folder}"
                raise Unavailable(self.account, f"the sign-in cannot be kept: {error}", hint=hint) from error
            except SecretUnavailable as missing:
                raise Misconfigured(self.account, missing.message, hint=missing.hint) from missing
            return self._held.token

    def lasts(self, token: str) -> bool:
        """Whether this is still the token to use. Asks nobody."""
        held = self._held
        return held is not None and held.token == token and self.clock() < held.renew_at

    @property
    def account(self) -> str:
        """Whose errors these are."""
        return self.desk.account

    @property
    def key(self) -> str:
        """Under what these are kept."""
        return key_of(self.desk, self.scopes)

    def _fetch(self, refused: str) -> Access:
        with self.shelf.locked():  # another process may renew it this moment: then its token is ours
            signed = self.shelf.load()
            if signed is None or not signed.refresh_token:
                raise self._nobody(signed)
            kept = signed.access.get(self.key)
            if kept is not None and kept.token != refused and self.clock() < kept.renew_at:
                return kept
            self._respect(signed.refused.get(self.key))
            return self._renew(signed)

    def _renew(self, signed: Signed) -> Access:
        form = {"grant_type": "refresh_token", "refresh_token": signed.refresh_token}
        if names_scopes(self.desk.sign_in):
            form["scope"] = " ".join((*self.scopes, *identity_scopes(self.desk.sign_in)))
        try:
            answer = self.desk.tokens(form)
        except Refusing as refusing:
            raise self._refused(signed, refusing) from refusing
        access = access_of(answer, self.clock())
        self.shelf.save(
            replace(
                signed,
                refresh_token=answer.refresh_token or signed.refresh_token,
                access={**signed.access, self.key: access},
                refused={key: one for key, one in signed.refused.items() if key != self.key},
            )
        )
        return access

    def _refused(self, signed: Signed, refusing: Refusing) -> QuietcrmError:
        error = self.desk.rejected(refusing, scopes=self.scopes)
        if isinstance(error, AuthRejected):
            said = Refused(refusing.error, error.message, error.hint, self.clock())
            self.shelf.save(replace(signed, refused={**signed.refused, self.key: said}))
        return error

    def _respect(self, refused: Refused | None) -> None:
        """Do not ask again what was answered already; a clock that was set back must not silence us for long."""
        if refused is not None and 0 <= self.clock() - refused.at < ASK_AGAIN:
            raise AuthRejected(self.account, refused.message, hint=refused.hint)

    def _nobody(self, signed: Signed | None) -> AuthRejected:
        what = "signed out" if signed else "nobody has signed in yet"
        return AuthRejected(self.account, f"{what} for {self.user}", hint=f"run: {login_command(self.account)}")


@dataclass(slots=True)
class AppTokens:
    """`Tokens` of quietcrm itself (RFC 6749 4.4), by certificate or secret: got anew whenever needed, never kept."""

    desk: Desk
    scopes: tuple[str, ...]
    clock: Callable[[], float] = field(default=time.time, compare=False)
    _held: Access | None = field(default=None, init=False, repr=False, compare=False)
    _turn: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def bearer(self, *, refused: str = "") -> str:
        """A token that is good now. Raises AuthRejected, Misconfigured, Unavailable."""
        with self._turn:
            held = self._held
            if held is not None and held.token != refused and self.clock() < held.renew_at:
                return held.token
            try:
                answer = self.desk.tokens({"grant_type": "client_credentials", "scope": " ".join(self.scopes)})
            except Refusing as refusing:
                raise self.desk.rejected(refusing, scopes=self.scopes) from refusing
            except SecretUnavailable as missing:
                raise Misconfigured(self.desk.account, missing.message, hint=missing.hint) from missing
            self._held = access_of(answer, self.clock())
            return answer.access_token

    def lasts(self, token: str) -> bool:
        """Whether this is still the token to use. Asks nobody."""
        held = self._held
        return held is not None and held.token == token and self.clock() < held.renew_at
