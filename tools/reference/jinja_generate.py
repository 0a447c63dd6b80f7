"""Generates templates from a grammar: statements with all whitespace signs, nested expressions, macros,
namespaces, loops. For jinja_differential.py."""
import jinja_cases
import jinja_oracle

VALUES = {**jinja_cases.CONTEXT, "x": 1, "a": "a", "b": [1, 2], "c": {"k": None}, "ns": {"a": 1, "x": None}, "m": "", "loop": {"index": 1}}
PRELUDE = "{% set a, b, c, x = 'a', [1, 2], {'k': none}, 1 %}{% set ns = namespace(a=1, x=none) %}{% macro m(a=1) %}<{{ a }}{{ varargs }}{{ kwargs }}{{ caller() if caller }}>{% endmacro %}"
NAMES = ["s", "u", "e", "n", "neg", "f", "t", "no", "none", "l", "words", "d", "users", "messages", "mixed", "nested", "undefined_x", "a", "b", "c", "x", "ns", "m", "tree", "keyed", "html"]
ATTRIBUTES = ["a", "b", "name", "age", "role", "content", "items", "x", "zz", "city.zip", "tool_calls", "upper"]
LITERALS = ["1", "0", "2", "-1", "3.5", "'a'", "''", "'x y'", "\"q'\"", "true", "false", "none", "[]", "[1, 2]", "{'a': 1}", "()", "(1,)", "1e3", "'é世'", "'\\n'", "{}", "{'b': [1, {'c': none}]}"]
FILTERS = ["upper", "lower", "trim", "length", "list", "first", "last", "join", "join(', ')", "tojson", "tojson(indent=2)", "string", "int", "float", "default('d')", "default('d', true)", "sort", "unique", "reverse",
           "map('upper')", "map(attribute='name')", "select", "reject('none')", "selectattr('age')", "selectattr('role', 'equalto', 'user')", "rejectattr('role', 'in', ['user'])", "items", "dictsort", "capitalize", "title", "replace('a', 'b')",
           "round(1)", "abs", "sum", "min", "max", "indent(2)", "escape", "safe", "batch(2)", "slice(2)", "groupby('role')", "wordcount", "truncate(6)", "center(9)", "count", "d", "e", "urlencode", "attr('a')", "format(1)",
           "map('string')", "map('default', 'z')", "map('length')", "select('string')", "sum(attribute='age')", "map(attribute='content')|join('-')"]
TESTS = ["defined", "undefined", "none", "string", "mapping", "sequence", "iterable", "number", "integer", "float", "boolean", "true", "false", "odd", "even", "callable", "divisibleby(2)", "eq 1", "equalto 'a'", "in [1, 'a', none]", "sameas none", "lt 3", "escaped", "upper", "lower", "ge 2"]
METHODS = ["upper()", "strip()", "split()", "split(',')", "items()", "keys()", "get('a')", "get('zz', 5)", "startswith('a')", "endswith('d')", "replace('l', 'L')", "join(['x', 'y'])", "count('a')", "title()", "rstrip('d')", "lstrip()", "find('o')", "values()", "format(1)", "splitlines()", "rsplit(' ', 1)", "partition(' ')", "index('a')"]


