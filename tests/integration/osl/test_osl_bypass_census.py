"""Ways round the layer from inside a confined child: each is refused by the kernel.

Nothing in `airssys.osl` stops hostile Python code in the same process. A child is another matter:
here the standard library itself tries, and the kernel answers.
"""

from __future__ import annotations

import json
import os
import socket

import pytest
from osl_world import ALL, rule

from airssys import osl

PYTHON = os.path.realpath("/usr/bin/python3")

WAYS = {
    "open for reading": "open(secret).read()",
    "open for writing": "open(secret, 'w').write('x')",
    "io.open_code": "import io; io.open_code(secret).read()",
    "os.open": "os.read(os.open(secret, os.O_RDONLY), 10)",
    "os.open through a link": "os.symlink(secret, inside + '/l'); open(inside + '/l').read()",
    "os.link into the granted directory": "os.link(secret, inside + '/hard')",
    "os.rename out of reach": "os.rename(secret, inside + '/moved')",
    "os.rename of a granted file to outside": "os.rename(inside + '/mine', outside + '/planted')",
    "os.truncate": "os.truncate(secret, 0)",
    "os.unlink": "os.unlink(secret)",
    "os.mkdir": "os.mkdir(outside + '/planted')",
    "os.listdir": "os.listdir(outside)",
    "pathlib": "import pathlib; pathlib.Path(secret).read_bytes()",
    "shutil.copy": "import shutil; shutil.copy(secret, inside + '/copy')",
    "ctypes open": (
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True)\n"
        "    fd = libc.open(secret.encode(), 0)\n"
        "    if fd < 0: raise OSError(ctypes.get_errno(), 'ctypes')\n"
        "    os.read(fd, 10)"
    ),
    "ctypes openat2 by syscall number": (
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True)\n"
        "    how = (ctypes.c_uint64 * 3)(0, 0, 0)\n"
        "    fd = libc.syscall(437, -100, secret.encode(), how, 24)\n"
        "    if fd < 0: raise OSError(ctypes.get_errno(), 'ctypes')\n"
        "    os.read(fd, 10)"
    ),
    "mmap of the file": (
        "import mmap; f = open(secret, 'rb'); mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)[:]"
    ),
    "subprocess of a program that is not granted": (
        "import subprocess; subprocess.run([tool, secret], check=True)"
    ),
    "os.execv": "os.execv(tool, [tool, secret])",
    "os.posix_spawn": "os.waitpid(os.posix_spawn(tool, [tool, secret], {}), 0)",
    "a program written and run": (
        "open(inside + '/run', 'w').write('#!' + tool); os.chmod(inside + '/run', 0o755)\n"
        "    os.execv(inside + '/run', [inside + '/run'])"
    ),
    "a child of the child": (
        "import multiprocessing\n"
        "    context = multiprocessing.get_context('fork')\n"
        "    reader, writer = os.pipe()\n"
        "    def steal():\n"
        "        try: os.write(writer, open(secret, 'rb').read())\n"
        "        except PermissionError: os.write(writer, b'refused')\n"
        "    process = context.Process(target=steal); process.start(); process.join()\n"
        "    if os.read(reader, 100) == b'refused': raise PermissionError(13, 'in the child')"
    ),
    "import of a module that is not granted": (
        "import importlib.util\n"
        "    spec = importlib.util.spec_from_file_location('m', outside + '/module.py')\n"
        "    module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)"
    ),
    "sys.path and import": "sys.path.insert(0, outside); import module",
    "socket connect by tcp": ("import socket; socket.create_connection(('127.0.0.1', port), 5)"),
    "socket bind": "import socket; socket.create_server(('127.0.0.1', 0))",
    "socket bind on a port": "import socket; s = socket.socket(); s.bind(('127.0.0.1', port + 1))",
    "an abstract unix socket of another session": (
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('\\0' + abstract)"
    ),
    "a signal to the parent": "os.kill(os.getppid(), 0)",
    "the parent's memory": "open(f'/proc/{os.getppid()}/mem', 'rb').read(1)",
    "the parent's environment": "open(f'/proc/{os.getppid()}/environ', 'rb').read(1)",
    "ptrace of the parent": (
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True)\n"
        "    if libc.ptrace(16, os.getppid(), 0, 0): raise OSError(ctypes.get_errno(), 'ptrace')"
    ),
    "a new mount": (
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True)\n"
        "    if libc.mount(b'none', inside.encode(), b'tmpfs', 0, None):\n"
        "        raise OSError(ctypes.get_errno(), 'mount')"
    ),
    "a device": "os.mknod(inside + '/disk', 0o60666, os.makedev(253, 0)); open(inside + '/disk')",
}

HARNESS = """
import json, os, sys
secret, outside, inside, tool, port, abstract = json.loads(sys.argv[1])
results = {}
def way(name, function):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try: function()
        except OSError as error: answer = f"errno {error.errno}"
        except BaseException as error: answer = f"{type(error).__name__}: {error}"
        else: answer = "passed"
        os.write(writer, answer.encode()[:2000]); os._exit(0)
    os.close(writer); os.waitpid(pid, 0)
    results[name] = os.read(reader, 4096).decode() or "no answer (executed)"
"""


def harness():
    parts = [HARNESS]
    for number, (name, code) in enumerate(WAYS.items()):
        parts.append(f"def way_{number}():\n    {code}\nway({name!r}, way_{number})\n")
    parts.append("print(json.dumps(results))")
    return "\n".join(parts)


@pytest.fixture
def census(world, act):
    outside, inside = world.root / "outside", world.root / "inside"
    outside.mkdir()
    inside.mkdir()
    (inside / "mine").write_bytes(b"mine")
    (outside / "secret").write_bytes(b"secret")
    (outside / "module.py").write_bytes(b"")
    tool = world.root / "tool"
    tool.write_bytes(open("/bin/cat", "rb").read())
    tool.chmod(0o755)
    system = world.system(
        rule(["spawn"], kind="process", target=PYTHON) + rule(ALL, target="{root}/inside/**")
    )
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        abstract.bind(f"\0airssys-{os.getpid()}")
        abstract.listen()
        facts = [
            *(str(path) for path in (outside / "secret", outside, inside, tool)),
            server.getsockname()[1],
            f"airssys-{os.getpid()}",
        ]
        done = act(
            system,
            lambda: osl.run(PYTHON, "-I", "-c", harness(), json.dumps(facts), timeout=30),
        )
    assert done.exit_code == 0, done.stderr.decode()
    return outside, json.loads(done.stdout)


def test_every_way_round_is_refused_by_the_kernel(census):
    outside, results = census
    assert set(results) == set(WAYS)
    # 1 EPERM, 13 EACCES, 18 EXDEV: Landlock's answer to links and renames across its boundary.
    refused = {"errno 1", "errno 13", "errno 18"}
    passed = {name: answer for name, answer in results.items() if answer not in refused}
    assert passed == {}
    assert (outside / "secret").read_bytes() == b"secret"
    assert sorted(os.listdir(outside)) == ["module.py", "secret"]


def test_the_census_can_tell_a_way_in(census):
    """The same harness unconfined passes: what the test above sees is the confinement."""
    import subprocess

    outside, _ = census
    facts = [str(outside / "secret"), str(outside), str(outside), "/bin/cat", 1, "x"]
    done = subprocess.run(
        [PYTHON, "-I", "-c", harness().split("def way_1()")[0] + "print(json.dumps(results))"]
        + [json.dumps(facts)],
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout) == {"open for reading": "passed"}
