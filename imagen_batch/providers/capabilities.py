"""Says what a model takes, by its dialect and its provider, of what a row asks.

The first of these with something to say decides about an option: whether the dialect has a word for it
(`_NOT_SENT`, `_OTHER_OPTION`), whether the model takes the value (`_VALUE_CHECKS`), whether the host does
(`_VERTEX_ONLY`, `_GEMINI_ONLY`). Sources: Google's reference pages and python-genai 2.14.0 and 3.4.0, read on
2026-11-22; aiplatform's discovery document, revision 20261106, and python-genai 3.6.1, read on 2026-11-26.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Final, Literal, NamedTuple

from imagen_batch.providers.catalogue import Model
from imagen_batch.records import Options


@dataclass(frozen=True, slots=True)
class OptionIssue:
    """What stands against an option, or what one should know before it is sent."""

    level: Literal["error", "warning"]
    option: str  # our name, as in Options or a column
    found: str
    message: str
    dropped: bool = False  # not sent; the rest of the row is


CARRIED: Final[Mapping[str, frozenset[str]]] = {
    "predict": frozenset({
        "aspect_ratio", "image_size", "person_generation", "negative_prompt", "seed", "guidance_scale",
        "safety_setting", "language", "include_safety_attributes", "output_mime_type", "compression_quality",
        "add_watermark", "enhance_prompt", "labels",
    }),
    "generate_content": frozenset({
        "aspect_ratio", "image_size", "person_generation", "negative_prompt", "seed", "safety_settings",
        "output_mime_type", "compression_quality", "thinking_level", "store", "labels",
    }),
}  # fmt: skip
"""Which options a request of each dialect can hold, on at least one provider."""


def check(model: Model, options: Options, *, samples: int, prompt: str, provider: str) -> tuple[OptionIssue, ...]:
    """Everything that is wrong or worth a warning. With an error the row can't be sent as it is."""
    return check_options(model, options, provider=provider) + check_row(model, samples=samples, prompt=prompt)


def check_options(model: Model, options: Options, *, provider: str) -> tuple[OptionIssue, ...]:
    """The part of it that is the same for all rows with these options."""
    return tuple(_about_options(model, options, provider))


def check_row(model: Model, *, samples: int, prompt: str) -> tuple[OptionIssue, ...]:
    """The rest."""
    remarks: tuple[OptionIssue, ...] = ()
    if samples < 1:
        remarks += (OptionIssue("error", "samples", str(samples), "a row asks for at least 1 picture"),)
    if length := _too_long(model, prompt):
        message = f"{model.id} reads 480 tokens, about {model.prompt_words} words; the rest may be ignored"
        remarks += (OptionIssue("warning", "prompt", length, message),)
    return remarks


def effective(model: Model, options: Options, *, provider: str) -> Options:
    """`options` without those that `check` said are not sent."""
    return without_dropped(options, check_options(model, options, provider=provider))


def without_dropped(options: Options, remarks: Iterable[OptionIssue]) -> Options:
    """The same for one who has the remarks at hand."""
    dropped = [remark.option for remark in remarks if remark.dropped]
    return replace(options, **dict.fromkeys(dropped)) if dropped else options


def _too_long(model: Model, prompt: str) -> str | None:
    """How long `prompt` is, where `model` may not read it to the end. Imagen has no tokenizer to ask."""
    if model.prompt_chars is not None and len(prompt) > model.prompt_chars:
        return f"{len(prompt)} characters"
    if model.prompt_words is not None and (words := len(prompt.split())) > model.prompt_words:
        return f"{words} words"
    return None


class _Result(NamedTuple):
    level: Literal["error", "warning"]
    message: str
    dropped: bool = False


def _error(message: str) -> _Result:
    return _Result("error", message)


def _warning(message: str) -> _Result:
    return _Result("warning", message)


def _not_sent(reason: str) -> _Result:
    return _Result("warning", f"not sent: {reason}", dropped=True)


