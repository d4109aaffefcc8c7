"""The state of a load: small JSON-serialisable values, so that a trigger can wait for a job and a task can continue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from airflow_provider_metaconv.warehouse.base import LoadResult, TableResult


@dataclass(frozen=True, slots=True)
class JobReference:
    """Identifies a BigQuery job."""

    project: str
    location: str
    job_id: str


@dataclass(frozen=True, slots=True)
class Staging:
    """A staging table: its target table, creation time (Unix milliseconds), expected number of rows and load jobs."""

    table: str
    file_format: str
    name: str
    created: int
    rows: int
    jobs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BigQueryStep:
    """The state of a load between two calls.

    ``jobs`` are the jobs to wait for, and ``result`` is set once the load has finished. ``is_second_try`` is true if an
    earlier load of the same manifests found files that had been replaced. The step holds names and counts only, no row
    values. ``as_dict`` and ``from_dict`` convert it to and from JSON types.
    """

    project: str
    location: str
    stagings: tuple[Staging, ...]
    merge_job: str | None = None
    merge_tries: int = 0
    is_second_try: bool = False
    result: LoadResult | None = None

    @property
    def jobs(self) -> tuple[JobReference, ...]:
        """The jobs that must be done before ``advance``; none once there is a result."""
        if self.result is not None:
            return ()
        ids = [self.merge_job] if self.merge_job else [job for staging in self.stagings for job in staging.jobs]
        return tuple(JobReference(self.project, self.location, job_id) for job_id in ids)

    def as_dict(self) -> dict[str, Any]:
        """Return the step in JSON types."""
        values = asdict(self)
        values["result"] = {name: asdict(table) for name, table in self.result.tables.items()} if self.result else None
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BigQueryStep:
        """Restore a step from ``as_dict``."""
        stagings = tuple(Staging(**{**staging, "jobs": tuple(staging["jobs"])}) for staging in values["stagings"])
        result = values["result"]
        if result is not None:
            result = LoadResult({name: TableResult(**counts) for name, counts in result.items()})
        return cls(**{**values, "stagings": stagings, "result": result})
