"""The process around us: its forks, its end, its signals, and what is said to a person."""
