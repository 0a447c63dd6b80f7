"""Writes the conversations that every chat template is rendered with, and what jinja2 makes of them:
for each template and conversation the length and FNV-1a hash of the text, or "error". The templates
and the texts stay outside of the project.

usage: python tools/reference/chat_golden.py PATH/chat_templates/templates"""
import json
import pathlib
import sys

import jinja_oracle

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Current weather of a place.\nUse it when asked.",
    "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "description": "A city, like \"Köln\""},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
        "days": {"type": "integer", "minimum": 1}}, "required": ["city"]}}}
SEARCH = {"type": "function", "function": {
    "name": "search", "description": "Finds documents & more <b>.",
    "parameters": {"type": "object", "properties": {
        "query": {"type": "string"}, "filters": {"type": "object", "properties": {
            "tags": {"type": "array", "items": {"type": "string"}}, "strict": {"type": "boolean"}}},
        "limit": {"type": ["integer", "null"]}, "score": {"type": "number"}}, "required": ["query", "filters"]}}}
NOTHING = {"type": "function", "function": {"name": "now", "description": "The time.",
                                            "parameters": {"type": "object", "properties": {}}}}


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def system(content):
    return {"role": "system", "content": content}


def call(name, arguments, id):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def result(content, id, name="get_weather"):
    return {"role": "tool", "tool_call_id": id, "name": name, "content": content}


CALL = call("get_weather", {"city": "Paris", "days": 2}, "abcdefgh1")
CALL_TEXT = call("get_weather", json.dumps({"city": "Paris", "days": 2}), "abcdefgh1")
CALL_2 = call("search", {"query": "a \"b\" <c> & 'd'", "filters": {"tags": ["x", "ÿ"], "strict": True}, "limit": None,
                         "score": 1.50}, "abcdefgh2")
TURNS = [user("What is 2+2?"), assistant("4"), user("And 3*3?"), assistant("9"), user("Thanks. Why?")]

