//! Being logged in: a secret in a cookie, and what is derived from it.
//!
//! The secret is 256 random bits; the database keeps only its digest, so that a copy of the database opens no
//! session. The token in the forms is derived from the secret as well: it is bound to the session, needs no place of
//! its own, and cannot be computed by another site, which can make a browser *send* the cookie but not tell it.
//!
//! Pure, but for the drawing of the secret.

use std::fmt;
use std::io;
use std::time::Duration;

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use crate::ground::chance;

/// How long a session is open, from the login on.
pub(super) const OPEN_FOR: Duration = Duration::from_secs(12 * 60 * 60);

/// The secret of one session. It is never shown but to its owner.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret([u8; 32]);

impl Secret {
    /// A new one.
    pub(super) fn draw() -> io::Result<Self> {
        chance::secret().map(Self)
    }

    /// The one that the cookies of a request carry, if they do: the first that can be one, since a browser also sends
    /// what others put under this name for a wider domain or a narrower path (RFC 6265 §5.4).
    pub(super) fn of(headers: &HeaderMap, scheme: &str) -> Option<Self> {
        let name = cookie_name(scheme);
        let fields = headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
        let cookies = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.split_once('='));
        let secret = |value: &str| HEXLOWER.decode(value.trim().as_bytes()).ok()?.try_into().ok().map(Self);
        cookies.filter(|(cookie, _)| cookie.trim() == name).find_map(|(_, value)| secret(value))
    }

    /// What the database knows it by.
    pub(super) fn digest(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(self.0))
    }

    /// The token that its forms carry.
    pub(super) fn form_token(&self) -> String {
        let token = Sha256::new().chain_update(b"form token of ").chain_update(self.0).finalize();
        HEXLOWER.encode(&token)
    }

    /// Whether `token` is the one that its forms carry; how long that takes tells nothing about it.
    pub(super) fn is_form_token(&self, token: &str) -> bool {
        let own = self.form_token();
        let differing = own.bytes().zip(token.bytes()).fold(0, |bits, (own, given)| bits | (own ^ given));
        own.len() == token.len() && differing == 0
    }

    /// The cookie that opens the session in a browser (RFC 6265).
    pub(super) fn cookie(&self, scheme: &str) -> Option<HeaderValue> {
        cookie(scheme, &HEXLOWER.encode(&self.0), OPEN_FOR)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The cookie that makes a browser forget its session.
pub(super) fn forgotten(scheme: &str) -> Option<HeaderValue> {
    cookie(scheme, "", Duration::ZERO)
}

/// A cookie that no script reads and no other site's form sends along, and over TLS no plain connection either.
fn cookie(scheme: &str, value: &str, lasts: Duration) -> Option<HeaderValue> {
    let secure = if scheme == "https" { "; Secure" } else { "" };
    let (name, lasts) = (cookie_name(scheme), lasts.as_secs());
    let cookie = format!("{name}={value}; Path=/; Max-Age={lasts}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&cookie).ok()
}

/// Over TLS the name says that the cookie is this host's own and came by TLS: a browser takes no other under it
/// (RFC 6265bis §4.1.3.2). Without TLS it would take none at all.
fn cookie_name(scheme: &str) -> &'static str {
    if scheme == "https" { "__Host-session" } else { "session" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(cookies: &[&str]) -> HeaderMap {
        cookies.iter().map(|value| (COOKIE, HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn a_secret_comes_back_in_the_cookie_of_its_scheme() {
        let secret = Secret::draw().unwrap();
        let plain = secret.cookie("http").unwrap().to_str().unwrap().to_owned();
        assert!(plain.starts_with("session=") && !plain.contains("Secure"), "{plain}");
        assert!(plain.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax"), "{plain}");
        let secured = secret.cookie("https").unwrap().to_str().unwrap().to_owned();
        assert!(secured.starts_with("__Host-session=") && secured.ends_with("; Secure"), "{secured}");

        let pair = plain.split(';').next().unwrap();
        assert_eq!(
            Secret::of(&sent(&["theme=dark", &format!("a=b; {pair} ")]), "http"),
            Some(secret.clone())
        );
        assert_eq!(
            Secret::of(&sent(&[&format!("session=old; {pair}")]), "http"),
            Some(secret),
            "a stranger's first"
        );
        assert_eq!(Secret::of(&sent(&[pair]), "https"), None, "a plain cookie opens nothing over TLS");
    }

    #[test]
    fn what_is_no_secret_is_none() {
        for cookie in ["", "session", "session=", "session=zz", "session=00", "xsession=00", "session=\u{fc}"]
        {
            let Ok(value) = HeaderValue::from_bytes(cookie.as_bytes()) else { continue };
            let headers = [(COOKIE, value)].into_iter().collect();
            assert_eq!(Secret::of(&headers, "http"), None, "{cookie}");
        }
    }

    #[test]
    fn a_form_token_is_of_one_session_and_not_its_digest() {
        let (one, other) = (Secret::draw().unwrap(), Secret::draw().unwrap());
        assert!(one.is_form_token(&one.form_token()));
        for wrong in [other.form_token(), one.digest(), String::new(), one.form_token() + "0"] {
            assert!(!one.is_form_token(&wrong), "{wrong}");
        }
        assert_eq!(format!("{one:?}"), "Secret");
    }
}
