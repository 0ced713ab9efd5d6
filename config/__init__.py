"""Settings, accounts and secrets of an office, loaded from text files with every error placed."""
