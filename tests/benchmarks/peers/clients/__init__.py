"""One program per competitor; each runs in a process and a virtual environment of its own."""
