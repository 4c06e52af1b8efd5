"""Charts as Vega-Lite specifications: drawn by vl-convert for reports, in the browser for the dashboard.

They are plain dictionaries: Altair, the usual builder, adds a second of import. Colours are CSS variables of the page.
"""
