"""The clients that are compared: quietcrm as it is installed, and peers that read mailboxes.

Each is prepared in an empty folder and then run as a command; only the run is timed.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import venv
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from bench.corpus import Corpus, cache_folder
from bench.laboratory import PASSWORD

OURS = Path(sys.executable).parent / "quietcrm"

SETTINGS = """\
company: {{name: Our Firm, zone: Europe/Lisbon, language: en}}
internal: ["@{internal}"]
team: {{sales: {{mail: sales@{internal}}}}}
accounts:
  bench: {{type: imap, rep: sales, host: 127.0.0.1, port: {port}, security: none, login: {login},
          password: {{file: password}}, since: 2000-01-01, every: 10m}}
"""


class Client(Protocol):
    """What can be timed."""

    name: str

    def missing(self) -> str:
        """Why it cannot run here, "" if it can. May install it."""
        ...

    def prepare(self, folder: Path, corpus: Corpus, login: str, port: int) -> None:
        """Write configuration and an empty state."""

    def command(self, folder: Path) -> list[str | Path]:
        """What is timed."""
        ...

    def environment(self, folder: Path) -> Mapping[str, str]:
        """Added to the environment of the command."""
        ...

    def count(self, folder: Path) -> int:
        """Mails it has stored."""
        ...


class QuietCrm:
    """One office with one mailbox and an imported customer list."""

    name = "quietcrm"

    def missing(self) -> str:
        """It is what is measured."""
        return ""

    def prepare(self, folder: Path, corpus: Corpus, login: str, port: int) -> None:
        """Write quietcrm.yaml and import the customers."""
        self.configure(folder, corpus, login, port)
        self._call(folder, "customer", "import", corpus.customers, "--apply")

    def configure(self, folder: Path, corpus: Corpus, login: str, port: int) -> None:
        """Write quietcrm.yaml and the password, the same again with another port too."""
        text = SETTINGS.format(internal=corpus.internal, login=login, port=port)
        (folder / "quietcrm.yaml").write_text(text, encoding="utf-8")
        (folder / "password").write_text(PASSWORD, encoding="ascii")
        (folder / "password").chmod(0o600)

    def _call(self, folder: Path, *words: str | Path) -> None:
        command = [OURS, "--config", folder, *words]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | self.environment(folder))
        if done.returncode:
            raise RuntimeError(f"quietcrm {words[0]} ended with {done.returncode}:\n{done.stderr[-2000:]}")

    def command(self, folder: Path) -> list[str | Path]:
        """One pass over everything."""
        return [OURS, "--config", folder, "sync", "--once", "--json"]

    def environment(self, folder: Path) -> Mapping[str, str]:
        """No console, no colours."""
        return {"TERM": "dumb"}

    def count(self, folder: Path) -> int:
        """Mails that ended somewhere, as `sync --json` said."""
        return int(self.counts(folder)["seen"])

    def counts(self, folder: Path) -> dict[str, Any]:
        """What `sync --json` said of the account."""
        answer = json.loads((folder / "stdout").read_text())
        return dict(answer["accounts"]["bench"])


class Mbsync:
    """isync's mbsync: writes each mail to a file, with two syncs each unless `sync` is off."""

    def __init__(self, *, sync: bool = True) -> None:
        self.name = "mbsync" if sync else "mbsync-nofsync"
        self._sync = sync

    def missing(self) -> str:
        """It comes from the Debian package isync."""
        return "" if shutil.which("mbsync") else "not installed (Debian package isync)"

    def prepare(self, folder: Path, corpus: Corpus, login: str, port: int) -> None:
        """INBOX into a new Maildir."""
        (folder / "mail").mkdir()
        lines = "" if self._sync else "FSync no\n\n"
        lines += (
            f"IMAPAccount a\nHost 127.0.0.1\nPort {port}\nUser {login}\nPass {PASSWORD}\nSSLType None\n"
            "AuthMechs LOGIN\n\nIMAPStore far\nAccount a\n\n"
            f"MaildirStore near\nPath {folder}/mail/\nInbox {folder}/mail/INBOX\n\n"
            f"Channel c\nFar :far:\nNear :near:\nPatterns INBOX\nCreate Near\nSync Pull\nSyncState {folder}/state-\n"
        )
        (folder / "mbsyncrc").write_text(lines)

    def command(self, folder: Path) -> list[str | Path]:
        """Pull everything."""
        return ["mbsync", "-q", "-c", folder / "mbsyncrc", "c"]

    def environment(self, folder: Path) -> Mapping[str, str]:
        """Nothing of its own."""
        return {"HOME": str(folder)}

    def count(self, folder: Path) -> int:
        """Files in its Maildir."""
        return sum(len(list((folder / "mail" / "INBOX" / part).iterdir())) for part in ("cur", "new"))


