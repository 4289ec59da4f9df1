"""The system prompt and the opening message of each participant of a scene, from a prompt pack."""

from collections.abc import Sequence
from dataclasses import dataclass

from roleeval.benchmarks.coser.data import Scene
from roleeval.benchmarks.coser.rules import Rules
from roleeval.prompts import PromptPack, fill


@dataclass(frozen=True, slots=True)
class ScenePrompts:
    """System prompts and stage directions.

    Attributes:
        pack: their templates.
        rules: word limit, motivations and the predictor's form of reply.
        tags: characters write HER's tags instead of brackets.
    """

    pack: PromptPack
    rules: Rules
    tags: bool = False

    @property
    def start(self) -> str:
        """The message that every history begins with."""
        return self.pack.template("start.txt")

    @property
    def silence(self) -> str:
        """What someone hears who speaks again although nobody has said anything since."""
        return self.pack.template("silence.txt")

    def character(self, scene: Scene, name: str, background: Sequence[str] = ()) -> str:
        """A character's system prompt; the order of its parts is CoSER's.

        Source: spec/coser.md, section 2, "Actor system prompt".
        """
        others = [other for other in scene.characters if other != name]
        told = [(other, scene.profile(other)) for other in others]
        parts = (
            ("identity", name),
            ("profile", scene.profile(name)),
            ("scenario", scene.scenario),
            ("others", "\n\n".join(f"{other}: {profile}" if profile else other for other, profile in told)),
            ("motivation", scene.motivation(name, self.rules.motivation_keys)),
            ("background", "\n\n".join(background)),
            (f"format_{'tags' if self.tags else 'brackets'}", name),
            ("length", str(self.rules.word_limit)),
        )
        return "\n\n".join(
            fill(
                self.pack.template(f"actor_{part}.txt"),
                name=name,
                book=scene.book,
                words=str(self.rules.word_limit),
                **{part: text},
            )
            for part, text in parts
            if text
        )

    def environment(self, scene: Scene) -> str:
        return fill(
            self.pack.template("environment.txt"),
            book=scene.book,
            major_characters=", ".join(scene.majors or scene.characters),
            scenario=scene.scenario,
        )

    def next_speaker(self, scene: Scene) -> str:
        head = fill(
            self.pack.template("next_speaker.txt"),
            book=scene.book,
            speakers=", ".join(scene.speakers),
            scenario=scene.scenario,
        )
        return f"{head}\n\n{self.pack.template(f'next_speaker_{self.rules.next_speaker_reply}.txt')}"
