//! `wasi:filesystem` 0.3 in terms of [`Fs`].
//!
//! As in 0.2 the handles are ours: an [`Object`] stands in the table behind each descriptor.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Access, Accessor, Destination, FutureReader, Resource, Source, StreamConsumer, StreamProducer,
    StreamReader, StreamResult,
};
use wasmtime_wasi::p3::bindings::clocks::system_clock::Instant;
use wasmtime_wasi::p3::bindings::filesystem::preopens;
use wasmtime_wasi::p3::bindings::filesystem::types::{
    Advice, Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode,
    Filesize, Host, HostDescriptor, HostDescriptorWithStore, MetadataHashValue, NewTimestamp,
    OpenFlags, PathFlags,
};
use wasmtime_wasi::p3::filesystem::{FilesystemError, FilesystemResult};

use super::Fs;
use super::object::Object;
use super::open::OpenRequest;
use super::operate::{NewTime, entry_type};
use super::stream::{Listed, MAX_CHUNK, OpenFile, WriteAt, read_at, write_at};
use crate::gate::FileAccess;
use crate::wasi::WasiState;
use crate::wasi::decide::{Fail, Right, Standing};
use crate::wasi::state::{Governance, Governed};

type Outcome = Result<(), ErrorCode>;

fn code(errno: Errno) -> ErrorCode {
    std::io::Error::from(errno).into()
}

fn fs_error(errno: Errno) -> FilesystemError {
    code(errno).into()
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
    fn convert_error_code(&mut self, error: FilesystemError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }
}

impl HostDescriptor for WasiState {
    fn drop(&mut self, fd: Resource<Descriptor>) -> wasmtime::Result<()> {
        Ok(self.drop_object(&fd)?)
    }
}

/// The file system and the object behind `fd`.
fn held<T: Governed>(
    store: &Accessor<T, Governance>,
    fd: &Resource<Descriptor>,
) -> FilesystemResult<(Arc<Fs>, Arc<Object>)> {
    store.with(|mut store| {
        let wasi = store.get();
        Ok((Arc::clone(&wasi.fs), wasi.object(fd)?))
    })
}

/// Run one operation on the object behind `fd`.
async fn on<T: Governed, R>(
    store: &Accessor<T, Governance>,
    fd: &Resource<Descriptor>,
    operation: impl Fn(&Fs, &Object) -> Result<R, Fail> + Send,
) -> FilesystemResult<R> {
    let (fs, object) = held(store, fd)?;
    fs.run(|| operation(&fs, &object)).await.map_err(fs_error)
}

/// Run one operation on two directories.
async fn on_both<T: Governed, R>(
    store: &Accessor<T, Governance>,
    first: &Resource<Descriptor>,
    second: &Resource<Descriptor>,
    operation: impl Fn(&Fs, &Object, &Object) -> Result<R, Fail> + Send,
) -> FilesystemResult<R> {
    let (fs, first) = held(store, first)?;
    let (_, second) = held(store, second)?;
    fs.run(|| operation(&fs, &first, &second))
        .await
        .map_err(fs_error)
}

impl<T: Governed> HostDescriptorWithStore<T> for Governance {
    fn read_via_stream(
        mut store: Access<T, Self>,
        fd: Resource<Descriptor>,
        offset: Filesize,
    ) -> wasmtime::Result<(StreamReader<u8>, FutureReader<Outcome>)> {
        let wasi = store.get();
        let object = wasi.object(&fd)?;
        if object.is_dir {
            let stream = StreamReader::new(&mut store, std::iter::empty())?;
            return Ok((
                stream,
                FutureReader::new(&mut store, async {
                    wasmtime::error::Ok(Err(ErrorCode::IsDirectory))
                })?,
            ));
        }
        let right = OpenFile {
            fs: Arc::clone(&wasi.fs),
            object,
            access: FileAccess::Read,
        };
        let (end, outcome) = oneshot::channel();
        let producer = FileSource {
            right: Standing::new(right),
            offset,
            end: End(Some(end)),
        };
        Ok((
            StreamReader::new(&mut store, producer)?,
            FutureReader::new(&mut store, outcome)?,
        ))
    }

    fn write_via_stream(
        store: Access<'_, T, Self>,
        fd: Resource<Descriptor>,
        data: StreamReader<u8>,
        offset: Filesize,
    ) -> wasmtime::Result<FutureReader<Outcome>> {
        write(store, &fd, data, WriteAt::Position(offset))
    }

    fn append_via_stream(
        store: Access<'_, T, Self>,
        fd: Resource<Descriptor>,
        data: StreamReader<u8>,
    ) -> wasmtime::Result<FutureReader<Outcome>> {
        write(store, &fd, data, WriteAt::End)
    }

