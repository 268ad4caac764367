//! What can go wrong, told apart by kind.

use core::fmt;

/// Why a call was refused. The state is as it was before the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ErrorKind {
    /// An argument is out of its range.
    InvalidArgument = 1,
    /// A key is empty or longer than 1,024 bytes.
    InvalidKey,
    /// A prefix neither is empty nor ends in `/`, or is longer than 1,024 bytes.
    InvalidPrefix,
    /// A value is not canonical, too long or too deep.
    InvalidValue,
    /// Bytes do not follow docs/format.md.
    CorruptBytes,
    /// Bytes of another version, or of a kind that this call does not take.
    UnsupportedFormat,
    /// Bytes would expand beyond the limit.
    TooLarge,
    /// A stamp lies further ahead than the drift limit.
    ClockDrift,
    /// An explicit stamp lies at or below the greatest collected stamp.
    BelowHorizon,
    /// The receiver of a frame is below its horizon and must re-read.
    ReceiverBelowHorizon,
    /// The sender of a frame is below our horizon and must re-read.
    SenderBelowHorizon,
    /// A transaction is open, or none is.
    TransactionOpen,
    /// The handle names no open dictionary.
    Closed,
}

impl ErrorKind {
    /// The number that crosses the boundary: 1 for the first kind, and so on.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The code that the TypeScript layer knows the kind by.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid-argument",
            Self::InvalidKey => "invalid-key",
            Self::InvalidPrefix => "invalid-prefix",
            Self::InvalidValue => "invalid-value",
            Self::CorruptBytes => "corrupt-bytes",
            Self::UnsupportedFormat => "unsupported-format",
            Self::TooLarge => "too-large",
            Self::ClockDrift => "clock-drift",
            Self::BelowHorizon | Self::ReceiverBelowHorizon | Self::SenderBelowHorizon => {
                "below-horizon"
            }
            Self::TransactionOpen => "transaction-open",
            Self::Closed => "closed",
        }
    }
}

/// A refused call: its kind, and one line for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// What programs tell errors apart by.
    pub kind: ErrorKind,
    /// What went wrong and the way out, for people.
    pub reason: &'static str,
}

impl Error {
    pub(crate) const fn new(kind: ErrorKind, reason: &'static str) -> Self {
        Self { kind, reason }
    }

    pub(crate) const fn corrupt(reason: &'static str) -> Self {
        Self::new(ErrorKind::CorruptBytes, reason)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.code(), self.reason)
    }
}

impl core::error::Error for Error {}

/// The result of everything that can be refused.
pub type Result<T> = core::result::Result<T, Error>;

/// The result of reading bytes: the error is one of the constants, so that good numbers come back in registers.
pub(crate) type Read<T> = core::result::Result<T, &'static Error>;

impl From<&'static Error> for Error {
    fn from(error: &'static Error) -> Self {
        *error
    }
}

/// The error for bytes that do not follow docs/format.md.
macro_rules! corrupt {
    ($reason:literal) => {
        const { &$crate::error::Error::corrupt($reason) }
    };
}
pub(crate) use corrupt;
