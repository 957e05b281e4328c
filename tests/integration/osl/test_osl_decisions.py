"""Who decides, and how: roles, conditions, enforcement, approval, callers, expiry, reload."""

from __future__ import annotations

import asyncio
import logging

import pytest
from osl_world import ALL, rule

from airssys import osl
from airssys.osl import (
    OSL,
    AccessDenied,
    ApprovalDenied,
    ContextExpired,
    DefinitionError,
    DeleteFile,
    Executors,
    OslError,
    Policy,
    PolicyError,
    Principal,
    ReadFile,
    Rule,
    dry_run,
    executor,
    timeout,
)
from airssys.osl.middleware import audit, hooks
from airssys.osl.middleware.actions import Replace


@pytest.fixture
def file(world):
    path = world.root / "a"
    path.write_bytes(b"content")
    return path


def test_deny_wins_wherever_it_stands(world, act, file):
    for parts in (["allow", "deny"], ["deny", "allow"]):
        system = world.system("".join(rule(["read"], effect=effect) for effect in parts))
        with pytest.raises(AccessDenied):
            act(system, lambda: osl.read_file(file))
        world.close()


def test_roles_come_from_the_policy_and_from_the_principal(world, act, file):
    system = world.system(
        '[[role]]\nname = "reader"\nmembers = ["bob"]\n'
        '[[role.grant]]\naccess = ["read"]\ntarget = ["{root}/**"]\n'
        '[[role]]\nname = "editor"\ninherits = ["reader"]\n'
    )
    for principal in (
        Principal("bob"),
        Principal("carol", frozenset({"reader"})),
        Principal("dora", frozenset({"editor"})),
    ):
        assert act(system, lambda: osl.read_file(file), principal) == b"content"
    with pytest.raises(AccessDenied):
        act(system, lambda: osl.read_file(file), Principal("eve", frozenset({"other"})))


def test_conditions_look_at_the_context_and_the_principal(world, act, file):
    when = (
        'when = { source = ["cron"], tags = { all = ["nightly"] }, attribute = "level", above = 3 }'
    )
    system = world.system(rule(["read"], more=when))
    trusted = Principal("alice", attributes={"level": 4})
    good = {"source": "cron", "tags": ("nightly", "x")}
    assert act(system, lambda: osl.read_file(file), trusted, attributes=good) == b"content"
    for principal, attributes in [
        (trusted, {"source": "web", "tags": ("nightly",)}),
        (trusted, {"source": "cron", "tags": ()}),
        (Principal("alice", attributes={"level": 3}), good),
    ]:
        with pytest.raises(AccessDenied):
            act(system, lambda: osl.read_file(file), principal, attributes=attributes)


def test_a_caller_cannot_say_of_the_principal_what_is_not_so(world, act, file):
    system = world.system(rule(["read"], more='when = { attribute = "level", above = 3 }'))
    with pytest.raises(AccessDenied):
        act(
            system,
            lambda: osl.read_file(file),
            Principal("alice", attributes={"level": 1}),
            attributes={"level": 9},
        )


@pytest.mark.parametrize(
    "when", ['{ attribute = "nope", equals = 1 }', '{ not = { attribute = "nope", equals = 1 } }']
)
def test_an_error_in_a_condition_denies_and_so_does_its_not(world, act, file, when):
    system = world.system(rule(["read"]) + rule(["read"], effect="deny", more=f"when = {when}"))
    with pytest.raises(AccessDenied) as caught:
        act(system, lambda: osl.read_file(file))
    assert caught.value.context["decision"].alarm


def test_explain_names_the_rule_and_its_line_and_records_nothing(world, file):
    system = world.system(
        rule(["read"], more='name = "all"')
        + rule(["read"], target="{root}/b", effect="deny", more='name = "not-b"')
    )
    (allowed,) = system.explain(Principal("alice"), ReadFile(file))
    assert (allowed.effect, allowed.rule) == ("allow", "all")
    assert allowed.position == f"{world.policy}:1"
    (denied,) = system.explain(Principal("alice"), ReadFile(world.root / "b"))
    assert (denied.effect, denied.rule) == ("deny", "not-b")
    (nothing,) = system.explain(Principal("bob"), ReadFile(file))
    assert (nothing.effect, nothing.rule) == ("deny", "default-deny")
    assert world.decisions() == []


