"""Commands in a kernel sandbox: Landlock, seccomp, resource limits, and one runs that outlives no one.

The service side is `sandbox` with `confinement`, `programs`, `capture`, `temporary` and `supervision`, and `reach`,
`parts` and `live_text` for who calls it. `launcher` and what it imports run in a child process of their own, on the
standard library alone: this file is on their way too, and so re-exports nothing.

The parts of the kernel are called directly. Of the packages that were read, pyseccomp needs the system's libseccomp,
landlockpy covers Landlock alone and looks its C library up by starting programs, and sandlock is a compiled library
with a runs of its own, whose source does not come with it.
"""
