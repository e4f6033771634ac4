"""Checks a row's options against what its model, dialect and provider accept.

The first of these checks that objects to an option decides: whether the dialect has a field for it
(`_NOT_SENT`, `_OTHER_OPTION`), whether the model accepts the value (`_VALUE_CHECKS`), whether the host does
(`_VERTEX_ONLY`, `_GEMINI_ONLY`). The facts are in docs/service-api.md. (api: 2, 8.1, 8.2)

Sources: Google's reference pages and python-genai 2.14.0 and 3.4.0, read on 2026-11-22; aiplatform's discovery
document, revision 20261106, and python-genai 3.6.1, read on 2026-11-26.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final, Literal, NamedTuple

from imagen_batch.choices import LANGUAGES, MIME_TYPES, PERSON_GENERATIONS, SAFETY_SETTINGS
from imagen_batch.providers.catalogue import Model
from imagen_batch.records import Options
from imagen_batch.text import did_you_mean


@dataclass(frozen=True, slots=True)
class OptionIssue:
    """An error in an option, or a warning about it."""

    level: Literal["error", "warning"]
    option: str  # our name, as in Options or a column
    found: str
    message: str
    dropped: bool = False  # the option is not sent; the rest of the row is


def check_options(model: Model, options: Options, *, provider: str) -> tuple[OptionIssue, ...]:
    """Return the issues of these options, which are the same for all rows that have them."""
    return tuple(_find_issues(model, options, provider))


def check_row(model: Model, *, samples: int, prompt: str) -> tuple[OptionIssue, ...]:
    """Return the issues of a row's sample count and prompt."""
    issues: tuple[OptionIssue, ...] = ()
    if samples < 1:
        issues += (OptionIssue("error", "samples", str(samples), "a row asks for at least 1 image"),)
    if length := _too_long(model, prompt):
        message = f"{model.id} reads 480 tokens, about {model.prompt_words} words; the rest may be ignored"
        issues += (OptionIssue("warning", "prompt", length, message),)
    return issues


def without_dropped(options: Options, issues: Iterable[OptionIssue]) -> Options:
    """Return `options` without those that `check_options` said are not sent."""
    dropped = [issue.option for issue in issues if issue.dropped]
    return replace(options, **dict.fromkeys(dropped)) if dropped else options


def _too_long(model: Model, prompt: str) -> str | None:
    """Return the length of a prompt that `model` may not read to its end. Imagen's tokenizer is not public."""
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
    """The options that are checked, with the model and provider that they are for."""

    model: Model
    options: Options
    provider: str


_NAMES = tuple(option_field.name for option_field in fields(Options))


def _find_issues(model: Model, options: Options, provider: str) -> Iterator[OptionIssue]:
    context = _Context(model, options, provider)
    for option in _NAMES:
        value = getattr(options, option)
        if value is not None and (result := _check(context, option)):
            yield OptionIssue(result.level, option, _as_text(value), result.message, result.dropped)


def _as_text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{name}={member}" for name, member in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check(context: _Context, option: str) -> _Result | None:
    dialect = context.model.dialect
    if reason := _NOT_SENT[dialect].get(option):
        return _not_sent(reason)
    if reason := _OTHER_OPTION[dialect].get(option):
        return _error(reason)
    if option in _VALUE_CHECKS and (result := _VALUE_CHECKS[option](context)):
        return result
    if context.provider != "vertex" and (reason := _VERTEX_ONLY[dialect].get(option)):
        return _not_on_gemini(context, reason)
    if context.provider == "vertex" and (reason := _GEMINI_ONLY[dialect].get(option)):
        return _warning(f"not sent: {reason}")
    return None


_NOT_SENT: Final[Mapping[str, Mapping[str, str]]] = {
    "predict": {
        "thinking_level": "Imagen does not think before it draws",
        "store": "only Gemini models store requests",
    },
    "generate_content": {
        "guidance_scale": "Gemini models have no guidance scale",
        "enhance_prompt": "Gemini models have no prompt rewriter to turn on or off",
        "language": "Gemini models detect the language of a prompt themselves",
        "add_watermark": "Gemini models always add the SynthID watermark",
        "include_safety_attributes": "Gemini models always return their safety ratings",
    },
}

_OTHER_OPTION: Final[Mapping[str, Mapping[str, str]]] = {
    "predict": {"safety_settings": "Imagen has one threshold for all categories: use safety_setting"},
    "generate_content": {
        "safety_setting": "Gemini models have a threshold for each category of harm, which is not the same: "
        "use safety_settings"
    },
}