def test_reload_is_atomic_and_a_wrong_file_changes_nothing(world, act, file):
    system = world.allowing("read")
    generation = system.gate.generation
    world.policy.write_text("[[rule]]\nto = 7\n")
    with pytest.raises(PolicyError, match=r"policy\.toml:2"):
        system.reload()
    assert system.gate.generation == generation
    assert act(system, lambda: osl.read_file(file)) == b"content"
    world.policy.write_text("")
    assert system.reload() > generation
    with pytest.raises(AccessDenied):
        act(system, lambda: osl.read_file(file))


def test_policy_files_are_followed(world, act, file, caplog):
    system = world.allowing("read")
    changed = asyncio.Event

    async def follow():
        following = asyncio.create_task(system.follow_policy())
        reloaded = changed()
        loop = asyncio.get_running_loop()

        class Watcher:
            def recheck(self):
                loop.call_soon_threadsafe(reloaded.set)

        watcher = Watcher()
        system.watch_over(watcher)
        await asyncio.sleep(0)
        assert await osl.read_file(file) == b"content"
        new = world.policy.with_suffix(".new")
        new.write_text("")
        new.replace(world.policy)
        async with asyncio.timeout(10):
            await reloaded.wait()
        with pytest.raises(AccessDenied):
            await osl.read_file(file)
        world.policy.write_text("broken = [")
        async with asyncio.timeout(10):
            while "policy not reloaded" not in caplog.text:
                await asyncio.sleep(0.001)
        following.cancel()

    with caplog.at_level(logging.ERROR, "airssys.osl"):
        act(system, follow)
    assert "policy.toml:1" in caplog.text


def test_observe_passes_what_is_not_granted_and_refuses_what_is_denied(world, act, file):
    (world.root / "denied").write_bytes(b"")
    head = 'enforcement = "observe"\nobserve_until = 2999-01-01T00:00:00Z\n'
    system = world.system(head + rule(["read"], target="{root}/denied", effect="deny"))
    assert act(system, lambda: osl.read_file(file)) == b"content"
    with pytest.raises(AccessDenied):
        act(system, lambda: osl.read_file(world.root / "denied"))
    with pytest.raises(AccessDenied):
        act(system, lambda: osl.read_file("/proc/self/environ"))
    with pytest.raises(AccessDenied):
        act(system, lambda: osl.run("/bin/true"))
    records = world.records(operation="filesystem.read")
    assert records[0].decision == "observed"
    assert [record.decision for record in records[1:]] == ["deny", "deny"]


def test_observe_ends_at_its_date(world, act, file):
    system = world.system('enforcement = "observe"\nobserve_until = 2001-01-01T00:00:00Z\n')
    with pytest.raises(AccessDenied):
        act(system, lambda: osl.read_file(file))
    world.close()
    with pytest.raises(PolicyError, match="observe_until"):
        world.system('enforcement = "observe"\n')


def test_learn_is_for_development_and_says_what_was_used(world, act, file):
    with pytest.raises(OslError, match="development"):
        world.system('enforcement = "learn"\n')
    system = world.system(
        'enforcement = "learn"\n' + rule(["read"], target="{root}/b", effect="deny"),
        development=True,
    )
    act(system, lambda: osl.read_file(file))
    with pytest.raises(AccessDenied):
        act(system, lambda: osl.read_file(world.root / "b"))
    assert system.gate.learned("alice") == [("filesystem", "read", str(file))]


# -- approval


ASK = rule(["read"], effect="ask")


def test_an_access_waits_for_its_approver(world, act, file):
    asked = []
    answered = asyncio.Event

    async def approver(request):
        asked.append(request)
        await gate.wait()
        return "carol"

    system = world.system(ASK, approver=approver)

    async def read():
        nonlocal gate
        gate = answered()
        first = asyncio.create_task(osl.read_file(file))
        second = asyncio.create_task(osl.read_file(file))
        while not asked:
            await asyncio.sleep(0)
        assert not first.done()
        gate.set()
        assert await first == await second == b"content"

    gate = None
    act(system, read)
    assert len(asked) == 1
    assert asked[0].permission.target == str(file)
    assert asked[0].context.principal.name == "alice"
    records = world.records(operation="filesystem.read")
    assert sorted(record.decision for record in records) == ["allow", "allow", "ask", "ask"]
    assert b"carol" in next(record.raw for record in records if record.decision == "allow")


