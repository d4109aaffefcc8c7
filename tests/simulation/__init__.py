"""Deterministic simulation of the extraction: a seed defines a world, a schedule of faults and all attempts."""
