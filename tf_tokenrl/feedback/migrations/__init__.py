"""The schema, version by version, as Alembic runs it."""
