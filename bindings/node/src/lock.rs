//! Files that one opener has for itself: of all processes, and of all openers in this one.
#![expect(clippy::needless_pass_by_value, reason = "texts of JavaScript come as values")]

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};

use napi::Env;
use napi_derive::napi;

use crate::addon;

/// How often a file is opened that somebody removes before it is locked.
const ATTEMPTS_MAX: u32 = 100;

/// The locks of one environment, which end with it.
#[derive(Default)]
pub struct Locks {
    files: BTreeMap<u32, File>,
    /// Never given twice, so that nobody releases the lock of another.
    next: u32,
}

/// Opens a file for writing, makes it if need be, and takes it for this opener alone. Answers a number for [`unlock_file`], or
/// −1 when somebody else has it. Never waits.
///
/// # Errors
///
/// With the `code` of the system when the file cannot be opened or locked.
#[napi(catch_unwind)]
pub fn lock_file(env: Env, path: String) -> Result<f64, napi::Error<String>> {
    let Some(file) = locked(&path)? else { return Ok(-1.0) };
    // SAFETY: the environment is that of the running call, and asked once in it.
    let Some(addon) = (unsafe { addon::of(env.raw()) }) else {
        return Err(failed("locked", &path, &io::Error::from(ErrorKind::Unsupported)));
    };
    let number = addon.locks.next;
    addon.locks.next += 1;
    addon.locks.files.insert(number, file);
    Ok(f64::from(number))
}

/// Releases a lock; nothing when that was done already.
#[napi(catch_unwind)]
pub fn unlock_file(env: Env, number: u32) {
    // SAFETY: the environment is that of the running call, and asked once in it.
    if let Some(addon) = unsafe { addon::of(env.raw()) } {
        addon.locks.files.remove(&number);
    }
}

/// The file, locked; nothing when somebody else has it.
fn locked(path: &str) -> Result<Option<File>, napi::Error<String>> {
    for _ in 0..ATTEMPTS_MAX {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| failed("opened", path, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(failed("locked", path, &error)),
        }
        if is_named(&file, path).map_err(|error| failed("locked", path, &error))? {
            return Ok(Some(file));
        }
    }
    // So many others come and go that somebody has it.
    Ok(None)
}

/// Whether `path` still names the file. Whoever had it may have removed it between its opening and its locking; the next opener makes another one then.
#[cfg(unix)]
fn is_named(file: &File, path: &str) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;

    let named = match std::fs::metadata(path) {
        Ok(named) => named,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let held = file.metadata()?;
    Ok((held.dev(), held.ino()) == (named.dev(), named.ino()))
}

/// Elsewhere nobody removes one: see `ts/persistence/files.ts`.
#[cfg(not(unix))]
fn is_named(_file: &File, _path: &str) -> io::Result<bool> {
    Ok(true)
}

fn failed(what: &str, path: &str, error: &io::Error) -> napi::Error<String> {
    let code = match error.kind() {
        ErrorKind::NotFound => "ENOENT",
        ErrorKind::PermissionDenied => "EACCES",
        ErrorKind::IsADirectory => "EISDIR",
        ErrorKind::NotADirectory => "ENOTDIR",
        ErrorKind::ReadOnlyFilesystem => "EROFS",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "ENOSPC",
        ErrorKind::InvalidInput | ErrorKind::InvalidFilename => "EINVAL",
        ErrorKind::Unsupported => "ENOTSUP",
        _ => "EIO",
    };
    napi::Error::new(code.to_owned(), format!("{code}: {path} cannot be {what}: {error}"))
}
