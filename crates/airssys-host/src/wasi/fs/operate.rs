//! Everything but opening: each operation resolves, decides, and acts on the entry that it decided about.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT,
};
use rustix::io::Errno;

use super::Fs;
use super::object::Object;
use super::resolve::{Place, real_path, resolve};
use crate::gate::FileAccess;
use crate::wasi::decide::{Fail, REFUSED, outcome};

/// A time stamp to set.
#[derive(Clone, Copy)]
pub(crate) enum NewTime {
    Keep,
    Now,
    At(SystemTime),
}

impl NewTime {
    fn to_timespec(self) -> Result<Timespec, Errno> {
        let special = |tv_nsec| Ok(Timespec { tv_sec: 0, tv_nsec });
        match self {
            Self::Keep => special(UTIME_OMIT),
            Self::Now => special(UTIME_NOW),
            Self::At(time) => {
                let (seconds, nanoseconds) = match time.duration_since(SystemTime::UNIX_EPOCH) {
                    Ok(after) => (i64::try_from(after.as_secs()), after.subsec_nanos()),
                    Err(before) => {
                        let before = before.duration() + Duration::from_nanos(999_999_999);
                        (
                            i64::try_from(before.as_secs()).map(|seconds| -seconds),
                            999_999_999 - before.subsec_nanos(),
                        )
                    }
                };
                let tv_sec = seconds.map_err(|_| Errno::OVERFLOW)?;
                Ok(Timespec {
                    tv_sec,
                    tv_nsec: nanoseconds.into(),
                })
            }
        }
    }
}

fn timestamps(access: NewTime, modification: NewTime) -> Result<Timestamps, Errno> {
    Ok(Timestamps {
        last_access: access.to_timespec()?,
        last_modification: modification.to_timespec()?,
    })
}

impl Fs {
    /// Resolve an entry of `dir` and decide `access` to it.
    fn place(
        &self,
        dir: &Object,
        path: &str,
        follow: bool,
        access: FileAccess,
    ) -> Result<Place, Fail> {
        if !dir.is_dir {
            return Err(Errno::NOTDIR.into());
        }
        let place = resolve(dir.file.as_fd(), path, follow)
            .map_err(|errno| self.refuse_or(dir, path, access, errno))?;
        self.permit(&place.path, access)?;
        let changes = matches!(
            access,
            FileAccess::Write | FileAccess::Create | FileAccess::Delete
        );
        if changes && !dir.writable {
            return Err(REFUSED.into());
        }
        Ok(place)
    }

    pub fn create_directory_at(&self, dir: &Object, path: &str) -> Result<(), Fail> {
        let place = self.place(dir, path, false, FileAccess::Create)?;
        let Some(name) = &place.name else {
            return Err(Errno::EXIST.into());
        };
        Ok(rustix::fs::mkdirat(
            &place.parent,
            name,
            Mode::from_raw_mode(0o777),
        )?)
    }

    pub fn stat_at(&self, dir: &Object, path: &str, follow: bool) -> Result<Stat, Fail> {
        let place = self.place(dir, path, follow, FileAccess::Metadata)?;
        let stat = rustix::fs::statat(&place.parent, place.entry(), AtFlags::SYMLINK_NOFOLLOW)?;
        place.check_type(&stat)?;
        Ok(stat)
    }

