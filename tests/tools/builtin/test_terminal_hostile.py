"""Hostile commands, run by the tool, and run directly in the sandbox if the whitelist would reject them.

Each looks for a canary: files outside that must be neither read nor written, and a program outside.
The others are the service's environment, a secret in the workspace, a token in git's settings, and a local port.
"""

import os
import shlex
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from tests.tools.commands.terminals import contents, git, terminal_of, verdict
from tools.base import Tool
from tools.sandbox.policy import Limits
from tools.sandbox.refusals import CommandRefusedError
from tools.sandbox.sandbox import Sandbox
from tools.sandbox.subtrees import parts_without
from tools.workspace import SecretNames, Workspace
from tools.workspace.confinement.names import is_git

OUTSIDE, SERVICE, SECRET, TOKEN, RAN = (
    f"canary-of-{name}" for name in ("the-outside", "the-service", "the-secret", "the-token", "the-program")
)
CANARIES = (OUTSIDE, SERVICE, SECRET, TOKEN, RAN)
HOSTILE_CONFIG = """
[core]
    fsmonitor = {program}
    pager = {program}
    sshCommand = {program}
    hooksPath = {outside}
    attributesFile = {outside}/attributes
[pager]
    log = {program}
    diff = {program}
[diff]
    external = {program}
[diff "evil"]
    textconv = {program}
    command = {program}
[filter "evil"]
    clean = {program}
    smudge = {program}
[alias]
    own = !{program}
    st = !{program}
[gpg]
    program = {program}
[remote "origin"]
    url = https://bob:canary-of-the-token@example.org/x.git
    uploadpack = {program}
"""

SHELL = """
cat a.txt | sh
cat a.txt|sh
ls; cat {outside}/secret.txt
ls && {outside}/program
ls || {outside}/program
echo $CANARY_OF_THE_SERVICE
echo "$CANARY_OF_THE_SERVICE"
echo ${{CANARY_OF_THE_SERVICE}}
echo "${{CANARY_OF_THE_SERVICE}}"
echo `cat {outside}/secret.txt`
echo "`cat {outside}/secret.txt`"
echo $(cat {outside}/secret.txt)
echo "$(cat {outside}/secret.txt)"
cat < {outside}/secret.txt
cat <{outside}/secret.txt
cat << EOF
cat <(cat {outside}/secret.txt)
echo x > {outside}/new.txt
echo x >> a.txt
ls 2> {outside}/new.txt
ls &> {outside}/new.txt
ls >| {outside}/new.txt
{outside}/program &
(cat {outside}/secret.txt)
{{ ls; }}
A=1 ls
LD_PRELOAD=./evil.so ls
GIT_EXTERNAL_DIFF={outside}/program git diff
cat ~/.ssh/id_rsa
cat ~root/.bashrc
cat .e*
cat .en?
cat .[e]nv
cat .{{env,git}}
cat ../*/secret.txt
! {outside}/program
echo !!
ls # {outside}
echo $'\\x2eenv'
echo $((1+1))
ls "$(echo .env)"
"""

PROGRAMS = """
rm -rf .
sh -c {outside}/program
bash -c {outside}/program
dash {outside}/program
env
printenv CANARY_OF_THE_SERVICE
xargs {outside}/program
sudo id
su root
nohup {outside}/program
setsid {outside}/program
timeout 1 {outside}/program
nice {outside}/program
perl -e 1
awk BEGIN
sed -i s/a/b/ a.txt
tee {outside}/new.txt
dd if={outside}/secret.txt
cp {outside}/secret.txt stolen
mv a.txt {outside}/moved
ln -s / root
chmod 777 .
touch new
mkdir new
mkfifo new
kill -9 1
curl http://127.0.0.1:{port}/
wget http://127.0.0.1:{port}/
nc 127.0.0.1 {port}
ssh 127.0.0.1
vim a.txt
less a.txt
tar cf {outside}/new.tar .
zip {outside}/new.zip a.txt
make -f evil.mk
pip install x
npm install
gdb -p 1
strace -p 1
mount
unshare -r id
chroot / id
crontab -l
docker ps
busybox sh
python3 -c 1
./program
{workspace}/program
{outside}/program
../outside/program
/bin/cat a.txt
/usr/bin/env cat a.txt
LS
ls\\ -la
eval ls
exec ls
source a.txt
. a.txt
cd ..
export A=1
alias ls=id
"""

