"""One account without its password fails alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.app import opened
from store import accounts

CONFIG = """\
company: {name: Vendas, zone: America/Sao_Paulo, language: pt}
internal: ["@vendas.example"]
team: {ana: {mail: ana@vendas.example}, bruno: {mail: bruno@vendas.example}}
accounts:
  ana: {type: imap, rep: ana, host: 127.0.0.1, port: 1, security: none, login: ana, password: {env: NOWHERE_SET}}
  bruno: {type: maildir, rep: bruno, path: bruno}
"""


def test_an_account_without_its_password_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOWHERE_SET", raising=False)
    (tmp_path / "quietcrm.yaml").write_text(CONFIG, encoding="utf-8")
    for part in ("cur", "new", "tmp"):
        (tmp_path / "bruno" / part).mkdir(parents=True)
    with opened(tmp_path) as app:
        for poller in app.pollers.values():
            poller.poll()
        with app.store.session() as session:
            states = {row.name: row for row in accounts.everything(session)}
        assert app.idle_accounts == []
    assert states["bruno"].state == "ok"
    assert states["ana"].state == "parked"
    assert "NOWHERE_SET" in states["ana"].reason + states["ana"].hint
