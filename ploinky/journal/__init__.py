"""The machinery around the record: hashing, writing, deciding, following."""
