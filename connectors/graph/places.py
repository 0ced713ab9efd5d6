"""Where our own mails lie: found by our mark, else by Message-ID; made as drafts or answers, never twice unseen."""

from __future__ import annotations

from connectors.graph.client import GraphClient, Json, Lost, Refused
from connectors.graph.outgoing import MARK, draft, with_reply
from connectors.graph.reader import is_gone
from connectors.model import OutgoingMail

__all__ = ["answered", "by_message_id", "create", "create_draft", "ours", "quoted"]

_SELECT = "id,internetMessageId,isDraft,isRead,parentFolderId,categories,flag"
_MOST = "50"


def quoted(text: str) -> str:
    """A text as it stands in $filter (OData 4.01, 5.1.1.6.1)."""
    return "'" + text.replace("'", "''") + "'"


def ours(client: GraphClient, message_id: str, folder: str = "") -> list[Json]:
    """Mails that carry this Message-ID as our mark, else as their own; in one folder or in the whole mailbox."""
    by_mark = f"singleValueExtendedProperties/Any(ep: ep/id eq {quoted(MARK)} and ep/value eq {quoted(message_id)})"
    return _list(client, folder, by_mark) or by_message_id(client, message_id, folder)


def by_message_id(client: GraphClient, message_id: str, folder: str = "") -> list[Json]:
    """Mails with this Message-ID."""
    return _list(client, folder, f"internetMessageId eq {quoted(f'<{message_id}>')}")


def _list(client: GraphClient, folder: str, condition: str) -> list[Json]:
    path = f"/mailFolders/{folder}/messages" if folder else "/messages"
    return list(client.pages(path, {"$filter": condition, "$select": _SELECT, "$top": _MOST}))


def answered(client: GraphClient, mail: OutgoingMail) -> str:
    """The id of the mail that this one answers, "" if it is not in the mailbox."""
    if not mail.in_reply_to:
        return ""
    found = (row for row in by_message_id(client, mail.in_reply_to) if not row.get("isDraft"))
    return next((str(row["id"]) for row in found), "")


def create_draft(client: GraphClient, mail: OutgoingMail) -> Json:
    """A draft in Drafts: an answer within its conversation where what it answers is there. Raises Lost."""
    made = draft(mail)
    original = answered(client, mail)
    if not original:
        return create(client, "/messages", made, mail.message_id)
    try:
        row = create(client, f"/messages/{original}/createReply", with_reply(made), mail.message_id)
    except Refused as error:
        if not is_gone(error):
            raise
        return create(client, "/messages", made, mail.message_id)
    return _as_planned(client, row, made)


def create(client: GraphClient, path: str, body: Json, message_id: str) -> Json:
    """Make a mail. Was the answer lost, it is looked for by its mark. Raises Lost if that does not find it."""
    try:
        return client.post(path, body)
    except Lost:
        found = ours(client, message_id)
        if not found:
            raise
        return found[0]


def _as_planned(client: GraphClient, row: Json, made: Json) -> Json:
    """An answer as the service made it says what we planned, or is made to; half an answer is not left behind."""
    if all(row.get(key) == made[key] for key in ("subject", "internetMessageId", "body")) and _recipients(row) == (
        _recipients(made)
    ):
        return row
    names = ("subject", "body", "toRecipients", "ccRecipients", "internetMessageId")
    try:
        return client.patch(f"/messages/{row['id']}", {name: made[name] for name in names})
    except BaseException:
        client.delete(f"/messages/{row['id']}")
        raise


def _recipients(row: Json) -> list[str]:
    people = (*row.get("toRecipients", ()), *row.get("ccRecipients", ()), *row.get("bccRecipients", ()))
    return [str(one["emailAddress"]["address"]).lower() for one in people]
