r"""report.tex: a document that pdflatex, xelatex and lualatex compile as it is; its tables may be copied into a paper.

Columns of values are aligned by siunitx; rules are booktabs'. Letters that the fonts of pdflatex lack are commands that
the first lines define.
"""

from collections.abc import Sequence

from roleeval.plain import plain
from roleeval.report.tables.contents import Contents
from roleeval.report.tables.facts import FactColumn, fact_columns
from roleeval.report.tables.standings import Line, Score, Standings

_PREAMBLE = r"""\documentclass{article}
\usepackage{iftex,graphicx,booktabs,siunitx}
\ifPDFTeX\usepackage[T1]{fontenc}\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}\fi
\usepackage[margin=2cm]{geometry}
\sisetup{separate-uncertainty=true,detect-weight=true,table-align-text-post=false}
% A letter that the font of pdflatex may lack: its number there, the letter itself in xelatex and lualatex.
\ifPDFTeX\newcommand{\U}[1]{\texttt{U+#1}}\else\newcommand{\U}[1]{\symbol{"#1}}\fi
\newcommand{\tied}{\textsuperscript{$\approx$}} % not separable from the best
\newsavebox{\scoresbox}
% As wide as it is, or as the line where it is wider.
\newcommand{\fit}[1]{\sbox{\scoresbox}{#1}\ifdim\wd\scoresbox>\linewidth
  \resizebox{\linewidth}{!}{\usebox{\scoresbox}}\else\usebox{\scoresbox}\fi}
\begin{document}
"""
_ESCAPED = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    '"': r"\symbol{34}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "-": "{-}",  # no ligature, no dash
    "±": r"$\pm$",
    "≈": r"$\approx$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "≠": r"$\neq$",
    "–": "--",
    "’": "'",
    "‘": "`",
    "“": "``",
    "”": "''",
} | {letter: f"\\{letter}" for letter in "&%$#_{}"}


def latex(found: Contents) -> str:
    """All headline tables as one document."""
    return _PREAMBLE + "\n".join(_table(table) for table in found.headlines) + "\\end{document}\n"


def escape(text: str) -> str:
    """Text that LaTeX sets as it is."""
    return "".join(_ESCAPED.get(letter) or _letter(letter) for letter in plain(text))


def _letter(letter: str) -> str:
    return letter if letter.isascii() or "À" <= letter <= "ÿ" else f"\\U{{{ord(letter):X}}}"


def _table(found: Standings) -> str:
    facts = fact_columns(found)
    scores = [[line.scores[place] for line in found.lines] for place in range(len(found.heads))]
    kinds = "l" + "".join("r" if column.number else "l" for column in facts) + "".join(map(_column, scores))
    heads = ["Model", *(escape(column.head) for column in facts), *(f"{{{_head(head)}}}" for head in found.heads)]
    lines = [
        *(r"\begin{table}[htbp]", r"\centering\small\setlength{\tabcolsep}{4pt}"),
        f"\\caption{{{escape(f'{found.title}. {found.caption}')}}}",
        f"\\fit{{\\begin{{tabular}}{{{kinds}}}",
        r"\toprule",
        f"{' & '.join(heads)} \\\\",
    ]
    family = None
    for place, line in enumerate(found.lines):
        if line.row.family != family:
            lines.append(r"\midrule" if family is None else r"\addlinespace")
            family = line.row.family
            lines += [f"\\multicolumn{{{len(heads)}}}{{l}}{{\\emph{{{escape(family)}}}}} \\\\"]
        lines.append(_row(found, line, facts, place))
    lines += [r"\bottomrule", r"\end{tabular}}", r"\par\smallskip\footnotesize\raggedright"]
    lines += [f"{escape(note)}\\par" for note in (found.caveat, *found.notes) if note]
    return "\n".join([*lines, r"\end{table}", ""])


def _row(found: Standings, line: Line, facts: Sequence[FactColumn], place: int) -> str:
    name = line.row.model if found.axes else line.row.label
    cells = [f"\\quad {escape(name)}", *(escape(column.texts[place]) for column in facts), *map(_value, line.scores)]
    return f"{' & '.join(cells)} \\\\"


def _head(head: str) -> str:
    """A head in lines of its words, so that it is not wider than its values."""
    lines = [""]
    for word in head.split():
        if lines[-1] and len(lines[-1]) + len(word) > 13 and word not in ("↑", "↓"):
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return r"\shortstack{" + r" \\ ".join(map(escape, lines)) + "}"


def _column(scores: Sequence[Score | None]) -> str:
    """An S column with room for the widest value, its half-width and a mark."""
    there = [score for score in scores if score]
    digits = max((len(score.mean.lstrip("-").partition(".")[0]) for score in there), default=1)
    sign = "-" if any(score.mean.startswith("-") for score in there) else ""
    decimals = max((score.decimals for score in there), default=0)
    halves = [score.half.replace(".", "").lstrip("0") for score in there if score.half]
    uncertain = f"({max(map(len, halves), default=1) or 1})" if halves else ""
    post = r",table-space-text-post=\tied" if any(score.mark == "tied" for score in there) else ""
    return f"S[table-format={sign}{digits}.{decimals}{uncertain}{post}]"


def _value(score: Score | None) -> str:
    if score is None:
        return "{--}"
    bold = r"\bfseries " if score.mark == "best" else ""
    half = f" \\pm {score.half}" if score.half else ""
    return f"{bold}{score.mean}{half}" + (r" {\tied}" if score.mark == "tied" else "")