class Generator:
    def __init__(self, rng):
        self.rng = rng
        self.loops, self.pool = 0, []

    def one(self, *choices):
        return self.rng.choice(choices)

    def expression(self, depth=0):
        """Mostly one that does not fail over the names' first values: a failing one hides what follows."""
        if depth or self.rng.random() < 0.03:
            return self.any_expression(depth)
        if not self.pool or self.rng.random() < 0.1:
            text = self.any_expression(0)
            if jinja_oracle.render("{{ " + text + " }}", VALUES)[1] is None:
                self.pool.append(text)
        return self.rng.choice(self.pool) if self.pool else "1"

    def any_expression(self, depth):
        r = self.rng.random()
        if depth > 3 or r < 0.22:
            return self.rng.choice(NAMES) if self.rng.random() < 0.65 else self.rng.choice(LITERALS)
        deeper = lambda: self.expression(depth + 1)
        if r < 0.34:
            return f"{deeper()}|{self.rng.choice(FILTERS)}"
        if r < 0.42:
            return f"{deeper()} is {self.one('', 'not ')}{self.rng.choice(TESTS)}"
        if r < 0.50:
            return f"{self.rng.choice(NAMES)}.{self.one(self.rng.choice(ATTRIBUTES), self.rng.choice(METHODS))}"
        if r < 0.58:
            return f"{self.rng.choice([n for n in NAMES if n != 'none'])}[{self.one(deeper(), '0', '-1', '1:', '::-1', ':2', repr(self.rng.choice(ATTRIBUTES)), '1:3:2')}]"
        if r < 0.72:
            return f"{deeper()} {self.one('+', '-', '*', '/', '//', '%', '~', '~', '~', '+', '**') } {self.rng.choice(LITERALS) if self.rng.random() < .5 else deeper()}"
        if r < 0.80:
            chain = f" {self.one('==', '<', 'in')} {deeper()}" if self.rng.random() < 0.2 else ""
            return f"{deeper()} {self.one('==', '!=', '<', '>', '<=', '>=', 'in', 'not in')} {deeper()}{chain}"
        if r < 0.86:
            return f"{deeper()} {self.one('and', 'or')} {deeper()}"
        if r < 0.89:
            return f"not {deeper()}"
        if r < 0.93:
            return f"({deeper()})"
        if r < 0.96:
            return f"{deeper()} if {deeper()}{self.one('', f' else {deeper()}')}"
        if r < 0.97:
            return f"[{deeper()}, {deeper()}]"
        if r < 0.98:
            return f"{{'k': {deeper()}, 'a': {deeper()}}}"
        if self.loops:
            return "loop." + self.one("index", "index0", "first", "last", "length", "revindex", "revindex0", "previtem", "nextitem", "depth", "cycle(1, 2)", "changed(x)", "depth0")
        return f"m({self.one('', deeper(), 'a=' + deeper())})"

    def space(self):
        return self.one("", "", " ", "\n", "  ", "\n\n", " \n ", "\t", "x", "text ", " y\n", "\n  ")

    def tag(self, inside):
        return "{%" + self.one("", "", "", "-", "+") + self.one(" ", " ", "", "\n") + inside + self.one(" ", " ", "\n") + self.one("", "", "", "-", "+") + "%}"

    def body(self, depth):
        return "".join(self.space() + self.statement(depth + 1) for _ in range(self.rng.randrange(1, 3))) + self.space()

    def statement(self, depth=0):
        r = self.rng.random()
        if depth > 3 or r < 0.35:
            return "{{" + self.one(" ", "", "- ", " ") + self.expression() + self.one(" ", " ", " -") + "}}"
        if r < 0.50:
            text = self.tag(f"if {self.expression()}") + self.body(depth)
            if self.rng.random() < 0.3:
                text += self.tag(f"elif {self.expression()}") + self.body(depth)
            if self.rng.random() < 0.4:
                text += self.tag("else") + self.body(depth)
            return text + self.tag("endif")
        if r < 0.66:
            return self.loop(depth)
        if r < 0.76:
            return self.tag(self.one(f"set {self.one('a', 'b', 'c', 'x')} = {self.expression()}", "set ns = namespace(a=2, x=3)", f"set ns.{self.one('a', 'x')} = {self.expression()}",
                                     f"set a, b = {self.one(self.expression(), '1, 2', 'b, a', 'words[:2]', self.expression() + ', 1')}"))
        if r < 0.80:
            return self.tag(f"set {self.one('a', 'b', 'c')}{self.one('', '|upper', '|trim')}") + self.body(depth) + self.tag("endset")
        if r < 0.85:
            loops, self.loops = self.loops, 0
            body = self.body(depth)
            self.loops = loops
            return self.tag(f"macro m({self.one('', 'x', 'x, a=1', 'a=n, b=a')})") + body + self.one("", "{{ caller() if caller else varargs }}", "{{ kwargs }}") + self.tag("endmacro")
        if r < 0.88:
            return self.tag(f"call m({self.one('', self.expression())})") + self.body(depth) + self.tag("endcall")
        if r < 0.91:
            return self.tag(f"filter {self.one('upper', 'trim', 'indent(2)', 'replace(1, 2)', 'escape')}") + self.body(depth) + self.tag("endfilter")
        if r < 0.94:
            return self.tag(f"with {self.one('a', 'x', 'n')} = {self.expression()}") + self.body(depth) + self.tag("endwith")
        if r < 0.96:
            return self.tag("generation") + self.body(depth) + self.tag("endgeneration")
        if r < 0.98:
            return "{#" + self.one("", "-", "+") + " c " + self.one("", "-", "+") + "#}"
        return self.tag("raw") + self.space() + "{{ x }}" + self.space() + self.tag("endraw")

    def loop(self, depth):
        target, over = self.one(("x", self.one("l", "words", "messages", "users", "range(3)", "[1, 2, 2]", "mixed", "d")), ("k, v", self.one("d.items()", "d|items", "d|dictsort", "keyed.items()", "users|groupby('age')")), ("x", self.expression()))
        head = f"for {target} in {over}{self.one('', '', f' if {self.expression()}')}{self.one('', '', '', ' recursive')}"
        self.loops += 1
        body = self.body(depth)
        if self.rng.random() < 0.2:
            body += self.tag(f"if {self.expression()}") + self.tag(self.one("break", "continue")) + self.tag("endif") + self.space()
        self.loops -= 1
        return self.tag(head) + body + (self.tag("else") + self.body(depth) if self.rng.random() < 0.25 else "") + self.tag("endfor")

    def template(self):
        return self.one("", PRELUDE, PRELUDE, PRELUDE) + "".join(self.space() + self.statement() for _ in range(self.rng.randrange(1, 4))) + self.space()
