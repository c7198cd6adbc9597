"""One module per subject; each is imported when one of its commands is asked for."""
