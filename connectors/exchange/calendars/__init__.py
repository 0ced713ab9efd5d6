"""Calendars and tasks on an Exchange Server, by EWS."""
