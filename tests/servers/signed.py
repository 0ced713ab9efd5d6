"""A person who has signed in at the provider of the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from servers.identity import IdentityServer, settings_at

from config.sign_in import SignIn
from connectors.oauth.shelf import Shelf, Signed
from connectors.oauth.tokens import PersonTokens
from connectors.oauth.wire import Desk

USER = "ana@vendas.example"
NAME = "tests"


def sign_in_at(identity: IdentityServer, **more: Any) -> SignIn:
    """The settings of an account that signs in there."""
    return SignIn.model_validate({"provider": NAME, **identity.settings(**more)})


def desk_at(identity: IdentityServer, **more: Any) -> Desk:
    """The provider, as the account ana sees it."""
    return Desk("ana", sign_in_at(identity, **more), lambda: "", lambda: "")


def signed_in(identity: IdentityServer, state: Path, *, user: str = USER, **more: Any) -> PersonTokens:
    """Somebody signed in earlier; no access token is there yet."""
    sign_in = sign_in_at(identity, **more)
    shelf = Shelf.of(state, sign_in, user)
    refresh = identity.sign_in(user, scope="imap smtp openid offline_access").refresh
    with shelf.locked():
        shelf.save(Signed(user=user, provider=NAME, client_id="quietcrm", refresh_token=refresh, at=identity.now()))
    return PersonTokens(Desk("ana", sign_in, lambda: "", lambda: ""), user, sign_in.scopes, shelf)


def tokens_at(port: int, state: Path, *, user: str = USER) -> PersonTokens:
    """The same from another process."""
    sign_in = SignIn.model_validate({"provider": NAME, **settings_at(port)})
    return PersonTokens(
        Desk("ana", sign_in, lambda: "", lambda: ""), user, sign_in.scopes, Shelf.of(state, sign_in, user)
    )
