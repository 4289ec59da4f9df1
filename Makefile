# make demo   sets everything up and runs the main job with small models through vLLM
# make test   sets everything up and runs the tests
# make demo-real   as demo, with a real model of 135 million parameters
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
FAMILIES := zoo_base,zoo_shared_lora,zoo_independent_lora,zoo_hycora,zoo_her,zoo_rar
LOCKS := requirements/torch-cpu.lock requirements/cpu.lock
WORKERS ?= 2
NO_TORCH := "torch's CPU build was not found. Tell pip where PyTorch's CPU wheels are (PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS; see requirements/README.md) and run make again."

.PHONY: setup demo demo-real test test-fast lint bench gpu-check zoo lock clean

setup: $(STAMP)

$(STAMP): $(LOCKS) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "roleeval needs Python 3.11 or newer: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements/torch-cpu.lock || { echo $(NO_TORCH); exit 1; }
	$(PY) -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements/cpu.lock
	$(PY) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)
	$(PY) run_eval.py -m model=$(FAMILIES) benchmark=rolebench limit=30 judge=zoo_voice results_dir=results/demo \
		--then -m model=zoo_shared_lora,zoo_her experiment=zoo_scenes limit=2 results_dir=results/demo \
		--then -m model=zoo_base,zoo_her experiment=zoo_sessions limit=2 results_dir=results/demo
	$(PY) -m roleeval report results/demo --reference zoo_base --out results/demo/report
	$(PY) -m roleeval site results/demo --out results/demo/site

# The same on a real model (SmolLM2-135M-Instruct, fetched once), which also judges: bfloat16, English.
REAL := results/demo-real
demo-real: $(STAMP)
	$(PY) -m roleeval zoo fetch smollm2-135m
	$(PY) run_eval.py -m model=smollm2,smollm2_no_persona benchmark=rolebench 'benchmark.splits=[eng_general,eng_specific]' \
		engine.dtype=bfloat16 limit=24 judge=rolebench_pairwise judge.sampling.max_tokens=128 results_dir=$(REAL) \
		--then experiment=real_scenes results_dir=$(REAL) \
		--then experiment=real_sessions limit=4 results_dir=$(REAL)
	$(PY) -m roleeval report $(REAL) --out $(REAL)/report
	$(PY) -m roleeval judge-card $(REAL)
	$(PY) -m roleeval site $(REAL) --out $(REAL)/site

# Tests that load vLLM take all cores and several GiB each: they go one after the other.
test: $(STAMP)
	OMP_NUM_THREADS=1 $(PY) -m pytest -m "not vllm" -n $(WORKERS) --dist loadfile
	$(PY) -m pytest -m vllm --durations=10

test-fast: $(STAMP)
	$(PY) -m pytest -m "not vllm and not slow"

lint: $(STAMP)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports --no-logo

bench: $(STAMP)
	$(PY) -m bench

# On a machine with a GPU and the official vLLM: writes docs/gpu.md.
gpu-check: $(STAMP)
	$(PY) -m bench gpu

zoo: $(STAMP)
	$(PY) -m roleeval zoo build

# Needs uv; see requirements/README.md.
lock:
	uv pip compile requirements/cpu.in --override requirements/overrides.txt --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --output-file requirements/cpu.lock

clean:
	rm -rf $(VENV) build dist
