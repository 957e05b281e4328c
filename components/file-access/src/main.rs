//! Each argument is a command, its parts separated by `|`; each prints one line: `ok:…` or `err:…`.
//!
//! A path beginning with `1:` is beneath the second mount, any other beneath the first. Flags: `r`ead,
//! `w`rite, `c`reate, e`x`clusive, `t`runcate, `d`irectory, `f`ollow.

use std::collections::BTreeMap;
use std::io::Write;

use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{
    Descriptor, DescriptorFlags, ErrorCode, NewTimestamp, OpenFlags, PathFlags,
    filesystem_error_code,
};
use wasip2::io::streams::StreamError;

type Outcome = Result<String, String>;

struct Mounts(Vec<Descriptor>);

impl Mounts {
    fn find<'a>(&self, path: &'a str) -> (&Descriptor, &'a str) {
        match path.strip_prefix("1:") {
            Some(rest) => (&self.0[1], rest),
            None => (&self.0[0], path),
        }
    }

    fn open(&self, path: &str, flags: &str) -> Result<Descriptor, ErrorCode> {
        let (dir, path) = self.find(path);
        open(dir, path, flags)
    }
}

fn open(dir: &Descriptor, path: &str, flags: &str) -> Result<Descriptor, ErrorCode> {
    let mut open_flags = OpenFlags::empty();
    let mut descriptor_flags = DescriptorFlags::empty();
    for flag in flags.chars() {
        match flag {
            'r' => descriptor_flags |= DescriptorFlags::READ,
            'w' => descriptor_flags |= DescriptorFlags::WRITE,
            'c' => open_flags |= OpenFlags::CREATE,
            'x' => open_flags |= OpenFlags::EXCLUSIVE,
            't' => open_flags |= OpenFlags::TRUNCATE,
            'd' => open_flags |= OpenFlags::DIRECTORY,
            _ => {}
        }
    }
    dir.open_at(follow(flags), path, open_flags, descriptor_flags)
}

fn follow(flags: &str) -> PathFlags {
    if flags.contains('f') {
        PathFlags::SYMLINK_FOLLOW
    } else {
        PathFlags::empty()
    }
}

fn code(error: ErrorCode) -> String {
    error.name().to_owned()
}

fn stream_error(error: StreamError) -> String {
    match error {
        StreamError::Closed => "closed".to_owned(),
        StreamError::LastOperationFailed(error) => {
            filesystem_error_code(&error).map_or_else(|| error.to_debug_string(), code)
        }
    }
}

fn read_all(file: &Descriptor) -> Outcome {
    let stream = file.read_via_stream(0).map_err(code)?;
    let mut all = Vec::new();
    loop {
        match stream.blocking_read(4096) {
            Ok(bytes) => all.extend(bytes),
            Err(StreamError::Closed) => return Ok(String::from_utf8_lossy(&all).into_owned()),
            Err(error) => return Err(stream_error(error)),
        }
    }
}

fn write_all(file: &Descriptor, text: &str) -> Outcome {
    let stream = file.write_via_stream(0).map_err(code)?;
    stream
        .blocking_write_and_flush(text.as_bytes())
        .map_err(stream_error)?;
    Ok(String::new())
}

fn list(dir: &Descriptor) -> Outcome {
    let stream = dir.read_directory().map_err(code)?;
    let mut names = Vec::new();
    while let Some(entry) = stream.read_directory_entry().map_err(code)? {
        names.push(entry.name);
    }
    names.sort();
    Ok(names.join(","))
}

/// Print `held`, so that the host can act, and then use what is held until it ends or fails.
fn hold(mounts: &Mounts, what: &str, path: &str) -> Outcome {
    let held = || {
        println!("held");
        std::io::stdout().flush().expect("stdout takes everything");
    };
    match what {
        "stream" => {
            let file = mounts.open(path, "r").map_err(code)?;
            let stream = file.read_via_stream(0).map_err(code)?;
            stream.blocking_read(1).map_err(stream_error)?;
            held();
            loop {
                match stream.blocking_read(1) {
                    Ok(_) => {}
                    Err(StreamError::Closed) => return Ok("read to the end".to_owned()),
                    Err(error) => return Err(stream_error(error)),
                }
            }
        }
        "output" => {
            let file = mounts.open(path, "w").map_err(code)?;
            let stream = file.write_via_stream(0).map_err(code)?;
            stream
                .blocking_write_and_flush(b"a")
                .map_err(stream_error)?;
            held();
            stream
                .blocking_write_and_flush(b"b")
                .map_err(stream_error)?;
            Ok(String::new())
        }
        "file" => {
            let file = mounts.open(path, "r").map_err(code)?;
            file.read(1, 0).map_err(code)?;
            held();
            file.read(1, 0).map_err(code)?;
            Ok(String::new())
        }
        "directory" => {
            let dir = mounts.open(path, "d").map_err(code)?;
            list(&dir)?;
            held();
            list(&dir)
        }
        "listing" => {
            let dir = mounts.open(path, "d").map_err(code)?;
            let stream = dir.read_directory().map_err(code)?;
            stream.read_directory_entry().map_err(code)?;
            held();
            stream.read_directory_entry().map_err(code)?;
            Ok(String::new())
        }
        "moved" => {
            let dir = mounts.open(path, "d").map_err(code)?;
            held();
            read_all(&open(&dir, "file", "r").map_err(code)?)
        }
        other => Err(format!("unknown thing to hold: {other}")),
    }
}

