"""Views of finished results. They compute nothing and never open a window."""
