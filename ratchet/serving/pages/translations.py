"""The words of the pages in each language, read from en.json and zh.json, and the choice of a language.

Both files have the keys of `Words`, in reading order, in words that suit any input; under `units` stand other words for
an input that has a name of its own, such as `text` (`UNIT` in ratchet/tasks/<kind>/wire.py). Braces hold a placeholder
that the page fills in; a translation has the same placeholders as the English text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

FOLDER = Path(__file__).parent
LANGUAGES = ("en", "zh")
"""The first is the language where a browser asks for none of them."""


@dataclass(frozen=True)
class Words:
    """All words of the pages in one language; `error_titles` by HTTP status."""

    language_tag: str
    title: str
    other_language: str
    other_language_tag: str
    other_language_name: str
    skip_to_content: str
    pages: str
    docs_link: str
    page_lead: str
    live_version: str
    canary_version: str
    shadow_version: str
    idle_title: str
    idle: str
    your_text: str
    ask_button: str
    you_wrote: str
    the_answer: str
    probabilities: str
    other_classes: str
    moved_by: str
    speaks_for: str
    speaks_against: str
    nothing_moved: str
    exact_method: str
    occlusion_method: str
    left_out: str
    answered_by: str
    is_it_right: str
    yes_label: str
    no_label: str
    choose_other: str
    correct_button: str
    you_said: str
    is_learnt: str
    is_not_learnt: str
    correct_slip: str
    trace_lead: str
    only_logged: str
    no_words: str
    no_known_words: str
    help_title: str
    help_lead: str
    waiting_one: str
    waiting_many: str
    why_audit: str
    why_chosen: str
    which_label: str
    skip_text: str
    pick_label: str
    give_label: str
    none_waiting: str
    ask_first: str
    change_label: str
    corrections: str
    no_corrections: str
    not_read: str
    not_kept: str
    empty_text: str
    corrected: str
    version_name: str
    time_ago: str
    just_now: str
    minute: str
    minutes: str
    hour: str
    hours: str
    day: str
    days: str
    error_titles: dict[int, str]
    back_to_page: str
    no_other_host: str


@cache
def tables(unit: str) -> dict[str, Words]:
    """The words by language, read once; `unit` is what an input is called.

    Raises:
        ValueError: a file lacks a key or has another one, or a translation has other placeholders.
    """
    records = {language: json.loads((FOLDER / f"{language}.json").read_text("utf-8")) for language in LANGUAGES}
    english = records[LANGUAGES[0]]
    return {language: parse(record, english, f"{language}.json", unit) for language, record in records.items()}


def parse(record: Mapping[str, Any], english: Mapping[str, Any], file: str, unit: str) -> Words:
    """Make the words from the JSON of a file, after comparing it with the English one.

    Raises:
        ValueError: the keys or the placeholders differ.
    """
    general = {key: text for key, text in record.items() if key != "units"}
    units: Mapping[str, Mapping[str, str]] = record["units"]
    keys = {field.name for field in fields(Words)}
    if general.keys() != keys:
        raise ValueError(f"{file} must have the keys of `Words`. Differing: {sorted(general.keys() ^ keys)}.")
    named = {name: sorted(words) for name, words in units.items()}
    if named != {name: sorted(words) for name, words in english["units"].items()}:
        raise ValueError(f"{file} must have the keys of the English file under `units`. Received: {named}.")
    titles = general.pop("error_titles")
    if titles.keys() != english["error_titles"].keys():
        differing = sorted(titles.keys() ^ english["error_titles"].keys())
        raise ValueError(f"{file} must have the error titles of the English file. Differing: {differing}.")
    for words in (general, *units.values()):
        for key, text in words.items():
            if placeholders(text) != placeholders(english[key]):
                raise ValueError(
                    f"{key} in {file} must have the placeholders {sorted(placeholders(english[key]))}. Received: {text}"
                )
    texts = {**general, **units.get(unit, {})}
    return Words(**texts, error_titles={int(status): title for status, title in titles.items()})


def placeholders(text: str) -> set[str]:
    """The names in braces."""
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def choose(language: str, accept_language: str, unit: str) -> Words:
    """Choose the words for a request.

    Args:
        language: chosen on the page, `en` or `zh`; anything else counts as no choice.
        accept_language: the header by which the browser states its preferences; decides without a choice.
        unit: what an input is called.
    """
    if language in LANGUAGES:
        return tables(unit)[language]
    best = LANGUAGES[0]
    best_quality = 0.0
    for preference in accept_language[:1000].split(","):
        tag, _, parameter = preference.strip().lower().partition(";")
        accepted = tag.partition("-")[0].strip()
        quality = quality_of(parameter)
        if accepted in LANGUAGES and quality > best_quality:
            best = accepted
            best_quality = quality
    return tables(unit)[best]


def quality_of(parameter: str) -> float:
    """The number in `q=0.8`, at most 1; 1 where the parameter is empty, 0 where it is no such number."""
    name, _, number = parameter.strip().partition("=")
    if not name:
        return 1.0
    digits = number.strip()
    is_quality = name.strip() == "q" and digits.replace(".", "", 1).isdecimal() and digits.isascii()
    return min(float(digits), 1.0) if is_quality else 0.0


def age(words: Words, seconds: float) -> str:
    """A duration in its largest whole unit; less than a minute counts as one."""
    for size, singular, plural in ((86_400, words.day, words.days), (3_600, words.hour, words.hours)):
        if seconds >= size:
            count = int(seconds // size)
            return singular if count == 1 else plural.format(count=count)
    count = max(1, int(seconds // 60))
    return words.minute if count == 1 else words.minutes.format(count=count)


def time_ago(words: Words, seconds: float) -> str:
    """How long ago a moment was."""
    return words.just_now if seconds < 60 else words.time_ago.format(age=age(words, seconds))
