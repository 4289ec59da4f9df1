"""Makes a result folder what an older version would have left: no infos, ranges of judges, no format, no cluster."""

import json
from pathlib import Path

from roleeval.metrics import MetricInfo
from roleeval.results import ResultFolder


def age(folder: Path) -> None:
    """Rewrites summary.json and manifest.json in the first format."""
    result = ResultFolder(folder)
    summary, manifest = result.summary(), json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert summary is not None
    del summary["info"], manifest["format"], manifest["benchmark"]["cluster"]
    for record in manifest["judges"].values():
        infos = [MetricInfo.from_json(node) for node in record.pop("infos").values()]
        record["ranges"] = {info.name: info.ends for info in infos if info.ends and not info.habit}
    result.write_json("summary.json", summary)
    result.write_json("manifest.json", manifest)
