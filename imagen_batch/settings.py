"""Defines and validates the settings of a run.

The command line overrides the environment (`IMAGEN_BATCH_*`), which overrides `imagen-batch.toml`, which overrides
the defaults below. A row's own value, if its column exists, overrides them all.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from imagen_batch.choices import (
    DialectName,
    FileFormat,
    MimeType,
    NotifyOn,
    OnUnknown,
    PersonGeneration,
    ProviderName,
    Retry,
    Runner,
    SafetySetting,
)
from imagen_batch.errors import SettingsInvalid
from imagen_batch.prompts import cells
from imagen_batch.prompts.reference_cells import references
from imagen_batch.prompts.sources import is_unnamed_stream, read_small
from imagen_batch.records import Options
from imagen_batch.schedules.out_template import check_name, expand, fields_in, fixed_part, parse_date
from imagen_batch.schedules.period_limits import check_period_limits
from imagen_batch.schedules.until_and_max_time import check_span, check_time, check_timezone
from imagen_batch.system.valid_address import cluster_address, web_address
from imagen_batch.text import did_you_mean, is_unicode

CONFIG_FILE = "imagen-batch.toml"
ENV_PREFIX = "IMAGEN_BATCH_"
DEFAULT_MODEL = "gemini-nano-banana-2.1"

_TABLES = ("parameters", "models", "shapes")


def _split_words(value: object) -> object:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def _split_addresses(value: object) -> object:
    return tuple(value.split()) if isinstance(value, str) else value


def _split_references(value: object) -> object:
    return references(value.strip()) if isinstance(value, str) and value.strip() else value or ()


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _parse_aspect_ratio(value: object) -> object:
    return cells.aspect_ratio(value.strip()) if isinstance(value, str) else value


def _parse_person_generation(value: object) -> object:
    return cells.person_generation(value.strip()) if isinstance(value, str) else value


def _parse_image_size(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return cells.image_size(value.strip())
    except ValueError:  # a model of the user's own may have other sizes; the plan checks them
        return _upper(value)


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


_SECRET = ("notify", "heartbeat")
WATCHING = ("notify", "notify_file", "notify_on", "heartbeat", "log_format", "log_prompts", "metrics")
"""Settings about one start of a run, which are not stored with it."""


class Parameters(BaseModel):
    """Options of the services without a command-line option: `--parameter NAME=VALUE` or `[parameters]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    guidance_scale: float | None = None
    safety_setting: SafetySetting | None = None
    safety_settings: dict[str, str] | None = None
    language: str | None = None
    include_safety_attributes: bool | None = None
    output_mime_type: MimeType | None = None
    compression_quality: int | None = Field(None, ge=0, le=100)
    add_watermark: bool | None = None
    enhance_prompt: bool | None = None
    thinking_level: Annotated[str | None, BeforeValidator(_upper)] = None
    store: bool | None = None
    labels: dict[str, str] | None = None


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
    name: Annotated[str, AfterValidator(check_name)] | None = Field(
        None, description="name of the job, {name} in out; the prompt file's name otherwise"
    )
    date: Annotated[dt.date | None, BeforeValidator(parse_date)] = Field(
        None, description="date that the run is for, {date} in out; a date has one folder, so it is paid for once"
    )
    provider: ProviderName = Field("gemini", description="where requests go: gemini, vertex or simulator")
    base_url: Annotated[str, AfterValidator(web_address)] | None = Field(
        None, description="another host with the same API as the provider"
    )
    project: str | None = Field(None, description="Google Cloud project, for vertex")
    location: str | None = Field(None, description="Google Cloud location, for vertex")
    model: str = Field(DEFAULT_MODEL, description="model of rows that name none")
    dialect: DialectName | None = Field(
        None, description="form of requests, for a model that is not in the catalogue"
    )
    price: float | None = Field(None, ge=0, description="USD an image, if the catalogue is wrong")
    models: dict[str, dict[str, Any]] = Field(default_factory=dict, description="the user's own catalogue entries")

    samples: int = Field(1, ge=1, le=10_000, description="images for each row")
    aspect_ratio: Annotated[str | None, BeforeValidator(_parse_aspect_ratio)] = Field(
        None, description="such as 16:9"
    )
    image_size: Annotated[str | None, BeforeValidator(_parse_image_size)] = Field(
        None, description="512, 1K, 2K or 4K"
    )
    shape: str | None = Field(None, description="named shape of rows that name none")
    shapes: dict[str, dict[str, Any]] = Field(default_factory=dict, description="the user's own shapes")
    trim: str | None = Field(None, description="size of a printed page, such as 8.5x8.5in")
    bleed: str | None = Field(None, description="what is cut off at each edge of the page, such as 0.125in")
    person_generation: Annotated[PersonGeneration | None, BeforeValidator(_parse_person_generation)] = Field(
        None, description="dont_allow, allow_adult or allow_all"
    )
    negative_prompt: str | None = Field(None, description="what the image must not show")
    seed: int | None = Field(None, ge=0, le=2**32 - 1, description="start of the service's random numbers")
    parameters: Parameters = Field(Parameters(), description="other options of the service")
    references: Annotated[tuple[str, ...], BeforeValidator(_split_references)] = Field(
        (), description="reference images for every row, before those of the row"
    )

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

    until: Annotated[str, AfterValidator(check_time)] | None = Field(
        None, description="time of day, such as 06:00, by which the run has ended; it continues the next time"
    )
    max_time: Annotated[str, AfterValidator(check_span)] | None = Field(
        None, description="duration, such as 2h or 1h30m, after which the run has ended"
    )
    timezone: Annotated[str, AfterValidator(check_timezone)] | None = Field(
        None, description="time zone of until and of the schedule, such as Europe/Paris; the machine's otherwise"
    )

    runner: Runner = Field("threads", description="where requests are sent from: threads, dask or ray")
    dask_address: Annotated[str, AfterValidator(cluster_address)] | None = Field(
        None, description="scheduler of a Dask cluster, as tcp://HOST:8786"
    )
    ray_address: Annotated[str, AfterValidator(cluster_address)] | None = Field(
        None, description="a Ray cluster, as ray://HOST:10001"
    )
    workers: int | None = Field(None, ge=1, le=1024, description="worker processes if no address is given")

    max_cost: float | None = Field(None, ge=0, description="USD, for all runs into the folder together")
    max_cost_per_run: float | None = Field(None, ge=0, description="USD, for each run into the folder")
    max_cost_per: Annotated[tuple[str, ...], AfterValidator(check_period_limits), BeforeValidator(_split_words)] = (
        Field((), description="USD in a rolling period, such as 30d=200, for all runs below budget_root together")
    )
    budget_root: str | None = Field(None, description="folder whose runs share max_cost_per")
    max_images: int | None = Field(None, ge=0, description="images for all runs into the folder together")
    limit: int | None = Field(None, ge=1, description="only the first rows")
    retry: Annotated[tuple[Retry, ...], BeforeValidator(_split_words)] = Field(
        (), description="outcomes to send again: failed, filtered, unknown, missing"
    )
    on_unknown: OnUnknown = Field("resend", description="requests without a reply, possibly charged: resend or hold")
    redo: bool = Field(default=False, description="make the samples again that the review marked for a redo")
    upgrade: Annotated[str | None, BeforeValidator(_parse_image_size)] = Field(
        None, description="size in which approved images are made again, as a further version"
    )
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
    matrix: Annotated[tuple[str, ...], BeforeValidator(_one_or_more)] = Field(
        (), description="variants of each row, such as style=ink,watercolor"
    )
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
    notify: Annotated[tuple[str, ...], BeforeValidator(_split_addresses)] = Field(
        (), exclude=True, repr=False, description="addresses of apprise that get a message at the end"
    )
    notify_file: str | None = Field(None, exclude=True, repr=False, description="a file with such addresses")
    notify_on: NotifyOn = Field("partial", exclude=True, description="which ends of a run are worth a message")
    heartbeat: Annotated[str, AfterValidator(web_address)] | None = Field(
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


def load_settings(
    typed: Mapping[str, Any], *, env: Mapping[str, str], config: Path | None = None, cwd: Path = Path()
) -> Settings:
    """Return the settings of a run: `typed` over environment over file over defaults.

    `typed` has only the options that were typed. Tables (parameters, models) are merged key by key, at any depth.
    Raises SettingsInvalid, which names every wrong setting.
    """
    from_file, from_env = _from_file(config, cwd), _from_env(env)
    settings = make_settings(merge(merge(from_file, from_env), typed))
    if config is None and "base_url" in from_file and "base_url" not in {**from_env, **typed}:
        settings._base_url_found_in = str(cwd / CONFIG_FILE)
    return _with_budget_root(with_folder_of_date(settings), template=settings.out)


def _with_budget_root(settings: Settings, *, template: str | None) -> Settings:
    """Fill in the folder whose runs share --max-cost-per: by default what all runs of this job are in."""
    if not settings.max_cost_per or "://" in settings.folder:
        return settings
    if settings.budget_root is not None:
        root = settings.budget_root
    elif template is not None:
        root = fixed_part(template) if fields_in(template) else str(Path(template).parent)
    else:
        root = "outputs"
    changed = settings.model_copy(update={"budget_root": os.path.abspath(root)})  # noqa: PTH100 - links are kept
    changed._base_url_found_in = settings._base_url_found_in
    return changed


def with_folder_of_date(settings: Settings) -> Settings:
    """Fill in `{name}` and `{date}` in the output folder. Raises SettingsInvalid where the template is wrong."""
    if settings.out is None:
        return settings
    try:
        fields = fields_in(settings.out)
        folder = expand(settings.out, name=settings.job_name, date=settings.date)
    except ValueError as error:
        raise SettingsInvalid(f"out = {settings.out!r}: {error}") from None
    if settings.date is not None and "date" not in fields:
        raise SettingsInvalid(
            f"--date {settings.date} has no effect: --out {settings.out} has no {{date}}. "
            "Use, for example, --out 'outputs/{name}/{date}'"
        )
    expanded = settings.model_copy(update={"out": folder})
    expanded._base_url_found_in = settings._base_url_found_in
    return expanded


def load_watching(*, env: Mapping[str, str], cwd: Path = Path()) -> dict[str, Any]:
    """Return the settings about one start of a run that environment and file have, for a run that is continued."""
    chosen = {name: env[name] for name in (ENV_PREFIX + field.upper() for field in WATCHING) if name in env}
    values = merge(_from_file(None, cwd), _from_env(chosen))
    return {name: value for name, value in values.items() if name in WATCHING}


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two layers: a key of `above` overrides that of `below`, and a table in both is merged likewise."""
    both = {**below, **above}
    for name in below.keys() & above.keys():
        if isinstance(below[name], Mapping) and isinstance(above[name], Mapping):
            both[name] = merge(below[name], above[name])
    return both


def make_settings(values: Mapping[str, Any]) -> Settings:
    """Return settings from plain values. Raises SettingsInvalid, which names every wrong setting."""
    for name, value in values.items():
        if name in _SECRET:
            continue
        if isinstance(value, str) and not is_unicode(value):
            raise SettingsInvalid(f"{name} = {value!r} contains bytes that are not UTF-8")
        if isinstance(value, tuple | list) and not all(is_unicode(item) for item in value if isinstance(item, str)):
            raise SettingsInvalid(f"{name} = {value!r} contains bytes that are not UTF-8")
        if isinstance(value, str) and "\0" in value:
            raise SettingsInvalid(f"{name} = {value!r} contains a null character")
    try:
        return Settings.model_validate(dict(values))
    except ValidationError as error:
        raise SettingsInvalid("\n".join(_format_error(details) for details in error.errors())) from None


def _from_file(config: Path | None, cwd: Path) -> dict[str, Any]:
    path = config or cwd / CONFIG_FILE
    if config is None and not path.exists():
        return {}
    try:
        values = tomllib.loads(read_small(path).decode())
    except OSError as error:
        raise SettingsInvalid(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SettingsInvalid(f"{path} is not UTF-8, the encoding of TOML (at byte {error.start})") from error
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError, a date of month 13 another
        raise SettingsInvalid(f"{path} is not TOML: {str(error)[:300]}") from error
    return {name.replace("-", "_"): value for name, value in values.items()}


def _from_env(env: Mapping[str, str]) -> dict[str, Any]:
    names = set(Settings.model_fields) - {"prompts"}
    variables = {name for name in env if name.startswith(ENV_PREFIX)}
    if unknown := sorted(variables - {ENV_PREFIX + name.upper() for name in names}):
        raise SettingsInvalid(f"unknown setting in the environment: {', '.join(unknown)}")
    values = {name: env.get(ENV_PREFIX + name.upper()) for name in names}
    return {name: _parse_table(name, value) if name in _TABLES else value for name, value in values.items() if value}


def _parse_table(name: str, value: str) -> object:
    """Parse a table from the environment, where it is a JSON object."""
    try:
        table = json.loads(value)
    except json.JSONDecodeError:
        table = None
    if not isinstance(table, dict):
        raise SettingsInvalid(f"{ENV_PREFIX}{name.upper()}: expected a JSON object")
    return table


def _format_error(error: Any) -> str:
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        known = Parameters if name.startswith("parameters.") else Settings
        hint = did_you_mean(name.rpartition(".")[2], known.model_fields)
        return f"unknown setting {name!r}{hint or '.'} Known: {', '.join(sorted(known.model_fields))}"
    message = error["msg"].removeprefix("Value error, ")
    if name.partition(".")[0] in _SECRET:
        return f"{name.partition('.')[0]}: {message.lower()}; its value is not shown"
    return f"{name} = {error['input']!r}: {message.lower()}" if name else message
