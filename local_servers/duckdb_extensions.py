"""Installs DuckDB's extensions from their packages into the home folder, where DuckDB looks for them."""

from __future__ import annotations


def main() -> None:
    """Import the extensions that local-bigquery uses."""
    from duckdb_extensions import import_extension

    for name in ("ducklake", "httpfs", "spatial"):
        import_extension(name)


if __name__ == "__main__":
    main()
