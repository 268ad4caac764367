//! What each instance has of its own, and the one way into it.

use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::panic::{self, PanicHookInfo};

use lastwrite_core::host::{Desk, Host};

const NOTE_BYTES: usize = 1020;

/// The message of a panic: its length, and what fits of its text.
#[repr(C)]
pub struct Note {
    length: u32,
    text: [u8; NOTE_BYTES],
}

struct Instance {
    host: Host,
    /// An argument that does not fit on the desk.
    long: Vec<u8>,
}

/// A cell for what only the one thread of an instance touches.
struct Local<T>(UnsafeCell<T>);

// SAFETY: the memory of the instance is not shared, so it has one thread.
unsafe impl<T> Sync for Local<T> {}

static DESK: Local<Desk> = Local(UnsafeCell::new(Desk::BLANK));
static NOTE: Local<Note> = Local(UnsafeCell::new(Note { length: 0, text: [0; NOTE_BYTES] }));
// Never dropped, so that the file needs no code for it.
static INSTANCE: Local<Option<ManuallyDrop<Instance>>> = Local(UnsafeCell::new(None));

/// Runs the body of a call with the host, the long argument and the desk.
#[inline]
pub fn enter<T>(body: impl FnOnce(&mut Host, &mut Vec<u8>, &mut Desk) -> T) -> T {
    // SAFETY: JavaScript makes one call after the other, no call enters twice or calls back, and only here are the two borrowed.
    let (instance, desk) = unsafe { (&mut *INSTANCE.0.get(), &mut *DESK.0.get()) };
    let instance = instance.get_or_insert_with(|| {
        panic::set_hook(Box::new(take_note));
        ManuallyDrop::new(Instance { host: Host::default(), long: Vec::new() })
    });
    let Instance { host, long } = &mut **instance;
    #[cfg(feature = "test-hooks")]
    host.trip();
    body(host, long, desk)
}

pub fn desk() -> *const Desk {
    DESK.0.get()
}

pub fn note() -> *const Note {
    NOTE.0.get()
}

/// A trap cannot say why, so the message waits where JavaScript finds it.
fn take_note(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("a panic without a message");
    // SAFETY: nothing else has a reference, and this runs once: the panic ends the instance.
    let note = unsafe { &mut *NOTE.0.get() };
    note.length = 0;
    for (to, byte) in note.text.iter_mut().zip(message.bytes()) {
        *to = byte;
        note.length += 1;
    }
}
