//! Why a request is refused before it is one.

use hyper::StatusCode;

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::services::web) enum Violation {
    /// It breaks the grammar, or could be read in two ways.
    #[error("{0}")]
    Malformed(&'static str),
    /// Its target is longer than the limit.
    #[error("its target is too long")]
    TargetTooLong,
    /// Its head is larger than the limit.
    #[error("its head is too large")]
    HeadTooLarge,
    /// It has more fields than the limit.
    #[error("its head has too many fields")]
    TooManyFields,
    /// Its body is coded in a way that is not known here.
    #[error("its body has a transfer coding that is not known here")]
    CodingUnknown,
    /// A version of HTTP that is not spoken so.
    #[error("its version of HTTP is not spoken here in this form")]
    VersionUnknown,
    /// Its head did not come in time.
    #[error("its head did not come in time")]
    HeadSlow,
}

impl Violation {
    /// Its status (RFC 9110 §15, RFC 6585 §5).
    pub(in crate::services::web) fn status(self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge | Self::TooManyFields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::CodingUnknown => StatusCode::NOT_IMPLEMENTED,
            Self::VersionUnknown => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::HeadSlow => StatusCode::REQUEST_TIMEOUT,
        }
    }
}
