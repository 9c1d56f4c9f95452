//! Files over real sockets: forms, conditions, ranges, and what becomes of them while they are sent.

use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::stand::{Answer, Stand, get};

/// A GET of `target` with these header lines.
fn with(target: &str, lines: &str) -> String {
    get(target).replace("\r\n\r\n", &format!("\r\n{}\r\n\r\n", lines.trim().replace('\n', "\r\n")))
}

/// A text that is worth compressing.
fn text() -> String {
    "What happens when you type www.foobar.com?\n".repeat(50)
}

async fn stand_with(files: &[(&str, &[u8])]) -> Stand {
    let stand = Stand::without_application().await;
    for (name, content) in files {
        fs::write(stand.site().join(name), content).unwrap();
    }
    stand
}

fn decoded(answer: &Answer) -> Vec<u8> {
    let mut plain = Vec::new();
    match answer.header("content-encoding") {
        Some("br") => brotli::BrotliDecompress(&mut answer.body.as_slice(), &mut plain).unwrap(),
        Some("gzip") => {
            std::io::copy(&mut flate2::read::GzDecoder::new(answer.body.as_slice()), &mut plain).unwrap();
        }
        Some(other) => panic!("{other}"),
        None => plain.clone_from(&answer.body),
    }
    plain
}

#[tokio::test]
async fn rfc9110_12_5_3_the_form_is_the_clients_choice() {
    let (text, picture) = (text(), [7; 1_000]);
    let stand = stand_with(&[("a.txt", text.as_bytes()), ("a.png", &picture), ("short.txt", b"short")]).await;
    let mut tags = Vec::new();
    for (accept, coding) in [
        ("X: none", None),
        ("Accept-Encoding: gzip, deflate, br, zstd", Some("br")),
        ("Accept-Encoding: gzip", Some("gzip")),
        ("Accept-Encoding: br;q=0.5, gzip;q=0.6, identity;q=0.1", Some("gzip")),
        ("Accept-Encoding: gzip;q=0", None),
        ("Accept-Encoding: identity;q=0, *", Some("br")),
    ] {
        let answer = stand.ask(&with("/a.txt", accept)).await;
        assert_eq!((answer.status, answer.header("content-encoding")), (200, coding), "{accept}");
        assert_eq!(answer.header("vary"), Some("accept-encoding"), "{accept}");
        assert_eq!(answer.header("content-length").unwrap(), answer.body.len().to_string());
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        assert!(decoded(&answer) == text.as_bytes(), "{accept}");
        let etag = answer.header("etag").unwrap().to_owned();
        assert!(etag.starts_with('"'), "strong: {etag}");
        tags.push((coding, etag.clone()));

        let again = stand.ask(&with("/a.txt", &format!("{accept}\nIf-None-Match: {etag}"))).await;
        assert_eq!((again.status, again.header("etag")), (304, Some(&*etag)));
        assert_eq!(again.header("vary"), Some("accept-encoding"));
        let other = format!("{accept}\nIf-Match: \"another\", {etag}");
        assert_eq!(stand.ask(&with("/a.txt", &other)).await.status, 200);
    }
    for (one, other) in tags.iter().flat_map(|one| tags.iter().map(move |other| (one, other))) {
        assert_eq!(one.0 == other.0, one.1 == other.1, "a tag for each form: {tags:?}");
    }
    for target in ["/a.png", "/short.txt"] {
        let answer = stand.ask(&with(target, "Accept-Encoding: gzip, br")).await;
        assert_eq!((answer.status, answer.header("content-encoding")), (200, None), "{target}");
        let refused = stand.ask(&with(target, "Accept-Encoding: *;q=0")).await;
        assert_eq!((refused.status, refused.header("vary")), (406, Some("accept-encoding")), "{target}");
    }
}

#[tokio::test]
async fn what_was_compressed_before_is_sent_as_long_as_it_is_not_older() {
    let large = "large ".repeat(100_000);
    let stand =
        stand_with(&[("a.css", b"plain"), ("a.css.br", b"BROTLI"), ("large.js", large.as_bytes())]).await;
    let ask = async |target: &str| stand.ask(&with(target, "Accept-Encoding: br, gzip")).await;
    let answer = ask("/a.css").await;
    assert_eq!((answer.header("content-encoding"), answer.text()), (Some("br"), "BROTLI"));
    assert_eq!(answer.header("content-type"), Some("text/css; charset=utf-8"));
    assert_eq!(ask("/large.js").await.header("content-encoding"), None, "too large for memory");
    fs::write(stand.site().join("large.js.gz"), vec![b'z'; 200_000]).unwrap();
    let answer = ask("/large.js").await;
    assert_eq!((answer.header("content-encoding"), answer.body.len()), (Some("gzip"), 200_000));
    let sibling = fs::File::options().write(true).open(stand.site().join("a.css.br")).unwrap();
    sibling.set_modified(UNIX_EPOCH).unwrap();
    assert_eq!(ask("/a.css").await.text(), "plain");
}

