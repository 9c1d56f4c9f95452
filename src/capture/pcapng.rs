//! The blocks of a pcapng file, as octets (draft-ietf-opsawg-pcapng §4).
//!
//! Ours and no crate's: writing is all that is needed, and a block is two lengths around its fields. Little-endian
//! throughout, as its first block says. Every function appends one block to `file`.

use std::net::IpAddr;

const SECTION: u32 = 0x0A0D_0D0A;
const INTERFACE: u32 = 1;
const NAMES: u32 = 4;
const STATISTICS: u32 = 5;
const PACKET: u32 = 6;
const SECRETS: u32 = 10;

/// By it a reader knows the order of octets.
const BYTE_ORDER: u32 = 0x1A2B_3C4D;
/// Ethernet, which the loopback interfaces of Linux look like, too.
const ETHERNET: u16 = 1;
/// The secrets are a key log of TLS.
const TLS_KEY_LOG: u32 = 0x544C_534B;
/// The longest comment, in bytes: it is cut there.
const COMMENT_MOST: usize = 1024;

/// The first block: what wrote the file (§4.1).
pub fn section(file: &mut Vec<u8>, application: &str) {
    block(file, SECTION, |body| {
        body.extend(BYTE_ORDER.to_le_bytes());
        body.extend(1_u16.to_le_bytes());
        body.extend(0_u16.to_le_bytes());
        // Its length is not known before its end.
        body.extend(u64::MAX.to_le_bytes());
        option(body, 3, std::env::consts::OS.as_bytes());
        option(body, 4, application.as_bytes());
        end_of_options(body);
    });
}

/// An interface; the first has number 0 (§4.2). Of each packet `kept` octets are kept at most, 0 for all.
pub fn interface(file: &mut Vec<u8>, name: &str, description: &str, kept: u32) {
    block(file, INTERFACE, |body| {
        body.extend(ETHERNET.to_le_bytes());
        body.extend(0_u16.to_le_bytes());
        body.extend(kept.to_le_bytes());
        option(body, 2, name.as_bytes());
        option(body, 3, description.as_bytes());
        // Times count 10⁻⁹ seconds.
        option(body, 9, &[9]);
        end_of_options(body);
    });
}

/// Who has which address (§4.5).
pub fn names(file: &mut Vec<u8>, names: &[(IpAddr, &str)]) {
    block(file, NAMES, |body| {
        for (address, name) in names {
            let (kind, mut record) = match address {
                IpAddr::V4(address) => (1, address.octets().to_vec()),
                IpAddr::V6(address) => (2, address.octets().to_vec()),
            };
            record.extend(name.as_bytes());
            record.push(0);
            option(body, kind, &record);
        }
        end_of_options(body);
    });
}

/// A packet at the interface of number `at_interface` (§4.3), `time` in nanoseconds since the Unix epoch.
pub fn packet(file: &mut Vec<u8>, at_interface: usize, packet: &super::Packet, comment: Option<&str>) {
    block(file, PACKET, |body| {
        body.extend(length(at_interface).to_le_bytes());
        time(body, packet.at);
        body.extend(length(packet.octets.len()).to_le_bytes());
        body.extend(length(packet.length.max(packet.octets.len())).to_le_bytes());
        padded(body, &packet.octets);
        if let Some(comment) = comment {
            option(body, 1, until(comment, COMMENT_MOST).as_bytes());
        }
        let direction: u32 = if packet.outgoing { 2 } else { 1 };
        option(body, 2, &direction.to_le_bytes());
        end_of_options(body);
    });
}

/// What decrypts packets that come after it: a key log as browsers write it to SSLKEYLOGFILE (§4.7).
pub fn secrets(file: &mut Vec<u8>, key_log: &[u8]) {
    block(file, SECRETS, |body| {
        body.extend(TLS_KEY_LOG.to_le_bytes());
        body.extend(length(key_log.len()).to_le_bytes());
        padded(body, key_log);
    });
}

/// What an interface saw from `began` to `ended` (§4.6); what its machine could not take, where it is told here.
pub fn statistics(
    file: &mut Vec<u8>,
    at_interface: usize,
    [began, ended]: [u64; 2],
    received: u64,
    dropped: Option<u64>,
) {
    block(file, STATISTICS, |body| {
        body.extend(length(at_interface).to_le_bytes());
        time(body, ended);
        if dropped.is_some() {
            option(body, 1, b"The drops are those at all interfaces of this machine");
        }
        for (code, moment) in [(2, began), (3, ended)] {
            let mut octets = Vec::new();
            time(&mut octets, moment);
            option(body, code, &octets);
        }
        option(body, 4, &received.to_le_bytes());
        if let Some(dropped) = dropped {
            option(body, 7, &dropped.to_le_bytes());
        }
        end_of_options(body);
    });
}

