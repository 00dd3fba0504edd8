"""The report page: a template, a style sheet and small scripts, put together into one file."""
