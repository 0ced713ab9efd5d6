"""Calendars on a CalDAV server (RFC 4791, 6578, 6764)."""
