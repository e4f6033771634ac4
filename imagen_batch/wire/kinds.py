"""What are the causes of an error called, and what does each mean to a person?

A kind is kept in ledgers and manifests: add, but do not rename.
"""

from __future__ import annotations

from collections.abc import Mapping

SAYS: Mapping[str, str] = {
    "bad_key": "the service refuses the API key",
    "unauthenticated": "the service does not accept the credential",
    "permission": "the credential may not do this",
    "service_disabled": "the API is not enabled in the project",
    "proxy_sign_in": "a proxy in between asks for a sign-in",
    "location": "the service is not offered where the request comes from",
    "redirect": "the address redirects elsewhere, where the key must not go",
    "not_billed": "the model needs a project with billing",
    "prepay_empty": "the prepaid balance is used up",
    "spend_cap": "the project's monthly spending cap is reached",
    "free_tier_zero": "the free tier has no quota for this model: it needs billing",
    "quota_zero": "the project has no quota for this model",
    "model_gone": "the service does not know the model: retired, misspelt or not in this location",
    "wrong_address": "nothing answers at this address: check base URL, project and location",
    "quota_day": "the daily quota is used up",
    "quota_minute": "over the quota per minute",
    "quota_spend": "over the spending limit per ten minutes",
    "quota_shared": "the capacity that all customers share is used up",
    "quota_bare": "over a limit that the service does not name",
    "http_408": "the service gave up waiting for the request",
    "http_409": "the request collided with another",
    "http_499": "the request was cancelled on the way",
    "http_500": "the service failed inside",
    "http_502": "a gateway lost the answer",
    "overloaded": "the service is overloaded",
    "deadline": "the service did not finish in time",
}


def sentence(kind: str, words: str, *, status: int) -> str:
    """What happened in one line, and the service's own words about it."""
    said = f"{SAYS.get(kind, 'the service gave no answer to work with')} (HTTP {status})"
    return f"{said}: {words}" if words else said
