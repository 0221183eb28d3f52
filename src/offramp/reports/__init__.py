"""Reports that can be sent: of a plan or of a study, as one HTML file, a PDF, a PNG or Markdown.

`study` gathers what there is to tell, `content` decides what is said and in which order, `figures` draws; `page`,
`paper` and `markdown` lay the same content out.
"""

from offramp.reports.study import Study
from offramp.reports.writing import FORMATS, write_report

__all__ = ["FORMATS", "Study", "write_report"]
