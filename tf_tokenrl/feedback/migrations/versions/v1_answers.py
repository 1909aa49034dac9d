"""Version 1: answers and judgements."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "1", None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _key(name: str, nullable: bool) -> sa.Column:
    key = sa.ForeignKey("answers.key", ondelete="CASCADE")
    return sa.Column(name, sa.String(64), key, nullable=nullable, index=True)


def upgrade() -> None:
    """From an empty database."""
    op.create_table(
        "answers",
        sa.Column("number", _NUMBER, primary_key=True),
        sa.Column("key", sa.String(64), nullable=False, unique=True),
        sa.Column("time", sa.BigInteger, nullable=False, index=True),
        sa.Column("model", sa.LargeBinary, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("label", sa.LargeBinary, nullable=False),
        sa.Column("prompt", sa.LargeBinary, nullable=False),
        sa.Column("text", sa.LargeBinary, nullable=False),
        sa.Column("token_ids", sa.LargeBinary, nullable=False),
        sa.Column("log_probs", sa.LargeBinary, nullable=False),
        sa.Column("ends", sa.LargeBinary, nullable=False),
        sa.Column("finish", sa.String(8), nullable=False),
        sa.Column("temperature", sa.Double, nullable=False),
        sa.Column("top_k", sa.Integer, nullable=False),
        sa.Column("top_p", sa.Double, nullable=False),
        sa.Column("max_new_tokens", sa.Integer, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("user_hash", sa.String(64), nullable=False, index=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "judgements",
        sa.Column("number", _NUMBER, primary_key=True),
        sa.Column("key", sa.String(64), nullable=False, unique=True),
        _key("answer", nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("score", sa.Double),
        _key("other", nullable=True),
        sa.Column("edit", sa.LargeBinary),
        sa.Column("start", sa.Integer),
        sa.Column("end", sa.Integer),
        sa.Column("rater", sa.String(64), nullable=False, index=True),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("comment", sa.LargeBinary, nullable=False),
        sa.Column("side", sa.String(8), nullable=False),
        sa.Column("blind", sa.Boolean, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
