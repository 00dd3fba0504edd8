"""Networks written as a line or as YAML: the parser behind the playground, the gallery and the design search."""
