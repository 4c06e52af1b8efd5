"""Pictures: SVG made here, coloured by the page's style sheet."""
