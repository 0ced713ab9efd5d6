"""Mail in files: Maildir, mbox and folders of .eml."""
