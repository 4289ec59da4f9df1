"""No secret is printed or written, whatever is done with it: a canary is looked for in all that a command leaves."""

import asyncio
import json
import threading
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from endpoint import Endpoint, Fault, reply

from roleeval.cli.hydra_app import main
from roleeval.cli.invocation import invocation
from roleeval.cli.main import app

CANARY = "hunter2canary"
KEY = "sk-canary-0123456789abcdef"
ROOT = Path(__file__).parents[2]
STUB = ["--config-dir", str(ROOT / "tests" / "support" / "conf"), "engine=stub", "model=base", "model.source.path=stub"]
COMMON = ["progress=log", "limit=1", "results_dir=r", "log_file=log.txt", "benchmark.splits=[eng_general]"]
OPENAI = ["engine=openai", "model=base", "model.source.path=role-model", *COMMON]

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Runs a command in this process; gives its exit code, and all that it printed or left in a file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["run_eval.py"])

    def run(*arguments: str) -> tuple[int, str]:
        invocation.cache_clear()
        code = main(list(arguments))
        captured = capfd.readouterr()
        files = [file for file in tmp_path.rglob("*") if file.is_file()]
        left = "".join(f"{file} {file.read_bytes().decode(errors='replace')}\n" for file in files)
        return code, captured.out + captured.err + left

    yield run
    invocation.cache_clear()


GIVEN = {
    "a URL's password": "engine.base_urls=[http://user:hunter2canary@host/v1]",
    "a URL's user": "engine.base_urls=['http://hunter2canary@host/v1']",
    "a password with a slash": "engine.base_urls=[http://u:p/hunter2canary@host/v1]",
    "a query": "engine.base_urls=['https://host/v1?api_key=hunter2canary']",
    "a parameter": "engine.base_urls=['https://host/v1;sig=hunter2canary']",
    "a cookie": "+engine.extra_body.cookie=hunter2canary",
    "a header for access": "+engine.extra_body.x_auth=hunter2canary",
    "a fragment": "engine.base_urls=[https://host/v1#hunter2canary]",
    "a second URL": "engine.base_urls=[http://127.0.0.1:9/v1,http://u:hunter2canary@host/v1]",
    "headers": "+engine.extra_body.headers={X-Mine:hunter2canary}",
    "a header": "+engine.extra_body={Authorization:hunter2canary}",
    "a header with its scheme": "+engine.extra_body={extra_headers:{Authorization:'Bearer hunter2canary'}}",
    "a dotted header": "+engine.extra_body.a.Authorization=hunter2canary",
    "a key as the name of a variable": "engine.api_key_env=hunter2canary-x",
    "a key": "+engine.api_key=hunter2canary",
    "a misspelt key": "engine.api_keyy=hunter2canary",
    "a misspelt password": "+engine.pasword=hunter2canary",
    "an unknown key": "engine.base_ulr=hunter2canary",
    "an unknown key with a URL": "engine.base_ulrs=[http://u:hunter2canary@host/v1]",
    "an option": "--api-key=hunter2canary",
    "a vendor's key alone": f"{KEY}-hunter2canary",
    "a judge's URL": "judge.engine.base_urls=[http://u:hunter2canary@host/v1]",
}


@pytest.mark.parametrize("sweep", [False, True], ids=["run", "sweep"])
@pytest.mark.parametrize("kind", GIVEN)
def test_a_secret_on_the_command_line_is_refused_and_kept_nowhere(command: Command, kind: str, sweep: bool) -> None:
    several = ["-m", "seed=1,2"] if sweep else []
    code, left = command(*several, *OPENAI, GIVEN[kind], "--then", *OPENAI)
    assert code == 2
    assert CANARY not in left
    code, left = command(*several, *OPENAI, GIVEN[kind])
    assert code == 2
    assert CANARY not in left


