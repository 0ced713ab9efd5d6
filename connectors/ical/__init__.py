"""iCalendar (RFC 5545, 5546): bytes to occurrences and back. Pure, standard library only: it runs in a parser child."""