#[tokio::test]
async fn rfc9110_13_conditions() {
    let stand = Stand::without_application().await;
    // A date says which version is meant only when its second is over.
    let file = fs::File::options().write(true).open(stand.site().join("about.html")).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
    let first = stand.ask(&get("/about.html")).await;
    let (etag, date) = (first.header("etag").unwrap(), first.header("last-modified").unwrap());
    let old = "Thu, 01 Jan 1970 00:00:00 GMT";
    for (lines, status) in [
        (format!("If-Match: {etag}"), 200),
        ("If-Match: \"x\"".into(), 412),
        (format!("If-Unmodified-Since: {date}"), 200),
        (format!("If-Unmodified-Since: {old}"), 412),
        (format!("If-Match: {etag}\nIf-Unmodified-Since: {old}"), 200),
        (format!("If-Match: {etag}\nIf-None-Match: {etag}"), 304),
        (format!("If-Match: \"x\"\nIf-None-Match: {etag}"), 412),
        (format!("If-None-Match: \"x\"\nIf-Modified-Since: {date}"), 200),
        (format!("If-None-Match: {etag}\nRange: bytes=0-0"), 304),
        ("If-Match: \"x\"\nRange: bytes=0-0".into(), 412),
        (format!("If-Range: {etag}\nRange: bytes=0-0"), 206),
        (format!("If-Range: {date}\nRange: bytes=0-0"), 206),
        ("If-Range: \"x\"\nRange: bytes=0-0".into(), 200),
        ("If-Range: \"x\"\nRange: bytes=99-".into(), 200),
        (format!("If-Range: {old}\nRange: bytes=0-0"), 200),
    ] {
        assert_eq!(stand.ask(&with("/about.html", &lines)).await.status, status, "{lines}");
        let head = stand.ask(&with("/about.html", &lines).replacen("GET", "HEAD", 1)).await;
        let expected = if status == 206 { 200 } else { status };
        assert_eq!((head.status, head.body.len()), (expected, 0), "HEAD, {lines}");
    }
}

#[tokio::test]
async fn rfc9110_14_ranges() {
    let stand = stand_with(&[("digits.bin", b"0123456789")]).await;
    for (range, status, content_range, body) in [
        ("bytes=2-4", 206, Some("bytes 2-4/10"), "234"),
        ("bytes=-1", 206, Some("bytes 9-9/10"), "9"),
        ("bytes=0-99", 206, Some("bytes 0-9/10"), "0123456789"),
        ("bytes=1-3,2-5", 206, Some("bytes 1-5/10"), "12345"),
        ("bytes=3-2", 200, None, "0123456789"),
    ] {
        let answer = stand.ask(&with("/digits.bin", &format!("Range: {range}"))).await;
        assert_eq!(
            (answer.status, answer.header("content-range"), answer.text()),
            (status, content_range, body)
        );
        assert_eq!(answer.header("content-length").unwrap(), body.len().to_string());
        assert_eq!(answer.header("accept-ranges"), Some("bytes"));
    }
    let absent = stand.ask(&with("/digits.bin", "Range: bytes=10-")).await;
    assert_eq!((absent.status, absent.header("content-range")), (416, Some("bytes */10")));
    let head = stand.ask(&with("/digits.bin", "Range: bytes=10-").replace("GET", "HEAD")).await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("10")));
}

