"""Deliberate breaks of the core, each of which the simulation must find."""
