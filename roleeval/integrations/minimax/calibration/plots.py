"""A calibration's pictures."""

import io
from typing import TYPE_CHECKING

from roleeval.integrations.minimax.calibration.findings import Findings
from roleeval.integrations.minimax.calibration.rule import FITTED
from roleeval.integrations.minimax.calibration.scores import overall_points
from roleeval.plain import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL = 3.2  # inches
_COLOURS = ("#2a4b7c", "#c0632b")


def rule_png(findings: Findings) -> bytes:
    """Each rule's prediction against the published number, a panel a rule; b"" where nothing was fitted."""
    if findings.rule is None:
        return b""
    fits = findings.rule.fits
    figure, panels = _figure(len(fits))
    for axis, fit in zip(panels, fits, strict=True):
        for name, colour in zip(FITTED, _COLOURS, strict=True):
            published = findings.rule.published[name]
            models = list(fit.points[name])
            axis.plot(
                [published[m] for m in models], [fit.points[name][m] for m in models], "o", color=colour, label=name
            )
        _diagonal(axis)
        axis.set_title(f"{fit.rule}: rms {fit.rms:.2f}", size=10)
        axis.set_xlabel("published", size=9)
    panels[0].set_ylabel("predicted from sessions", size=9)
    panels[0].legend(fontsize=8, frameon=False)
    return _png(figure)


def models_png(findings: Findings) -> bytes:
    """Models' overall means, ours against the official ones; b"" without a judge."""
    import numpy as np

    judged = [found for each in findings.languages if (found := each.scores.judged()) is not None]
    if not judged:
        return b""
    figure, panels = _figure(len(judged), size=1.7)
    for axis, scores in zip(panels, judged, strict=True):
        assert scores.ours is not None
        official = np.nanmean(overall_points(scores.official, findings.used), axis=(1, 2))
        ours = np.nanmean(overall_points(scores.ours, findings.used), axis=(1, 2))
        axis.plot(official, ours, "o", color=_COLOURS[0])
        for name, x, y in zip(scores.models, official, ours, strict=True):
            axis.annotate(plain(name), (x, y), xytext=(4, 4), textcoords="offset points", size=7, parse_math=False)
        _diagonal(axis)
        axis.set_title(f"{scores.language}: models, overall by rule {findings.used}", size=10)
        axis.set_xlabel("official", size=9)
    panels[0].set_ylabel("our judge", size=9)
    return _png(figure)


def _figure(panels: int, *, size: float = 1.0) -> "tuple[Figure, list[Axes]]":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_PANEL * size * panels + 0.4, _PANEL * size + 0.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(1, panels, squeeze=False)[0])


def _diagonal(axis: "Axes") -> None:
    low = min(axis.get_xlim()[0], axis.get_ylim()[0])
    high = max(axis.get_xlim()[1], axis.get_ylim()[1])
    axis.plot([low, high], [low, high], color="#999999", linewidth=0.8, zorder=0)
    axis.spines[["top", "right"]].set_visible(False)


def _png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