def test_a_refusal_is_remembered(world, act, file):
    asked = []

    async def approver(request):
        asked.append(request)

    system = world.system(ASK, approver=approver)
    for _ in range(3):
        with pytest.raises(ApprovalDenied):
            act(system, lambda: osl.read_file(file))
    assert len(asked) == 1
    assert [each[2] for each in world.decisions()] == ["ask", "deny"] * 3


def test_no_answer_in_time_denies(world, act, file):
    async def approver(request):
        await asyncio.Event().wait()

    system = world.system(ASK, approver=approver, approval_timeout=0.01)
    with pytest.raises(ApprovalDenied, match="approval-timeout"):
        act(system, lambda: osl.read_file(file))


def test_without_approver_asking_denies(world, act, file):
    system = world.system(ASK)
    with pytest.raises(ApprovalDenied, match="approval-unavailable"):
        act(system, lambda: osl.read_file(file))


def test_approval_does_not_bring_back_a_right_that_ended_meanwhile(world, act, file):
    async def approver(request):
        world.policy.write_text("")
        system.reload()
        return "carol"

    system = world.system(ASK, approver=approver)
    with pytest.raises(AccessDenied):
        act(system, lambda: osl.read_file(file))


def test_waiting_for_approval_stops_the_clock_of_the_operation(world, act, file):
    async def approver(request):
        passed = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.3, passed.set_result, None)
        await passed
        return "carol"

    system = world.system(ASK, approver=approver, middleware=[timeout(0.2)])
    assert act(system, lambda: osl.read_file(file)) == b"content"


def test_cancelling_withdraws_the_question(world, act, file):
    withdrawn = []

    async def approver(request):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            withdrawn.append(request)
            raise

    system = world.system(ASK, approver=approver)

    async def cancel():
        task = asyncio.create_task(osl.read_file(file))
        while not system.approvals._pending:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while not withdrawn:
            await asyncio.sleep(0)

    act(system, cancel)


# -- callers and contexts


def test_the_original_caller_must_hold_the_right_to_write(world, act, file):
    service = Principal("service")
    both = rule(["read", "write"], to="service")
    system = world.system(both)

    async def as_service(function):
        with system.acting_as(service):
            return await function()

    # Reading is the service's own right; writing needs the caller's too.
    assert act(system, lambda: as_service(lambda: osl.read_file(file))) == b"content"
    with pytest.raises(AccessDenied):
        act(system, lambda: as_service(lambda: osl.write_file(file, b"x")))
    record = world.records(operation="filesystem.write")[-1]
    assert record.callers == ("alice",)
    world.close()
    system = world.system(both + rule(["write"], to="alice"))
    act(system, lambda: as_service(lambda: osl.write_file(file, b"x")))
    world.close()
    system = world.system(rule(["read", "write"], to="service", more='act_as = "self"'))
    act(system, lambda: as_service(lambda: osl.write_file(file, b"y")))


def test_an_expired_context_is_worth_nothing(world, act, file):
    system = world.allowing("read")
    assert act(system, lambda: osl.read_file(file), expires_in=60) == b"content"
    with pytest.raises(ContextExpired):
        act(system, lambda: osl.read_file(file), expires_in=0)
    assert world.records()[-1].rule == "context-expired"


def test_tasks_inherit_the_context_and_never_change_another(world, file, alice):
    system = world.allowing("read")

    async def inside():
        with system.acting_as(alice):
            inherited = asyncio.create_task(osl.read_file(file))
        with system.acting_as(Principal("bob")):
            other = asyncio.create_task(osl.read_file(file))
        assert await inherited == b"content"
        with pytest.raises(AccessDenied):
            await other

    asyncio.run(inside())


def test_records_carry_session_and_trace(world, act, file):
    system = world.allowing("read")
    act(
        system,
        lambda: osl.read_file(file),
        session="s-1",
        trace_id="0af7651916cd43dd8448eb211c80319c",
    )
    record = world.records(operation="filesystem.read")[-1]
    assert (record.session, record.trace_id) == ("s-1", "0af7651916cd43dd8448eb211c80319c")


