"""Chat templates as text: what is known of a template before a tokenizer or a model is loaded.

    does it keep what every message says, does it refuse this order of roles      Template.check(roles)
    does it write the date                                                       Template.dated
    does it end inside an opened reasoning tag                                   Template.opened

Rendering here is for these questions alone; engines/chat.py renders what a model reads, with the tokenizer.
"""

import datetime
import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from roleeval.engines._model_files import json_object, model_file, model_json, token_content
from roleeval.engines._protocol import ModelSource
from roleeval.engines.turns import OPTIONS, fitted
from roleeval.errors import SourceError
from roleeval.types import ChatRole, LikelihoodRequest, Message, Request

_log = logging.getLogger(__name__)

_DATED = re.compile(r"\bstrftime_now\s*\(\s*(?:(['\"])(?P<format>.*?)\1)?")
# An assistant's turn is opened with reasoning: the names of tags that are known to open it (models/reply.py reads
# them back), at the very end of a prompt.
_OPENED = re.compile(
    r"(?:<(?:think|thinking|thought|seed:think|reasoning|system_thinking)>|\[THINK\]|◁think▷|<\|begin_of_thought\|>"
    r"|<\|START_THINKING\|>|<\|channel\|>analysis<\|message\|>)\s*\Z",
    re.IGNORECASE,
)
_MUCH_LATER = datetime.timedelta(days=400, hours=5, minutes=7, seconds=11)
_FILES = ("chat_template.jinja", "chat_template.json", "tokenizer_config.json")


def opened_reasoning(prompt: str) -> str:
    """The reasoning tag that a prompt ends in, with the white space after it; "" if it ends in none."""
    found = _OPENED.search(prompt)
    return found[0] if found else ""


def with_variables(template: str, variables: Mapping[str, Any]) -> str:
    """A template with variables set (`ModelSource.template_options`), whoever renders it."""
    lines = [f"{{%- set {name} = {_literal(value)} -%}}" for name, value in sorted(variables.items())]
    return "".join([*lines, template])


def _literal(value: Any) -> str:
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def read_template_file(file: str) -> str:
    """The text of `source.chat_template`.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        return Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"model.source.chat_template={file}: cannot be read ({error})") from error


def moment(source: ModelSource) -> datetime.datetime:
    """The time that templates write: the source's `template_date`, or now.

    Raises:
        SourceError: template_date is no date.
    """
    if not source.template_date:
        return datetime.datetime.now()  # local time, as transformers has it
    try:
        return datetime.datetime.fromisoformat(source.template_date)
    except ValueError as error:
        raise SourceError(
            f"model.source.template_date={source.template_date!r} is not a date; give one like 2026-01-31"
        ) from error


@dataclass(frozen=True)
class Template:
    """A chat template that was found next to a model.

    Attributes:
        text: of the template, variables set.
        name: file or model, for messages.
        tokens: special tokens that templates write, by name.
        now: what `strftime_now` writes.
    """

    text: str
    name: str
    tokens: Mapping[str, str] = field(default_factory=dict)
    now: datetime.datetime = field(default_factory=datetime.datetime.now)

    @classmethod
    def of(cls, source: ModelSource) -> "Template | None":
        """The template of a source's folder (or of a hub's local cache); None where it is not known without loading.

        Raises:
            SourceError: see `read_template_file`, `moment`.
        """
        found = {name: model_file(source, name) for name in _FILES}
        config = json_object(found["tokenizer_config.json"])
        if source.chat_template:
            text: Any = read_template_file(source.chat_template)
        else:
            of_json = json_object(found["chat_template.json"]).get("chat_template")
            text = found["chat_template.jinja"] or of_json or config.get("chat_template")
        if not isinstance(text, str):  # none, or several by name
            return None
        tokens = {
            name: token_content(config.get(name)) for name in ("bos_token", "eos_token", "pad_token", "unk_token")
        }
        name = source.chat_template or source.path
        return cls(with_variables(text, source.template_options), name, tokens, moment(source))

    @property
    def dated(self) -> tuple[str, ...]:
        """The dates that the template writes; () where it writes none."""
        formats = [found["format"] for found in _DATED.finditer(self.text)]
        if not formats:
            return ()
        try:
            later = replace(self, now=self.now + _MUCH_LATER)
            if self._rendered(("system", "user")) == later._rendered(("system", "user")):
                return ()  # a variable is set in the date's place
        except Exception:  # a template that needs more than is available here may well write it
            pass
        return tuple(dict.fromkeys(self.now.isoformat() if f is None else self.now.strftime(f) for f in formats))

    @property
    def opened(self) -> str:
        """See `opened_reasoning`; of a chat with one question."""
        try:
            return opened_reasoning(self._rendered(("user",)))
        except Exception:  # a template that needs more than is available here: the tokenizer will tell
            return ""

    def check(self, roles: Sequence[ChatRole]) -> None:
        """Refuses a template that refuses or loses turns, whatever they say.

        Raises:
            SourceError: names the template, the turn and the option that helps.
        """
        check_turns(self.name, roles, self._rendered)

    def _rendered(self, roles: Sequence[ChatRole]) -> str:
        return self.rendered([Message(role, text) for role, text in zip(roles, probes(roles), strict=True)])

    def rendered(self, chat: Sequence[Message]) -> str:
        """A chat with the assistant's turn opened. Raises whatever the template does."""
        return str(
            self._compiled.render(
                messages=[{"role": message.role, "content": message.content} for message in chat],
                tools=None,
                documents=None,
                add_generation_prompt=True,
                strftime_now=self.now.strftime,
                **self.tokens,
            )
        )

    @cached_property
    def _compiled(self) -> Any:
        return _environment().from_string(self.text)


