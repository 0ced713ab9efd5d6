"""The documented refusals of Microsoft, Google and mail servers: each gives its cause, its remedy and the one command.

The answers are in the providers' own form (Microsoft: error, error_description and error_codes; Google: error and
error_subtype), the SMTP and IMAP ones in the words of their documentation.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from servers.identity import Fault, IdentityServer
from servers.signed import USER, sign_in_at
from servers.smtp_sink import Answer, SmtpSink

from config.sign_in import SignIn
from connectors.errors import AuthRejected
from connectors.oauth.shelf import Shelf, Signed
from connectors.oauth.tokens import PersonTokens
from connectors.oauth.wire import Desk, Refusing
from connectors.refusals import REFUSALS, find_refusal
from connectors.smtp.mailer import SmtpMailer
from connectors.smtp.opening import SmtpSettings

TRACE = "Trace ID: 0a7e0d42-0000-4a6f-9a7b-aaaaaaaaaaaa Correlation ID: b1 Timestamp: 2026-11-16 12:00:00Z"


def microsoft(number: int, text: str, error: str = "invalid_grant") -> Fault:
    description = f"AADSTS{number}: {text} {TRACE}"
    return Fault(error=error, text=description, more={"error_codes": [number], "suberror": "", "trace_id": "0a7e0d42"})


MICROSOFT = [
    (
        microsoft(65001, "The user or administrator has not consented to use the application with ID '1'."),
        "nobody has allowed",
        "adminconsent",
    ),
    (microsoft(90094, "The grant requires admin permission."), "only an administrator may allow", "adminconsent"),
    (microsoft(65004, "User declined to consent to access the app."), "declined", "accept the question"),
    (
        microsoft(
            50076, "Due to a configuration change made by your administrator, you must use multi-factor authentication."
        ),
        "second factor",
        "sign in again",
    ),
    (
        microsoft(50079, "The user is required to use multi-factor authentication.", "interaction_required"),
        "register a second factor",
        "register it",
    ),
    (
        microsoft(53003, "Access has been blocked by Conditional Access policies."),
        "conditional access",
        "on a computer of the office",
    ),
    (
        microsoft(53003, "Access has been blocked by Conditional Access policies (device code flow)."),
        "forbids sign-in by device code",
        "--no-browser",
    ),
    (microsoft(53000, "Device is not in required device state: compliant."), "managed computers", "managed computer"),
    (
        microsoft(7000112, "Application '1'(quietcrm) is disabled.", "unauthorized_client"),
        "application is disabled",
        "Enterprise applications",
    ),
    (
        microsoft(7000222, "The provided client secret keys for app '1' are expired.", "invalid_client"),
        "secret has expired",
        "Certificates & secrets",
    ),
    (microsoft(7000215, "Invalid client secret provided.", "invalid_client"), "secret is wrong", "not its id"),
    (
        microsoft(
            700027,
            "The certificate with identifier used to sign the client assertion is not registered on application.",
            "invalid_client",
        ),
        "certificate is not the one",
        "upload certificate:",
    ),
    (
        microsoft(7000218, "The request body must contain: 'client_assertion' or 'client_secret'.", "invalid_client"),
        "keeps a secret",
        "public client flows",
    ),
    (
        microsoft(700016, "Application with identifier '1' was not found in the directory.", "unauthorized_client"),
        "not known in this organisation",
        "compare client_id:",
    ),
    (
        microsoft(
            50011, "The redirect URI 'http://localhost:1' specified in the request does not match.", "invalid_request"
        ),
        "come back to is not registered",
        "http://localhost",
    ),
    (microsoft(90002, "Tenant 'nowhere.example' not found.", "invalid_request"), "no such tenant", "correct tenant:"),
    (
        microsoft(50194, "Application '1' is not configured as a multi-tenant application.", "invalid_request"),
        "belongs to one organisation",
        "set tenant:",
    ),
    (
        microsoft(500011, "The resource principal named https://x was not found in the tenant.", "invalid_resource"),
        "does not know the service",
        "compare tenant:",
    ),
    (
        microsoft(50020, "User account 'ana@gmail.com' from identity provider 'live.com' does not exist in tenant."),
        "another organisation",
        "as its owner",
    ),
    (microsoft(50034, "The user account does not exist in the directory."), "no such person", "correct login:"),
    (microsoft(50057, "The user account is disabled."), "login is disabled", "enables it"),
    (microsoft(50053, "The account is locked, you've tried to sign in too many times."), "locked", "unlocked"),
    (
        microsoft(50105, "The signed in user is not assigned to a role for the application."),
        "not among those",
        "assigns the person",
    ),
    (microsoft(700082, "The refresh token has expired due to inactivity."), "not used for too long", "sign in again"),
    (
        microsoft(
            70043, "The refresh token has expired or is invalid due to sign-in frequency checks by conditional access."
        ),
        "from time to time",
        "sign in again",
    ),
    (
        microsoft(50173, "The provided grant has expired due to it being revoked, a fresh auth token is needed."),
        "password was changed",
        "sign in again",
    ),
    (microsoft(50055, "The password is expired."), "password has expired", "set a new password"),
    (
        microsoft(50158, "External security challenge not satisfied.", "interaction_required"),
        "further check",
        "sign in again",
    ),
    (
        microsoft(70008, "The provided authorization code or refresh token has expired.", "invalid_grant"),
        "has expired",
        "sign in again",
    ),
    (
        microsoft(70011, "The provided value for the input parameter 'scope' is not valid.", "invalid_scope"),
        "not known",
        "correct scopes:",
    ),
]

GOOGLE = [
    (
        Fault(error="invalid_grant", text="Token has been expired or revoked."),
        "after 7 days while the application is in testing",
        "publish the application",
    ),
    (Fault(error="access_denied", text="The app is in testing"), "no test user", "add the person as a test user"),
    (Fault(error="admin_policy_enforced", text=""), "administrator of the Google Workspace", "API controls"),
    (Fault(error="org_internal", text=""), "another Workspace's", "correct client_id:"),
    (
        Fault(error="invalid_client", text="The OAuth client was not found."),
        "does not know this client",
        "compare client_id:",
    ),
    (Fault(error="deleted_client", text="The OAuth client was deleted."), "was deleted", "make a new one"),
    (
        Fault(error="redirect_uri_mismatch", text="Bad Request"),
        "not registered as a desktop application",
        "type Desktop app",
    ),
]

ANYWHERE = [
    (Fault(error="invalid_client"), "does not know this client", "correct client_id:"),
    (Fault(error="unauthorized_client"), "may not sign in this way", "allow the flow"),
    (Fault(error="unsupported_grant_type"), "does not offer this way", "another flow:"),
    (Fault(error="invalid_scope"), "not known", "correct scopes:"),
    (Fault(error="consent_required"), "nobody has allowed", "allow it after"),
    (Fault(error="interaction_required"), "wants to see the person", "sign in again"),
    (Fault(error="login_required"), "wants to see the person", "sign in again"),
    (Fault(error="expired_token"), "not typed in in time", "--device"),
    (Fault(error="access_denied"), "declined", "accept the question"),
    (Fault(error="invalid_grant"), "has expired or was revoked", "sign in again"),
    (
        Fault(error="something_new", text="never heard of"),
        "refuses the sign-in (something_new: never heard of)",
        "sign in again",
    ),
]

ALL = [
    *(("microsoft", *row) for row in MICROSOFT),
    *(("google", *row) for row in GOOGLE),
    *(("tests", *row) for row in ANYWHERE),
]


def refused(identity: IdentityServer, state: Path, provider: str, fault: Fault) -> AuthRejected:
    """What comes of a renewal that is answered like that."""
    sign_in: SignIn = sign_in_at(identity, provider=provider)
    shelf = Shelf.of(state, sign_in, USER)
    with shelf.locked():
        shelf.save(Signed(user=USER, provider=provider, client_id="quietcrm", refresh_token="r"))
    desk = Desk("ana", sign_in, lambda: "", lambda: "")
    identity.faults.append(fault)
    with pytest.raises(AuthRejected) as caught:
        PersonTokens(desk, USER, ("mail",), shelf).bearer()
    return caught.value


@pytest.mark.parametrize(("provider", "fault", "cause", "remedy"), ALL)
def test_a_refusal_names_its_cause_and_its_remedy(
    provider: str, fault: Fault, cause: str, remedy: str, identity: IdentityServer, tmp_path: Path
) -> None:
    error = refused(identity, tmp_path, provider, fault)
    assert cause in error.message
    wanted = "the provider's page for administrators" if remedy == "adminconsent" else remedy
    assert wanted in error.hint
    assert "quietcrm auth login ana" in error.hint or "quietcrm.yaml" in error.hint
    assert "Trace ID" not in error.message
    assert "{" not in error.hint


def test_the_administrators_page_is_named_whole() -> None:
    sign_in = SignIn(provider="microsoft", client_id="1234", tenant="vendas.example")
    desk = Desk("ana", sign_in, lambda: "", lambda: "")
    refusing = Refusing("invalid_grant", "AADSTS65001: The user or administrator has not consented.")
    error = desk.rejected(refusing, scopes=("https://graph.microsoft.com/Mail.ReadWrite",))
    page = "https://login.microsoftonline.com/vendas.example/v2.0/adminconsent?client_id=1234"
    assert error.hint.startswith(
        f"an administrator opens {page}&scope=https%3A%2F%2Fgraph.microsoft.com%2FMail.ReadWrite"
    )
    assert error.hint.endswith("and accepts; then quietcrm auth login ana")


SENDING = [
    (
        "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled",
        "switched off in this organisation",
        "Set-TransportConfig",
    ),
    (
        "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox.",
        "switched off for this mailbox",
        "Authenticated SMTP",
    ),
    (
        "5.7.139 Authentication unsuccessful, basic authentication is disabled.",
        "takes no passwords",
        "sign_in: microsoft",
    ),
    (
        "5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully.",
        "refused the login",
        "sign-in log",
    ),
    (
        "5.7.8 Username and Password not accepted. For more information, go to https://support.google.com/mail/?p=BadCredentials",
        "own password no more",
        "apppasswords",
    ),
    (
        "5.7.9 Application-specific password required. Learn more at https://support.google.com/mail/?p=InvalidSecondFactor",
        "wants an app password",
        "apppasswords",
    ),
]


@pytest.mark.parametrize(("said", "cause", "remedy"), SENDING)
def test_a_refusal_of_an_smtp_server(said: str, cause: str, remedy: str) -> None:
    with SmtpSink(users={"ana": "right"}) as sink:
        sink.answers["auth", ""] = Answer(code=535, text=said)
        settings = SmtpSettings(
            account="ana", host=sink.host, port=sink.port, security="none", login="ana", password="wrong"
        )
        with pytest.raises(AuthRejected) as caught:
            SmtpMailer(settings).check()
        assert cause in caught.value.hint
        assert remedy in caught.value.hint


READING = [
    (
        "NO [ALERT] Application-specific password required: https://support.google.com/accounts/answer/185833",
        "imap.gmail.com",
        "app password",
    ),
    ("NO AUTHENTICATE failed.", "outlook.office365.com", "Microsoft takes no passwords"),
    ("BAD User is authenticated but not connected.", "outlook.office365.com", "may not open this mailbox"),
    (
        "NO [ALERT] Your account is not enabled for IMAP use. Please visit your Gmail settings page",
        "imap.gmail.com",
        "IMAP is switched off",
    ),
]


@pytest.mark.parametrize(("said", "host", "cause"), READING)
def test_a_refusal_of_an_imap_server(said: str, host: str, cause: str) -> None:
    is_login = "connected" not in said
    row = find_refusal(said, code="password" if is_login else "", provider=host)
    assert row is not None
    assert cause in row.cause
    assert row.remedy


def test_every_row_is_tried() -> None:
    """A row that no test reaches may be dead, or shadowed by one above it."""
    tried = [find_refusal(fault.text, code=fault.error, provider=provider) for provider, fault, *_ in ALL]
    tried += [find_refusal(said, code="password") for said, *_ in SENDING]
    tried += [
        find_refusal(said, code="" if "connected" in said else "password", provider=host) for said, host, _ in READING
    ]
    assert [row.cause for row in REFUSALS if row not in tried] == []
    assert len(REFUSALS) >= 24


def test_words_are_words() -> None:
    for row in REFUSALS:
        assert not re.search(r"[.:;]$", row.cause), row
        assert set(re.findall(r"\{(\w*)\}", row.remedy)) <= {"login", "consent"}, row
        assert all(word == word.lower() for word in row.words), row
