"""What goes to the log when something breaks: the place of the fault, never mail or secrets."""

from __future__ import annotations

from pathlib import Path
from traceback import format_exception

import pytest
import structlog
from sqlalchemy import text

from daemon.logs import configure_logs
from store.engine import open_store
from store.errors import StoreError

CANARY = "canary-7f3a9"


def break_with_a_secret(password: str) -> None:
    mail = f"{password} maria@padariasol.example"
    raise RuntimeError(f"no luck with maria@padariasol.example {len(mail)}")


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_traceback_names_no_values(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(form=form)
    try:
        break_with_a_secret(CANARY)
    except RuntimeError as error:
        structlog.get_logger().error("message.failed", ref="1:2", exc_info=error)
    finally:
        structlog.reset_defaults()
    said = capsys.readouterr().err
    assert "break_with_a_secret" in said
    assert "RuntimeError" in said
    assert CANARY not in said
    assert "padariasol" not in said


def test_an_error_of_the_database_does_not_quote_what_was_written(database_url: str, tmp_path: Path) -> None:
    store = open_store(database_url, base=tmp_path)
    try:
        with pytest.raises(StoreError) as caught, store.session() as session:
            session.execute(text("INSERT INTO nowhere VALUES (:subject)"), {"subject": CANARY})
    finally:
        store.close()
    assert "INSERT INTO nowhere" in "".join(format_exception(caught.value))
    assert CANARY not in "".join(format_exception(caught.value))
