//! Why a record did not become an event.

use super::Place;

/// Class of a rejection: the label of `nightlatch_events_rejected_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RejectReason {
    /// Not JSON at all.
    InvalidJson,
    /// JSON, but no object.
    NotAnObject,
    /// Holds a NUL byte.
    NulByte,
    /// Not UTF-8.
    InvalidUtf8,
    /// One name twice in the object.
    DuplicateField,
    /// A required field is absent, null or empty.
    MissingField,
    /// A field of another type than the schema's.
    WrongType,
    /// A time that cannot be read, or out of the years 0001 to 9999.
    InvalidTime,
    /// A number that does not fit.
    OutOfRange,
    /// Longer than `input.record_bytes_max`.
    RecordTooLong,
    /// A string longer than `input.string_bytes_max`.
    StringTooLong,
    /// `details` longer than `input.details_bytes_max`.
    DetailsTooLong,
    /// `details` nested too deep.
    TooDeep,
    /// Not a syslog line.
    NotSyslog,
    /// The source broke off inside the record.
    SourceError,
    /// Behind the watermark.
    Late,
    /// Further ahead of the clock than `order.clock_skew`.
    Future,
}

impl RejectReason {
    /// All classes, for metrics that start at 0.
    pub const ALL: [Self; 17] = [
        Self::InvalidJson,
        Self::NotAnObject,
        Self::NulByte,
        Self::InvalidUtf8,
        Self::DuplicateField,
        Self::MissingField,
        Self::WrongType,
        Self::InvalidTime,
        Self::OutOfRange,
        Self::RecordTooLong,
        Self::StringTooLong,
        Self::DetailsTooLong,
        Self::TooDeep,
        Self::NotSyslog,
        Self::SourceError,
        Self::Late,
        Self::Future,
    ];

    /// The name in metrics and in dead-letter files.
    pub fn label(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::NotAnObject => "not_an_object",
            Self::NulByte => "nul_byte",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::DuplicateField => "duplicate_field",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::InvalidTime => "invalid_time",
            Self::OutOfRange => "out_of_range",
            Self::RecordTooLong => "record_too_long",
            Self::StringTooLong => "string_too_long",
            Self::DetailsTooLong => "details_too_long",
            Self::TooDeep => "too_deep",
            Self::NotSyslog => "not_syslog",
            Self::SourceError => "source_error",
            Self::Late => "late",
            Self::Future => "future",
        }
    }
}

/// A record that is set aside, with its bytes, its place and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Where the record stands.
    pub place: Place,
    /// Class.
    pub reason: RejectReason,
    /// What is wrong, for people; a second line may hold a hint.
    pub message: String,
    /// The record, or its first bytes where it was too long.
    pub raw: Vec<u8>,
}

/// A reason with its message, before place and bytes are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: RejectReason,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(reason: RejectReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    pub(crate) fn with(self, place: Place, raw: &[u8]) -> Rejection {
        Rejection { place, reason: self.reason, message: self.message, raw: raw.to_vec() }
    }
}
