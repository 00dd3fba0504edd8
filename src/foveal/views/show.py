"""Which view shows which record in which form; :mod:`foveal.core.show` asks."""

WAYS: dict[str, dict[str, str]] = {
    "foveal.fields.field:Field": {
        "html": "foveal.views.text.field:field_html",
        "figure": "foveal.views.plots.field:heat_map",
    },
    "foveal.fields.usage:Usage": {"text": "foveal.views.text.usage:usage_text"},
    "foveal.report.results:Report": {
        "text": "foveal.views.text.report:plain_text",
        "html": "foveal.views.text.html:html_text",
        "csv": "foveal.views.text.csv:csv_text",
    },
    "foveal.report.results:Comparison": {"text": "foveal.views.text.comparison:plain_comparison"},
    "foveal.report.results:Growth": {"figure": "foveal.views.plots.growth:growth_curves"},
}
