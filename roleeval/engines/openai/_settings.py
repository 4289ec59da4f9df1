"""The options of the openai engine, checked."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from roleeval.engines.openai._checks import check_extra_body, check_key_variable, check_name, checked_url
from roleeval.errors import ConfigError
from roleeval.ranges import check_range


@dataclass(frozen=True)
class OpenAISettings:
    """Options of the openai engine (conf/engine/openai.yaml). None of them may hold a secret.

    Attributes:
        base_urls: of equal servers, each with its path ("http://127.0.0.1:8000/v1"). No part of the fingerprint: a
            server that is restarted elsewhere, and a second one, find the same texts in the store.
        provider: whose endpoint it is. Part of the fingerprint together with the model's served name: two providers'
            models of one name are two models.
        served_as: a name of your own for the weights and settings behind the endpoint, instead of `provider`. A
            new one keeps their texts apart from those of other weights that were served under the same name.
        api_key_env: the *name* of the environment variable that holds the key.
        api_key_required: fail where the variable is not set; otherwise such servers get the key "EMPTY".
        max_concurrency: maximum number of parallel requests, over all URLs.
        timeout_s: of one attempt, from sending to the last byte.
        max_retries: further attempts after the first.
        backoff_base_s: the first retry waits between 0 and this; the bound doubles with every retry.
        backoff_cap_s: the largest such bound.
        max_retry_after_s: a server that asks for a longer pause than this fails the request.
        extended_sampling: the server knows vLLM's top_k, min_p, repetition_penalty and add_special_tokens. They are
            then always sent, so that the server's own defaults (a generation_config.json) never apply.
        send_seed: send the request's seed.
        max_tokens_field: some vendors' models only take "max_completion_tokens".
        omit: fields of the body not to send ("temperature", "top_p": some vendors' reasoning models refuse them).
        extra_body: further fields of every body; they win over ours.
    """

    # The model is on a server: its tokenizer may not be at hand, and its calls may cost money.
    elsewhere: ClassVar[bool] = True

    base_urls: tuple[str, ...]
    provider: str = "openai-compatible"
    served_as: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    api_key_required: bool = False
    max_concurrency: int = 64
    timeout_s: float = 600.0
    max_retries: int = 6
    backoff_base_s: float = 1.0
    backoff_cap_s: float = 60.0
    max_retry_after_s: float = 300.0
    extended_sampling: bool = True
    send_seed: bool = True
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    omit: tuple[str, ...] = ()
    extra_body: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Normalises the URLs and refuses anything that may carry a secret, without repeating it.

        Raises:
            ConfigError: names the option.
        """
        urls = (self.base_urls,) if isinstance(self.base_urls, str) else self.base_urls
        if not urls:
            raise ConfigError("engine.base_urls is empty; give at least one, for example http://127.0.0.1:8000/v1")
        object.__setattr__(self, "base_urls", tuple(checked_url(url) for url in urls))
        object.__setattr__(self, "omit", tuple(self.omit))
        check_name("engine.provider", self.provider)
        check_name("engine.served_as", self.served_as)
        check_key_variable(self.api_key_env)
        check_extra_body(self.extra_body)
        if needed := {"model", "messages", "prompt"} & {*self.omit}:
            raise ConfigError(f"engine.omit: every server needs {sorted(needed)}")
        check_range(self, "max_concurrency", low=1, owner="engine")
        check_range(self, "timeout_s", low=0, above=True, owner="engine")
        check_range(self, "max_retries", "backoff_base_s", "backoff_cap_s", "max_retry_after_s", low=0, owner="engine")
