"""Microsoft 365 by Microsoft Graph v1.0: mail is read, laid out, marked and sent over HTTPS."""
