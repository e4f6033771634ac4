"""Makes, lists and serves the deployments of a Prefect server."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from imagen_batch.errors import SettingsInvalid
from imagen_batch.orchestration.deployments.specification import (
    ENTRYPOINT,
    FLOW,
    GRACE_S,
    NOT_IN_FORM,
    Specification,
)
from imagen_batch.orchestration.server.environment import bypass_proxy_for_loopback, prefect_home, set_quiet_defaults
from imagen_batch.orchestration.server.reachability import find_unreachable_reason, show_address
from imagen_batch.system.streams import print_message
from imagen_batch.text import plural


@dataclass(frozen=True, slots=True)
class Listed:
    """A deployment of the server."""

    id: UUID
    name: str
    settings: dict[str, Any]
    cron: str | None
    timezone: str | None
    active: bool  # it has a schedule that is not paused
    work_pool: str | None
    next_run: datetime | None = None
    last_run: str | None = None  # state and time of the latest run


@dataclass(frozen=True, slots=True)
class _Unchanged:
    """A deployment as Prefect's runner takes it. Registering it changes nothing: it keeps its schedule."""

    id: UUID
    name: str
    storage: None = None

    async def aapply(self) -> UUID:
        """Return the id instead of writing the deployment again."""
        return self.id


def prepare(env: dict[str, str] | None = None) -> str:
    """Prepare this process for a running Prefect server and return its address. Raises SettingsInvalid."""
    set_quiet_defaults()
    bypass_proxy_for_loopback()
    url = (env or os.environ).get("PREFECT_API_URL")
    how = "Start one with: prefect server start; then set PREFECT_API_URL=http://127.0.0.1:4200/api"
    if not url:
        raise SettingsInvalid(f"this needs a Prefect server that keeps running. {how}")
    if (reason := find_unreachable_reason(url)) is not None:
        raise SettingsInvalid(f"no Prefect server answers at PREFECT_API_URL={show_address(url)}: {reason}. {how}")
    return url


def save(spec: Specification, *, work_pool: str | None = None) -> bool:
    """Make the deployment, or update it; returns whether it is new. Its schedule is exactly that of `spec`."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - importing Prefect takes a second
    from prefect.client.schemas.actions import DeploymentScheduleCreate  # noqa: PLC0415
    from prefect.client.schemas.schedules import CronSchedule  # noqa: PLC0415

    known = {listed.name: listed for listed in find()}.get(spec.name)
    deployment = _runner_deployment(spec)
    identity = deployment.apply(work_pool_name=work_pool)
    with get_client(sync_client=True) as client:
        for schedule in client.read_deployment_schedules(identity):
            client.delete_deployment_schedule(identity, schedule.id)
        if spec.cron is not None:
            cron = DeploymentScheduleCreate(schedule=CronSchedule(cron=spec.cron, timezone=spec.timezone))
            client.create_deployment_schedules(identity, [cron])
    return known is None


def find() -> list[Listed]:
    """Return the deployments of the flow, by name."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - importing Prefect takes a second
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName  # noqa: PLC0415

    with get_client(sync_client=True) as client:
        deployments = client.read_deployments(flow_filter=FlowFilter(name=FlowFilterName(any_=[FLOW])), limit=200)
        return sorted((_listed(client, each) for each in deployments), key=lambda listed: listed.name)


def serve(names: Sequence[str]) -> int:
    """Start the runs of these deployments, or of all without a work pool, until a signal stops this process.

    Returns the number of the signal. Raises SettingsInvalid for a name that is not known.
    """
    from imagen_batch.orchestration.deployments.runner_that_waits import (  # noqa: PLC0415 - imports Prefect
        RunnerThatWaits,
    )

    listed = {each.name: each for each in find()}
    if unknown := sorted(set(names) - set(listed)):
        raise SettingsInvalid(
            f"no deployment is named {unknown[0]}; imagen-batch deployments lists them: {', '.join(listed) or 'none'}"
        )
    chosen = [each for each in listed.values() if each.name in names or (not names and each.work_pool is None)]
    if not chosen:
        raise SettingsInvalid(
            "there is nothing to serve: make a deployment with imagen-batch deploy PROMPTS --name N"
        )
    _end_killed_runs()
    grace = max(float(each.settings.get("grace", GRACE_S)) for each in chosen)
    runner: Any = RunnerThatWaits("imagen-batch", grace=grace)
    for each in chosen:
        runner.add_deployment(_Unchanged(each.id, each.name))
    stopped_by: int = runner.run_until_stopped()
    return stopped_by


def _end_killed_runs() -> None:
    """Mark the flow runs as crashed that a process of this machine made when it was killed."""
    from imagen_batch.orchestration.recording.killed_runs import end_killed_runs  # noqa: PLC0415
    from imagen_batch.orchestration.recording.prefect_api import (  # noqa: PLC0415
        PrefectApi,
        Refused,
        Unavailable,
        needs_login,
    )

    url = os.environ["PREFECT_API_URL"]
    with suppress(Refused, Unavailable):
        if not needs_login(url, os.environ) and (
            ended := end_killed_runs(prefect_home(), server=url, api=PrefectApi(url))
        ):
            print_message(f"marked {plural(ended, 'killed run')} of this machine as crashed")


def _runner_deployment(spec: Specification) -> Any:
    from prefect.deployments.runner import RunnerDeployment  # noqa: PLC0415
    from prefect.types.entrypoint import EntrypointType  # noqa: PLC0415

    from imagen_batch.orchestration.flow import generate_images  # noqa: PLC0415

    deployment = RunnerDeployment.from_flow(
        generate_images,
        name=spec.name,
        parameters={"settings": dict(spec.settings)},
        tags=spec.tags,
        description=spec.description,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    schema = deployment._parameter_openapi_schema.model_copy(deep=True)
    for name in NOT_IN_FORM:
        schema.definitions["Settings"]["properties"].pop(name)
    deployment._parameter_openapi_schema = schema
    deployment.entrypoint = ENTRYPOINT  # found by its module: whatever the current folder has in `flows/`
    return deployment


def _listed(client: Any, deployment: Any) -> Listed:
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId  # noqa: PLC0415
    from prefect.client.schemas.sorting import FlowRunSort  # noqa: PLC0415

    schedules = [each for each in deployment.schedules if getattr(each.schedule, "cron", None)]
    schedule = schedules[0].schedule if schedules else None
    runs = client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id])),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=200,
    )
    now = datetime.now(UTC)
    coming = [run.expected_start_time for run in runs if run.state_type == "SCHEDULED" and run.expected_start_time]
    past = [run for run in runs if run.start_time is not None]
    last = max(past, key=lambda run: run.start_time, default=None)
    return Listed(
        id=deployment.id,
        name=deployment.name,
        settings=dict((deployment.parameters or {}).get("settings") or {}),
        cron=None if schedule is None else schedule.cron,
        timezone=None if schedule is None else schedule.timezone,
        active=bool(schedules) and schedules[0].active and not deployment.paused,
        work_pool=deployment.work_pool_name,
        next_run=min((moment for moment in coming if moment > now), default=None),
        last_run=None if last is None else f"{last.state_name} {last.start_time:%Y-%m-%d %H:%M} UTC",
    )
