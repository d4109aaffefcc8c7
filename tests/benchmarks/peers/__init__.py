"""This provider and other libraries, measured against a lightweight local Graph server: ``make bench``."""
