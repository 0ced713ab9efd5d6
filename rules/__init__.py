"""What is decided: rules and templates from text files, evaluated without any side effect."""