    async fn advise(
        store: &Accessor<T, Self>,
        fd: Resource<Descriptor>,
        offset: Filesize,
        length: Filesize,
        advice: Advice,
    ) -> FilesystemResult<()> {
        let advice = match advice {
            Advice::Normal => rustix::fs::Advice::Normal,
            Advice::Sequential => rustix::fs::Advice::Sequential,
            Advice::Random => rustix::fs::Advice::Random,
            Advice::WillNeed => rustix::fs::Advice::WillNeed,
            Advice::DontNeed => rustix::fs::Advice::DontNeed,
            Advice::NoReuse => rustix::fs::Advice::NoReuse,
        };
        on(store, &fd, |fs, object| {
            fs.advise(object, offset, length, advice)
        })
        .await
    }

    async fn sync_data(
        store: &Accessor<T, Self>,
        fd: Resource<Descriptor>,
    ) -> FilesystemResult<()> {
        on(store, &fd, |fs, object| fs.sync(object, true)).await
    }

    async fn get_flags(
        store: &Accessor<T, Self>,
        fd: Resource<Descriptor>,
    ) -> FilesystemResult<DescriptorFlags> {
        let (_, object) = held(store, &fd)?;
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

    async fn get_type(
        store: &Accessor<T, Self>,
        fd: Resource<Descriptor>,
    ) -> FilesystemResult<DescriptorType> {
        let (_, object) = held(store, &fd)?;
        Ok(if object.is_dir {
            DescriptorType::Directory
        } else {
            DescriptorType::RegularFile
        })
    }

    async fn set_size(
        store: &Accessor<T, Self>,
        fd: Resource<Descriptor>,
        size: Filesize,
    ) -> FilesystemResult<()> {
        on(store, &fd, |fs, object| fs.set_size(object, size)).await
    }

    async fn set_times(
        store: &Accessor<T, Self>,
        fd: Resource<Descriptor>,
        access: NewTimestamp,
        modification: NewTimestamp,
    ) -> FilesystemResult<()> {
        let times = (new_time(access)?, new_time(modification)?);
        on(store, &fd, |fs, object| fs.set_times(object, times)).await
    }

    fn read_directory(
        mut store: Access<'_, T, Self>,
        fd: Resource<Descriptor>,
    ) -> wasmtime::Result<(StreamReader<DirectoryEntry>, FutureReader<Outcome>)> {
        let wasi = store.get();
        let right = Listed::new(Arc::clone(&wasi.fs), wasi.object(&fd)?);
        let (end, outcome) = oneshot::channel();
        let producer = Listing {
            right: Standing::new(right),
            entries: None,
            end: End(Some(end)),
        };
        Ok((
            StreamReader::new(&mut store, producer)?,
            FutureReader::new(&mut store, outcome)?,
        ))
    }

    async fn sync(store: &Accessor<T, Self>, fd: Resource<Descriptor>) -> FilesystemResult<()> {
        on(store, &fd, |fs, object| fs.sync(object, false)).await
    }

    async fn create_directory_at(
        store: &Accessor<T, Self>,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FilesystemResult<()> {
        on(store, &fd, |fs, dir| fs.create_directory_at(dir, &path)).await
    }

    async fn stat(
        store: &Accessor<T, Self>,
        fd: Resource<Descriptor>,
    ) -> FilesystemResult<DescriptorStat> {
        on(store, &fd, Fs::stat)
            .await
            .map(|stat| descriptor_stat(&stat))
    }

    async fn stat_at(
        store: &Accessor<T, Self>,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FilesystemResult<DescriptorStat> {
        let stat = on(store, &fd, |fs, dir| fs.stat_at(dir, &path, follows(flags))).await?;
        Ok(descriptor_stat(&stat))
    }

    async fn set_times_at(
        store: &Accessor<T, Self>,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        access: NewTimestamp,
        modification: NewTimestamp,
    ) -> FilesystemResult<()> {
        let times = (new_time(access)?, new_time(modification)?);
        on(store, &fd, |fs, dir| {
            fs.set_times_at(dir, &path, follows(flags), times)
        })
        .await
    }

    async fn link_at(
        store: &Accessor<T, Self>,
        fd: Resource<Descriptor>,
        old_flags: PathFlags,
        old: String,
        new_fd: Resource<Descriptor>,
        new: String,
    ) -> FilesystemResult<()> {
        if follows(old_flags) {
            return Err(ErrorCode::Invalid.into());
        }
        on_both(store, &fd, &new_fd, |fs, old_dir, new_dir| {
            fs.link_at(old_dir, &old, new_dir, &new)
        })
        .await
    }

    async fn open_at(
        store: &Accessor<T, Self>,
        fd: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FilesystemResult<Resource<Descriptor>> {
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
        let object = on(store, &fd, |fs, dir| fs.open_at(dir, &path, request)).await?;
        Ok(store.with(|mut store| store.get().push_object(Arc::new(object)))?)
    }

    async fn readlink_at(
        store: &Accessor<T, Self>,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FilesystemResult<String> {
        on(store, &fd, |fs, dir| fs.read_link_at(dir, &path)).await
    }

    async fn remove_directory_at(
        store: &Accessor<T, Self>,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FilesystemResult<()> {
        on(store, &fd, |fs, dir| fs.remove_directory_at(dir, &path)).await
    }

    async fn rename_at(
        store: &Accessor<T, Self>,
        fd: Resource<Descriptor>,
        old: String,
        new_fd: Resource<Descriptor>,
        new: String,
    ) -> FilesystemResult<()> {
        on_both(store, &fd, &new_fd, |fs, old_dir, new_dir| {
            fs.rename_at(old_dir, &old, new_dir, &new)
        })
        .await
    }

    async fn symlink_at(
        store: &Accessor<T, Self>,
        fd: Resource<Descriptor>,
        target: String,
        path: String,
    ) -> FilesystemResult<()> {
        on(store, &fd, |fs, dir| fs.symlink_at(dir, &target, &path)).await
    }

    async fn unlink_file_at(
        store: &Accessor<T, Self>,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FilesystemResult<()> {
        on(store, &fd, |fs, dir| fs.unlink_file_at(dir, &path)).await
    }

    async fn is_same_object(
        store: &Accessor<T, Self>,
        first: Resource<Descriptor>,
        second: Resource<Descriptor>,
    ) -> wasmtime::Result<bool> {
        let identity = |fd| -> wasmtime::Result<_> {
            let object = store.with(|mut store| store.get().object(fd))?;
            Ok(rustix::fs::fstat(&object.file).map(|stat| (stat.st_dev, stat.st_ino))?)
        };
        Ok(identity(&first)? == identity(&second)?)
    }

    async fn metadata_hash(
        store: &Accessor<T, Self>,
        fd: Resource<Descriptor>,
    ) -> FilesystemResult<MetadataHashValue> {
        on(store, &fd, Fs::stat)
            .await
            .map(|stat| metadata_hash(&stat))
    }

    async fn metadata_hash_at(
        store: &Accessor<T, Self>,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FilesystemResult<MetadataHashValue> {
        let stat = on(store, &fd, |fs, dir| fs.stat_at(dir, &path, follows(flags))).await?;
        Ok(metadata_hash(&stat))
    }
}

fn write<T: Governed>(
    mut store: Access<'_, T, Governance>,
    fd: &Resource<Descriptor>,
    mut data: StreamReader<u8>,
    at: WriteAt,
) -> wasmtime::Result<FutureReader<Outcome>> {
    let wasi = store.get();
    let object = wasi.object(fd)?;
    let (end, outcome) = oneshot::channel();
    let mut end = End(Some(end));
    if !object.write {
        data.close(&mut store)?;
        end.send(Err(ErrorCode::BadDescriptor));
    } else {
        let right = OpenFile {
            fs: Arc::clone(&wasi.fs),
            object,
            access: FileAccess::Write,
        };
        data.pipe(
            &mut store,
            FileSink {
                right: Standing::new(right),
                at,
                end,
            },
        )?;
    }
    FutureReader::new(&mut store, outcome)
}

/// Tells the guest how a stream ended; without a word it ended well.
struct End(Option<oneshot::Sender<Outcome>>);

impl End {
    fn send(&mut self, outcome: Outcome) {
        if let Some(end) = self.0.take() {
            // Nobody has to listen.
            let _ = end.send(outcome);
        }
    }

    /// End with `errno`.
    fn fail(&mut self, errno: Errno) -> Poll<wasmtime::Result<StreamResult>> {
        self.send(Err(code(errno)));
        Poll::Ready(Ok(StreamResult::Dropped))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.send(Ok(()));
    }
}

/// Whether a stream may go on, on a thread that may block.
fn poll_right<R: Right>(
    fs: &Fs,
    right: &mut Standing<R>,
    context: &mut Context<'_>,
) -> Poll<Result<(), Errno>> {
    if !fs.may_block_now() {
        context.waker().wake_by_ref();
        return Poll::Pending;
    }
    right.poll_settled(context)
}

/// A file that is read by a stream.
struct FileSource {
    right: Standing<OpenFile>,
    offset: u64,
    end: End,
}

impl<D: 'static> StreamProducer<D> for FileSource {
    type Item = u8;
    type Buffer = bytes::BytesMut;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        store: StoreContextMut<'a, D>,
        destination: Destination<'a, u8, bytes::BytesMut>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let source = &mut *self;
        let fs = Arc::clone(&source.right.right.fs);
        match poll_right(&fs, &mut source.right, context) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(errno)) => return source.end.fail(errno),
            Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => return Poll::Pending,
        }
        let mut destination = destination.as_direct(store, MAX_CHUNK);
        let buffer = destination.remaining();
        if buffer.is_empty() {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        match read_at(&source.right.right.object, buffer, source.offset) {
            Ok(0) => {
                source.end.send(Ok(()));
                Poll::Ready(Ok(StreamResult::Dropped))
            }
            Ok(count) => {
                destination.mark_written(count);
                source.offset += count as u64;
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Err(errno) => source.end.fail(errno),
        }
    }
}

/// A file that is written by a stream.
struct FileSink {
    right: Standing<OpenFile>,
    at: WriteAt,
    end: End,
}

impl<D: 'static> StreamConsumer<D> for FileSink {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let sink = &mut *self;
        let fs = Arc::clone(&sink.right.right.fs);
        match poll_right(&fs, &mut sink.right, context) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(errno)) => return sink.end.fail(errno),
            Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => return Poll::Pending,
        }
        let mut source = source.as_direct(store);
        let bytes = source.remaining();
        let bytes = &bytes[..bytes.len().min(MAX_CHUNK)];
        match write_at(&sink.right.right.object, bytes, sink.at) {
            Ok(count) => {
                source.mark_read(count);
                if let WriteAt::Position(position) = &mut sink.at {
                    *position += count as u64;
                }
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Err(errno) => sink.end.fail(errno),
        }
    }
}

/// The entries of a directory.
struct Listing {
    right: Standing<Listed>,
    entries: Option<rustix::fs::Dir>,
    end: End,
}

impl Listing {
    fn next(&mut self) -> Result<Option<DirectoryEntry>, Errno> {
        let Listed { object, .. } = &self.right.right;
        let entries = match &mut self.entries {
            Some(entries) => entries,
            None => self
                .entries
                .insert(rustix::fs::Dir::read_from(&object.file)?),
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let name = name.to_str().map_err(|_| Errno::ILSEQ)?.to_owned();
            let type_ = descriptor_type(entry_type(object, &entry));
            return Ok(Some(DirectoryEntry { type_, name }));
        }
        Ok(None)
    }
}

impl<D: 'static> StreamProducer<D> for Listing {
    type Item = DirectoryEntry;
    type Buffer = Option<DirectoryEntry>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, DirectoryEntry, Option<DirectoryEntry>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let listing = &mut *self;
        if !listing.right.right.object.is_dir {
            return listing.end.fail(Errno::NOTDIR);
        }
        let fs = Arc::clone(&listing.right.right.fs);
        match poll_right(&fs, &mut listing.right, context) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(errno)) => return listing.end.fail(errno),
            Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => return Poll::Pending,
        }
        if destination.remaining(&mut store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        match listing.next() {
            Ok(Some(entry)) => {
                destination.set_buffer(Some(entry));
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Ok(None) => {
                listing.end.send(Ok(()));
                Poll::Ready(Ok(StreamResult::Dropped))
            }
            Err(errno) => listing.end.fail(errno),
        }
    }
}

fn follows(flags: PathFlags) -> bool {
    flags.contains(PathFlags::SYMLINK_FOLLOW)
}

fn new_time(time: NewTimestamp) -> FilesystemResult<NewTime> {
    Ok(match time {
        NewTimestamp::NoChange => NewTime::Keep,
        NewTimestamp::Now => NewTime::Now,
        NewTimestamp::Timestamp(Instant {
            seconds,
            nanoseconds,
        }) => {
            let whole = Duration::from_secs(seconds.unsigned_abs());
            let time = if seconds < 0 {
                SystemTime::UNIX_EPOCH.checked_sub(whole)
            } else {
                SystemTime::UNIX_EPOCH.checked_add(whole)
            };
            let time = time
                .and_then(|time| time.checked_add(Duration::from_nanos(nanoseconds.into())))
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
        FileType::Unknown => DescriptorType::Other(None),
    }
}

fn descriptor_stat(stat: &Stat) -> DescriptorStat {
    let time = |seconds, nanoseconds| {
        Some(Instant {
            seconds,
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

fn metadata_hash(stat: &Stat) -> MetadataHashValue {
    let (lower, upper) = super::identity_hash(stat);
    MetadataHashValue { lower, upper }
}
