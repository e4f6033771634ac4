"""Builds the service's error bodies of (api: 4, 3.3), with their original texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from imagen_batch.simulator.api.http_reply_and_error_json import Json, Reply, detail, error, html
from imagen_batch.simulator.api.parsed_request import Call, ValidRequest

Options = Mapping[str, Any]

_HOST = "generativelanguage.googleapis.com"
_CHECK_PLAN = "You exceeded your current quota, please check your plan and billing details."
_HELP = detail(
    "Help",
    links=[
        {
            "description": "Learn more about Gemini API quotas",
            "url": "https://ai.google.dev/gemini-api/docs/rate-limits",
        }
    ],
)
_KEY_INVALID = "API key not valid. Please pass a valid API key."


def invalid_key(message: str = _KEY_INVALID) -> Reply:
    """Return a 400 with the reason API_KEY_INVALID."""
    info = _info("API_KEY_INVALID", domain="googleapis.com", metadata={"service": _HOST})
    localized = detail("LocalizedMessage", locale="en-US", message=message)
    return error(400, "INVALID_ARGUMENT", message, details=(info, localized))


def no_credential(call: Call) -> Reply:
    """Return the error for a request without a credential."""
    if call.vertex:
        return unauthenticated()
    message = (
        "Method doesn't allow unregistered callers (callers without established identity). Please use API Key"
        " or other form of API consumer identity to call this API."
    )
    return error(403, "PERMISSION_DENIED", message)


def unauthenticated() -> Reply:
    """Return a 401: the token is missing or has expired."""
    message = (
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other"
        " valid authentication credential."
    )
    info = _info("ACCESS_TOKEN_EXPIRED", domain="googleapis.com", metadata={"service": "aiplatform.googleapis.com"})
    return error(401, "UNAUTHENTICATED", message, details=(info,))


def permission(request: ValidRequest, call: Call) -> Reply:
    """Return a 403: an IAM permission is missing."""
    name = "aiplatform.endpoints.predict"
    resource = f"//aiplatform.googleapis.com/projects/{call.project or 'simulated'}/models/{request.model.id}"
    metadata = {"permission": name, "resource": resource}
    info = _info("IAM_PERMISSION_DENIED", domain="aiplatform.googleapis.com", metadata=metadata)
    message = f"Permission '{name}' denied on resource '{resource}' (or it may not exist)."
    return error(403, "PERMISSION_DENIED", message, details=(info,))


def service_disabled() -> Reply:
    """Return a 403: the API is not enabled in the project."""
    url = f"https://console.developers.google.com/apis/api/{_HOST}/overview?project=123456"
    message = f"Generative Language API has not been used in project 123456 before or it is disabled. See {url}"
    link = detail("Help", links=[{"description": "Google developers console API activation", "url": url}])
    metadata = {"service": _HOST, "consumer": "projects/123456"}
    info = _info("SERVICE_DISABLED", domain="googleapis.com", metadata=metadata)
    return error(403, "PERMISSION_DENIED", message, details=(link, info))


def model_gone(call: Call) -> Reply:
    """Return a 404: the model is retired, unknown, or not for this verb."""
    if call.vertex:
        name = f"projects/{call.project}/locations/{call.location}/publishers/google/models/{call.model}"
        message = f"Publisher Model `{name}` was not found or your project does not have access to it."
    else:
        message = (
            f"models/{call.model} is not found for API version {call.version}, or is not supported for"
            f" {call.verb}. Call ModelService.ListModels to see the list of available models and their"
            " supported methods."
        )
    return error(404, "NOT_FOUND", message)


def prompt_refused(options: Options) -> Reply:
    """Return a 400: the prompt was refused before an image was made (api: 3.3)."""
    message = (
        "Image generation failed with the following error: The prompt could not be submitted. This prompt"
        " contains sensitive words that violate Google's Responsible AI practices. Try rephrasing the prompt."
        f" If you think this was an error, send feedback. Support codes: {options['codes']}"
    )
    return error(400, "INVALID_ARGUMENT", message)


def quota(request: ValidRequest, *, window: str, limit: int, delay: float) -> Reply:
    """Return a 429 that names the quota; `window` is "Minute" or "Day", `delay` is in seconds (api: 4.3)."""
    metric, quota_id = _quota_names(request, window)
    message = (
        f"{_CHECK_PLAN} For more information on this error, head to https://ai.google.dev/gemini-api/docs/rate-limits.\n"
        f"* Quota exceeded for metric: {metric}, limit: {limit}, model: {request.model.id}\n"
        f"Please retry in {_format_wait(delay)}."
    )
    dimensions = {"location": "global", "model": request.model.id}
    return resource_exhausted(message, _violation(metric, quota_id, dimensions, limit), _HELP, retry=delay)


def free_tier(request: ValidRequest) -> Reply:
    """Return a 429: this model has no free tier."""
    metric, quota_id = _quota_names(request, "Day")
    metric, quota_id = f"{metric.removesuffix('_paid_tier_1')}_free_tier", f"{quota_id}-FreeTier"
    message = f"{_CHECK_PLAN}\n* Quota exceeded for metric: {metric}, limit: 0, model: {request.model.id}"
    dimensions = {"location": "global", "model": request.model.id}
    return resource_exhausted(message, _violation(metric, quota_id, dimensions, 0), _HELP, retry=34.0)


def error_info_quota() -> Reply:
    """Return a 429 with the quota in ErrorInfo's metadata, without a QuotaFailure. (api: 4.3)"""
    metadata = {
        "quota_limit": "GenerateContentRequestsPerMinutePerProjectPerRegion",
        "quota_limit_value": "0",
        "quota_metric": f"{_HOST}/generate_content_requests",
        "service": _HOST,
    }
    info = _info("RATE_LIMIT_EXCEEDED", domain="googleapis.com", metadata=metadata)
    return resource_exhausted("Quota exceeded for quota metric 'Generate Content API requests per minute'.", info)


