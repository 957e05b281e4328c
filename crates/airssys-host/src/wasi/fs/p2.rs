//! `wasi:filesystem` 0.2 in terms of [`Fs`].
//!
//! The resource types are fixed by the bindings; what stands in the table behind their handles is ours
//! ([`Object`], [`Listing`]), since every method that is given such a handle is in this file.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    Advice, Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry,
    DirectoryEntryStream, ErrorCode, Filesize, Host, HostDescriptor, HostDirectoryEntryStream,
    MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};

use super::Fs;
use super::object::Object;
use super::open::OpenRequest;
use super::operate::{NewTime, entry_type};
use super::stream::{FileInput, FileOutput, Listed, MAX_CHUNK, WriteAt, read_at, write_at};
use crate::gate::FileAccess;
use crate::wasi::WasiState;
use crate::wasi::decide::{Fail, Standing};

/// An open listing of a directory.
struct Listing {
    right: Standing<Listed>,
    entries: rustix::fs::Dir,
}

/// The same handle under the type that really stands in the table.
fn own<T: 'static>(handle: &Resource<impl Sized + 'static>) -> Resource<T> {
    Resource::new_borrow(handle.rep())
}

pub(super) fn fs_error(errno: Errno) -> FsError {
    std::io::Error::from(errno).into()
}

impl WasiState {
    pub(super) fn object(
        &self,
        handle: &Resource<impl Sized + 'static>,
    ) -> Result<Arc<Object>, wasmtime_wasi::ResourceTableError> {
        Ok(Arc::clone(self.table.get(&own::<Arc<Object>>(handle))?))
    }

    pub(super) fn push_object<D: 'static>(
        &mut self,
        object: Arc<Object>,
    ) -> Result<Resource<D>, wasmtime_wasi::ResourceTableError> {
        Ok(Resource::new_own(self.table.push(object)?.rep()))
    }

    pub(super) fn drop_object(
        &mut self,
        handle: &Resource<impl Sized + 'static>,
    ) -> Result<(), wasmtime_wasi::ResourceTableError> {
        self.table
            .delete(Resource::<Arc<Object>>::new_own(handle.rep()))?;
        Ok(())
    }

    /// Run one operation on the object behind `handle`.
    async fn on<T>(
        &mut self,
        handle: &Resource<Descriptor>,
        operation: impl Fn(&Fs, &Object) -> Result<T, Fail> + Send,
    ) -> FsResult<T> {
        let object = self.object(handle)?;
        let fs = &self.fs;
        fs.run(|| operation(fs, &object)).await.map_err(fs_error)
    }

    /// Run one operation on two directories.
    async fn on_both<T>(
        &mut self,
        first: &Resource<Descriptor>,
        second: &Resource<Descriptor>,
        operation: impl Fn(&Fs, &Object, &Object) -> Result<T, Fail> + Send,
    ) -> FsResult<T> {
        let (first, second) = (self.object(first)?, self.object(second)?);
        let fs = &self.fs;
        fs.run(|| operation(fs, &first, &second))
            .await
            .map_err(fs_error)
    }
}

impl preopens::Host for WasiState {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let mounts = self.mounts.clone();
        mounts
            .into_iter()
            .map(|(object, name)| Ok((self.push_object(object)?, name)))
            .collect()
    }
}

impl Host for WasiState {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        let error = self.table.get(&error)?;
        Ok(error.downcast_ref::<std::io::Error>().map(ErrorCode::from))
    }
}

impl HostDescriptor for WasiState {
    async fn advise(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
        length: Filesize,
        advice: Advice,
    ) -> FsResult<()> {
        let advice = match advice {
            Advice::Normal => rustix::fs::Advice::Normal,
            Advice::Sequential => rustix::fs::Advice::Sequential,
            Advice::Random => rustix::fs::Advice::Random,
            Advice::WillNeed => rustix::fs::Advice::WillNeed,
            Advice::DontNeed => rustix::fs::Advice::DontNeed,
            Advice::NoReuse => rustix::fs::Advice::NoReuse,
        };
        self.on(&fd, |fs, object| fs.advise(object, offset, length, advice))
            .await
    }