CONVERSATIONS = {
    "user": dict(messages=[user("Hello, how are you?")], add_generation_prompt=True),
    "user-no-prompt": dict(messages=[user("Hello, how are you?")], add_generation_prompt=False),
    "system": dict(messages=[system("You are terse."), user("Hi")], add_generation_prompt=True),
    "turns": dict(messages=TURNS, add_generation_prompt=True),
    "system-turns": dict(messages=[system("  Be brief.\n")] + TURNS, add_generation_prompt=True),
    "ends-with-assistant": dict(messages=TURNS[:4], add_generation_prompt=False),
    "unicode": dict(messages=[system("Grüße, 世界 🌍"), user("naïve ﬁ  \u00a0e\u0301 \U0001f468\u200d\U0001f469"), assistant("“Ça va”\t\n"),
                              user(" ½\r\nx ")], add_generation_prompt=True),
    "empty": dict(messages=[system(""), user(""), assistant(""), user("")], add_generation_prompt=True),
    "no-messages": dict(messages=[], add_generation_prompt=True),
    "space": dict(messages=[system("\n s \n"), user("\n  a\n\n b  "), assistant("  \n c \n"), user("d\n")],
                  add_generation_prompt=True),
    "two-users": dict(messages=[user("a"), user("b")], add_generation_prompt=True),
    "late-system": dict(messages=[user("a"), assistant("b"), system("c"), user("d")], add_generation_prompt=True),
    "developer": dict(messages=[{"role": "developer", "content": "Be kind."}, user("a")], add_generation_prompt=True),
    "unknown-role": dict(messages=[{"role": "critic", "content": "x"}, user("a")], add_generation_prompt=True),
    "tools": dict(messages=[user("Weather in Paris?")], tools=[WEATHER, SEARCH, NOTHING], add_generation_prompt=True),
    "tools-system": dict(messages=[system("Use tools."), user("Weather in Paris?")], tools=[WEATHER],
                         add_generation_prompt=True),
    "empty-tools": dict(messages=[user("Hi")], tools=[], add_generation_prompt=True),
    "call": dict(messages=[user("Weather?"), assistant("", tool_calls=[CALL])], tools=[WEATHER],
                 add_generation_prompt=False),
    "call-null": dict(messages=[user("Weather?"), assistant(None, tool_calls=[CALL])], tools=[WEATHER],
                      add_generation_prompt=False),
    "call-no-content": dict(messages=[user("Weather?"), {"role": "assistant", "tool_calls": [CALL]},
                                      result("18 °C", "abcdefgh1")], tools=[WEATHER], add_generation_prompt=True),
    "call-text": dict(messages=[user("Weather?"), assistant("Let me look.", tool_calls=[CALL_TEXT]),
                                result("{\"temp\": 18}", "abcdefgh1")], tools=[WEATHER], add_generation_prompt=True),
    "call-result": dict(messages=[user("Weather?"), assistant("", tool_calls=[CALL]), result("18 °C", "abcdefgh1"),
                                  assistant("It is 18 °C."), user("And tomorrow?")], tools=[WEATHER],
                        add_generation_prompt=True),
    "call-result-json": dict(messages=[system("S"), user("Weather?"), assistant("", tool_calls=[CALL]),
                                       result({"temp": 18, "sky": None}, "abcdefgh1")], tools=[WEATHER],
                             add_generation_prompt=True),
    "two-calls": dict(messages=[user("Both?"), assistant("", tool_calls=[CALL, CALL_2]), result("a", "abcdefgh1"),
                                result("b", "abcdefgh2", "search")], tools=[WEATHER, SEARCH],
                      add_generation_prompt=True),
    "reasoning": dict(messages=[user("2+2?"), assistant("4", reasoning_content="Add\nthem."), user("3+3?")],
                      add_generation_prompt=True),
    "reasoning-thinking": dict(messages=[user("2+2?"), assistant("4", reasoning_content="Add.", thinking="Add.",
                                                                 reasoning="Add."), user("3+3?")],
                               add_generation_prompt=True, enable_thinking=True, thinking=True),
    "reasoning-call": dict(messages=[user("Weather?"), assistant("", reasoning_content="Look it up.", thinking="Look.",
                                                                 tool_calls=[CALL]), result("18", "abcdefgh1")],
                           tools=[WEATHER], add_generation_prompt=True, enable_thinking=True),
    "think-tags": dict(messages=[user("2+2?"), assistant("<think>\nAdd.\n</think>\n\n4"), user("3+3?"),
                                 assistant("<think>x</think>6")], add_generation_prompt=False),
    "no-thinking": dict(messages=[system("S /no_think"), user("2+2?")], add_generation_prompt=True,
                        enable_thinking=False, thinking=False, reasoning_effort="low"),
    "parts": dict(messages=[user([{"type": "text", "text": "Look:"}, {"type": "text", "text": " and see"}]),
                            assistant([{"type": "text", "text": "ok"}]), user([{"type": "text", "text": "go"}])],
                  add_generation_prompt=True),
    "image": dict(messages=[system([{"type": "text", "text": "S"}]),
                            user([{"type": "image"}, {"type": "text", "text": "What is it?"}])],
                  add_generation_prompt=True),
    "options": dict(messages=[system("S"), user("Hi")], add_generation_prompt=True, reasoning_effort="high",
                    date_string="01 Jan 2025", model_identity="You are a test.", thinking_budget=512,
                    documents=[{"title": "T", "text": "Body"}], builtin_tools=["python"], custom_tools=None),
}


def context(name):
    # Every fourth conversation goes without special tokens.
    tokens = {} if list(CONVERSATIONS).index(name) % 4 == 3 else {"bos_token": "<s>", "eos_token": "</s>"}
    return {**CONVERSATIONS[name], **tokens}


def fnv(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return h


def main():
    target = pathlib.Path(__file__).parents[2] / "tests/data/chat"
    contexts = {name: context(name) for name in CONVERSATIONS}
    (target / "conversations.json").write_text(json.dumps(contexts, ensure_ascii=False, indent=1) + "\n")
    lines = ["# template conversation bytes fnv1a-64, or error; made by tools/reference/chat_golden.py with jinja2 3.1.6"]
    n_errors = 0
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.jinja")):
        source = path.read_bytes().decode()
        for name, data in contexts.items():
            text, error = jinja_oracle.render(source, data)
            n_errors += text is None
            what = "error" if text is None else f"{len(text.encode())} {fnv(text.encode()):016x}"
            lines.append(f"{path.stem} {name} {what}")
    (target / "templates.golden").write_text("\n".join(lines) + "\n")
    print(len(lines) - 1, "cases,", n_errors, "of them errors")


if __name__ == "__main__":
    main()
