//! Opening files and directories.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, open, openat};
use rustix::io::Errno;

use super::OslError;
use super::resolve::{Object, Place, object, place, proc_path};
use crate::gate::authority::{Answer, Authority, Circumstances, Decided};
use crate::gate::condition::Attributes;
use crate::gate::kind::{AccessBits, Kind};
use crate::gate::matcher::Request;
use crate::gate::subject::Subject;
use crate::gate::target::{Domain, Target};
use crate::gate::{Bar, HARD_LINK, RESERVED};

pub const READ: AccessBits = 1;
pub const WRITE: AccessBits = 1 << 1;
pub const CREATE: AccessBits = 1 << 2;
pub const DELETE: AccessBits = 1 << 3;
pub const LIST: AccessBits = 1 << 4;
pub const METADATA: AccessBits = 1 << 5;
pub const SPAWN: AccessBits = 1;

/// How a file is to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileMode {
    /// Existing, to read.
    Read,
    /// To write from the start; made if missing.
    Write,
    /// To write at the end; made if missing.
    Append,
    /// Existing, to read and write.
    Update,
    /// To write; it must not exist.
    Create,
}

/// On whose behalf, and how.
#[derive(Clone, Copy)]
pub struct Acting<'a> {
    pub authority: &'a Authority,
    pub subject: &'a Subject,
    pub attributes: &'a Attributes,
    pub with: Circumstances<'a>,
    /// Whether a file may have other names.
    pub hard_links: bool,
}

/// Something opened after the gate allowed it.
#[derive(Debug)]
pub struct Opened {
    pub descriptor: OwnedFd,
    pub path: Vec<u8>,
    pub stat: Stat,
    pub created: bool,
    pub decided: Decided,
    /// What `#!` names, for an executable that is a script.
    pub interpreter: Option<Vec<u8>>,
}

