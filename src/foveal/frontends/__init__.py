"""Front ends: each turns one kind of network description into a graph. :mod:`foveal.frontends.trace` is the way in;
:mod:`foveal.frontends.backends` says how a new framework is added.
"""
