//! What the kernel is told to refuse a child, whatever the child runs (Landlock).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath,
    PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
};

use super::OslError;

/// What a child may reach. Everything else is refused by the kernel.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// Files and directory trees.
    pub read: Vec<PathBuf>,
    pub write: Vec<PathBuf>,
    pub execute: Vec<PathBuf>,
    /// TCP ports; `None` for any.
    pub connect_ports: Option<Vec<u16>>,
    pub bind_ports: Option<Vec<u16>>,
    /// What dynamically linked programs need to start.
    pub system_libraries: bool,
    /// Fail rather than confine less than this says.
    pub required: bool,
}

/// A ruleset that a child can put on itself.
#[derive(Debug)]
pub struct Confinement {
    pub ruleset: Option<OwnedFd>,
    /// Version of the kernel's interface, 0 where it has none.
    pub abi: u32,
    /// Whether TCP ports are restricted as asked.
    pub network: bool,
    /// Whether signals and abstract sockets stay within the child.
    pub scoped: bool,
}

const SYSTEM_TREES: [&str; 5] = ["/usr/lib", "/lib", "/lib64", "/usr/lib64", "/usr/libexec"];
const SYSTEM_FILES: [&str; 4] = [
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/usr/share/zoneinfo",
];
const DEVICES: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"];

impl Confinement {
    /// Describe `grants` to the kernel; `program` may be executed and read besides.
    ///
    /// # Errors
    /// A path does not exist, or the kernel cannot enforce all of it and that is required.
    pub fn prepare(grants: &Grants, program: BorrowedFd<'_>) -> Result<Confinement, OslError> {
        let abi = kernel_abi();
        let restricts_network = grants.connect_ports.is_some() || grants.bind_ports.is_some();
        if grants.required {
            if abi < 1 {
                return Err(OslError::Unconfined(
                    "the kernel has no Landlock".to_owned(),
                ));
            }
            if abi < 4 && restricts_network {
                return Err(OslError::Unconfined(format!(
                    "the kernel's Landlock (version {abi}) cannot restrict TCP ports, which takes version 4"
                )));
            }
        }
        let mut confinement = Confinement {
            ruleset: None,
            abi,
            network: restricts_network && abi >= 4,
            scoped: abi >= 6,
        };
        if abi >= 1 {
            let fault = |error: landlock::RulesetError| OslError::Unconfined(error.to_string());
            confinement.ruleset = build(grants, program, fault)?;
        }
        Ok(confinement)
    }
}

fn build(
    grants: &Grants,
    program: BorrowedFd<'_>,
    fault: impl Fn(landlock::RulesetError) -> OslError + Copy,
) -> Result<Option<OwnedFd>, OslError> {
    // What a kernel does not know yet is left out; `prepare` refused before where that is not wanted.
    let all = AccessFs::from_all(ABI::V5);
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)
        .map_err(fault)?
        .scope(Scope::from_all(ABI::V6))
        .map_err(fault)?;
    if grants.connect_ports.is_some() {
        ruleset = ruleset
            .handle_access(AccessNet::ConnectTcp)
            .map_err(fault)?;
    }
    if grants.bind_ports.is_some() {
        ruleset = ruleset.handle_access(AccessNet::BindTcp).map_err(fault)?;
    }
    let mut created = ruleset.create().map_err(fault)?;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let run = read | AccessFs::Execute;
    let write = AccessFs::from_write(ABI::V5)
        & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev);
    let mut wanted: Vec<(PathBuf, BitFlags<AccessFs>, bool)> = Vec::new();
    wanted.extend(grants.read.iter().map(|path| (path.clone(), read, true)));
    wanted.extend(grants.write.iter().map(|path| (path.clone(), write, true)));
    wanted.extend(grants.execute.iter().map(|path| (path.clone(), run, true)));
    if grants.system_libraries {
        wanted.extend(SYSTEM_TREES.map(|path| (PathBuf::from(path), run, false)));
        wanted.extend(SYSTEM_FILES.map(|path| (PathBuf::from(path), read, false)));
    }
    let devices = AccessFs::ReadFile | AccessFs::WriteFile;
    wanted.extend(DEVICES.map(|path| (PathBuf::from(path), devices, false)));
    for (path, rights, must_exist) in &wanted {
        let handle = match PathFd::new(path) {
            Ok(handle) => handle,
            Err(_) if !must_exist => continue,
            Err(error) => return Err(OslError::Unconfined(format!("{}: {error}", path.display()))),
        };
        let rights = if is_directory(path) {
            *rights
        } else {
            *rights & AccessFs::from_file(ABI::V5)
        };
        created = created
            .add_rule(PathBeneath::new(handle, rights))
            .map_err(fault)?;
    }
    created = created
        .add_rule(PathBeneath::new(
            program.as_fd(),
            AccessFs::ReadFile | AccessFs::Execute,
        ))
        .map_err(fault)?;
    for port in grants.connect_ports.iter().flatten() {
        created = created
            .add_rule(NetPort::new(*port, AccessNet::ConnectTcp))
            .map_err(fault)?;
    }
    for port in grants.bind_ports.iter().flatten() {
        created = created
            .add_rule(NetPort::new(*port, AccessNet::BindTcp))
            .map_err(fault)?;
    }
    Ok(created.into())
}

fn is_directory(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_dir())
}

/// The version of the kernel's Landlock interface, 0 without one.
fn kernel_abi() -> u32 {
    const VERSION: libc::c_ulong = 1;
    // SAFETY: with this flag the call takes no pointer and changes nothing.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0,
            VERSION,
        )
    };
    u32::try_from(version).unwrap_or(0)
}
