"""``foveal serve``: the report page with fields on demand, and the playground, on this machine only.

The web server never computes: every call goes to a worker process with a limit on time, memory and waiting calls
(``lanes``), as JSON over pipes. What a browser may ask for is checked before that (``security``, ``uploads``).
"""