class RefusedError(ValueError):
    """What a template's raise_exception says."""


def no_template(name: str) -> str:
    """The sentence on a model without a chat template."""
    return (
        f"{name} has no chat template: set model.source.chat_template to a Jinja file, or use a benchmark or a prompt"
        " format that sends raw prompts"
    )


def refusal(name: str, roles: Sequence[ChatRole], error: object) -> str:
    """The sentence on a template that refuses messages."""
    return f"the chat template of {name} refused the messages (roles {list(roles)}): {error}"


def check_turns(name: str, roles: Sequence[ChatRole], render: Callable[[Sequence[ChatRole]], str]) -> None:
    """Refuses a template that refuses or loses turns, whatever they say.

    Args:
        name: of the template, for messages.
        roles: of the turns.
        render: turns of `probes` with these roles; raises RefusedError where the template refuses them. What else
            goes wrong is not judged here.

    Raises:
        SourceError: names the template, the turns and the options with which it takes them.
    """
    try:
        trouble = _trouble(name, roles, render)
    except Exception:  # it needs more than is available: rendering the actual prompt will report it
        return
    if trouble:
        raise SourceError(f"{trouble}{_way_out(roles, render)}")


def _trouble(name: str, roles: Sequence[ChatRole], render: Callable[[Sequence[ChatRole]], str]) -> str:
    try:
        text = render(roles)
    except RefusedError as error:
        return refusal(name, roles, error)
    lost = [role for role, probe in zip(roles, probes(roles), strict=True) if probe not in text]
    if not lost:
        return ""
    what = " and ".join(dict.fromkeys(lost))
    return (
        f"the chat template of {name} leaves out what {what} turns say ({len(lost)} of {len(roles)} turns, roles"
        f" {list(roles)}): the model would never read it"
    )


def _way_out(roles: Sequence[ChatRole], render: Callable[[Sequence[ChatRole]], str]) -> str:
    """The options with which the template takes these turns, found by trying."""
    chat = [Message(role, text) for role, text in zip(roles, probes(roles), strict=True)]
    for names in (("fold_system",), ("merge_neighbours",), ("fold_system", "merge_neighbours")):
        changed = fitted(chat, ModelSource("", **dict.fromkeys(names, True)))  # type: ignore[arg-type]
        if changed == tuple(chat) or _trouble("", [message.role for message in changed], render):
            continue
        options = " ".join(f"model.source.{name}=true" for name in names)
        what = " and ".join(OPTIONS[name] for name in names)
        return f". Set {options} ({what}), or give another template"
    return ". Give a template that takes them: model.source.chat_template=FILE"


def probes(roles: Sequence[ChatRole]) -> list[str]:
    """A text for each turn that appears nowhere else, and that no template has a reason to change."""
    return [f"Probe{number}x{role}" for number, role in enumerate(roles)]