def test_masks_hide_what_they_name(world, act):
    system = world.allowing("read", masks=["hunter2"])
    with pytest.raises(FileNotFoundError):
        act(system, lambda: osl.read_file(world.root / "token-hunter2"))
    assert b"hunter2" not in b"".join(record.raw for record in world.records())


# -- pipelines


def test_what_a_middleware_puts_in_its_place_is_decided_like_any_other(world, act, file):
    (world.root / "secret").write_bytes(b"no")

    async def swap(call):
        return Replace(ReadFile(world.root / "secret"))

    system = world.system(rule(["read"], target="{root}/a"), middleware=[hooks(before=swap)])
    with pytest.raises(AccessDenied):
        act(system, lambda: osl.read_file(file))


def test_a_dry_run_decides_and_does_nothing(world, act, file):
    system = world.allowing("delete", middleware=[dry_run()])
    act(system, lambda: osl.delete_file(file))
    assert file.exists()
    assert world.decisions() == [("filesystem.delete", "{root}/a", "allow")]
    assert world.records()[-1].detail == "dry-run"
    with pytest.raises(AccessDenied):
        act(system, lambda: osl.read_file(file))


def test_middleware_for_one_run_alone(world, act, file):
    system = world.allowing("delete")
    act(system, lambda: osl.delete_file(file, middleware=[dry_run()]))
    assert file.exists()
    act(system, lambda: osl.delete_file(file))
    assert not file.exists()


def test_outcomes_are_recorded_where_asked_for(world, act, file):
    system = world.allowing("read").with_middleware(audit())
    act(system, lambda: osl.read_file(file))
    with pytest.raises(FileNotFoundError):
        act(system, lambda: osl.read_file(world.root / "missing"))
    outcomes = world.records(decision="outcome")
    outcomes = [record for record in outcomes if record.operation == "file.read"]
    assert ["succeeded" in record.detail for record in outcomes] == [True, False]
    assert "FileNotFoundError" in outcomes[1].detail


def test_an_executor_that_never_asks_the_gate_is_reported(world, act, file):
    async def lazy(operation: ReadFile, authority):
        return b"unchecked"

    lazy = executor(ReadFile, decides="itself", register=False)(lazy)
    system = world.allowing("read", executors=Executors().replacing(lazy))
    with pytest.raises(DefinitionError, match="never asked the gate"):
        act(system, lambda: osl.read_file(file))


def test_a_replaced_executor_is_decided_for(world, act, file):
    async def constant(operation: ReadFile, authority):
        return b"constant"

    constant = executor(ReadFile, register=False)(constant)
    system = world.allowing("read", executors=Executors().replacing(constant))
    assert act(system, lambda: osl.read_file(file)) == b"constant"
    with pytest.raises(AccessDenied):
        act(system, lambda: osl.read_file(file), Principal("bob"))


def test_a_policy_can_be_made_in_python(tmp_path, act):
    (tmp_path / "a").write_bytes(b"x")
    policy = Policy(rules=(Rule(to=("alice",), access=("read",), target=(f"{tmp_path}/a",)),))
    with OSL(policy=policy, audit=tmp_path / "audit") as system:
        assert act(system, lambda: osl.read_file(tmp_path / "a")) == b"x"
        with pytest.raises(OslError, match="no file to follow"):
            asyncio.run(system.follow_policy())


def test_several_files_are_one_policy_and_the_strictest_enforcement_counts(tmp_path, act):
    (tmp_path / "a").write_bytes(b"x")
    loose, strict = tmp_path / "loose.toml", tmp_path / "strict.toml"
    loose.write_text('enforcement = "observe"\nobserve_until = 2999-01-01T00:00:00Z\n')
    strict.write_text(rule(ALL, target=f"{tmp_path}/b"))
    with OSL(policy=[loose, strict], audit=tmp_path / "audit") as system:
        with pytest.raises(AccessDenied):
            act(system, lambda: osl.read_file(tmp_path / "a"))
        (explained,) = system.explain(Principal("alice"), DeleteFile(tmp_path / "b"))
        assert explained.position == f"{strict}:1"
