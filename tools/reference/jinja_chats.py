"""Generates conversations with everything that chat templates look at, for jinja_differential.py."""
import json

TEXTS = ["Hello", "", " ", "  padded \n", "Line 1\nLine 2\n\n", "Grüße 世界 🌍", "<think>\nHm.\n</think>\n\nAnswer", "</think>x", "a <b> & \"c\" 'd' \\ e", "{\"json\": [1, 2.50, null]}", "{{ not }} {% a %} template", "\u2028\u00a0e\u0301\u200d", "/no_think", "<|im_end|>", "[INST] x [/INST]",
         "<tool_call>x</tool_call>", "Ünï\tcode\r\nx", "true", "0", "x" * 50, "<think>a</think>", "/think do", "42", "<tool_response>\nok\n</tool_response>"]
NAMES = ["get_weather", "search", "f", "späte_suche", "python", "browser.search", "code_interpreter", "a b"]
VALUES = [1, 0, -5, 2.5, 1e20, 1e-7, True, False, None, "x", "", "it's \"q\"\n", "世", [], [1, "a", None], {}, {"k": {"n": [1, {"z": False}]}}, 12345678901, "<b>&", [[], {}], 3.0]
TYPES = ["string", "integer", "number", "boolean", "object", "array", "null"]


def schema(rng, depth=0):
    kind = rng.choice(TYPES)
    s = {"type": rng.choice([kind, kind, kind, [kind, "null"]])}
    if rng.random() < 0.7:
        s["description"] = rng.choice(TEXTS)
    if kind == "string" and rng.random() < 0.3:
        s["enum"] = ["a", "b\"", "ö"]
    if kind == "array" and depth < 3:
        s["items"] = schema(rng, depth + 1)
    if kind == "object" and depth < 3:
        s["properties"] = {rng.choice("abcde") + "_p": schema(rng, depth + 1) for _ in range(rng.randrange(3))}
        if rng.random() < 0.5:
            s["required"] = list(s["properties"])[:1]
        if rng.random() < 0.3:
            s["additionalProperties"] = rng.choice([False, True, {"type": "string"}])
    if rng.random() < 0.2:
        s["default"] = rng.choice(VALUES)
    if rng.random() < 0.1:
        s = rng.choice([{"anyOf": [s, {"type": "null"}]}, {"oneOf": [s, s]}, {**s, "nullable": True, "minimum": 1, "maxLength": 5, "title": "T"}, {"$ref": "#/$defs/x"}, {}, {"enum": [1, "a", None]}, {"const": 5}])
    return s


def tool(rng):
    f = {"name": rng.choice(NAMES), "description": rng.choice(TEXTS)}
    if rng.random() < 0.9:
        parameters = {"type": "object", "properties": {rng.choice(["city", "unit", "q", "größe", "items", "type", "n"]): schema(rng) for _ in range(rng.randrange(4))}}
        if rng.random() < 0.6:
            parameters["required"] = list(parameters["properties"])[:2]
        if rng.random() < 0.2:
            parameters["$defs"] = {"x": schema(rng, 2)}
        f["parameters"] = parameters
    if rng.random() < 0.2:
        f["return"] = schema(rng, 2)
    if rng.random() < 0.2:
        f["strict"] = True
    if rng.random() < 0.1:
        f["response"] = {"type": "object", "properties": {}}
    return f if rng.random() < 0.12 else {"type": "function", "function": f}


def call(rng):
    arguments = {rng.choice(["city", "q", "n", "größe", "flag"]): rng.choice(VALUES) for _ in range(rng.randrange(4))}
    arguments = arguments if rng.random() < 0.75 else json.dumps(arguments, ensure_ascii=rng.random() < 0.5)
    f = {"name": rng.choice(NAMES), "arguments": arguments}
    c = {"type": "function", "function": f} if rng.random() < 0.9 else dict(f)
    if rng.random() < 0.8:
        c["id"] = rng.choice(["abcdefgh1", "call_1", "123456789", "functions.f:0", "x"])
    return c