OPTIONS = """
find . -exec {outside}/program +
find . -execdir {outside}/program +
find . -ok {outside}/program +
find . -okdir {outside}/program +
find . -name a.txt -delete
find . -fprint {outside}/new.txt
find . -fprint0 {outside}/new.txt
find . -fprintf {outside}/new.txt x
find . -fls {outside}/new.txt
find -L . -name secret.txt
find -H link-folder
find . -follow
find -files0-from a.txt
find -D exec .
find -O3 .
rg --pre {outside}/program x
rg --pre={outside}/program x
rg --pre-glob '*.txt' x
rg -z x
rg --search-zip x
rg --hostname-bin {outside}/program x
rg --hostname-bin={outside}/program x
rg -f {outside}/secret.txt x
rg --ignore-file {outside}/secret.txt x
rg -L x
rg --follow x
grep -f {outside}/secret.txt a.txt
grep --file={outside}/secret.txt a.txt
grep --fil={outside}/secret.txt a.txt
grep --exclude-from={outside}/secret.txt x a.txt
grep -R x .
grep -rR x .
grep --dereference-recursive x .
grep -nf{outside}/secret.txt a.txt
sort -o {outside}/new.txt a.txt
sort -o{outside}/new.txt a.txt
sort --output={outside}/new.txt a.txt
sort --outp={outside}/new.txt a.txt
sort -no {outside}/new.txt a.txt
sort --compress-program={outside}/program a.txt
sort --compress={outside}/program a.txt
sort -T {outside} a.txt
sort --temporary-directory={outside} a.txt
sort --files0-from={outside}/secret.txt
sort --random-source={outside}/secret.txt -R a.txt
sort --batch-size=2 a.txt
wc --files0-from={outside}/secret.txt
wc --files0-from=-
du --files0-from={outside}/secret.txt
du -X {outside}/secret.txt .
du --exclude-from={outside}/secret.txt .
du -L .
du -D link-folder
ls -L
ls -lH link-folder
ls --dereference
ls --dereference-command-line link-folder
tail -f a.txt
tail -F a.txt
tail --follow=name a.txt
tail -fn1 a.txt
tail --retry a.txt
tail --pid=1 a.txt
uniq a.txt {outside}/new.txt
uniq a.txt new.txt
diff -l a.txt docs/b.txt
diff --paginate a.txt docs/b.txt
diff -X {outside}/secret.txt . docs
diff --exclude-from={outside}/secret.txt . docs
diff --from-file={outside}/secret.txt a.txt
diff --to-file={outside}/secret.txt a.txt
file -f {outside}/secret.txt
file --files-from {outside}/secret.txt
file -m {outside}/secret.txt a.txt
file -C -m a.txt
file -z a.txt
file -s /dev/zero
file -L link-out
file -p a.txt
file -S a.txt
stat -L link-out
stat --dereference link-out
cat --unknown
head --files=1 a.txt
python -c 1
python -m http.server
python -i
python a.py
python - a.py
python -VV -c 1
pytest -p evil
pytest -pevil
pytest -c {outside}/pytest.ini
pytest --rootdir={outside}
pytest --rootdir {outside}
pytest --confcutdir={outside}
pytest -o cache_dir={outside}
pytest --override-ini=cache_dir={outside}
pytest --basetemp={outside}
pytest --junitxml={outside}/new.xml
pytest --junit-xml={outside}/new.xml
pytest --log-file={outside}/new.log
pytest --pastebin=all
pytest --debug={outside}/new.log
pytest --pdb
pytest --pdbcls=evil:Evil
pytest --pyargs os
pytest -W error::evil.Evil
git -c core.pager={outside}/program log
git -ccore.pager={outside}/program log
git -C {outside} status
git --exec-path={outside} status
git --git-dir={outside} log
git --work-tree={outside} status
git --config-env=core.pager=CANARY log
git --namespace=x log
git -p log
git --paginate log
git own
git diff --ext-diff
git diff --textconv
git log -p --textconv
git show --textconv HEAD
git log -p --ext-diff
git diff --output={outside}/new.txt
git diff --outp={outside}/new.txt
git log --output={outside}/new.txt
git show --output {outside}/new.txt
git diff --no-index a.txt {outside}/secret.txt
git diff -O{outside}/secret.txt
git log -O{outside}/secret.txt
git diff --submodule=diff
git diff --ignore-submodules=none
git status --ignore-submodules=none
git log --show-signature
git grep -O{outside}/program x
git grep --open-files-in-pager={outside}/program x
git grep --no-index x
git grep --untracked x
git grep -f {outside}/secret.txt
git grep --recurse-submodules x
git ls-files --exclude-from={outside}/secret.txt
git ls-files -X {outside}/secret.txt
git ls-files --recurse-submodules
git ls-remote --upload-pack={outside}/program .
git fetch --upload-pack={outside}/program .
git pull
git push --receive-pack={outside}/program .
git clone -u {outside}/program . new
git archive --exec={outside}/program HEAD
git bundle create {outside}/new.bundle HEAD
git config -l
git config core.pager {outside}/program
git init {outside}/new
git add .
git commit -m x
git checkout .
git switch main
git restore a.txt
git reset --hard
git clean -fdx
git gc
git stash
git stash list
git rebase -x {outside}/program
git bisect run {outside}/program
git submodule foreach {outside}/program
git worktree add {outside}/new
git remote -v
git cat-file --textconv HEAD:a.txt
git cat-file -p HEAD:.env
git hash-object -w a.txt
git apply a.txt
git am a.txt
git filter-branch --tree-filter {outside}/program
git daemon
git difftool -x {outside}/program
git mergetool
git help -a
git blame --contents {outside}/secret.txt a.txt
git blame -S {outside}/secret.txt a.txt
git blame --ignore-revs-file={outside}/secret.txt a.txt
git status -v
git log -L1,3:a.txt
git log -p --full-diff -- a.txt
git for-each-ref --format='%(raw)'
git show HEAD:docs/../x-0-g{blob}
git show blob-tag^{{}}
git branch new
git branch -D main
git branch -m main other
git branch --edit-description
git branch --set-upstream-to=x
git tag new
git tag -d v1
git tag -F {outside}/secret.txt new
git reflog expire --all
git reflog delete HEAD
git rev-parse --git-path hooks
git rev-parse --parseopt
git show HEAD^{{blob}}
git update-ref refs/heads/new HEAD
git --help
git
"""

