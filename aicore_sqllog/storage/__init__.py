"""The database: tables, types, engines. Knows nothing of logging and nothing of questions."""
