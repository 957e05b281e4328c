//! What the kernel is told to refuse a child, whatever the child runs (Landlock).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath,
    Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;

use super::OslError;

/// What a child may reach. Everything else is refused by the kernel.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// Files and directory trees, by absolute paths. One that is missing, or that a symbolic link stands
    /// in the way of, is left out: rules are about real paths, and a link may be anybody's.
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
    /// Granted paths that were left out.
    pub left_out: Vec<PathBuf>,
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
    /// A path cannot be opened, or the kernel cannot enforce all of it and that is required.
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
            left_out: Vec::new(),
        };
        if abi >= 1 {
            let fault = |error: landlock::RulesetError| OslError::Unconfined(error.to_string());
            confinement.ruleset = build(grants, program, &mut confinement.left_out, fault)?;
        }
        Ok(confinement)
    }
}

fn build(
    grants: &Grants,
    program: BorrowedFd<'_>,
    left_out: &mut Vec<PathBuf>,
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
    let devices = AccessFs::ReadFile | AccessFs::WriteFile;
    let mut wanted: Vec<(&Path, BitFlags<AccessFs>, Origin)> = Vec::new();
    for (paths, rights) in [
        (&grants.read, read),
        (&grants.write, write),
        (&grants.execute, run),
    ] {
        wanted.extend(paths.iter().map(|path| (&**path, rights, Origin::Granted)));
    }
    let system = |path| (Path::new(path), Origin::System);
    let systems = SYSTEM_TREES.map(|path| (system(path), run)).into_iter();
    let systems = systems.chain(SYSTEM_FILES.map(|path| (system(path), read)));
    let systems = systems.filter(|_| grants.system_libraries);
    let systems = systems.chain(DEVICES.map(|path| (system(path), devices)));
    wanted.extend(systems.map(|((path, origin), rights)| (path, rights, origin)));
    for (path, rights, origin) in wanted {
        let handle = match open(path, origin) {
            Ok(handle) => handle,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                if origin == Origin::Granted {
                    left_out.push(path.to_path_buf());
                }
                continue;
            }
            Err(error) => return Err(OslError::os(path.as_os_str().as_bytes(), error)),
        };
        let stat =
            fstat(&handle).map_err(|error| OslError::os(path.as_os_str().as_bytes(), error))?;
        let rights = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            rights
        } else {
            rights & AccessFs::from_file(ABI::V5)
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

/// Who names a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// A rule.
    Granted,
    /// This file; the links among these (`/lib`) are the system's own.
    System,
}

fn open(path: &Path, origin: Origin) -> Result<OwnedFd, Errno> {
    let resolve = match origin {
        Origin::Granted => ResolveFlags::NO_SYMLINKS,
        Origin::System => ResolveFlags::NO_MAGICLINKS,
    };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    openat2(CWD, path, flags, Mode::empty(), resolve)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_left_out_where_a_link_stands_in_its_way() {
        let root = std::env::temp_dir().join(format!("airssys-confine-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(root.join("real/inner")).unwrap();
        let root = root.canonicalize().unwrap();
        let paths = ["real", "swapped", "swapped/inner", "missing", "real/inner"];
        let paths = paths.map(|path| root.join(path));
        std::os::unix::fs::symlink("/etc", &paths[1]).unwrap();
        let grants = Grants {
            read: paths[..2].to_vec(),
            write: paths[2..4].to_vec(),
            execute: paths[4..].to_vec(),
            ..Grants::default()
        };
        let program = std::fs::File::open("/proc/self/exe").unwrap();
        let confinement = Confinement::prepare(&grants, program.as_fd()).unwrap();
        std::fs::remove_dir_all(root).unwrap();
        assert_eq!(confinement.left_out, paths[1..4]);
    }
}
