"""Where mail comes from and goes to: one neutral model, one folder for each protocol."""