@dataclass(frozen=True, slots=True)
class _Context:
    """A row's options in front of a model and a provider."""

    model: Model
    options: Options
    provider: str


_NAMES = tuple(part.name for part in fields(Options))


def _about_options(model: Model, options: Options, provider: str) -> Iterator[OptionIssue]:
    ask = _Context(model, options, provider)
    for option in _NAMES:
        found = getattr(options, option)
        if found is not None and (verdict := _judge(ask, option)):
            yield OptionIssue(verdict.level, option, _shown(found), verdict.message, verdict.dropped)


def _shown(found: object) -> str:
    if isinstance(found, tuple):
        return ", ".join(f"{name}={value}" for name, value in found)
    return str(found).lower() if isinstance(found, bool) else str(found)


def _judge(ask: _Context, option: str) -> _Result | None:
    dialect = ask.model.dialect
    if reason := _NOT_SENT[dialect].get(option):
        return _not_sent(reason)
    if reason := _OTHER_OPTION[dialect].get(option):
        return _error(reason)
    if option in _VALUE_CHECKS and (verdict := _VALUE_CHECKS[option](ask)):
        return verdict
    if ask.provider != "vertex" and (reason := _VERTEX_ONLY[dialect].get(option)):
        return _beyond_gemini(ask, reason)
    if ask.provider == "vertex" and (reason := _GEMINI_ONLY[dialect].get(option)):
        return _warning(f"not sent: {reason}")
    return None


_NOT_SENT: Final[Mapping[str, Mapping[str, str]]] = {
    "predict": {
        "thinking_level": "Imagen does not think before it draws",
        "store": "only Gemini models store what is asked of them",
    },
    "generate_content": {
        "guidance_scale": "Gemini models have no guidance scale",
        "enhance_prompt": "Gemini models have no prompt rewriter to turn on or off",
        "language": "Gemini models find the language of a prompt themselves",
        "add_watermark": "Gemini models always add the SynthID watermark",
        "include_safety_attributes": "Gemini models always return their safety ratings",
    },
}

_OTHER_OPTION: Final[Mapping[str, Mapping[str, str]]] = {
    "predict": {"safety_settings": "Imagen has one threshold for everything: use safety_setting"},
    "generate_content": {
        "safety_setting": "Gemini models have a threshold for each category of harm, which is not the same: "
        "use safety_settings"
    },
}

_VERTEX_ONLY: Final[Mapping[str, Mapping[str, str]]] = {
    "predict": {
        "negative_prompt": "for Imagen only Vertex takes it",
        "seed": "for Imagen only Vertex takes it, and only with add_watermark = false",
        "add_watermark": "for Imagen only Vertex takes it",
        "enhance_prompt": "for Imagen only Vertex takes it",
        "labels": "for Imagen only Vertex takes them",
    },
    "generate_content": {
        "person_generation": "the Gemini API has no such field; say it in the prompt",
        "output_mime_type": "on the Gemini API the service chooses the type of a picture",
        "compression_quality": "on the Gemini API the service chooses how a picture is encoded",
        "labels": "billing labels are a field of Vertex",
    },
}
"""Why the Gemini API does not take an option. The simulator speaks for both hosts."""

_GEMINI_ONLY: Final[Mapping[str, Mapping[str, str]]] = {
    "predict": {},
    "generate_content": {"store": "Vertex has no such field, and would refuse every request that has it"},
}
"""Why Vertex does not take an option.

The dialect leaves it out. It stays among a row's options, so that the row is the same one on both hosts.
"""


def _beyond_gemini(ask: _Context, reason: str) -> _Result:
    """What becomes of an option that the Gemini API does not take."""
    if ask.model.dialect == "generate_content":
        return _not_sent(reason)
    if ask.provider == "simulator":
        return _warning(f"the simulator is not so strict as the Gemini API: {reason}")
    return _error(reason)


def _aspect_ratio(ask: _Context) -> _Result | None:
    return _one_of(ask, ask.options.aspect_ratio, ask.model.ratios)


