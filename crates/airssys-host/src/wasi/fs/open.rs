//! Opening: the object first, the decision about this very object next, an effect on it last.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::Fs;
use super::known::Found;
use super::object::{Kind, Object};
use super::resolve::{Place, open_plain, real_path, resolve};
use crate::gate::{At, FileAccess};
use crate::wasi::decide::Fail;

/// How often an entry that changes under the guest's feet is looked at again.
const MAX_ATTEMPTS: usize = 40;

/// A FIFO or a device must not hang the host, and no terminal may become the host's own.
const NEVER_WAIT: OFlags = OFlags::NONBLOCK
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// What `open-at` was asked for.
#[derive(Clone, Copy, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "these are the flags of the interface"
)]
pub(crate) struct OpenRequest {
    pub follow: bool,
    pub create: bool,
    pub exclusive: bool,
    pub truncate: bool,
    pub directory: bool,
    pub read: bool,
    pub write: bool,
    pub mutate: bool,
}

impl OpenRequest {
    /// `O_TRUNC` is never among them: it would take effect before the decision.
    fn flags(self) -> OFlags {
        let access = match (self.read, self.write) {
            (true, true) => OFlags::RDWR,
            (false, true) => OFlags::WRONLY,
            _ => OFlags::RDONLY,
        };
        let directory = if self.directory {
            OFlags::DIRECTORY
        } else {
            OFlags::empty()
        };
        access | directory | NEVER_WAIT
    }

    /// The access that stands for the whole request where the object cannot be looked at.
    fn main_access(self) -> FileAccess {
        if self.create {
            FileAccess::Create
        } else if self.write {
            FileAccess::Write
        } else {
            FileAccess::Read
        }
    }
}

impl Fs {
    pub fn open_at(&self, dir: &Object, path: &str, request: OpenRequest) -> Result<Object, Fail> {
        if !dir.is_dir {
            return Err(Errno::NOTDIR.into());
        }
        if request.directory && (request.create || request.exclusive || request.truncate) {
            return Err(Errno::INVAL.into());
        }
        self.check_form(path, request.main_access())?;
        let generation = self.gate.mark();
        let mut request = request;
        // Truncating is writing, and whatever is not opened for writing can be read.
        request.write |= request.truncate;
        request.read |= !request.write;
        let object = if !is_plain(path, request) {
            self.open_resolved(dir, path, request, generation)?
        } else if let Some(found) = dir.ways.open(dir.file.as_fd(), path, request.flags()) {
            self.decide_opened(dir, found, request, generation)?
        } else {
            match open_plain(&dir.file, path, request.flags()) {
                Ok(opened) => {
                    let path = real_path(&opened)?;
                    self.decide_opened(dir, Found::at(opened, path)?, request, generation)?
                }
                Err(Errno::LOOP) => self.open_resolved(dir, path, request, generation)?,
                Err(errno) => return Err(self.refuse_or(dir, path, request.main_access(), errno)),
            }
        };
        if request.truncate && !object.is_dir {
            rustix::fs::ftruncate(&object.file, 0)?;
        }
        Ok(object)
    }

    fn open_resolved(
        &self,
        dir: &Object,
        path: &str,
        request: OpenRequest,
        generation: u64,
    ) -> Result<Object, Fail> {
        for _ in 0..MAX_ATTEMPTS {
            let place = resolve(dir.file.as_fd(), path, request.follow)
                .map_err(|errno| self.refuse_or(dir, path, request.main_access(), errno))?;
            let mut flags = request.flags() | OFlags::NOFOLLOW;
            if place.must_be_dir {
                flags |= OFlags::DIRECTORY;
            }
            if request.create && request.exclusive {
                return self.create(dir, &place, request, generation);
            }
            match rustix::fs::openat(&place.parent, place.entry(), flags, Mode::empty()) {
                Ok(opened) => {
                    let found = Found::at(opened, place.path)?;
                    return self.decide_opened(dir, found, request, generation);
                }
                Err(Errno::NOENT) if request.create => {
                    match self.create(dir, &place, request, generation) {
                        // Somebody was faster: it is opened like anything that exists.
                        Err(Fail::Errno(Errno::EXIST)) => {}
                        other => return other,
                    }
                }
                // A link was put there after the resolution: resolve it too.
                Err(Errno::LOOP) if request.follow => {}
                Err(errno) => {
                    self.permit_place(dir, &place, request.main_access())?;
                    return Err(errno.into());
                }
            }
        }
        Err(Errno::BUSY.into())
    }

    fn create(
        &self,
        dir: &Object,
        place: &Place,
        request: OpenRequest,
        generation: u64,
    ) -> Result<Object, Fail> {
        // What a guest makes it may write, whatever it asked for.
        let request = OpenRequest {
            write: true,
            ..request
        };
        for access in [FileAccess::Create, FileAccess::Write] {
            self.permit_place(dir, place, access)?;
        }
        if request.read {
            self.permit_place(dir, place, FileAccess::Read)?;
        }
        if place.must_be_dir {
            return Err(Errno::ISDIR.into());
        }
        let created = rustix::fs::openat(
            &place.parent,
            place.entry(),
            request.flags() | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW,
            Mode::from_raw_mode(0o666),
        )?;
        let kind = Kind {
            is_dir: false,
            writable: true,
            read: request.read,
            write: true,
            mutable: false,
        };
        Ok(Object::new(
            File::from(created),
            place.path.clone(),
            kind,
            generation,
        ))
    }

    /// The decision about an object that is already open, at the place where it really is.
    fn decide_opened(
        &self,
        dir: &Object,
        found: Found,
        request: OpenRequest,
        generation: u64,
    ) -> Result<Object, Fail> {
        let Found {
            opened,
            path,
            looked,
        } = found;
        let file = &looked.facts;
        let is_dir = file.is_directory();
        let at = At::Looked(opened.as_fd(), &looked);
        if is_dir {
            // A directory handle gives nothing by itself: each operation through it is decided.
            self.permit(&path, FileAccess::Metadata, at, None)?;
        } else {
            for (wanted, access) in [
                (request.read, FileAccess::Read),
                (request.write, FileAccess::Write),
            ] {
                if wanted {
                    let bar = self.bar_of_file(dir, file, access);
                    self.permit(&path, access, at, bar)?;
                }
            }
            if file.file_type != FileType::RegularFile {
                return Err(Errno::NOTSUP.into());
            }
        }
        let kind = Kind {
            is_dir,
            writable: dir.writable,
            read: request.read,
            write: request.write,
            mutable: request.mutate || request.write,
        };
        Ok(Object::new(File::from(opened), path, kind, generation))
    }

    /// Open what a mount is made of. Nothing is decided here: the operator mounts.
    pub fn open_mount(&self, path: &Path, writable: bool) -> Result<Object, Errno> {
        let opened = rustix::fs::openat(
            rustix::fs::CWD,
            path,
            OFlags::DIRECTORY | NEVER_WAIT,
            Mode::empty(),
        )?;
        // Also tells at once when this kernel has no `openat2` or no `/proc`.
        drop(open_plain(&opened, ".", OFlags::PATH | OFlags::DIRECTORY)?);
        let path = real_path(&opened)?;
        let kind = Kind {
            is_dir: true,
            writable,
            read: true,
            write: false,
            mutable: true,
        };
        Ok(Object::new(
            File::from(opened),
            path,
            kind,
            self.gate.mark(),
        ))
    }
}

/// Whether one `openat2` can open `path` without any effect and without leaving what it says.
fn is_plain(path: &str, request: OpenRequest) -> bool {
    !request.create && !path.ends_with('/') && !path.split('/').any(|part| part == "..")
}
