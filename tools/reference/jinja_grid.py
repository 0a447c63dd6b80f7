"""Templates for every filter, test, method and operator of Jinja2 over a grid of values and arguments,
for jinja_differential.py."""
import itertools

VALUES = ["s", "u", "e", "sp", "lines", "html", "n", "neg", "z", "f", "big", "small", "t", "no", "none", "l", "words", "nested", "d", "empty_l",
          "empty_d", "quotes", "users", "messages", "floats", "keyed", "mixed", "undefined_x", "undefined_x.y", "d.zz", "(1, 'a')", "()", "range(4)", "(html|safe)",
          "l|select('odd')", "d.items()", "d.keys()", "namespace(a=1)", "users[0]", "messages[2]", "'3.7'", "' 12 '", "'a b,c'", "'%s %d'", "'Ab Cd'", "range", "dict",
          "s.upper", "2.5", "-0.0", "1e308 * 10", "joiner()", "cycler(1, 2)"]
FEW = ["s", "u", "e", "n", "f", "t", "none", "l", "words", "d", "users", "mixed", "undefined_x", "(1, 'a')", "range(4)", "(html|safe)", "l|select('odd')"]

ARGUMENTS = ["", "2", "-1", "0", "1.5", "'a'", "''", "'x', 'y'", "none", "true", "undefined_x", "[1]", "2, true", "2, 'x'", "'name'", "'age', 'eq', 30", "1, 2, 3"]

FILTERS = """abs attr batch capitalize center count d default dictsort e escape filesizeformat first float forceescape format groupby indent int
items join last length list lower map max min pprint reject rejectattr replace reverse round safe select selectattr slice sort string striptags sum
title tojson trim truncate unique upper urlencode urlize wordcount wordwrap xmlattr random nope""".split()
KEYWORDS = {
    "default": ["default_value=1", "boolean=true", "default_value='x', boolean=true"], "tojson": ["indent=2", "indent=none", "ensure_ascii=true", "sort_keys=true",
    "separators=(',', ':')", "indent='\\t'", "indent=2, sort_keys=true", "indent=4, ensure_ascii=false", "separators=none", "indent=true", "indent=1.5", "separators=[',', ':']"],
    "sort": ["reverse=true", "case_sensitive=true", "attribute='name'", "attribute='age,name'", "attribute=0", "reverse=true, attribute='city.zip'"],
    "join": ["d='-'", "attribute='name'", "', ', attribute='age'", "attribute=0"], "map": ["attribute='name'", "attribute='zz', default='q'", "attribute='name', default=''",
    "'default', 'x'", "'int', default=9", "'length'", "'tojson'", "'first'", "'list'", "'round', 1", "'string'", "'items'", "attribute=0", "'upper', 1"],
    "select": ["'string'", "'mapping'", "'in', [1, 'a']", "'defined'", "'odd'", "'none'", "'>', 1", "'sameas', true"], "reject": ["'string'", "'none'", "'in', [1]", "'undefined'"],
    "selectattr": ["'age'", "'age', 'gt', 26", "'name', 'string'", "'zz', 'defined'", "'city.n', 'equalto', 'x'", "'role', 'in', ['user', 'system']"],
    "rejectattr": ["'age'", "'role', 'eq', 'user'", "'tool_calls'", "'zz', 'undefined'"], "groupby": ["'role'", "'age', default=3", "attribute='age'", "'name', case_sensitive=true", "0"],
    "unique": ["case_sensitive=true", "attribute='age'", "true, 'name'"], "min": ["attribute='age'", "case_sensitive=true"], "max": ["attribute='name'", "true, 'name'"],
    "sum": ["attribute='age'", "start=5", "'age', 0.5", "start=''", "start=[]"], "round": ["1", "2, 'floor'", "1, 'ceil'", "method='floor'", "precision=-1", "0, 'common'", "-1, 'ceil'"],
    "int": ["default=5", "base=16", "5, 2", "base=0"], "float": ["default=2.5", "none"], "indent": ["width=2", "first=true", "blank=true", "'--'", "2, true, true", "0", "'\\t', first=true"],
    "truncate": ["5", "5, true", "5, true, ''", "5, false, '…', 0", "length=8, leeway=0", "length=3"], "replace": ["'a', 'b'", "'o', ''", "'', '-'", "'l', 'L', 1", "'a', 'b', count=1", "1, 2", "'a'"],
    "trim": ["'!d'", "chars='H'", "none", "' \\n'"], "batch": ["3, fill_with='x'", "1"], "slice": ["3, fill_with=none", "2"], "dictsort": ["true", "by='value'", "reverse=true", "false, 'key', true"],
    "wordwrap": ["5", "7, false", "width=4, break_long_words=true", "6, wrapstring='|'", "10, break_on_hyphens=false"], "center": ["20", "width=9"], "urlize": ["10", "nofollow=true"],
    "items": [], "format": ["1, 2", "a=1", "'x'"], "xmlattr": ["false", "autospace=true"], "filesizeformat": ["true", "binary=true"], "attr": ["'items'", "'a'", "'real'", "'__class__'", "'upper'"],
}
TESTS = """defined undefined none true false boolean integer float number string mapping iterable sequence callable sameas eq equalto ne == != lt lessthan
gt greaterthan le ge in odd even divisibleby lower upper escaped filter test nope""".split()

