"""Plug-ins: installed packages that add tools and providers through entry points, if `PLUGINS` names them."""