PATHS = """
cat /etc/passwd
cat /etc/shadow
cat {outside}/secret.txt
cat ../outside/secret.txt
cat docs/../../outside/secret.txt
cat ./../outside/secret.txt
cat {workspace}/../outside/secret.txt
cat //etc/passwd
cat /proc/self/environ
cat /proc/1/environ
cat /dev/zero
head -c 10 /dev/mem
head /proc/self/mem
tail {outside}/secret.txt
wc {outside}/secret.txt
sort {outside}/secret.txt
uniq {outside}/secret.txt
file {outside}/secret.txt
stat /root
ls /
ls ..
ls -R /home
ls {outside}
du -s /
du -s ..
diff a.txt {outside}/secret.txt
diff -r . ..
grep canary {outside}/secret.txt
grep -r canary /
grep -r canary ..
grep -e canary {outside}/secret.txt
rg canary {outside}
rg --files /
find / -name shadow
find .. -name secret.txt
find . {outside} -name secret.txt
find . -newer {outside}/secret.txt
find . -samefile {outside}/secret.txt
git log -- ../outside
git log -- {outside}
git diff {outside}/secret.txt a.txt
git blame ../outside/secret.txt
git show HEAD:../../outside/secret.txt
git ls-files ../outside
pytest {outside}/test_evil.py
pytest ../outside
pytest {outside}/test_evil.py::test_x
pytest --ignore=../outside
"""

