"""Renders many templates with libpuna and with jinja2 (jinja_oracle.py) and shows where they differ.
What counts: the text, or that both refuse. Meant differences are listed in MEANT.

usage: python tools/reference/jinja_differential.py LIBPUNA.so grid            every filter, test, method and operator
       python tools/reference/jinja_differential.py LIBPUNA.so random N SEED   N generated templates
       python tools/reference/jinja_differential.py LIBPUNA.so chats DIR N SEED   templates of DIR, N generated conversations"""
import ctypes
import itertools
import json
import pathlib
import random
import re
import sys

import jinja_cases
import jinja_chats
import jinja_generate
import jinja_grid
import jinja_oracle

# Where the engine refuses by design: no finding as long as it refuses.
REFUSED = re.compile(
    r"beyond 64 bits|more than \d+ (steps|bytes)|nested deeper|longer than|repeating makes|at most 100000|complex|no finite real|is not allowed"
    r"|not supported")
# What jinja2 prints of these holds an address or a Python module's name; some filters make a text of it.
ADDRESS = re.compile(r" at 0x[0-9a-f]+|<built-in |<class |<function |<bound |object at|<BUILT|<FUNCTION|<CLASS|<Bui|<Func|<Class|<clbss|<cLass|clbtor|%3C(built|class|function)", re.I)
# Meant differences, by template: Python types and odds and ends that no chat template has a use for.
MEANT = [
    (r"\.(encode|maketrans|translate|hex|fromhex|to_bytes|as_integer_ratio|bit_count|conjugate|numerator|denominator|gi_running|__class__)\b|'(numerator|denominator|mapping)'|__class__", "attributes of Python's types"),
    (r"\.(items|keys|values)\(\)\)?(\.| [-&|])|- \(d\.keys\(\)\)|(cycler|joiner)\(.*\)\.|'(items|pos|sep|used)'\]|safe\)+\.(join|replace|escape|unescape|striptags)", "sets, views, and Markup's own methods"),
    (r"1e308 ?\* ?10", "jinja2 writes an infinite constant as a name that Python lacks"),
    (r"(\b[0-9.]+|[])}'e])\)?\[[^]]*:[^]]*\]", "jinja2 folds a slice of a constant that fails into nothing"),
    (r"\|(batch|int|round|tojson)\((?!attribute)[^)]*('|none|undefined|1\.5|\[)|(format_map|splitlines)\(", "arguments of a wrong type that jinja2 does not look at"),
    (r"is (not )?sameas", "Python's identity of equal constants"),
    (r"\((dict|range|s\.upper|cycler\(1, 2\)|joiner\(\)|l\|select\('odd'\)|l\|select)\)+\||set v = |dict\[", "what Python calls its functions"),
    (r"\|(pprint|striptags|urlize|wordwrap|random)\b", "filters left out"),
    (r"\[%.*Z", "the width of an empty zone"),
]


class Error(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("message", ctypes.c_char * 512), ("hint", ctypes.c_char * 192)]


class Puna:
    def __init__(self, path):
        self.lib = ctypes.CDLL(path)
        self.lib.puna_template_run.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int64, ctypes.POINTER(ctypes.c_void_p),
                                               ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(Error)]
        self.lib.puna_free.argtypes = [ctypes.c_void_p]

    def render(self, template, context):
        """(text, None) or (None, message)."""
        text, n, err = ctypes.c_void_p(), ctypes.c_size_t(), Error()
        if self.lib.puna_template_run(template.encode(), context, jinja_oracle.NOW, ctypes.byref(text), ctypes.byref(n), ctypes.byref(err)):
            return None, err.message.decode()
        data = ctypes.string_at(text, n.value).decode()
        self.lib.puna_free(text)
        return data, None


def cases(arguments):
    """Of each case its name, its template and its context."""
    if arguments[0] == "grid":
        for template in jinja_grid.templates():
            yield template, template, jinja_cases.CONTEXT
    elif arguments[0] == "random":
        generator = jinja_generate.Generator(random.Random(int(arguments[2])))
        for _ in range(int(arguments[1])):
            template = generator.template()
            yield template, template, jinja_cases.CONTEXT
    else:
        rng = random.Random(int(arguments[3]))
        chats = [jinja_chats.conversation(rng) for _ in range(int(arguments[2]))]
        for path, chat in itertools.product(sorted(pathlib.Path(arguments[1]).glob("*.jinja")), chats):
            yield f"{path.name} {json.dumps(chat, ensure_ascii=False)}", path.read_bytes().decode(), chat


def main():
    puna, encoded = Puna(sys.argv[1]), {}
    counts = dict(same=0, both_refuse=0, address=0, refused=0, meant=0, differ=0)
    for name, template, context in cases(sys.argv[2:]):
        if id(context) not in encoded:
            encoded[id(context)] = (json.dumps(context).encode(), context)
        want, error = jinja_oracle.render(template, context)
        got, message = puna.render(template, encoded[id(context)][0])
        if want == got:
            counts["same" if want is not None else "both_refuse"] += 1
        elif want is not None and ADDRESS.search(want):
            counts["address"] += 1
        elif got is None and REFUSED.search(message):
            counts["refused"] += 1
        elif any(re.search(pattern, template) for pattern, _ in MEANT) and sys.argv[2] == "grid":
            counts["meant"] += 1
        else:
            counts["differ"] += 1
            print(f"{name}\n   jinja2 {want!r:.1500}{'' if want is not None else f' {error!r:.200}'}\n   puna   {got!r:.1500}{'' if got is not None else f' {message!r}'}")
    print(counts)
    return counts["differ"] > 0


if __name__ == "__main__":
    sys.exit(main())
