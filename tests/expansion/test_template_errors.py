"""Messages about a template use the words of its author: no class of Python or Jinja, no address, no path."""

import re

import pytest

from imagen_batch.errors import SettingsInvalid
from imagen_batch.expansion.characters import Character, CharacterAccess, CharacterList, Characters
from imagen_batch.expansion.styles import Style
from imagen_batch.expansion.template import RenderFailed, compile_template

INTERNALS = re.compile(
    r"jinja|imagen_batch|introspection|object at 0x|<\w|_within_limit|do_\w|'(str|int|dict|list|float)'"
    r"|NoneType|LoopContext|CharacterAccess|builtin|StrictUndefined|namedtuple|Style\("
)


def render(source):
    """Render a template, in which `x` is "abc"."""
    mole = Character("Mole", "a mole")
    values = {
        "x": "abc",
        "columns": {"chapter": "1"},
        "char": CharacterAccess(Characters({"Mole": mole}, "cast.csv")),
        "characters": CharacterList((mole,)),
        "style": Style("ink", "in ink"),
    }
    template = compile_template(source, name="t.j2")
    template.check_variables(values)
    template.render(values)


def message_of(source):
    """Return the message about a template."""
    with pytest.raises((SettingsInvalid, RenderFailed)) as caught:
        render(source)
    return str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ x.y }}", "the text 'abc' has no 'y'"),
        ("{{ style.nope }}", "the style ink has no 'nope'"),
        ("{{ char.Mole.nope }}", "the character Mole has no 'nope'"),
        ("{{ char.Moel }}", "cast.csv has no character 'Moel'; did you mean Mole?"),
        ("{{ characters[0].nope }}", "the list of characters has no item 0"),
        ("{{ columns.chaptr }}", "the table has no 'chaptr'; did you mean chapter?"),
        ("{% for i in [1] %}{{ loop.nope }}{% endfor %}", "the loop has no 'nope'"),
        ("{{ x.__class__ }}", "'__class__' can't be used in a prompt template"),
        ("{{ style() }}", "the style ink can't be called in a prompt template"),
        ("{{ x.format(1) }}", "the function format can't be called in a prompt template"),
        ("{{ char }}", "char is not text: name a character, as in char.NAME"),
        ("{{ columns }}", "a table is not text: name one of its columns, as in columns['NAME']"),
        ("{{ x.upper }}", "a function is not text: call it, with ()"),
        ("{{ range(3) }}", "a list is not text: use |join(', ')"),
        ("{{ x + 1 }}", "+ can't be used with a text and a number: ~ joins texts"),
        ("{{ x < 1 }}", "a text and a number can't be compared with <"),
        ("{{ x|round }}", "a text can't be rounded; |float makes a number"),
        ("{{ x|replace('a') }}", "replace() missing 1 required positional argument: 'new'"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ x|uper }}", "--template t.j2, line 1: there is no filter 'uper'; did you mean upper?"),
        ("{{ x is nope }}", "--template t.j2, line 1: there is no test 'nope'"),
        ("{{ x|map('nope')|list|join }}", "there is no filter 'nope'"),
        ("{% if %}", "--template t.j2, line 1: expected an expression, got 'end of statement block'"),
        ("{{ " + "(" * 3000 + "x" + ")" * 3000 + " }}", "--template t.j2: it is nested too deeply"),
    ],
)
def test_a_mistake_is_named_in_the_words_of_the_template(source, message):
    """Each says what has no value, or what an operation can't be used with."""
    assert message_of(source) == message


@pytest.mark.parametrize(
    "source",
    [
        *("{{ -x }}", "{{ x[1:'a'] }}", "{{ range('a') }}", "{% for i in 5 %}{% endfor %}", "{{ x|sort(nope=1) }}"),
        *("{{ x|truncate('a') }}", "{{ x.upper(1) }}", "{{ x|items }}", "{{ self }}", "{{ [1,'a']|max }}"),
        *("{{ []|first }}", "{{ x|abs }}", "{{ 'a' * x }}", "{{ x.split(1) }}", "{{ x|length(1) }}", "{{ none }}"),
        *("{% for i in [1] %}{{ loop }}{% endfor %}", "{% for a, b in x %}{% endfor %}", "{{ columns.get() }}"),
        *("{{ x ~ columns }}", "{{ x|title|wordcount(3) }}", "{{ x|unique }}", "{{ characters[0].nope }}"),
    ],
)
def test_no_message_has_a_name_of_python_or_jinja(source):
    """Whatever Python says about the operation."""
    assert INTERNALS.search(message_of(source)) is None


def test_a_long_text_in_a_message_is_cut():
    """A prompt may have 150,000 characters."""
    assert (
        message_of("{{ ('very long ' * 4000).nope }}")
        == f"the text {'very long ' * 3 + 'very lo...'!r} has no 'nope'"
    )


def test_close_matches_of_an_unknown_column_come_first_and_few_others_follow():
    """A file may have hundreds of columns."""
    template = compile_template("{{ chaptr }}", name="t.j2")
    with pytest.raises(SettingsInvalid) as caught:
        template.check_variables(["chapter", "chapters", *(f"tag_{number:03}" for number in range(200))])
    message = str(caught.value)
    assert "no column 'chaptr'; did you mean chapter or chapters? Known: chapter, chapters, tag_000" in message
    assert message.endswith("and 182 more")
