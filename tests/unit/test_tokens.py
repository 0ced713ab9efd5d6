"""Access tokens on a real provider: renewed in time, kept before they are used, refused in words that help."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from servers.identity import Fault, IdentityServer, Rotation
from servers.signed import USER, desk_at, sign_in_at, signed_in

from connectors.errors import AuthRejected, Misconfigured, ProtocolViolation, Throttled, Unavailable
from connectors.oauth.shelf import Shelf, Signed
from connectors.oauth.tokens import ASK_AGAIN, AppTokens, PersonTokens
from connectors.oauth.wire import Desk
from connectors.protocols import Expiring, Tokens

START = 1_800_000_000.0


class Hands:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def hands(identity: IdentityServer) -> Hands:
    made = Hands()
    identity.now = made
    return made


@pytest.fixture
def tokens(identity: IdentityServer, hands: Hands, tmp_path: Path) -> PersonTokens:
    return replace(signed_in(identity, tmp_path), clock=hands)


def test_the_shape() -> None:
    made = PersonTokens(None, USER, (), Shelf(Path("x"), "y"))  # type: ignore[arg-type]
    assert isinstance(made, Tokens)
    assert isinstance(made, Expiring)


def test_a_token_is_got_once_and_renewed_five_minutes_early(
    identity: IdentityServer, hands: Hands, tokens: PersonTokens
) -> None:
    first = tokens.bearer()
    assert identity.seen(first)
    hands.at += 3299
    assert tokens.bearer() == first
    assert tokens.lasts(first)
    assert identity.questions("refresh_token") == 1
    hands.at += 1
    assert not tokens.lasts(first)
    second = tokens.bearer()
    assert second != first
    assert tokens.lasts(second)
    assert identity.questions("refresh_token") == 2


def test_a_short_life_is_renewed_at_its_half(identity: IdentityServer, hands: Hands, tokens: PersonTokens) -> None:
    identity.life = 60
    first = tokens.bearer()
    hands.at += 29
    assert tokens.bearer() == first
    hands.at += 1
    assert tokens.bearer() != first


@pytest.mark.parametrize("rotation", ["stays", "replaced", "ends_on_use", "ends_at_once"])
def test_every_way_to_rotate(rotation: Rotation, identity: IdentityServer, hands: Hands, tokens: PersonTokens) -> None:
    identity.rotation = rotation
    for _ in range(5):
        assert identity.seen(tokens.bearer())
        hands.at += 3600
    assert identity.questions("refresh_token") == 5


def test_what_is_on_the_disk_when_a_token_is_handed_out(identity: IdentityServer, tokens: PersonTokens) -> None:
    access = tokens.bearer()
    kept = tokens.shelf.load()
    assert kept is not None
    assert kept.refresh_token == identity.tokens[-1].refresh
    assert kept.access[""].token == access
    assert oct(tokens.shelf.path.stat().st_mode & 0o777) == "0o600"
    assert oct(tokens.shelf.folder.stat().st_mode & 0o777) == "0o700"
    assert sorted(path.suffix for path in tokens.shelf.folder.iterdir()) == [".json", ".lock"]


def test_the_new_refresh_token_is_synced_before_anybody_gets_the_access_token(
    identity: IdentityServer, tokens: PersonTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk fails, nobody has used the new token, and the old one is still good where that is the rule."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(Unavailable, match="cannot be kept"):
            tokens.bearer()
    assert identity.seen(tokens.bearer())


def test_another_process_has_renewed_already(identity: IdentityServer, hands: Hands, tokens: PersonTokens) -> None:
    other = replace(tokens, clock=hands)
    first = other.bearer()
    assert tokens.bearer() == first
    hands.at += 3400
    second = tokens.bearer()
    assert other.bearer() == second
    assert identity.questions("refresh_token") == 2


def test_many_threads_and_objects_ask_once(identity: IdentityServer, tokens: PersonTokens) -> None:
    identity.rotation = "ends_at_once"
    others = [tokens, *(replace(tokens) for _ in range(7))]
    with ThreadPoolExecutor(16) as pool:
        got = set(pool.map(lambda number: others[number % 8].bearer(), range(64)))
    assert len(got) == 1
    assert identity.questions("refresh_token") == 1


def test_a_refused_token_is_renewed_once_and_for_all(identity: IdentityServer, tokens: PersonTokens) -> None:
    other = replace(tokens)
    first = tokens.bearer()
    assert other.bearer() == first
    second = tokens.bearer(refused=first)
    assert other.bearer(refused=first) == second
    assert identity.questions("refresh_token") == 2


def test_a_revoked_sign_in_is_asked_about_once_an_hour(
    identity: IdentityServer, hands: Hands, tokens: PersonTokens
) -> None:
    identity.end_all()
    for _ in range(20):
        with pytest.raises(AuthRejected) as caught:
            tokens.bearer()
        assert caught.value.hint == "sign in again: quietcrm auth login ana"
        hands.at += 60
    assert identity.questions("refresh_token") == 1
    hands.at += ASK_AGAIN
    with pytest.raises(AuthRejected):
        tokens.bearer()
    assert identity.questions("refresh_token") == 2


def test_a_refusal_is_no_refusal_for_other_things(identity: IdentityServer, tmp_path: Path) -> None:
    """Microsoft's tokens are for one resource each: mail may be sent although reading was never allowed."""
    places = {"authorize": identity.url("authorize"), "token": identity.url("token")}
    settings = {"provider": "microsoft", "client_id": "quietcrm", **places}
    sign_in = sign_in_at(identity).model_validate(settings)
    shelf = Shelf.of(tmp_path, sign_in, USER)
    scope = "https://outlook.office.com/SMTP.Send https://outlook.office.com/IMAP.AccessAsUser.All openid"
    refresh = identity.sign_in(USER, scope=f"{scope} profile email offline_access").refresh
    with shelf.locked():
        shelf.save(Signed(user=USER, provider="microsoft", client_id="quietcrm", refresh_token=refresh))
    desk = Desk("ana", sign_in, lambda: "", lambda: "")
    read = PersonTokens(desk, USER, ("https://outlook.office.com/IMAP.AccessAsUser.All",), shelf)
    send = PersonTokens(desk, USER, ("https://outlook.office.com/SMTP.Send",), shelf)
    identity.faults.append(Fault(error="invalid_grant", text="AADSTS65001: no consent", more={"error_codes": [65001]}))
    with pytest.raises(AuthRejected, match="nobody has allowed"):
        read.bearer()
    token = identity.seen(send.bearer())
    assert token is not None
    assert token.scope.split()[0] == "https://outlook.office.com/SMTP.Send"
    with pytest.raises(AuthRejected):
        read.bearer()