    async fn sync_data(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        self.on(&fd, |fs, object| fs.sync(object, true)).await
    }

    async fn get_flags(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorFlags> {
        let object = self.object(&fd)?;
        let mut flags = DescriptorFlags::empty();
        if object.read {
            flags |= DescriptorFlags::READ;
        }
        if object.write {
            flags |= DescriptorFlags::WRITE;
        }
        if object.mutable {
            flags |= DescriptorFlags::MUTATE_DIRECTORY;
        }
        Ok(flags)
    }

    async fn get_type(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorType> {
        // Nothing else can be opened.
        let object = self.object(&fd)?;
        Ok(if object.is_dir {
            DescriptorType::Directory
        } else {
            DescriptorType::RegularFile
        })
    }

    async fn set_size(&mut self, fd: Resource<Descriptor>, size: Filesize) -> FsResult<()> {
        self.on(&fd, |fs, object| fs.set_size(object, size)).await
    }

    async fn set_times(
        &mut self,
        fd: Resource<Descriptor>,
        access: NewTimestamp,
        modification: NewTimestamp,
    ) -> FsResult<()> {
        let times = (new_time(access)?, new_time(modification)?);
        self.on(&fd, |fs, object| fs.set_times(object, times)).await
    }

    async fn read(
        &mut self,
        fd: Resource<Descriptor>,
        length: Filesize,
        offset: Filesize,
    ) -> FsResult<(Vec<u8>, bool)> {
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(MAX_CHUNK);
        self.on(&fd, |fs, object| {
            fs.permit_open(object, FileAccess::Read)?;
            let mut buffer = vec![0; length];
            let count = read_at(object, &mut buffer, offset)?;
            buffer.truncate(count);
            Ok((buffer, count == 0))
        })
        .await
    }

    async fn write(
        &mut self,
        fd: Resource<Descriptor>,
        buffer: Vec<u8>,
        offset: Filesize,
    ) -> FsResult<Filesize> {
        self.on(&fd, |fs, object| {
            fs.permit_open(object, FileAccess::Write)?;
            Ok(write_at(object, &buffer, WriteAt::Position(offset))? as Filesize)
        })
        .await
    }

    async fn read_directory(
        &mut self,
        fd: Resource<Descriptor>,
    ) -> FsResult<Resource<DirectoryEntryStream>> {
        let object = self.object(&fd)?;
        if !object.is_dir {
            return Err(ErrorCode::NotDirectory.into());
        }
        self.fs.wait_until_blocking_allowed().await;
        let mut right = Standing::new(Listed::new(Arc::clone(&self.fs), Arc::clone(&object)));
        right.settled().await.map_err(fs_error)?;
        let entries = rustix::fs::Dir::read_from(&object.file).map_err(fs_error)?;
        let listing = self.table.push(Listing { right, entries })?;
        Ok(Resource::new_own(listing.rep()))
    }

    async fn sync(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        self.on(&fd, |fs, object| fs.sync(object, false)).await
    }

    async fn create_directory_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FsResult<()> {
        self.on(&fd, |fs, dir| fs.create_directory_at(dir, &path))
            .await
    }

    async fn stat(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorStat> {
        self.on(&fd, Fs::stat)
            .await
            .map(|stat| descriptor_stat(&stat))
    }

    async fn stat_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        let stat = self
            .on(&fd, |fs, dir| fs.stat_at(dir, &path, follows(flags)))
            .await?;
        Ok(descriptor_stat(&stat))
    }

    async fn set_times_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        access: NewTimestamp,
        modification: NewTimestamp,
    ) -> FsResult<()> {
        let times = (new_time(access)?, new_time(modification)?);
        self.on(&fd, |fs, dir| {
            fs.set_times_at(dir, &path, follows(flags), times)
        })
        .await
    }

    async fn link_at(
        &mut self,
        fd: Resource<Descriptor>,
        old_flags: PathFlags,
        old: String,
        new_fd: Resource<Descriptor>,
        new: String,
    ) -> FsResult<()> {
        if follows(old_flags) {
            return Err(ErrorCode::Invalid.into());
        }
        self.on_both(&fd, &new_fd, |fs, old_dir, new_dir| {
            fs.link_at(old_dir, &old, new_dir, &new)
        })
        .await
    }

    async fn open_at(
        &mut self,
        fd: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let unsupported = DescriptorFlags::FILE_INTEGRITY_SYNC
            | DescriptorFlags::DATA_INTEGRITY_SYNC
            | DescriptorFlags::REQUESTED_WRITE_SYNC;
        if flags.intersects(unsupported) {
            return Err(ErrorCode::Unsupported.into());
        }
        let request = OpenRequest {
            follow: follows(path_flags),
            create: open_flags.contains(OpenFlags::CREATE),
            exclusive: open_flags.contains(OpenFlags::EXCLUSIVE),
            truncate: open_flags.contains(OpenFlags::TRUNCATE),
            directory: open_flags.contains(OpenFlags::DIRECTORY),
            read: flags.contains(DescriptorFlags::READ),
            write: flags.contains(DescriptorFlags::WRITE),
            mutate: flags.contains(DescriptorFlags::MUTATE_DIRECTORY),
        };
        let object = self
            .on(&fd, |fs, dir| fs.open_at(dir, &path, request))
            .await?;
        Ok(self.push_object(Arc::new(object))?)
    }

    fn drop(&mut self, fd: Resource<Descriptor>) -> wasmtime::Result<()> {
        Ok(self.drop_object(&fd)?)
    }

    async fn readlink_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<String> {
        self.on(&fd, |fs, dir| fs.read_link_at(dir, &path)).await
    }

    async fn remove_directory_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FsResult<()> {
        self.on(&fd, |fs, dir| fs.remove_directory_at(dir, &path))
            .await
    }

    async fn rename_at(
        &mut self,
        fd: Resource<Descriptor>,
        old: String,
        new_fd: Resource<Descriptor>,
        new: String,
    ) -> FsResult<()> {
        self.on_both(&fd, &new_fd, |fs, old_dir, new_dir| {
            fs.rename_at(old_dir, &old, new_dir, &new)
        })
        .await
    }

    async fn symlink_at(
        &mut self,
        fd: Resource<Descriptor>,
        target: String,
        path: String,
    ) -> FsResult<()> {
        self.on(&fd, |fs, dir| fs.symlink_at(dir, &target, &path))
            .await
    }

    async fn unlink_file_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        self.on(&fd, |fs, dir| fs.unlink_file_at(dir, &path)).await
    }

