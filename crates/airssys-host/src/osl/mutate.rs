//! Changing names: replacing, removing, making, renaming. Always relative to a directory that was checked.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, fchmod, fsync, mkdirat, openat, renameat,
    renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use super::OslError;
use super::file::{Acting, CREATE, DELETE, READ, WRITE, type_name};
use super::resolve::{Place, object, split};
use crate::gate::authority::{Circumstances, Decided};
use crate::gate::kind::{AccessBits, Kind};
use crate::gate::{Bar, RESERVED};

/// A new file that takes the place of an old one in one step, or not at all.
#[derive(Debug)]
pub struct Replacement {
    pub descriptor: OwnedFd,
    pub path: Vec<u8>,
    pub decided: Decided,
    access: AccessBits,
    place: Place,
    temporary: Option<Vec<u8>>,
}

fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

impl Acting<'_> {
    /// Begin to replace or make a file. Nothing is visible under its name before [`Replacement::commit`].
    ///
    /// # Errors
    /// It is refused, or what is there is no regular file.
    pub fn replace(&self, path: &[u8], permissions: u32) -> Result<Replacement, OslError> {
        let path = self.normal(Kind::Filesystem, WRITE, path)?;
        let (place, access, mode, reserved) = match object(&path, true) {
            Ok(found) => {
                let reserved = found
                    .is_reserved(&self.authority.reserved())
                    .map_err(|error| OslError::os(&path, error))?
                    .then_some(RESERVED);
                let (directory_path, name) = split(&found.path);
                let Some(directory) = found.parent else {
                    self.decide(Kind::Filesystem, WRITE, &found.path, &path, reserved, None)?;
                    return Err(OslError::os(&path, Errno::ISDIR));
                };
                let (directory_path, name) = (directory_path.to_vec(), name.to_vec());
                (
                    Place {
                        directory,
                        directory_path,
                        name,
                    },
                    WRITE,
                    Some(found.stat.st_mode),
                    reserved,
                )
            }
            Err(OslError::Os { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                let (place, reserved) = self.place(CREATE, &path)?;
                if place.stat().is_ok_and(|stat| stat.is_some()) {
                    let error = OslError::DanglingLink {
                        path: lossy(&place.path()),
                    };
                    return Err(self.unresolved(Kind::Filesystem, CREATE, &path, error));
                }
                (place, CREATE, None, reserved)
            }
            Err(error) => return Err(self.unresolved(Kind::Filesystem, WRITE, &path, error)),
        };
        let real = place.path();
        let decided = self.decide(Kind::Filesystem, access, &real, &path, reserved, None)?;
        if let Some(mode) = mode
            && FileType::from_raw_mode(mode) != FileType::RegularFile
        {
            let found = type_name(FileType::from_raw_mode(mode));
            return Err(OslError::WrongType {
                path: lossy(&real),
                kind: "a regular file",
                found,
            });
        }
        let (temporary, descriptor) = temporary_file(&place, mode.map_or(permissions, |_| 0o600))
            .map_err(|error| OslError::os(&real, error))?;
        let replacement = Replacement {
            descriptor,
            path: real,
            decided,
            access,
            place,
            temporary: Some(temporary),
        };
        if let Some(mode) = mode {
            fchmod(&replacement.descriptor, Mode::from_raw_mode(mode & 0o7777))
                .map_err(|error| OslError::os(&replacement.path, error))?;
        }
        Ok(replacement)
    }

    /// Remove a file or link.
    ///
    /// # Errors
    /// It is refused, missing, or a directory.
    pub fn unlink(&self, path: &[u8]) -> Result<Decided, OslError> {
        self.at_place(DELETE, path, |place| {
            unlinkat(&place.directory, &place.name[..], AtFlags::empty())
        })
    }

    /// Remove an empty directory.
    ///
    /// # Errors
    /// It is refused, missing, not empty, or no directory.
    pub fn remove_directory(&self, path: &[u8]) -> Result<Decided, OslError> {
        self.at_place(DELETE, path, |place| {
            unlinkat(&place.directory, &place.name[..], AtFlags::REMOVEDIR)
        })
    }

    /// Make a directory.
    ///
    /// # Errors
    /// It is refused, or something is there.
    pub fn make_directory(&self, path: &[u8], permissions: u32) -> Result<Decided, OslError> {
        let mode = Mode::from_raw_mode(permissions);
        self.at_place(CREATE, path, |place| {
            mkdirat(&place.directory, &place.name[..], mode)
        })
    }

    fn at_place(
        &self,
        access: AccessBits,
        path: &[u8],
        act: impl FnOnce(&Place) -> Result<(), Errno>,
    ) -> Result<Decided, OslError> {
        let path = self.normal(Kind::Filesystem, access, path)?;
        let (place, reserved) = self.place(access, &path)?;
        let real = place.path();
        let decided = self.decide(Kind::Filesystem, access, &real, &path, reserved, None)?;
        act(&place).map_err(|error| OslError::os(&real, error))?;
        Ok(decided)
    }

    /// Give a file or directory another name on the same file system.
    ///
    /// The source needs the rights to read and delete, the destination to create and write: under its new
    /// name the content falls under other rules. A directory needs them for everything below it.
    ///
    /// # Errors
    /// It is refused, missing, or moved meanwhile.
    pub fn rename(
        &self,
        source: &[u8],
        destination: &[u8],
        replace: bool,
    ) -> Result<Decided, OslError> {
        let source = self.normal(Kind::Filesystem, DELETE, source)?;
        let destination = self.normal(Kind::Filesystem, CREATE, destination)?;
        let (from, from_reserved) = self.place(DELETE, &source)?;
        let (to, to_reserved) = self.place(CREATE, &destination)?;
        let (from_path, to_path) = (from.path(), to.path());
        for access in [READ, DELETE] {
            self.decide(
                Kind::Filesystem,
                access,
                &from_path,
                &source,
                from_reserved,
                None,
            )?;
        }
        let mut decided = self.decide(
            Kind::Filesystem,
            CREATE,
            &to_path,
            &destination,
            to_reserved,
            None,
        )?;
        decided = self
            .decide(
                Kind::Filesystem,
                WRITE,
                &to_path,
                &destination,
                to_reserved,
                None,
            )
            .map(|later| {
                if later.sequence > decided.sequence {
                    later
                } else {
                    decided
                }
            })?;
        let expected = from
            .stat()
            .map_err(|error| OslError::os(&from_path, error))?
            .ok_or_else(|| OslError::os(&from_path, Errno::NOENT))?;
        if FileType::from_raw_mode(expected.st_mode) == FileType::Directory {
            let below = self
                .authority
                .reserved()
                .stands_below((expected.st_dev, expected.st_ino))
                .map_err(|error| OslError::os(&from_path, error))?;
            self.decide_trees(&from_path, &to_path, below.then_some(RESERVED))?;
        }
        let flags = if replace {
            RenameFlags::empty()
        } else {
            RenameFlags::NOREPLACE
        };
        renameat_with(
            &from.directory,
            &from.name[..],
            &to.directory,
            &to.name[..],
            flags,
        )
        .map_err(|error| OslError::os(&from_path, error))?;
        let moved = statat(&to.directory, &to.name[..], AtFlags::SYMLINK_NOFOLLOW);
        let as_decided = moved.is_ok_and(|stat| {
            stat.st_ino == expected.st_ino
                && stat.st_dev == expected.st_dev
                && FileType::from_raw_mode(stat.st_mode)
                    == FileType::from_raw_mode(expected.st_mode)
        });
        if !as_decided {
            // Something else stood there by then; it goes back, unless its old name is taken again.
            let flags = RenameFlags::NOREPLACE;
            let back = renameat_with(
                &to.directory,
                &to.name[..],
                &from.directory,
                &from.name[..],
                flags,
            );
            back.map_err(|error| OslError::os(&to_path, error))?;
            return Err(OslError::Moved {
                path: lossy(&from_path),
            });
        }
        Ok(decided)
    }

    fn decide_trees(&self, from: &[u8], to: &[u8], barred: Option<Bar>) -> Result<(), OslError> {
        let with = Circumstances {
            barred,
            ..self.with
        };
        for (path, access) in [(from, READ), (from, DELETE), (to, CREATE), (to, WRITE)] {
            let decided = self
                .authority
                .decide_tree(self.subject, path, access, &with);
            let decided = self.authority.wait(decided);
            if !decided.allowed() {
                return Err(OslError::Refused {
                    path: lossy(path),
                    decided: Box::new(decided),
                });
            }
        }
        Ok(())
    }
}

