"""The help page of run_eval.py: groups, their choices and the keys, read from conf/ without importing Hydra."""

from pathlib import Path

from roleeval.resources import resource

_HEAD = """\
Runs an evaluation: python run_eval.py [GROUP=CHOICE ...] [KEY=VALUE ...]

  python run_eval.py                                       the small model on the embedded RoleBench set
  python run_eval.py benchmark.data_dir=DIR benchmark.splits=[eng_specific] limit=500
  python run_eval.py model=base model.source.path=MODEL    a folder or a hub id
  python run_eval.py experiment=rar model.source.path=MODEL model.adapter_path=ADAPTER    a paper's setup
  python run_eval.py -m model=zoo_base,zoo_shared_lora     a sweep: every combination, one engine load
  python run_eval.py benchmark=rolebench --then benchmark=coser    in sequence, on the same engines

An interrupted run resumes with the same command; finished runs are skipped.
"""
_TAIL = """\
  -m, --multirun          sweep over comma-separated values
  hydra/launcher=NAME     with -m: basic, joblib, submitit_slurm, submitit_local (all but basic: extra `launchers`)
  --dry-run               print the first prompt of everyone in the first sample (limit=N: in N of each split), special
                          tokens written out, with its token count; nothing is asked
  roleeval plan ...       the same arguments: says what they would ask, hold, take and cost, and does nothing
  --cfg job               print the composed configuration and stop
  --config-dir DIR        a folder with your own groups (DIR/model/mine.yaml: model=mine)
  --hydra-help            Hydra's other options
"""


def help_page() -> str:
    """The text that --help prints."""
    conf = resource("conf")
    lines = [_HEAD, "Groups (each YAML in conf/GROUP/ explains its keys):"]
    for group in sorted(p for p in conf.iterdir() if p.is_dir() and p.name != "hydra"):
        lines.append(f"  {group.name:<12}{', '.join(sorted(p.stem for p in group.glob('[!_]*.yaml')))}")
        for inner in sorted(p for p in group.iterdir() if p.is_dir()):
            lines.append(f"    {group.name}/{inner.name}: {', '.join(sorted(p.stem for p in inner.glob('*.yaml')))}")
    lines += ["", "Keys and their defaults:", *_keys(conf / "config.yaml"), "", _TAIL]
    return "\n".join(lines)


def _keys(config: Path) -> list[str]:
    text = config.read_text(encoding="utf-8")
    body = text.partition("\n\n")[2].partition("\nhydra:")[0]
    return [f"  {line}" for line in body.strip().splitlines()]
