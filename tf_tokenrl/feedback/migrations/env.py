"""Run by Alembic: migrates over the connection that `database` hands it."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
