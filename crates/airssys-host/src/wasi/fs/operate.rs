//! Everything but opening: each operation resolves, decides, and acts on the entry that it decided about.

use std::borrow::Cow;
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
use crate::gate::{At, FileAccess};
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
        self.check_form(path, access)?;
        let place = resolve(dir.file.as_fd(), path, follow)
            .map_err(|errno| self.refuse_or(dir, path, access, errno))?;
        self.permit_place(dir, &place, access)?;
        Ok(place)
    }

    /// Decide `access` to an entry, whatever there is of it.
    pub(super) fn permit_place(
        &self,
        dir: &Object,
        place: &Place,
        access: FileAccess,
    ) -> Result<(), Fail> {
        self.permit(&place.path, access, place.at(), Self::bar_of(dir, access))
    }

    /// Decide `access` to an existing entry that was looked at.
    fn permit_file(
        &self,
        dir: &Object,
        place: &Place,
        stat: &Stat,
        access: FileAccess,
    ) -> Result<(), Fail> {
        let bar = self.bar_of_file(dir, &stat.into(), access);
        self.permit(&place.path, access, place.at(), bar)
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
        if !dir.is_dir {
            return Err(Errno::NOTDIR.into());
        }
        self.check_form(path, FileAccess::Write)?;
        let place = resolve(dir.file.as_fd(), path, follow)
            .map_err(|errno| self.refuse_or(dir, path, FileAccess::Write, errno))?;
        match rustix::fs::statat(&place.parent, place.entry(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                self.permit_file(dir, &place, &stat, FileAccess::Write)?;
                place.check_type(&stat)?;
            }
            Err(errno) => {
                self.permit_place(dir, &place, FileAccess::Write)?;
                return Err(errno.into());
            }
        }
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
        if !old_dir.is_dir {
            return Err(Errno::NOTDIR.into());
        }
        self.check_form(old, FileAccess::Write)?;
        let source = resolve(old_dir.file.as_fd(), old, false)
            .map_err(|errno| self.refuse_or(old_dir, old, FileAccess::Write, errno))?;
        // Held open, so that what is linked is what was looked at.
        let opened = rustix::fs::openat(
            &source.parent,
            source.entry(),
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let object: OwnedFd = match opened {
            Ok(object) => object,
            Err(errno) => {
                self.permit_place(old_dir, &source, FileAccess::Write)?;
                return Err(errno.into());
            }
        };
        let stat = rustix::fs::fstat(&object)?;
        for access in [FileAccess::Write, FileAccess::Read] {
            self.permit_file(old_dir, &source, &stat, access)?;
        }
        source.check_type(&stat)?;
        let target = self.place(new_dir, new, false, FileAccess::Create)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {}
            // Like making it: a link that leads nowhere for the guest must not lead others somewhere.
            FileType::Symlink => {
                let leads = rustix::fs::readlinkat(&object, "", Vec::new())?;
                if leads.as_bytes().starts_with(b"/") {
                    return Err(REFUSED.into());
                }
            }
            _ => return Err(REFUSED.into()),
        }
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
            for (place, access) in [(&source, FileAccess::Delete), (&target, FileAccess::Create)] {
                outcome(self.gate.decide_tree(&place.path, access, place.at()))?;
            }
        } else if target.must_be_dir {
            return Err(Errno::NOTDIR.into());
        }
        if rustix::fs::statat(&target.parent, new_name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            self.permit_place(new_dir, &target, FileAccess::Delete)?;
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
        let path = match real_path(&object.file) {
            Ok(path) => Cow::Owned(path),
            Err(Errno::NOENT) => Cow::Borrowed(&*object.path),
            Err(errno) => return Err(errno.into()),
        };
        let at = At::Object(object.file.as_fd());
        self.permit(&path, access, at, Self::bar_of(object, access))
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
        let generation = self.gate.mark();
        if object.decided_in(access) == generation {
            return Ok(());
        }
        self.permit_object(object, access)?;
        object.set_decided(access, generation);
        Ok(())
    }
}

impl Place {
    /// The entry, for the gate.
    pub fn at(&self) -> At<'_> {
        match &self.name {
            Some(name) => At::Entry(self.parent.as_fd(), name),
            None => At::Object(self.parent.as_fd()),
        }
    }

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
