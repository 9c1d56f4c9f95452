//! Any octets on a connection, cut anywhere, mean the same; and a head that goes on is one that another parser reads, to
//! the same end.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wwwlab_fuzz::services::web::passed;

/// As many fields as a head may have.
const FIELDS: usize = 100;

fuzz_target!(|input: (u16, u16, &[u8])| {
    let (one, other, bytes) = input;
    let whole = passed(bytes, &[]);
    let cuts = [usize::from(one.min(other)), usize::from(one.max(other))];
    let in_parts = passed(bytes, &cuts);
    assert_eq!((in_parts.heads, &in_parts.wrong), (whole.heads, &whole.wrong), "cut at {cuts:?}");
    // Of a body that is framed wrongly, what came before it was known to be has gone on.
    if !whole.wrong.as_ref().is_some_and(|wrong| wrong.contains("Body")) {
        assert_eq!(in_parts.clear, whole.clear, "cut at {cuts:?}");
    }

    // The first head, without the empty lines that may stand before it.
    if whole.heads == 0 {
        return;
    }
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let end = match request.parse(bytes) {
        Ok(httparse::Status::Complete(end)) => end,
        other => panic!("{other:?} of {:?}", String::from_utf8_lossy(bytes)),
    };
    assert!(end <= whole.clear);
    assert_eq!(passed(&bytes[..end - 1], &[]).heads, 0, "it ends earlier here");
    assert_eq!(passed(&bytes[..end], &[]).heads, 1, "it ends later here");
    // No two readings of where its body ends.
    let framings = request.headers.iter().filter(|field| {
        ["content-length", "transfer-encoding"].iter().any(|name| field.name.eq_ignore_ascii_case(name))
    });
    assert!(framings.count() <= 1);
});