/// A block: its type and its length, what `write` writes, and its length again (§3.1).
fn block(file: &mut Vec<u8>, kind: u32, write: impl FnOnce(&mut Vec<u8>)) {
    /// Type, length, and the length again.
    const AROUND: usize = 12;
    let start = file.len();
    file.extend(kind.to_le_bytes());
    file.extend([0; 4]);
    write(file);
    let whole = length(file.len() - start - 8 + AROUND).to_le_bytes();
    file.extend(whole);
    file[start + 4..start + 8].copy_from_slice(&whole);
}

/// The upper half of a time first, whatever the order of octets is (§4.3).
fn time(body: &mut Vec<u8>, nanoseconds: u64) {
    let [a, b, c, d, e, f, g, h] = nanoseconds.to_le_bytes();
    body.extend([e, f, g, h, a, b, c, d]);
}

/// An option; what does not fit its length is cut (§3.5).
fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    body.extend(code.to_le_bytes());
    body.extend(length.to_le_bytes());
    padded(body, &value[..length.into()]);
}

fn end_of_options(body: &mut Vec<u8>) {
    body.extend([0; 4]);
}

/// `octets`, and zeros up to the next multiple of four.
fn padded(body: &mut Vec<u8>, octets: &[u8]) {
    body.extend(octets);
    body.resize(body.len() + octets.len().next_multiple_of(4) - octets.len(), 0);
}

/// `text` up to `most` bytes, whole characters.
fn until(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// Nothing here is longer than 16 MiB.
fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::Packet;
    use super::*;

    /// The blocks of a file: type and body, lengths checked.
    fn blocks(mut file: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let mut found = Vec::new();
        let number = |octets: &[u8]| u32::from_le_bytes(octets.try_into().unwrap());
        while !file.is_empty() {
            let whole = usize::try_from(number(&file[4..8])).unwrap();
            assert_eq!(whole % 4, 0);
            assert_eq!(number(&file[4..8]), number(&file[whole - 4..whole]));
            found.push((number(&file[..4]), file[8..whole - 4].to_vec()));
            file = &file[whole..];
        }
        found
    }

    #[test]
    fn blocks_are_as_the_draft_draws_them() {
        let mut file = Vec::new();
        section(&mut file, "wwwlab");
        interface(&mut file, "client eth0", "", 0);
        let octets = vec![7; 61];
        let seen = Packet { at: 0x1_0000_0002, interface: 3, outgoing: true, length: 100, octets };
        packet(&mut file, 3, &seen, Some("äöü"));
        secrets(&mut file, b"CLIENT_RANDOM 00 00\n");
        names(&mut file, &[("8.8.8.8".parse().unwrap(), "server")]);
        statistics(&mut file, 0, [1, 2], 3, Some(4));
        let blocks = blocks(&file);
        assert_eq!(blocks.iter().map(|block| block.0).collect::<Vec<_>>(), [0x0A0D_0D0A, 1, 6, 10, 4, 5]);
        let packet = &blocks[2].1;
        assert_eq!(packet[..4], [3, 0, 0, 0]);
        assert_eq!(packet[4..12], [1, 0, 0, 0, 2, 0, 0, 0], "the time's upper half comes first");
        assert_eq!(packet[12..20], [61, 0, 0, 0, 100, 0, 0, 0]);
        assert_eq!(packet[20 + 61..20 + 64], [0; 3], "padded");
        assert_eq!(packet[84..88], [1, 0, 6, 0], "a comment of six octets");
        assert_eq!(packet[96..104], [2, 0, 4, 0, 2, 0, 0, 0], "outgoing");
        assert_eq!(blocks[4].1[..15], *b"\x01\x00\x0b\x00\x08\x08\x08\x08server\0");
    }

    #[test]
    fn a_long_comment_is_cut_between_characters() {
        assert_eq!(until("aäb", 2), "a");
        let mut file = Vec::new();
        let seen = Packet { at: 0, interface: 0, outgoing: false, length: 0, octets: Vec::new() };
        packet(&mut file, 0, &seen, Some(&"ä".repeat(90_000)));
        assert_eq!(blocks(&file)[0].1[20..24], [1, 0, 0, 4]);
    }
}
