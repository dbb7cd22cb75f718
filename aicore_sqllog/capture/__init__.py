"""What a log record says: from a ``LogRecord`` to a frozen ``CallRecord``. Knows nothing of SQL."""
