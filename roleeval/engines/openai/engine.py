"""The openai engine: any OpenAI-compatible endpoint (vLLM's server, SGLang, llama.cpp, a vendor's API).

The server renders the chat and has the adapters. This module makes the request's body, backs off, fails over between
several base URLs, and never accepts a late, cut-off or empty reply as an answer.
"""

import asyncio
import importlib.metadata
import logging
import os
import random
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from roleeval.engines._protocol import LoraNeed, ModelSource, Served
from roleeval.engines._router import SLACK, Router
from roleeval.engines.openai._reply import (
    BrokenReplyError,
    FilteredError,
    ServerReply,
    is_filtered,
    read_reply,
    retry_after_s,
    server_message,
)
from roleeval.engines.openai._served import Servers, model_facts
from roleeval.engines.openai._settings import OpenAISettings
from roleeval.engines.openai._wire import field_hint, named_and_extra, request_body, too_long
from roleeval.engines.turns import fitted, turns_hint
from roleeval.errors import AdapterError, ConfigError, ContextOverflowError, EngineError, cause_of
from roleeval.hashing import digest
from roleeval.secrets import masked_text
from roleeval.types import AdapterRef, Completion, Likelihood, LikelihoodRequest, Request

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

_log = logging.getLogger(__name__)

# A URL that refused a connection is asked again by others only after this many seconds.
_DOWN_S = 10.0
# Nobody waits longer for a list of models, which is only for a check.
_MODELS_TIMEOUT_S = 10.0
# Characters of a server's text that are looked at, and of these the last, where half a key could escape the masks.
_SHOWN, _TAIL = 12_000, 2_000


@dataclass(frozen=True)
class OpenAIOptions(OpenAISettings):
    """See OpenAISettings."""

    def build(self, source: ModelSource, lora: LoraNeed) -> "OpenAIEngine":
        """Makes the engine without connecting. The server holds the adapters, so `lora` is not used.

        Raises:
            ConfigError: the model has a chat template of its own, which only the server could apply.
        """
        if source.chat_template:
            raise ConfigError(
                "model.source.chat_template is not applied by engine=openai: the server renders the chat. Start the"
                f" server with --chat-template {source.chat_template} and unset the key, or use engine=vllm"
            )
        if source.template_options or source.template_date:
            raise ConfigError(
                "model.source.template_options and template_date are not applied by engine=openai: the server renders"
                " the chat. Servers like vLLM take engine.extra_body.chat_template_kwargs; or use engine=vllm"
            )
        return OpenAIEngine(self, source)


