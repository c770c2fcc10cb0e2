"""Changes of git repositories in the workspace: staging, commits and branches."""
