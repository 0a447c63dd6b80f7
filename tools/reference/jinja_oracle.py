"""Jinja2 configured as transformers configures it for chat templates, with the clock fixed.

Used by the scripts beside it to make expected texts. Written against jinja2 3.1.6; the options are
those that transformers documents for its chat templates (trim_blocks, lstrip_blocks, loop controls,
generation blocks, its own tojson, raise_exception, strftime_now)."""
import copy
import datetime
import functools
import json

from jinja2 import nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

NOW = 1752148800  # 2025-07-10T12:00:00Z


class Generation(Extension):
    """{% generation %}: what the assistant said; only its text matters here."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


class PlainNamespace(Namespace):
    """A namespace that refuses names with an underscore in front, as transformers' does."""

    def __init__(*args, **kwargs):
        self, args = args[0], args[1:]
        values = dict(*args, **kwargs)
        for name in values:
            PlainNamespace._check(name)
        Namespace.__init__(self, values)

    def __setitem__(self, name, value):
        PlainNamespace._check(name)
        Namespace.__setitem__(self, name, value)

    @staticmethod
    def _check(name):
        if isinstance(name, str) and name.startswith("_"):
            raise SecurityError(name)


@functools.lru_cache(1)
def environment():
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise TemplateError(message)

    def strftime_now(text):
        return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).replace(tzinfo=None).strftime(text)

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = strftime_now
    env.globals["namespace"] = PlainNamespace
    return env


@functools.lru_cache(4)
def compiled(template):
    return environment().from_string(template)


def render(template, context):
    """(text, None) or (None, the exception)."""
    try:
        text = compiled(template).render(**copy.deepcopy(context))  # indent changes a list in place
        text.encode()
        return text, None
    except Exception as error:  # whatever a template raises is an error for us too
        return None, error
