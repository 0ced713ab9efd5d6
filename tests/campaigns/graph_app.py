"""quietcrm on a mailbox in a fake Microsoft 365, in this process, where the connector's pauses pass at once."""

from __future__ import annotations

import logging
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest.mock import patch

import structlog

from connectors import factory
from connectors.factory import Surroundings
from connectors.graph.settings import Pace

__all__ = ["REP", "ServiceTime", "be_quiet", "swift", "write_office"]

REP = "ana@vendas.example"
CONFIG = """\
company: {{name: Vendas, zone: America/Sao_Paulo, language: pt}}
internal: ["@vendas.example"]
hours: {{mon-sun: 00:00-24:00}}
team: {{ana: {{mail: ana@vendas.example, language: pt, name: Ana}}}}
accounts:
  ana: {{type: graph, rep: ana, login: {rep}, service: {url}, since: 2000-01-01, sign_in: {sign_in}}}
senders:
  ana: {{type: graph, login: {rep}, service: {url}, sign_in: {sign_in}}}
send: {{auto_templates: [curta], hold: 0 minutes}}
limits: {{actions_per_hour: 1000000, sends_per_day: 1000000}}
"""
TEMPLATE = """\
---
name: curta
subject: "Sobre a proposta"
---
{{ greeting }} {{ customer.name }}, ainda tem interesse na **proposta**?
"""
SIGN_IN = "{provider: microsoft, client_id: quietcrm, tenant: vendas.example}"


class OneToken:
    """Always the same one: signing in is another campaign's business."""

    def bearer(self, *, refused: str = "") -> str:
        """The token of ana's mailbox."""
        return f"token-{REP}"


@dataclass(slots=True)
class ServiceTime:
    """Time that passes for the service when the connector sleeps, and for nobody else."""

    url: str
    passed: float = 0.0
    pauses: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def sleep(self, seconds: float) -> None:
        """Sleep without sleeping. Nobody looks at the clock until the service has been told: else a pause that it asks
        for at this moment would end for us before it ends for the service."""
        with self._lock:
            with urllib.request.urlopen(f"{self.url.removesuffix('/v1.0')}/pass/{seconds:.6f}"):
                pass
            self.passed += seconds
            self.pauses += 1

    def monotonic(self) -> float:
        """What the connector takes for the time."""
        with self._lock:
            return self.passed


def be_quiet() -> None:
    """Say only what nobody expects: failures are this campaign's daily bread."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


@contextmanager
def swift(time: ServiceTime) -> Iterator[None]:
    """While this lasts, whatever is built for Graph runs at that pace, signed in."""
    usual = factory.graph_settings
    pace = Pace(monotonic=time.monotonic, sleep=time.sleep)
    with (
        patch.object(factory, "graph_settings", lambda *given: replace(usual(*given), pace=pace)),
        patch.object(Surroundings, "tokens", lambda *_, **__: OneToken()),
    ):
        yield


def write_office(directory: Path, url: str, customers: int) -> None:
    """The configuration of an office of one, and its customer list."""
    (directory / "templates").mkdir(parents=True)
    text = CONFIG.format(rep=REP, url=url, sign_in=SIGN_IN)
    (directory / "quietcrm.yaml").write_text(text, encoding="utf-8")
    (directory / "templates" / "curta.md").write_text(TEMPLATE, encoding="utf-8")
    lines = [f"Maria,maria@cliente{n}.example,Cliente {n},cliente{n}.example" for n in range(customers)]
    (directory / "customers.csv").write_text("\n".join(["name,email,company,domain", *lines, ""]), encoding="utf-8")
