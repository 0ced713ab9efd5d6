"""Settings for the EWS server of the tests."""

from __future__ import annotations

from servers.ews import EwsServer

from connectors.exchange.settings import ExchangeSettings

ANA = "ana@vendas.example"


def settings_for(server: EwsServer, **changes: object) -> ExchangeSettings:
    """An account on the server; by default Ana's, with her own login."""
    values: dict[str, object] = {
        "account": "exchange",
        "endpoint": server.url,
        "mailbox": ANA,
        "login": ANA,
        "password": "secret",
        "auth": "basic",
        "connect_timeout": 5.0,
        "read_timeout": 10.0,
    }
    return ExchangeSettings(**{**values, **changes})  # type: ignore[arg-type]
