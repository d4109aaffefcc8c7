"""We and our peers, side by side, against a lean local Graph server: ``make bench``."""
