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
    "foveal.check.verify:Check": {"text": "foveal.views.text.check:check_text"},
    "foveal.check.agreement:Agreement": {"text": "foveal.views.text.check:agreement_text"},
    "foveal.tasks.record:Audit": {
        "text": "foveal.views.text.audit:audit_text",
        "html": "foveal.views.text.audit:audit_html",
    },
    "foveal.tasks.tiling.record:TilePlan": {
        "text": "foveal.views.text.tiling:plan_text",
        "html": "foveal.views.text.tiling:plan_html",
    },
    "foveal.tasks.classification.record:DepthCurves": {"figure": "foveal.views.plots.classification:depth_curves"},
    "foveal.tasks.classification.record:LayerSizes": {"figure": "foveal.views.plots.classification:layer_sizes"},
    "foveal.tasks.classification.record:PathShares": {"figure": "foveal.views.plots.classification:path_lengths"},
    "foveal.tasks.classification.record:GradientCurves": {"figure": "foveal.views.plots.classification:gradient_reach"},
    "foveal.tasks.detection.record:RegionPicture": {"figure": "foveal.views.plots.detection:region_picture"},
    "foveal.tasks.detection.record:LevelPicture": {"figure": "foveal.views.plots.detection:level_picture"},
    "foveal.tasks.registration.record:UnitPlaces": {"figure": "foveal.views.plots.registration:unit_places"},
    "foveal.tasks.registration.record:OffsetCurves": {"figure": "foveal.views.plots.registration:offset_curves"},
    "foveal.tasks.segmentation.record:Spectra": {"figure": "foveal.views.plots.segmentation:spectrum_picture"},
    "foveal.designs.record:Designs": {
        "text": "foveal.views.text.designs:designs_text",
        "figure": "foveal.views.plots.pareto:pareto",
    },
    "foveal.designs.record:Conflict": {"text": "foveal.views.text.designs:conflict_text"},
}
