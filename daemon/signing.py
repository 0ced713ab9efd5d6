"""What `quietcrm auth` does: sign a person in, look how sign-ins stand, end one. Works beside a running daemon, which
sees the change by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from config.errors import QuietcrmError
from config.secrets import SecretRef, resolve
from config.settings import Settings
from config.state import state_directory
from connectors.errors import AuthRejected, Misconfigured
from connectors.oauth.household import Household, find_household, households
from connectors.oauth.login import BrowserLogin, DeviceLogin, TypedCode, revoke
from connectors.oauth.opening import Party
from connectors.oauth.providers import admin_consent_url, identity_scopes
from connectors.oauth.shelf import Signed
from connectors.oauth.tokens import AppTokens, PersonTokens
from connectors.oauth.wire import Answer, Desk
from connectors.refusals import login_command
from store.errors import NotFound

PATIENCE = 600.0
"""Seconds that a person has to sign in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How a person is asked. `show_page` and `show_code` put the address or the code before them; `typed` is where they
    may paste the address at which their browser ended."""

    show_page: Callable[[str, str], None]
    show_code: Callable[[TypedCode], None]
    typed: TextIO | None = None
    device: bool = False
    port: int = 0


@dataclass(frozen=True, slots=True)
class Signing:
    """The sign-ins of one office."""

    settings: Settings
    directory: Path

    @property
    def state(self) -> Path:
        """The state folder."""
        return state_directory(self.directory)

    def household(self, name: str) -> Household:
        """That of an account or sender. Raises NotFound, Misconfigured."""
        found = find_household(self.settings, self.state, name)
        if found is not None:
            return found
        if name in {**self.settings.accounts, **self.settings.calendars, **self.settings.senders}:
            hint = "set sign_in: instead of password: in quietcrm.yaml; see docs/how-to/microsoft-365.md and google.md"
            raise Misconfigured(name, f'"{name}" does not sign in at a provider', hint=hint)
        known = [name for one in households(self.settings, self.state) for name in one.names]
        hint = f"these sign in: {', '.join(known)}" if known else "set sign_in: for an account in quietcrm.yaml first"
        raise NotFound(f'no account, calendar or sender "{name}"', hint=hint)

    def consent_page(self, household: Household) -> str:
        """Where an administrator allows everything that is asked for; "" if there is no such page."""
        sign_in = household.first.sign_in
        return admin_consent_url(sign_in, (*household.scopes, *identity_scopes(sign_in)), "http://localhost")

    def sign_in(self, household: Household, asking: Asking) -> dict[str, Any]:
        """Have the person sign in, keep it, and get every token once. Raises ConnectorError."""
        first, desk = household.first, self._desk(household.first)
        if not first.sign_in.by_itself:
            answer = self._ask(household, desk, asking)
            if not answer.refresh_token:
                hint = "let the registration allow offline access, or add its scope to scopes:"
                raise AuthRejected(first.name, "the provider gives no lasting sign-in (no refresh token)", hint=hint)
            shelf = first.shelf(self.state)
            with shelf.locked():
                shelf.save(household.signed(desk, answer, time.time()))
        self._try_all(household)
        return self.standing(household)

    def _ask(self, household: Household, desk: Desk, asking: Asking) -> Answer:
        first = household.first
        if asking.device or first.sign_in.way == "device":
            by_code = DeviceLogin(desk, household.scopes, first.scopes)
            asking.show_code(by_code.code)
            return by_code.wait()
        with BrowserLogin(desk, first.user, household.scopes, first.scopes, port=asking.port) as attempt:
            asking.show_page(attempt.url, attempt.redirect)
            return attempt.redeem(attempt.wait(PATIENCE, typed=asking.typed))

    def _try_all(self, household: Household) -> None:
        """One token for each thing that is needed: what was not allowed shows now, not at night."""
        errors = []
        for party in household.parties:
            try:
                self._tokens(party).bearer()
            except AuthRejected as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def end(self, household: Household) -> dict[str, Any]:
        """Forget a sign-in, and tell the provider where it can be told. Raises ConnectorError, NotFound."""
        first, told = household.first, False
        if first.sign_in.by_itself:
            hint = "take sign_in: out of quietcrm.yaml, and the certificate out of the registration"
            raise Misconfigured(first.name, "quietcrm signs in by itself here: nothing is kept", hint=hint)
        shelf = first.shelf(self.state)
        with shelf.locked():
            signed = shelf.load()
            if signed is None:
                raise NotFound(
                    f"nobody has signed in for {first.name}", hint=f"to sign in: {login_command(first.name)}"
                )
            trouble = ""
            try:
                told = revoke(self._desk(first), signed.refresh_token)
            except QuietcrmError as error:  # what is kept here goes all the same
                trouble = error.message
            shelf.remove()
        return {"names": household.names, "user": first.user, "told_provider": told, "trouble": trouble}

    def standings(self) -> list[dict[str, Any]]:
        """How each sign-in stands. Asks nobody."""
        return [self.standing(one) for one in households(self.settings, self.state)]

    def standing(self, household: Household) -> dict[str, Any]:
        """How one stands: who, since when, what for, and what is wrong with it, as plain data."""
        first = household.first
        signed = None if first.sign_in.by_itself else first.shelf(self.state).load()
        state, reason, hint = _verdict(household, signed)
        return {
            "names": household.names,
            "provider": first.sign_in.provider,
            "user": "" if first.sign_in.by_itself else first.user,
            "who": signed.who if signed else "",
            "state": state,
            "reason": reason,
            "hint": hint,
            "signed_in_at": _time(signed.at) if signed else None,
            "token_until": _time(max((one.until for one in signed.access.values()), default=0)) if signed else None,
            "needed": household.scopes,
            "granted": signed.granted if signed else (),
        }

    def _desk(self, party: Party) -> Desk:
        return party.desk(self._secret)

    def _tokens(self, party: Party) -> PersonTokens | AppTokens:
        if party.sign_in.by_itself:
            return AppTokens(self._desk(party), party.scopes)
        return PersonTokens(self._desk(party), party.user, party.scopes, party.shelf(self.state))

    def _secret(self, ref: SecretRef | None) -> str:
        return resolve(ref, base=self.directory).reveal() if ref else ""


def _verdict(household: Household, signed: Signed | None) -> tuple[str, str, str]:
    """(state, reason, hint): `ok`, `by itself`, `refused` or `not signed in`."""
    login = login_command(household.first.name)
    if household.first.sign_in.by_itself:
        return "by itself", "", "see: quietcrm doctor"
    if signed is None or not signed.refresh_token:
        return "not signed in", "nobody has signed in yet", f"run: {login}"
    if refusal := household.refusal(signed):
        return "refused", refusal.message, refusal.hint
    if missing := household.missing(signed):
        return "refused", f"not allowed yet: {', '.join(missing)}", f"sign in again: {login}"
    return "ok", "", ""


def _time(seconds: float) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def strangers(standing: dict[str, Any]) -> Iterator[str]:
    """A remark where somebody else than the mailbox's owner signed in; aliases look like that too."""
    who, user = standing["who"], standing["user"]
    if who and user and who.lower() != user.lower():
        yield f"{who} signed in, and the mailbox is {user}: fine if that is the same person"
