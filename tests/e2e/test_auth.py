"""`quietcrm auth` against a real provider: by browser, by typed code, by certificate; what is kept, shown and ended."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from servers.identity import Client, Fault, IdentityServer
from terminals import open_terminal
from test_cli import PROGRAM, Answer

from connectors.oauth.login import BrowserLogin, DeviceLogin
from daemon.cli.main import main

PEOPLE = """\
company: {name: Vendas, zone: America/Sao_Paulo, language: en}
internal: ["@vendas.example"]
team: {ana: {mail: ana@vendas.example}, bruno: {mail: bruno@vendas.example}}
"""
MAILBOXES = """\
accounts:
  ana: {type: imap, rep: ana, host: 127.0.0.1, port: 1, login: ana@vendas.example, sign_in: SIGN_IN}
  bruno: {type: imap, rep: bruno, host: 127.0.0.1, port: 1, login: bruno@vendas.example, password: {env: BRUNO}}
senders:
  out: {type: smtp, rep: ana, host: 127.0.0.1, port: 1, login: Ana@vendas.example, sign_in: SIGN_IN}
"""

Call = Callable[..., Answer]


class Office:
    """A folder with a configuration whose people sign in at the provider of the tests."""

    def __init__(self, folder: Path, identity: IdentityServer) -> None:
        self.folder = folder
        self.identity = identity
        self.write()

    def write(self, provider: str = "tests", **more: Any) -> None:
        known = self.identity.settings(**more)
        places = json.dumps({provider: {key: value for key, value in known.items() if value is not None}})
        text = f"{PEOPLE}providers: {places}\n{MAILBOXES.replace('SIGN_IN', provider)}"
        (self.folder / "quietcrm.yaml").write_text(text)

    def kept(self) -> dict[str, Any]:
        (file,) = (self.folder / "state" / "sign-in").glob("*.json")
        found: dict[str, Any] = json.loads(file.read_text())
        return found


@pytest.fixture
def office(tmp_path: Path, identity: IdentityServer) -> Office:
    return Office(tmp_path, identity)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QUIETCRM_CONFIG", raising=False)
    monkeypatch.setenv("BRUNO", "secret")

    def run(*words: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["quietcrm", *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        said = capfd.readouterr()
        return Answer(code, said.out, said.err)

    return run


class Browser:
    """Opens what it is told to, like a person's browser: follows every redirect."""

    def __init__(self) -> None:
        self.before: Callable[[str], None] = lambda url: None
        self.pages: list[httpx.Response] = []
        self.threads: list[threading.Thread] = []

    def open(self, url: str) -> bool:
        self.threads.append(threading.Thread(target=self._visit, args=(url,)))
        self.threads[-1].start()
        return True

    def _visit(self, url: str) -> None:
        self.before(url)
        self.pages.append(httpx.get(url, follow_redirects=True))


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Browser:
    made = Browser()
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", made.open)
    return made


def test_by_browser(office: Office, call: Call, browser: Browser) -> None:
    answer = call("auth", "login", "ana", "--json")
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)
    assert told["names"] == ["ana", "out"]
    assert (told["state"], told["who"], told["user"]) == ("ok", "ana@vendas.example", "ana@vendas.example")
    assert "asks for: imap smtp openid offline_access" in answer.err
    assert browser.pages[0].status_code == 200
    assert "Signed in" in browser.pages[0].text
    kept = office.kept()
    assert kept["refresh_token"] == office.identity.tokens[0].refresh
    assert kept["refresh_token"] not in answer.out + answer.err
    asked = dict(office.identity.asked)["authorize"]
    assert asked["code_challenge_method"] == "S256"
    assert asked["login_hint"] == "ana@vendas.example"
    assert urlsplit(asked["redirect_uri"]).hostname == "127.0.0.1"


def test_a_sender_signs_in_for_both(office: Office, call: Call, browser: Browser) -> None:
    assert call("auth", "login", "out").code == 0
    status = call("auth", "status", "--json")
    assert status.code == 0
    assert [(one["names"], one["state"]) for one in json.loads(status.out)["items"]] == [(["ana", "out"], "ok")]


def test_what_comes_without_our_state_is_passed_over(office: Office, call: Call, browser: Browser) -> None:
    """Any page that the person has open may call our port."""
    forged: list[int] = []

    def forge(url: str) -> None:
        back = parse_qs(urlsplit(url).query)["redirect_uri"][0]
        for query in ("?code=evil&state=x", "?code=evil", "?error=access_denied", "", "?state=%ff"):
            forged.append(httpx.get(f"{back}/{query}").status_code)
        forged.append(httpx.post(back, content=b"x" * 1000).status_code)

    browser.before = forge
    answer = call("auth", "login", "ana")
    assert answer.code == 0, answer.err
    assert forged == [400] * 6
    assert "evil" not in json.dumps(office.identity.asked)


def test_a_person_declines(office: Office, call: Call, browser: Browser) -> None:
    office.identity.person = None
    answer = call("auth", "login", "ana")
    assert answer.code == 5
    assert "declined" in answer.err
    assert "quietcrm auth login ana" in answer.err
    assert not list(office.folder.glob("state/sign-in/*.json"))


def test_somebody_else_signs_in(office: Office, call: Call, browser: Browser) -> None:
    office.identity.person = "chef@vendas.example"
    answer = call("auth", "login", "ana")
    assert answer.code == 0
    assert "note: chef@vendas.example signed in, and the mailbox is ana@vendas.example" in answer.err


