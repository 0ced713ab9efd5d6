"""What is remembered: tables, migrations and one module of functions for each aggregate."""