def location_debug() -> Reply:
    """Return a 400 whose message names no cause, but whose DebugInfo does. (api: 4.1)"""
    cause = "[ORIGINAL ERROR] generic::failed_precondition: User location is not supported for the API use."
    info = detail("DebugInfo", detail=cause)
    return error(400, "FAILED_PRECONDITION", "Precondition check failed.", details=(info,))


def spend_limit(options: Options) -> Reply:
    """Return a 429: too much was spent within ten minutes."""
    message = "You exceeded the spend limit of your tier over the last 10 min. Please try again later."
    return resource_exhausted(message, retry=float(options["delay"]) or None)


def resource_exhausted(message: str, *details: Json, retry: float | None = None) -> Reply:
    """Return a 429 RESOURCE_EXHAUSTED; `retry` seconds go into RetryInfo."""
    hint = () if retry is None else (detail("RetryInfo", retryDelay=f"{retry:.9g}s"),)
    return error(429, "RESOURCE_EXHAUSTED", message, details=(*details, *hint))


def overloaded(options: Options) -> Reply:
    """Return a 503; `retry_after` above 0 adds the header that a proxy would."""
    reply = error(503, "UNAVAILABLE", "This model is currently experiencing high demand. Please try again later.")
    headers = {"Retry-After": f"{options['retry_after']:g}"} if options["retry_after"] else {}
    return Reply(503, reply.body, headers=headers)


def error_in_list() -> Reply:
    """Return an error inside a one-element list."""
    reply = error(503, "UNAVAILABLE", "The service is currently unavailable.")
    return Reply(503, b"[" + reply.body + b"]")


def echoed_key(credential: str) -> Reply:
    """Return a 500 whose message repeats the caller's key, as careless proxies do."""
    message = f"An internal error has occurred (request: key={credential}, x-goog-api-key: {credential})"
    return error(500, "INTERNAL", message)


def redirect(options: Options) -> Reply:
    """Return a 302 to a host that must not get the key."""
    page = html(302, "302 Moved", "The document has moved.")
    return Reply(302, page.body, page.content_type, {"Location": str(options["location"])})


def without_status(status: int, message: str) -> Reply:
    """Return an error without a google.rpc status, as gateways send it."""
    return Reply(status, orjson.dumps({"error": {"code": status, "message": message}}))


def _quota_names(request: ValidRequest, window: str) -> tuple[str, str]:
    predict = request.verb == "predict"
    metric = "predict_requests_per_model" if predict else "generate_requests_per_model"
    daily = {"Minute": "", "Day": "_per_day_paid_tier_1" if predict else "_per_day"}[window]
    return f"{_HOST}/{metric}{daily}", f"GenerateRequestsPer{window}PerProjectPerModel"


def _violation(metric: str, quota_id: str, dimensions: Mapping[str, str], limit: int) -> Json:
    violation = {
        "quotaMetric": metric,
        "quotaId": quota_id,
        "quotaDimensions": dimensions,
        "quotaValue": str(limit),
    }
    return detail("QuotaFailure", violations=[violation])


def _info(reason: str, *, domain: str, metadata: Mapping[str, str]) -> Json:
    return detail("ErrorInfo", reason=reason, domain=domain, metadata=metadata)


def _format_wait(seconds: float) -> str:
    """Format a wait as the service's messages do: 18h40m2.33s, 34.07s."""
    minutes, seconds_left = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    parts = [f"{hours}h" if hours else "", f"{minutes}m" if hours or minutes else "", f"{seconds_left:.9g}s"]
    return "".join(parts)
