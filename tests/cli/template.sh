#!/usr/bin/env bash
# puna template render and check: conversations, dates, errors with their place, reports.
. "$(dirname "$0")/lib.bash"

cat >chat.jinja <<'END'
{%- if messages[0].role == 'system' %}
    {%- set system = messages[0].content | trim %}
    {%- set messages = messages[1:] %}
{%- endif %}
{{- bos_token ~ '[' ~ system|default('none') ~ ']' }}
{%- for m in messages %}
    {%- if m.role not in ['user', 'assistant'] %}
        {{- raise_exception('roles are user and assistant, got ' ~ m.role) }}
    {%- endif %}
    {{- '<' ~ m.role ~ '>' }}
    {%- if m.content is string %}{{ m.content }}
    {%- else %}{%- for part in m.content %}{{ part.text if part.type == 'text' else '#' }}{% endfor %}{% endif %}
    {%- for call in m.tool_calls or [] %}{{ call.function | tojson }}{% endfor %}
{%- endfor %}
{%- if add_generation_prompt %}<assistant>{% endif %}
END
cat >d.json <<'END'
{"bos_token": "<s>", "add_generation_prompt": true, "messages": [
 {"role": "system", "content": " Be kind.\n"}, {"role": "user", "content": [{"type": "text", "text": "Grüße"}, {"type": "image"}]},
 {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"a": [1, 2.50, null, {"ö": true}]}}}]}]}
END
text='<s>[Be kind.]<user>Grüße#<assistant>{"name": "f", "arguments": {"a": [1, 2.5, null, {"ö": true}]}}<assistant>'
run template render chat.jinja --data d.json; exits 0; is "$text"; quiet
run template render --data=d.json --json -- chat.jinja; exits 0; lines 1; has '^\{"text":"<s>\[Be kind\.\]<user>'
echo '{"bos_token": "", "messages": [{"role": "user", "content": ""}]}' >short.json
run template render chat.jinja --data short.json; exits 0; is '[none]<user>'
printf '{"messages": [{"role": "user", "content": "a\\u0000b"}]}' >nul.json
run template render chat.jinja --data nul.json; exits 0; is '[none]<user>a\0b'

# What the template refuses is the conversation's fault.
echo '{"messages": [{"role": "critic", "content": "x"}]}' >bad.json
refuses 2 'template: chat\.jinja: line 8, column 28: roles are user and assistant, got critic, in `\{\{- raise_exception' template render chat.jinja --data bad.json
run template render chat.jinja --data bad.json --json; exits 2; lines 1
has '^\{"error":\{"code":2,"message":"template: chat\.jinja: line 8,.*"hint":"","file":"chat\.jinja","line":8,"column":28,"source":" +\{\{- raise_exception'

# Errors name file, line, column and what is there.
broken() { printf -- "$2" >broken.jinja; refuses 4 "$1" template render broken.jinja --data d.json; }
broken "broken\.jinja: line 2, column 7: 'x' is undefined, in \`\{\{ x\.y \}\}\`" 'a\r\n  {{ x.y }}\r\nb'
broken "line 1, column 4: unexpected end of template: 'if' is not closed" '{%% if t %%}'
broken "line 3, column 5: unexpected quote" '\n\n"{{ \x27a }}'
broken "'include' is not allowed in a chat template, in \`\{% include" '{%% include "x" %%}'
broken "'import' is not allowed" '{%% import "x" as x %%}'
broken "'extends' is not allowed" '{%% extends "x" %%}'
broken "no filter named 'nope'" '{{ messages|nope }}'
broken "access to attribute .append. of .list. object is unsafe" '{{ messages.append(1) }}'
broken "nested deeper" '{%% macro m() %%}{{ m() }}{%% endmacro %%}{{ m() }}'
broken "steps|longer than" '{%% for a in range(99999) %%}{%% for b in range(99999) %%}{%% endfor %%}{%% endfor %%}'
broken "longer than|more than" '{{ "a" * 999999999 }}'
printf 'a\0b' >broken.jinja; refuses 4 "NUL byte" template render broken.jinja --data d.json
printf '\xff' >broken.jinja; refuses 4 "broken\.jinja: byte 0: got 0xff, expected UTF-8" template render broken.jinja --data d.json

# The clock.
echo '{{ strftime_now("%d %B %Y, %j %H:%M:%S%Z%z %p") }}' >now.jinja
run template render now.jinja --data d.json --now 2024-02-29T23:59:59Z; exits 0; is '29 February 2024, 060 23:59:59 PM'
run template render now.jinja --data d.json; exits 0; has '^[0-9]+ [A-Z][a-z]+ 20[0-9]+, '

run template check chat.jinja; exits 0; quiet; lines 5; has '^variables  messages, bos_token, add_generation_prompt$'; has '^filters    trim, default, tojson$'; has '^tests      string$'; has '^functions  raise_exception$'
run template check chat.jinja --json; exits 0; lines 1; has '"compiles":true'; has '"problems":\[\]'
printf 'a\n{%% if t %%}{{ m|nope }}{%% endif %%}{{ l.pop(0) }}' >soft.jinja
run template check soft.jinja; exits 0; has "^soft\.jinja:2:16: no filter named 'nope'$"; has '^    \{% if t %\}\{\{ m\|nope'; has '^soft\.jinja:2:[0-9]+: .pop. would change'
printf 'a\n{{ 1 + }}' >hard.jinja
run template check hard.jinja; exits 4; has '^hard\.jinja:2:8: unexpected'; says '^puna: template check: hard\.jinja: got a template that does not compile'
run template check hard.jinja --json; exits 4; lines 1; has '"compiles":false'; has '"problems":\[\{"line":2,"column":8,"message":".+","source":"\{\{ 1 \+ \}\}"\}\]'
refuses 3 "nothing\.jinja" template check nothing.jinja
refuses 2 "expected one: FILE" template check

# Published texts of real templates.
if command -v python3 >/dev/null; then
    python3 - "$root/tests/data/chat/golden_e2e.json" "$root/tests/data/chat/javascript_only.json" <<'END'
import json, sys
python = json.load(open(sys.argv[2]))["golden_e2e"]  # where only JavaScript prints what was published
for i, case in enumerate(json.load(open(sys.argv[1]))):
    open(f"golden{i}.jinja", "w", newline="").write(case["chat_template"])
    json.dump(case["data"], open(f"golden{i}.json", "w"))
    open(f"golden{i}.txt", "w", newline="").write(python.get(case["name"], {}).get("expected", case["target"]))
END
    for data in golden*.json; do
        run template render "${data%.json}.jinja" --data "$data" --now 2025-07-10T12:00:00Z; exits 0
        ok cmp -s "${data%.json}.txt" out
    done
else
    skip "golden texts: no python3"
fi
finish
