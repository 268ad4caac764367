//! The engine as a Node addon: arguments in, [`Host`], numbers out.
//!
//! Numbers and up to 64 KiB of bytes lie on the desk, an `ArrayBuffer` that both sides see; longer arguments come as `long`, longer
//! answers are fetched by [`take`]. Every function answers a number from 0, or below 0 that of an error. ts/engine/boundary.ts
//! tells the arguments, crates/core/src/host.rs what the calls do.

mod addon;
pub mod lock;
mod raw;

use lastwrite_core::Result;
use lastwrite_core::host::{Answer, Host, Request};
use napi::bindgen_prelude::{JsObjectValue, JsValue, Object, Uint8ArraySlice};
use napi::{Env, Status};
use napi_derive::napi;

/// Makes the data of the environment that loads the addon: the desk, and the calls that are made once for each key.
///
/// # Errors
///
/// When Node has no memory for it.
#[napi(module_exports)]
pub fn load(mut exports: Object<'_>, env: Env) -> napi::Result<()> {
    let failed = || {
        napi::Error::new(Status::GenericFailure, "the addon cannot be set up in this environment")
    };
    let desk = addon::install(env.raw()).ok_or_else(failed)?;
    exports.set_named_property("desk", desk)?;
    if raw::register(env.raw(), exports.raw()) { Ok(()) } else { Err(failed()) }
}

macro_rules! calls {
    ($($(#[$attribute:meta])* $name:ident)*) => {$(
        #[doc = concat!("See [`Host::", stringify!($name), "`].")]
        #[must_use]
        $(#[$attribute])*
        #[napi(catch_unwind)]
        pub fn $name(env: Env, handle: u32, length: u32, long: Option<&[u8]>) -> f64 {
            call(env, handle, length, long, Host::$name)
        }
    )*};
}

calls! {
    create close set write_at delete_prefix size stamp_of scan begin commit rollback refusals
    patch watch horizon frontier collector set_collector digest replica_id set_spare_id snapshot changes_since head
    journal is_journal_broken replay set_replica_id collect_tombstones restamp reread fingerprints hashes entries_by_hash decode_entries
    encode_entries scratch_merge part reason release
    #[cfg(feature = "test-hooks")] inject_panic
    #[cfg(feature = "test-hooks")] probes
    #[cfg(feature = "test-hooks")] craft_keys
}

/// Copies the answer into memory that is as long.
#[must_use]
#[napi(catch_unwind)]
pub fn take(env: Env, mut into: Uint8ArraySlice<'_>) -> f64 {
    call(env, 0, 0, None, |host, _| {
        // SAFETY: JavaScript made the array for this, and nobody else has it yet.
        unsafe { into.as_mut() }.copy_from_slice(host.bytes());
        Ok(Answer::Number(0.0))
    })
}

fn call(
    env: Env,
    handle: u32,
    length: u32,
    long: Option<&[u8]>,
    body: impl FnOnce(&mut Host, &Request<'_>) -> Result<Answer>,
) -> f64 {
    // SAFETY: the environment is that of the running call, and asked once in it.
    let addon = unsafe { addon::of(env.raw()) };
    addon.map_or(f64::NAN, |addon| {
        addon.call(handle, |host, desk| {
            let input = long.unwrap_or_else(|| &desk.body[..length as usize]);
            body(host, &Request { handle, desk, input })
        })
    })
}
