"""From manifests to a warehouse: verify every file, then merge all of them at once."""

from airflow_provider_metaconv.load.load import CheckResult, LoadError, check_manifests, load_manifests, verified_files

__all__ = ["CheckResult", "LoadError", "check_manifests", "load_manifests", "verified_files"]
