//! What each environment (the Node of one thread) has of its own, and the one way into it.

use std::any::Any;
use std::ffi::c_void;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use lastwrite_core::Result;
use lastwrite_core::host::{Answer, Desk, Host};
use napi::sys;

use crate::lock::Locks;

/// The data of one environment, freed when the environment ends.
pub struct Addon {
    host: Host,
    desk: *mut Desk,
    pub locks: Locks,
}

impl Addon {
    /// Runs the body of a call. A panic leaves the dictionary of `handle` where it is for ever, and becomes the number that says so.
    #[inline]
    pub fn call(
        &mut self,
        handle: u32,
        body: impl FnOnce(&mut Host, &Desk) -> Result<Answer>,
    ) -> f64 {
        // SAFETY: the memory belongs to an `ArrayBuffer` that a strong reference keeps and that nothing detaches, since only
        // ts/engine/native.ts has it; it is as long and as aligned as a `Desk`, any bits are one, and JavaScript waits meanwhile.
        let desk = unsafe { &mut *self.desk };
        let host = &mut self.host;
        // What a panic left half done is abandoned below, and the engine refuses all further calls.
        let caught = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(feature = "test-hooks")]
            host.trip();
            let result = body(host, desk);
            host.conclude(result, desk)
        }));
        caught.unwrap_or_else(|panic| {
            let number = self.host.abandon(handle, &message(&*panic));
            // Its own drop might panic in turn.
            mem::forget(panic);
            number
        })
    }
}

/// Gives the environment its data, and answers the desk as an `ArrayBuffer`.
pub fn install(env: sys::napi_env) -> Option<sys::napi_value> {
    let (mut buffer, mut desk, mut kept) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    // SAFETY: `env` is the one that is loading the addon, and the pointers are to live variables.
    let status = unsafe {
        sys::napi_create_arraybuffer(env, size_of::<Desk>(), &raw mut desk, &raw mut buffer)
    };
    if status != sys::Status::napi_ok {
        return None;
    }
    // SAFETY: as above; `buffer` was just made. The reference is never deleted: the memory is needed until the environment ends.
    let status = unsafe { sys::napi_create_reference(env, buffer, 1, &raw mut kept) };
    if status != sys::Status::napi_ok {
        return None;
    }
    let addon = Box::into_raw(Box::new(Addon {
        host: Host::default(),
        desk: desk.cast(),
        locks: Locks::default(),
    }));
    // SAFETY: napi-rs leaves the slot of instance data to us; `free` gets the pointer back once.
    let status =
        unsafe { sys::napi_set_instance_data(env, addon.cast(), Some(free), ptr::null_mut()) };
    (status == sys::Status::napi_ok).then_some(buffer)
}

/// The data of the environment.
///
/// # Safety
///
/// `env` must be the environment of the running call, and the answer must not outlive the call or be asked for twice in it.
#[inline]
pub unsafe fn of<'a>(env: sys::napi_env) -> Option<&'a mut Addon> {
    let mut addon = ptr::null_mut();
    // SAFETY: the pointer is to a live variable.
    unsafe { sys::napi_get_instance_data(env, &raw mut addon) };
    // SAFETY: it is null or what `install` put there, and alive until `free`, after which no call comes.
    unsafe { addon.cast::<Addon>().as_mut() }
}

unsafe extern "C" fn free(_: sys::napi_env, addon: *mut c_void, _: *mut c_void) {
    // SAFETY: Node calls this once, with the pointer from `install`.
    drop(unsafe { Box::from_raw(addon.cast::<Addon>()) });
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}