#[tokio::test]
async fn rfc9110_14_6_several_ranges_are_a_multipart() {
    let large: Vec<u8> = (0..=250).cycle().take(300_000).collect();
    let stand = stand_with(&[("digits.bin", b"0123456789"), ("large.bin", &large)]).await;
    for (target, range, parts) in [
        ("/digits.bin", "bytes=0-1,-1", [("bytes 0-1/10", &b"01"[..]), ("bytes 9-9/10", b"9")]),
        (
            "/large.bin",
            "bytes=200000-,0-99999",
            [("bytes 200000-299999/300000", &large[200_000..]), ("bytes 0-99999/300000", &large[..100_000])],
        ),
    ] {
        let answer = stand.ask(&with(target, &format!("Range: {range}"))).await;
        assert_eq!(answer.status, 206);
        let media_type = answer.header("content-type").unwrap();
        let boundary = media_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
        let mut expected = Vec::new();
        for (content_range, content) in parts {
            let head = format!(
                "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: {content_range}\r\n\r\n"
            );
            expected.extend_from_slice(head.as_bytes());
            expected.extend_from_slice(content);
        }
        expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        assert_eq!(answer.header("content-length").unwrap(), expected.len().to_string());
        assert!(answer.body == expected, "{target}");
    }
}

#[tokio::test]
async fn ranges_are_of_the_form_that_was_chosen() {
    let stand = stand_with(&[("a.txt", text().as_bytes())]).await;
    let whole = stand.ask(&with("/a.txt", "Accept-Encoding: gzip")).await;
    let part = stand.ask(&with("/a.txt", "Accept-Encoding: gzip\nRange: bytes=5-")).await;
    assert_eq!((part.status, part.header("content-encoding")), (206, Some("gzip")));
    assert_eq!(part.header("etag"), whole.header("etag"));
    assert!(part.body == whole.body[5..]);
}

/// A client that stops reading after the head, until `change` was made to the file; what came in the end.
async fn sent_while(change: impl FnOnce(&std::path::Path)) -> (u64, Vec<u8>) {
    // More than the sockets between the two take up.
    let large = vec![b'a'; 30 << 20];
    let stand = stand_with(&[("large.bin", &large)]).await;
    let mut stream = TcpStream::connect(stand.address()).await.unwrap();
    stream.write_all(get("/large.bin").as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    stream.read_exact(&mut answer).await.unwrap();
    change(&stand.site().join("large.bin"));
    // A connection that is cut may be reset.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = Answer::parse(&answer);
    (answer.header("content-length").unwrap().parse().unwrap(), answer.body)
}

#[tokio::test]
async fn a_file_that_is_replaced_while_it_is_sent_comes_whole() {
    let (length, body) = sent_while(|file| {
        let new = file.with_extension("new");
        fs::write(&new, vec![b'b'; 30 << 20]).unwrap();
        fs::rename(new, file).unwrap();
    })
    .await;
    assert_eq!(body.len() as u64, length);
    assert!(body.iter().all(|&byte| byte == b'a'));
}

#[tokio::test]
async fn one_that_is_overwritten_or_cut_while_it_is_sent_ends_the_connection() {
    for change in [
        (|file| fs::write(file, vec![b'b'; 30 << 20]).unwrap()) as fn(&std::path::Path),
        |file| fs::File::options().write(true).open(file).unwrap().set_len(1 << 20).unwrap(),
        |file| fs::File::create(file).map(drop).unwrap(),
    ] {
        let (length, body) = sent_while(change).await;
        assert!((body.len() as u64) < length);
        assert!(body.iter().all(|&byte| byte == b'a'), "no byte of another version");
    }
}

#[tokio::test]
async fn no_redirect_leads_to_another_host() {
    let stand = Stand::without_application().await;
    fs::create_dir_all(stand.site().join("evil.com")).unwrap();
    fs::write(stand.site().join("evil.com/index.html"), "x").unwrap();
    let answer = stand.ask(&get("/evil.com?next=//x")).await;
    assert_eq!((answer.status, answer.header("location")), (301, Some("/evil.com/?next=//x")));
    for target in ["//evil.com", "///evil.com", "/%2fevil.com", "/\\evil.com", "/%5cevil.com", "//evil.com/"]
    {
        let answer = stand.ask(&get(target)).await;
        assert_eq!(answer.header("location"), None, "{target}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_target_gets_a_secret(
        target in "/(\\.\\.|\\.env|secret|link|docs|about.html|%2e|%2f|%5c|%00|%c0%ae|%c0%af|/|\\\\|\\.){0,8}",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(async { Stand::without_application().await.ask(&get(&target)).await });
        prop_assert!(!answer.text().contains("top secret"), "{}", target);
        prop_assert!([200, 301, 400, 404, 502].contains(&answer.status), "{}: {}", target, answer.status);
    }
}
