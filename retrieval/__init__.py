"""An index of the files of a workspace, and the search in it. It imports neither Django nor the tools."""
