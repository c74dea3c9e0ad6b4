#!/usr/bin/env python3
"""Writes Tests/Fixtures/chat-templates.json: templates, variables, and what Python's Jinja2 makes of them.

The environment is the one that Hugging Face's transformers makes for chat templates.
Needs: pip install jinja2 gguf; the argument is a GGUF file of SmolLM2-135M-Instruct.

    python3 Tools/make-template-fixtures.py SmolLM2-135M-Instruct.Q4_1.gguf
"""
import json
import pathlib
import sys

import gguf
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from template_environment import environment  # noqa: E402

smollm2 = gguf.GGUFReader(sys.argv[1]).fields["tokenizer.chat_template"].contents()
user = {"role": "user", "content": "Hi, what's \"up\"?\n"}
system = {"role": "system", "content": "  Be brief.  "}
assistant = {"role": "assistant", "content": "Nothing — é \U0001F642"}
chat = {"messages": [system, user, assistant, user], "add_generation_prompt": True, "bos_token": "<s>"}
tool = {"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "number", "d": [1, 2.5, None, True]}}}}

markers = """{%- if messages[0].role == 'system' -%}
    {%- set system = messages[0].content | trim -%}
    {%- set messages = messages[1:] -%}
{%- else -%}
    {%- set system = '' -%}
{%- endif -%}
{{ bos_token }}
{%- for message in messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Roles must alternate user/assistant/...') }}
    {%- endif %}
    {%- if message.role == 'user' %}
        {{- '[INST] ' + (system + '\\n\\n' if loop.first and system else '') + message.content + ' [/INST]' }}
    {%- elif message.role == 'assistant' %}
        {{- ' ' ~ message.content | trim ~ eos_token }}
    {%- else %}
        {{- raise_exception('Only user and assistant roles, not ' + message.role) }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ ' ' }}{% endif -%}
"""

tools = """{%- set ns = namespace(found=false, last=-1) %}
{%- for m in messages %}
    {%- if m.role == "user" and not ns.found %}
        {%- set ns.found = true %}
    {%- endif %}
    {%- set ns.last = loop.index0 %}
{%- endfor %}
{# a comment
   over lines #}
{% if tools is defined and tools is iterable and tools | length > 0 %}
# Tools
{% for tool in tools %}
{{ tool | tojson }}
{{ tool.parameters | tojson(indent=2) }}
{% for key, value in tool.parameters.properties.items() %}
- {{ key }}: {{ value.type | upper }}{% if not loop.last %},{% endif %}

{% endfor %}
{% endfor %}
{% endif %}
{{ ns.found }} {{ ns.last }}
"""

thinking = """{%- for message in messages %}
{%- set content = message.content %}
{%- if '</think>' in content %}
{%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
{%- set content = content.split('</think>')[-1].lstrip('\\n') %}
{{- 'R(' ~ reasoning ~ ')' }}
{%- endif %}
{{- '<|' + message.role + '|>\\n' + content + '\\n' }}
{%- if message.content.startswith('<think>') and not message.content.endswith('x') %}!{% endif %}
{%- endfor %}
"""

cases = [
    ("smollm2", smollm2, chat),
    ("smollm2 without system", smollm2, {"messages": [user], "add_generation_prompt": True}),
    ("smollm2 without prompt", smollm2, {"messages": [user, assistant], "add_generation_prompt": False}),
    ("smollm2 empty", smollm2, {"messages": [], "add_generation_prompt": False}),
    ("markers", markers, {**chat, "eos_token": "</s>"}),
    ("markers refuse", markers, {"messages": [user, user], "bos_token": "<s>"}),
    ("tools", tools, {"messages": [user, assistant], "tools": [tool, {"parameters": {"properties": {"a": {"type": "b"}, "c": {"type": "d"}}}}]}),
    ("no tools", tools, {"messages": [user]}),
    ("thinking", thinking, {"messages": [user, {"role": "assistant", "content": "<think>\n\nhm\n</think>\n\nok"}]}),
]
snippets = [
    "a\n  {% if true %}\n  b\n  {% endif %}\nc\n",
    "a\n  {%+ if true +%}\n  b\n  {%- endif -%}  \n\n c\n\n",
    "  {{ 1 }}\n  {{- 2 -}}  \n3\n",
    "{#- c -#} x {# d #}\ny\n  {# e #}\nz",
    "x {% raw %} {{ no }} {% if %}\n{% endraw %}\ny{%- raw -%}  {# z #}  {%- endraw -%}  w",
    "\r\na\r\nb\rc{{ '\\r\\n' }}",
    "{{ 'a' 'b' \"c\\n\\t\\x41\\u00e9\\U0001F642\\101\\q\\\\\" }}",
    "{{ 1 + 2 * 3 - 4 // 3 % 5 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 1.5 + 1 }} {{ 7.5 // 2 }}",
    "{{ 1 ~ 2 + 3 ~ 'a' }} {{ 'a' * 3 }} {{ [1] + [2, 'x'] }} {{ (1, 2) + (3,) }}",
    "{{ 1 < 2 < 3 }} {{ 1 < 2 > 3 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' != 'b' }} {{ none == false }} {{ 'a' < 'b' }}",
    "{{ 'b' in 'abc' }} {{ 1 in [1, 2] }} {{ 'x' not in {'x': 1} }} {{ not 1 in [1] }}",
    "{{ x is defined }} {{ y is defined }} {{ y is not defined }} {{ x is none }} {{ none is none }} {{ x is string }}",
    "{{ {} is mapping }} {{ [] is sequence }} {{ 'a' is iterable }} {{ 1 is number }} {{ true is number }} {{ true is boolean }} {{ 3 is odd }} {{ 4 is even }} {{ 4 is divisibleby 2 }} {{ 1 is integer }} {{ 1.0 is float }} {{ x is true }} {{ 1 is eq 1 }} {{ 1 is in [1] }} {{ true is integer }}",
    "{{ y }}|{{ y or 'z' }}|{{ y | default('d') }}|{{ '' | default('d', true) }}|{{ none | default('d') }}|{{ '' | d('e', boolean=true) }}",
    "{{ 'a' if x else 'b' }}{{ 'a' if y }}{{ 'a' if y else 'b' if false else 'c' }}",
    "{% for i in range(5) %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}",
    "{% for i in range(10) if i is odd %}{{ i }}{{ loop.last }}{% else %}none{% endfor %}{% for i in [] %}x{% else %}none{% endfor %}",
    "{% for i in range(2, 20, 3) %}{% if i == 8 %}{% continue %}{% endif %}{% if i > 12 %}{% break %}{% endif %}{{ i }},{% endfor %}",
    "{% set v = 1 %}{% for i in [1, 2] %}{% set v = v + i %}{{ v }}{% endfor %}{{ v }}{% if true %}{% set v = 9 %}{% endif %}{{ v }}",
    "{% set ns = namespace(a=1) %}{% for i in [1, 2] %}{% set ns.a = ns.a + i %}{% set ns.b = [i] %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns.c is defined }}",
    "{% set a, b = 1, [2] %}{{ a }}{{ b }}{% set t = 1, 2 %}{{ t }}{% for (k, v) in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% set block %}\n a {{ x }}\n{% endset %}[{{ block | trim }}]",
    "{{ 'hello'[1:3] }}{{ 'hello'[::-1] }}{{ 'hello'[-3:] }}{{ [1, 2, 3, 4][::2] }}{{ [1, 2, 3][5:] }}{{ 'h\u00e9llo'[1] }}{{ [1, 2][-1] }}{{ [1][4] }}{{ 'abc'[-9:2] }}{{ 'abcdef'[4:1:-1] }}{{ (1, 2, 3)[:2] }}",
    "{{ {'a': {'b': [10, 20]}}.a.b[1] }}{{ {'a': 1}['a'] }}{{ {'a': 1}.b }}{{ {'a': 1}['b'] is defined }}{{ [[1, 2]].0.1 }}",
    "{{ '  x '.strip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'ab'.upper() }}|{{ 'aB cD'.title() }}|{{ 'aB cD' | title }}|{{ 'aB' | capitalize }}|{{ 'a,b,c'.split(',') }}|{{ ' a  b '.split() }}|{{ 'a b c'.split(' ', 1) }}|{{ 'a b c'.split(none, 1) }}|{{ 'abc'.replace('b', 'xx') }}|{{ 'aaa'.replace('a', 'b', 2) }}|{{ 'abc'.find('c') }}|{{ 'abab'.count('ab') }}|{{ 'ab'.startswith(('x', 'a')) }}|{{ ','.join(['a', 'b']) }}",
    "{{ [1, 'a', none, true, 1.5, {'k': \"it's\"}, (1,), 'q\"\\'', '\\n\u00a0\u200b'] }}",
    "{{ [3, 1] | first }}{{ [3, 1] | last }}{{ 'abc' | list }}{{ 'abc' | length }}{{ {'a': 1} | length }}{{ [1, 2] | reverse | list }}{{ 'abc' | reverse }}{{ [1, 2] | join('-') }}{{ [1, 2] | join }}{{ {'a': 1} | list }}{{ [1, 1, 2] | unique | list }}",
    "{{ '12' | int + 1 }}{{ 'x' | int }}{{ 'x' | int(5) }}{{ 1.9 | int }}{{ '1.5' | float }}{{ -3 | abs }}{{ 3 | string + 'a' }}{{ -1.5 | abs }}",
    "{{ people | map(attribute='name') | join(', ') }}{{ people | selectattr('age', 'defined') | list | length }}{{ people | selectattr('name', 'equalto', 'b') | list }}{{ people | rejectattr('age') | map(attribute='name') | list }}{{ ['a', 'b'] | map('upper') | list }}{{ [0, 1, 2] | select | list }}{{ [0, 1, 2] | reject('odd') | list }}",
    "{{ {'b': 1, 'a': [1, 2.0, 'x\u00e9<>&\\'\\u0001', none, false, {}]} | tojson }}{{ {'b': 1, 'a': {'d': [], 'c': {}}} | tojson(sort_keys=true, indent=4) }}{{ 'a\"b\\n' | tojson }}",
    "{{ {'a': 1, 'b': 2} | items | list }}{{ {'a': 1}.get('a') }}{{ {'a': 1}.get('z') }}{{ {'a': 1}.get('z', 3) }}{{ {'a': 1}.keys() | list }}{{ {'a': 1}.values() | list }}{{ dict(a=1, b='x') }}",
    "{{ 'a\\nb\\n\\nc' | indent }}|{{ 'a\\nb' | indent(2, true) }}",
    "{{ true and 1 or 0 }}{{ 0 or '' or 'x' }}{{ not x and y }}{{ (1, 'a') }}{{ () }}{{ [] }}{{ {} }}{{ 1, 2 }}",
    "{{ (x.y.z is defined) if false else 'lazy' }}{{ -2 | abs }}{{ -(x | length) }}{{ 1 if not y is defined }}",
    "{% if x %}{% elif y %}{% else %}{% endif %}{% if not x %}a{% elif x == 'ex' %}b{% else %}c{% endif %}",
    "{%if x%}{{x}}{%endif%}{{  x  }}{{x|upper|lower}}",
    "{{ 'caf\u00e9' == 'cafe\u0301' }}{{ 'e\u0301' | length }}{{ '\U0001F468\u200d\U0001F469' | list | length }}{{ '\\r\\n' | length }}",
    "{% for c in 'h\u00e9' %}[{{ c }}]{% endfor %}{% for k in {'p': 1, 'q': 2} %}{{ k }}{% endfor %}{% for u in y %}x{% endfor %}",
    "{{ loop is defined }}{% for a in [[1, 2], [3, 4]] %}{% for b in a %}{{ loop.index }}{{ b }}{% endfor %}{{ loop.index }}{% endfor %}",
    "{% for i in [1, 2, 3] %}{{ loop.cycle('odd', 'even') }}{% endfor %}",
    "{{ 1e3 }} {{ 1.0 }} {{ 0.1 + 0.2 }} {{ 1_000 }} {{ 3.0 * 2 }} {{ 1e-7 }} {{ 123456789.125 }}",
    "{{ true }}{{ True }}{{ none }}{{ None }}{{ false | tojson }}{{ none | tojson }}",
    "{{ undefined_name.attribute }}", "{{ 1 + 'a' }}", "{{ raise_exception('no') }}", "{{ 1 / 0 }}", "{% if %}",
    "{{ 'a' + none }}", "{% for %}", "{{ x", "{% endif %}", "{{ ) }}", "{% if x %}", "{{ 'open }}", "{# open", "{{ 1 | nofilter }}",
    # What tool templates do: macros, blocks, sorting, JSON's options, one-time sequences, the clock.
    "{% macro f(a, b=2, c=a) -%}[{{ a }}{{ b }}{{ c }}]{%- endmacro %}{{ f(1) }}{{ f(1, c=3) }}{{ f(b='x', a='y') }}{{ f() }}",
    "{% macro f(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, 3, k='v') }}",
    "{% macro tree(n) %}{{ n.v }}{% for c in n.c %}({{ tree(c) }}){% endfor %}{% endmacro %}{{ tree({'v': 1, 'c': [{'v': 2, 'c': []}, {'v': 3, 'c': [{'v': 4}]}]}) }}",
    "{% set v = 1 %}{% macro f() %}{{ v }}{% set v = 5 %}{{ v }}{{ loop is defined }}{% endmacro %}{% set v = 2 %}{% for v in [7] %}{{ f() }}{% endfor %}{{ v }}",
    "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}b{% endmacro %}{{ a() | upper }}{{ a is callable }}{{ x is callable }}{{ a is defined }}",
    "{% macro f(t) %}<{{ t }}>{{ caller() }}</{{ t }}>{% endmacro %}{% set q = 'q' %}{% call f('p') %} {{ q }}{% endcall %}{% call f('r') %}{% call f('s') %}z{% endcall %}{% endcall %}",
    "{% macro f() %}{% for i in [1, 2] %}{{ caller(i, k='v') }}{% endfor %}{% endmacro %}{% call(i, k) f() %}{{ i }}{{ k }};{% endcall %}",
    "{% macro f(a, b) %}{{ a }}{{ b }}{% endmacro %}{% set fs = [f] %}{{ fs[0](*[1, 2]) }}{{ f(**{'a': 3, 'b': 4}) }}{{ f(5, *[6]) }}",
    "{% filter upper %}a{{ x }}{% endfilter %}{% filter replace('a', 'b') | trim %} aa {% endfilter %}{% set s | upper | trim %} y {% endset %}[{{ s }}]",
    "{% with a = 1, b = x %}{{ a }}{{ b }}{% set c = 3 %}{% endwith %}{{ a is defined }}{{ c is defined }}",
    "{% generation %}{% set g = 1 %}{{ x }}{% endgeneration %}{{ g is defined }}",
    "{{ {'b': 1, 'A': 2, 'c': 0} | dictsort }}{{ {'b': 1, 'A': 2} | dictsort(true) }}{{ {'b': 1, 'A': 2} | dictsort(by='value', reverse=true) }}",
    "{{ ['b', 'A', 'c', 'a'] | sort }}{{ [3, 1, 2] | sort(reverse=true) }}{{ ['b', 'A'] | sort(case_sensitive=true) }}{{ people | sort(attribute='name', reverse=true) | map(attribute='name') | list }}",
    "{{ [3, 1, 2] | min }}{{ ['b', 'A'] | max }}{{ [1, 2.5] | sum }}{{ [{'n': 1}, {'n': 2}] | sum(attribute='n') }}{{ [] | min }}{{ [] | sum }}{{ ['a', 'A', 'b'] | unique | list }}{{ 2.5 | round }}{{ 3.5 | round }}",
    "{{ 'é🙂\n\x7f' | tojson(ensure_ascii=true) }}{{ {'a': [1, 2]} | tojson(separators=(',', ':')) }}{{ {'a': [1]} | tojson(indent=2, separators=(' ,', '= ')) }}{{ {'b': 1, 'a': 2} | tojson(false, 1, none, true) }}",
    "{% set u = people | selectattr('age', 'defined') %}{{ 'yes' if [] | select else 'no' }}{% for p in u %}{{ p.name }}{% endfor %}{% for p in u %}again{% endfor %}{{ none | map('upper') | list }}{{ 1 in ([1] | map('int')) }}{{ [[1, 2]] | map(attribute=1) | list }}",
    "{{ strftime_now('%d %b %Y') }} {{ strftime_now('%Y-%m-%d %H:%M:%S %A %B %j %y %p %I %a %-d %-m %e %%') }} {{ strftime_now is defined }} {{ nothing is defined }}",
    "{{ {0: 'a', 'x': 1, none: 2, 2.0: 'c'}[0] }}{% for k, v in {512: 1, 0: 2} | dictsort %}{{ k }}={{ v }};{% endfor %}{{ {1: 'one'}[true] }}{{ 1 in {1: 2} }}{{ {1: 2} | tojson }}{{ {1: 'a', 'b': none} }}",
    "{{ 'safe <'|safe + ' & \" ' + \"'<\" }}{{ '<' + '>'|safe }}{{ '<b>' | safe }}{{ 'a'|safe ~ '<' }}",
    "{{ '{} {} {{x}} {n}'.format('a', 2, n=none) }}{{ '{0}{0}'.format('z') }}{{ 'prefix-a'.removeprefix('prefix-') }}{{ 'a.py'.removesuffix('.py') }}{{ [1, 2, 1].count(1) }}{{ [1, 2].index(2) }}",
    "{{ 3 is gt 2 }}{{ 3 is le(2) }}{{ 2 is ge 2 }}{{ 1 is lessthan 0 }}",
    "{% if false %}{{ 1 | from_json }}{{ 1 is odd_one }}{% endif %}ok",
    "{% if true %}{{ 1 | from_json }}{% endif %}", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}",
    "{% macro f(a) %}{% endmacro %}{{ f(b=2) }}", "{% macro f(a=1, b) %}{% endmacro %}", "{% call x %}{% endcall %}", "{% macro f() %}", "{{ [1, 'a'] | sort }}",
    "{{ (people | map(attribute='name')) | length }}", "{{ people.append(1) }}", "{{ {'a': 1}.pop('a') }}", "{{ {[1]: 2} }}", "{{ 1 | tojson(nokey=1) }}", "{{ '{'.format() }}", "{{ '{}{0}'.format(1) }}", "{{ namespace | tojson }}",
    "{{ x is notest }}", "{{ x.nomethod() }}", "{% nostatement %}", "{{ 1 2 }}", "{% set x.y = 1 %}", "{% break %}",
]
variables = {"x": "ex", "people": [{"name": "a", "age": 3}, {"name": "b"}]}
cases += [(f"snippet {i}", text, variables) for i, text in enumerate(snippets)]

result = []
for name, template, context in cases:
    entry = {"name": name, "template": template, "context": context}
    try:
        entry["expected"] = environment.from_string(template).render(**context)
    except Exception as error:
        entry["error"] = type(error).__name__
    result.append(entry)
output = pathlib.Path(__file__).parent.parent / "Tests/Fixtures/chat-templates.json"
output.parent.mkdir(exist_ok=True)
output.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
print(len(result), "cases,", sum("error" in entry for entry in result), "of them errors:", [e["name"] for e in result if "error" in e])
