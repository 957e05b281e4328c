"""The command line, as a process: what it prints where, and its exit codes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys

import pytest

from airssys.wasm import Host

AIRSSYS = [sys.executable, "-c", "from airssys.cli import main; main()"]


def out(done) -> str:
    assert done.returncode == 0, done.stderr.decode()
    assert b"error:" not in done.stderr
    return done.stdout.decode()


def refused(done, code: int) -> list[str]:
    """Return the lines on stderr of a command that ended with `code` and no data."""
    assert done.returncode == code, (done.stdout, done.stderr)
    assert done.stdout == b""
    lines = done.stderr.decode().splitlines()
    assert lines[0].startswith("error: ")
    assert "Traceback" not in done.stderr.decode()
    return lines


class TestFiles:
    def test_inspect_shows_what_a_component_needs_and_offers(self, airssys, guest):
        text = out(airssys("inspect", guest("calculator")))
        assert "add(a: u32, b: u32) -> u32" in text
        assert "wasi:cli/environment@0.2" in text
        document = json.loads(out(airssys("inspect", guest("calculator"), "--json")))
        assert document["digest"].startswith("sha256:")
        assert document["size"] == guest("calculator").stat().st_size
        assert document["provide"] == []
        assert "demo:calc/ops#divide" in document["exports"]
        assert "interface ops" in document["wit"] or "ops" in document["wit"]
        assert "export" in out(airssys("inspect", guest("calculator"), "--wit"))

    def test_invoke_prints_the_result_in_wave(self, airssys, guest):
        calculator = guest("calculator")
        assert out(airssys("run", calculator, "--invoke", "add(2, 3)")) == "5\n"
        assert out(airssys("run", calculator, "--invoke", "mean([1, 2.5])")) == "some(1.75)\n"
        assert out(airssys("run", calculator, "--invoke", "version()")) == '"1.0.0"\n'
        assert out(airssys("run", calculator, "--invoke", "demo:calc/ops#divide(9, 3)")) == (
            "ok(3)\n"
        )
        document = json.loads(out(airssys("run", calculator, "--invoke", "mean([])", "--json")))
        assert document == {"wave": "none", "value": None}

    def test_an_error_of_a_result_is_printed_and_ends_with_5(self, airssys, guest):
        done = airssys("run", guest("calculator"), "--invoke", "divide(1, 0)")
        assert (done.returncode, done.stdout) == (5, b"err(division-by-zero)\n")
        done = airssys("run", guest("calculator"), "--invoke", "divide(1, 0)", "--json")
        assert json.loads(done.stdout)["error"] == {"division-by-zero": None}

    @pytest.mark.parametrize("call", ["add(2", "add(2, -3)", "add(2)", "add(1, 2, 3)", "add(x)"])
    def test_a_call_that_cannot_be_read_is_a_usage_error(self, airssys, guest, call):
        lines = refused(airssys("run", guest("calculator"), "--invoke", call), 2)
        assert "add(a: u32, b: u32)" in lines[0]

    def test_an_unknown_function_is_not_found(self, airssys, guest):
        lines = refused(airssys("run", guest("calculator"), "--invoke", "addd(2, 3)"), 3)
        assert lines == ["error: the component has no export 'addd'", "hint: did you mean 'add'?"]

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (b"", "not WebAssembly"),
            (b"hello", "not WebAssembly"),
            (b"\0asm\x01\0\0\0", "core WebAssembly module"),
            (b"\0asm\x0d\0\x01\0\xff\xff", "broken"),
        ],
    )
    def test_what_is_not_a_component_is_refused(self, airssys, content, expected):
        file = airssys.work / "file.wasm"
        file.write_bytes(content)
        for command in (["inspect", file], ["run", file], ["deploy", file, "--name", "acme/abc"]):
            assert expected in refused(airssys(*command), 1)[0]

    def test_a_missing_file_is_named(self, airssys):
        assert "nowhere.wasm: No such file" in refused(airssys("inspect", "nowhere.wasm"), 3)[0]


class TestRun:
    """`command.wasm` is a `wasi:cli` program of several small subcommands."""

    def test_arguments_output_and_exit_code_are_the_programs(self, airssys, guest):
        command = guest("command")
        assert "one" in out(airssys("run", command, "--", "args", "one", "--json"))
        assert "--json" in out(airssys("run", command, "--", "args", "one", "--json"))
        # WASI 0.2 knows success and failure only.
        for status, code in (("0", 0), ("1", 1), ("7", 1)):
            done = airssys("run", command, "--", "exit", status)
            assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")

    def test_standard_input_reaches_the_program(self, airssys, guest):
        done = airssys("run", guest("command"), "--", "upper", input=b"hello\n")
        assert out(done) == "HELLO\n"

    def test_standard_error_is_apart(self, airssys, guest):
        done = airssys("run", guest("command"), "--", "stderr", "text")
        assert done.stdout == b""
        assert done.stderr != b""

    def test_variables_are_given_one_by_one(self, airssys, guest):
        done = airssys("run", guest("command"), "--env", "A=1", "--env", "B", "--", "env", B="two")
        assert {"A=1", "B=two"} <= set(out(done).split())
        assert "HOME" not in done.stdout.decode()
        refused(airssys("run", guest("command"), "--env", "MISSING", "--", "env"), 2)

    def test_directories_are_given_one_by_one(self, airssys, guest):
        data = airssys.work / "data"
        data.mkdir()
        (data / "file").write_text("content")
        command = guest("command")
        given = airssys("run", command, "--dir", f"{data}::/in:ro", "--", "read-file", "/in/file")
        assert "content" in out(given)
        assert airssys("run", command, "--", "read-file", "/in/file").returncode != 0
        refused(airssys("run", command, "--dir", "::/in", "--", "args"), 2)
        assert "gone" in refused(airssys("run", command, "--dir", "gone::/in", "--", "args"), 3)[0]

    def test_a_program_that_traps_ends_with_134(self, airssys, guest):
        done = airssys("run", guest("command"), "--", "panic")
        assert done.returncode == 134
        assert b"error: the guest trapped" in done.stderr

    def test_a_program_that_runs_out_of_time_ends_with_134(self, airssys, guest):
        done = airssys("run", "--timeout", "0.2", guest("command"), "--", "spin")
        assert done.returncode == 134
        assert b"limit" in done.stderr

    def test_ctrl_c_ends_the_program(self, guest):
        process = subprocess.Popen(
            [*AIRSSYS, "run", str(guest("command")), "--", "upper"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        process.stdin.write(b"running\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"RUNNING\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert (process.returncode, errors) == (130, b"error: interrupted\n")

    def test_something_that_is_no_program_says_what_it_exports(self, airssys, guest):
        assert "not a command" in refused(airssys("run", guest("calculator")), 3)[0]


class TestDeployments:
    def test_deploy_call_roll_back_and_remove(self, airssys, guest):
        state = ("--state", airssys.work / "state")
        deploy = ("deploy", "--name", "acme/calc", *state)
        assert b"revision 1" in airssys(*deploy, guest("calculator")).stderr
        assert b"already at revision 1" in airssys(*deploy, guest("calculator")).stderr
        document = json.loads(out(airssys(*deploy, guest("calculator-1-1"), "--json")))
        assert (document["changed"], document["live"]["number"]) == (True, 2)
        assert out(airssys("call", "acme/calc", "version()", *state)) == '"1.1.0"\n'
        assert out(airssys("rollback", "acme/calc", "--why", "worse", *state)) == ""
        assert out(airssys("call", "acme/calc", "version()", *state)) == '"1.0.0"\n'
        (listed,) = json.loads(out(airssys("list", *state, "--json")))
        assert listed["deployment"]["name"] == "acme/calc"
        assert listed["live"]["number"] == 1
        history = json.loads(out(airssys("history", "acme/calc", *state, "--json")))
        assert [each["number"] for each in history["revisions"]] == [1, 2]
        assert history["rollouts"][-1]["why"] == "worse"
        table = out(airssys("history", "acme/calc", *state)).splitlines()
        assert table[1].startswith("live  1 ")
        assert table[3].split()[:4] == ["moved", "from", "to", "state"]
        assert table[4].split()[:4] == ["rollback", "2", "1", "promoted"]
        assert table[4].split()[-1] == "worse"
        out(airssys("remove", "acme/calc", *state))
        assert json.loads(out(airssys("list", *state, "--json"))) == []
        refused(airssys("call", "acme/calc", "version()", *state), 3)

    def test_settings_are_kept(self, airssys, guest):
        state = ("--state", airssys.work / "state")
        deploy = ("deploy", guest("calculator"), "--name", "acme/calc", *state, "--json")
        out(airssys(*deploy, "--lifetime", "pooled", "--memory", "8MiB", "--call-timeout", "2"))
        (listed,) = json.loads(out(airssys("list", *state, "--json")))
        settings = listed["live"]["settings"]
        assert settings["lifetime"] == "pooled"
        assert settings["limits"]["memory"] == 8 << 20
        assert settings["limits"]["call_timeout"] == 2
        refused(airssys(*deploy[:-1], "--lifetime", "eternal"), 2)
        refused(airssys(*deploy[:-1], "--memory", "8 bananas"), 2)

    def test_names_are_answered_with_near_ones(self, airssys, guest):
        state = ("--state", airssys.work / "state")
        out(airssys("deploy", guest("calculator"), "--name", "acme/calc", *state))
        for command in (["history"], ["rollback"], ["remove"], ["call"]):
            call = ["version()"] if command == ["call"] else []
            lines = refused(airssys(*command, "acme/clac", *call, *state), 3)
            assert lines[-1] == "hint: did you mean acme/calc?"
        assert (
            "3 to 64"
            in refused(airssys("deploy", guest("calculator"), "--name", "x", *state), 2)[-1]
        )
        refused(airssys("rollback", "acme/calc", *state), 3)
        refused(airssys("rollback", "acme/calc", "--to", "9", *state), 3)

    def test_a_state_directory_that_is_in_use_is_one_error(self, airssys, guest):
        from airssys.wasm.host import Host

        state = airssys.work / "state"
        with Host.open_blocking(state) as host:
            host.deploy(guest("calculator"), name="acme/calc")
            lines = refused(airssys("call", "acme/calc", "version()", "--state", state), 4)
            assert f"in use by process {os.getpid()}" in lines[0]
            # Looking needs no ownership.
            assert "acme/calc" in out(airssys("list", "--state", state))

    def test_what_is_no_state_directory_is_one_error(self, airssys):
        refused(airssys("list"), 4)
        refused(airssys("list", "--state", "/proc/nowhere"), 4)
        (airssys.work / "thesis.tex").touch()
        refused(airssys("remove", "acme/calc", "--state", airssys.work), 4)

    def test_a_trap_prints_the_backtrace_and_ends_with_5(self, airssys):
        source = airssys.work / "trap.wat"
        source.write_text(
            """(component
              (core module $m (func (export "f") unreachable))
              (core instance $i (instantiate $m))
              (func (export "fall") (canon lift (core func $i "f"))))"""
        )
        state = ("--state", airssys.work / "state")
        out(airssys("deploy", source, "--name", "acme/trap", *state))
        lines = refused(airssys("call", "acme/trap", "fall()", *state), 5)
        assert "unreachable" in lines[0]
        assert any("backtrace" in line for line in lines)


class TestConfiguration:
    def test_a_flag_wins_over_the_environment_over_the_project_over_the_user(self, airssys):
        def used(*arguments, **environment) -> str:
            """Return the directory that the error about its absence names."""
            return refused(airssys("list", *arguments, **environment), 4)[0].rpartition(" ")[2]

        assert used() == str(airssys.home / ".local/state/airssys")
        user = airssys.home / ".config/airssys/config.toml"
        user.parent.mkdir(parents=True)
        user.write_text('schema = 1\n[host]\nstate = "/of/user"\n')
        assert used() == "/of/user"
        (airssys.work.parent / "airssys.toml").write_text(
            'schema = 1\n[host]\nstate = "of-project"\n'
        )
        assert used() == str(airssys.work.parent / "of-project")
        assert used(AIRSSYS_STATE="/of/environment") == "/of/environment"
        assert used("--state", "/of/flag", AIRSSYS_STATE="/of/environment") == "/of/flag"

    @pytest.mark.parametrize(
        "text",
        ["", "host = 3", "[host]\nstate = 3", "[host]\nstate = ''", "[hosts]", "[host", "#\xff"],
    )
    def test_a_broken_file_is_named(self, airssys, text):
        (airssys.work / "airssys.toml").write_text(f"{text}\n", "latin-1")
        assert "airssys.toml" in refused(airssys("list"), 2)[0]


class TestAround:
    def test_help_and_version(self, airssys):
        help_text = out(airssys("--help"))
        for word in ("inspect", "run", "deploy", "rollback", "doctor", "Exit codes", "130"):
            assert word in help_text
        assert out(airssys("--version")).startswith("airssys 0.")

    def test_a_reader_that_goes_away_in_the_middle_is_no_failure(self, airssys):
        reading, writing = os.pipe()
        os.close(reading)
        process = subprocess.Popen(
            [*AIRSSYS, "manifest", "schema", "host"],
            stdout=writing,
            stderr=subprocess.PIPE,
            cwd=airssys.work,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        os.close(writing)
        assert process.communicate(timeout=60) == (None, b"")
        assert process.returncode == 0

    def test_a_wrong_command_or_option_is_a_usage_error(self, airssys):
        assert "lst" in refused(airssys("lst"), 2)[0]
        assert "--stat" in refused(airssys("list", "--stat", "x"), 2)[0]
        refused(airssys("deploy", "x.wasm", "--name"), 2)

    def test_doctor_names_engine_kernel_and_tools(self, airssys):
        text = out(airssys("doctor"))
        for word in ("wasmtime 48", "landlock", "vm.max_map_count", "wasm32-wasip2", "SECURITY.md"):
            assert word in text
        checks = json.loads(out(airssys("doctor", "--json")))
        assert {check["status"] for check in checks} <= {"ok", "warning"}
        assert {"name", "status", "found", "remedy"} == set(checks[0])

    def test_doctor_fails_on_a_broken_state_directory(self, airssys):
        state = airssys.work / "state"
        state.mkdir()
        (state / "airssys.db").write_bytes(b"nonsense" * 1000)
        done = airssys("doctor", "--state", state, "--json")
        assert done.returncode == 1
        (check,) = [each for each in json.loads(done.stdout) if each["status"] == "failure"]
        assert "damaged" in check["found"]
        assert (state / "airssys.db").read_bytes() == b"nonsense" * 1000

    def test_a_reader_that_goes_away_is_no_error(self, airssys):
        command = f'{sys.executable} -c "from airssys.cli import main; main()" --help'
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command} | true"],
            capture_output=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert done.stderr == b""

    def test_guests_cannot_steer_the_terminal(self, airssys):
        evil = "a" * 3 + "\x1b[2J"
        lines = refused(airssys("history", evil), 4)
        assert "\x1b" not in "".join(lines)
        state = ("--state", airssys.work / "state")
        with Host.open_blocking(state[1]):
            pass
        lines = refused(airssys("remove", evil, *state), 3)
        assert "\x1b" not in "".join(lines)
        assert "\\x1b" in "".join(lines)

    def test_names_are_completed_by_the_shell(self, airssys, guest):
        state = airssys.work / "state"
        out(airssys("deploy", guest("calculator"), "--name", "acme/calc", "--state", state))
        done = airssys(
            _AIRSSYS_COMPLETE="complete_bash",
            COMP_WORDS="airssys history ac",
            COMP_CWORD="2",
            AIRSSYS_STATE=str(state),
        )
        assert "acme/calc" in done.stdout.decode()

    def test_tables_have_colour_at_a_terminal_only(self, airssys):
        main, side = pty.openpty()
        done = subprocess.run(
            [*AIRSSYS, "doctor"],
            stdout=side,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=60,
            env={
                **os.environ,
                "TERM": "xterm-256color",
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
        )
        assert done.returncode == 0
        assert b"\x1b[" in os.read(main, 65536)
        os.close(side)
        os.close(main)
        assert b"\x1b[" not in airssys("doctor").stdout


def test_a_call_in_several_words_is_told_how_it_is_written(here, tmp_path):
    done = here("call", "acme/calc", "add", "2", "3", "--state", tmp_path)
    assert done.returncode == 2
    assert b"a call is one argument, with its own in parentheses: 'add(2, 3)'" in done.stderr