def _image_size(ask: _Context) -> _Result | None:
    model, size = ask.model, ask.options.image_size
    if verdict := _one_of(ask, size, model.sizes):
        return verdict
    if not model.sends_size:
        return _not_sent(f"{model.id} has one size and no field for it")
    return None


def _person_generation(ask: _Context) -> _Result | None:
    allowed = ("dont_allow", "allow_adult", "allow_all")
    return _one_of(ask, ask.options.person_generation, allowed)


def _negative_prompt(ask: _Context) -> _Result | None:
    if ask.model.dialect == "generate_content":
        return _warning("Gemini models have no field for it: added to the prompt as 'Without: ...'")
    if ask.model.takes_negative_prompt:
        return None
    message = f"Google's hosts do not take it for {ask.model.id}, only for older models, of Imagen 3"
    return _warning(message) if ask.provider == "simulator" else _error(message)


def _seed(ask: _Context) -> _Result | None:
    if ask.model.dialect == "predict" and ask.provider == "vertex" and ask.options.add_watermark is not False:
        return _error("Imagen takes a seed only without a watermark: set add_watermark = false too")
    return None


def _safety_setting(ask: _Context) -> _Result | None:
    allowed: tuple[str, ...] = ("block_low_and_above", "block_medium_and_above", "block_only_high")
    if ask.provider != "gemini":
        allowed = (*allowed, "block_none")  # for accounts that Google has allowed it to
    return _one_of(ask, ask.options.safety_setting, allowed)


_VERTEX_HARMS: Final = tuple(
    f"HARM_CATEGORY_{name}"
    for name in ("IMAGE_HATE", "IMAGE_DANGEROUS_CONTENT", "IMAGE_HARASSMENT", "IMAGE_SEXUALLY_EXPLICIT")
)


def _safety_settings(ask: _Context) -> _Result | None:
    if ask.provider == "vertex":
        return None
    beyond = [category for category, _ in ask.options.safety_settings or () if category in _VERTEX_HARMS]
    if not beyond:
        return None
    message = f"only Vertex knows {', '.join(beyond)}"
    return _warning(message) if ask.provider == "simulator" else _error(message)


def _language(ask: _Context) -> _Result | None:
    return _one_of(ask, ask.options.language, ("auto", "en", "ja", "ko", "hi", "zh", "pt", "es"))


def _output_mime_type(ask: _Context) -> _Result | None:
    return _one_of(ask, ask.options.output_mime_type, ("image/png", "image/jpeg"))


def _compression_quality(ask: _Context) -> _Result | None:
    if ask.options.output_mime_type != "image/jpeg":
        return _error("only JPEG has a quality: set output_mime_type = image/jpeg too")
    return None


def _thinking_level(ask: _Context) -> _Result | None:
    if not ask.model.thinking_levels:
        return _error(f"{ask.model.id} takes no thinking level")
    if ask.provider == "vertex" and ask.options.thinking_level == "XHIGH":
        return _error("Vertex has no thinking level XHIGH")
    return _one_of(ask, ask.options.thinking_level, ask.model.thinking_levels)


def _one_of(ask: _Context, found: str | None, allowed: tuple[str, ...]) -> _Result | None:
    """An error unless `found` is allowed; an empty `allowed` allows everything."""
    if not allowed or found in allowed:
        return None
    return _error(f"{ask.model.id} takes {', '.join(allowed)}")


_VALUE_CHECKS: Final[Mapping[str, Callable[[_Context], _Result | None]]] = {
    "aspect_ratio": _aspect_ratio,
    "image_size": _image_size,
    "person_generation": _person_generation,
    "negative_prompt": _negative_prompt,
    "seed": _seed,
    "safety_setting": _safety_setting,
    "safety_settings": _safety_settings,
    "language": _language,
    "output_mime_type": _output_mime_type,
    "compression_quality": _compression_quality,
    "thinking_level": _thinking_level,
}