SECRETS = """
cat .env
cat ./.env
cat .//.env
cat docs/../.env
cat {workspace}/.env
cat .ENV
cat .env.
cat -- .env
cat '.env'
cat ".env"
cat .en\\v
cat .env/
head -c 100 .env
tail -n 1 .env
sort .env
wc -c .env
file .env
stat .env
diff a.txt .env
diff .env a.txt
grep canary .env
grep -e canary .env
grep -r --include=.env canary .
grep -r --include '*.env' canary .
rg -g .env canary
rg --glob=.env canary
rg canary .env
find . -newer .env
find .env
cat .ssh/id_rsa
cat server.pem
cat docs/.env.local
pytest .env
git show HEAD:.env
git show HEAD:./.env
git show :.env
git show :0:.env
git show main~0:.env
git diff -- .env
git diff HEAD .env
git diff HEAD:.env HEAD:a.txt
git log -p -- .env
git log -L1,2:.env
git log -- ':(glob)**/.env'
git log -- ':(top).env'
git blame .env
git grep canary -- .env
git grep canary HEAD -- .env
git ls-files .env
cat .git/config
cat .git/../.git/config
cat .GIT/config
cat '.git /config'
cat git~1/config
ls .git
find .git -name config
grep -r token .git
grep token .git/config
du -s .git
git log -- .git/config
"""

HARMLESS = """
cat link-out
cat link-folder/secret.txt
cat link-secret
cat link-config
cat docs/link-up/secret.txt
head -n 1 link-out
tail -n 1 link-out
wc -c link-out
sort link-out
uniq link-out
file link-out
file link-secret
stat link-out
stat link-folder/secret.txt
ls -la
ls -la link-folder
ls -la link-folder/
ls -lR .
du -sh link-folder/
diff link-out a.txt
diff -r link-folder docs
diff -rN . docs
grep canary link-out
grep -r canary .
grep -rn canary-of .
grep -rz canary .
grep -r canary link-folder
grep -c '' link-secret
find . -name '.env*'
find . -type f -size -10k
find link-folder/ -name '*'
find . -samefile a.txt
find . -printf '%p %l\\n'
echo .env /etc/passwd --exec
echo '$CANARY_OF_THE_SERVICE' '`id`' '$(id)'
pwd
pwd -P
python --version
git status
git status --porcelain=v2 --branch
git status -uall --ignored
git diff
git diff HEAD
git diff --stat HEAD
git diff --cached
git diff -S canary
git log -p
git log -p --all
git log --stat
git log -p -m
git log '--format=%G?'
git log -G canary -p
git show
git show HEAD
git show HEAD:a.txt
git show {blob}
git show {short}
git show {blob} {blob}
git diff {blob} {other}
git diff {blob}..{other}
git diff {blob} a.txt
git diff HEAD -- '.en?'
git diff HEAD -- '*e*'
git log -p -- '.e*'
git blame a.txt
git grep canary
git grep canary HEAD
git grep canary {blob}
git show x-0-g{blob}
git show x-0-g{short}
git show HEAD..x-0-g{blob}
git show HEAD:a..x-0-g{blob}
git show blob-tag
git diff a.txt blob-tag
git diff HEAD:a.txt blob-tag
git grep -e canary blob-tag
git grep canary x-0-g{short}
git log -p x-0-g{blob}
git log -g -p blob-tag
git tag -n -l
git grep -n '' HEAD
git grep --cached canary
git ls-files -o
git ls-files -s
git ls-tree -r HEAD
git rev-parse HEAD:a.txt
git branch -a -vv
git branch --format='%(contents)'
git tag -l -n
git for-each-ref --format='%(contents)'
git shortlog HEAD
git describe --always --dirty
git reflog
git show-ref
"""

CASES = {
    (expected, line): expected
    for expected, text in {
        "not_allowed": SHELL + PROGRAMS + OPTIONS + SECRETS,
        "outside_workspace": PATHS,
        "ran": HARMLESS,
    }.items()
    for line in filter(None, text.splitlines())
}

