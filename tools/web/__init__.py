"""Pages and searches of the web, through a guard that connects to public addresses only."""
