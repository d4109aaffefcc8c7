"""Deterministic simulation of the extraction: one seed is one world, one schedule of faults and all its attempts."""