LISTS = {
    "several lines": (["ls\n{outside}/program"], "not_allowed"),
    "a NUL": (["cat", ".env\0.txt"], "invalid_params"),
    "a lone surrogate": (["cat", "\ud800"], "invalid_params"),
    "an empty name": ([""], "invalid_params"),
    "too many words": (["ls"] + ["a.txt"] * 600, "invalid_params"),
    "a huge word": (["cat", "x" * 70_000], "invalid_params"),
    "a glob that is none": (["cat", ".e*"], "ran"),
    "a home that is none": (["cat", "~/.ssh/config"], "not_allowed"),
    "a variable that is none": (["cat", "$HOME/x"], "ran"),
    "an option behind two dashes": (["cat", "--", "-o"], "ran"),
    "an option among the operands": (["sort", "a.txt", "-o", "{outside}/new.txt"], "not_allowed"),
    "a value that is an option": (["grep", "-e", "-f", "{outside}/secret.txt"], "outside_workspace"),
    "two dashes as a value": (["grep", "-e", "--", "-f{outside}/secret.txt"], "not_allowed"),
    "a newline in a path": (["cat", "a\n../outside/secret.txt"], "ran"),
    "a secret behind a newline": (["git", "show", "HEAD:\n/.env"], "not_allowed"),
    "a program with a blank": (["ls -la"], "not_allowed"),
    "a program with a slash": (["bin/ls"], "not_allowed"),
    "git's command with a dash": (["git", "-c", "alias.x=!{outside}/program", "x"], "not_allowed"),
    "git's command with a blank": (["git", "log --output={outside}/new.txt"], "not_allowed"),
}

