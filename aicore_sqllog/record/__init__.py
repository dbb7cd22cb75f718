"""The call record: the table of columns, the frozen value, its aliases and its bytes. Knows no logging and no SQL."""
