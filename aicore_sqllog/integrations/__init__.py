"""Frameworks and SDKs that people already use: each call that they make becomes an operation."""
