"""The table of the programs that may run, and of their allowed options. Nothing else runs.

These options are left out:

- options that execute: `find -exec`, `rg --pre`, `sort --compress-program`, `diff -l`
- options that write: `sort -o`, `find -fprint`, a second file for `uniq`, `git --output`
- options that read names, patterns or settings from a file: `grep -f`, `wc --files0-from`, `git -c`
- options that follow links to the outside: `find -L`, `grep -R`
- options that show content past git's pathspecs, and so the content of secrets: `git status -v`, `git log -L`,
  `git log --full-diff`
- options that never end: `tail -f`

pytest executes the code that it reads. Only the sandbox confines it, as it confines all other programs too.

Sources: the manuals of GNU coreutils 9, findutils 4.9, grep 3.8, diffutils 3.8, file 5.44, ripgrep 14, git 2.39,
pytest 9.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tools.commands.program import ALWAYS, Program, options

_DIFF = """
    -p -u --patch -s --no-patch -U=NUMBER --unified=NUMBER --raw --patch-with-raw --minimal --patience --histogram
    --diff-algorithm=WORD --stat[=WORD] --numstat --shortstat --dirstat[=WORD] --summary --patch-with-stat -z
    --name-only --name-status --color[=WORD] --no-color --color-moved[=WORD] --word-diff[=WORD] --color-words --check
    --full-index --abbrev[=NUMBER] -M[=NUMBER] --find-renames[=NUMBER] -C[=NUMBER] --find-copies[=NUMBER] --no-renames
    -D --diff-filter=WORD -S=TEXT -G=TEXT --pickaxe-regex --pickaxe-all -R -a --text -b --ignore-space-change -w
    --ignore-all-space --ignore-space-at-eol --ignore-cr-at-eol --ignore-blank-lines --inter-hunk-context=NUMBER -W
    --function-context --relative --src-prefix=WORD --dst-prefix=WORD --no-prefix --exit-code --quiet -q
    --compact-summary --no-ext-diff --no-textconv
"""
_REVISIONS = """
    -n=NUMBER --max-count=NUMBER --skip=NUMBER --since=TEXT --after=TEXT --until=TEXT --before=TEXT --author=TEXT
    --committer=TEXT --grep=TEXT --all-match --invert-grep -i --regexp-ignore-case -E --extended-regexp -F
    --fixed-strings -P --perl-regexp --merges --no-merges --min-parents=NUMBER --max-parents=NUMBER --first-parent
    --all --branches[=TEXT] --tags[=TEXT] --remotes[=TEXT] --reverse --topo-order --date-order --author-date-order
    --simplify-by-decoration --full-history --ancestry-path --left-right --cherry-pick --cherry-mark --cherry
    --boundary --not --date=TEXT --relative-date --parents --children --left-only --right-only --no-walk
"""
_PRETTY = """
    --oneline --pretty[=TEXT] --format=TEXT --graph --decorate[=WORD] --no-decorate --abbrev-commit --no-abbrev-commit
    --notes --no-notes -m -c --cc --root --source
"""
_REFERENCES = """
    --sort=FIELDS --format=FIELDS --contains=REVISION --no-contains=REVISION --merged[=REVISION] --no-merged[=REVISION]
    --points-at=REVISION --color[=WORD] --no-color --column[=WORD] --no-column -i --ignore-case
