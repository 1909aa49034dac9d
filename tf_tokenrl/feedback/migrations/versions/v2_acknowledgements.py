"""Version 2: how far each reader has come."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "2", "1"

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """From version 1."""
    op.create_table(
        "acknowledgements",
        sa.Column("number", _NUMBER, primary_key=True),
        sa.Column("reader", sa.String(64), nullable=False, index=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
