//! Starting a confined child from a program that is already open.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::OslError;
use super::confine::{Confinement, Grants};

/// A resource limit by its name in settings.
pub const LIMITS: [(&str, libc::__rlimit_resource_t); 7] = [
    ("cpu", libc::RLIMIT_CPU),
    ("memory", libc::RLIMIT_AS),
    ("files", libc::RLIMIT_NOFILE),
    ("processes", libc::RLIMIT_NPROC),
    ("file_size", libc::RLIMIT_FSIZE),
    ("core", libc::RLIMIT_CORE),
    ("stack", libc::RLIMIT_STACK),
];

/// What to start and how.
#[derive(Debug)]
pub struct Command<'a> {
    pub program: BorrowedFd<'a>,
    pub arguments: Vec<CString>,
    /// `NAME=value`; nothing else is inherited.
    pub environment: Vec<CString>,
    pub directory: Option<BorrowedFd<'a>>,
    /// Standard input, output and error; `/dev/null` where absent.
    pub standard: [Option<BorrowedFd<'a>>; 3],
    /// Descriptors that keep their numbers.
    pub passed: Vec<RawFd>,
    pub limits: Vec<(libc::__rlimit_resource_t, u64)>,
    pub grants: Grants,
}

/// A child that was started, and what holds it.
#[derive(Debug)]
pub struct Child {
    pub pid: i32,
    pub handle: OwnedFd,
    pub confinement: Confinement,
}

/// Everything the child needs, made before it exists: it must not allocate.
struct Plan<'a> {
    command: &'a Command<'a>,
    standard: [OwnedFd; 3],
    arguments: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
    ruleset: Option<RawFd>,
    report: RawFd,
}

impl Command<'_> {
    /// Start it.
    ///
    /// # Errors
    /// It cannot be confined as asked, or the kernel does not start it.
    pub fn spawn(&self, shown: &[u8]) -> Result<Child, OslError> {
        let confinement = Confinement::prepare(&self.grants, self.program)?;
        let fault = |error: io::Error| OslError::os(shown, error);
        let (report_from, report_to) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|error| fault(error.into()))?;
        let pointers = |texts: &[CString]| {
            texts
                .iter()
                .map(|text| text.as_ptr())
                .chain([std::ptr::null()])
                .collect()
        };
        let standard = [0, 1, 2].map(|number| self.standard_above(number));
        let [input, output, error] = standard;
        let plan = Plan {
            standard: [
                input.map_err(fault)?,
                output.map_err(fault)?,
                error.map_err(fault)?,
            ],
            command: self,
            arguments: pointers(&self.arguments),
            environment: pointers(&self.environment),
            ruleset: confinement.ruleset.as_ref().map(AsRawFd::as_raw_fd),
            report: report_to.as_raw_fd(),
        };
        let mut handle: RawFd = -1;
        // SAFETY: all fields of the structure may be zero.
        let mut how: libc::clone_args = unsafe { std::mem::zeroed() };
        how.flags = libc::CLONE_PIDFD as u64;
        how.pidfd = &raw mut handle as u64;
        how.exit_signal = libc::SIGCHLD as u64;
        // SAFETY: without CLONE_VM this is fork: the child has a copy of everything, and runs only
        // `become_program`, which makes system calls on what was prepared and never returns.
        let pid = unsafe {
            libc::syscall(
                libc::SYS_clone3,
                &raw mut how,
                std::mem::size_of::<libc::clone_args>(),
            )
        };
        if pid == 0 {
            // SAFETY: this is the child, alone in its copy of the process.
            unsafe { become_program(&plan) }
        }
        if pid < 0 {
            return Err(fault(io::Error::last_os_error()));
        }
        // SAFETY: the kernel stored a descriptor that nobody else owns.
        let handle = unsafe { OwnedFd::from_raw_fd(handle) };
        drop(report_to);
        let mut report = [0; 8];
        let read = loop {
            match rustix::io::read(&report_from, &mut report) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other.map_err(|error| fault(error.into()))?,
            }
        };
        if read == report.len() {
            reap(&handle);
            let number = |at: usize| {
                i32::from_ne_bytes([report[at], report[at + 1], report[at + 2], report[at + 3]])
            };
            let stage = STAGES
                .get(usize::try_from(number(0)).unwrap_or(0))
                .copied()
                .unwrap_or("start");
            let cause = io::Error::from_raw_os_error(number(4));
            let kind = cause.kind();
            return Err(if stage == "execute" {
                fault(cause)
            } else {
                fault(io::Error::new(
                    kind,
                    format!("the child could not {stage}: {cause}"),
                ))
            });
        }
        let pid = i32::try_from(pid).expect("process ids are small");
        Ok(Child {
            pid,
            handle,
            confinement,
        })
    }

    /// A copy of a standard descriptor above those that it will be copied to.
    fn standard_above(&self, number: usize) -> io::Result<OwnedFd> {
        match self.standard[number] {
            Some(descriptor) => Ok(rustix::io::fcntl_dupfd_cloexec(descriptor, 10)?),
            None => {
                let null = std::fs::File::options()
                    .read(number == 0)
                    .write(number != 0)
                    .open("/dev/null")?;
                Ok(rustix::io::fcntl_dupfd_cloexec(&null, 10)?)
            }
        }
    }
}