def test_nobody_has_signed_in(identity: IdentityServer, tmp_path: Path) -> None:
    sign_in = sign_in_at(identity)
    tokens = PersonTokens(desk_at(identity), USER, sign_in.scopes, Shelf.of(tmp_path, sign_in, USER))
    with pytest.raises(AuthRejected, match="nobody has signed in yet") as caught:
        tokens.bearer()
    assert caught.value.hint == "run: quietcrm auth login ana"
    assert identity.asked == []


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"user": 1}', '{"refused": {"": 3}}', "\x00\xff"])
def test_a_file_of_somebody_else_is_no_sign_in(content: str, tokens: PersonTokens) -> None:
    tokens.shelf.path.write_text(content)
    with pytest.raises(AuthRejected, match="nobody has signed in"):
        tokens.bearer()


ANSWERS: list[tuple[Fault, type[Exception]]] = [
    (Fault(status=500, body="<html>oops</html>"), Unavailable),
    (Fault(status=503, body="", headers=(("Retry-After", "40"),)), Throttled),
    (Fault(status=429, body="{}", headers=(("Retry-After", "7"),)), Throttled),
    (Fault(status=429, body=""), Unavailable),
    (Fault(status=502, body='{"error": "invalid_grant"}'), Unavailable),
    (Fault(status=200, body="<html>Wi-Fi of the hotel: please accept</html>"), ProtocolViolation),
    (Fault(status=302, body="", headers=(("Location", "https://captive.example/"),)), ProtocolViolation),
    (Fault(status=404, body="nothing here"), ProtocolViolation),
    (Fault(status=200, body="{}"), ProtocolViolation),
    (Fault(status=200, body='{"access_token": ""}'), ProtocolViolation),
    (Fault(status=200, body='{"access_token": "a b\\r\\nX: y"}'), ProtocolViolation),
    (Fault(status=200, body='{"access_token": "x", "token_type": "mac"}'), ProtocolViolation),
    (Fault(status=200, body="[" * 200_000), ProtocolViolation),
    (Fault(status=200, body="x" * 1_100_000), Unavailable),
    (Fault(error="temporarily_unavailable"), Unavailable),
    (Fault(error="server_error"), Unavailable),
    (Fault(done=True), Unavailable),
]


@pytest.mark.parametrize(("fault", "error"), ANSWERS)
def test_an_odd_answer_is_told_and_tried_again_later(
    fault: Fault, error: type[Exception], identity: IdentityServer, tokens: PersonTokens
) -> None:
    identity.rotation = "ends_on_use"
    identity.faults.append(fault)
    with pytest.raises(error) as caught:
        tokens.bearer()
    assert type(caught.value) is error
    assert identity.seen(tokens.bearer())


def test_a_provider_that_is_not_there(identity: IdentityServer, tokens: PersonTokens) -> None:
    identity.stop()
    with pytest.raises(Unavailable, match="cannot be reached"):
        tokens.bearer()


def test_the_same_token_again_ends_no_loop(identity: IdentityServer, tokens: PersonTokens) -> None:
    same = Fault(status=200, body=json.dumps({"access_token": "same", "token_type": "Bearer", "expires_in": 3600}))
    identity.faults += [same, same]
    assert tokens.bearer() == "same"
    assert tokens.bearer(refused="same") == "same"
    assert identity.faults == []


