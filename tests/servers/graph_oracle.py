"""Checks what goes to and comes from the fake service by Microsoft's published description of Graph, where that is.

The description (an OpenAPI subset made of msgraph-metadata) lies outside of this repository; without it nothing is
checked and everything else runs all the same. What has the same form as something that was found right is right.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from servers.graph import Call, Reply

DESCRIPTION = Path(__file__).resolve().parents[3] / "shared" / "oracles" / "graph" / "openapi-subset.yaml"
_REFUSED_ITSELF = frozenset(range(400, 500)) - {409, 410, 412, 429}
"""Statuses by which the service says itself that the request was wrong."""
_WORDS = (
    *(
        "attachmentType",
        "flagStatus",
        "contentType",
        "importance",
        "reason",
        "color",
        "@odata.type",
        "type",
        "response",
    ),
    *("sensitivity", "showAs", "status", "wellknownListName", "daysOfWeek", "firstDayOfWeek", "index", "startDate"),
    *("endDate", "locationType"),
)
"""Properties whose very value is part of the form."""


def find_check(description: Path = DESCRIPTION) -> Callable[[Call, Reply], str] | None:
    """A check for `GraphServer`, None where the description is absent."""
    return check if description.is_file() else None


def nothing(call: Call, reply: Reply) -> str:
    """The check where there is no description."""
    return ""


def check(call: Call, reply: Reply) -> str:
    """What is wrong with a request or its answer by the description, "" if nothing is."""
    path = re.sub(r"/(AAk|users/)[^/]+", r"/\1x", urlsplit(call.target).path.removeprefix("/v1.0"))
    query = {name: _plain(name, value) for name, value in call.query.items()}
    kind = call.headers.get("content-type", "application/json")
    body = _form(call.body) if kind == "application/json" else "text"
    prefer = call.headers.get("prefer", "")
    return _check(
        call.method.lower(), path, json.dumps(query), prefer, kind, body, reply.status, reply.kind, _form(reply.body)
    )


@functools.cache
def _check(
    method: str, path: str, query: str, prefer: str, kind: str, body: str, status: int, answer_kind: str, answer: str
) -> str:
    from openapi_core.exceptions import OpenAPIError
    from openapi_core.testing import MockRequest, MockResponse

    request = MockRequest(
        "https://graph.microsoft.com",
        method,
        f"/v1.0{path}",
        args=json.loads(query),
        headers={"Prefer": prefer},
        data=body.encode() or None,
        content_type=kind,
    )
    response = MockResponse(data=answer.encode(), status_code=status, content_type=answer_kind)
    try:
        if status not in _REFUSED_ITSELF:
            _api().validate_request(request)
    except OpenAPIError as error:
        return f"request: {_words(error)}"
    try:
        _api().validate_response(request, response)
    except OpenAPIError as error:
        return f"answer: {_words(error)}"
    return ""


@functools.cache
def _api() -> Any:
    import yaml
    from openapi_core import Config, OpenAPI

    unchecked: Any = Config(spec_validator_cls=cast(Any, None))  # checking the description itself takes seconds
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with DESCRIPTION.open(encoding="utf-8") as file:
        return OpenAPI.from_dict(yaml.load(file, Loader=loader), config=unchecked)


def _plain(name: str, value: str) -> str:
    """Without what differs from call to call: tokens, times and Message-IDs."""
    if name in ("startDateTime", "endDateTime"):
        return f"{_TIME}{value[19:]}" if _LOOKS_LIKE_TIME.match(value) else value
    return "x" if name in ("$skiptoken", "$deltatoken", "$filter") else "1" if name in ("$top", "$skip") else value


def _form(body: bytes) -> str:
    """A body reduced to its form: each kind of entry once, plain texts as "x", digits of times as they may be."""
    try:
        return json.dumps(_reduced("", json.loads(body)), sort_keys=True) if body else ""
    except ValueError:
        return "text"


def _reduced(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _reduced(key, one) for key, one in value.items()}
    if isinstance(value, list):
        forms = {json.dumps(_reduced(name, one), sort_keys=True) for one in value}
        return [json.loads(form) for form in sorted(forms)]
    if not isinstance(value, str) or name in _WORDS:
        return value if not isinstance(value, int) or isinstance(value, bool) else 1
    if name.endswith("DateTime") or name in ("dateTime", "originalStart", "time"):
        return f"{_TIME}{value[19:]}" if _LOOKS_LIKE_TIME.match(value) else value
    if name.endswith("Link"):
        return "https://graph.microsoft.com/x" if value.startswith("http") else value
    if name == "contentBytes":
        return "eA=="
    return "x"


_LOOKS_LIKE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_TIME = "2026-01-31T12:00:00"


def _words(error: BaseException) -> str:
    cause = error.__cause__ or error
    details = getattr(cause, "schema_errors", None)
    return f"{cause}: {[one.message[:300] for one in details]}" if details else str(cause)[:600]