class _RetryableError(Exception):
    """An attempt that failed and may be repeated."""

    def __init__(self, reason: str, *, elsewhere: bool = False, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.elsewhere = elsewhere
        self.wait_s = wait_s


@dataclass
class _Endpoint:
    url: str
    client: "AsyncOpenAI"
    down_until: float = 0.0

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc


class OpenAIEngine:
    """See OpenAISettings. Connects with the first request."""

    likelihoods = False

    def __init__(self, options: OpenAIOptions, source: ModelSource) -> None:
        self._options = options
        self._source = source
        self._fingerprint = digest(
            "openai",
            {"served_as": options.served_as} if options.served_as else {"provider": options.provider},
            source.path,
            source.revision,
            options.extra_body,
            [options.extended_sampling, options.send_seed, sorted(options.omit)],
            *source.prompt_options,
        )
        self._slots = asyncio.Semaphore(options.max_concurrency)
        self._endpoints: list[_Endpoint] = []
        self._servers = Servers(source.path)
        self._starting = asyncio.Lock()
        self._noticed = False
        # Not for one of them's bad luck alone: only where it holds nearly all that may be under way.
        self._router = Router(options.base_urls, slack=max(SLACK, 3 * options.max_concurrency // 4), outlasting=True)
        self._key = ""

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    @property
    def served(self) -> Served:
        """See ServedElsewhere."""
        return self._servers.served

    def check(self, adapter: AdapterRef) -> None:
        """See Engine.check. The server holds its adapters: only their names are known here."""
        if adapter.path:
            raise AdapterError(
                f"adapter {adapter.path}: engine=openai cannot load it from a folder; start the server with"
                " --lora-modules NAME=FOLDER and set model.served=true model.adapter_path=NAME, or use engine=vllm"
            )

    async def start(self) -> None:
        """Makes one client for each base URL and asks each for its list of models; later calls return at once.

        Raises:
            EngineError: the API key is required and not set, or cannot be sent in a header.
        """
        async with self._starting:
            if not self._endpoints:
                self._connect()
                await asyncio.gather(*map(self._ask_models, self._endpoints))
                for difference in self._servers.differences():
                    _log.warning(
                        "%s: %s. All engine.base_urls must serve the same; give other weights or settings another"
                        " name (engine.served_as)",
                        self._source.path,
                        difference,
                    )

    def _connect(self) -> None:
        from openai import AsyncOpenAI

        options = self._options
        self._key = os.environ.get(options.api_key_env, "").strip()
        if options.api_key_required and not self._key:
            raise EngineError(f"the environment variable {options.api_key_env} (engine.api_key_env) is not set")
        if not (self._key.isascii() and self._key.isprintable()):
            # The HTTP library would repeat the header in its own error.
            raise EngineError(f"the key in {options.api_key_env} contains characters that are not allowed in a header")
        self._endpoints = [
            _Endpoint(
                url,
                AsyncOpenAI(base_url=url, api_key=self._key or "EMPTY", max_retries=0, timeout=options.timeout_s),
            )
            for url in options.base_urls
        ]

    async def _ask_models(self, endpoint: _Endpoint) -> None:
        """Takes what a server says of the model; one that does not answer says nothing."""
        try:
            async with asyncio.timeout(min(_MODELS_TIMEOUT_S, self._options.timeout_s)):
                reply = await endpoint.client.models.with_raw_response.list()
        except Exception as error:  # the client's reading of whatever a server sends fails in many ways
            _log.info("%s: no list of models (%s)", endpoint.host, self._scrub(cause_of(error)))
            return
        facts = model_facts(bytes(reply.content), self._source.path, now=time.time())
        self._servers.told(endpoint.url, {self._scrub(fact): self._scrub(value) for fact, value in facts.items()})

    async def generate(self, request: Request) -> Completion:
        """See Engine.generate."""
        if not self._endpoints:
            raise EngineError("the openai engine was not started, or is closed")
        options = self._options
        body = self._body(request)
        avoid: _Endpoint | None = None
        # The slot is kept while backing off: a server that is overloaded then gets fewer requests.
        async with self._slots:
            for attempt in range(options.max_retries + 1):
                endpoint = self._choose(request.affinity, avoid)
                try:
                    reply = read_reply(await self._send(endpoint, body), request)
                    self._hear(reply, asked=str(body["model"]))
                    return replace(reply.completion, served_by=self._fingerprint)
                except FilteredError:
                    nothing = Completion(request.prefill, "content_filter", 0, 0)
                    return replace(nothing, served_by=self._fingerprint)
                except BrokenReplyError as broken:
                    said = self._scrub(str(broken))
                    if broken.final:
                        raise EngineError(f"{endpoint.host}: {said}{field_hint(said, body)}") from None
                    failure = _RetryableError(said, elsewhere=True)
                except _RetryableError as retryable:
                    failure = retryable
                last = f"{endpoint.host}: {failure}"
                avoid = endpoint if failure.elsewhere else None
                if attempt < options.max_retries:
                    wait_s = self._wait_s(attempt, failure, endpoint)
                    _log.info("%s; retry %d of %d in %.1f s", last, attempt + 1, options.max_retries, wait_s)
                    await asyncio.sleep(wait_s)
        raise EngineError(f"{self._source.path}: no answer in {options.max_retries + 1} attempts; last error: {last}")

    def _hear(self, reply: ServerReply, *, asked: str) -> None:
        self._servers.heard(self._scrub(reply.system_fingerprint))
        if self._servers.answered(asked, self._scrub(reply.model)):
            _log.warning(
                "%s: the server says that %r answers (in the manifest: engine.server.answered_by). Check the name, or"
                " what the server gives out under it",
                asked,
                self._scrub(reply.model),
            )
        if self._servers.silent and not self._noticed and self._options.served_as is None:
            _log.info(
                "%s: the server does not report what it serves (no model list, no system_fingerprint), so a change of"
                " weights under this name would not be noticed; after a change, set engine.served_as=NAME",
                self._source.path,
            )
            self._noticed = True

    async def likelihood(self, request: LikelihoodRequest) -> Likelihood:
        """Not possible here.

        Raises:
            EngineError: always.
        """
        raise EngineError(
            "engine=openai cannot score texts: endpoints return log-probabilities of generated texts only; use"
            " engine=vllm or engine=hf"
        )

    async def scored_length(self) -> int:
        raise EngineError("engine=openai cannot score texts; use engine=vllm or engine=hf")

    def _body(self, request: Request) -> dict[str, Any]:
        options = self._options
        chat = None if request.messages is None else fitted(request.messages, self._source)
        body = request_body(
            replace(request, messages=chat),
            model=request.adapter.name if request.adapter else self._source.path,
            extended=options.extended_sampling,
            send_seed=options.send_seed,
            max_tokens_field=options.max_tokens_field,
        )
        return {name: value for name, value in (body | options.extra_body).items() if name not in options.omit}

    def _choose(self, affinity: str, avoid: _Endpoint | None) -> _Endpoint:
        now = asyncio.get_running_loop().time()
        others = [endpoint for endpoint in self._endpoints if endpoint is not avoid]
        live = [endpoint for endpoint in others if endpoint.down_until <= now] or others or self._endpoints
        by_url = {endpoint.url: endpoint for endpoint in live}
        chosen = self._router.choose(affinity, among=by_url)
        assert chosen is not None  # there is one at least
        return by_url[chosen]

    async def _send(self, endpoint: _Endpoint, body: dict[str, Any]) -> bytes:
        """One attempt: the bytes of a reply with status 200.

        Errors are raised `from None`: what the client library chains may quote the server, and the server the key.
        """
        import openai

        resource: Any = endpoint.client.chat.completions if "messages" in body else endpoint.client.completions
        named, extra = named_and_extra(body)
        self._router.begin(endpoint.url)
        try:
            # The client's own time-out restarts with every byte; this one does not.
            async with asyncio.timeout(self._options.timeout_s):
                reply = await resource.with_raw_response.create(**named, extra_body=extra)
            content = bytes(reply.content)
            return content.replace(self._key.encode(), b"***") if self._key else content
        except openai.APIStatusError as error:
            raise self._status_error(endpoint, error, body) from None
        except (openai.APITimeoutError, TimeoutError):
            raise _RetryableError(f"no answer within {self._options.timeout_s:g} s", elsewhere=True) from None
        except openai.APIConnectionError as error:
            endpoint.down_until = asyncio.get_running_loop().time() + _DOWN_S
            cause = self._scrub(f"{type(error.__cause__).__name__}: {error.__cause__}")
            raise _RetryableError(f"connection failed ({cause})", elsewhere=True) from None
        except openai.OpenAIError as error:
            raise EngineError(f"{endpoint.host}: {self._scrub(str(error))}") from None
        except Exception as error:  # the client fails to read it: an impossible charset, for one
            raise _RetryableError(f"unreadable reply ({self._scrub(cause_of(error))})", elsewhere=True) from None
        finally:
            self._router.end(endpoint.url)

    def _status_error(self, endpoint: _Endpoint, error: "APIStatusError", body: Mapping[str, Any]) -> Exception:
        status: int = error.status_code
        if is_filtered(status, error.body):
            return FilteredError()
        message = server_message(self._scrubbed(error.body), self._scrub(error.response.text))
        transient = status in (408, 409, 429) or status >= 500
        if transient and error.code != "insufficient_quota":  # a 429 that no waiting heals
            wait_s = retry_after_s(error.response.headers)
            return _RetryableError(f"HTTP {status}: {message}", elsewhere=status >= 500, wait_s=wait_s)
        if too_long(status, error.code, message):
            what = f"{endpoint.host}: prompt and answer do not fit into the context of {self._source.path}"
            return ContextOverflowError(f"{what} (HTTP {status}: {message})", shorter=True)
        if hint := turns_hint(message) + field_hint(message, body):
            message = message.rstrip(".")
        return EngineError(
            f"{endpoint.host} refused the request for {self._source.path}: HTTP {status}: {message}{hint}"
        )

    def _wait_s(self, attempt: int, failure: _RetryableError, endpoint: _Endpoint) -> float:
        options = self._options
        if failure.wait_s is None:
            return random.uniform(0.0, min(options.backoff_cap_s, options.backoff_base_s * 2.0 ** min(attempt, 32)))
        if failure.wait_s > options.max_retry_after_s:
            raise EngineError(
                f"{endpoint.host} requests a wait of {failure.wait_s:.15g} s, longer than engine.max_retry_after_s="
                f"{options.max_retry_after_s:g} ({failure})"
            )
        return failure.wait_s + random.uniform(0.0, options.backoff_base_s)  # or all who wait come back at once

    def _scrub(self, text: str) -> str:
        """A server's text without keys, as far as anybody is shown it."""
        text = text.replace(self._key, "***") if self._key else text
        if len(text) <= _SHOWN:
            return masked_text(text)
        return masked_text(text[:_SHOWN])[:-_TAIL]

    def _scrubbed(self, body: object) -> object:
        """An error's body with its message scrubbed before it is cut."""
        if isinstance(body, Mapping) and isinstance(body.get("message"), str):
            return {**body, "message": self._scrub(body["message"])}
        return body

    async def close(self) -> None:
        endpoints, self._endpoints = self._endpoints, []
        for endpoint in endpoints:
            await endpoint.client.close()

    def describe(self) -> Mapping[str, Any]:
        return {
            "kind": "openai",
            "package": f"openai=={importlib.metadata.version('openai')}",
            "model": self._source.path,
            "options": asdict(self._options),
            "server": self._servers.describe(),
        }