    fn read_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynInputStream>> {
        let object = self.object(&fd)?;
        if object.is_dir {
            return Err(ErrorCode::IsDirectory.into());
        }
        let stream: DynInputStream = Box::new(FileInput::new(Arc::clone(&self.fs), object, offset));
        Ok(self.table.push(stream)?)
    }

    fn write_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.output_stream(&fd, WriteAt::Position(offset))
    }

    fn append_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.output_stream(&fd, WriteAt::End)
    }

    async fn is_same_object(
        &mut self,
        first: Resource<Descriptor>,
        second: Resource<Descriptor>,
    ) -> wasmtime::Result<bool> {
        let identity = |object: Arc<Object>| {
            rustix::fs::fstat(&object.file).map(|stat| (stat.st_dev, stat.st_ino))
        };
        Ok(identity(self.object(&first)?)? == identity(self.object(&second)?)?)
    }

    async fn metadata_hash(&mut self, fd: Resource<Descriptor>) -> FsResult<MetadataHashValue> {
        self.on(&fd, Fs::stat)
            .await
            .map(|stat| metadata_hash(&stat))
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        let stat = self
            .on(&fd, |fs, dir| fs.stat_at(dir, &path, follows(flags)))
            .await?;
        Ok(metadata_hash(&stat))
    }
}

