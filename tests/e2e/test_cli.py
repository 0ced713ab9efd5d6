"""The command line as a whole: help, JSON, exit codes, colour, and mail that tries to steer the terminal."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from servers.dovecot import DovecotServer
from servers.process import free_port
from terminals import open_terminal

from daemon.cli.main import app, main
from daemon.cli.reference import commands, commands_page
from store.engine import open_store
from store.lock import WriterLock

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PROGRAM = Path(sys.executable).parent / "quietcrm"
SETTINGS = """\
company: {name: Vendas, zone: America/Sao_Paulo, language: en}
internal: ["@vendas.example"]
team: {ana: {mail: ana@vendas.example}}
accounts:
  ana: {type: maildir, rep: ana, path: Maildir, since: 2020-01-01}
"""
RULES = """\
rules:
  - name: price
    when: mail arrives
    if: {known: yes, subject: price}
    then: {tag: asked}
"""
CUSTOMERS = "name,email,company,domain\nZoë Young,zoe@acme.example,Acme,acme.example\n,,Other,other.example\n"
HOSTILE = "=?utf-8?q?price_=1B]0=3Bowned=07_=1B[2J_=C2=9B31m_=E2=80=AE_end?="
"""A subject with an escape, a bell, an eight-bit CSI and a right-to-left override."""
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


Call = Callable[..., Answer]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Run the program in this process, neither stream a terminal, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QUIETCRM_CONFIG", raising=False)

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


def letter(number: int, subject: str, *, to_us: bool = True) -> bytes:
    """One plain mail between Acme and Ana."""
    people = ("Zoë <zoe@acme.example>", "ana@vendas.example")
    sender, recipient = people if to_us else people[::-1]
    return (
        f"From: {sender}\nTo: {recipient}\nSubject: {subject}\nMessage-ID: <{number}@acme.example>\n"
        f"Date: Mon, 12 Oct 2026 10:{number:02}:00 +0000\nMIME-Version: 1.0\n"
        f"Content-Type: text/plain; charset=utf-8\n\nThe \x1b[31mprice\x1b[0m of number {number}.\n"
    ).encode()


def write_office(folder: Path) -> Path:
    """An office with a Maildir of four mails; its configuration folder."""
    for name in ("Maildir/new", "Maildir/cur", "Maildir/tmp", "Maildir/.Sent/cur", "Maildir/.Sent/new", "rules"):
        (folder / name).mkdir(parents=True)
    (folder / "Maildir/.Sent/tmp").mkdir()
    (folder / "quietcrm.yaml").write_text(SETTINGS)
    (folder / "rules/10.yaml").write_text(RULES)
    (folder / "customers.csv").write_text(CUSTOMERS)
    for number, subject in ((1, "price list"), (2, HOSTILE), (3, "hello")):
        (folder / f"Maildir/cur/{number}.a:2,S").write_bytes(letter(number, subject))
    (folder / "Maildir/.Sent/cur/4.a:2,S").write_bytes(letter(4, "our offer", to_us=False))
    return folder


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An office whose mail is in the history."""
    folder = write_office(tmp_path_factory.mktemp("office"))
    for words in (["customer", "import", str(folder / "customers.csv"), "--apply"], ["sync", "--once"]):
        subprocess.run([PROGRAM, "--config", folder, *words], check=True, capture_output=True, timeout=60)
    return folder


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """An office that was never run."""
    return write_office(tmp_path / "fresh")


# --- help, JSON ----------------------------------------------------------------------------------------------------


def every_command() -> list[tuple[str, ...]]:
    """The words of each command, without the program's name."""
    return [path[1:] for path, _ in commands(typer.main.get_command(app), ("quietcrm",))]


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_every_command_explains_itself(call: Call, words: tuple[str, ...]) -> None:
    answer = call(*words, "--help")
    assert answer.code == 0
    assert "Usage: " in answer.out
    assert "\x1b" not in answer.out


