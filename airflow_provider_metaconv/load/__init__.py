"""Loading manifests into a warehouse: verify every file, then merge all files in one load."""

from airflow_provider_metaconv.load.load import CheckResult, LoadError, check_manifests, load_manifests, verified_files

__all__ = ["CheckResult", "LoadError", "check_manifests", "load_manifests", "verified_files"]