ALONE = {
    "sh": [
        "sh",
        "-c",
        "cat {outside}/secret.txt; {outside}/program; echo x > {outside}/new.txt; echo $CANARY_OF_THE_SERVICE",
    ],
    "sh in the workspace": ["sh", "-c", "./program; echo x > new.txt; rm -rf a.txt docs; cat .env; cat link-secret"],
    "the program by its loader": ["sh", "-c", "/lib64/ld-linux-x86-64.so.2 {outside}/program; exit 0"],
    "all that can be read": ["sh", "-c", "cat .env .git/config ../outside/* /proc/*/environ ~/.env link-*"],
    "tar": ["tar", "cf", "{outside}/new.tar", "."],
    "tar's checkpoints": [
        "tar",
        "cf",
        "/dev/null",
        "--checkpoint=1",
        "--checkpoint-action=exec={outside}/program",
        ".",
    ],
    "env": ["env"],
    "env that starts": ["env", "{outside}/program"],
    "xargs": ["xargs", "-a", "{outside}/secret.txt", "echo"],
    "sed": ["sed", "-i", "s/a/b/", "a.txt"],
    "sed that runs": ["sed", "1e {outside}/program", "a.txt"],
    "sed that writes": ["sed", "w {outside}/new.txt", "a.txt"],
    "awk": [
        "awk",
        'BEGIN {{ system("{outside}/program"); while ((getline line < "{outside}/secret.txt") > 0) print line }}',
    ],
    "perl": ["perl", "-e", "exec '{outside}/program'"],
    "cp": ["cp", "{outside}/secret.txt", "stolen.txt"],
    "cp that shows": ["cp", ".env", "/dev/stdout"],
    "dd": ["dd", "if={outside}/secret.txt"],
    "dd that writes": ["dd", "if=/dev/zero", "of={outside}/secret.txt", "count=1"],
    "ln": ["ln", ".env", "docs/name.txt"],
    "mv": ["mv", "a.txt", "b.txt"],
    "rm": ["rm", "-rf", "{workspace}", "{outside}"],
    "truncate": ["truncate", "-s", "0", "{outside}/secret.txt"],
    "chmod": ["chmod", "777", "{outside}/secret.txt"],
    "touch": ["touch", "{outside}/secret.txt", "new.txt"],
    "tee": ["tee", "{outside}/new.txt"],
    "install": ["install", "-m", "777", "a.txt", "{outside}/new.txt"],
    "a connection": ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/{port}; echo x >&3"],
    "a datagram": ["bash", "-c", "echo x > /dev/udp/127.0.0.1/{port}"],
    "python reading": ["python", "-c", "print(open('{outside}/secret.txt').read())"],
    "python writing": ["python", "-c", "open('{outside}/new.txt', 'w').write('x')"],
    "python running": ["python", "-c", "import os; os.execv('{outside}/program', ['x'])"],
    "python connecting": ["python", "-c", "import socket; socket.create_connection(('127.0.0.1', {port}))"],
    "python's parent": ["python", "-c", "import os; print(open('/proc/%d/environ' % os.getppid()).read())"],
    "cat outside": ["cat", "{outside}/secret.txt"],
    "cat a secret": ["cat", ".env", "link-secret", "docs/.env.local"],
    "cat git's settings": ["cat", ".git/config"],
    "find -exec": ["find", ".", "-exec", "{outside}/program", "{{}}", "+"],
    "find -exec sh": ["find", ".", "-maxdepth", "0", "-exec", "sh", "-c", "echo x > new.txt; cat {outside}/*", ";"],
    "find -delete": ["find", ".", "-delete"],
    "find -fprint": ["find", ".", "-fprint", "{outside}/new.txt"],
    "find -L": ["find", "-L", ".", "-type", "f", "-exec", "cat", "{{}}", "+"],
    "sort -o": ["sort", "-o", "{outside}/new.txt", "a.txt"],
    "sort -o here": ["sort", "-o", "a.txt", "a.txt"],
    "sort's program": ["sort", "--compress-program={outside}/program", "-S", "1b", "many.txt"],
    "sort's lists": ["sort", "--files0-from={outside}/secret.txt"],
    "sort elsewhere": ["sort", "-T", "{outside}", "-S", "1b", "many.txt"],
    "uniq": ["uniq", "a.txt", "{outside}/new.txt"],
    "grep -f": ["grep", "-f", "{outside}/secret.txt", "a.txt"],
    "grep -R": ["grep", "-R", "canary", "."],
    "grep of everything": ["grep", "-rs", "canary-of", "/etc", "/home", "/proc/self", "{outside}", "."],
    "wc's lists": ["wc", "--files0-from={outside}/secret.txt"],
    "du's lists": ["du", "--files0-from={outside}/secret.txt"],
    "diff's pages": ["diff", "-l", "a.txt", "{outside}/secret.txt"],
    "file's lists": ["file", "-f", "{outside}/secret.txt"],
    "file's own magic": ["file", "-C", "-m", "a.txt"],
    "tail's secret": ["tail", "-n", "5", "{outside}/secret.txt", ".env"],
    "git's setting": ["git", "-c", "core.pager={outside}/program", "-p", "log"],
    "git's alias": ["git", "-c", "alias.x=!{outside}/program", "x"],
    "git's alias here": ["git", "own"],
    "git's monitor": ["git", "status"],
    "git's diff": ["git", "diff", "--ext-diff"],
    "git's text": ["git", "log", "-p", "--textconv"],
    "git's output": ["git", "diff", "--output={outside}/new.txt"],
    "git outside": ["git", "diff", "--no-index", "a.txt", "{outside}/secret.txt"],
    "git's pager": ["git", "grep", "-O{outside}/program", "a"],
    "git's upload": ["git", "ls-remote", "--upload-pack={outside}/program", "."],
    "git's clone": ["git", "clone", ".", "{outside}/clone"],
    "git's commit": ["git", "commit", "-am", "x"],
    "git's clean": ["git", "clean", "-fdx"],
    "git's archive": ["git", "archive", "--output={outside}/new.tar", "HEAD:docs"],
    "git's bisect": ["git", "bisect", "run", "{outside}/program"],
}

