//! A last-write-wins dictionary that replicas write on their own and merge in any order.
//!
//! Everything here is a function of its arguments: no I/O, no clock, no randomness. Time is milliseconds since 1970 that
//! the caller passes in; bytes are those of `docs/format.md`; what each call does is fixed in `docs/engine.md`, for this
//! engine and the one in TypeScript alike. Bytes from outside end in a typed [`Error`] and change nothing.

mod block;
mod collector;
mod columns;
mod dictionary;
mod entries;
mod error;
mod export;
mod frame;
pub mod hash;
mod horizon;
pub mod host;
mod journal;
mod merge;
mod order;
mod prefetch;
mod prefixes;
mod ranges;
mod records;
mod sort;
mod stamp;
mod told;
pub mod value;
mod version;
mod wire;

pub use block::KEY_BYTES_MAX;
pub use dictionary::{Dictionary, Options, Range, Written};
pub use entries::{
    Scratch, VersionOrder, compare_versions, decode_entries, encode_entries, scratch_merge,
};
pub use error::{Error, ErrorKind, Result};
pub use export::{Changes, ExportOptions, Parts};
pub use journal::JournalOptions;
pub use merge::{MergeOptions, MergeReport};
pub use stamp::{COUNTER_MAX, Dot, MILLIS_MAX, ReplicaId, Stamp};
pub use value::{Value, decode_number, encode_number};
