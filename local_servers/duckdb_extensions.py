"""Puts DuckDB's extensions, which came as packages, where DuckDB looks for them: in the home folder."""

from __future__ import annotations


def main() -> None:
    """Import all that local-bigquery uses."""
    from duckdb_extensions import import_extension

    for name in ("ducklake", "httpfs", "spatial"):
        import_extension(name)


if __name__ == "__main__":
    main()
