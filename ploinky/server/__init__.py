"""Wire everything together: the only place that names adapters, reads the configuration and sets up the log."""