_VERTEX_ONLY: Final[Mapping[str, Mapping[str, str]]] = {
    "predict": {
        "negative_prompt": "for Imagen only Vertex accepts it",
        "seed": "for Imagen only Vertex accepts it, and only with add_watermark = false",
        "add_watermark": "for Imagen only Vertex accepts it",
        "enhance_prompt": "for Imagen only Vertex accepts it",
        "labels": "for Imagen only Vertex accepts them",
    },
    "generate_content": {
        "person_generation": "the Gemini API has no such field; write it into the prompt",
        "output_mime_type": "on the Gemini API the service chooses the type of an image",
        "compression_quality": "on the Gemini API the service chooses how an image is encoded",
        "labels": "billing labels are a field of Vertex",
    },
}
"""Why the Gemini API does not accept an option. The simulator accepts what either host does."""

_GEMINI_ONLY: Final[Mapping[str, Mapping[str, str]]] = {
    "predict": {},
    "generate_content": {"store": "Vertex has no such field, and would refuse every request that has it"},
}
"""Why Vertex does not accept an option.

The dialect leaves it out. It stays among a row's options, so that the row has the same key on both hosts.
"""


def _not_on_gemini(context: _Context, reason: str) -> _Result:
    """Decide about an option that the Gemini API does not accept."""
    if context.model.dialect == "generate_content":
        return _not_sent(reason)
    if context.provider == "simulator":
        return _warning(f"the simulator is less strict than the Gemini API: {reason}")
    return _error(reason)


def _aspect_ratio(context: _Context) -> _Result | None:
    return _one_of(context, context.options.aspect_ratio, context.model.ratios)


def _image_size(context: _Context) -> _Result | None:
    model, size = context.model, context.options.image_size
    if result := _one_of(context, size, model.sizes):
        return result
    if not model.sends_size:
        return _not_sent(f"{model.id} has one size and no field for it")
    return None


def _person_generation(context: _Context) -> _Result | None:
    return _one_of(context, context.options.person_generation, PERSON_GENERATIONS)


def _negative_prompt(context: _Context) -> _Result | None:
    if context.model.dialect == "generate_content":
        return _warning("Gemini models have no field for it: it is added to the prompt as 'Without: ...'")
    if context.model.takes_negative_prompt:
        return None
    message = f"Google's hosts do not accept it for {context.model.id}, only for older models, of Imagen 3"
    return _warning(message) if context.provider == "simulator" else _error(message)


def _seed(context: _Context) -> _Result | None:
    if (
        context.model.dialect == "predict"
        and context.provider == "vertex"
        and context.options.add_watermark is not False
    ):
        return _error("Imagen takes a seed only without a watermark: set add_watermark = false too")
    return None


def _safety_setting(context: _Context) -> _Result | None:
    # Vertex accepts block_none from accounts that Google has approved for it.
    allowed = [name for name in SAFETY_SETTINGS if name != "block_none" or context.provider != "gemini"]
    return _one_of(context, context.options.safety_setting, allowed)


_VERTEX_HARMS: Final = tuple(
    f"HARM_CATEGORY_{name}"
    for name in ("IMAGE_HATE", "IMAGE_DANGEROUS_CONTENT", "IMAGE_HARASSMENT", "IMAGE_SEXUALLY_EXPLICIT")
)


def _safety_settings(context: _Context) -> _Result | None:
    if context.provider == "vertex":
        return None
    vertex_only = [category for category, _ in context.options.safety_settings or () if category in _VERTEX_HARMS]
    if not vertex_only:
        return None
    message = f"only Vertex knows {', '.join(vertex_only)}"
    return _warning(message) if context.provider == "simulator" else _error(message)


def _language(context: _Context) -> _Result | None:
    return _one_of(context, context.options.language, LANGUAGES)


def _output_mime_type(context: _Context) -> _Result | None:
    return _one_of(context, context.options.output_mime_type, MIME_TYPES)


def _compression_quality(context: _Context) -> _Result | None:
    if context.options.output_mime_type != "image/jpeg":
        return _error("only JPEG has a quality: set output_mime_type = image/jpeg too")
    return None


def _thinking_level(context: _Context) -> _Result | None:
    if not context.model.thinking_levels:
        return _error(f"{context.model.id} takes no thinking level")
    if context.provider == "vertex" and context.options.thinking_level == "XHIGH":
        return _error("Vertex has no thinking level XHIGH")
    return _one_of(context, context.options.thinking_level, context.model.thinking_levels)


def _one_of(context: _Context, value: str | None, allowed: Sequence[str]) -> _Result | None:
    """Return an error unless `value` is allowed; an empty `allowed` allows everything."""
    if not allowed or value in allowed:
        return None
    hint = did_you_mean(value or "", allowed, cutoff=0.8)  # 99:1 is not a typo of 9:16
    return _error(f"{context.model.id} takes {', '.join(allowed)}{hint}")


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