STRING_METHODS = """capitalize casefold center count encode endswith expandtabs find format format_map index isalnum isalpha isascii isdecimal isdigit
isidentifier islower isnumeric isprintable isspace istitle isupper join ljust lower lstrip maketrans partition removeprefix removesuffix replace rfind
rindex rjust rpartition rsplit rstrip split splitlines startswith strip swapcase title translate upper zfill nope __len__ __class__""".split()
STRINGS = ["s", "u", "e", "sp", "lines", "html", "'a,b,,c'", "'ab ab ab'", "(html|safe)", "'12'", "'{} {x}'", "'ǅ Σς'", "'a\\tb'", "'-42'", "'x' * 3"]
STRING_ARGUMENTS = ["", "'a'", "','", "''", "' '", "'ab'", "none", "5", "30, '*'", "-1", "'a', 'b'", "'a', 'b', 1", "',', 1", "none, 1", "'a', 1", "'a', -3, -1", "('a', 'H')", "['a', 'b']",
                    "true", "undefined_x", "1, x=2", "x=2", "'l', 2, 4", "{'x': 1}", "' ', maxsplit=1", "sep=','", "l", "words", "'H'", "keepends=true", "maxsplit=1", "4", "{97: 'z'}"]
OTHER = {
    "d": ["get('a')", "get('q')", "get('q', 1)", "get('q', default=1)", "items()", "keys()", "values()", "items", "copy()", "pop('a')", "update({})", "setdefault('a', 1)", "clear()", "popitem()",
          "fromkeys(l)", "fromkeys('ab', 1)", "a", "zz", "get()", "get([])", "get('a', 1, 2)", "keys()|list", "items(1)", "__class__", "_x", "keys() == ['b', 'a', 'C']", "keys().isdisjoint(['z'])", "items().mapping",
          "keys() - ['a']", "keys() & ['a', 'q']", "keys() | ['q']", "keys() == d.keys()", "items()|first", "values()|sum"],
    "keyed": ["items", "items()", "get", "keys", "x.values", "x.values()", "x['values']"],
    "l": ["count(1)", "index(1)", "index(9)", "index(1, 2)", "index(2, -1)", "copy()", "append(1)", "extend([])", "pop()", "insert(0, 1)", "remove(1)", "reverse()", "sort()", "clear()", "__len__()", "count", "0", "-1", "length", "first", "x", "index"],
    "(1, 2, 1)": ["count(1)", "index(2)", "0", "copy()", "append"], "range(5)": ["count(1)", "index(2)", "start", "stop", "step", "0", "copy()"],
    "n": ["real", "imag", "numerator", "denominator", "bit_length()", "bit_count()", "conjugate()", "as_integer_ratio()", "to_bytes(2, 'big')", "is_integer()", "__class__", "x", "upper()"],
    "f": ["real", "imag", "is_integer()", "hex()", "as_integer_ratio()", "conjugate()", "fromhex('0x1p3')", "x"], "t": ["real", "numerator", "bit_length()", "x"], "none": ["x", "x.y", "x()", "get('a')"],
    "namespace(a=1, b=none)": ["a", "b", "c", "c.d", "a()", "items()", "__class__"], "cycler(1, 2)": ["next()", "current", "reset()", "pos", "items", "x"], "joiner('|')": ["sep", "used", "x"],
    "range": ["start", "x"], "dict": ["fromkeys('ab')", "x", "items", "get"], "undefined_x": ["y", "y.z", "y()", "__class__", "get('a')", "items()"],
    "l|select": ["x", "next()", "gi_running"], "d.items()": ["x", "mapping", "isdisjoint([])"], "(html|safe)": ["striptags()", "unescape()", "escape('<')", "join(['<'])", "format(1)", "split('<')", "partition('<')", "splitlines()", "upper()", "title()"],
}
OPERANDS = ["1", "0", "-3", "2.5", "'a'", "''", "'%s'", "true", "none", "[1]", "[]", "(1,)", "{'a': 1}", "undefined_x", "(html|safe)", "range(2)", "d.keys()", "l|select", "namespace()", "{}"]
OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", ">", "<=", ">=", "in", "not in", "and", "or", "is sameas", "is eq", "is lt", "is in"]