class Django:
    """A Django application that reads a mailbox over IMAP into SQLite, in a virtual environment of its own."""

    def __init__(self, name: str, packages: tuple[str, ...], settings: str, setup: str, work: str, table: str) -> None:
        self.name = name
        self._packages = packages
        self._settings = settings
        self._setup = setup
        self._work = work
        self._table = table

    @property
    def _python(self) -> Path:
        return cache_folder() / f"venv-{self.name}" / "bin" / "python"

    def missing(self) -> str:
        """Install it on first use; where that fails, say so."""
        ready = self._python.parent.parent / "ready"
        if ready.exists():
            return ""
        venv.create(self._python.parent.parent, with_pip=True)
        pip = [self._python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", *self._packages]
        if subprocess.run(pip, capture_output=True, check=False).returncode:
            return f"cannot be installed here ({' '.join(self._packages)})"
        ready.touch()
        return ""

    def prepare(self, folder: Path, corpus: Corpus, login: str, port: int) -> None:
        """An empty database with one mailbox in it."""
        (folder / "bench_settings.py").write_text(self._settings)
        if "bench_urls" in self._settings:
            (folder / "bench_urls.py").write_text(HELPDESK_URLS)
        self._call(folder, "-m", "django", "migrate", "-v0")
        setup = self._setup.format(login=login, password=PASSWORD, port=port)
        self._call(folder, "-c", f"import django; django.setup(); {setup}")

    def _call(self, folder: Path, *words: str) -> None:
        environment = os.environ | self.environment(folder)
        subprocess.run([self._python, *words], check=True, capture_output=True, env=environment, cwd=folder)

    def command(self, folder: Path) -> list[str | Path]:
        """Its management command that reads the mailbox."""
        return [self._python, "-m", "django", *self._work.split()]

    def environment(self, folder: Path) -> Mapping[str, str]:
        """Django finds its settings in the folder of the run."""
        return {"PYTHONPATH": str(folder), "DJANGO_SETTINGS_MODULE": "bench_settings", "BENCH_FOLDER": str(folder)}

    def count(self, folder: Path) -> int:
        """Rows it has made."""
        with closing(sqlite3.connect(folder / "db.sqlite3")) as connection:
            return int(connection.execute(f"SELECT count(*) FROM {self._table}").fetchone()[0])


BASE = """\
import os
SECRET_KEY = "x"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
FOLDER = os.environ["BENCH_FOLDER"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER + "/db.sqlite3"}}
MEDIA_ROOT = FOLDER + "/media"
"""

MAILBOX_SETTINGS = BASE + 'INSTALLED_APPS = ["django.contrib.contenttypes", "django_mailbox"]\n'

HELPDESK_SETTINGS = (
    BASE
    + """\
import codecs
SITE_ID = 1
DEBUG = False
CONTRIB = "auth contenttypes sessions sites messages staticfiles humanize admin".split()
INSTALLED_APPS = ["django.contrib." + name for name in CONTRIB]
INSTALLED_APPS += ["django_cleanup.apps.CleanupConfig", "rest_framework", "helpdesk"]
CONTEXT = ["django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
           "django.contrib.messages.context_processors.messages"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
              "OPTIONS": {"context_processors": CONTEXT}}]
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware",
              "django.contrib.auth.middleware.AuthenticationMiddleware",
              "django.contrib.messages.middleware.MessageMiddleware"]
STATIC_URL = "/static/"
ROOT_URLCONF = "bench_urls"
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
HELPDESK_TEAMS_MODE_ENABLED = False
HELPDESK_KANBAN_BOARD_ENABLED = False
# One mail in an unknown charset would stop its queue at that mail, at every run. An aid to measure it at all.
codecs.register(lambda name: codecs.lookup("latin-1") if name.replace("_", "-").startswith("x-unknown") else None)
"""
)

HELPDESK_URLS = """\
from django.contrib import admin
from django.urls import include, path
urlpatterns = [path("admin/", admin.site.urls), path("", include("helpdesk.urls", namespace="helpdesk"))]
"""


def django_mailbox() -> Django:
    """django-mailbox 4.10."""
    return Django(
        "django-mailbox",
        ("django-mailbox==4.10.1", "django==4.2.30"),
        MAILBOX_SETTINGS,
        "from django_mailbox.models import Mailbox; "
        "Mailbox.objects.create(name='a', uri='imap://{login}:{password}@127.0.0.1:{port}')",
        "getmail",
        "django_mailbox_message",
    )


def django_helpdesk() -> Django:
    """django-helpdesk 2.6."""
    return Django(
        "django-helpdesk",
        ("django-helpdesk==2.6.1", "setuptools==65.5.0"),
        HELPDESK_SETTINGS,
        "from helpdesk.models import Queue; Queue.objects.create(title='q', slug='q', allow_email_submission=True, "
        "email_address='sales@ourfirm.example', email_box_type='imap', email_box_host='127.0.0.1', "
        "email_box_port={port}, email_box_user='{login}', email_box_pass='{password}', "
        "email_box_imap_folder='INBOX', email_box_interval=0, allow_public_submission=True)",
        "get_email --quiet",
        "helpdesk_followup WHERE title <> ''",
    )
