#!/usr/bin/env python3
"""Writes test/golden/template_cases.json: small templates with what the reference environment makes of them.

    python3 test/tools/template_golden.py > test/golden/template_cases.json      (needs jinja2 3.1.6)

The reference is the environment of transformers: Jinja2's ImmutableSandboxedEnvironment with trim_blocks, lstrip_blocks,
loop controls, {% generation %}, and tojson without HTML escaping.
"""
import datetime
import json
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox
from jinja2 import meta, nodes

DATE = "2026-02-03"
VARIABLES = {
    "s": "Hello, World", "u": "Grüße aus Köln – 🧬 ΑΣ", "n": 7, "f": 2.5, "t": True, "none_value": None, "empty": "", "zero": 0,
    "l": [3, 1, 2], "words": ["pear", "Apple", "fig"], "d": {"b": 1, "a": [1, 2.0, None, True, "x'y"], "items": 3}, "e": [],
    "big": 1e22, "tiny": 1.5e-7, "neg": -7, "lines": "a\n b\n\n  c\n",
    "recs": [{"id": 2, "k": "b", "v": 1.5}, {"id": 1, "k": "a"}, {"id": 3, "k": "b", "v": None}],
    "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi <b>"}, {"role": "assistant", "content": None}],
}

# One template a line.
TEMPLATES = r"""
plain text
{{ s }}|{{ n }}|{{ f }}|{{ t }}|{{ none_value }}|{{ missing }}|{{ l }}|{{ d }}|{{ big }}|{{ tiny }}
{{ 1.0 }}|{{ 100000000000000000.0 }}|{{ 1e16 }}|{{ 123456789012345.6 }}|{{ 0.0001 }}|{{ 0.00001 }}|{{ -0.0 }}|{{ 5e-324 }}|{{ 1.7976931348623157e308 }}
{{ "a'b" ~ 1 ~ none }}|{{ ["a'b", 'a"b', 'a\'"b', "\n\t\x7f\u00e9\u200b\U0001f9ec"] }}
{{ (1,) }}|{{ () }}|{{ (1, 'a') }}|{{ {} }}|{{ {'k': (1, 2), 2: none, none: 1, true: 2} }}
{{ 7 // 2 }}|{{ -7 // 2 }}|{{ 7 % 3 }}|{{ -7 % 3 }}|{{ 7 % -3 }}|{{ 7.5 // 2 }}|{{ -7.5 % 2 }}|{{ 7 / 2 }}|{{ 6 / 3 }}|{{ 2 ** 10 }}|{{ 2 ** 3 ** 2 }}|{{ -2 ** 2 }}
{{ 1 + 2 * 3 - 4 }}|{{ 1 + 2 ~ 3 }}|{{ 'a' * 3 }}|{{ [1] * 2 + [3] }}|{{ 'ab' * 0 }}|{{ true + 1 }}|{{ 1 + 2.5 }}|{{ 1.5 * 2 }}
{{ 1 == 1.0 }}|{{ true == 1 }}|{{ '1' == 1 }}|{{ [1, 2] == [1, 2] }}|{{ {'a': 1} == {'a': 1.0} }}|{{ none == false }}|{{ (1,) == [1] }}
{{ 1 < 2 < 3 }}|{{ 1 < 2 > 5 }}|{{ 'a' < 'b' }}|{{ [1, 2] < [1, 3] }}|{{ 2 >= 2.0 }}|{{ not 1 == 2 }}
{{ 1 in l }}|{{ 'ell' in s }}|{{ 'b' in d }}|{{ 9 not in l }}|{{ missing in l }}|{{ 1 in missing }}|{{ '' in '' }}
{{ true and 'x' }}|{{ '' or 'y' }}|{{ 0 or none }}|{{ 1 and 0 and 2 }}|{{ not '' }}
{{ 'yes' if t else 'no' }}|{{ 'yes' if not t }}|{{ 'a' if zero else 'b' if n else 'c' }}
{{ s[0] }}|{{ s[-1] }}|{{ s[1:4] }}|{{ s[::-1] }}|{{ s[::2] }}|{{ s[-3:] }}|{{ s[:-3] }}|{{ s[10:100] }}|{{ s[5:2] }}|{{ s[99] }}|{{ s[-99] }}
{{ u[0:5] }}|{{ u[::-1] }}|{{ u | length }}|{{ u[-4] }}|{{ u.upper() }}|{{ u.lower() }}|{{ u | title }}|{{ u.title() }}|{{ u | capitalize }}
{{ l[0] }}|{{ l[-1] }}|{{ l[::-1] }}|{{ l[1:] }}|{{ l[:1] }}|{{ l[5] }}|{{ l[2:0:-1] }}|{{ l[-2:] }}|{{ (1, 2, 3)[1:] }}|{{ l[::-2] }}
{{ d.b }}|{{ d['b'] }}|{{ d.nope }}|{{ d['nope'] }}|{{ d.a.1 }}|{{ d.a[4] }}|{{ d['items'] }}|{{ d.get('b') }}|{{ d.get('x', 5) }}|{{ d.get('x') }}
{{ missing.x }}
{{ missing['x'] }}
{{ none_value.x }}|{{ none_value['x'] }}|{{ n.x }}|{{ s.nope }}
{{ none_value.x.y }}
{{ d.nope.x }}
{{ d.items() | list }}|{{ d.keys() | list }}|{{ d.values() | list }}|{{ d.items() }}|{{ d.keys() }}|{{ d.values() }}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
{% for k in d %}{{ k }};{% endfor %}{% for c in 'héy' %}[{{ c }}]{% endfor %}{% for x in missing %}x{% else %}none{% endfor %}
{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('a', 'b') }};{% endfor %}
{% for x in l if x > 1 %}{{ loop.index }}:{{ x }} {% else %}none{% endfor %}{% for x in l if x > 9 %}x{% else %}none{% endfor %}
{% for x in l %}{% for y in l %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}
{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}|{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% for (a, b), c in [((1, 2), 3), ((4, 5), 6)] %}{{ a }}{{ b }}{{ c }};{% endfor %}
{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}
{% for a, b in [(1,)] %}{{ a }}{% endfor %}
{% for a, b in [5] %}{{ a }}{% endfor %}
{% for x in 5 %}{{ x }}{% endfor %}
{% for x in none %}{{ x }}{% endfor %}
{% set x = 1 %}{% for i in l %}{{ x }}{% set x = i %}{{ x }}{% endfor %}{{ x }}
{% set ns = namespace(a=1, b='x') %}{% for i in l %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns.c }}|{{ ns }}
{% set ns = namespace({'q': 1}, r=2) %}{{ ns.q }}{{ ns.r }}{{ ns['q'] }}{{ ns is mapping }}
{% set q = {} %}{% set q.x = 1 %}
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (c, e) = [3, 4] %}{{ c }}{{ e }}{% set g = 1, %}{{ g }}
{% set x %}block {{ n }}{% endset %}[{{ x }}]{% set y | upper %}abc{% endset %}{{ y }}{% set z | replace('a', 'b') | upper %}aXa{% endset %}{{ z }}
{% set v = 5 %}{% if true %}{% set v = 6 %}{% endif %}{{ v }}{% if false %}{% set w = 6 %}{% endif %}{{ w }}
{% for i in [1] %}{{ n }}{% endfor %}{% set n = 1 %}{{ n }}
{{ n }}{% set n = 1 %}{{ n }}
{% if zero %}{% set n = 1 %}{% endif %}{{ n }}
{% if zero %}{% set n = 1 %}{% else %}{% set n = 2 %}{% endif %}{{ n }}
{% macro m() %}{{ n }}{% endmacro %}{{ m() }}{% set n = 1 %}{{ m() }}
{% macro m(a, b=2, c=a) %}{{ a }}-{{ b }}-{{ c }}{% endmacro %}{{ m(1) }}|{{ m(1, 3) }}|{{ m(a=1, c=5) }}|{{ m(b=9) }}|{{ m(1, 2, 3) }}
{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, k=4) }}{{ m() }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(z=2) }}
{% macro m(a) %}[{{ caller(a, 'y') }}]{% endmacro %}{% call(x, y) m('q') %}{{ x }}{{ y }}{{ n }}{% endcall %}
{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}body{% endcall %}{{ m is callable }}
{% macro m() %}[{{ caller() }}]{% endmacro %}{{ m() }}
{% macro f(x) %}{{ x }}{% if x > 0 %},{{ f(x - 1) }}{% endif %}{% endmacro %}{{ f(4) }}
{% macro m() %} {{ 1 }} {% endmacro %}[{{ m() }}]{{ m() | trim | length }}{{ m() ~ 'x' }}
{% filter upper %}abc {{ s }}{% endfilter %}{% filter replace('a', 'b') | upper %}banana{% endfilter %}
{% generation %}gen {{ n }}{% set q = 1 %}{% endgeneration %}{{ q }}
{% raw %}{{ not }} {% this %}{% endraw %}|{%- raw -%}  x  {%- endraw -%}  y
{# comment #}a{#- trimmed -#}  b{# {{ x }} #}
{{ 'a' 'b' "c" }}|{{ '\n\t\\\'\"\x41\u0042\101\q' }}
{{ {'a': {'b': [1, {'c': 2}]}}.a.b[1].c }}|{{ {'a': {}} }}
{{ 1_000 }}|{{ 1_0.5_0 }}|{{ 1e3 }}|{{ 1.5e-3 }}|{{ l.0 }}|{{ [[1, 2]].0.1 }}
{{ l | length }}|{{ s | length }}|{{ d | length }}|{{ missing | length }}|{{ e | count }}
{{ n | length }}
{{ l | join(', ') }}|{{ l | join }}|{{ recs | join('-', attribute='id') }}|{{ [1, none, 'a', 2.0] | join('|') }}|{{ 'abc' | join('.') }}
{{ l | sort }}|{{ l | sort(reverse=true) }}|{{ words | sort }}|{{ words | sort(case_sensitive=true) }}|{{ recs | sort(attribute='k') | map(attribute='id') | list }}|{{ recs | sort(attribute='k,id') | map(attribute='id') | list }}
{{ [1, 'a'] | sort }}
{{ d | dictsort }}
{{ {'b': 1, 'A': 2, 'c': 0} | dictsort }}|{{ {'b': 1, 'A': 2} | dictsort(true) }}|{{ {'b': 1, 'A': 2} | dictsort(by='value', reverse=true) }}
{{ words | map('upper') | list }}|{{ recs | map(attribute='v') | list }}|{{ recs | map(attribute='v', default=0) | list }}|{{ l | map('string') | join }}|{{ words | map('replace', 'p', 'q') | list }}
{{ l | select('odd') | list }}|{{ l | reject('greaterthan', 1) | list }}|{{ [0, 1, ''] | select | list }}|{{ none | select | list }}
{{ recs | selectattr('k', 'equalto', 'b') | map(attribute='id') | list }}|{{ recs | rejectattr('k', '==', 'b') | list | length }}|{{ recs | selectattr('v') | list | length }}|{{ recs | selectattr('v', 'defined') | list | length }}|{{ recs | selectattr('v', 'none') | map(attribute='id') | list }}
{{ l | first }}|{{ l | last }}|{{ e | first }}|{{ s | first }}|{{ s | last }}|{{ d | first }}|{{ d | list }}
{{ [1, 2, 1, 'a', 'A'] | unique | list }}|{{ [1, 2, 1] | unique | join }}|{{ l | min }}|{{ l | max }}|{{ words | min }}|{{ words | max(case_sensitive=true) }}|{{ e | max }}
{{ l | sum }}|{{ recs | sum(attribute='id') }}|{{ l | sum(start=10) }}|{{ [1.5, 2] | sum }}
{{ l | reverse | list }}|{{ s | reverse }}|{{ l | batch(2) | list }}|{{ l | batch(2, 0) | list }}|{{ d | items | list }}
{% set g = l | map('string') %}{{ g | list }}{{ g | list }}{{ l | map('string') | first }}
{{ l | map('string') | length }}
{{ l | map('string') | tojson }}
{{ (l | map('string'))[0] }}|x
{{ s | upper }}|{{ s | lower }}|{{ 'hello wORLD-foo (bar' | title }}|{{ 'hELLO' | capitalize }}|{{ n | upper }}|{{ "it's" | title }}|{{ "it's o'k".title() }}
{{ '  x ' | trim }}|{{ 'xxaxx' | trim('x') }}|{{ '  x '.strip() }}|{{ 'abcab'.strip('ab') }}|{{ ' x '.lstrip() }}|{{ ' x '.rstrip() }}|{{ 5 | trim }}|{{ '\u00a0x\u3000'.strip() }}
{{ 'a,b,,c'.split(',') }}|{{ ' a  b '.split() }}|{{ 'a b c'.split(none, 1) }}|{{ 'a,b,c'.split(',', 1) }}|{{ 'a,b,c'.rsplit(',', 1) }}|{{ ''.split() }}|{{ ''.split(',') }}|{{ 'a,b'.partition(',') }}|{{ 'ab'.partition(',') }}
{{ 'a'.split('') }}
{{ 'a\nb\r\nc\n'.splitlines() }}|{{ 'a\nb'.splitlines(true) }}
{{ s.startswith('He') }}|{{ s.endswith('ld') }}|{{ s.startswith(('x', 'H')) }}|{{ s.endswith('') }}|{{ s.startswith('ell', 1) }}|{{ s.find('o') }}|{{ s.find('zz') }}|{{ s.index('W') }}|{{ s.count('l') }}|{{ u.find('K') }}
{{ s.replace('l', 'L') }}|{{ s.replace('l', 'L', 1) }}|{{ 'abc'.replace('', '-') }}|{{ s | replace('o', '0') }}|{{ s | replace('o', '0', 1) }}|{{ 12 | replace(1, 3) }}
{{ s.upper().lower().title().capitalize() }}|{{ 'x'.join(['a', 'b']) }}|{{ 'a'.ljust(3) }}|{{ 'a'.rjust(3, '*') }}|{{ '-5'.zfill(4) }}|{{ 'abc'.removeprefix('a') }}|{{ 'abc'.removesuffix('c') }}
{{ '12'.isdigit() }}|{{ 'ab'.isalpha() }}|{{ 'a1'.isalnum() }}|{{ ' '.isspace() }}|{{ 'AB'.isupper() }}|{{ 'ab1'.islower() }}|{{ ''.isdigit() }}|{{ '5'.isnumeric() }}
{{ l.append(4) }}
{{ l.append }}|{{ l.index(1) }}|{{ l.count(3) }}|{{ l.pop is defined }}
{{ d.pop('b') }}
{{ d.update({}) }}
{{ missing | default('x') }}|{{ none_value | default('x') }}|{{ none_value | default('x', true) }}|{{ empty | d('y', boolean=true) }}|{{ missing | default }}|{{ d.q | default(d.b) }}
{{ lines | indent }}|{{ lines | indent(2) }}|{{ lines | indent(2, true) }}|{{ lines | indent(2, blank=true) }}|{{ lines | indent('> ', first=true) }}|{{ '' | indent(first=true) }}
{{ '12' | int }}|{{ '12.7' | int }}|{{ 'x' | int }}|{{ 'x' | int(5) }}|{{ 3.9 | int }}|{{ -3.9 | int }}|{{ 'ff' | int(base=16) }}|{{ none | int }}|{{ ' 7 ' | int }}|{{ '1_0' | int }}|{{ l | int }}
{{ '1.5' | float }}|{{ 'x' | float }}|{{ 'x' | float(2.0) }}|{{ 3 | float }}|{{ '1e3' | float }}|{{ 'inf' | float }}|{{ none | float }}
{{ 2.5 | round }}|{{ 3.5 | round }}|{{ 2.675 | round(2) }}|{{ 1.005 | round(2) }}|{{ 42 | round }}|{{ 2.1 | round(0, 'ceil') }}|{{ 2.19 | round(1, 'floor') }}|{{ -2.5 | round }}|{{ 1234.5678 | round(3) }}
{{ -5 | abs }}|{{ 2.5 | abs }}|{{ (-2.5) | abs }}
{{ '<a href="x">' | e }}|{{ '<' | safe }}|{{ ('<' | safe) + '<' }}|{{ '<' + ('<' | safe) }}|{{ ('<' | safe) ~ '<' }}|{{ ('<b>' | safe) | upper }}|{{ [('<' | safe)] }}|{{ ('%s' | safe) % '<' }}
{{ 'a b c' | wordcount }}|{{ 'hello world foo' | truncate(11) }}|{{ 'hello world foo bar' | truncate(9) }}|{{ 'hello world foo bar' | truncate(9, true) }}|{{ 'abc' | center(8) }}|{{ 'ab' | center(5) }}
{{ '%s is %d, %5.2f|%-5s|%05d|%x|%r|%%|%e|%g' % ('a', 3, 2.345, 'l', 42, 255, 'q', 12345.678, 0.0001) }}
{{ '%s' % 5 }}|{{ '%s-%s' | format(1, 'b') }}|{{ '%(a)s' % {'a': 1} }}|{{ '%(a)s' | format(a=2) }}|{{ '%.3s|' % 'abcdef' }}|{{ '%+d % d' % (3, 4) }}|{{ '%5s|%-5d|' % ('a', 3) }}|{{ '%.0f' % 2.5 }}|{{ '%s' % missing }}
{{ '%d' % 'x' }}
{{ '%s %s' % 'x' }}
{{ '%s' % (1, 2) }}
{{ '{} {}'.format(1, 'b') }}|{{ '{1}{0}'.format('a', 'b') }}|{{ '{x}'.format(x=5) }}|{{ '{{}}'.format() }}|{{ '{:.2f}|{:>5}|{:<5}|{:^5}|{:05d}|{:,}|{:x}|{:%}|{:*^7}|{:+d}|{:.1e}|{:d}'.format(1.005, 'a', 'b', 'c', 42, 1234567, 255, 0.5, 'm', 3, 12345.0, 9) }}|{{ '{!r}'.format('a') }}
{{ d | tojson }}|{{ u | tojson }}|{{ u | tojson(ensure_ascii=true) }}|{{ '</script>&\'"\\\n\x01\x7f' | tojson }}|{{ '\x7f' | tojson(ensure_ascii=true) }}
{{ d | tojson(indent=2) }}|{{ e | tojson(indent=2) }}|{{ {} | tojson(indent=4) }}|{{ [1, [2, []]] | tojson(indent=1) }}|{{ [1] | tojson(indent=0) }}
{{ d | tojson(separators=(',', ':')) }}|{{ d | tojson(indent=2, separators=(',', ': ')) }}|{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}|{{ {1: 'a', none: 2, true: 3} | tojson }}|{{ (1, 2) | tojson }}|{{ big | tojson }}|{{ [1.0, 1e16, 0.1] | tojson }}
{{ missing | tojson }}
{{ namespace(a=1) | tojson }}
{{ d.items() | tojson }}
{{ range(5) | list }}|{{ range(2, 5) | list }}|{{ range(5, 0, -2) | list }}|{{ range(3) }}|{{ range(0, 6, 2) }}|{{ range(3)[1] }}|{{ range(0) | list }}|{{ 2 in range(3) }}|{{ range(5) | length }}
{{ range(100001) }}
{{ range(1, 2, 0) }}
{{ dict(a=1, b='x') }}|{{ dict({'a': 1}, c=2) }}|{{ dict([('k', 1)]) }}|{{ dict() }}
{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(**{'a': 3, 'b': 4}) }}{{ m(5, *[6]) }}
{{ strftime_now('%Y-%m-%d') }}|{{ strftime_now('%d %b %Y') }}|{{ strftime_now('%B %d, %Y') }}|{{ strftime_now('%A %a %j %y %H:%M:%S %p %I') }}
{{ strftime_now('%A %a %j %y %H:%M:%S %p %I %e %u %w %F %D %T %R %h%%') }}
{{ raise_exception('no: ' ~ n) }}
{{ s is string }}|{{ n is number }}|{{ f is float }}|{{ n is integer }}|{{ t is boolean }}|{{ t is integer }}|{{ t is number }}|{{ d is mapping }}|{{ l is sequence }}|{{ d is sequence }}|{{ l is iterable }}|{{ n is iterable }}|{{ none_value is none }}|{{ t is true }}|{{ zero is false }}|{{ missing is defined }}|{{ missing is undefined }}|{{ missing is iterable }}|{{ missing is sequence }}|{{ missing is none }}|{{ range is callable }}
{{ n is odd }}|{{ n is even }}|{{ n is divisibleby 7 }}|{{ n is divisibleby(3) }}|{{ n is eq 7 }}|{{ n is ne 7 }}|{{ n is gt 3 }}|{{ n is lt(3) }}|{{ n is ge 7 }}|{{ n is le 6 }}|{{ n is in [7] }}|{{ n is equalto 7 }}|{{ 'a' is lower }}|{{ 'A' is upper }}|{{ n is not none }}|{{ none is sameas none }}|{{ 'upper' is filter }}|{{ 'odd' is test }}|{{ n is sameas true }}
{{ n is defined and n is not none or false }}|{{ not n is defined }}|{{ n is defined == true }}|{{ (n is odd) ~ 'x' }}|{{ -n is odd }}|{{ n + 1 is even }}
{{ 'a' is string is string }}
{{ s + n }}
{{ n + s }}
{{ l + s }}
{{ 'a' + none }}
{{ none + 'a' }}
{{ s - 1 }}
{{ 'a' * 'b' }}
{{ 1 / 0 }}
{{ 1 // 0 }}
{{ 1 % 0 }}
{{ 1 < 'a' }}
{{ none < 1 }}
{{ 5 in 5 }}
{{ 5 in 'a' }}
{{ -s }}
{{ [][0].x }}
{{ n() }}
{{ missing() }}
{{ s.nope() }}
{{ missing + 1 }}
{{ 1 + missing }}
{{ s[1:'a'] }}
{{ s[::0] }}
{{ d[1:] }}
{{ n[1:] }}
{{ {[]: 1} }}
{{ d[[1]] }}|x
{{ s.split(5) }}
{{ l | nosuchfilter }}
{{ l is nosuchtest }}
{% if false %}{{ l | nosuchfilter }}{% endif %}fine
{% if true %}{{ l | nosuchfilter }}{% endif %}
{{ (l | nosuchfilter) if false else 'fine' }}
{% if false %}{% for x in l %}{{ l | nosuchfilter }}{% endfor %}{% endif %}
{% for m in messages %}{{ '<|' ~ m.role ~ '|>' + (m.content or '') }}{% endfor %}
{{ messages | map(attribute='role') | join(',') }}|{{ messages[0].content.split(' ')[-1] }}|{{ messages[1:] | length }}|{{ messages[-1]['role'] }}
{% set ns = namespace(found=false) %}{% for m in messages if m.role == 'user' %}{% set ns.found = true %}{% endfor %}{{ ns.found }}
{% for x in l %}{% macro k() %}{{ x }}{% endmacro %}{{ k() }}{% endfor %}{{ k }}
{% for i in [1, 2] %}{% if i == 1 %}{% set x = 'set' %}{% endif %}[{{ x }}]{% endfor %}
{% for loop in [1] %}{{ loop }}{% endfor %}
{{ true.x }}|{{ True }}{{ None }}{{ False }}
{{ {'a': 1}['a'] }}|{{ {'a': 1}.keys() | list }}|{{ [1, 2, 3][1:] }}|{{ 'abc'[1] }}|{{ (1, 2)[0] }}
{% set if = 'a' %}{% set in = 'abc' %}{% if if in in %}yes{% endif %}
{{ l | map('join') | list }}
{{ lines.split('\n') }}|{{ lines | length }}
{{ ('a' ~ 'b') | upper ~ 'c' | upper }}|{{ 'a' ~ 'b' | upper }}|{{ - 5 | abs }}|{{ 2 * 3 | string }}
{{ 1 if 2 }}|{{ 1 if 0 }}|{{ (1 if 0) is defined }}
{% for x in [1] %}{{ x }}{% break %}{% else %}E{% endfor %}|{% for x in [1, 2] %}{% continue %}{% else %}E{% endfor %}|{% for x in [1, 2] if x > 1 %}{{ x }}{% break %}{% else %}E{% endfor %}|{% for x in [1, 2] %}{{ x }}{% if x == 2 %}{% break %}{% endif %}{% else %}E{% endfor %}
{% for x in [1, 2] %}{% for y in [3] %}{% continue %}{% else %}{{ x }}{% if x == 2 %}{% break %}{% endif %}{% endfor %}{% else %}E{% endfor %}
{{ '%010.0e' % 0.0 }}|{{ '%+08.0e' % 0 }}|{{ '{:06.0%}'.format(0.001) }}|{{ '{:=08.0e}'.format(0) }}|{{ '%#010x' % 255 }}|{{ '{:#010b}'.format(5) }}|{{ '{:=+#8x}'.format(10) }}|{{ '%06d' % -5 }}
{{ '{:010,d}'.format(1234) }}|{{ '{:010,.1f}'.format(1234.5) }}|{{ '{:06,}'.format(0) }}|{{ '{:05,}'.format(0) }}|{{ '{:04,}'.format(-1) }}|{{ '{:0=+9,}'.format(12345) }}|{{ '{:=10,d}'.format(-1234) }}|{{ '{:010,}'.format(big * 1e300) }}|{{ '{:,}'.format(1234567.5) }}
{{ '{:<05}'.format(1) }}|{{ '{:>05d}'.format(-1) }}|{{ '{:^05}'.format('ab') }}|{{ '{:*<05}'.format(1) }}|{{ '{:05}'.format('ab') }}
{{ '{!s:5}|{!s:05}|{!s:.1}'.format(3, 3, missing_too | default('xy')) }}|{{ ('{!s}{!r}{}' | safe).format('<' | safe, '<' | safe, '<' | safe) }}
{{ '{!s:d}'.format(3) }}
{{ '{!s:.1f}'.format(3) }}
{{ '{!s:x}'.format(3) }}
{{ '{:,x}'.format(1) }}
{{ '{:#}'.format('a') }}
{{ '{:-}'.format('a') }}
{{ ('{:5}' | safe).format('<' | safe) }}
{{ 'abc'.startswith('', 3) }}|{{ 'abc'.startswith('', 4) }}|{{ ''.startswith('', 1) }}|{{ 'abc'.endswith('', 2, 1) }}|{{ 'abc'.startswith(('',), 9) }}|{{ 'abc'.endswith('', -1, -2) }}|{{ 'abc'.startswith('', -9, -8) }}|{{ 'abc'.startswith('', none, -1) }}|{{ 'abc'.startswith((), 0) }}
{{ '\u0663' | int }}|{{ '\uff11\uff12' | int(5) }}|{{ '\uff11\uff12' | float }}|{{ '\u0661_\u0662' | int }}|{{ '\U0001d7ff' | int }}|{{ '\u00b2' | int(7) }}|{{ '\u2003\u0663\u3000' | int }}|{{ '\u0663.\u0665e\uff11' | float }}
{{ 'a_b' | int(0, 16) }}|{{ '0x_1f' | int(0, 16) }}|{{ '0x__1' | int(7, 16) }}|{{ '0B_1' | int(7, 2) }}|{{ 'a_' | int(7, 16) }}|{{ '_a' | int(7, 16) }}|{{ '0x' | int(7, 16) }}|{{ '1__0' | int(7) }}|{{ 'Zz' | int(0, 36) }}|{{ '-0X1F' | int(0, 16) }}|{{ '\u212a' | int(0, 36) }}|{{ '+-1' | int(7) }}|{{ '\x1c5' | int(7) }}|{{ '1_0.5' | int }}|{{ '-INF' | float }}|{{ '+1_0e0_1' | float }}|{{ '1_e1' | float(7) }}|{{ '0x1' | float(7) }}
{{ (big * 1e300) | int }}
{{ 'nan' | float | int(5) }}|{{ 'inf' | int(5) }}
{{ -0.3 | round(0, 'ceil') }}|{{ -0.0 | round(2, 'floor') }}|{{ 123456789012345 | round(15, 'floor') }}|{{ 9007199254740993 | round(0, 'ceil') }}|{{ 1.23456e-22 | round(23) }}
{{ (big * 1e300) | round(0, 'ceil') }}
{{ 9007199254740993 > 9007199254740992.0 }}|{{ 9007199254740992.0 < 9007199254740993 }}|{{ 9007199254740991 < 9007199254740992.0 }}|{{ 9223372036854775807 < 9223372036854775808.0 }}|{{ 9221000000000000000 == 9.221e18 }}|{{ -9223372036854775807 - 1 == -9223372036854775808.0 }}|{{ 3 < 3.5 }}|{{ -3 > -3.5 }}|{{ -4 > -3.5 }}|{{ 1e300 > 5 }}|{{ [9007199254740993, 9007199254740992.0] | sort }}
{{ range(5)[1:] }}|{{ range(5)[::] }}|{{ range(5)[20::1] }}|{{ range(5)[2:1] }}|{{ range(5)[:-3:3] }}|{{ range(5)[::-1] }}|{{ range(9, 0, -2)[1:3] }}|{{ range(0)[::-7] }}|{{ range(5)[1:] == range(1, 5) }}|{{ range(5)[1:] | list }}|{{ range(5)[::-2] | join(',') }}
{{ range(5)[1:] + [1] }}
{{ range(5)[1:] | tojson }}
{{ missing is callable }}|{{ n is callable }}|{% for x in [1] %}{{ loop is callable }}{% endfor %}|{{ range(1, 9, 2).start }}|{{ range(5)[1:].stop }}|{{ range(3).step }}|{{ range(3).nope is defined }}
{% macro m(a, b=1) %}{{ m.arguments }}{{ caller.name is none }}{{ caller.arguments }}{% endmacro %}{% call(x) m(1) %}{% endcall %}|{{ m.name }}|{{ m.nope is defined }}
{% filter length %}abc{% endfilter %}
{% for x in [1] %}{% call loop.cycle('a') %}{% endcall %}{% endfor %}
{% macro m(varargs) %}{{ varargs }}{% endmacro %}{{ m(1, 2) }}
{{ ['a', 'b'] | sum(start='') }}
{{ [] is filter }}
{{ (1, []) is test }}
{{ {}.keys() is test }}
{{ (1, 2) is test }}|{{ range(2) is filter }}|{{ missing is filter }}
{{ 'a'.splitlines(keepends='x') }}
{% set g = l | map('int') %}{{ 1 in g }}{{ g | list }}{{ 1 in g }}|{% set g = l | map('int') %}{{ [2, 1, 3] | select('in', g) | list }}{{ g | list }}|{% set g = l | map('int') %}{{ 9 not in g }}{{ g | list }}
""".strip("\n")

