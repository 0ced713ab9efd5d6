"""The running service and its command line: the only place that builds things and writes."""