    pub fn set_times_at(
        &self,
        dir: &Object,
        path: &str,
        follow: bool,
        (access, modification): (NewTime, NewTime),
    ) -> Result<(), Fail> {
        let place = self.place(dir, path, follow, FileAccess::Write)?;
        let stat = rustix::fs::statat(&place.parent, place.entry(), AtFlags::SYMLINK_NOFOLLOW)?;
        place.check_type(&stat)?;
        self.permit_linked(dir, &place.path, &stat, FileAccess::Write)?;
        let times = timestamps(access, modification)?;
        Ok(rustix::fs::utimensat(
            &place.parent,
            place.entry(),
            &times,
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    pub fn read_link_at(&self, dir: &Object, path: &str) -> Result<String, Fail> {
        let place = self.place(dir, path, false, FileAccess::Metadata)?;
        let target = rustix::fs::readlinkat(&place.parent, place.entry(), Vec::new())?;
        let target = target.into_string().map_err(|_| Errno::ILSEQ)?;
        // It says where things are on the host, and leads nowhere for the guest.
        if target.starts_with('/') {
            Err(REFUSED.into())
        } else {
            Ok(target)
        }
    }

    pub fn symlink_at(&self, dir: &Object, target: &str, path: &str) -> Result<(), Fail> {
        if target.starts_with('/') {
            return Err(REFUSED.into());
        }
        let place = self.place(dir, path, false, FileAccess::Create)?;
        let name = place.file_name()?;
        Ok(rustix::fs::symlinkat(target, &place.parent, name)?)
    }

    /// A second name for a file. It needs every right to the content, since the new name may lie where
    /// rules are laxer than where the old one lies.
    pub fn link_at(
        &self,
        old_dir: &Object,
        old: &str,
        new_dir: &Object,
        new: &str,
    ) -> Result<(), Fail> {
        let source = self.place(old_dir, old, false, FileAccess::Write)?;
        self.permit(&source.path, FileAccess::Read)?;
        let target = self.place(new_dir, new, false, FileAccess::Create)?;
        // Held open, so that what is linked is what was looked at.
        let object: OwnedFd = rustix::fs::openat(
            &source.parent,
            source.file_name()?,
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let stat = rustix::fs::fstat(&object)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(REFUSED.into());
        }
        self.permit_linked(old_dir, &source.path, &stat, FileAccess::Write)?;
        let link = format!("/proc/self/fd/{}", object.as_raw_fd());
        rustix::fs::linkat(
            CWD,
            link,
            &target.parent,
            target.file_name()?,
            AtFlags::SYMLINK_FOLLOW,
        )?;
        self.remember_linked(&stat);
        Ok(())
    }

    pub fn unlink_file_at(&self, dir: &Object, path: &str) -> Result<(), Fail> {
        let place = self.place(dir, path, false, FileAccess::Delete)?;
        let Some(name) = &place.name else {
            return Err(Errno::ISDIR.into());
        };
        if place.must_be_dir {
            let stat = rustix::fs::statat(&place.parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            place.check_type(&stat)?;
        }
        Ok(rustix::fs::unlinkat(&place.parent, name, AtFlags::empty())?)
    }

    pub fn remove_directory_at(&self, dir: &Object, path: &str) -> Result<(), Fail> {
        let place = self.place(dir, path, false, FileAccess::Delete)?;
        let Some(name) = &place.name else {
            return Err(Errno::INVAL.into());
        };
        Ok(rustix::fs::unlinkat(
            &place.parent,
            name,
            AtFlags::REMOVEDIR,
        )?)
    }

    pub fn rename_at(
        &self,
        old_dir: &Object,
        old: &str,
        new_dir: &Object,
        new: &str,
    ) -> Result<(), Fail> {
        let source = self.place(old_dir, old, false, FileAccess::Delete)?;
        let target = self.place(new_dir, new, false, FileAccess::Create)?;
        let (Some(old_name), Some(new_name)) = (&source.name, &target.name) else {
            return Err(Errno::BUSY.into());
        };
        let stat = rustix::fs::statat(&source.parent, old_name, AtFlags::SYMLINK_NOFOLLOW)?;
        source.check_type(&stat)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            outcome(self.gate.decide_tree(&source.path, FileAccess::Delete))?;
            outcome(self.gate.decide_tree(&target.path, FileAccess::Create))?;
        } else if target.must_be_dir {
            return Err(Errno::NOTDIR.into());
        }
        if rustix::fs::statat(&target.parent, new_name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            self.permit(&target.path, FileAccess::Delete)?;
        }
        Ok(rustix::fs::renameat(
            &source.parent,
            old_name,
            &target.parent,
            new_name,
        )?)
    }

    // On what is already open.

    pub fn stat(&self, object: &Object) -> Result<Stat, Fail> {
        if object.is_dir {
            self.permit_object(object, FileAccess::Metadata)?;
        } else {
            let held = if object.read {
                FileAccess::Read
            } else {
                FileAccess::Write
            };
            self.permit_open(object, held)?;
        }
        Ok(rustix::fs::fstat(&object.file)?)
    }

    pub fn set_size(&self, object: &Object, size: u64) -> Result<(), Fail> {
        self.permit_open(object, FileAccess::Write)?;
        Ok(rustix::fs::ftruncate(&object.file, size)?)
    }

    pub fn set_times(
        &self,
        object: &Object,
        (access, modification): (NewTime, NewTime),
    ) -> Result<(), Fail> {
        self.permit_object(object, FileAccess::Write)?;
        if !object.writable {
            return Err(REFUSED.into());
        }
        Ok(rustix::fs::futimens(
            &object.file,
            &timestamps(access, modification)?,
        )?)
    }

    pub fn sync(&self, object: &Object, data_only: bool) -> Result<(), Fail> {
        self.stat(object)?;
        if data_only {
            Ok(rustix::fs::fdatasync(&object.file)?)
        } else {
            Ok(rustix::fs::fsync(&object.file)?)
        }
    }

    pub fn advise(
        &self,
        object: &Object,
        offset: u64,
        length: u64,
        advice: rustix::fs::Advice,
    ) -> Result<(), Fail> {
        if object.is_dir {
            return Err(Errno::BADF.into());
        }
        Ok(rustix::fs::fadvise(
            &object.file,
            offset,
            std::num::NonZeroU64::new(length),
            advice,
        )?)
    }

    /// Decide an operation on an object that is open, where it is now.
    pub fn permit_object(&self, object: &Object, access: FileAccess) -> Result<(), Fail> {
        match real_path(&object.file) {
            Ok(path) => self.permit(&path, access),
            Err(Errno::NOENT) => self.permit(&object.path, access),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether an open file may still be read or written: one comparison while no right has changed.
    pub fn permit_open(&self, object: &Object, access: FileAccess) -> Result<(), Fail> {
        let opened_for = if access == FileAccess::Write {
            object.write
        } else {
            object.read
        };
        if object.is_dir || !opened_for {
            return Err(Errno::BADF.into());
        }
        let generation = self.gate.generation().current();
        if object.decided_in(access) == generation {
            return Ok(());
        }
        self.permit_object(object, access)?;
        object.set_decided(access, generation);
        Ok(())
    }
}

impl Place {
    /// The entry's name in its parent, `.` for the parent itself.
    pub fn entry(&self) -> &OsStr {
        self.name.as_deref().unwrap_or(OsStr::new("."))
    }

    fn file_name(&self) -> Result<&OsStr, Errno> {
        match &self.name {
            Some(name) if !self.must_be_dir => Ok(name),
            _ => Err(Errno::NOENT),
        }
    }

    fn check_type(&self, stat: &Stat) -> Result<(), Errno> {
        if self.must_be_dir && FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            Err(Errno::NOTDIR)
        } else {
            Ok(())
        }
    }
}

/// The type of a directory's entry, looked up where the file system does not tell it.
pub(crate) fn entry_type(dir: &Object, entry: &rustix::fs::DirEntry) -> FileType {
    match entry.file_type() {
        FileType::Unknown => {
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            rustix::fs::statat(&dir.file, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_or(FileType::Unknown, |stat| {
                    FileType::from_raw_mode(stat.st_mode)
                })
        }
        known => known,
    }
}