def content(rng):
    r = rng.random()
    if r < 0.7:
        return rng.choice(TEXTS)
    if r < 0.75:
        return None
    if r < 0.78:
        return rng.choice(VALUES)
    parts = []
    for _ in range(rng.randrange(4)):
        parts.append(rng.choice([{"type": "text", "text": rng.choice(TEXTS)}, {"type": "text", "text": rng.choice(TEXTS)}, {"type": "image"}, {"type": "image_url", "image_url": {"url": "data:x"}}, {"type": "image", "image": "x"}, {"type": "video"},
                                 {"type": "audio"}, {"type": "thinking", "thinking": "Hm."}, "plain", {"type": "document", "text": "d"}, {"type": "input_text", "text": "t"}, {"text": "no type"}]))
    return parts


def assistant(rng, tools):
    m = {"role": "assistant"}
    if rng.random() < 0.93:
        m["content"] = content(rng) if rng.random() < 0.8 else ""
    for key in ("reasoning_content", "reasoning", "thinking", "thought"):
        if rng.random() < 0.12:
            m[key] = rng.choice(TEXTS + [None])
    if rng.random() < (0.5 if tools else 0.1):
        m["tool_calls"] = [call(rng) for _ in range(rng.choice([0, 1, 1, 1, 2, 3]))]
    if rng.random() < 0.04:
        m["tool_calls"] = None
    if rng.random() < 0.05:
        m[rng.choice(["name", "prefix", "tool_plan", "task", "channel", "recipient"])] = rng.choice(["Bob", True, "x"])
    return m


def conversation(rng):
    tools = rng.random() < 0.5
    messages = []
    if rng.random() < 0.5:
        messages.append({"role": rng.choice(["system", "system", "system", "developer"]), "content": content(rng)})
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        messages.append({"role": "user", "content": content(rng)})
        if rng.random() < 0.85:
            messages.append(assistant(rng, tools))
            for c in messages[-1].get("tool_calls") or []:
                if rng.random() < 0.85:
                    m = {"role": rng.choice(["tool", "tool", "tool", "tool", "function", "ipython", "tool_response"]), "content": rng.choice([content(rng), {"temp": 18, "x": [None]}, rng.choice(TEXTS)])}
                    if rng.random() < 0.8:
                        m["tool_call_id"] = c.get("id", "q")
                    if rng.random() < 0.6:
                        m["name"] = c.get("name") or c["function"]["name"]
                    messages.append(m)
    if rng.random() < 0.75:
        messages.append({"role": "user", "content": content(rng)})
    if rng.random() < 0.06:
        messages.insert(rng.randrange(len(messages) + 1), rng.choice([{"role": "critic", "content": "x"}, {"content": "no role"}, {"role": "system", "content": "late"}, {"role": "user"}, {"role": None, "content": "n"}]))
    chat = {"messages": messages}
    if rng.random() < 0.85:
        chat["add_generation_prompt"] = rng.random() < 0.7
    if rng.random() < 0.8:
        chat["bos_token"], chat["eos_token"] = "<s>", "</s>"
    if tools:
        chat["tools"] = [tool(rng) for _ in range(rng.randrange(1, 4))]
    elif rng.random() < 0.2:
        chat["tools"] = rng.choice([[], None])
    for key, values in OPTIONS.items():
        if rng.random() < 0.08:
            chat[key] = rng.choice(values)
    return chat


OPTIONS = {
    "enable_thinking": [True, False], "thinking": [True, False], "reasoning_effort": ["low", "medium", "high", "none", None], "date_string": ["01 Jan 2025"], "current_date": ["2025-01-01"], "documents": [[{"title": "T", "text": "Body"}], [], [{"content": "c", "doc_id": 1}], [{"data": "x", "title": "ö"}]],
    "builtin_tools": [["python"], [], ["browser", "python"]], "model_identity": ["A test."], "tools_in_user_message": [True, False], "custom_tools": [None, [{"type": "function", "function": {"name": "c", "description": "d", "parameters": {"type": "object", "properties": {}}}}]],
    "continue_final_message": [True], "keep_past_thinking": [True], "preserve_thinking": [True], "clear_thinking": [True, False], "thinking_budget": [512, 0, -1], "tool_choice": ["auto", "none", "required"], "response_format": [{"type": "json"}], "unk_token": ["<unk>"], "pad_token": [""], "add_vision_id": [True],
    "citation_mode": ["fast"], "controls": [{"length": "short"}], "available_tools": [[{"name": "f"}], None], "xml_tools": [["a"]], "python_tools": [["b"]], "system_message": ["S"], "today": ["x"], "datetime": ["now"], "functions": [[{"name": "f"}], "text"], "language": ["de"], "tool_call_format": ["json"],
}
