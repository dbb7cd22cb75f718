"""Everything that a database decides, one file each; nothing else in the package names a database."""
