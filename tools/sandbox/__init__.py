"""Commands in a kernel sandbox: Landlock, seccomp, resource limits, and a supervisor that ends with the service.

The service imports `sandbox`, and `protection`, `subtrees` and `output.live_text` to call it. `launcher` and its
imports run in a separate process, and use only the standard library.
"""

# The launcher imports this file too, so it must not import anything.

# The kernel is called directly, because no package fits: pyseccomp needs the system's libseccomp. landlockpy covers
# only Landlock, and starts programs to find its C library. sandlock is a compiled library with a supervisor of its own,
# and is published without that source.