JSON_CALLS: dict[str, tuple[str, ...]] = {
    "init": (),
    "check": (),
    "doctor": (),
    "version": (),
    "schema": ("rules",),
    "sync": ("--once",),
    "status": (),
    "auth status": (),
    "read": ("{office}/Maildir",),
    "customer propose": (),
    "customer import": ("{office}/customers.csv",),
    "customer add": ("Third", "--domain", "third.example"),
    "customer edit": ("Third", "--set", "stage=lead"),
    "customer merge": ("Other", "Third"),
    "customer list": (),
    "customer search": ("acme",),
    "customer show": ("Acme",),
    "customer timeline": ("Acme",),
    "customer erase": ("Other", "--confirm", "Other"),
    "log": (),
    "log changes": (),
    "outbox list": (),
    "report meetings": (),
    "report pipeline": (),
    "report activity": (),
    "report silence": (),
    "sequences list": (),
    "pause": ("--all",),
    "resume": ("--all",),
    "release": (),
    "rules list": (),
    "templates list": (),
    "rules explain": ("1",),
    "rules test": (),
    "rules replay": ("--since", "30d"),
    "rules undo": ("price", "--since", "30d"),
    "db upgrade": (),
    "db backup": ("{office}/backup.tar.gz",),
    "db restore": ("{office}/backup.tar.gz", "--force"),
    "db check": (),
}
"""In this order on one office: later ones need what earlier ones made."""
NOT_HERE = {
    "auth login": "needs a provider: tests of signing in",
    "auth logout": "needs a provider: tests of signing in",
    "rules new": "writes a file: tests of its own",
    "rules lint": "finds something here, which is no success: tests of its own",
    "rules record": "writes a file: tests of the rule tests",
    "sequences show": "needs a sequence: tests of sequences",
    "sequences enrol": "needs a sequence: tests of sequences",
    "sequences stop": "needs a sequence: tests of sequences",
    "sequences migrate": "needs a sequence: tests of sequences",
    "send": "needs a template: tests of sending by hand",
    "templates show": "needs a template: tests of its own",
    "shadow": "needs two accounts: tests of its own",
    "run": "the daemon; it has no result",
    "reload": "needs a daemon: tests of the first hour",
    "demo": "has its own tests",
    "customer export": "its forms are its own; one is JSON",
    "log undo": "below",
    "outbox show": "needs a mail: tests of the outbox commands",
    "outbox release": "needs a mail: tests of the outbox commands",
    "outbox cancel": "needs a mail: tests of the outbox commands",
    "outbox sent": "needs a mail: tests of the outbox commands",
}


def test_json_is_one_object_for_every_command(call: Call, tmp_path: Path) -> None:
    office = write_office(tmp_path / "office")
    call("--config", office, "customer", "import", office / "customers.csv", "--apply")
    assert {" ".join(words) for words in every_command()} == {*JSON_CALLS, *NOT_HERE}
    values: dict[str, Any] = {}
    for command, arguments in JSON_CALLS.items():
        answer = call("--config", office, *command.split(), *(a.format(office=office) for a in arguments), "--json")
        assert answer.code == 0, (command, answer)
        assert answer.out.count("\n") == 1, command
        values[command] = json.loads(answer.out)
        assert values[command].get("schema") == 1 or command == "schema", command
        assert not STEERING.search(answer.out), command
    assert values["sync"]["accounts"]["ana"]["seen"] == 4
    assert {one["subject"] for one in values["log"]["items"]} >= {"price list", "hello", "our offer"}
    assert values["customer list"]["items"][0]["name"] == "Acme"
    assert {row["email"] for row in values["customer propose"]["items"]} == {"zoe@acme.example"}
    assert values["check"]["items"] == []
    assert values["rules explain"]["message_id"] in {one["message_id"] for one in values["log"]["items"]}


def test_a_change_is_taken_back_as_json(call: Call, fresh: Path) -> None:
    call("--config", fresh, "customer", "add", "Third")
    change = json.loads(call("--config", fresh, "customer", "edit", "Third", "--set", "a=b", "--json").out)["change"]
    assert json.loads(call("--config", fresh, "log", "undo", change, "--json").out)["change"] == change


def test_dry_run_as_json_explains_without_a_store(call: Call, fresh: Path) -> None:
    answer = call("--config", fresh, "sync", "--once", "--dry-run", "--json")
    mails = json.loads(answer.out)["accounts"]["ana"]["mails"]
    assert [mail["outcome"] for mail in mails] == ["unmatched"] * 4
    assert not (fresh / "state").exists()


