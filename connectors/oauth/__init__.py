"""Sign-in by OAuth 2.0: tokens that renew themselves, kept so that no crash loses a mailbox."""
