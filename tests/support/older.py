"""Makes a result folder what an older version would have left: no infos, ranges of judges, no format, no cluster,
verdicts without form and numbers."""

import json
from pathlib import Path

from roleeval.metrics import MetricInfo
from roleeval.results import ResultFolder


def age(folder: Path) -> None:
    """Rewrites summary.json, manifest.json and judgements.jsonl in the first format."""
    result = ResultFolder(folder)
    summary, manifest = result.summary(), json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert summary is not None
    del summary["info"], manifest["format"], manifest["files"], manifest["benchmark"]["cluster"]
    for record in manifest["judges"].values():
        infos = [MetricInfo.from_json(node) for node in record.pop("infos").values()]
        record.pop("form", None)
        record["ranges"] = {info.name: info.ends for info in infos if info.ends and not info.habit}
    result.write_json("summary.json", summary)
    result.write_json("manifest.json", manifest)
    lines = [json.loads(line) for line in result.judgements.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        del line["numbers"]
    result.judgements.write_text(
        "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines), encoding="utf-8"
    )
