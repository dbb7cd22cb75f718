"""The cases: what is measured, against what, and the goals."""
