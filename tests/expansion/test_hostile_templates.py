"""Tests that a hostile template reads no file, reaches no Python object, and takes bounded time and memory."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from imagen_batch.errors import SettingsInvalid
from imagen_batch.expansion.template import RenderFailed, compile_template

HOSTILE = [
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ prompt['__class__'] }}",
    "{{ prompt|attr('__class__') }}",
    "{{ ['__class__']|map(attribute='__class__')|list }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self }}",
    "{{ loop }}",
    "{{ range.__globals__ }}",
    "{{ range.__self__ }}",
    "{{ lipsum.__globals__ }}",
    "{{ cycler.__init__ }}",
    "{{ '%s'.format }}",
    "{{ '{0.__class__}'.format(prompt) }}",
    "{{ '{0.__class__}'.format_map({}) }}",
    "{% for x in range(1000000000) %}x{% endfor %}",
    "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
    "{% for a in range(9999) %}{% for b in range(9999) %}xxxxxxxxxx{% endfor %}{% endfor %}",
    "{% for a in range(9999) if range(9999)|map('string')|join %}{% endfor %}",
    "{{ 'x' * 1000000000 }}",
    "{{ 1000000000 * 'x' }}",
    "{{ [1] * 1000000000 }}",
    "{{ 9 ** 9 ** 9 }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ 'x'.ljust(1000000000) }}",
    "{{ 'x'.zfill(1000000000) }}",
    "{{ 'x'|center(1000000000) }}",
    "{{ 'x'|indent(1000000000) }}",
    "{{ [1]|batch(1000000000, 'x')|list }}",
    "{{ 1|round(1000000000, 'ceil') }}",
    "{{ prompt|wordwrap(1) }}",
    "{% set a = 'xxxxxxxxxx' %}" + "{% set a = a ~ a %}" * 40 + "{{ a }}",
    "{% set a = 'xxxxxxxxxx' %}" + "{% set a = a + a %}" * 40 + "{{ a }}",
    "{% set a = 'xxxxxxxxxx' %}" + "{% set a = a|replace('x', 'xx') %}" * 40 + "{{ a }}",
    "{% set a = 'xxxxxxxxxx' %}" + "{% set a = [a, a]|join %}" * 40 + "{{ a }}",
    "{% set a %}xxxxxxxxxx{% endset %}" + "{% set a %}{{ a }}{{ a }}{% endset %}" * 40 + "{{ a }}",
    "{% set a = ['x'] %}" + "{% set a = [a, a] %}" * 60 + "{{ a|string }}",
    "{% set a = ['x'] %}" + "{% set a = (a, a) %}" * 60 + "{{ a == a }}",
    "{% set a = {'x': 1} %}" + "{% set a = {'x': a, 'y': a} %}" * 60 + "{{ a }}",
    "{% set a = 9 %}" + "{% set a = a * a %}" * 60 + "{{ a }}",
    "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
    "{% set n = namespace(x='xxxx') %}{% for a in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
    "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% from 'os' import path %}",
    "{% extends '/etc/passwd' %}",
    "{% block a %}{% endblock %}",
    "{{ [prompt, prompt] }}",
    "{{ none }}",
    "{{ prompt.foo }}",
    "{{ range(*[1]) }}",
    "{% for a in range(10000) %}{% set b = range(10000)|sort|list %}{% endfor %}",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "{{ " + "-" * 20000 + "1 }}",
    "{{ 1 / 0 }}",
    "{% for x in 5 %}{% endfor %}",
    "{{ prompt() }}",
    "{{ columns.update({'a': 'b'}) }}",
    "{{ columns.clear() }}",
    "{% for",
    "{{ prompt|nosuchfilter }}",
]


@pytest.mark.parametrize("source", HOSTILE, ids=[source[:50] for source in HOSTILE])
def test_a_hostile_template_is_refused_quickly_and_in_little_memory(source: str) -> None:
    """The error is one of ours and has a message."""
    started = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises((SettingsInvalid, RenderFailed)) as caught:
            compile_template(source, name="t").render({"prompt": "a fox", "columns": {"prompt": "a fox"}})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(caught.value)
    assert peak < 120 << 20
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ prompt }}, {{ style|default('ink') }}", "a fox, ink"),
        ("{% for part in prompt.split(' ') %}{{ loop.index }}{{ part }} {% endfor %}", "1a 2fox"),
        ("{% if chapter is defined %}{{ chapter }}{% else %}none{% endif %}", "none"),
        ("{{ [prompt, 'x']|join('; ') }}", "a fox; x"),
        ("{{ prompt|upper }} {{ prompt|replace('fox', 'hen') }} {{ 2 * 3 }} {{ 'a' ~ 1 }}", "A FOX a hen 6 a1"),
        ("{% set who = prompt|title %}{{ who }}{# a comment #}", "A Fox"),
        ("{{ columns['Odd name'] }}", "odd"),
        ("{{ {'a': 'b'}[prompt[0]] }}", "b"),
        ("<b>{{ prompt }}</b> & '{{ prompt }}'", "<b>a fox</b> & 'a fox'"),
        ("{{ prompt\n}}\n{% if true %}\nx\n{% endif %}\n", "a fox\nx"),
    ],
)
def test_ordinary_templates_work(source: str, text: str) -> None:
    """These are the expressions that people use in prompts."""
    assert compile_template(source, name="t").render({"prompt": "a fox", "columns": {"Odd name": "odd"}}) == text


def test_the_text_of_a_cell_is_never_a_template() -> None:
    """Rows are data, whatever they contain."""
    cell = "{{ 7 * 7 }} ${x} {% raw %}"
    assert compile_template("{{ prompt }}", name="t").render({"prompt": cell}) == cell
