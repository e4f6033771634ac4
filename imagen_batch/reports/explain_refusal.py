"""Explains a refused sample: the category in words, the setting that would change it, and suspicious words.

Facts about categories and settings: docs/service-api.md, sections 3.4, 8.1 and 8.4. The suspicious words are a guess
from short English lists, made only for categories that have such words; a filter does not report what it found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imagen_batch.records import ManifestRow

_PEOPLE = "39322892"  # (api: 3.4) the only support code that a setting can avoid
_MAX_PROMPT = 20_000  # characters that are searched
_MAX_SUSPICIOUS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The facts about a refused sample in the manifest. Every field may be missing."""

    category: str | None = None  # `filter_category`: "violence", "celebrity, child", "SAFETY"
    codes: tuple[str, ...] = ()
    reason: str | None = None  # the service's own words
    stage: str | None = None  # "input" or "output"
    finish_reason: str | None = None
    provider: str | None = None
    dialect: str | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """What can be done about a refused sample, in sentences.

    `setting` is the name of the option that would change the outcome, None if there is none.
    """

    words: str  # the category: "violence"
    setting: str | None
    hint: str
    setting_hint: str = ""  # what to do with the setting, or why there is none

    @property
    def text(self) -> str:
        """All of it in one paragraph."""
        return " ".join(filter(None, (f"Refused for {self.words}.", self.setting_hint, self.hint)))


def explain(refusal: Refusal, prompt: str = "") -> Advice:
    """Return the advice about a refusal. `prompt` is the text that was sent."""
    names = _names(refusal)
    words = _join(list(dict.fromkeys(_WORDS.get(name, _spell(name)) for name in names)))
    setting, setting_hint = _setting(refusal, names)
    return Advice(words, setting, _hint(refusal, names, prompt[:_MAX_PROMPT]), setting_hint)


def refusal_of(entry: ManifestRow) -> Refusal:
    """Return the facts in a row of the manifest."""
    sample = entry.sample
    return Refusal(
        category=sample.filter_category,
        codes=sample.filter_codes,
        reason=sample.reason,
        stage=sample.filter_stage,
        finish_reason=sample.finish_reason,
        provider=entry.provider,
        dialect=entry.dialect,
    )


def refusal_in(row: Mapping[str, Any]) -> Refusal:
    """Return the facts in a row of manifest.parquet or manifest.csv, by its columns."""
    codes = re.findall(r"\d+", row.get("filter_codes") or "")
    return Refusal(
        category=row.get("filter_category") or None,
        codes=tuple(codes),
        reason=row.get("raiFilteredReason") or None,
        stage=row.get("filter_stage") or None,
        finish_reason=row.get("finishReason") or None,
        provider=row.get("provider") or None,
        dialect=row.get("dialect") or None,
    )


def takes_person_generation(provider: str | None, dialect: str | None) -> bool:
    """Return whether the option is sent: Imagen models take it, Gemini models only on Vertex AI. (api: 8.1, 9)"""
    return dialect == "predict" or provider == "vertex"


def _names(refusal: Refusal) -> list[str]:
    """Return the categories, as the service or the table of codes names them."""
    named = [name.strip() for name in (refusal.category or "").split(",") if name.strip()]
    finish = refusal.finish_reason
    if finish is not None and finish in _WORDS and all(name in _VAGUE for name in named):
        return [finish]
    return named or ["unknown"]


def _setting(refusal: Refusal, names: list[str]) -> tuple[str | None, str]:
    if _PEOPLE in refusal.codes:
        if takes_person_generation(refusal.provider, refusal.dialect):
            return "person_generation", "person_generation=allow_adult lets the model draw adults."
        return None, "person_generation would allow people, but the Gemini API does not take it with this model."
    thresholds = _THRESHOLDS | (_VERTEX_THRESHOLDS if refusal.provider == "vertex" else frozenset())
    if refusal.dialect == "generate_content" and any(name in thresholds for name in names):
        harm = next((name for name in names if name.startswith("HARM_CATEGORY_")), "each category of harm")
        return "safety_settings", f"safety_settings has a threshold for {harm}; BLOCK_ONLY_HIGH refuses less."
    return None, "No setting changes that."


def _hint(refusal: Refusal, names: list[str], prompt: str) -> str:
    suspicious: dict[str, None] = {}
    for name in names:
        pattern = _SUSPICIOUS.get(name)
        for match in pattern.finditer(prompt) if pattern else ():
            suspicious.setdefault(" ".join(match[0].split())[:60])
            if len(suspicious) == _MAX_SUSPICIOUS:
                break
    if suspicious:
        quoted = [f'"{text}"' for text in suspicious]
        return f"Look at {_join(quoted)} in the prompt."
    if refusal.stage == "input":
        return "The prompt itself was refused: reword it."
    if refusal.finish_reason in _WORTH_RETRYING:
        return "The prompt was accepted, and the image was withheld: reword it, or try the same prompt again."
    return "The prompt was accepted, and the image was withheld: reword it."


