"""The revisions of our tables, as Alembic scripts; run by ``storage/migrate.py``, never from a folder of the user's."""
