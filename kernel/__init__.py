"""Interfaces of the Linux kernel that confine processes: Landlock, seccomp, privileges. Only the standard library."""