impl Acting<'_> {
    /// Decide one access to a real path, and record it durably enough.
    pub(super) fn decide(
        &self,
        kind: Kind,
        access: AccessBits,
        path: &[u8],
        requested: &[u8],
        barred: Option<Bar>,
        arguments: Option<&[&[u8]]>,
    ) -> Result<Decided, OslError> {
        let domain = if kind == Kind::Process {
            Domain::Executable
        } else {
            Domain::Path
        };
        let with = Circumstances {
            barred,
            requested: (requested != path).then_some(requested),
            ..self.with
        };
        let decided = match Target::path(domain, path) {
            Ok(target) => {
                let request = Request {
                    arguments,
                    ..Request::new(kind, access, target, self.attributes)
                };
                self.authority.decide(self.subject, &request, &with)
            }
            Err(reason) => {
                self.authority
                    .refuse_invalid(self.subject, kind, access, path, reason, &with)
            }
        };
        let decided = self.authority.wait(decided);
        if decided.answer == Answer::Allow {
            Ok(decided)
        } else {
            Err(OslError::Refused {
                path: String::from_utf8_lossy(path).into_owned(),
                decided: Box::new(decided),
            })
        }
    }

    /// Normalise what was asked for; a target that is none is refused on record.
    pub(super) fn normal(
        &self,
        kind: Kind,
        access: AccessBits,
        path: &[u8],
    ) -> Result<Vec<u8>, OslError> {
        let problem = if path.contains(&0) {
            "NUL is not allowed".to_owned()
        } else {
            match Target::path(Domain::Path, path) {
                Ok(target) => return Ok(target.text.into_owned()),
                Err(reason) => reason,
            }
        };
        let decided =
            self.authority
                .refuse_invalid(self.subject, kind, access, path, problem, &self.with);
        Err(OslError::Refused {
            path: String::from_utf8_lossy(path).into_owned(),
            decided: Box::new(self.authority.wait(decided)),
        })
    }

    /// A name that could not be resolved: whoever may not access it does not learn why.
    pub(super) fn unresolved(
        &self,
        kind: Kind,
        access: AccessBits,
        path: &[u8],
        error: OslError,
    ) -> OslError {
        match self.decide(kind, access, path, path, None, None) {
            Ok(_) => error,
            Err(refused) => refused,
        }
    }

    pub(super) fn object(
        &self,
        kind: Kind,
        access: AccessBits,
        path: &[u8],
        follow: bool,
    ) -> Result<(Object, Option<Bar>), OslError> {
        let found =
            object(path, follow).map_err(|error| self.unresolved(kind, access, path, error))?;
        let reserved = found
            .is_reserved(&self.authority.reserved())
            .map_err(|error| OslError::os(path, error))?;
        Ok((found, reserved.then_some(RESERVED)))
    }

    pub(super) fn place(
        &self,
        access: AccessBits,
        path: &[u8],
    ) -> Result<(Place, Option<Bar>), OslError> {
        let found =
            place(path).map_err(|error| self.unresolved(Kind::Filesystem, access, path, error))?;
        let reserved = found
            .is_reserved(&self.authority.reserved())
            .map_err(|error| OslError::os(path, error))?;
        Ok((found, reserved.then_some(RESERVED)))
    }

    /// Open a regular file.
    ///
    /// # Errors
    /// It is refused, missing, of another type, or has other names.
    pub fn open(
        &self,
        path: &[u8],
        mode: FileMode,
        truncate: bool,
        permissions: u32,
    ) -> Result<Opened, OslError> {
        let first = if mode == FileMode::Read {
            READ
        } else if mode == FileMode::Create {
            CREATE
        } else {
            WRITE
        };
        let path = self.normal(Kind::Filesystem, first, path)?;
        // Two writers may make and remove the file in turns; a few rounds settle who wins.
        for _ in 0..8 {
            if mode != FileMode::Create {
                match object(&path, true) {
                    Ok(found) => return self.open_existing(&path, found, mode, truncate),
                    Err(OslError::Os { source, .. })
                        if source.kind() == std::io::ErrorKind::NotFound
                            && matches!(mode, FileMode::Write | FileMode::Append) => {}
                    Err(error) => {
                        return Err(self.unresolved(Kind::Filesystem, first, &path, error));
                    }
                }
            }
            if let Some(opened) = self.open_new(&path, mode, permissions)? {
                return Ok(opened);
            }
        }
        Err(OslError::Moved {
            path: String::from_utf8_lossy(&path).into_owned(),
        })
    }

    fn open_existing(
        &self,
        requested: &[u8],
        found: Object,
        mode: FileMode,
        truncate: bool,
    ) -> Result<Opened, OslError> {
        let reserved = found
            .is_reserved(&self.authority.reserved())
            .map_err(|error| OslError::os(requested, error))?;
        let linked = found.file_type() == FileType::RegularFile
            && found.stat.st_nlink > 1
            && !self.hard_links;
        let barred = if reserved {
            Some(RESERVED)
        } else {
            linked.then_some(HARD_LINK)
        };
        let (accesses, flags): (&[AccessBits], _) = match mode {
            FileMode::Read => (&[READ], OFlags::RDONLY),
            FileMode::Write | FileMode::Create => (&[WRITE], OFlags::WRONLY),
            FileMode::Append => (&[WRITE], OFlags::WRONLY | OFlags::APPEND),
            FileMode::Update => (&[READ, WRITE], OFlags::RDWR),
        };
        let mut decided = None;
        for access in accesses {
            decided = Some(self.decide(
                Kind::Filesystem,
                *access,
                &found.path,
                requested,
                barred,
                None,
            )?);
        }
        let decided = decided.expect("every mode has an access");
        Self::require_file(&found)?;
        let flags = if truncate && mode != FileMode::Read {
            flags | OFlags::TRUNC
        } else {
            flags
        };
        let descriptor = reopen(&found, flags | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        Ok(Opened {
            descriptor,
            path: found.path,
            stat: found.stat,
            created: false,
            decided,
            interpreter: None,
        })
    }

    /// Make the file; `None` when something stands there by now.
    fn open_new(
        &self,
        path: &[u8],
        mode: FileMode,
        permissions: u32,
    ) -> Result<Option<Opened>, OslError> {
        let (place, reserved) = self.place(CREATE, path)?;
        let real = place.path();
        if mode != FileMode::Create
            && let Ok(Some(stat)) = place.stat()
        {
            if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
                let error = OslError::DanglingLink {
                    path: String::from_utf8_lossy(&real).into_owned(),
                };
                return Err(self.unresolved(Kind::Filesystem, CREATE, &real, error));
            }
            return Ok(None);
        }
        let decided = self.decide(Kind::Filesystem, CREATE, &real, path, reserved, None)?;
        let append = if mode == FileMode::Append {
            OFlags::APPEND
        } else {
            OFlags::empty()
        };
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(
            &place.directory,
            &place.name[..],
            flags | append,
            Mode::from_raw_mode(permissions),
        ) {
            Ok(descriptor) => {
                let stat = fstat(&descriptor).map_err(|error| OslError::os(&real, error))?;
                Ok(Some(Opened {
                    descriptor,
                    path: real,
                    stat,
                    created: true,
                    decided,
                    interpreter: None,
                }))
            }
            Err(Errno::EXIST) if mode != FileMode::Create => Ok(None),
            Err(error) => Err(OslError::os(&real, error)),
        }
    }

    fn require_file(found: &Object) -> Result<(), OslError> {
        if found.file_type() != FileType::RegularFile {
            return Err(OslError::WrongType {
                path: String::from_utf8_lossy(&found.path).into_owned(),
                kind: "a regular file",
                found: type_name(found.file_type()),
            });
        }
        Ok(())
    }

    /// Open a directory to list it.
    ///
    /// # Errors
    /// It is refused, missing, or no directory.
    pub fn open_directory(&self, path: &[u8]) -> Result<Opened, OslError> {
        let path = self.normal(Kind::Filesystem, LIST, path)?;
        let (found, reserved) = self.object(Kind::Filesystem, LIST, &path, true)?;
        let decided = self.decide(Kind::Filesystem, LIST, &found.path, &path, reserved, None)?;
        if found.file_type() != FileType::Directory {
            return Err(OslError::WrongType {
                path: String::from_utf8_lossy(&found.path).into_owned(),
                kind: "a directory",
                found: type_name(found.file_type()),
            });
        }
        let descriptor = reopen(&found, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let (path, stat) = (found.path, found.stat);
        Ok(Opened {
            descriptor,
            path,
            stat,
            created: false,
            decided,
            interpreter: None,
        })
    }

    /// Open whatever is there to look at its metadata.
    ///
    /// # Errors
    /// It is refused or missing.
    pub fn open_path(&self, path: &[u8], follow: bool) -> Result<Opened, OslError> {
        let path = self.normal(Kind::Filesystem, METADATA, path)?;
        let (found, reserved) = self.object(Kind::Filesystem, METADATA, &path, follow)?;
        let decided = self.decide(
            Kind::Filesystem,
            METADATA,
            &found.path,
            &path,
            reserved,
            None,
        )?;
        let (descriptor, path, stat) = (found.handle, found.path, found.stat);
        Ok(Opened {
            descriptor,
            path,
            stat,
            created: false,
            decided,
            interpreter: None,
        })
    }

    /// Open a program, decided with the arguments it will be given.
    ///
    /// # Errors
    /// It is refused, missing, or no regular file.
    pub fn open_executable(
        &self,
        path: &[u8],
        arguments: Option<&[&[u8]]>,
    ) -> Result<Opened, OslError> {
        let path = self.normal(Kind::Process, SPAWN, path)?;
        let (found, reserved) = self.object(Kind::Process, SPAWN, &path, true)?;
        let decided = self.decide(
            Kind::Process,
            SPAWN,
            &found.path,
            &path,
            reserved,
            arguments,
        )?;
        if found.file_type() != FileType::RegularFile {
            return Err(OslError::WrongType {
                path: String::from_utf8_lossy(&found.path).into_owned(),
                kind: "a program",
                found: type_name(found.file_type()),
            });
        }
        let descriptor = reopen(&found, OFlags::RDONLY | OFlags::NONBLOCK)?;
        let interpreter =
            interpreter_of(&descriptor).map_err(|error| OslError::os(&found.path, error))?;
        let (path, stat) = (found.path, found.stat);
        Ok(Opened {
            descriptor,
            path,
            stat,
            created: false,
            decided,
            interpreter,
        })
    }
}

/// Open the object that a handle names, whatever its name leads to by now.
fn reopen(found: &Object, flags: OFlags) -> Result<OwnedFd, OslError> {
    open(
        proc_path(found.handle.as_fd()),
        flags | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|error| OslError::os(&found.path, error))
}

/// The line behind `#!`, as the kernel reads it.
fn interpreter_of(file: &OwnedFd) -> Result<Option<Vec<u8>>, Errno> {
    let mut start = [0; 256];
    let read = rustix::io::pread(file, &mut start, 0)?;
    let Some(rest) = start[..read].strip_prefix(b"#!") else {
        return Ok(None);
    };
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(Some(line.trim_ascii().to_vec()))
}

pub(super) fn type_name(file_type: FileType) -> &'static str {
    match file_type {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "something of an unknown type",
    }
}