TEST_EVIL = """
import os, socket, subprocess, pytest
ATTEMPTS = {{
    "reads": lambda: print(open({outside!r} + "/secret.txt").read()),
    "reads a secret": lambda: print(open(".env").read()),
    "reads git's settings": lambda: print(open(".git/config").read()),
    "writes": lambda: open({outside!r} + "/new.txt", "w"),
    "writes here": lambda: open("new.txt", "w"),
    "runs": lambda: subprocess.run([{outside!r} + "/program"]),
    "connects": lambda: socket.create_connection(("127.0.0.1", {port})),
    "looks around": lambda: print(open("/proc/%d/environ" % os.getppid()).read()),
}}
@pytest.mark.parametrize("name", ATTEMPTS)
def test_attempt(name):
    print(dict(os.environ))
    with pytest.raises(OSError):
        ATTEMPTS[name]()
"""


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace with bait in it, and files outside."""

    workspace: Path
    outside: Path
    temporary: Path
    blob: str
    other: str

    def filled(self, text: str, port: int) -> str:
        """Return the text with the paths of this scene."""
        places = {"workspace": self.workspace, "outside": self.outside, "port": port}
        return text.format(**places, blob=self.blob, other=self.other, short=self.blob[:7])

    def check(self, said: str) -> None:
        """Check that nothing was revealed and nothing was changed."""
        assert [canary for canary in CANARIES if canary in said] == []
        assert contents(self.outside) == OUTSIDES[self.outside]
        assert contents(self.workspace) == OUTSIDES[self.workspace]


OUTSIDES: dict[Path, dict[str, bytes | str]] = {}


@pytest.fixture(scope="module")
def listening() -> Iterator[socket.socket]:
    """Open a port of this machine that no command may connect to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.fixture(scope="module")
def port(listening: socket.socket) -> int:
    number: int = listening.getsockname()[1]
    return number


@pytest.fixture(scope="module", autouse=True)
def service_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CANARY_OF_THE_SERVICE", SERVICE)
        yield


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, port: int, kernel: None) -> Scene:
    base = tmp_path_factory.mktemp("hostile")
    workspace, outside = base / "workspace", base / "outside"
    (workspace / "docs").mkdir(parents=True)
    outside.mkdir()
    said = RAN.replace("-", "'-'")  # This line shows that the file was run, not that it was read.
    program = f"#!/bin/sh\necho {said} >&2\necho {said}\ntouch {outside}/ran {workspace}/ran\n"
    for path in (outside / "program", workspace / "program"):
        path.write_text(program)
        path.chmod(0o755)
    (outside / "secret.txt").write_text(f"{OUTSIDE}\n")
    (outside / "attributes").write_text("* diff=evil filter=evil\n")
    (workspace / "a.txt").write_text("first\n")
    (workspace / "many.txt").write_text("".join(f"{number}\n" for number in range(20_000)))
    (workspace / "docs" / "b.txt").write_text("second\n")
    (workspace / ".env").write_text(f"KEY={SECRET}\n")
    (workspace / "docs" / ".env.local").write_text(f"KEY={SECRET}\n")
    (workspace / ".gitattributes").write_text("*.txt diff=evil filter=evil\n")
    (workspace / "test_evil.py").write_text(TEST_EVIL.format(outside=str(outside), port=port))
    git(workspace, "init", "-q", "-b", "main")
    git(workspace, "add", "-A", "-f")
    git(workspace, "commit", "-qm", "first")
    blob, other = git(workspace, "rev-parse", "HEAD:.env"), git(workspace, "rev-parse", "HEAD:a.txt")
    git(workspace, "tag", "blob-tag", blob)
    (workspace / ".env").write_text(f"KEY={SECRET}-changed\n")
    (workspace / "a.txt").write_text("changed\n")
    links = {"link-out": "../outside/secret.txt", "link-folder": str(outside), "link-secret": ".env"}
    for name, target in {**links, "link-config": ".git/config", "docs/link-up": "../../outside"}.items():
        (workspace / name).symlink_to(target)
    with (workspace / ".git" / "config").open("a") as config:
        config.write(HOSTILE_CONFIG.format(program=outside / "program", outside=outside))
    OUTSIDES.update({folder: contents(folder) for folder in (workspace, outside)})
    return Scene(workspace=workspace, outside=outside, temporary=base / "temporary", blob=blob, other=other)


