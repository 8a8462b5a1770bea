"""A run as spans tell it: what it is, and where its statements are sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aishell.engines import profile
from aishell.execution.run import Run
from aishell.execution.target_context import Job
from aishell.telemetry.spans import Span, Value


@contextmanager
def tracing(run: Run, *, resumed: bool) -> Iterator[Span]:
    """A run's span; while inside, each statement of a tool on its target has one. A trace is of a workflow, or of a run alone."""
    job, task = run.job, run.plan.task
    facts = {
        "aishell.run.id": run.id,
        "aishell.agent": job.agent.type,
        "aishell.target": job.target.name if "://" not in job.target.name else None,
        "aishell.environment": job.target.environment,
        "aishell.resumed": resumed or None,
        "aishell.workflow.id": task.workflow_id,
        **{f"aishell.{name}": task.metadata.get(name) for name in ("schedule", "workflow", "stage")},
    }
    databases = [database for database in (job.database, job.inspector) if database is not None]
    for database in databases:
        database.traces = run.spans.statements(place(job))
    try:
        with run.spans.whole(f"run {job.agent.type}", task.workflow_id or run.id, facts) as span:
            yield span
    finally:
        for database in databases:
            database.traces = None


def place(job: Job) -> dict[str, Value | None]:
    """Which database it is, by the names of OpenTelemetry's conventions."""
    url = job.database.credentials.url
    port = url.port or profile(url.engine).port
    return {
        "db.system.name": job.known_server().product,
        "db.namespace": job.known_server().database or url.database,
        "server.address": url.host,
        "server.port": port if url.host and not url.host.startswith("/") else None,
    }
