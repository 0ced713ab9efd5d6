"""Mail as text: bodies, quotes, signatures."""
