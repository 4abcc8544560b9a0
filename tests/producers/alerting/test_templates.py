"""Templates of users render values, and cannot do anything else."""

import contextlib
import time
from decimal import Decimal
from typing import Any

import pytest

from producers.alerting.annotations import rendered, sample_values
from producers.alerting.templates import RESULT_CHARS_MAX, check_names, render
from producers.control.kinds.alert_rule import AlertRule

VALUES: dict[str, Any] = {
    "value": Decimal("5.25"),
    "threshold": Decimal(5),
    "group": {"model": "m1", "items": "mine"},
    "labels": {"team": "a"},
    "exemplars": ["t1", "t2"],
    "reason": "why",
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ value|round(1) }} > {{ threshold }}", "5.2 > 5"),
        ("{{ value * 2 - 0.5 }} {{ -value }} {{ value / 2 }}", "10.00 -5.25 2.625"),
        ("{{ 0.1234|percent }} {{ value|usd }}", "12.3 % 5.25 USD"),
        ("{{ exemplars|join }} {{ exemplars[0] }} {{ exemplars|length }}", "t1, t2 t1 2"),
        ("{{ group.items }} {{ group['model']|upper }}", "mine M1"),
        ("{% for name, each in labels|items %}{{ name }}={{ each }}{% endfor %}", "team=a"),
        ("{% for each in exemplars %}{{ each }}{% if not loop.last %};{% endif %}{% endfor %}",
            "t1;t2"),
        ("{{ 'high' if value > threshold else 'low' }}", "high"),
        ("{% if group.model == 'm1' and not reason is none %}yes{% endif %}", "yes"),
        ("{{ nope is defined }}", "False"), ("{# comment #}{{ '' | default('x') }}", "x"),
        ("<b>{{ reason }}</b>", "<b>why</b>"), ("{{ 1000000 * 1000000 }}", "1000000000000"),
    ],
)  # fmt: skip
def test_values_conditions_and_loops_are_rendered(template: str, text: str) -> None:
    assert render(template, VALUES) == text


@pytest.mark.parametrize(
    "template",
    [
        "{{ nope }}", "{{ group.nope }}", "{{ exemplars[9] }}", "{{", "{% if %}", "{% nope %}",
        "{{ ''.__class__.__mro__ }}", "{{ value.__init__.__globals__ }}", "{{ group.keys() }}",
        "{{ group['model'].format }}", "{{ reason.upper }}", "{{ cycler.__init__ }}",
        "{{ self._TemplateReference__context }}", "{{ lipsum() }}", "{{ range(3) }}",
        "{% set x = 1 %}", "{% macro m() %}{% endmacro %}", "{% include 'x' %}",
        "{% import 'x' as y %}", "{% extends 'x' %}", "{% filter upper %}x{% endfilter %}",
        "{{ value|attr('real') }}", "{{ value|tojson }}", "{{ [1,2]|map('upper') }}",
        "{{ 'a' * 10 }}", "{{ 'a' + 'b' }}", "{{ 9 ** 9 }}", "{{ '%9d' % 1 }}",
        "{{ 1 / 0 }}", "{{ value|round(99) }}", "{{ reason|round }}", "{{ reason|join('x') }}",
        "{{ loop.cycle('a') }}", "{{ {}.x }}", "{{ " + "(" * 2_000 + "1" + ")" * 2_000 + " }}",
        "{% for a in exemplars recursive %}{{ loop(a) }}{% endfor %}",
    ],
)  # fmt: skip
def test_everything_else_is_an_error(template: str) -> None:
    with pytest.raises(ValueError) as raised:  # each has its own message
        render(template, VALUES)
    assert str(raised.value)


def nested(depth: int) -> str:
    return "{% for a in exemplars %}" * depth + "x" + "{% endfor %}" * depth


def test_loops_have_a_maximum_depth() -> None:
    assert render(nested(2), VALUES) == "xxxx"
    with pytest.raises(ValueError, match="nested"):
        render(nested(3), VALUES)


