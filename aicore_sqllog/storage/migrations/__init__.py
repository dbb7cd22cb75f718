"""The revisions of our tables: plain modules in a fixed list, so that a zip or a frozen application has them too."""
