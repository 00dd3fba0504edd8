"""The pages of ``foveal serve`` besides the report: templates, a style sheet, small scripts, put together."""
