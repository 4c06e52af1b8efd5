"""Charts as Vega-Lite specifications, the same for the report's still pictures and the dashboard's live ones.

Vega-Lite, because one description is drawn twice: without a browser by vl-convert (report, cards, studies) and by
vega-embed under a content security policy without ``unsafe-eval`` (dashboard), with legend, tooltips and zoom by the
library. The specifications are written here as plain dictionaries: Altair, its usual builder, adds a second of import
and nothing that is drawn. Colours are CSS variables of the page, so both themes are the page's business.
"""