@pytest.fixture
async def tool(scene: Scene) -> AsyncIterator[Tool]:
    workspace = Workspace(scene.workspace)
    yield terminal_of(workspace, scene.temporary)
    workspace.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[1])
async def test_hostile_command_does_no_harm(case: tuple[str, str], tool: Tool, scene: Scene, port: int) -> None:
    code, said = await verdict(tool, command=scene.filled(case[1], port))

    if case[1].startswith("rg") and case[0] == "ran" and "There is no program" in said:
        pytest.skip("This machine has no ripgrep.")
    assert code == case[0], said
    scene.check(said)


@pytest.mark.parametrize("name", LISTS)
async def test_hostile_argv_does_no_harm(name: str, tool: Tool, scene: Scene, port: int) -> None:
    words, expected = LISTS[name]
    code, said = await verdict(tool, argv=[scene.filled(word, port) for word in words])

    assert code == expected, said
    scene.check(said)


@pytest.mark.parametrize("name", ALONE)
async def test_sandbox_contains_commands_that_the_whitelist_rejects(name: str, scene: Scene, port: int) -> None:
    argv = [scene.filled(word, port) for word in ALONE[name]]
    said = await run_alone(argv, scene)

    scene.check(said)


async def run_alone(argv: Sequence[str], scene: Scene) -> str:
    """Run a command without the whitelist, in the same sandbox, and return its output."""
    handle = os.open(scene.workspace, os.O_RDONLY | os.O_DIRECTORY)
    names = SecretNames()
    try:
        parts = parts_without(
            handle,
            lambda entry: names.cover((entry.name,)) or (is_git(entry.name) and argv[0] != "git"),
            lambda: False,
        )
        outcome = await Sandbox(temporary_beneath=scene.temporary).run(
            argv,
            cwd_handle=handle,
            listable_handles=(handle,),
            readable_parts=parts.parts,
            limits=Limits(wall_seconds=5),
        )
    except CommandRefusedError as error:
        if "There is no program" in str(error):
            pytest.skip(str(error))
        return str(error)
    finally:
        os.close(handle)
    said = (outcome.stdout.head + outcome.stdout.tail + outcome.stderr.head + outcome.stderr.tail).decode(
        errors="replace"
    )
    assert outcome.exit_code != 127, f"{shlex.join(argv)} tried nothing: {said}"
    return said


async def test_hostile_tests_are_denied_each_attempt(tool: Tool, scene: Scene) -> None:
    code, said = await verdict(tool, command="pytest -q test_evil.py")

    assert (code, "8 passed" in said) == ("ran", True), said
    scene.check(said)


async def test_git_settings_cannot_include_a_file_outside(tool: Tool, scene: Scene) -> None:
    config = scene.workspace / ".git" / "config"
    before = config.read_text()
    config.write_text(f"{before}[include]\n    path = {scene.outside}/secret.txt\n")
    try:
        code, said = await verdict(tool, command="git status")
    finally:
        config.write_text(before)

    assert (code, "Permission denied" in said) == ("ran", True), said
    scene.check(said)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("git diff", "+changed"),
        ("git log -p", "+first"),
        ("git show HEAD", "+first"),
        ("git status -s", "M a.txt"),
        ("git grep first HEAD", "HEAD:a.txt:first"),
        ("git blame a.txt", ") changed"),
    ],
)
async def test_hostile_repository_is_readable(command: str, expected: str, tool: Tool, scene: Scene) -> None:
    code, said = await verdict(tool, command=command)

    assert (code, expected in said) == ("ran", True), said
    scene.check(said)


def test_bait_is_readable_without_a_sandbox(scene: Scene) -> None:
    """Show that each canary is readable without a sandbox, which proves that the cases can fail."""
    assert SECRET in git(scene.workspace, "-c", "core.fsmonitor=false", "cat-file", "-p", scene.blob)
    assert OUTSIDE in (scene.workspace / "link-out").read_text()
    assert TOKEN in (scene.workspace / "link-config").read_text()
    assert os.environ["CANARY_OF_THE_SERVICE"] == SERVICE
    assert os.access(scene.outside / "program", os.X_OK)
