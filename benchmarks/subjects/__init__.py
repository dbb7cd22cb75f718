"""
What is measured: each module runs in a process of its own, gets its options as JSON and prints its figures as JSON.

A peer's module imports nothing of ours, because it runs in an environment of its own.
"""
