"""Patches that try to leave the workspace, reach git's folder or secrets, run a program, or be read in two ways.

Each is rejected in a tree with the files `a` (one line, `1`) and `b` (`2`), whatever surrounds it.
"""

CANARY = "canary-7c41"


def changed(path: str) -> str:
    """Return a patch that changes a file, with its prefixes."""
    return f"--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-1\n+{CANARY}\n"


def added(name: str) -> str:
    """Return a patch that adds a file under the given name."""
    return f"--- /dev/null\n+++ {name}\n@@ -0,0 +1 @@\n+{CANARY}\n"


def git(old: str, new: str, *fields: str) -> str:
    """Return one file of a git patch, without hunks."""
    return f"diff --git a/{old} b/{new}\n" + "".join(f"{field}\n" for field in fields)


def envelope(*lines: str) -> str:
    """Return a patch in the envelope format."""
    return "\n".join(("*** Begin Patch", *lines, "*** End Patch", ""))


def moved(kind: str, old: str, new: str) -> str:
    """Return a rename or a copy with unchanged content."""
    return git("x", "y", "similarity index 100%", f"{kind} from {old}", f"{kind} to {new}")


NAMES_THAT_LEAD_OUT = (
    "/etc/canary",
    "//etc/canary",
    "/../canary",
    "b//etc/../../../canary",
    "b/../canary",
    "b/../outside/canary.txt",
    "b/./../outside/canary.txt",
    "b/docs/../../outside/canary.txt",
    "b/docs/../../../../../../etc/canary",
    "../outside/canary.txt",
    "..",
    "b/..",
    '"b/../outside/canary.txt"',
    '"b/\\056\\056/outside/canary.txt"',
    '"b/\\056./outside/canary.txt"',
    '"\\057etc/canary"',
    "b/link_out",
    "b/link_folder/canary.txt",
    "b/link_folder/new.txt",
    "b/link_absolute",
    "b/link_chain/new.txt",
    "{outside}/canary.txt",
    "b/{outside}/../canary.txt",
)
NAMES_OF_GIT = (
    "b/.git/hooks/post-checkout",
    "b/.git/config",
    "b/.GIT/hooks/pre-commit",
    "b/.Git/config",
    "b/docs/.git/hooks/pre-commit",
    "b/.git",
    "b/./.git/config",
    "b//.git//config",
    '"b/\\056git/config"',
    '"b/.g\\151t/config"',
    "b/git~1/config",
    "b/.git./config",
    "b/.git /config",
    "b/.git::$INDEX_ALLOCATION/config",
    "b/.g\u200cit/config",
    "b/.git\ufeff/config",
    "b/docs\\.git\\config",
    "b/link_git/config",
)
NAMES_OF_SECRETS = ("b/.env", "b/.env.local", "b/keys/id_rsa", "b/server.key", "b/.ssh/authorized_keys", "b/.netrc")
NAMES_OF_NOTHING = (
    "",
    "b/",
    "b/.",
    ".",
    "./",
    "b/docs",
    "b/docs/",
    "b/a/below",
    "b/fifo",
    "b/x\0y",
    '"b/x\\000y"',
    '"b/caf\\351"',
    '"b/x',
    '"b/\\q"',
    '"b/x" trailing',
    "b/" + "n" * 256,
    "b/" + "d/" * 70 + "f",
    "b/" + "n" * 5000,
)
COPIES_AND_MOVES = {
    "copy_of_an_outside_file": moved("copy", "/etc/hostname", "stolen"),
    "copy_of_an_outside_file_upwards": moved("copy", "../outside/canary.txt", "stolen"),
    "copy_of_an_outside_file_quoted": moved("copy", '"../outside/canary\\056txt"', "stolen"),
    "copy_through_a_link_out": moved("copy", "link_out", "stolen"),
    "copy_through_a_linked_folder": moved("copy", "link_folder/canary.txt", "stolen"),
    "copy_of_git_config": moved("copy", ".git/config", "stolen"),
    "copy_of_a_secret": moved("copy", ".env", "stolen"),
    "copy_to_outside": moved("copy", "a", "../outside/canary.txt"),
    "copy_to_hooks": moved("copy", "a", ".GIT/hooks/post-checkout"),
    "copy_of_a_folder": moved("copy", "docs", "stolen"),
    "copy_onto_itself": moved("copy", "a", "./a"),
    "rename_from_outside": moved("rename", "../outside/canary.txt", "stolen"),
    "rename_to_outside": moved("rename", "a", "../outside/stolen"),
    "rename_to_absolute": moved("rename", "a", "/tmp/canary"),
    "rename_to_hooks": moved("rename", "a", ".git/hooks/pre-commit"),
    "rename_of_git": moved("rename", ".git", "stolen"),
    "rename_of_a_link": moved("rename", "link_inside", "stolen"),
    "rename_onto_a_file": moved("rename", "a", "b"),
    "rename_twice": moved("rename", "a", "x") + moved("rename", "a", "y"),
    "rename_with_other_marks": moved("rename", "a", "x") + changed("../outside/canary.txt"),
    "rename_half": git("a", "x", "rename from a"),
    "envelope_moves_out": envelope("*** Update File: a", "*** Move to: ../outside/stolen"),
    "envelope_moves_to_hooks": envelope("*** Update File: a", "*** Move to: .Git/hooks/pre-commit"),
    "envelope_moves_onto_a_file": envelope("*** Update File: a", "*** Move to: b"),
}
KINDS = {
    "symlink_made": git("l", "l", "new file mode 120000") + added("b/l"),
    "symlink_made_without_lines": git("l", "l", "new file mode 120000"),
    "file_becomes_symlink": git("a", "a", "old mode 100644", "new mode 120000"),
    "symlink_by_index": git("a", "a", "index 1..2 120000") + changed("a"),
    "symlink_deleted": git("link_inside", "link_inside", "deleted file mode 120000"),
    "symlink_deleted_as_a_file": git("link_inside", "link_inside", "deleted file mode 100644")
    + "--- a/link_inside\n+++ /dev/null\n@@ -1 +0,0 @@\n-1\n",
    "symlink_written_through": git("l", "l", "new file mode 120000")
    + added("b/l")
    + git("l/x", "l/x", "new file mode 100644")
    + added("b/l/x"),
    "submodule_made": git("m", "m", "new file mode 160000") + added("b/m"),
    "submodule_by_index": git("a", "a", "index 1..2 160000") + changed("a"),
    "set_user_id": git("a", "a", "old mode 100644", "new mode 104755"),
    "directory": git("d", "d", "new file mode 040000"),
    "mode_of_no_number": git("a", "a", "old mode 100644", "new mode rwxr-xr-x"),
    "mode_of_one_side": git("a", "a", "new mode 100755"),
    "binary": git("a", "a", "index 1..2 100644", "GIT binary patch", "literal 1", "IcmZPo000310RR91"),
    "binary_without_data": git("a", "a", "Binary files a/a and b/a differ"),
    "binary_without_header": "Binary files a/a and b/a differ\n",
}
OTHER_LANGUAGES = {
    "ed_script": "1c\n" + CANARY + "\n.\n!touch canary\nw\nq\n",
    "ed_script_for_a_file": "--- a\n+++ a\n1c\n!touch canary\n.\n",
    "ed_script_after_index": "Index: a\n1i\n!touch canary\n.\nw\n",
    "context_diff": f"*** a/a\n--- b/a\n***************\n*** 1 ****\n! 1\n--- 1 ----\n! {CANARY}\n",
    "normal_diff": f"1c1\n< 1\n---\n> {CANARY}\n",
    "combined_diff": f"diff --cc a\n--- a/a\n+++ b/a\n@@@ -1,1 -1,1 +1,1 @@@\n--1\n++{CANARY}\n",
    "shell": "#!/bin/sh\ntouch canary\n",
    "envelope_without_end": f"*** Begin Patch\n*** Add File: x\n+{CANARY}\n",
    "envelope_twice": envelope("*** Delete File: a") + envelope("*** Delete File: b"),
    "envelope_of_environment": envelope("*** Environment ID: x", "*** Delete File: a"),
    "envelope_around_a_diff": envelope(*changed("a").splitlines()),
    "diff_and_envelope": changed("a") + "\n" + envelope("*** Delete File: b"),
    "empty": "\n",
    "nul": "\0\n",
}
CONTRADICTIONS = {
    "huge_counts": f"--- a/a\n+++ b/a\n@@ -1,99999999999 +1,99999999999 @@\n-1\n+{CANARY}\n",
    "huge_numbers": f"--- a/a\n+++ b/a\n@@ -999999999 +999999999 @@\n-nowhere\n+{CANARY}\n",
    "negative_numbers": f"--- a/a\n+++ b/a\n@@ --1 +-1 @@\n-1\n+{CANARY}\n",
    "numbers_of_other_scripts": f"--- a/a\n+++ b/a\n@@ -\u0661 +\u0661 @@\n-1\n+{CANARY}\n",
    "overlapping_hunks": f"--- a/a\n+++ b/a\n@@ -1 +1 @@\n-1\n+x\n@@ -1 +1 @@\n-1\n+{CANARY}\n",
    "same_file_twice_from_the_same_state": changed("a") + changed("a"),
    "delete_and_change": "--- a/a\n+++ /dev/null\n@@ -1 +0,0 @@\n-1\n" + changed("a"),
    "change_and_delete": changed("a") + f"--- a/a\n+++ /dev/null\n@@ -1 +0,0 @@\n-{CANARY}\n",
    "delete_and_rename": git("a", "a", "deleted file mode 100644")
    + "--- a/a\n+++ /dev/null\n@@ -1 +0,0 @@\n-1\n"
    + moved("rename", "a", "x"),
    "change_and_rename": changed("a") + moved("rename", "a", "x"),
    "rename_and_change": moved("rename", "a", "x") + changed("a"),
    "add_twice": added("b/x") + added("b/x"),
    "add_twice_by_another_spelling": added("b/x") + added("b/./x"),
    "add_of_a_file_that_exists": added("b/a"),
    "add_and_delete": added("b/x") + f"--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-{CANARY}\n",
    "file_and_folder": added("b/x") + added("b/x/y"),
    "one_file_by_two_names": changed("a") + changed("link_inside"),
    "new_and_deleted": git("x", "x", "new file mode 100644", "deleted file mode 100644"),
    "new_and_renamed": git("a", "x", "new file mode 100644", "rename from a", "rename to x"),
    "no_file_at_all": "--- /dev/null\n+++ /dev/null\n@@ -1 +1 @@\n-1\n+2\n",
    "header_names_another": git("b", "b") + changed("a"),
    "deletion_that_leaves_lines": "--- a/a\n+++ /dev/null\n@@ -1 +1 @@\n-1\n+x\n",
    "good_then_out": changed("a") + added("b/../../outside/x"),
    "good_then_missing": changed("a") + changed("missing"),
    "good_then_mismatch": changed("a") + changed("b"),
    "lone_surrogate": changed("a") + "\ud800",
}

NAMES = (*NAMES_THAT_LEAD_OUT, *NAMES_OF_GIT, *NAMES_OF_SECRETS, *NAMES_OF_NOTHING)
PATCHES = {**COPIES_AND_MOVES, **KINDS, **OTHER_LANGUAGES, **CONTRADICTIONS}
