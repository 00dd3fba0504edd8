"""The data of the report page: everything it shows, as plain values, and the page itself as one string."""

from foveal.page.build import PageOptions, page_data, report_page

__all__ = ["PageOptions", "page_data", "report_page"]
