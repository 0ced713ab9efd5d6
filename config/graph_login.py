"""A mailbox in Microsoft 365: which one it is, who opens it, and where the service is."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from config.sign_in import SignIn, WebAddress
from config.values import Mail, Section, fault, is_loopback

__all__ = ["GRAPH", "GRAPH_HOSTS", "GraphLogin"]

GRAPH = "https://graph.microsoft.com/v1.0"
GRAPH_HOSTS = (
    "graph.microsoft.com",
    "graph.microsoft.us",
    "dod-graph.microsoft.us",
    "microsoftgraph.chinacloudapi.cn",
)
"""Microsoft Graph in the world's clouds (Microsoft, "National cloud deployments")."""


class GraphLogin(Section):
    """What an account and a sender in Microsoft 365 have in common."""

    login: Mail = Field(description="the address of the mailbox", examples=["ana@vendas.example"])
    sign_in: SignIn = Field(
        description="how it is opened: `microsoft`, or settings of its own; see `providers`", examples=["microsoft"]
    )
    service: WebAddress = Field(
        GRAPH,
        description="the address of Microsoft Graph with its version, where it is not the usual one (national clouds)",
        examples=["https://graph.microsoft.us/v1.0"],
    )

    @field_validator("service")
    @classmethod
    def _is_microsoft(cls, service: str) -> str:
        host = urlsplit(service).hostname or ""
        if host not in GRAPH_HOSTS and not is_loopback(host):
            raise fault("E307", f"{host} is no service of Microsoft Graph", f"write: {GRAPH}")
        return service.rstrip("/")

    @property
    def by_address(self) -> bool:
        """Whether the mailbox is another's than who signs in, so that it is asked for by its address."""
        user = self.sign_in.user or self.login
        return self.sign_in.by_itself or user.lower() != self.login.lower()
