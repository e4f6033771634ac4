"""Which choices hold for this run?

The command line beats the environment (`IMAGEN_BATCH_*`), that beats `imagen-batch.toml`, that beats the
defaults below. A row's own value, where its column exists, beats them all. Validated once, here.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
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

from imagen_batch.errors import SettingsInvalid
from imagen_batch.prompts.cells import aspect_ratio
from imagen_batch.prompts.sources import is_unicode, read_small, stands_for_stdin
from imagen_batch.records import Options
from imagen_batch.system.addresses import cluster_address, web_address

CONFIG_FILE = "imagen-batch.toml"
ENV_PREFIX = "IMAGEN_BATCH_"
DEFAULT_MODEL = "gemini-nano-banana-2.1"

_TABLES = ("parameters", "models")

Retry = Literal["failed", "filtered", "unknown", "missing"]


def _words(value: object) -> object:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def _folded(value: object) -> object:
    return value.strip().lower().replace("-", "_").replace(" ", "_") if isinstance(value, str) else value


def _ratio(value: object) -> object:
    return aspect_ratio(value.strip()) if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


class Parameters(BaseModel):
    """Options of the services that have no flag of their own: `--parameter NAME=VALUE` or `[parameters]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    guidance_scale: float | None = None
    safety_setting: (
        Literal["block_none", "block_only_high", "block_medium_and_above", "block_low_and_above"] | None
    ) = None
    safety_settings: dict[str, str] | None = None
    language: str | None = None
    include_safety_attributes: bool | None = None
    output_mime_type: Literal["image/png", "image/jpeg"] | None = None
    compression_quality: int | None = Field(None, ge=0, le=100)
    add_watermark: bool | None = None
    enhance_prompt: bool | None = None
    thinking_level: Annotated[str | None, BeforeValidator(_upper)] = None
    store: bool | None = None
    labels: dict[str, str] | None = None


class Settings(BaseModel):
    """Every choice of a run. Holds no secret: it may be stored, shown and passed to other processes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # The file that base_url came from, where that was found in the current folder and the user has not agreed yet.
    # Never stored: it is about this start of the run, not about the run.
    _base_url_found_in: str | None = PrivateAttr(None)

    prompts: str = Field(description="prompt file, or - for standard input")
    out: str | None = Field(None, description="output folder, or a URL such as s3://bucket/run")
    provider: Literal["gemini", "vertex", "simulator"] = "gemini"
    base_url: Annotated[str, AfterValidator(web_address)] | None = None
    project: str | None = None
    location: str | None = None
    model: str = DEFAULT_MODEL
    dialect: Literal["predict", "generate_content"] | None = None
    price: float | None = Field(None, ge=0, description="USD a picture, where the catalogue is wrong")
    models: dict[str, dict[str, Any]] = Field(default_factory=dict, description="catalogue entries of one's own")

    samples: int = Field(1, ge=1, le=10_000)
    aspect_ratio: Annotated[str | None, BeforeValidator(_ratio)] = None
    image_size: Annotated[str | None, BeforeValidator(_upper)] = None
    person_generation: Annotated[
        Literal["dont_allow", "allow_adult", "allow_all"] | None, BeforeValidator(_folded)
    ] = None
    negative_prompt: str | None = None
    seed: int | None = Field(None, ge=0, le=2**32 - 1)
    parameters: Parameters = Parameters()

    concurrency: int = Field(32, ge=1, le=1024)
    requests_per_minute: float | None = Field(None, gt=0)
    images_per_minute: float | None = Field(None, gt=0)
    max_attempts: int = Field(5, ge=1, le=100)
    wait_initial: float = Field(1.0, ge=0, description="seconds before the second attempt, then doubling")
    wait_max: float = Field(60.0, ge=0, description="longest wait between attempts without a hint, seconds")
    timeout: float = Field(300.0, gt=0, description="seconds for a whole attempt")
    outage_limit: float = Field(600.0, gt=0, description="seconds of nothing but failures before the run stops")
    grace: float = Field(30.0, ge=0, description="seconds that attempts under way get after a signal")

    runner: Literal["threads", "dask", "ray"] = "threads"
    dask_address: Annotated[str, AfterValidator(cluster_address)] | None = Field(
        None, description="scheduler of a Dask cluster, as tcp://HOST:8786"
    )
    ray_address: Annotated[str, AfterValidator(cluster_address)] | None = Field(
        None, description="a Ray cluster, as ray://HOST:10001"
    )
    workers: int | None = Field(None, ge=1, le=1024, description="worker processes where no address is given")

    max_cost: float | None = Field(None, ge=0, description="USD, for all runs into the folder together")
    max_cost_per_run: float | None = Field(None, ge=0, description="USD, for each run into the folder")
    max_images: int | None = Field(None, ge=0)
    limit: int | None = Field(None, ge=1, description="only the first rows")
    retry: Annotated[tuple[Retry, ...], BeforeValidator(_words)] = ()
    on_unknown: Literal["resend", "hold"] = "resend"
    other_input: Literal["add", "replace"] | None = Field(
        None, description="what another prompt file than the folder's does to its rows"
    )

    name_template: str | None = None
    prompt_column: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    join_extra: bool = False
    format: Literal["csv", "tsv", "txt", "jsonl"] | None = None
    api_key_file: str | None = None

    @model_validator(mode="after")
    def _addresses_fit_the_runner(self) -> Self:
        for runner in ("dask", "ray"):
            if getattr(self, f"{runner}_address") is not None and self.runner != runner:
                raise ValueError(f"{runner}_address is for runner = {runner}")
        return self

    @property
    def base_url_found_in(self) -> str | None:
        """The config file of the current folder that names the host, as long as the user has not agreed to it."""
        return self._base_url_found_in

    def with_host_agreed(self) -> Self:
        """These settings, with a host that the user agreed to."""
        agreed = self.model_copy()
        agreed._base_url_found_in = None
        return agreed

    @property
    def place(self) -> str:
        """Where the run's files go: a folder, or a URL such as s3://bucket/run."""
        if self.out is not None:
            return self.out
        name = "stdin" if stands_for_stdin(self.prompts) else Path(self.prompts).stem
        return str(Path("outputs") / (f"{name}-rehearsal" if self.provider == "simulator" else name))

    @property
    def options(self) -> Options:
        """What the run asks for where a row says nothing."""
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
    given: Mapping[str, Any], *, env: Mapping[str, str], config: Path | None = None, here: Path = Path()
) -> Settings:
    """The settings of a run: `given` over environment over file over defaults.

    `given` holds only what was typed. Tables (parameters, models) merge key by key, at any depth. Raises
    SettingsInvalid that names every wrong setting.
    """
    from_file, from_env = _from_file(config, here), _from_env(env)
    settings = validated(merged(merged(from_file, from_env), given))
    if config is None and "base_url" in from_file and "base_url" not in {**from_env, **given}:
        settings._base_url_found_in = str(here / CONFIG_FILE)
    return settings


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both layers in one: a key of `above` beats that of `below`, and a table in both is merged likewise."""
    both = {**below, **above}
    for name in below.keys() & above.keys():
        if isinstance(below[name], Mapping) and isinstance(above[name], Mapping):
            both[name] = merged(below[name], above[name])
    return both


def validated(values: Mapping[str, Any]) -> Settings:
    """Settings of plain values. Raises SettingsInvalid that names every wrong setting."""
    for name, value in values.items():
        if isinstance(value, str) and not is_unicode(value):
            raise SettingsInvalid(f"{name} = {value!r} holds bytes that are not UTF-8")
    try:
        return Settings.model_validate(dict(values))
    except ValidationError as error:
        raise SettingsInvalid("\n".join(_sentence(one) for one in error.errors())) from None


def _from_file(config: Path | None, here: Path) -> dict[str, Any]:
    path = config or here / CONFIG_FILE
    if config is None and not path.exists():
        return {}
    try:
        found = tomllib.loads(read_small(path).decode())
    except OSError as error:
        raise SettingsInvalid(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SettingsInvalid(f"{path} is not UTF-8, which TOML is written in (at byte {error.start})") from error
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError, a date of month 13 another
        raise SettingsInvalid(f"{path} is not TOML: {str(error)[:300]}") from error
    return {name.replace("-", "_"): value for name, value in found.items()}


def _from_env(env: Mapping[str, str]) -> dict[str, Any]:
    names = set(Settings.model_fields) - {"prompts"}
    typed = {name for name in env if name.startswith(ENV_PREFIX)}
    if unknown := sorted(typed - {ENV_PREFIX + name.upper() for name in names}):
        raise SettingsInvalid(f"unknown setting in the environment: {', '.join(unknown)}")
    given = {name: env.get(ENV_PREFIX + name.upper()) for name in names}
    return {name: _table(name, value) if name in _TABLES else value for name, value in given.items() if value}


def _table(name: str, value: str) -> object:
    """A table from the environment, where it is a JSON object."""
    try:
        table = json.loads(value)
    except json.JSONDecodeError:
        table = None
    if not isinstance(table, dict):
        raise SettingsInvalid(f"{ENV_PREFIX}{name.upper()}: expected a JSON object")
    return table


def _sentence(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        known = Parameters if place.startswith("parameters.") else Settings
        return f"unknown setting {place!r}; known: {', '.join(sorted(known.model_fields))}"
    said = error["msg"].removeprefix("Value error, ")
    return f"{place} = {error['input']!r}: {said.lower()}" if place else said
