"""Defines the settings of a run, with their defaults.

The command line overrides the environment (`IMAGEN_BATCH_*`), which overrides `imagen-batch.toml`, which overrides
the defaults below. A row's own value, if its column exists, overrides them all.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from imagen_batch.choices import DialectName, FileFormat, NotifyOn, OnUnknown, ProviderName, Runner
from imagen_batch.prompts.sources import is_unnamed_stream
from imagen_batch.records import Options
from imagen_batch.settings.field_types import (
    Addresses,
    AspectRatio,
    ClusterAddress,
    Date,
    Duration,
    ImageSize,
    JobName,
    PeopleAllowed,
    PeriodLimits,
    References,
    RetryChoices,
    Texts,
    TimeOfDay,
    TimeZone,
    WebAddress,
)
from imagen_batch.settings.service_parameters import Parameters

DEFAULT_MODEL = "gemini-nano-banana-2.1"
WATCHING = ("notify", "notify_file", "notify_on", "heartbeat", "log_format", "log_prompts", "metrics")
"""Settings about one start of a run, which are not stored with it."""


class Settings(BaseModel):
    """All settings of a run. They contain no secret, so they may be stored, shown and passed to other processes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # The config file of the current folder, if base_url comes from it and the user has not agreed to the host yet.
    # Never stored: it concerns this start of the run, not the run.
    _base_url_found_in: str | None = PrivateAttr(None)

    prompts: str = Field(description="prompt file, or - for standard input")
    out: str | None = Field(
        None, description="output folder, or a URL such as s3://bucket/run; may contain {name} and {date}"
    )
    name: JobName | None = Field(None, description="name of the job, {name} in out; the prompt file's name otherwise")
    date: Date = Field(
        None, description="date that the run is for, {date} in out; a date has one folder, so it is paid for once"
    )
    provider: ProviderName = Field("gemini", description="where requests go: gemini, vertex or simulator")
    base_url: WebAddress | None = Field(None, description="another host with the same API as the provider")
    project: str | None = Field(None, description="Google Cloud project, for vertex")
    location: str | None = Field(None, description="Google Cloud location, for vertex")
    model: str = Field(DEFAULT_MODEL, description="model of rows that name none")
    dialect: DialectName | None = Field(
        None, description="form of requests, for a model that is not in the catalogue"
    )
    price: float | None = Field(None, ge=0, description="USD an image, if the catalogue is wrong")
    models: dict[str, dict[str, Any]] = Field(default_factory=dict, description="the user's own catalogue entries")

    samples: int = Field(1, ge=1, le=10_000, description="images for each row")
    aspect_ratio: AspectRatio = Field(None, description="such as 16:9")
    image_size: ImageSize = Field(None, description="512, 1K, 2K or 4K")
    shape: str | None = Field(None, description="named shape of rows that name none")
    shapes: dict[str, dict[str, Any]] = Field(default_factory=dict, description="the user's own shapes")
    trim: str | None = Field(None, description="size of a printed page, such as 8.5x8.5in")
    bleed: str | None = Field(None, description="what is cut off at each edge of the page, such as 0.125in")
    person_generation: PeopleAllowed = Field(None, description="dont_allow, allow_adult or allow_all")
    negative_prompt: str | None = Field(None, description="what the image must not show")
    seed: int | None = Field(None, ge=0, le=2**32 - 1, description="start of the service's random numbers")
    parameters: Parameters = Field(Parameters(), description="other options of the service")
    references: References = Field((), description="reference images for every row, before those of the row")

    concurrency: int = Field(32, ge=1, le=1024, description="attempts in flight at once")
    requests_per_minute: float | None = Field(
        None, gt=0, description="rate; learned from the service's replies otherwise"
    )
    images_per_minute: float | None = Field(None, gt=0, description="rate of images, if one request makes several")
    max_attempts: int = Field(5, ge=1, le=100, description="attempts for each request")
    wait_initial: float = Field(1.0, ge=0, description="seconds before the second attempt, then doubling")
    wait_max: float = Field(60.0, ge=0, description="longest wait between attempts without a hint, seconds")
    timeout: float = Field(300.0, gt=0, description="seconds for a whole attempt")
    outage_limit: float = Field(600.0, gt=0, description="seconds of only failures before the run stops")
    grace: float = Field(30.0, ge=0, description="seconds that attempts in progress get after a signal")

    until: TimeOfDay | None = Field(
        None, description="time of day, such as 06:00, by which the run has ended; it continues the next time"
    )
    max_time: Duration | None = Field(
        None, description="duration, such as 2h or 1h30m, after which the run has ended"
    )
    timezone: TimeZone | None = Field(
        None, description="time zone of until and of the schedule, such as Europe/Paris; the machine's otherwise"
    )

    runner: Runner = Field("threads", description="where requests are sent from: threads, dask or ray")
    dask_address: ClusterAddress | None = Field(None, description="scheduler of a Dask cluster, as tcp://HOST:8786")
    ray_address: ClusterAddress | None = Field(None, description="a Ray cluster, as ray://HOST:10001")
    workers: int | None = Field(None, ge=1, le=1024, description="worker processes if no address is given")

    max_cost: float | None = Field(None, ge=0, description="USD, for all runs into the folder together")
    max_cost_per_run: float | None = Field(None, ge=0, description="USD, for each run into the folder")
    max_cost_per: PeriodLimits = Field(
        (), description="USD in a rolling period, such as 30d=200, for all runs below budget_root together"
    )
    budget_root: str | None = Field(None, description="folder whose runs share max_cost_per")
    max_images: int | None = Field(None, ge=0, description="images for all runs into the folder together")
    limit: int | None = Field(None, ge=1, description="only the first rows")
    retry: RetryChoices = Field((), description="outcomes to send again: failed, filtered, unknown, missing")
    on_unknown: OnUnknown = Field("resend", description="requests without a reply, possibly charged: resend or hold")
    redo: bool = Field(default=False, description="make the samples again that the review marked for a redo")
    upgrade: ImageSize = Field(None, description="size in which approved images are made again, as a further version")
    accept: int | None = Field(None, ge=1, le=10_000, description="samples of each row to end with")
    max_tries: int | None = Field(None, ge=1, le=100_000, description="samples of a row to ask for, with accept")
    other_input: Literal["add", "replace"] | None = Field(
        None, description="what a prompt file other than the folder's does to its rows"
    )

    group_by: str | None = Field(None, description="a column; the summary divides images and cost among its values")
    name_template: str | None = Field(None, description="file names of images, such as {chapter}/{row:03}-{slug}")
    prompt_column: str | None = Field(None, description="column with the prompt")
    encoding: str | None = Field(None, description="encoding of the prompt file; from its content otherwise")
    delimiter: str | None = Field(None, description="delimiter of the prompt file; from its header otherwise")
    join_extra: bool = Field(default=False, description="join the parts of a prompt with unquoted commas")
    template: str | None = Field(None, description="file with a Jinja template of prompts")
    styles: str | None = Field(None, description="file of style presets: TOML, or A1111's styles.csv")
    characters: str | None = Field(None, description="file of characters: CSV or TOML")
    matrix: Texts = Field((), description="variants of each row, such as style=ink,watercolor")
    format: FileFormat | None = Field(
        None, description="format of the prompt file; from its name and content otherwise"
    )
    sheet: str | None = Field(None, description="sheet of a spreadsheet; the first one otherwise")
    api_key_file: str | None = Field(None, description="file with the API key, on the machine that runs the job")
    api_key_block: str | None = Field(
        None, description="name of a Prefect Secret block with the API key, for deployments"
    )
    gallery: bool = Field(default=True, description="write gallery.html at the end of each run")
    catch_up: Literal["skip", "last", "each"] = Field(
        "last", description="missed runs of a schedule: skip all, make the last one, or make each"
    )

    # These concern one start of the run, and their addresses hold secrets: they are not stored with it, not shown
    # and not passed to other processes.
    notify: Addresses = Field(
        (), exclude=True, repr=False, description="addresses of apprise that get a message at the end"
    )
    notify_file: str | None = Field(None, exclude=True, repr=False, description="a file with such addresses")
    notify_on: NotifyOn = Field("partial", exclude=True, description="which ends of a run are worth a message")
    heartbeat: WebAddress | None = Field(
        None, exclude=True, repr=False, description="URL that is pinged at start, end and failure"
    )
    log_format: Literal["text", "json"] = Field("text", exclude=True, description="messages as text or JSON objects")
    log_prompts: bool = Field(
        default=False, exclude=True, description="with JSON, also names of images and the words of the service"
    )
    metrics: str | None = Field(
        None, exclude=True, description="an OpenMetrics file, written during the run and at its end"
    )

    @model_validator(mode="after")
    def _check_addresses(self) -> Self:
        for runner in ("dask", "ray"):
            if getattr(self, f"{runner}_address") is not None and self.runner != runner:
                raise ValueError(f"{runner}_address is for runner = {runner}")
        return self

    @property
    def base_url_found_in(self) -> str | None:
        """The config file of the current folder that names the host, until the user agrees to it."""
        return self._base_url_found_in

    def with_host_from(self, config: str) -> Self:
        """Return these settings with a host that the user has not agreed to, named by this config file."""
        unapproved = self.model_copy()
        unapproved._base_url_found_in = config
        return unapproved

    def with_approved_host(self) -> Self:
        """Return these settings with a host that the user has agreed to."""
        approved = self.model_copy()
        approved._base_url_found_in = None
        return approved

    def without_watching(self) -> Self:
        """Return these settings without those about one start of the run: they stay in this process."""
        return self.model_copy(update={name: Settings.model_fields[name].default for name in WATCHING})

    @property
    def folder(self) -> str:
        """The folder of the run's files, or a URL such as s3://bucket/run."""
        if self.out is not None:
            return self.out
        name = self.job_name
        folder = Path("outputs") / (f"{name}-rehearsal" if self.provider == "simulator" else name)
        return str(folder if self.date is None else folder / self.date.isoformat())

    @property
    def has_own_simulator(self) -> bool:
        """Whether the run starts a simulator for itself: no address of one is given."""
        return self.provider == "simulator" and self.base_url is None

    @property
    def job_name(self) -> str:
        """The name of the job: the given one, else that of the prompt file."""
        if self.name is not None:
            return self.name
        return "stdin" if is_unnamed_stream(self.prompts) else Path(self.prompts).stem

    @property
    def run_name(self) -> str:
        """What a run is called in Prefect: its job and date, or the prompt file where there is neither."""
        if self.name is None and self.date is None:
            return self.prompts
        return " ".join(str(part) for part in (self.job_name, self.date) if part)

    @property
    def shown_name(self) -> str:
        """The name under which Prefect collects what runs show: that of the folder, or of a job with dates."""
        return self.job_name if self.date is not None else PurePosixPath(self.folder).name

    @property
    def has_time_limit(self) -> bool:
        """Whether the run may end by the clock."""
        return self.until is not None or self.max_time is not None

    @property
    def options(self) -> Options:
        """The options of rows that have none of their own."""
        parameters = self.parameters.model_dump()
        for name in ("labels", "safety_settings"):
            if parameters[name] is not None:
                parameters[name] = tuple(sorted(parameters[name].items()))
        return Options(
            aspect_ratio=self.aspect_ratio,
            image_size=self.image_size,
            person_generation=self.person_generation,
            negative_prompt=self.negative_prompt,
            seed=self.seed,
            **parameters,
        )
