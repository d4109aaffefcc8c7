"""How far a load has come: small values that go through JSON, so that someone else can wait and go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from airflow_provider_metaconv.warehouse.base import LoadResult, TableResult


@dataclass(frozen=True, slots=True)
class JobReference:
    """What names a job in BigQuery."""

    project: str
    location: str
    job_id: str


@dataclass(frozen=True, slots=True)
class Staging:
    """A staging table: what it is for, when it was made (Unix milliseconds), the rows it is to hold, its load jobs."""

    table: str
    file_format: str
    name: str
    created: int
    rows: int
    jobs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BigQueryStep:
    """A load between two calls: ``jobs`` is what to wait for, ``result`` is there once it has finished,
    ``is_second_try`` whether an earlier load of the same manifests found files that were replaced meanwhile.

    Holds names and counts only, nothing of any row. ``as_dict`` and ``from_dict`` take it through JSON.
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
        """The jobs that ``advance`` needs done; none once there is a result."""
        if self.result is not None:
            return ()
        ids = [self.merge_job] if self.merge_job else [job for staging in self.stagings for job in staging.jobs]
        return tuple(JobReference(self.project, self.location, job_id) for job_id in ids)

    def as_dict(self) -> dict[str, Any]:
        """The step in values that JSON knows."""
        values = asdict(self)
        values["result"] = {name: asdict(table) for name, table in self.result.tables.items()} if self.result else None
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BigQueryStep:
        """The step that ``as_dict`` was called on."""
        stagings = tuple(Staging(**{**staging, "jobs": tuple(staging["jobs"])}) for staging in values["stagings"])
        result = values["result"]
        if result is not None:
            result = LoadResult({name: TableResult(**counts) for name, counts in result.items()})
        return cls(**{**values, "stagings": stagings, "result": result})