def _join(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _spell(name: str) -> str:
    """Return a category that has no entry below: "SOME_REASON" as "some reason"."""
    spelled = name.removeprefix("HARM_CATEGORY_").replace("_", " ")
    return spelled.lower() if spelled.isupper() else spelled


# Names that are less specific than a finish reason or another name.
_VAGUE = frozenset({"other", "unknown", "OTHER"})
_WORTH_RETRYING = frozenset({"IMAGE_SAFETY", "IMAGE_RECITATION"})  # (api: 8.4)
# (api: 8.1) Reasons of the filters whose thresholds a request can choose.
_HARMS = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT", "CIVIC_INTEGRITY", "JAILBREAK")
_IMAGE_HARMS = ("IMAGE_HATE", "IMAGE_DANGEROUS_CONTENT", "IMAGE_HARASSMENT", "IMAGE_SEXUALLY_EXPLICIT")
_THRESHOLDS = frozenset({"SAFETY", *(f"HARM_CATEGORY_{name}" for name in _HARMS)})
_VERTEX_THRESHOLDS = frozenset(f"HARM_CATEGORY_{name}" for name in _IMAGE_HARMS)

_WORDS: Mapping[str, str] = {
    "child": "a child",
    "celebrity": "a well-known person",
    "celebrity or child": "a well-known person or a child",
    "dangerous content": "dangerous content",
    "other": "a reason that the service does not name",
    "unknown": "a reason that the service does not name",
    "people or face": "people or a face",
    "sexual": "sexual content",
    "third-party content": "content that belongs to somebody else (a brand, a character, a work)",
    "toxic": "toxic language",
    "vulgar": "vulgar language",
    "SAFETY": "harmful content",
    "IMAGE_SAFETY": "harmful content in the drawn image",
    "OTHER": "a reason that the service does not name",
    "BLOCKLIST": "a term on a block list",
    "PROHIBITED_CONTENT": "prohibited content",
    "IMAGE_PROHIBITED_CONTENT": "prohibited content in the drawn image",
    "RECITATION": "being too close to a known work",
    "IMAGE_RECITATION": "being too close to a known work",
    "SPII": "sensitive personal information",
    "LANGUAGE": "a language that the model does not support",
    "MODEL_ARMOR": "a rule of the project's Model Armor filter",
    "JAILBREAK": "text that looks like an attempt to bypass the model's rules",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT": "sexual content",
    "HARM_CATEGORY_JAILBREAK": "text that looks like an attempt to bypass the model's rules",
}


def _any_word(*patterns: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(patterns)})\b", re.IGNORECASE)


_CHILD = _any_word(
    *(
        "child(?:ren)?",
        "kids?",
        "bab(?:y|ies)",
        "toddlers?",
        "infants?",
        "(?:little |young |school)?(?:boys?|girls?)",
    ),
    *("teen(?:ager)?s?", "minors?", r"(?:[0-9]|1[0-7])[- ]years?[- ]olds?", "pupils?", "orphans?"),
)
_VIOLENCE = _any_word(
    *("blood\\w{0,6}", "gor[ey]", "kill\\w{0,4}", "murder\\w{0,4}", "weapons?", "guns?", "rifles?", "pistols?"),
    *(
        "swords?",
        "kni(?:fe|ves)",
        "daggers?",
        "wound(?:s|ed)?",
        "corpses?",
        "dead",
        "battles?",
        "war",
        "fight\\w{0,4}",
    ),
    *("attack\\w{0,4}", "shoot\\w{0,4}", "stab\\w{0,5}", "tortur\\w{0,4}", "execut(?:ed|ion)", "strangl\\w{0,4}"),
)
_DANGER = _any_word("bombs?", "explosi\\w{0,4}", "weapons?", "drugs?", "poison\\w{0,4}", "suicide", "self-harm")
_SEXUAL = _any_word("nud(?:e|es|ity)", "naked", "lingerie", "bikinis?", "breasts?", "sex\\w{0,5}", "erotic\\w{0,3}")
# Several capitalized words that do not begin a sentence, and the words after "in the style of".
_NAME = re.compile(
    r"\b[Ii]n the style of\s+[^,.;\n]{2,40}"
    r"|(?<=[a-z,] )[A-Z][\w'’.-]{1,30}(?: (?:of |the |de |van |von )?[A-Z][\w'’-]{1,30}){1,3}"
    r"|^[A-Z][a-z]{1,20} [A-Z][\w'’-]{1,30}(?: [A-Z][\w'’-]{1,30})?"
)
_PERSONAL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,64}\.\w{2,}|(?<!\d)\+?\d(?:[ ()/.-]{0,2}\d){6,15}(?!\d)")
_PERSON = _any_word(
    *(
        "people",
        "persons?",
        "m[ae]n",
        "wom[ae]n",
        "faces?",
        "portraits?",
        "crowds?",
        "boys?",
        "girls?",
        "child(?:ren)?",
    ),
    *("grand(?:mother|father)s?", "mothers?", "fathers?", "farmers?", "soldiers?", "king", "queen", "he", "she"),
)

_SUSPICIOUS: Mapping[str, re.Pattern[str]] = {
    "child": _CHILD,
    "celebrity": _NAME,
    "celebrity or child": re.compile(f"{_NAME.pattern}|(?i:{_CHILD.pattern})"),
    "third-party content": _NAME,
    "RECITATION": _NAME,
    "IMAGE_RECITATION": _NAME,
    "people or face": _PERSON,
    "personal information": _PERSONAL,
    "SPII": _PERSONAL,
    "violence": _VIOLENCE,
    "dangerous content": _DANGER,
    "HARM_CATEGORY_DANGEROUS_CONTENT": _DANGER,
    "sexual": _SEXUAL,
    "HARM_CATEGORY_SEXUALLY_EXPLICIT": _SEXUAL,
}