impl WasiState {
    fn output_stream(
        &mut self,
        fd: &Resource<Descriptor>,
        at: WriteAt,
    ) -> FsResult<Resource<DynOutputStream>> {
        let object = self.object(fd)?;
        if !object.write {
            return Err(ErrorCode::BadDescriptor.into());
        }
        let stream: DynOutputStream = Box::new(FileOutput::new(Arc::clone(&self.fs), object, at));
        Ok(self.table.push(stream)?)
    }
}

impl HostDirectoryEntryStream for WasiState {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        let listing = self.table.get_mut(&own::<Listing>(&stream))?;
        self.fs.wait_until_blocking_allowed().await;
        listing.right.settled().await.map_err(fs_error)?;
        for entry in listing.entries.by_ref() {
            let entry = entry.map_err(fs_error)?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let name = name
                .to_str()
                .map_err(|_| fs_error(Errno::ILSEQ))?
                .to_owned();
            let type_ = descriptor_type(entry_type(&listing.right.right.object, &entry));
            return Ok(Some(DirectoryEntry { type_, name }));
        }
        Ok(None)
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        self.table
            .delete(Resource::<Listing>::new_own(stream.rep()))?;
        Ok(())
    }
}

fn follows(flags: PathFlags) -> bool {
    flags.contains(PathFlags::SYMLINK_FOLLOW)
}

fn new_time(time: NewTimestamp) -> FsResult<NewTime> {
    Ok(match time {
        NewTimestamp::NoChange => NewTime::Keep,
        NewTimestamp::Now => NewTime::Now,
        NewTimestamp::Timestamp(Datetime {
            seconds,
            nanoseconds,
        }) => {
            // `Duration::new` panics where the nanoseconds carry the seconds over their end.
            let time = Duration::from_secs(seconds)
                .checked_add(Duration::from_nanos(nanoseconds.into()))
                .and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since))
                .ok_or(ErrorCode::Overflow)?;
            NewTime::At(time)
        }
    })
}

fn descriptor_type(file_type: FileType) -> DescriptorType {
    match file_type {
        FileType::RegularFile => DescriptorType::RegularFile,
        FileType::Directory => DescriptorType::Directory,
        FileType::Symlink => DescriptorType::SymbolicLink,
        FileType::Fifo => DescriptorType::Fifo,
        FileType::Socket => DescriptorType::Socket,
        FileType::CharacterDevice => DescriptorType::CharacterDevice,
        FileType::BlockDevice => DescriptorType::BlockDevice,
        FileType::Unknown => DescriptorType::Unknown,
    }
}

fn descriptor_stat(stat: &Stat) -> DescriptorStat {
    // Before 1970 there is no representation, which is not worth failing the whole call.
    let time = |seconds: i64, nanoseconds: u64| {
        Some(Datetime {
            seconds: u64::try_from(seconds).ok()?,
            nanoseconds: u32::try_from(nanoseconds).ok()?,
        })
    };
    DescriptorStat {
        type_: descriptor_type(FileType::from_raw_mode(stat.st_mode)),
        link_count: stat.st_nlink,
        size: u64::try_from(stat.st_size).unwrap_or_default(),
        data_access_timestamp: time(stat.st_atime, stat.st_atime_nsec),
        data_modification_timestamp: time(stat.st_mtime, stat.st_mtime_nsec),
        status_change_timestamp: time(stat.st_ctime, stat.st_ctime_nsec),
    }
}

/// Two values are equal exactly if they stand for the same file.
fn metadata_hash(stat: &Stat) -> MetadataHashValue {
    let (lower, upper) = super::identity_hash(stat);
    MetadataHashValue { lower, upper }
}
