"""Reports that can be sent: of a plan or of a study, as one HTML file, a PDF, a PNG or Markdown.

`report` is the verb. `study` gathers what there is to tell, `content` decides what is said and in which order, and
`offramp.view` draws; `page`, `paper` and `markdown` lay the same content out.
"""
