"""A child process while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal as signals
from typing import TYPE_CHECKING, TypeVar

from airssys.osl.errors import OslError
from airssys.osl.processes.records import ExitStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from airssys.osl.authority import Authority

__all__ = ["Process"]

T = TypeVar("T")


class Process:
    """A child that was spawned with streams; belongs to the event loop it was spawned on.

    Attributes:
        pid: Its process id, which is also the id of its session and process group.
        executable: The resolved program.
        principal: Name of who spawned it.
        confinement: What the kernel holds it to.
    """

    def __init__(
        self,
        authority: Authority,
        *,
        pid: int,
        pidfd: int,
        executable: str,
        confinement: Mapping[str, object],
    ) -> None:
        self.pid = pid
        self.executable = executable
        self.principal = authority.context.principal.name
        self.confinement = confinement
        self._system = authority.system
        self._pidfd = pidfd
        self._loop = asyncio.get_running_loop()
        self._status: ExitStatus | None = None
        self._ended = asyncio.Event()
        self._callbacks: list[Callable[[ExitStatus], None]] = []
        self._stdin: asyncio.StreamWriter | None = None
        self._stdout: asyncio.StreamReader | None = None
        self._stderr: asyncio.StreamReader | None = None
        self._transports: list[asyncio.BaseTransport] = []
        self._loop.add_reader(pidfd, self._reap)
        self._system.children[pid] = self

    # -- streams

    async def _attach(self, stdin: int | None, stdout: int | None, stderr: int | None) -> None:
        """Take over this side's ends of the pipes."""
        if stdin is not None:
            self._stdin = await self._writer(stdin)
        if stdout is not None:
            self._stdout = await self._reader(stdout)
        if stderr is not None:
            self._stderr = await self._reader(stderr)

    async def _reader(self, descriptor: int) -> asyncio.StreamReader:
        reader = asyncio.StreamReader(loop=self._loop)
        transport, _ = await self._loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader, loop=self._loop),
            os.fdopen(descriptor, "rb", buffering=0),
        )
        self._transports.append(transport)
        return reader

    async def _writer(self, descriptor: int) -> asyncio.StreamWriter:
        transport, protocol = await self._loop.connect_write_pipe(
            lambda: asyncio.streams.FlowControlMixin(loop=self._loop),
            os.fdopen(descriptor, "wb", buffering=0),
        )
        self._transports.append(transport)
        return asyncio.StreamWriter(transport, protocol, None, self._loop)

    async def write(self, data: bytes) -> None:
        """Send bytes to its standard input, waiting while it does not read.

        Raises:
            BrokenPipeError: It has closed its input or ended.
        """
        writer = self._need(self._stdin, "stdin")
        if writer.transport.is_closing():
            raise BrokenPipeError(f"process {self.pid} has closed its input")
        writer.write(data)
        await writer.drain()

    def close_input(self) -> None:
        """Let it read the end of its standard input."""
        self._need(self._stdin, "stdin").close()

    async def read(self, size: int = 65536) -> bytes:
        """Return up to `size` bytes of its standard output; none at the end."""
        return await self._need(self._stdout, "stdout").read(size)

    async def read_error(self, size: int = 65536) -> bytes:
        """Return up to `size` bytes of its standard error; none at the end."""
        return await self._need(self._stderr, "stderr").read(size)

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield the lines of its standard output with their ends.

        Raises:
            ValueError: A line is longer than 64 KiB.
        """
        async for line in self._need(self._stdout, "stdout"):
            yield line

    def _need(self, stream: T | None, name: str) -> T:
        if stream is None:
            raise OslError(
                f"process {self.pid} was spawned without a pipe for its {name}; "
                f"spawn it with {name}='pipe'",
                code="no-pipe",
            )
        return stream

    # -- the end

    @property
    def status(self) -> ExitStatus | None:
        """How it ended; `None` while it runs."""
        return self._status

    async def wait(self) -> ExitStatus:
        """Wait until it ends, deciding on the right to; cancelling leaves it running."""
        from airssys.osl.processes.operations import WaitProcess  # noqa: PLC0415 - they name this

        return (await self._system.run(WaitProcess(self))).output

    async def signal(self, signal: signals.Signals, *, tree: bool = False) -> None:
        """Send it a signal, deciding on the right to."""
        from airssys.osl.processes.operations import SignalProcess  # noqa: PLC0415 - they name this

        await self._system.run(SignalProcess(self, signal, tree))

    async def kill(self) -> None:
        """End it and all in its process group, deciding on the right to."""
        from airssys.osl.processes.operations import KillProcess  # noqa: PLC0415 - they name this

        await self._system.run(KillProcess(self))

    async def ended(self) -> ExitStatus:
        """Wait for the end without asking the gate: for the code that owns the process."""
        await self._ended.wait()
        assert self._status is not None  # noqa: S101 - set before the event is
        return self._status

    def on_end(self, callback: Callable[[ExitStatus], None]) -> None:
        """Have `callback(status)` called on the loop when it has ended; soon if it has already."""
        if self._status is not None:
            self._loop.call_soon(callback, self._status)
        else:
            self._callbacks.append(callback)

    def send(self, signal: signals.Signals, *, tree: bool) -> None:
        """Signal without asking the gate; what has ended is left alone."""
        if self._pidfd < 0:
            return
        with contextlib.suppress(ProcessLookupError):
            if tree:
                # The leader is not reaped yet, so its id still names this group and no other.
                os.killpg(self.pid, signal)
            else:
                signals.pidfd_send_signal(self._pidfd, signal)

    async def stop(self, grace: float) -> None:
        """Tell the process group to end, and make it end after `grace` seconds."""
        self.send(signals.SIGTERM, tree=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._ended.wait()
        self.send(signals.SIGKILL, tree=True)
        await self._ended.wait()

    def abandon(self) -> None:
        """Kill the process group and reap it at once; its loop need not run any more."""
        self.send(signals.SIGKILL, tree=True)
        if self._loop.is_running() and asyncio._get_running_loop() is not self._loop:  # noqa: SLF001
            # The loop runs in another thread, which reaps its children itself.
            asyncio.run_coroutine_threadsafe(self._gone(), self._loop).result()
            return
        if not self._loop.is_closed():
            self._loop.remove_reader(self._pidfd)
            self.release()
        self._finish()
        self._ended.set()

    async def _gone(self) -> None:
        await self._ended.wait()
        self.release()

    def _reap(self) -> None:
        self._loop.remove_reader(self._pidfd)
        # What it left in its process group goes with it, while its id cannot be another's.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signals.SIGKILL)
        self._finish()
        self._ended.set()

    def _finish(self) -> None:
        found = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
        assert found is not None  # noqa: S101 - only WNOHANG gives nothing
        exited = found.si_code == os.CLD_EXITED
        self._status = ExitStatus(found.si_status if exited else -found.si_status)
        os.close(self._pidfd)
        self._pidfd = -1
        self._system.children.pop(self.pid, None)
        for callback in self._callbacks:
            callback(self._status)
        self._callbacks.clear()

    def release(self) -> None:
        """Close this side of the pipes."""
        for transport in self._transports:
            if not self._loop.is_closed():
                transport.close()
