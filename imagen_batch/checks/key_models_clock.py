"""Checks key, models and clock against the service, with calls that cost nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from urllib.parse import urlsplit

from imagen_batch.checks.finding import Finding, ok, problem, warning
from imagen_batch.errors import AttemptError, Fatal, SettingsInvalid
from imagen_batch.orchestration.deployments.secret_block_key import environment_with_key
from imagen_batch.providers.catalogue import Catalogue, Model
from imagen_batch.providers.endpoint_and_credential import Provider, make_provider
from imagen_batch.providers.get_model_from_service import ModelReply, look_up_model
from imagen_batch.providers.trusted_hosts import is_google_host
from imagen_batch.providers.wire import DIALECTS
from imagen_batch.settings import Settings
from imagen_batch.text import one_line, plural

_CLOCK_WARNING_S, _CLOCK_PROBLEM_S = 60, 600
_MAX_MODELS = 5
_VERBS = {name: dialect.verb for name, dialect in DIALECTS.items()}


def check_service(
    settings: Settings, catalogue: Catalogue, models: Sequence[str], *, env: Mapping[str, str] = os.environ
) -> Iterator[Finding]:
    """Check that the credential is accepted, that the models can generate, and that this machine's clock is right."""
    if settings.has_own_simulator:
        yield ok("key", "the simulator needs no key and no network")
        return
    if settings.api_key_block is not None and not env.get("PREFECT_API_URL"):
        text = f"the Secret block {one_line(settings.api_key_block, 60)} is on a Prefect server"
        yield problem("key", text, "set PREFECT_API_URL to the server of the deployments")
        return
    try:
        provider = make_provider(settings, base_url=settings.base_url, env=environment_with_key(settings, env))
    except SettingsInvalid as error:
        yield problem("key", one_line(str(error), 400), "correct that; no call was made")
        return
    if provider.vertex:
        yield from _check_token(provider)
    else:
        yield from _check_models(provider, catalogue, models, source=_key_source(settings, env))


def check_lifecycle(
    catalogue: Catalogue, models: Sequence[str], *, settings: Settings, today: date
) -> Iterator[Finding]:
    """Check the announced end of each model in the catalogue."""
    for name in models[:_MAX_MODELS]:
        model = catalogue.get(name)
        if model is None:
            yield warning(
                "lifecycle",
                f"{one_line(name, 60)} is not in the catalogue: its price and its end are not known",
                "set --price USD so that --max-cost works",
            )
        else:
            yield _lifecycle(model, settings, today)


def _lifecycle(model: Model, settings: Settings, today: date) -> Finding:
    end = model.shutdowns.get(settings.provider)
    successor = f"use --model {model.successor}" if model.successor else "see imagen-batch models"
    if end is not None and end <= today:
        if is_google_host(settings.base_url):
            return problem("lifecycle", f"{model.id} was shut down by Google on {end}", successor)
        return ok("lifecycle", f"{model.id} was shut down by Google on {end}; another host may still serve it")
    if (notice := model.end_notice(settings.provider, today)) is not None:
        return warning("lifecycle", notice.partition(":")[0], successor)
    if end is not None:
        return ok("lifecycle", f"{model.id} ends on {end}")
    if model.deprecated:
        return warning("lifecycle", f"{model.id} is deprecated, without a date", successor)
    return ok("lifecycle", f"{model.id} has no announced end")


def _check_token(provider: Provider) -> Iterator[Finding]:
    try:
        provider.credential.refresh()
    except AttemptError as error:
        advice = "run: gcloud auth application-default login" if isinstance(error, Fatal) else "check the network"
        yield problem("key", one_line(str(error), 300), advice)
        return
    yield ok("key", "Google issued a token for the application default credentials")
    yield warning(
        "model",
        "Vertex AI offers no call that checks a model without a cost",
        "check it with one image: imagen-batch run PROMPTS --provider vertex --limit 1",
    )


def _check_models(
    provider: Provider, catalogue: Catalogue, models: Sequence[str], *, source: str
) -> Iterator[Finding]:
    host = urlsplit(provider.base_url).netloc
    accepted = False
    for name in models[:_MAX_MODELS]:
        try:
            before = datetime.now(UTC)
            reply = look_up_model(provider, name)
        except AttemptError as error:
            yield from _describe_refusal(error, provider, host=host, model=name, source=source)
            if isinstance(error, Fatal) and error.cause == "model_gone":
                continue
            return
        if reply.refusal is not None:
            yield problem("key", f"{host} refused the call: {one_line(reply.refusal, 300)}", "correct that")
            return
        if not accepted:
            accepted = True
            yield ok("key", f"{source} is accepted by {host}")
            yield from _clock(reply, before)
        yield _model(name, reply, catalogue.get(name))
    if len(models) > _MAX_MODELS:
        yield ok("model", f"{len(models) - _MAX_MODELS:,} more models were not looked up")


def _model(name: str, reply: ModelReply, model: Model | None) -> Finding:
    shown = one_line(name, 60)
    verb = _VERBS[model.dialect] if model else None
    if reply.methods is None:
        return ok("model", f"{shown} exists; the reply does not say what it can do")
    if verb in reply.methods or (verb is None and set(_VERBS.values()) & set(reply.methods)):
        return ok("model", f"{shown} exists and can generate")
    offers = one_line(", ".join(reply.methods), 100) or "nothing"
    return problem("model", f"{shown} exists but offers only: {offers}", "choose another: imagen-batch models")


def _describe_refusal(
    error: AttemptError, provider: Provider, *, host: str, model: str, source: str
) -> Iterator[Finding]:
    text = one_line(provider.credential.redact(str(error)), 300)
    if not isinstance(error, Fatal):
        yield ok("key", f"{source} is set; whether it is accepted is not known")
        yield problem("service", f"{host}: {text}", "check network and proxy; a run would wait and then stop")
    elif error.cause == "model_gone":
        yield problem("model", f"{one_line(model, 60)}: {text}", "choose another: imagen-batch models")
    elif error.cause == "auth":
        yield problem("key", f"{source} is refused by {host}: {text}", "create a key, then set GOOGLE_API_KEY")
    else:
        yield problem("service", f"{host}: {text}", "correct that; no run can work before")


def _clock(reply: ModelReply, before: datetime) -> Iterator[Finding]:
    if reply.service_time is None:
        yield ok("clock", "not checked: the reply has no date")
        return
    now = datetime.now(UTC)
    late, early = (before - reply.service_time).total_seconds(), (reply.service_time - now).total_seconds()
    wrong = max(late, early, 0.0)
    text = f"this machine's clock differs from the service's by {plural(round(wrong), 'second')}"
    if wrong > _CLOCK_PROBLEM_S:
        yield problem("clock", text, "set the clock: signatures and certificates depend on it")
    elif wrong > _CLOCK_WARNING_S:
        yield warning("clock", text, "set the clock, for instance with NTP")
    else:
        yield ok("clock", "this machine's clock agrees with the service's")


def _key_source(settings: Settings, env: Mapping[str, str]) -> str:
    if settings.provider == "simulator":
        return "the simulator's key"
    if settings.api_key_block is not None:
        return f"the key in Prefect's Secret block {one_line(settings.api_key_block, 60)}"
    if settings.api_key_file:
        return "the key in --api-key-file"
    return "GOOGLE_API_KEY" if env.get("GOOGLE_API_KEY") else "GEMINI_API_KEY"
