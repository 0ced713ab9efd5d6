"""What servers and providers say when they let nobody in, with the cause and the remedy in words for an office.

One table. The first row that fits wins, so what is special stands above what is general. Sources:
https://learn.microsoft.com/entra/identity-platform/reference-error-codes, RFC 6749 4.1.2.1 and 5.2, RFC 8628 3.5,
https://developers.google.com/identity/protocols/oauth2/web-server#authorization-errors,
https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/authenticated-client-smtp-submission,
https://support.google.com/mail/answer/7126229 and https://support.google.com/accounts/answer/185833.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["REFUSALS", "Refusal", "find_refusal", "login_command"]

_CODE = re.compile(r"AADSTS\d{5,8}|\b[45]\.\d{1,3}\.\d{1,3}\b")


@dataclass(frozen=True, slots=True)
class Refusal:
    """One documented refusal.

    code    what identifies it: AADSTS number, OAuth error, enhanced SMTP status; "" = the words alone
    words   all of them stand in the answer (lower case)
    remedy  `{login}` stands for the command that signs in, `{consent}` for the page of the administrator's consent
    """

    code: str
    words: tuple[str, ...]
    cause: str
    remedy: str


def login_command(account: str) -> str:
    """The one command that mends a sign-in."""
    return f"quietcrm auth login {account}"


def find_refusal(text: str, *, code: str = "", provider: str = "") -> Refusal | None:
    """The row for an answer, None if it is none of these. `code`: the OAuth error, or "password" for a login by
    password; `provider`: its name or the server's, which counts as one of the words."""
    signals = {code, *_CODE.findall(text)} - {""}
    folded = f"{provider} {text}".lower()
    fits = (row for row in REFUSALS if (not row.code or row.code in signals) and all(w in folded for w in row.words))
    return next(fits, None)


_AGAIN = "sign in again: {login}"
_CONSENT = "an administrator opens {consent} and accepts; then {login}"
_PORTAL = "in the Entra admin center, App registrations, this application"
_GOOGLE_CONSOLE = "in the Google Cloud console, Google Auth Platform"

