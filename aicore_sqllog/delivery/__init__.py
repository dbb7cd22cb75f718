"""From a ``CallRecord`` to a committed row: the queue, the worker, the rows and the writer."""