fn reap(handle: &OwnedFd) {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    use std::os::fd::AsFd;
    // The child has written its report and exits; nobody else knows of it.
    let _ = waitid(WaitId::PidFd(handle.as_fd()), WaitIdOptions::EXITED);
}

const STAGES: [&str; 8] = [
    "start",
    "begin a session",
    "take its standard descriptors",
    "close the other descriptors",
    "enter its directory",
    "take its limits",
    "be confined",
    "execute",
];

/// Turn this process into the program. Only system calls; no allocation, no lock.
///
/// # Safety
/// Must run in a fresh child with one thread.
unsafe fn become_program(plan: &Plan<'_>) -> ! {
    // SAFETY: plain system calls on prepared values, in the only thread of this process.
    unsafe {
        // Ignored signals and blocked ones would be inherited through exec.
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        check(plan, 1, libc::setsid());
        for (number, descriptor) in (0..).zip(&plan.standard) {
            check(plan, 2, libc::dup2(descriptor.as_raw_fd(), number));
        }
        let closed = libc::syscall(
            libc::SYS_close_range,
            3,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        );
        check(plan, 3, closed as i32);
        for descriptor in &plan.command.passed {
            check(plan, 3, libc::fcntl(*descriptor, libc::F_SETFD, 0));
        }
        if let Some(directory) = plan.command.directory {
            check(plan, 4, libc::fchdir(directory.as_raw_fd()));
        }
        for (resource, limit) in &plan.command.limits {
            let limit = libc::rlimit {
                rlim_cur: *limit,
                rlim_max: *limit,
            };
            check(plan, 5, libc::setrlimit(*resource, &raw const limit));
        }
        check(plan, 6, libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
        if let Some(ruleset) = plan.ruleset {
            check(
                plan,
                6,
                libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0) as i32,
            );
        }
        libc::syscall(
            libc::SYS_execveat,
            plan.command.program.as_raw_fd(),
            c"".as_ptr(),
            plan.arguments.as_ptr(),
            plan.environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
        check(plan, 7, -1);
        libc::_exit(127)
    }
}

/// Report a failed step and end.
///
/// # Safety
/// As [`become_program`].
unsafe fn check(plan: &Plan<'_>, stage: i32, result: i32) {
    if result < 0 {
        // SAFETY: errno is the thread's own; the buffer is eight bytes; the process ends.
        unsafe {
            let report = [stage, *libc::__errno_location()];
            libc::write(plan.report, report.as_ptr().cast(), 8);
            libc::_exit(127);
        }
    }
}