"""
_CONTENT = (*options(_DIFF), "-c", "--cc", "-m")
"""Options with which git shows, or searches, the content of files."""

# The options that every git process gets are in `tools.git.hardening`.
GIT: Final[Mapping[str, Program]] = {
    "git status": Program(
        options=options("""
            -s --short -b --branch --show-stash --porcelain[=WORD] --long -u[=WORD]
            --untracked-files[=WORD] --ignored[=WORD] -z --column[=WORD] --no-column --ahead-behind --no-ahead-behind
            --renames --no-renames --find-renames[=NUMBER]
        """),
        operands="revisions, paths",
    ),
    "git diff": Program(
        options=options(_DIFF, "--cached --staged --merge-base -1 -2 -3 --ours --theirs --base"),
        operands="revisions, paths",
        shows_content=ALWAYS,
    ),
    "git log": Program(
        options=options(_DIFF, _REVISIONS, _PRETTY, "--follow -g --walk-reflogs --log-size"),
        operands="revisions, paths",
        shows_content=_CONTENT,
        number="-n",
    ),
    "git show": Program(
        options=options(_DIFF, _PRETTY, "--date=TEXT"),
        operands="revisions, paths",
        shows_content=ALWAYS,
    ),
    "git shortlog": Program(
        options=options(_REVISIONS, "-n --numbered -s --summary -e --email -c --committer --group=WORD --format=TEXT"),
        operands="revisions, paths",
    ),
    "git blame": Program(
        options=options("""
            -L=REVISION -l -t -s -e --show-email -f --show-name -n --show-number -p --porcelain --line-porcelain
            --root --date=TEXT -w -M[=NUMBER] -C[=NUMBER] --abbrev=NUMBER --since=TEXT --first-parent --color-lines
            --color-by-age
        """),
        operands="revisions, paths",
    ),
    # `-f FILE` of git grep, and `--no-index`, read files by their names and past git: they are left out.
    "git grep": Program(
        options=options("""
            -i --ignore-case -w --word-regexp -v --invert-match -E --extended-regexp -G --basic-regexp -P
            --perl-regexp -F --fixed-strings -n --line-number --column -l --files-with-matches --name-only -L
            --files-without-match -c --count -o --only-matching -h -H --heading --break -p --show-function -W
            --function-context -A=NUMBER --after-context=NUMBER -B=NUMBER --before-context=NUMBER -C=NUMBER
            --context=NUMBER -e=TEXT --and --or --not --all-match -q --quiet --cached --max-depth=NUMBER -I -a --text
            --color[=WORD] --no-color --full-name -z --null -m=NUMBER --max-count=NUMBER
        """),
        operands="pattern, paths",
        pattern_options=("-e",),
        shows_content=ALWAYS,
        number="-C",
    ),
    "git ls-files": Program(
        options=options("""
            -c --cached -d --deleted -m --modified -o --others -i --ignored -s --stage -u --unmerged -k --killed -z -t
            -v --directory --no-empty-directory --eol --exclude-standard -x=TEXT --exclude=TEXT --full-name
            --abbrev[=NUMBER] --error-unmatch --deduplicate --format=TEXT
        """),
        operands="revisions, paths",
    ),
    "git ls-tree": Program(
        options=options(
            "-d -r -t -l --long -z --name-only --name-status --object-only --full-name --full-tree --abbrev[=NUMBER]"
            " --format=TEXT"
        ),
        operands="revisions, paths",
    ),
    "git rev-parse": Program(
        options=options("""
            --verify -q --quiet --short[=NUMBER] --abbrev-ref[=WORD] --symbolic --symbolic-full-name --show-toplevel
            --show-prefix --show-cdup --is-inside-work-tree --is-bare-repository --is-inside-git-dir
            --is-shallow-repository --all --branches[=TEXT] --tags[=TEXT] --remotes[=TEXT] --show-object-format[=WORD]
        """),
        operands="revisions, paths",
    ),
    "git rev-list": Program(
        options=options(_REVISIONS, "--count --oneline --pretty[=TEXT] --format=TEXT --abbrev-commit --timestamp"),
        operands="revisions, paths",
        number="-n",
    ),
    "git merge-base": Program(
        options=options("-a --all --octopus --independent --is-ancestor --fork-point"), operands="revisions, paths"
    ),
    "git describe": Program(
        options=options("""
            --all --tags --contains --abbrev=NUMBER --candidates=NUMBER --exact-match --long --match=TEXT
            --exclude=TEXT --always --first-parent --dirty[=WORD]
        """),
        operands="revisions, paths",
    ),
    "git name-rev": Program(
        options=options("--tags --refs=TEXT --exclude=TEXT --name-only --always --no-undefined"),
        operands="revisions, paths",
    ),
    # With an operand and no option that lists, both of these would create.
    "git branch": Program(
        options=options(
            _REFERENCES,
            "-a --all -r --remotes -v -vv --verbose -q -l --list --show-current --abbrev=NUMBER --no-abbrev",
        ),
        operands="patterns",
        operands_with=("-l", "--list"),
    ),
    "git tag": Program(
        options=options(_REFERENCES, "-l --list -n[=NUMBER]"),
        operands="patterns",
        operands_with=("-l", "--list"),
    ),
    "git for-each-ref": Program(options=options(_REFERENCES, "--count=NUMBER"), operands="revisions, paths"),
    "git show-ref": Program(
        options=options(
            "--head --tags --heads -d --dereference -s --hash[=NUMBER] --verify --abbrev[=NUMBER] -q --quiet"
        ),
        operands="patterns",
    ),
    "git reflog": Program(options=options("-n=NUMBER --date=TEXT --oneline"), operands="none", number="-n"),
    "git count-objects": Program(options=options("-v --verbose -H --human-readable"), operands="none"),
    "git version": Program(options=options("--build-options"), operands="none"),
}

_TABLE: dict[str, Program] = {
    "ls": Program(
        options=options("""
            -a --all -A --almost-all -B --ignore-backups -c -C --color[=WORD] -d --directory -f -F --classify[=WORD]
            --file-type --format=WORD --full-time -g --group-directories-first -G --no-group -h --human-readable --si
            -i --inode -I=TEXT --ignore=TEXT -k --kibibytes -l -m -n --numeric-uid-gid -N --literal -o -p -q -Q
            --quote-name --quoting-style=WORD -r --reverse -R --recursive -s --size -S --sort=WORD --time=WORD
            --time-style=TEXT -t -u -U -v -w=NUMBER --width=NUMBER -x -X -1 --zero
        """)
    ),
    "cat": Program(
        options=options("""
            -A --show-all -b --number-nonblank -e -E --show-ends -n --number -s --squeeze-blank -t -T --show-tabs -u
            -v --show-nonprinting
        """)
    ),
    "head": Program(
        options=options(
            "-c=NUMBER --bytes=NUMBER -n=NUMBER --lines=NUMBER -q --quiet --silent -v --verbose -z --zero-terminated"
        ),
        number="-n",
    ),
    "tail": Program(
        options=options(
            "-c=NUMBER --bytes=NUMBER -n=NUMBER --lines=NUMBER -q --quiet --silent -v --verbose -z --zero-terminated"
        ),
        number="-n",
    ),
    "wc": Program(options=options("-c --bytes -m --chars -l --lines -L --max-line-length -w --words --total=WORD")),
    "grep": Program(
        options=options("""
            -E --extended-regexp -F --fixed-strings -G --basic-regexp -P --perl-regexp -e=TEXT --regexp=TEXT -i
            --ignore-case --no-ignore-case -v --invert-match -w --word-regexp -x --line-regexp -c --count
            --color[=WORD] --colour[=WORD] -L --files-without-match -l --files-with-matches -m=NUMBER
            --max-count=NUMBER -o --only-matching -q --quiet --silent -s --no-messages -b --byte-offset -H
            --with-filename -h --no-filename --label=TEXT -n --line-number -T --initial-tab -Z --null -A=NUMBER
            --after-context=NUMBER -B=NUMBER --before-context=NUMBER -C=NUMBER --context=NUMBER --group-separator=TEXT
            --no-group-separator -a --text -U --binary --binary-files=WORD -D=WORD --devices=WORD -d=WORD
            --directories=WORD --exclude=TEXT --exclude-dir=TEXT -I --include=GLOB -r --recursive -z --null-data
            --line-buffered
        """),
        operands="pattern, paths",
        pattern_options=("-e", "--regexp"),
        number="-C",
        # The sandbox hides git's own folder: without this, a recursive search would report errors for it.
        fixed=("--exclude-dir=.git",),
    ),
    "rg": Program(
        options=options("""
            -e=TEXT --regexp=TEXT -A=NUMBER --after-context=NUMBER -B=NUMBER --before-context=NUMBER -C=NUMBER
            --context=NUMBER -i --ignore-case -s --case-sensitive -S --smart-case -F --fixed-strings -v --invert-match
            -w --word-regexp -x --line-regexp -c --count --count-matches --color=WORD --colors=TEXT --column
            --no-column -l --files-with-matches --files-without-match -m=NUMBER --max-count=NUMBER -o --only-matching
            -q --quiet -b --byte-offset -H --with-filename -I --no-filename -n --line-number -N --no-line-number
            --heading --no-heading -g=GLOB --glob=GLOB --iglob=GLOB -t=WORD --type=WORD -T=WORD --type-not=WORD
            --type-list --files --hidden --no-ignore --no-ignore-vcs --no-ignore-parent -u --unrestricted -d=NUMBER
            --max-depth=NUMBER --max-filesize=NUMBER --sort=WORD --sortr=WORD --stats --trim -U --multiline
            --multiline-dotall -P --pcre2 --pcre2-version -r=TEXT --replace=TEXT -p --pretty --json -0 --null
            --null-data -a --text -M=NUMBER --max-columns=NUMBER --max-columns-preview --passthru --vimgrep -j=NUMBER
            --threads=NUMBER --version --no-messages --one-file-system --crlf --encoding=WORD -E=WORD
        """),
        operands="pattern, paths",
        pattern_options=("-e", "--regexp", "--files", "--type-list", "--version", "--pcre2-version"),
        # A configuration file could set `--pre`, which runs a program (rg(1)).
        fixed=("--no-config", "--glob=!.git"),
    ),
    "find": Program(
        options=options("""
            -P -maxdepth=NUMBER -mindepth=NUMBER -depth -d -daystart -mount -xdev -noleaf -regextype=WORD -name=TEXT
            -iname=TEXT -path=TEXT -ipath=TEXT -wholename=TEXT -iwholename=TEXT -regex=TEXT -iregex=TEXT -lname=TEXT
            -ilname=TEXT -type=WORD -xtype=WORD -size=WORD -empty -amin=NUMBER -atime=NUMBER -cmin=NUMBER
            -ctime=NUMBER -mmin=NUMBER -mtime=NUMBER -newer=PATH -anewer=PATH -cnewer=PATH -samefile=PATH
            -newermt=TEXT -user=WORD -group=WORD -uid=NUMBER -gid=NUMBER -nouser -nogroup -perm=WORD -links=NUMBER
            -inum=NUMBER -used=NUMBER -readable -writable -executable -true -false -print -print0 -printf=TEXT -ls
            -prune -quit -not -a -and -o -or
        """),
        operands="expression",
    ),
    "sort": Program(
        options=options("""
            -b --ignore-leading-blanks -d --dictionary-order -f --ignore-case -g --general-numeric-sort -h
            --human-numeric-sort -i --ignore-nonprinting -k=WORD --key=WORD -M --month-sort -n --numeric-sort -r
            --reverse -R --random-sort --sort=WORD -V --version-sort -c -C --check[=WORD] -m --merge -s --stable
            -t=TEXT --field-separator=TEXT -u --unique -z --zero-terminated
        """)
    ),
    "uniq": Program(
        options=options("""
            -c --count -d --repeated -D --all-repeated[=WORD] -f=NUMBER --skip-fields=NUMBER --group[=WORD] -i
            --ignore-case -s=NUMBER --skip-chars=NUMBER -u --unique -w=NUMBER --check-chars=NUMBER -z
            --zero-terminated
        """),
        # uniq(1) writes to its second operand.
        max_operands=1,
    ),
    "diff": Program(
        options=options("""
            --normal -q --brief -s --report-identical-files -c -C=NUMBER --context[=NUMBER] -u -U=NUMBER
            --unified[=NUMBER] -e --ed -n --rcs -y --side-by-side -W=NUMBER --width=NUMBER --left-column
            --suppress-common-lines -p --show-c-function -F=TEXT --show-function-line=TEXT --label=TEXT -t
            --expand-tabs -T --initial-tab --tabsize=NUMBER -r --recursive --no-dereference -N --new-file
            --unidirectional-new-file --ignore-file-name-case -x=TEXT --exclude=TEXT -i --ignore-case -E
            --ignore-tab-expansion -Z --ignore-trailing-space -b --ignore-space-change -w --ignore-all-space -B
            --ignore-blank-lines -I=TEXT --ignore-matching-lines=TEXT -a --text --strip-trailing-cr -d --minimal
            --horizon-lines=NUMBER --color[=WORD]
        """)
    ),
    "stat": Program(options=options("-c=TEXT --format=TEXT --printf=TEXT -f --file-system -t --terse")),
    "file": Program(
        options=options("""
            -b --brief -i --mime --mime-type --mime-encoding --extension --apple -h --no-dereference -k --keep-going
            -N --no-pad -r --raw -F=TEXT --separator=TEXT -0 --print0 -v --version
        """)
    ),
    "du": Program(
        options=options("""
            -0 --null -a --all --apparent-size -b --bytes -c --total -d=NUMBER --max-depth=NUMBER -h --human-readable
            --inodes -k -m -P --no-dereference -S --separate-dirs --si -s --summarize -t=NUMBER --threshold=NUMBER
            --time[=WORD] --time-style=TEXT --exclude=TEXT -x --one-file-system -l --count-links -B=WORD
            --block-size=WORD
        """)
    ),
    "echo": Program(operands="text"),
    "pwd": Program(options=options("-L --logical -P --physical"), operands="none"),
    **GIT,
    "python": Program(options=options("--version -V -VV"), operands="none"),
    "pytest": Program(
        options=options("""
            -q --quiet -v -vv -vvv --verbose --verbosity=NUMBER -x --exitfirst --maxfail=NUMBER -k=TEXT -m=TEXT --co
            --collect-only -s --capture=WORD --tb=WORD -l --showlocals --no-showlocals --full-trace -r=WORD
            --color=WORD --durations=NUMBER --durations-min=NUMBER --no-header --no-summary --disable-warnings
            --disable-pytest-warnings --strict-markers --strict-config --runxfail --deselect=TEXT --ignore=PATH
            --ignore-glob=GLOB --noconftest --import-mode=WORD --markers --fixtures --fixtures-per-test --setup-show
            --setup-plan --setup-only --doctest-modules --keep-duplicates --version -V
        """),
        operands="tests",
        # The workspace is usually read-only, so nothing is cached. Without these folders, pytest would search for
        # `conftest.py` above the workspace, which it may not read.
        fixed=("-p", "no:cacheprovider", "--rootdir=.", "--confcutdir=."),
        environment={"PYTHONDONTWRITEBYTECODE": "1"},
    ),
}

WHITELIST: Final[Mapping[str, Program]] = MappingProxyType(_TABLE)