def test_old_mail_is_rehearsed_as_if_it_came_now(call: Call, fresh: Path) -> None:
    rules = fresh / "rules/10.yaml"
    rules.write_text(RULES.replace("name: price", "name: price\n    mode: watch").replace("tag: asked", "log: yes"))
    rules.write_text(rules.read_text().replace("known: yes, ", ""))
    told = json.loads(call("--config", fresh, "sync", "--once", "--dry-run", "--json").out)
    would = {mail["subject"]: mail["would"] for mail in told["accounts"]["ana"]["mails"]}
    assert would["price list"] == [{"rule": "price", "mode": "watch", "do": ["log: yes"]}]


def test_doctor_says_what_comes_next(call: Call, office: Path, fresh: Path) -> None:
    assert call("--config", fresh, "doctor").out.endswith("next: quietcrm customer propose > customers.csv\n")
    assert call("--config", office, "doctor").out.endswith("next: quietcrm status\n")


# --- exit codes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "status"),
        (0, "check"),
        (2, "nonsense"),
        (2, "customer import missing.csv"),
        (2, "customer propose --since tomorrow"),
        (2, "customer export --format xml"),
        (2, "customer edit Acme --set nonsense"),
        (4, "customer show Nobody"),
        (4, "rules explain 99999"),
        (4, "log undo 99999"),
        (4, "sync --once --account nobody"),
        (4, "sync --once --dry-run --account nobody"),
        (4, "check /no/such/folder"),
        (4, "read /no/such/file"),
        (7, "customer erase Acme"),
        (7, "customer erase Acme --confirm Acne"),
        (8, "reload"),
    ],
)
def test_exit_codes(call: Call, office: Path, code: int, words: str) -> None:
    answer = call("--config", office, *words.split())
    assert answer.code == code, answer
    assert bool(answer.err) == (code != 0)
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("words", ["outbox show abc", "log undo 0", "log --limit 99999999999", "init --port 12x"])
def test_what_is_no_number_is_told_in_plain_words(call: Call, office: Path, words: str) -> None:
    answer = call("--config", office, *words.split())
    said = " ".join(answer.err.replace("│", " ").split())
    assert answer.code == 2
    assert f'"{words.split()[-1]}" is no whole number between ' in said
    assert "write one like 12" in said


@pytest.mark.parametrize(
    "words", ["status", "log", "doctor", "sync --once", "sync --once --dry-run", "rules list", "run"]
)
def test_a_broken_configuration_runs_nothing(call: Call, fresh: Path, words: str) -> None:
    (fresh / "rules/10.yaml").write_text(RULES.replace("known", "konwn"))
    answer = call("--config", fresh, *words.split())
    assert (answer.code, answer.out) == (3, "")
    assert re.search(r"10\.yaml:4:10\n.*konwn.*\n +\| +\^\^\^\^\^", answer.err)
    assert not (fresh / "state").exists()
    assert call("--config", fresh, "check").code == 1


def test_no_configuration_at_all_says_what_to_do(call: Call, tmp_path: Path) -> None:
    answer = call("--config", tmp_path / "nowhere", "status")
    assert answer.code == 3
    assert "quietcrm init" in answer.err


