//! What the data of a connection says at the beginning of a message: HTTP (RFC 9112 §2.1), TLS (RFC 8446 §4, §5.1), MySQL.

/// Characters that a line shows of what was sent.
const SHOWN_MOST: usize = 120;

const METHODS: [&[u8]; 9] =
    [b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"CONNECT", b"TRACE"];

/// The request or the status that `data` begins with, if it is the beginning of either.
pub(super) fn http(data: &[u8]) -> Option<String> {
    if data.starts_with(b"PRI * HTTP/2.0\r\n") {
        return Some("HTTP/2 begins".into());
    }
    let line = data.split(|&octet| octet == b'\r' || octet == b'\n').next()?;
    let mut words = line.splitn(2, |&octet| octet == b' ');
    let (first, rest) = (words.next()?, words.next()?);
    if METHODS.contains(&first) {
        let end = rest.windows(6).rposition(|part| part == b" HTTP/").unwrap_or(rest.len());
        return Some(cut(format!("HTTP {} {}", plain(first), plain(&rest[..end]))));
    }
    first.starts_with(b"HTTP/1.").then(|| cut(format!("HTTP {}", plain(rest))))
}

/// What the first record in `data` is; away from the ports of TLS, only if it begins a handshake.
pub(super) fn tls(data: &[u8], expected: bool) -> Option<String> {
    let (&[kind, 3, minor, _, _], record) = data.split_first_chunk()? else { return None };
    if minor > 4 || !(expected || kind == 22) {
        return None;
    }
    Some(match (kind, record.first()) {
        (20, _) => "TLS change of cipher".into(),
        (21, _) => "TLS alert".into(),
        (22, Some(1)) => match server_name(record) {
            Some(name) => cut(format!("TLS ClientHello {}", plain(name))),
            None => "TLS ClientHello".into(),
        },
        (22, Some(2)) => "TLS ServerHello".into(),
        (22, Some(11)) => "TLS certificate".into(),
        (22, _) => "TLS handshake".into(),
        (23, _) => "TLS data".into(),
        _ => return None,
    })
}

/// The name that a client's hello asks for (RFC 6066 §3).
fn server_name(hello: &[u8]) -> Option<&[u8]> {
    // Type, length, version and random; then three lists, each with its length before it.
    let (_session, rest) = counted(hello.get(38..)?, 1)?;
    let (_ciphers, rest) = counted(rest, 2)?;
    let (_compression, rest) = counted(rest, 1)?;
    let (mut extensions, _) = counted(rest, 2)?;
    while let Some((&kind, rest)) = extensions.split_first_chunk::<2>() {
        let (body, after) = counted(rest, 2)?;
        if kind == [0, 0] {
            let (list, _) = counted(body, 2)?;
            let (&[0], name) = list.split_first_chunk()? else { return None };
            return counted(name, 2).map(|(name, _)| name);
        }
        extensions = after;
    }
    None
}

/// What a length of `size` octets counts, and what is after it.
fn counted(octets: &[u8], size: usize) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_at_checked(size)?;
    let length = length.iter().fold(0, |length, &octet| length << 8 | usize::from(octet));
    rest.split_at_checked(length)
}

/// The statement that a client sends, at once (COM_QUERY) or to be prepared (COM_STMT_PREPARE).
pub(super) fn mysql(data: &[u8], to_server: bool) -> Option<String> {
    let (&[_, _, _, 0, command], text) = data.split_first_chunk()? else { return None };
    match command {
        3 if to_server => Some(cut(format!("MySQL query {}", plain(text)))),
        22 if to_server => Some(cut(format!("MySQL prepare {}", plain(text)))),
        _ => None,
    }
}

/// `octets` as text for a terminal: what is no character of one line is a point.
pub fn plain(octets: &[u8]) -> String {
    let shown = &octets[..octets.len().min(4 * SHOWN_MOST)];
    let text = String::from_utf8_lossy(shown);
    text.chars().map(|character| if is_harmless(character) { character } else { '.' }).collect()
}

/// Neither a control character nor one that turns the direction of a line, or cannot be seen.
fn is_harmless(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A text, cut where it is too long for a line.
pub(super) fn cut(text: String) -> String {
    match text.char_indices().nth(SHOWN_MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