impl Replacement {
    /// Make the content durable and put it in place. Decided again if rights changed meanwhile.
    ///
    /// # Errors
    /// The right is gone, the directory was moved, or the disk failed; the old file stays.
    pub fn commit(&mut self, acting: &Acting<'_>) -> Result<(), OslError> {
        let Some(temporary) = self.temporary.clone() else {
            return Err(OslError::os(&self.path, Errno::BADF));
        };
        if acting.authority.generation().current() != self.decided.generation {
            let reserved = self
                .place
                .is_reserved(&acting.authority.reserved())
                .map_err(|error| OslError::os(&self.path, error))?
                .then_some(RESERVED);
            self.decided = acting.decide(
                Kind::Filesystem,
                self.access,
                &self.path,
                &self.path,
                reserved,
                None,
            )?;
        }
        let fault = |error: Errno| OslError::os(&self.path, error);
        fsync(&self.descriptor).map_err(fault)?;
        if !self.place.is_still_there() {
            return Err(OslError::Moved {
                path: lossy(&self.path),
            });
        }
        let directory = &self.place.directory;
        renameat(directory, &temporary[..], directory, &self.place.name[..]).map_err(fault)?;
        self.temporary = None;
        openat(
            directory,
            ".",
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .and_then(|directory| fsync(directory.as_fd()))
        .map_err(fault)
    }

    /// Remove what was written; the old file stays. Does nothing after a commit.
    ///
    /// # Errors
    /// The temporary file cannot be removed.
    pub fn abort(&mut self) -> Result<(), OslError> {
        match self.temporary.take() {
            Some(temporary) => unlinkat(&self.place.directory, &temporary[..], AtFlags::empty())
                .map_err(|error| OslError::os(&self.path, error)),
            None => Ok(()),
        }
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        // A temporary file that cannot be removed is left behind; nobody is there to be told.
        let _ = self.abort();
    }
}

/// A new file beside `place`, under a name that nobody else has.
fn temporary_file(place: &Place, permissions: u32) -> Result<(Vec<u8>, OwnedFd), Errno> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!(".airssys-{}-{number}", std::process::id()).into_bytes();
        match openat(
            &place.directory,
            &name[..],
            flags,
            Mode::from_raw_mode(permissions),
        ) {
            Ok(descriptor) => return Ok((name, descriptor)),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    }
}