@pytest.mark.parametrize("words", ["sync --once", "sync --once --dry-run", "doctor", "customer propose"])
def test_a_refused_login_ends_with_5_and_a_silent_server_with_6(
    call: Call, fresh: Path, words: str, dovecot: DovecotServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    dovecot.add_user("cli")
    monkeypatch.setenv("CLI_SECRET", "wrong")
    account = (
        "{type: imap, rep: ana, host: 127.0.0.1, port: %d, security: none, login: cli, password: {env: CLI_SECRET}}"
    )
    for port, code in ((dovecot.port, 5), (free_port(), 6)):
        settings = SETTINGS.replace("{type: maildir, rep: ana, path: Maildir, since: 2020-01-01}", account % port)
        (fresh / "quietcrm.yaml").write_text(settings)
        answer = call("--config", fresh, *words.split())
        assert answer.code == code, answer
        assert "Traceback" not in answer.err
        assert "= help: " in answer.err + answer.out
    monkeypatch.delenv("CLI_SECRET")
    assert call("--config", fresh, *words.split()).code == 5


def test_a_second_writer_ends_with_8(call: Call, office: Path) -> None:
    store = open_store("sqlite:///state/crm.db", base=office)
    try:
        with WriterLock(store):
            for words in (["sync", "--once"], ["run"], ["customer", "add", "X"], ["db", "upgrade"]):
                answer = call("--config", office, *words)
                assert answer.code == 8, answer
            assert call("--config", office, "status").code == 0
            assert call("--config", office, "sync", "--once", "--dry-run").code == 0
    finally:
        store.close()


# --- where it looks, what it prints ----------------------------------------------------------------------------------


def test_the_configuration_is_found(call: Call, office: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call("--config", office, "check").code == 0
    assert call("check", office).code == 0
    assert call("check", office / "rules/10.yaml").code == 0
    monkeypatch.setenv("QUIETCRM_CONFIG", str(office))
    assert call("check").code == 0
    monkeypatch.delenv("QUIETCRM_CONFIG")
    monkeypatch.chdir(office)
    assert call("check").code == 0
    assert call("check", "--config", office).code == 2


@pytest.mark.parametrize(
    "words",
    ["log", "customer timeline Acme", "customer show Acme", "rules explain 1", "doctor", "sync --once --dry-run",
     "read {office}/Maildir", "customer export --format vcf", "customer list"],
)  # fmt: skip
def test_mail_does_not_steer_the_terminal(call: Call, office: Path, words: str) -> None:
    answer = call("--config", office, *words.format(office=office).split())
    assert answer.code == 0, answer
    assert answer.out
    assert not STEERING.search((answer.out + answer.err).replace("\r\n", "\n"))


def on_terminal(office: Path, *words: str, **more: str) -> str:
    """What the program writes to a terminal."""
    ours, theirs = open_terminal()
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8", **more}
    command = [PROGRAM, "--config", office, *words]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    parts = []
    try:
        while part := os.read(ours, 65536):
            parts.append(part)
    except OSError:  # Linux reports the other side's end like this
        pass
    finally:
        os.close(ours)
        process.wait(30)
    assert process.returncode == 0
    return b"".join(parts).decode()


def test_a_terminal_gets_a_table_and_no_color_is_obeyed(office: Path) -> None:
    coloured, plain = on_terminal(office, "log"), on_terminal(office, "log", NO_COLOR="1")
    assert "┃" in coloured
    assert "┃" in plain
    assert "\x1b[1m" in coloured
    colour = re.compile(r"\x1b\[(?:3[0-7]|9[0-7]|38;)")
    assert not colour.search(plain)
    for text in (coloured, plain):
        assert "\x07" not in text
        assert "\x9b" not in text
        assert "\u202e" not in text
        assert "\x1b[2J" not in text


# --- init ----------------------------------------------------------------------------------------------------------


def test_init_can_be_repeated_and_overwrites_nothing(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    words = ["--from", "maildir", "--path", "Maildir", "--mail", "ana@vendas.example", "--no-input", "--json"]
    first = json.loads(call("--config", folder, "init", *words).out)
    assert "quietcrm.yaml" in {Path(path).name for path in first["written"]}
    assert first["next"].endswith("doctor")
    (folder / "quietcrm.yaml").write_text((folder / "quietcrm.yaml").read_text() + "# mine\n")
    (folder / "rules/10-first.yaml").write_text("rules: []\n")
    (folder / "tests/10-first.yaml").write_text("now: 2026-11-20 10:00\ntests: []\n")
    again = json.loads(call("--config", folder, "init", "--json").out)
    assert (again["written"], len(again["existed"])) == ([], len(first["written"]))
    assert (folder / "quietcrm.yaml").read_text().endswith("# mine\n")
    assert call("--config", folder, "check").code == 0


@pytest.mark.parametrize("language", ["pt", "ru", "en"])
@pytest.mark.parametrize("origin", ["imap", "google", "mbox"])
def test_what_init_writes_is_fine(call: Call, tmp_path: Path, language: str, origin: str) -> None:
    words = ["--host", "mail.vendas.example"] if origin == "imap" else []
    words += ["--path", "mail.mbox"] if origin == "mbox" else []
    people = ["--mail", "ana@vendas.example", "--company", 'Vendas: "A" # 1', "--zone", "Europe/Lisbon"]
    answer = call("--config", tmp_path, "init", "--from", origin, "--language", language, *people, *words, "--no-input")
    assert answer.code == 0, answer
    assert call("--config", tmp_path, "check").code == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--mail ana", "--mail"),
        ("--mail ana@vendas.example", "--host"),
        ("--mail ana@vendas.example --host h --zone Europe/Lisboa", "Europe/Lisbon"),
        ("--mail ana@vendas.example --host h --security no", "starttls"),
        ("--from outlook", "IMAP"),
        ("--from pigeon", "maildir"),
    ],
)
def test_init_says_which_answer_is_wrong(call: Call, tmp_path: Path, words: str, told: str) -> None:
    answer = call("--config", tmp_path / "new", "init", *words.split(), "--no-input")
    assert answer.code == 2
    assert told in answer.err
    assert not (tmp_path / "new").exists()


def test_init_asks_on_a_terminal(tmp_path: Path) -> None:
    folder = tmp_path / "asked"
    ours, theirs = open_terminal()
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": "Europe/Lisbon"}
    process = subprocess.Popen(
        [PROGRAM, "--config", folder, "init"], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    said = ""
    for question, reply in dialogue():
        while question not in said:
            said += os.read(ours, 4096).decode()
        said = ""
        os.write(ours, f"{reply}\n".encode())
    for text in rest(ours):
        said += text
    assert process.wait(30) == 0
    assert "next: quietcrm --config" in said
    settings = (folder / "quietcrm.yaml").read_text()
    assert "zone: Europe/Lisbon" in settings
    assert "name: Ana Souza" in settings
    assert "host: mail.vendas.example" in settings


def test_nothing_found_is_said(call: Call, office: Path) -> None:
    answer = call("--config", office, "log", "--rule", "no-such-rule")
    assert (answer.code, answer.out) == (0, "")
    assert "none found" in answer.err
    assert 'no rule is called "no-such-rule"' in answer.err
    assert call("--config", office, "outbox", "list", "--state", "held").err == "none found\n"


def test_check_says_that_no_mailbox_is_read(call: Call, tmp_path: Path) -> None:
    (tmp_path / "quietcrm.yaml").write_text(
        "company: {name: Vendas, zone: Europe/Lisbon, language: en}\n"
        'internal: ["@vendas.example"]\nteam: {ana: {mail: ana@vendas.example}}\n'
    )
    answer = call("--config", tmp_path, "check")
    assert answer.code == 0
    assert "no mailbox is read" in answer.out


def dialogue() -> list[tuple[str, str]]:
    """What is asked and what is answered; an empty answer takes what is proposed, a wrong one is asked again."""
    return [
        ("Mail address", "not an address"),
        ("Mail address", "ana@vendas.example"),
        ("Name of the office", ""),
        ("Time zone", ""),
        ("Language", "en"),
        ("Short name", ""),
        ("Full name", "Ana Souza"),
        ("IMAP server", "https://mail.vendas.example/"),
        ("IMAP server", "mail.vendas.example"),
        ("Encryption", ""),
        ("User name", ""),
        ("know and agree", "talvez"),
        ("know and agree", "sim"),
    ]


def rest(terminal: int) -> Iterator[str]:
    """What still comes until the program ends."""
    try:
        while part := os.read(terminal, 4096):
            yield part.decode()
    except OSError:
        return
    finally:
        os.close(terminal)


# --- the reference ---------------------------------------------------------------------------------------------------


def test_the_page_of_commands_is_up_to_date() -> None:
    page = REPOSITORY / "docs/reference/commands.md"
    assert page.read_text("utf-8") == commands_page(), "run: python -m daemon.cli.reference docs/reference"


@pytest.mark.parametrize(
    "words",
    [
        ("customer", "timeline", "1", "--limit", "9" * 20),
        ("outbox", "cancel", "9" * 23),
        ("log", "--days", "9" * 12),
        ("log", "undo", "9" * 20),
    ],
)
def test_numbers_beyond_all_bounds_are_wrong_usage(call: Call, office: Path, words: tuple[str, ...]) -> None:
    assert call("--config", office, *words).code == 2


def test_a_file_that_cannot_be_read_is_named(call: Call) -> None:
    answer = call("read", "/proc/self/mem")
    assert answer.code == 1
    assert "Input/output error" in answer.err
    assert "Traceback" not in answer.err
