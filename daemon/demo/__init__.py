"""The demonstration: a sample office of ours, played on a held clock with the real machinery."""
