//! What browsers are told not to do with the pages.
//!
//! Pure. What the application says of its own pages stays.

use hyper::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

use crate::ground::explain;

use super::StartError;
use super::answer::By;

/// The policy of the site's files: everything from the site itself, nothing inline, in nobody's frame.
pub(super) const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// The headers that protect the pages.
#[derive(Debug)]
pub(super) struct Protection {
    files: Option<HeaderValue>,
    explanations: HeaderValue,
}

impl Protection {
    /// With `policy` for the site's files; none where it is empty.
    pub(super) fn new(policy: &str) -> Result<Self, StartError> {
        let refused = |policy: &str| StartError::Policy { policy: policy.to_owned() };
        let files = match policy {
            "" => None,
            policy => Some(HeaderValue::from_str(policy).map_err(|_| refused(policy))?),
        };
        let explanations = explain::content_security_policy();
        let explanations = HeaderValue::from_str(&explanations).map_err(|_| refused(&explanations))?;
        Ok(Self { files, explanations })
    }

    /// Adds them to an answer made `by` so, except those that it has already.
    pub(super) fn add(&self, headers: &mut HeaderMap, by: By) {
        const FIXED: [(HeaderName, HeaderValue); 3] = [
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin")),
            (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        ];
        for (name, value) in FIXED {
            headers.entry(name).or_insert(value);
        }
        let policy = match by {
            By::App => None,
            By::File => self.files.as_ref(),
            By::Web => Some(&self.explanations),
        };
        if let Some(policy) = policy
            && headers.contains_key(CONTENT_TYPE)
        {
            headers.entry(CONTENT_SECURITY_POLICY).or_insert_with(|| policy.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_application_says_of_its_pages_stays() {
        let protection = Protection::new(POLICY).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
        protection.add(&mut headers, By::App);
        assert_eq!(headers[X_FRAME_OPTIONS], "SAMEORIGIN");
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(!headers.contains_key(CONTENT_SECURITY_POLICY));
        protection.add(&mut headers, By::File);
        assert_eq!(headers[CONTENT_SECURITY_POLICY], POLICY);
    }

    #[test]
    fn a_policy_is_one_line_or_none() {
        assert!(Protection::new("default-src 'self'\nX: y").is_err());
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
        Protection::new("").unwrap().add(&mut headers, By::File);
        assert!(!headers.contains_key(CONTENT_SECURITY_POLICY));
    }
}