def test_by_typed_code(office: Office, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = iter([None, "agree"])

    def pause(seconds: float) -> None:
        if next(asked, None):
            codes = [code.user_code for code in office.identity.codes.values()]
            office.identity.typed[codes[0]] = True

    monkeypatch.setitem(DeviceLogin.wait.__kwdefaults__, "pause", pause)
    answer = call("auth", "login", "ana", "--device")
    assert answer.code == 0, answer.err
    code = next(iter(office.identity.typed))
    assert f"type in the code  {code}" in answer.err
    assert "signed in at tests" in answer.out
    assert office.identity.questions("urn:ietf:params:oauth:grant-type:device_code") == 2


def test_a_typed_code_that_is_declined(office: Office, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def pause(seconds: float) -> None:
        office.identity.typed.update((code.user_code, False) for code in office.identity.codes.values())

    monkeypatch.setitem(DeviceLogin.wait.__kwdefaults__, "pause", pause)
    answer = call("auth", "login", "ana", "--device")
    assert answer.code == 5
    assert "declined" in answer.err


def test_a_provider_that_forbids_typed_codes_says_what_to_do(office: Office, call: Call) -> None:
    office.write(device=None)
    answer = call("auth", "login", "ana", "--device")
    assert answer.code == 3
    assert "leave out --device" in answer.err


def test_pasted_from_another_machine(office: Office, tmp_path: Path) -> None:
    """The browser runs elsewhere: it ends at an address that does not answer there, and the person pastes it."""
    ours, theirs = open_terminal()
    command = [PROGRAM, "auth", "login", "ana", "--no-browser"]
    program = subprocess.Popen(command, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)

    def read_until(words: bytes) -> bytes:
        shown = b""
        while words not in shown:
            shown += os.read(ours, 4096)
        return shown

    try:
        url = re.search(rb"http://127\.0\.0\.1:\d+/authorize\?\S+", read_until(b"press Enter"))
        assert url
        os.write(ours, b"nonsense\n")
        os.write(ours, httpx.get(url[0].decode()).headers["Location"].encode() + b"\n")
        assert b"signed in at tests as ana@vendas.example" in read_until(b"quietcrm doctor")
        assert program.wait(30) == 0
    finally:
        program.kill()
        program.wait()
        os.close(ours)


def test_no_refresh_token_is_no_sign_in(office: Office, call: Call, browser: Browser) -> None:
    office.identity.faults.append(Fault(status=200, body='{"access_token": "x", "token_type": "Bearer"}'))
    answer = call("auth", "login", "ana")
    assert answer.code == 5
    assert "no lasting sign-in" in answer.err


def test_status_before_and_after(office: Office, call: Call, browser: Browser) -> None:
    before = call("auth", "status")
    assert before.code == 5
    assert "not signed in" in before.out
    assert "run: quietcrm auth login ana" in before.err
    call("auth", "login", "ana")
    assert call("auth", "status").code == 0
    office.identity.end_all()
    call("doctor")
    after = json.loads(call("auth", "status", "--json").out)["items"][0]
    assert after["state"] in ("ok", "refused")


def test_logout_ends_it_here_and_there(office: Office, call: Call, browser: Browser) -> None:
    call("auth", "login", "ana")
    answer = call("auth", "logout", "ana", "--json")
    assert json.loads(answer.out) == {
        "schema": 1,
        "names": ["ana", "out"],
        "user": "ana@vendas.example",
        "told_provider": True,
        "trouble": "",
    }
    assert all(token.family.ended for token in office.identity.tokens)
    assert call("auth", "logout", "ana").code == 4
    assert call("auth", "status").code == 5


def test_logout_while_the_provider_is_away(office: Office, call: Call, browser: Browser) -> None:
    call("auth", "login", "ana")
    office.identity.stop()
    answer = call("auth", "logout", "ana")
    assert answer.code == 0
    assert "the provider was not told" in answer.out
    assert not list(office.folder.glob("state/sign-in/*.json"))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("login", "carla"), 4, 'no account, calendar or sender "carla"'),
        (("login", "bruno"), 3, "does not sign in at a provider"),
        (("logout", "ana"), 4, "nobody has signed in for ana"),
    ],
)
def test_who_cannot(words: tuple[str, ...], code: int, said: str, office: Office, call: Call) -> None:
    answer = call("auth", *words)
    assert answer.code == code
    assert said in answer.err
    assert "= help:" in answer.err


def test_the_page_of_the_administrator_is_shown(office: Office, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    office.write("microsoft", scopes=None, authorize=None, token=None, device=None, tenant="vendas.example")

    def interrupted(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(BrowserLogin, "wait", interrupted)
    answer = call("auth", "login", "ana", "--no-browser")
    assert answer.code == 130
    outlook = "https://outlook.office.com"
    assert f"asks for: {outlook}/IMAP.AccessAsUser.All {outlook}/SMTP.Send\n" in answer.err
    assert "https://login.microsoftonline.com/vendas.example/v2.0/adminconsent?client_id=quietcrm" in answer.err
    assert "redirect_uri=http%3A%2F%2Flocalhost" in answer.err


def test_a_client_of_its_own_needs_no_person(office: Office, call: Call) -> None:
    office.identity.clients["quietcrm"] = Client("quietcrm", secret="s")
    (office.folder / "secret").write_text("s\n")
    (office.folder / "secret").chmod(0o600)
    office.write(flow="app", client_secret={"file": "secret"})
    answer = call("auth", "login", "ana")
    assert answer.code == 0, answer.err
    assert "signed in at tests as quietcrm itself, for ana" in answer.out
    assert not list(office.folder.glob("state/sign-in/*.json"))
    assert call("auth", "status").code == 0
    assert call("auth", "logout", "ana").code == 3