@pytest.mark.parametrize(
    "content", ["api_key: [hunter2canary", "a: hunter2canary: x", "a:\thunter2canary\n\t- *hunter2canary"]
)
def test_a_configuration_file_that_cannot_be_read_is_named_and_not_quoted(
    command: Command, content: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("conf")
    (folder / "engine").mkdir()
    (folder / "engine" / "mine.yaml").write_text(content)
    for more in ([], ["--then", *OPENAI]):
        code, left = command("--config-dir", str(folder), "engine=mine", *OPENAI[1:], *more)
        assert code == 2
        assert "mine.yaml, line " in left and "not valid YAML" in left
        assert CANARY not in left and "Traceback" not in left


INTERPOLATED = {
    "a URL": "engine.base_urls=['${oc.env:CANARY_URL}']",
    "a header": "+engine.extra_body.a.b=${oc.env:CANARY_KEY}",
    "another value": "engine.provider=${oc.env:CANARY_KEY}",
    "a name": "engine.api_key_env=${oc.env:CANARY}",
}


@pytest.mark.parametrize(("kind", "sweep"), [*((kind, False) for kind in INTERPOLATED), ("a URL", True)])
def test_a_secret_from_the_environment_is_refused_and_kept_nowhere(
    command: Command, kind: str, sweep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_URL", f"http://user:{CANARY}@host/v1")
    monkeypatch.setenv("CANARY_KEY", f"sk-{CANARY}")
    monkeypatch.setenv("CANARY", f"{CANARY}-x")
    several = ["-m", "seed=1,2", "hydra.output_subdir=.hydra"] if sweep else ["hydra.output_subdir=.hydra"]
    code, left = command(*several, *OPENAI, "engine.base_urls=[http://127.0.0.1:9/v1]", INTERPOLATED[kind])
    assert code == 1
    assert "credential" in left or "api_key_env" in left
    assert CANARY not in left


class _Served:
    """An endpoint in a thread, for a command in this one."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint, self._loop, self._up = endpoint, asyncio.new_event_loop(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> str:
        self._thread.start()
        self._up.wait(10)
        return self._endpoint.url

    def _run(self) -> None:
        self._loop.run_until_complete(self._endpoint.__aenter__())
        self._up.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._endpoint.__aexit__())

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


def test_a_servers_echo_of_the_key_is_kept_nowhere(
    command: Command, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The whole way: a failed call, a warning, transcripts, manifest, log, a sweep's files and the report."""
    monkeypatch.setenv("MY_KEY", KEY)
    echo = json.dumps({"error": {"message": f"Incorrect \x1b[2J\r\x07\u202ekey: {KEY}", "type": KEY}}).encode()
    good = reply() | {"model": f"model of {KEY}", "system_fingerprint": f"fp {KEY}"}
    models = {"data": [{"id": "role-model", "root": f"/weights/{KEY}", "owned_by": KEY}]}
    endpoint = Endpoint(good, Fault(401, echo), Fault(500, echo), good, models=models)
    with _Served(endpoint) as url:
        engine = [f"engine.base_urls=[{url}]", "engine.api_key_env=MY_KEY", "engine.backoff_base_s=0.01"]
        code, left = command("-m", "seed=1,2", *OPENAI, *engine, "limit=2", "fail_on_error=1")
        invocation.cache_clear()
        with pytest.raises(SystemExit):
            app(["report", "r", "--out", "report"])
    captured = capfd.readouterr()
    assert code == 0
    assert endpoint.keys == [f"Bearer {KEY}"] * 5
    assert "***" in left
    everything = (
        left
        + captured.out
        + captured.err
        + "".join(file.read_bytes().decode(errors="replace") for file in Path("report").rglob("*"))
    )
    assert "role-model" in everything
    printed = captured.out + captured.err + left.partition(str(Path.cwd()))[0] + Path("log.txt").read_text()
    assert "Incorrect [2J key: ***" in printed
    assert not [c for c in printed if c != "\n" and unicodedata.category(c)[0] == "C"]
    assert not any(KEY[:length] in everything for length in range(10, len(KEY) + 1))