FORMATS = ["", "5", "<5", ">8", "^7", "*^7", "05", "+", " ", "x", "X", "#x", "b", "#b", "o", "#o", "c", "d", "e", "E", "f", "F", "g", "G", "n", "%", "s", ",", "_", ".2", ".0f", ".3e", "10.3f", "<10.2g", "=+8", "08.2f",
           ",.2f", "_x", "_b", "+.1%", "z", "5s", ".2s", "!r", "!s:>6", "!a", "#g", "#.0f", "012,", "-5", "é>4", "#,x", "1.1", "020_d", ">", "5.", "zz", "^+9.1f", "=5"]
FORMATTED = ["n", "neg", "f", "s", "u", "t", "none", "l", "d", "big", "small", "-0.0", "undefined_x", "(html|safe)", "1e308*10", "123456789", "0", "0.5", "1234567.891", "()", "range(2)"]
PERCENTS = ["%s", "%d", "%i", "%5d", "%-5d|", "%05d", "%+d", "% d", "%x", "%X", "%#x", "%o", "%#o", "%e", "%.2e", "%f", "%.1f", "%10.3f", "%-10.2f|", "%g", "%G", "%.3g", "%c", "%r", "%a", "%10s", "%-10s|", "%.3s", "%%", "%5%", "%u",
            "%ld", "%z", "%", "%(a)s", "%+.1e", "%#g", "%08.2f", "%5c", "%.0f", "%#.0f", "%.5d", "%+5.3d", "%.10s", "%s %s"]
SLICES = ["", "1", "-1", "0", "2", "-2", "100", "-100", "none", "true", "'a'", "1.5", "undefined_x"]


