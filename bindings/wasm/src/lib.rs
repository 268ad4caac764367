//! The engine as WebAssembly: arguments in, [`Host`], numbers out.
//!
//! Numbers and up to 64 KiB of bytes lie on the desk, which has its place in the memory; longer arguments go where [`reserve`] says,
//! longer answers lie where [`answer`] says. Every function answers a number from 0, or below 0 that of an error. A panic traps,
//! and leaves its message where [`note`] says. ts/engine/boundary.ts tells the arguments, crates/core/src/host.rs what the calls do.

mod instance;

use lastwrite_core::Result;
use lastwrite_core::host::{Answer, BODY_BYTES, Host, Request};

use instance::enter;
// wasm-pack's wasm-bindgen refuses a module without its own functions, though it has nothing to do here.
use wasm_bindgen as _;

macro_rules! calls {
    ($($(#[$attribute:meta])* $export:literal $name:ident)*) => {$(
        #[doc = concat!("See [`Host`]: `", stringify!($name), "`.")]
        $(#[$attribute])*
        #[unsafe(export_name = $export)]
        pub extern "C" fn $name(handle: u32, length: u32) -> f64 {
            pass(handle, length, Host::$name)
        }
    )*};
}

calls! {
    "get" get "has" has "delete" delete "create" create "close" close "set" set
    "writeAt" write_at "deletePrefix" delete_prefix "size" size "stampOf" stamp_of "scan" scan
    "begin" begin "commit" commit "rollback" rollback "merge" merge "refusals" refusals
    "patch" patch "watch" watch "version" version "horizon" horizon "frontier" frontier
    "collector" collector "setCollector" set_collector
    "digest" digest
    "replicaId" replica_id "setSpareId" set_spare_id "delta" delta "snapshot" snapshot
    "changesSince" changes_since "head" head "journal" journal
    "isJournalBroken" is_journal_broken "replay" replay "setReplicaId" set_replica_id
    "collectTombstones" collect_tombstones
    "restamp" restamp "reread" reread "fingerprints" fingerprints "hashes" hashes
    "entriesByHash" entries_by_hash "decodeEntries" decode_entries
    "encodeEntries" encode_entries "scratchMerge" scratch_merge "part" part "reason" reason
    "release" release
    #[cfg(feature = "test-hooks")] "injectPanic" inject_panic
    #[cfg(feature = "test-hooks")] "probes" probes
    #[cfg(feature = "test-hooks")] "craftKeys" craft_keys
}

/// Answers where the desk is.
#[unsafe(no_mangle)]
pub extern "C" fn desk() -> *const u8 {
    instance::desk().cast()
}

/// Answers where the message of a panic will be: its length as u32, and what fits of its text.
#[unsafe(no_mangle)]
pub extern "C" fn note() -> *const u8 {
    instance::note().cast()
}

/// Makes room for an argument that does not fit on the desk, and answers where.
#[unsafe(no_mangle)]
pub extern "C" fn reserve(length: u32) -> *const u8 {
    enter(|_, long, _| {
        long.resize(length as usize, 0);
        long.as_ptr()
    })
}

/// Answers where the answer lies.
#[unsafe(no_mangle)]
pub extern "C" fn answer() -> *const u8 {
    enter(|host, _, _| host.bytes().as_ptr())
}

/// Not inlined: fifty times what happens around a call would be a tenth of the file.
#[inline(never)]
fn pass(handle: u32, length: u32, call: fn(&mut Host, &Request<'_>) -> Result<Answer>) -> f64 {
    enter(|host, long, desk| {
        let length = length as usize;
        let input = if length <= BODY_BYTES { &desk.body[..length] } else { &long[..length] };
        let result = call(host, &Request { handle, desk, input });
        if length > BODY_BYTES {
            *long = Vec::new();
        }
        host.conclude(result, desk)
    })
}