def says(text: str, content: str) -> bool:
    """Whether a rendered prompt holds what a message says: as it is, up to white space, or escaped as in JSON."""
    content = content.strip()
    if not content or content in text:
        return True
    escaped = (json.dumps(content, ensure_ascii=plain)[1:-1] for plain in (False, True))
    return any(form in text for form in escaped) or "".join(content.split()) in "".join(text.split())


def _environment() -> Any:
    """Jinja as transformers sets it up for chat templates."""
    import jinja2.ext
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise RefusedError(message)

    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_generation_tag(), jinja2.ext.loopcontrols]
    )
    made.filters["tojson"] = lambda value, indent=None, **_: json.dumps(value, ensure_ascii=False, indent=indent)
    made.globals["raise_exception"] = refuse
    return made


def _generation_tag() -> Any:
    """{% generation %} ... {% endgeneration %}, which marks what an assistant wrote, and changes nothing."""
    from jinja2 import nodes
    from jinja2.ext import Extension

    class Generation(Extension):
        tags = {"generation"}  # noqa: RUF012  # Jinja's own way

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body).set_lineno(line)

    return Generation


class Prompts:
    """What an engine that renders chats knows of its prompts before anything is loaded; see the protocol `Renders`.

    Attributes:
        source: of the model.
        now: the time that its template writes; one for all prompts of the engine.
        first: the first request that was asked for; engines look at its prompt before they load weights.
    """

    def __init__(self, source: ModelSource) -> None:
        self.source = source
        self.now = moment(source)
        self.first: Request | LikelihoodRequest | None = None
        self._checked: set[tuple[ChatRole, ...]] = set()

    @cached_property
    def template(self) -> Template | None:
        """The model's template, writing the engine's date; None where there is none or it takes the tokenizer."""
        template = Template.of(self.source)
        return None if template is None else replace(template, now=self.now)

    @cached_property
    def _facts(self) -> tuple[str, ...]:
        if self.template is None:
            return ()
        dates = () if self.source.template_date else self.template.dated
        if dates:
            _log.warning(
                "%s: its chat template writes the date (%s) into every prompt. Stored answers are valid for that date"
                " only; set model.source.template_date=%s to have the same prompts at any time",
                self.template.name,
                ", ".join(dates),
                self.now.date().isoformat(),
            )
        opened = self.template.opened
        return (*(f"date {date}" for date in dates), *([f"opened {opened}"] if opened else []))

    def key(self, request: Request | LikelihoodRequest) -> tuple[str, ...]:
        """What determines a prompt besides the request and the engine's fingerprint; refuses a faulty template.

        The fingerprint holds the template, so that mostly nothing is left. What is: the date where the template writes
        it, and a reasoning tag that it opens, which becomes part of the text.

        Raises:
            SourceError: the template refuses or loses turns.
        """
        self.first = self.first or request
        if request.messages is None or self.template is None:
            return ()
        roles = tuple(message.role for message in fitted(request.messages, self.source))
        if roles not in self._checked:
            self.template.check(roles)
            self._checked.add(roles)
        return self._facts

    def text(self, request: Request) -> str | None:
        """The prompt as it is sent; None where it takes the tokenizer to render it."""
        if request.messages is None:
            return f"{request.prompt}{request.prefill}"
        if self.template is None:
            return None
        try:
            return f"{self.template.rendered(fitted(request.messages, self.source))}{request.prefill}"
        except Exception:  # it needs more than is available here, or refuses the chat: the tokenizer will tell
            return None

    def check(self, request: Request) -> None:
        """Refuses a request that this model can never be sent, as far as its files tell; loads nothing.

        Raises:
            SourceError: it has no chat template, or one that refuses or loses turns.
        """
        self.key(request)
        if request.messages is not None and self.template is None and self._has_none:
            raise SourceError(no_template(self.source.path))

    @cached_property
    def _has_none(self) -> bool:
        """Whether there is surely no template: none beside a configuration that has none, nor code that might."""
        config = model_json(self.source, "tokenizer_config.json")
        several = (Path(self.source.path) / "additional_chat_templates").is_dir()
        return bool(config) and not several and not ({"chat_template", "auto_map"} & config.keys())

    def to_probe(self, roles: tuple[ChatRole, ...]) -> bool:
        """Whether the tokenizer's own template is still to be tried with this order of roles; says so once."""
        key: tuple[Any, ...] = ("tokenizer", *roles)
        new = key not in self._checked
        self._checked.add(key)
        return new
