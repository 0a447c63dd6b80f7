"""Renders many templates with libpuna and with jinja2 (jinja_oracle.py) and shows where they differ.
What counts: the text, or that both refuse. Known and meant differences are listed in EXPECTED.

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
    r"beyond 64 bits|more than \d+ (steps|bytes)|nested deeper|longer than|repeating makes|at most 100000|complex|is not allowed"
    r"|not supported")
# What jinja2 prints of these holds an address or a Python module's name.
ADDRESS = re.compile(r" at 0x[0-9a-f]+|<built-in |<class |<function ")


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
    counts = dict(same=0, both_refuse=0, address=0, refused=0, differ=0)
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
        else:
            counts["differ"] += 1
            print(f"{name}\n   jinja2 {want!r:.1500}{'' if want is not None else f' {error!r:.200}'}\n   puna   {got!r:.1500}{'' if got is not None else f' {message!r}'}")
    print(counts)
    return counts["differ"] > 0


if __name__ == "__main__":
    sys.exit(main())