REFUSALS: tuple[Refusal, ...] = (
    # --- Microsoft: consent and registration
    Refusal("AADSTS65001", (), "nobody has allowed quietcrm what it needs in this organisation", _CONSENT),
    Refusal("AADSTS90094", (), "only an administrator may allow quietcrm in this organisation", _CONSENT),
    Refusal("AADSTS65004", (), "the person declined to allow quietcrm", "accept the question after: {login}"),
    Refusal(
        "AADSTS7000112",
        (),
        "the application is disabled in this organisation",
        "an administrator enables it (Entra admin center, Enterprise applications, Properties); then {login}",
    ),
    Refusal(
        "AADSTS7000222",
        (),
        "the client secret has expired",
        f"make a new one {_PORTAL}, Certificates & secrets, and store it where client_secret: points; then {{login}}",
    ),
    Refusal(
        "AADSTS7000215",
        (),
        "the client secret is wrong",
        "store the secret's value (not its id) where client_secret: points; then {login}",
    ),
    Refusal(
        "AADSTS700027",
        (),
        "the certificate is not the one that is registered, or has expired",
        f"upload certificate: {_PORTAL}, Certificates & secrets, or correct certificate: and key: in quietcrm.yaml",
    ),
    Refusal(
        "AADSTS7000218",
        (),
        "the application is registered as one that keeps a secret, and quietcrm has none",
        f"{_PORTAL}, Authentication: allow public client flows; then {{login}}",
    ),
    Refusal(
        "AADSTS700016",
        (),
        "the application is not known in this organisation",
        "compare client_id: and tenant: with the registration; then {login}",
    ),
    Refusal(
        "AADSTS50011",
        (),
        "the address to come back to is not registered",
        f"{_PORTAL}, Authentication: add the platform Mobile and desktop applications with http://localhost; "
        "then {login}",
    ),
    Refusal(
        "AADSTS90002",
        (),
        "there is no such tenant",
        "correct tenant: in quietcrm.yaml (the organisation's domain or directory id); then {login}",
    ),
    Refusal(
        "AADSTS50194",
        (),
        "the application belongs to one organisation, and the settings name none",
        "set tenant: in quietcrm.yaml; then {login}",
    ),
    Refusal(
        "AADSTS500011",
        (),
        "this organisation does not know the service that is asked for",
        "compare tenant: and host: with the organisation that holds the mailbox; then {login}",
    ),
    Refusal(
        "AADSTS70011",
        (),
        "what is asked for is not known",
        "correct scopes: in quietcrm.yaml, or leave it out; then {login}",
    ),
    # --- Microsoft: the person
    Refusal("AADSTS50020", (), "who signed in belongs to another organisation", "sign in as its owner: {login}"),
    Refusal("AADSTS50034", (), "this organisation has no such person", "correct login: in quietcrm.yaml; then {login}"),
    Refusal("AADSTS50057", (), "the person's login is disabled", "an administrator enables it; then {login}"),
    Refusal("AADSTS50053", (), "the login is locked after wrong tries", "wait, or have it unlocked; then {login}"),
    Refusal(
        "AADSTS50105",
        (),
        "the person is not among those who may use the application",
        "an administrator assigns the person (Enterprise applications, Users and groups); then {login}",
    ),
    Refusal("AADSTS50076", (), "a second factor is asked for now", f"{_AGAIN} (it asks for the second factor)"),
    Refusal("AADSTS50079", (), "the person has to register a second factor", "register it after: {login}"),
    Refusal("AADSTS50158", (), "a further check of the person is asked for now", _AGAIN),
    Refusal(
        "AADSTS53003",
        ("device",),
        "a rule of the organisation (conditional access) forbids sign-in by device code",
        "sign in by browser: {login} --no-browser, and open the address on a computer of the office",
    ),
    Refusal(
        "AADSTS53003",
        (),
        "a rule of the organisation (conditional access) forbids this sign-in",
        "sign in by browser on a computer of the office: {login}; or an administrator excepts quietcrm from the rule",
    ),
    Refusal(
        "AADSTS53000",
        (),
        "the organisation lets only managed computers in",
        "sign in on a managed computer: {login} --no-browser shows the address to open there",
    ),
    Refusal("AADSTS700082", (), "the sign-in ended because it was not used for too long", _AGAIN),
    Refusal("AADSTS70043", (), "the organisation asks for a new sign-in from time to time", _AGAIN),
    Refusal("AADSTS70008", (), "the sign-in has expired", _AGAIN),
    Refusal("AADSTS50173", (), "the person's password was changed, which ended the sign-in", _AGAIN),
    Refusal("AADSTS50055", (), "the person's password has expired", "set a new password, then {login}"),
    # --- Google
    Refusal(
        "access_denied",
        ("google",),
        "Google refused: declined, or the application is in testing and this person is no test user",
        f"{_GOOGLE_CONSOLE}, Audience: make the application Internal, or add the person as a test user; then {{login}}",
    ),
    Refusal(
        "admin_policy_enforced",
        (),
        "the administrator of the Google Workspace does not allow this application",
        "an administrator trusts it (Admin console, Security, API controls, App access control); then {login}",
    ),
    Refusal("org_internal", (), "the application is another Workspace's", "correct client_id:; then {login}"),
    Refusal(
        "redirect_uri_mismatch",
        (),
        "the client is not registered as a desktop application",
        f"make an OAuth client of type Desktop app {_GOOGLE_CONSOLE}, Clients, and use its client_id; then {{login}}",
    ),
    Refusal(
        "deleted_client", (), "the client was deleted at the provider", "make a new one, set client_id:; then {login}"
    ),
    Refusal(
        "invalid_client",
        ("google",),
        "Google does not know this client, or its secret is another one",
        f"compare client_id: and client_secret: with {_GOOGLE_CONSOLE}, Clients; then {{login}}",
    ),
    Refusal(
        "invalid_grant",
        ("google",),
        "the sign-in was revoked or has expired (after 7 days while the application is in testing)",
        f"{_GOOGLE_CONSOLE}, Audience: publish the application or make it Internal; then {{login}}",
    ),
    # --- any provider
    Refusal("invalid_client", (), "the provider does not know this client", "correct client_id:; then {login}"),
    Refusal(
        "unauthorized_client",
        (),
        "this client may not sign in this way",
        "allow the flow in its registration, or set another flow: in quietcrm.yaml; then {login}",
    ),
    Refusal("invalid_scope", (), "what is asked for is not known", "correct scopes: in the settings; then {login}"),
    Refusal(
        "unsupported_grant_type",
        (),
        "the provider does not offer this way to sign in",
        "set another flow: in quietcrm.yaml; then {login}",
    ),
    Refusal("consent_required", (), "nobody has allowed quietcrm what it needs", "allow it after: {login}"),
    Refusal("interaction_required", (), "the provider wants to see the person", _AGAIN),
    Refusal("login_required", (), "the provider wants to see the person", _AGAIN),
    Refusal("expired_token", (), "the code was not typed in in time", "begin again: {login} --device"),
    Refusal("access_denied", (), "the person or the provider declined", "accept the question after: {login}"),
    Refusal("invalid_grant", (), "the sign-in has expired or was revoked", _AGAIN),
    # --- mail servers
    Refusal(
        "5.7.139",
        ("disabled for the tenant",),
        "sending by SMTP is switched off in this organisation",
        "an administrator switches it on (Set-TransportConfig -SmtpClientAuthenticationDisabled $false), "
        "or read the mailbox by `type: graph` and send there",
    ),
    Refusal(
        "5.7.139",
        ("disabled for the mailbox",),
        "sending by SMTP is switched off for this mailbox",
        "an administrator switches it on (Microsoft 365 admin center, Active users, Mail, Manage email apps, "
        "Authenticated SMTP)",
    ),
    Refusal(
        "5.7.139",
        ("basic authentication is disabled",),
        "Microsoft takes no passwords here any more",
        "set sign_in: microsoft instead of password: in quietcrm.yaml; then {login}",
    ),
    Refusal(
        "5.7.139",
        (),
        "Microsoft refused the login: a rule of the organisation, or a wrong login",
        "an administrator looks at the sign-in log in the Entra admin center",
    ),
    Refusal(
        "",
        ("application-specific password required",),
        "Google wants an app password here",
        "make one at https://myaccount.google.com/apppasswords and store it, or set sign_in: google",
    ),
    Refusal(
        "5.7.8",
        ("username and password not accepted",),
        "Google takes the account's own password no more",
        "make an app password at https://myaccount.google.com/apppasswords and store it, or set sign_in: google",
    ),
    Refusal(
        "password",
        ("outlook.office",),
        "Microsoft takes no passwords here any more",
        "set sign_in: microsoft instead of password: in quietcrm.yaml; then {login}",
    ),
    Refusal(
        "",
        ("authenticated but not connected",),
        "the person is known, but may not open this mailbox by IMAP",
        "an administrator switches IMAP on for the mailbox and gives the person Full Access to it",
    ),
    Refusal(
        "",
        ("not enabled for imap",),
        "IMAP is switched off for this mailbox",
        "switch it on in the mailbox's settings, or ask the administrator",
    ),
)
