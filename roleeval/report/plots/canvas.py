"""What all plots share: style, letters of any language, what a model looks like, captions, files.

A plot is drawn without pyplot, so that no window system and no state of another program's plots matter.
"""

import io
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from roleeval.plain import plain
from roleeval.report.found.collect import RunResult
from roleeval.report.found.compare import RunSet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = ("svg", "pdf", "png")
GREY = "#666666"
_HERE = Path(__file__).parent
_FONT = _HERE / "fonts" / "NotoSansCJKsc-GB2312.otf"
# Fonts of Chinese, Japanese and Korean that systems have; for letters that the font in this folder lacks.
_INSTALLED = (
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "Microsoft YaHei",
    "PingFang SC",
    "WenQuanYi Micro Hei",
    "SimHei",
)
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "os^DvPX"
_LINES = ("-", "--", "-.", ":")
_NAME_LETTERS = 34


@dataclass(frozen=True, slots=True)
class Plot:
    """A finished plot: the name of its files, its caption, and the files' contents by kind."""

    name: str
    caption: str
    files: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Look:
    """How a model is drawn; different in colour, in marker and in line."""

    colour: str
    marker: str
    line: str


@dataclass(frozen=True, slots=True)
class Cast:
    """Whose values a plot shows.

    Attributes:
        run_set: the set.
        rows: its rows that are drawn, in order.
        looks: name of a row -> its look, the same in all plots of a report.
    """

    run_set: RunSet
    rows: tuple[RunResult, ...]
    looks: Mapping[str, Look]

    @property
    def styles(self) -> list[Look]:
        """The looks of its rows."""
        return [self.looks[row.label] for row in self.rows]


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """Name -> look; after seven names marker and line change."""
    count = len(_COLOURS)
    return {
        label: Look(
            _COLOURS[n % count], _MARKERS[(n + n // count) % len(_MARKERS)], _LINES[(n + n // count) % len(_LINES)]
        )
        for n, label in enumerate(dict.fromkeys(labels))
    }


def names(rows: Sequence[RunResult]) -> list[str]:
    """The rows' names, cut where that still tells them apart, else what was added on a line of its own."""
    full = [plain(row.label) for row in rows]
    cut = [name if len(name) <= _NAME_LETTERS else f"{name[: _NAME_LETTERS - 1]}…" for name in full]
    return cut if len(set(cut)) == len(set(full)) else [name.replace(" (", "\n(", 1) for name in full]


@contextmanager
def styled() -> Iterator[None]:
    """Everything drawn within has the reports' style and fonts."""
    import matplotlib
    from matplotlib import font_manager

    fonts = font_manager.fontManager
    if not any(Path(font.fname) == _FONT for font in fonts.ttflist):
        fonts.addfont(_FONT)
    there = {font.name for font in fonts.ttflist}
    family = ["DejaVu Sans", *(name for name in _INSTALLED if name in there)]
    with (
        matplotlib.rc_context(fname=str(_HERE / "style.mplstyle")),
        matplotlib.rc_context({"font.family": family}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def figure(width: float, height: float) -> "Figure":
    """An empty figure, in inches; within `styled`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = Figure(figsize=(width, height))
    FigureCanvasAgg(found)
    return found


@dataclass(frozen=True, slots=True)
class Drawing:
    """A plot that is drawn and not saved yet: making a file of a kind takes about as long as drawing it."""

    figure: "Figure"
    name: str
    caption: str

    def saved(self, kinds: Sequence[str] = ()) -> Plot:
        """The plot's files, of all kinds where none is named; within `styled`. The same bytes for the same data."""
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")  # every kind has this layout; making it is most of the work
        return Plot(self.name, self.caption, {kind: _saved(self.figure, kind) for kind in kinds or KINDS})


def _saved(drawn: "Figure", kind: str) -> bytes:
    stream = io.BytesIO()
    metadata = {
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    }
    drawn.savefig(stream, format=kind, metadata=metadata.get(kind, {"Software": None}))
    return stream.getvalue()


def model_axis(axes: "Axes", rows: Sequence[RunResult]) -> None:
    """Models down the y axis, the first on top."""
    axes.set_yticks(range(len(rows)), names(rows))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def interval(
    axes: "Axes", at: float, ends: tuple[float | None, float | None], *, colour: str, upright: bool = False
) -> None:
    """A line from end to end of an interval; nothing without one."""
    low, high = ends
    if low is not None and high is not None:
        (axes.vlines if upright else axes.hlines)(at, low, high, color=colour, linewidth=2, alpha=0.55)
