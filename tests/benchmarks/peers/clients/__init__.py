"""One program per contestant; each runs in a process and a virtual environment of its own."""