# Templates of several lines.
LONGER = [
    "  {% if true %}\n    x\n  {% endif %}\ny",
    "  {%- if true -%}\n    x\n  {%- endif -%}\n  y",
    "a  {%+ if true +%}\n b {% endif %}\nc",
    "{{ s -}}\n   after\n   before {{- s }}",
    "{% for m in messages %}{{ m.role }}: {{ m['content'] }}{% if not loop.last %}\n{% endif %}{% endfor %}",
    "{% if true %}\nx\n{% endif %}\ny\n",
    "  {% if true %}\n  x\n  {% endif %}\n  y",
    "a\r\nb\rc\n{% set x = 1 %}\r\nd\n\n",
    "{# c #}\n{# c #}  \nx",
    "  {# c #}\nx\n\t{#- c -#}\n y",
    "{%- for x in l %}\n  {{ x }}\n{%- endfor %}\nend",
    "{% for x in l -%}\n  {{ x }}\n{% endfor %}\nend",
    "{{ s }}\n\n{{ s }}\n",
    "{% raw %}\n  {% if %}\n{% endraw %}\nx",
    "  {%+ if true %}x{% endif %}",
    "{% if true +%}\nx{% endif %}",
    "x {#- c #} y",
    "{{ 'a\nb' }}|{{ 'a\\\nb' }}",
    "a {% if true %} b {% endif %} c\n  {% if true %} d {% endif %}\n",
    "{{\n  s\n}}|{%\n if true\n%}\nx{% endif %}",
    "{% macro m(x) %}\n  <{{ x }}>\n{% endmacro %}\n{{ m(1) }}\n{{ m(2) }}",
    "\u2028{%- if true %}x{% endif -%}\u3000 y",
    "{%if true%}a{%endif%}{{1}}{{{'a':1}.a}}",
]
STRICT = [
    "{{ missing }}", "{{ missing is defined }}", "{{ missing | default('x') }}", "{% if missing %}{% endif %}", "{% for x in missing %}{% endfor %}",
    "{{ missing == 1 }}", "{{ d.nope }}", "{{ d.nope is defined }}", "{{ d.nope | default(1) }}", "{{ missing ~ 'x' }}", "{{ missing | upper }}",
    "{{ missing | length }}", "{{ 1 in missing }}", "{{ missing in l }}", "{{ l[9] }}", "{{ 'x' if zero }}", "{{ not missing }}", "{{ missing and 1 }}",
    "{{ missing | tojson }}", "{{ '%s' % missing }}", "{{ missing is none }}", "{{ missing is iterable }}", "{{ n }}{{ s }}",
    "{% set x = missing %}ok", "{% set x = missing %}{{ x }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m() }}", "{{ missing.x is defined }}",
    "{{ missing | join }}", "{{ missing | list }}", "{{ missing | string }}", "{{ missing | safe }}",
    "{{ d.get(missing) }}", "{{ d[missing] }}", "{{ (missing, 1) | first is defined }}", "{{ missing | first }}", "{{ missing | select | list }}",
]


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        next(parser.stream)
        return nodes.Scope(parser.parse_statements(["name:endgeneration"], drop_needle=True))


def environment(strict):
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols],
        undefined=jinja2.StrictUndefined if strict else jinja2.Undefined)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda f: datetime.datetime.fromisoformat(DATE).strftime(f)
    return env


def case(template, strict=False):
    env = environment(strict)
    out = {"template": template}
    if strict:
        out["strict"] = True
    try:
        out["free"] = sorted(meta.find_undeclared_variables(env.parse(template)))
    except jinja2.TemplateError:
        pass
    try:
        out["output"] = env.from_string(template).render(**VARIABLES)
    except Exception as e:
        out["raises"] = type(e).__name__
        out["message"] = str(e)
    return out


def main():
    cases = [case(t) for t in TEMPLATES.split("\n")] + [case(t) for t in LONGER] + [case(t, True) for t in STRICT]
    json.dump({"reference": "jinja2 " + jinja2.__version__, "date": DATE, "variables": VARIABLES, "cases": cases}, sys.stdout, ensure_ascii=False, indent=1)
    print()


main()
