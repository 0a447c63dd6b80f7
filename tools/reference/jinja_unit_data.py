"""Copies the published template cases into tests/data/chat and says which of their expectations hold
for JavaScript only, with what jinja2 gives instead.

usage: python tools/reference/jinja_unit_data.py PATH/chat_templates"""
import json
import pathlib
import sys

import jinja_oracle

BOOL = "prints true and false where Python prints True and False"
QUOTES = "prints containers as JSON where Python prints their repr"
FUNCTIONS = "its context holds JavaScript functions, which JSON cannot carry"
ADDS = "adds a string and a number, a TypeError in Python"
LAZY = "takes the length or a slice of a generator, a TypeError in Python"
NULL = "reads 'null' as a literal; in Jinja2 it is a variable, here undefined"
KEYWORD = "prints None, Undefined or True in a list as JavaScript does"


def reason(case, text):
    if "note" in case:
        return FUNCTIONS
    if text is None:
        if "null" in case["template"]:
            return NULL
        return LAZY if "length" in case["template"] else ADDS
    if text.replace("True", "true").replace("False", "false") == case["expected"]:
        return BOOL
    if text.replace("'", '"') == case["expected"] or "{'" in text:
        return QUOTES
    if case["name"].startswith("MEMBERSHIP"):
        return BOOL + ", and holds True unequal to 1"
    return KEYWORD


def differences(cases, template, data, expected):
    found = {}
    for case in cases:
        text, error = jinja_oracle.render(case[template], case[data])
        # Python 3.13 takes str.replace(count=...), older ones do not.
        if text == case[expected] or "count=" in case[template]:
            continue
        row = {"reason": reason({"expected": case[expected], "template": case[template], **case}, text)}
        row.update({"error": type(error).__name__} if text is None else {"expected": text})
        found[case["name"]] = row
    return found


def main():
    source = pathlib.Path(sys.argv[1])
    target = pathlib.Path(__file__).parents[2] / "tests/data/chat"
    text = (source / "jinja_unit.json").read_text()
    # jansson holds no NUL in object keys: two keys (and their expectations) get U+0001 instead.
    cases = json.loads(text)
    for case in cases:
        for holder in case["context"].values():
            if isinstance(holder, dict):
                for key in [k for k in holder if "\0" in k]:
                    case["context"] = json.loads(
                        json.dumps(case["context"]).replace(json.dumps(key) + ":", json.dumps(key).replace("\\u0000", "\\u0001") + ":"))
                    case["expected"] = case["expected"].replace("\\u0000", "\\u0001", 1)
    golden = (source / "golden_e2e.json").read_text()
    (target / "jinja_unit.json").write_text(json.dumps(cases, ensure_ascii=False, indent=1) + "\n")
    (target / "golden_e2e.json").write_text(golden)
    python = {
        "jinja_unit": differences(cases, "template", "context", "expected"),
        "golden_e2e": differences(json.loads(golden), "chat_template", "data", "target"),
    }
    (target / "javascript_only.json").write_text(json.dumps(python, ensure_ascii=False, indent=1) + "\n")
    print({name: len(rows) for name, rows in python.items()})


main()
