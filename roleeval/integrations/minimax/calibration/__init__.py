"""`roleeval calibrate minimax`: how far a judge of ours agrees with the official scores, and how those are made.

DIR/
  calibration.json   rule and scale for a later run, and everything that was found, with full precision
  calibration.md     the same as tables
  rule.png           each rule's categories against the published ones
  models.png         models' means by our judge and by the official one, a panel a language
"""

from roleeval.integrations.minimax.calibration.findings import Findings, LanguageFindings, calibrate, find
from roleeval.integrations.minimax.calibration.page import print_calibration, write_calibration

__all__ = ["Findings", "LanguageFindings", "calibrate", "find", "print_calibration", "write_calibration"]
