"""The tools of plug-ins."""
