"""A Regression as JUnit XML: a suite for each model, a case for each metric and guard.

FAIL is a failure. INCONCLUSIVE is an error where the policy blocks on it, and skipped where it does not.
"""

from collections.abc import Sequence
from xml.etree import ElementTree as Xml

from roleeval.plain import plain, plain_lines
from roleeval.report.regress.compare import ComparedModel, Regression, Tested
from roleeval.report.regress.render import words
from roleeval.stats.gate import GateOutcome

_NAME = "roleeval regress"
_TEXT = 600


def junit(found: Regression) -> str:
    """The file's content."""
    suites = Xml.Element("testsuites")
    for model in found.models:
        _suite(suites, f"{model.benchmark}/{model.model}", _cases(found, model))
    return _written(suites)


def refused(reasons: Sequence[str]) -> str:
    """The file where nothing could be compared."""
    suites = Xml.Element("testsuites")
    _suite(suites, _NAME, [_case("comparable", "error", "CANNOT_COMPARE", "; ".join(reasons))])
    return _written(suites)


def _cases(found: Regression, model: ComparedModel) -> list[Xml.Element]:
    cases = [_metric(each, found) for each in words.of_model(found, model)]
    for guard in found.guards:
        if (guard.benchmark, guard.model) == (model.benchmark, model.model):
            kind = "failure" if guard.broken else ""
            cases.append(_case(f"guard {guard.name}", kind, "FAIL", words.guard_words(guard)))
    for lost in found.lost_clusters:
        if (lost.benchmark, lost.model) == (model.benchmark, model.model):
            cases.append(_case(f"cluster {lost.cluster}", "failure", "FAIL", words.cluster_words(found, lost)))
    for texts in found.texts:
        if found.policy.exact and (texts.benchmark, texts.model) == (model.benchmark, model.model):
            more = "\n".join(map(words.difference_words, texts.differences))
            kind = "failure" if texts.changed else ""
            cases.append(_case("exact texts", kind, "FAIL", words.texts_words(texts), more))
    return cases


def _metric(tested: Tested, found: Regression) -> Xml.Element:
    (row,) = words.cells([tested])
    message = ", ".join(f"{head} {cell}" for head, cell in zip(words.HEADS[1:], row[1:], strict=True))
    kind = {
        GateOutcome.PASS: "",
        GateOutcome.FAIL: "failure",
        GateOutcome.INCONCLUSIVE: "error" if found.blocks and found.policy.inconclusive == "blocks" else "skipped",
    }[tested.outcome]
    group = f" in {tested.paired.group}" if tested.paired.group else ""
    worst = [each for each in found.worst if each.metric == tested.paired.info] if kind == "failure" else []
    more = "\n\n".join(
        "\n".join(
            (
                words.worst_words(each),
                f"before: {words.said(each.before, length=_TEXT)}",
                f"now: {words.said(each.now, length=_TEXT)}",
            )
        )
        for each in worst
    )
    return _case(f"{tested.paired.info.name}{group}", kind, tested.outcome.value, message, more)


def _case(name: str, kind: str, type_: str, message: str, more: str = "") -> Xml.Element:
    case = Xml.Element("testcase", classname=_NAME, name=plain(name), time="0")
    if kind:
        attributes = {"message": plain(message)} | ({} if kind == "skipped" else {"type": type_})
        Xml.SubElement(case, kind, attributes).text = plain_lines(more) or None
    else:
        Xml.SubElement(case, "system-out").text = plain_lines(message)
    return case


def _suite(suites: Xml.Element, name: str, cases: Sequence[Xml.Element]) -> None:
    def count(tag: str) -> str:
        return str(sum(case.find(tag) is not None for case in cases))

    counts = {"failures": count("failure"), "errors": count("error"), "skipped": count("skipped")}
    suite = Xml.SubElement(suites, "testsuite", {"name": plain(name), "tests": str(len(cases)), **counts, "time": "0"})
    for case in cases:
        case.set("classname", plain(name))
    suite.extend(cases)


def _written(suites: Xml.Element) -> str:
    Xml.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(suites, encoding="unicode") + "\n"