def test_the_result_has_a_maximum_length() -> None:
    values = VALUES | {"exemplars": ["x" * 100] * 10}
    with pytest.raises(ValueError, match=str(RESULT_CHARS_MAX)):
        render("{{ exemplars }}" * 20, values)
    loop = f"{{% for a in exemplars %}}{'x' * 1_500}{{% endfor %}}"
    with pytest.raises(ValueError, match=str(RESULT_CHARS_MAX)):
        render(loop, values)


@pytest.mark.parametrize(
    "template",
    [
        f"{{% for a in '{'x' * 900}' %}}{{% for b in '{'y' * 900}' %}}{{% endfor %}}{{% endfor %}}",
        "{{ value" + " * 9999999999" * 150 + " }}",
        "{{ '" + "x" * 1_900 + "'|upper|lower|upper|truncate(5) }}",
        "{{ " + "1+" * 900 + "1 }}",
    ],
)  # fmt: skip
def test_no_template_takes_long(template: str) -> None:
    started_s = time.process_time()
    with contextlib.suppress(ValueError):
        render(template, VALUES)
    assert time.process_time() - started_s < 5


def test_names_in_branches_that_are_not_rendered_are_checked() -> None:
    check_names("{% if value > 9 %}{{ group.any }}{% endif %}", VALUES)
    with pytest.raises(ValueError, match="nope"):
        check_names("{% if value > 9 %}{{ nope }}{% endif %}", VALUES)


def test_an_annotation_that_cannot_be_rendered_does_not_stop_the_others() -> None:
    rule = AlertRule(
        id="r", project_id="p", name="n", metric="cost", threshold="5", window_s=60, created_us=0,
        group_by=("model",),
        annotations={"a": "{{ group.model }} {{ unit }}", "b": "{{ group.user_id }}"},
    )  # fmt: skip
    found = rendered(rule, sample_values(rule))
    assert found["a"] == "sample USD"
    assert found["b"].startswith("(the template does not render:")


def joined(times: int) -> str:
    """Return a short template of a long text: each join makes it nine times as long."""
    text = "'x'"
    for _ in range(times):
        text = f"('','','','','','','','','','')|join({text})"
    return text


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (f"{{{{ ({joined(12)})|length }}}}", "more than 10000 characters"),
        (f"{{{{ ({joined(3)} ~ {joined(3)} ~ reason)|upper|length }}}}", None),
        ("{% if '1e99999999'|round == 'x' %}{% endif %}", "at most 1e40"),
        ("{% if '1e9999999999999'|percent == 'x' %}{% endif %}", "at most 1e40"),
        ("{% for a in reason|upper %}{% for b in reason %}{% endfor %}{% endfor %}", "loop reads"),
        ("{% for a in many %}{% for b in many %}{% endfor %}{% endfor %}", "10000 iterations"),
        ("{% for a in one %}{% for b in many %}{% endfor %}{% endfor %}" * 26, "10000 iterations"),
        ("{% if many|join == 'x' %}{% endif %}", "a text is expected"),
        ("{% if many ~ 'x' == 'x' %}{% endif %}", "a text is expected"),
        ("{% if many|upper == 'x' %}{% endif %}", "a text is expected"),
        (r"{{ '\ud800' }}", "half of a surrogate pair"),
    ],
)  # fmt: skip
def test_no_part_of_a_template_is_large_or_takes_long(template: str, reason: str | None) -> None:
    values = VALUES | {"many": [{"data": {"list": ["x" * 100] * 100}}] * 400, "one": ["x"]}
    began_s = time.process_time()

    if reason is None:
        assert render(template, values)
    else:
        with pytest.raises(ValueError, match=reason):
            render(template, values)

    assert time.process_time() - began_s < 1


def test_texts_are_concatenated_also_in_loops_and_with_objects_of_plain_values() -> None:
    template = (
        "{% for each in exemplars %}{{ each ~ '-' ~ loop.index }} {% endfor %}{{ '' ~ labels }}"
    )

    assert render(template, VALUES) == "t1-1 t2-2 {'team': 'a'}"