def templates():
    for name, value, arguments in itertools.product(FILTERS, VALUES, ARGUMENTS + [None]):
        if value in FEW or arguments in ("", None):
            # Parentheses, so that "l|select" is one operand.
            tail = "" if arguments is None else f"({arguments})"
            yield "{{ (" + value + ")|" + name + tail + " }}"
            if name in ("map", "select", "reject", "batch", "slice", "unique", "items", "selectattr", "rejectattr", "reverse", "groupby"):
                yield "{{ (" + value + ")|" + name + tail + "|list }}"
    for name, rows in KEYWORDS.items():
        for value, arguments in itertools.product(VALUES, rows):
            yield "{{ (" + value + ")|" + name + "(" + arguments + ")" + ("|list" if name in
                ("map", "select", "reject", "batch", "slice", "unique", "items", "selectattr", "rejectattr", "groupby") else "") + " }}"
    for name, value in itertools.product(TESTS, VALUES):
        for tail in ("", " 1", "('a')", " none", "(1, 2)", " s", "(l)", " 2.5", "([1, 'a'])", "('upper')", " true"):
            yield "{{ (" + value + ") is " + name + tail + " }}{{ (" + value + ") is not " + name + tail + " }}"
            if tail == "":
                yield "{{ [" + value + "]|select('" + name + "')|list|length }}"
    for value, name, arguments in itertools.product(STRINGS, STRING_METHODS, STRING_ARGUMENTS):
        yield "{{ " + value + "." + name + "(" + arguments + ") }}"
    for value, rows in OTHER.items():
        for row in rows:
            yield "{{ (" + value + ")." + row + " }}"
            yield "{{ (" + value + ")." + row + " is defined }}"
            if row.isidentifier():
                yield "{{ (" + value + ")['" + row + "'] }}"
    for a, operator, b in itertools.product(OPERANDS, OPERATORS, OPERANDS):
        yield "{{ " + a + " " + operator + " (" + b + ") }}"
    for value in OPERANDS + VALUES:
        for before in ("-", "+", "not ", "- -", "not not "):
            yield "{{ " + before + "(" + value + ") }}"
        for after in ("[0]", "['a']", "[none]", "[-1]", "[1.0]", "[true]", "[[1]]", "[undefined_x]", "()", "(1)", "(a=1)", "[1:]", "[::2]", "[::-1]", ".0", ".a.b", "[::0]"):
            yield "{{ (" + value + ")" + after + " }}"
        yield "{% for x in " + value + " %}{{ x }}{{ loop.index }}{{ loop.last }},{% else %}none{% endfor %}"
        yield "{% for a, b in " + value + " %}{{ a }}={{ b }},{% endfor %}"
        yield "{% if " + value + " %}yes{% else %}no{% endif %}{{ 1 if (" + value + ") }}{{ (" + value + ") or 5 }}"
        yield "{% set a, b = " + value + " %}{{ a }}{{ b }}"
        yield "{{ [" + value + "] }}{{ [" + value + "]|tojson }}"
        yield "{{ {'k': " + value + "} }}"
        yield "{{ {" + value + ": 1} }}"
        yield "{{ {'k': " + value + "}|tojson(indent=2) }}"
        yield "{{ {" + value + ": 1}|tojson }}"
        yield "{{ dict(" + value + ") }}"
        yield "{{ dict(a=" + value + ") }}"
        yield "{{ namespace(" + value + ") }}"
        yield "{{ range(" + value + ")|list }}"
        yield "{{ raise_exception(" + value + ") }}"
        yield "{{ strftime_now(" + value + ") }}"
        yield "{{ '-'.join(" + value + ") }}"
        yield "{% macro m(x='q') %}{{ x }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(*" + value + ") }}"
        yield "{% macro m(x='q') %}{{ x }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(**" + value + ") }}"
        yield "{% macro m(x='q') %}{{ x }}{% endmacro %}{{ m(" + value + ") }}"
        yield "{% set v = " + value + " %}{% set w %}{{ v }}{% endset %}{{ w|length }}{{ v is sameas v }}{{ v == v }}"
        yield "{% with v = " + value + " %}{{ v }}{% endwith %}"
        yield "{{ ('%s' % " + value + ") }}"
        yield "{{ ('%s' % (" + value + ",)) }}"
    for spec, value in itertools.product(FORMATS, FORMATTED):
        yield "{{ '{" + (spec if spec.startswith("!") else ":" + spec) + "}'.format(" + value + ") }}"
    for spec, value in itertools.product(PERCENTS, FORMATTED):
        yield "{{ '" + spec + "' % (" + value + ") }}"
        yield "{{ '" + spec + "'|format(" + value + ") }}"
    for value in ("s", "u", "l", "(1, 2, 3)", "range(6)", "(html|safe)", "e"):
        for a, b, c in itertools.product(SLICES, SLICES[:9], ["", "1", "-1", "2", "-2", "none", "0", "'a'"]):
            yield "{{ (" + value + ")[" + a + ":" + b + ":" + c + "]" + ("|list" if value.startswith("range") else "") + " }}"
    for code in "aAwdbBmyYHIMSfzZjUWcxXpGuVnteDFhklrRTsEOCgPLN%q":
        for flag in ("", "-", "_", "0", "^", "#", "10", "E", "O"):
            yield "{{ strftime_now('[%" + flag + code + "]') }}"