@pytest.mark.parametrize("life", ['"3600"', "3600.5", "null", '"soon"', "-5", "1e300", "[]"])
def test_lives_as_providers_write_them(life: str, identity: IdentityServer, tokens: PersonTokens) -> None:
    identity.faults.append(Fault(status=200, body=f'{{"access_token": "x", "expires_in": {life}}}'))
    assert tokens.bearer() == "x"


def test_what_a_provider_says_neither_steers_a_terminal_nor_grows(
    identity: IdentityServer, tokens: PersonTokens
) -> None:
    identity.faults.append(Fault(error="invalid_grant", text="\x1b[31m" + "x" * 5000))
    with pytest.raises(AuthRejected) as caught:
        tokens.bearer()
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 500


def test_no_token_shows_in_words(identity: IdentityServer, tokens: PersonTokens) -> None:
    access = tokens.bearer()
    kept = tokens.shelf.load()
    assert kept is not None
    shown = f"{tokens!r} {kept!r} {tokens.desk!r}"
    assert access not in shown
    assert kept.refresh_token not in shown


def _pair() -> tuple[str, str]:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "quietcrm")])
    day = datetime(2026, 1, 1, tzinfo=UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(day).not_valid_after(day + timedelta(days=3650))
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode(), pem.decode()


@pytest.fixture
def of_its_own(identity: IdentityServer, tmp_path: Path) -> Callable[[str], AppTokens]:
    from cryptography.x509 import load_pem_x509_certificate
    from servers.identity import Client

    certificate, key = _pair()
    (tmp_path / "quietcrm.pem").write_text(certificate)
    public = load_pem_x509_certificate(certificate.encode()).public_key()
    from cryptography.hazmat.primitives import serialization

    form = serialization.PublicFormat.SubjectPublicKeyInfo
    pem = public.public_bytes(serialization.Encoding.PEM, form).decode()
    identity.clients["quietcrm"] = Client("quietcrm", public_key=pem)

    def make(private: str = "") -> AppTokens:
        more = {"certificate": str(tmp_path / "quietcrm.pem"), "key": {"env": "KEY"}}
        return AppTokens(Desk("ana", sign_in_at(identity, **more), lambda: "", lambda: private or key), ("imap",))

    return make


def test_an_application_shows_its_certificate(
    identity: IdentityServer, of_its_own: Callable[[str], AppTokens], hands: Hands
) -> None:
    tokens = replace(of_its_own(""), clock=hands)
    # The assertion's own times are of this moment: no clock of a test stands in a certificate.
    first = tokens.bearer()
    assert identity.seen(first)
    assert tokens.bearer() == first
    assert tokens.bearer(refused=first) != first
    hands.at += 3400
    assert identity.seen(tokens.bearer())
    assert identity.questions("client_credentials") == 3


def test_a_key_that_fits_no_certificate(identity: IdentityServer, of_its_own: Callable[[str], AppTokens]) -> None:
    with pytest.raises(AuthRejected, match="does not know this client"):
        of_its_own(_pair()[1]).bearer()
    with pytest.raises(Misconfigured, match="cannot be used"):
        of_its_own("no key at all").bearer()


def test_a_client_with_a_secret(identity: IdentityServer, tmp_path: Path) -> None:
    from servers.identity import Client

    identity.clients["quietcrm"] = Client("quietcrm", secret="s3cret")
    tokens = signed_in(identity, tmp_path, client_secret={"env": "SECRET"})
    tokens.desk = Desk("ana", tokens.desk.sign_in, lambda: "s3cret", lambda: "")
    assert identity.seen(tokens.bearer())


def test_slow_answers_hold_nobody_who_has_a_token(identity: IdentityServer, tokens: PersonTokens, hands: Hands) -> None:
    first = tokens.bearer()
    held = threading.Event()
    identity.faults.append(Fault(wait=held))
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(tokens.bearer, refused=first)
        assert tokens.bearer() == first  # they may still use it; only who was refused waits
        held.set()
        assert slow.result() != first


def test_the_keyring_keeps_the_tokens_and_the_file_does_not(
    identity: IdentityServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keyring

    class Memory(keyring.backend.KeyringBackend):
        priority = 1  # type: ignore[assignment]

        def __init__(self) -> None:
            self.kept: dict[tuple[str, str], str] = {}

        def get_password(self, service: str, username: str) -> str | None:
            return self.kept.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            self.kept[service, username] = password

        def delete_password(self, service: str, username: str) -> None:
            del self.kept[service, username]

    ring = Memory()
    monkeypatch.setattr(keyring.core, "_keyring_backend", ring)
    tokens = signed_in(identity, tmp_path, keep="keyring")
    access = tokens.bearer()
    text = tokens.shelf.path.read_text()
    kept = tokens.shelf.load()
    assert kept is not None
    assert kept.access[""].token == access
    assert access not in text
    assert kept.refresh_token not in text
    assert tokens.bearer(refused=access) != access
    with tokens.shelf.locked():
        assert tokens.shelf.remove()
    assert ring.kept == {}
    with pytest.raises(AuthRejected):
        replace(tokens).bearer()
