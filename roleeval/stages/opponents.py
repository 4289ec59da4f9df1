"""The opponents of a run: other finished runs that answered the same samples, or the benchmark's references."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from roleeval.config import RunConfig
from roleeval.errors import ConfigError, NoOpponentError, ResultError
from roleeval.hashing import digest
from roleeval.judging import REFERENCES, Answer, View, reference
from roleeval.results import ResultFolder, read_transcripts
from roleeval.results.integrity import require_sound
from roleeval.results.manifest import Manifest
from roleeval.stages.identity import same_questions

log = logging.getLogger("roleeval")


@dataclass(frozen=True, slots=True)
class Opponents:
    """The opponents of a folder.

    Attributes:
        folders: finished runs.
        own: the folder itself; its samples hold the references.
        with_references: the references are one more opponent.
    """

    folders: tuple[ResultFolder, ...]
    own: ResultFolder
    with_references: bool

    @property
    def ids(self) -> list[str]:
        """Their names; never shown to a judge."""
        return [*(folder.run_id for folder in self.folders), *([REFERENCES] if self.with_references else [])]

    @classmethod
    def find(
        cls, config: RunConfig, own: ResultFolder, manifest: Manifest, against: Sequence[str] | None
    ) -> "Opponents":
        """Looks through the results of the same benchmark.

        Args:
            config: says where results are.
            own: the run that is judged.
            manifest: its manifest; opponents agree with it in data, prompts, limit, clusters and seed.
            against: names of models, or "references"; None is every comparable run. The run's own model is passed over,
                so that one list serves a sweep.

        Raises:
            NoOpponentError: a name has no comparable run.
        """
        if against is not None and not against:
            return cls((), own, with_references=False)
        found = {}
        runs = {_run(manifest)}
        for file in sorted(Path(config.options.results_dir, config.benchmark.name).glob("*/*/manifest.json")):
            folder = ResultFolder(file.parent)
            other = None if folder.path.resolve() == own.path.resolve() else _finished(folder)
            if other is None or not same_questions(other.identity, manifest.identity, config):
                continue
            if (run := _run(other)) in runs:
                log.warning("%s: a copy of a run that is compared already; it is left out", folder.path)
                continue
            runs.add(run)
            found[folder.run_id] = folder
        if against is None:
            return cls(tuple(found.values()), own, with_references=False)
        models = {run_id.partition("/")[0] for run_id in found}
        for name in against:
            if name not in models and name not in (REFERENCES, manifest.model.name):
                there = ", ".join(sorted(models)) or "none"
                raise NoOpponentError(
                    f"judge.against: {name!r} has no finished run with the same data, prompts, limit, clusters and seed"
                    f" in {config.options.results_dir}; there are: {there} (and references)"
                )
        chosen = tuple(folder for run_id, folder in found.items() if run_id.partition("/")[0] in against)
        return cls(chosen, own, with_references=REFERENCES in against)

    def answers(self, view: View) -> dict[str, dict[str, Answer]]:
        """Label -> sample id -> answer, as far as a judge may see it.

        Raises:
            ConfigError: references are an opponent, and a sample has none.
        """
        found: dict[str, dict[str, Answer]] = {}
        for folder in self.folders:
            found[folder.run_id] = {
                sample.id: view.of(transcript) for sample, transcript in read_transcripts(folder.transcripts)
            }
        if self.with_references:
            found[REFERENCES] = {}
            for sample, _ in read_transcripts(self.own.transcripts):
                text = reference(sample)
                if not text:
                    raise ConfigError(f"judge.against: references: sample {sample.id} has none")
                found[REFERENCES][sample.id] = Answer.said(text)
        return found


def _finished(folder: ResultFolder) -> Manifest | None:
    """The manifest of a finished run; a damaged one is left out, and that is said."""
    try:
        manifest = folder.manifest()
        if manifest is not None:
            require_sound(folder, manifest)
    except ResultError as error:
        log.warning("%s; until then it is no opponent", error)
        return None
    return manifest


def _run(manifest: Manifest) -> str:
    """Which run it is, wherever its folder lies and whatever that is called."""
    return digest(manifest.model.name, manifest.identity)
