"""What it costs, measured beside others: ``python -m benchmarks --help``."""