fn run(mounts: &Mounts, command: &[&str]) -> Outcome {
    let unit = |result: Result<(), ErrorCode>| result.map(|()| String::new()).map_err(code);
    match *command {
        ["read", path, flags] => read_all(&mounts.open(path, flags).map_err(code)?),
        ["write", path, flags, text] => write_all(&mounts.open(path, flags).map_err(code)?, text),
        ["open", path, flags] => {
            let file = mounts.open(path, flags).map_err(code)?;
            Ok(format!("{:?}", file.get_type().map_err(code)?))
        }
        // The shortest use of a file, for measuring.
        ["cycle", path] => {
            let file = mounts.open(path, "r").map_err(code)?;
            let (bytes, _) = file.read(64, 0).map_err(code)?;
            Ok(bytes.len().to_string())
        }
        ["open-many", path, count] => {
            let count = count.parse().map_err(|_| "not a count".to_owned())?;
            let mut held = Vec::new();
            for _ in 0..count {
                held.push(mounts.open(path, "r").map_err(code)?);
            }
            Ok(held.len().to_string())
        }
        // Each under a name of its own; how often which outcome.
        ["create-many", path, count] => {
            let count: usize = count.parse().map_err(|_| "not a count".to_owned())?;
            let mut outcomes = BTreeMap::new();
            for number in 0..count {
                let outcome = match mounts.open(&format!("{path}{number}"), "wcxf") {
                    Ok(_) => "ok".to_owned(),
                    Err(error) => code(error),
                };
                *outcomes.entry(outcome).or_insert(0) += 1;
            }
            Ok(format!("{outcomes:?}"))
        }
        ["stat", path, flags] => {
            let (dir, path) = mounts.find(path);
            dir.stat_at(follow(flags), path)
                .map(|stat| stat.size.to_string())
                .map_err(code)
        }
        ["list", path] => list(&mounts.open(path, "d").map_err(code)?),
        ["readlink", path] => {
            let (dir, path) = mounts.find(path);
            dir.readlink_at(path).map_err(code)
        }
        ["symlink", target, path] => {
            let (dir, path) = mounts.find(path);
            unit(dir.symlink_at(target, path))
        }
        ["link", old, new] => {
            let ((old_dir, old), (new_dir, new)) = (mounts.find(old), mounts.find(new));
            unit(old_dir.link_at(PathFlags::empty(), old, new_dir, new))
        }
        ["rename", old, new] => {
            let ((old_dir, old), (new_dir, new)) = (mounts.find(old), mounts.find(new));
            unit(old_dir.rename_at(old, new_dir, new))
        }
        ["mkdir", path] => {
            let (dir, path) = mounts.find(path);
            unit(dir.create_directory_at(path))
        }
        ["unlink", path] => {
            let (dir, path) = mounts.find(path);
            unit(dir.unlink_file_at(path))
        }
        ["rmdir", path] => {
            let (dir, path) = mounts.find(path);
            unit(dir.remove_directory_at(path))
        }
        ["touch", path, flags] => {
            let (dir, path) = mounts.find(path);
            unit(dir.set_times_at(follow(flags), path, NewTimestamp::Now, NewTimestamp::Now))
        }
        ["hold", what, path] => hold(mounts, what, path),
        // The same through the standard library, whose paths are the guest's own.
        ["std-read", path] => {
            std::fs::read_to_string(path).map_err(|error| format!("{:?}", error.kind()))
        }
        ["std-write", path, text] => std::fs::write(path, text)
            .map(|()| String::new())
            .map_err(|error| format!("{:?}", error.kind())),
        ["repeat", count, ref command @ ..] => {
            let count: usize = count.parse().map_err(|_| "not a count".to_owned())?;
            let mut outcomes = BTreeMap::new();
            for _ in 0..count {
                let line = match run(mounts, command) {
                    Ok(text) => format!("ok {text}"),
                    Err(text) => format!("err {text}"),
                };
                *outcomes.entry(line).or_insert(0) += 1;
            }
            Ok(format!("{outcomes:?}"))
        }
        _ => Err(format!("unknown command: {command:?}")),
    }
}

fn main() {
    let mounts = Mounts(get_directories().into_iter().map(|(dir, _)| dir).collect());
    for argument in std::env::args().skip(1) {
        let command: Vec<&str> = argument.split('|').collect();
        match run(&mounts, &command) {
            Ok(text) => println!("ok:{text}"),
            Err(text) => println!("err:{text}"),
        }
    }
}
