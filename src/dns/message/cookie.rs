//! The COOKIE option as octets (RFC 7873 §4): the asker's cookie, and behind it the server's if the asker has one.

/// The option's code.
pub(super) const COOKIE: u16 = 10;

/// Octets of a server's cookie as this server makes them (RFC 9018 §4).
pub const SERVER_LENGTH: usize = 16;

/// Octets of a server's cookie as others may make them (RFC 7873 §4).
const SERVER_SHORTEST: usize = 8;
const SERVER_LONGEST: usize = 32;

/// A server's cookie as this server makes them.
pub type ServerCookie = [u8; SERVER_LENGTH];

/// The cookie of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cookie {
    /// The asker's part, which every answer repeats.
    pub asker: [u8; 8],
    server: [u8; SERVER_LONGEST],
    server_length: u8,
}

impl Cookie {
    /// Reads an option's data; nothing if it has not the length of a cookie.
    pub fn read(data: &[u8]) -> Option<Self> {
        let (asker, shown) = data.split_first_chunk()?;
        if !shown.is_empty() && !(SERVER_SHORTEST..=SERVER_LONGEST).contains(&shown.len()) {
            return None;
        }
        let mut server = [0; SERVER_LONGEST];
        server[..shown.len()].copy_from_slice(shown);
        Some(Self { asker: *asker, server, server_length: u8::try_from(shown.len()).ok()? })
    }

    /// What the asker says that a server gave it: nothing, or 8 to 32 octets.
    pub fn server(&self) -> &[u8] {
        &self.server[..usize::from(self.server_length)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7873_section_4_lengths() {
        for length in 0..=50 {
            let data: Vec<u8> = (0..length).collect();
            let cookie = Cookie::read(&data);
            assert_eq!(cookie.is_some(), matches!(length, 8 | 16..=40), "{length}");
            if let Some(cookie) = cookie {
                assert_eq!([&cookie.asker, cookie.server()].concat(), data);
            }
        }
    }
}
