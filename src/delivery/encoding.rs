//! How an alert is written for a destination that leaves the choice.

use std::borrow::Cow;

use super::record::AlertRecord;
use crate::config::Encoding;

/// One line without the line feed. `native` is the alert's own JSON.
pub(crate) fn encode<'a>(
    encoding: Encoding,
    _alert: &AlertRecord,
    native: &'a [u8],
) -> Cow<'a, [u8]> {
    match encoding {
        Encoding::Native => Cow::Borrowed(native),
    }
}
