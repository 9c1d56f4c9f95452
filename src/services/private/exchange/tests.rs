//! One request and its response, without a socket.

use std::future::Ready;

use hyper::body::Frame;

use super::*;
use crate::dns::message::asked::query;
use crate::dns::name::Name;
use crate::services::streams::Replies;

/// A seat's own, of which nobody asks anything.
fn asking() -> Asking {
    let room: std::sync::Arc<streams::Room> = Default::default();
    room.seat([127, 0, 0, 1].into(), &Default::default()).unwrap().asking()
}

/// Answers every question with this, or with silence where it is empty.
#[derive(Clone)]
struct Told(Vec<u8>);

impl Respond for Told {
    fn respond(
        &self,
        question: &[u8],
        _: SocketAddr,
        mut replies: Replies,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        replies.send_now(|reply| {
            reply.clone_from(&self.0);
            if let (Some(to), Some(from)) = (reply.get_mut(..2), question.get(..2)) {
                to.copy_from_slice(from);
            }
        });
        None::<Ready<()>>
    }
}

fn name() -> Name {
    "www.foobar.com".parse().unwrap()
}

fn question() -> Vec<u8> {
    query(0, &name(), RecordType::A)
}

/// An answer with these records, each of a section (0: answers, 1: authorities), a type, a TTL and data.
fn reply(rcode: u8, records: &[(u8, u16, u32, &[u8])]) -> Vec<u8> {
    let count = |section| u8::try_from(records.iter().filter(|record| record.0 == section).count()).unwrap();
    let mut message = vec![0, 0, 0x81, 0x80 | rcode, 0, 1, 0, count(0), 0, count(1), 0, 0];
    message.extend_from_slice(name().as_wire());
    message.extend_from_slice(&[0, 1, 0, 1]);
    for (_, record_type, ttl, data) in records {
        message.extend_from_slice(&[0xC0, 12]);
        message.extend_from_slice(&record_type.to_be_bytes());
        message.extend_from_slice(&[0, 1]);
        message.extend_from_slice(&ttl.to_be_bytes());
        message.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
        message.extend_from_slice(data);
    }
    message
}

/// The data of an SOA: two names that are the root, and five numbers.
fn soa(minimum: u32) -> Vec<u8> {
    let numbers = [1, 2, 3, 4, minimum].map(u32::to_be_bytes).concat();
    [&[0, 0][..], &numbers].concat()
}

const A: (u8, u16, u32, &[u8]) = (0, 1, 300, &[127, 0, 0, 1]);

async fn ask(request: Request<Full<Bytes>>, told: Vec<u8>) -> Option<Response<Message>> {
    answer(&Told(told), request, "127.0.0.1:1".parse().unwrap(), &asking()).await
}

fn get(target: &str) -> Request<Full<Bytes>> {
    Request::get(target).body(Full::default()).unwrap()
}

fn post(media_type: &str, body: Vec<u8>) -> Request<Full<Bytes>> {
    Request::post(PATH).header(CONTENT_TYPE, media_type).body(body.into()).unwrap()
}

async fn octets(response: Response<Message>) -> Vec<u8> {
    response.into_body().collect().await.unwrap().to_bytes().into()
}

#[tokio::test]
async fn rfc8484_section_4_1_a_question_is_in_the_target_or_in_the_body() {
    let target = format!("{PATH}?dns={}", BASE64URL_NOPAD.encode(&question()));
    let padded_elsewhere = format!("{PATH}?x=1&dns={}&y", BASE64URL_NOPAD.encode(&question()));
    let told = reply(0, &[A]);
    for request in [
        get(&target),
        get(&padded_elsewhere),
        post(MEDIA_TYPE, question()),
        post("Application/DNS-Message; charset=x", question()),
    ] {
        let response = ask(request, told.clone()).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[CONTENT_TYPE], MEDIA_TYPE);
        assert_eq!(response.headers()[CACHE_CONTROL], "max-age=300");
        assert_eq!(response.headers()[CONTENT_LENGTH], told.len().to_string().as_str());
        assert_eq!(octets(response).await, told);
    }
    let head = Request::head(&target).body(Full::default()).unwrap();
    let response = ask(head, told.clone()).await.unwrap();
    assert_eq!(response.headers()[CONTENT_LENGTH], told.len().to_string().as_str());
    assert!(octets(response).await.is_empty(), "HEAD is GET without its body (RFC 9110 §9.3.2)");
}

#[tokio::test]
async fn the_longest_message_is_answered_and_a_longer_one_is_refused() {
    let mut longest = question();
    longest.resize(LONGEST, 0);
    let response = ask(post(MEDIA_TYPE, longest.clone()), reply(0, &[A])).await.unwrap();
    assert_eq!(response.status(), 200);
    longest.push(0);
    let response = ask(post(MEDIA_TYPE, longest), reply(0, &[A])).await.unwrap();
    assert_eq!(response.status(), 413);
}

#[tokio::test]
async fn what_is_refused_is_taken_to_its_end_first() {
    let mut left = 3;
    let pieces = std::iter::from_fn(|| {
        left -= 1;
        (left > 0).then(|| Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(b"piece"))))
    });
    let body = http_body_util::StreamBody::new(futures_util::stream::iter(pieces));
    let request = Request::post("/dns-query").header(CONTENT_TYPE, "text/plain").body(body).unwrap();
    let client = SocketAddr::from(([127, 0, 0, 1], 1));
    let response = answer(&Told(reply(0, &[A])), request, client, &asking()).await.unwrap();
    assert_eq!((response.status(), left), (StatusCode::UNSUPPORTED_MEDIA_TYPE, 0));
}

#[tokio::test]
async fn what_is_no_question_is_refused_with_its_reason() {
    let mut answer = question();
    answer[2] |= 0x80;
    let good = BASE64URL_NOPAD.encode(&question());
    let delete = Request::delete(PATH).body(Full::default()).unwrap();
    let without_type = Request::post(PATH).body(question().into()).unwrap();
    for (request, status) in [
        (get("/"), 404),
        (get("/dns-query/"), 404),
        (get(PATH), 400),
        (get(&format!("{PATH}?DNS={good}")), 400),
        (get(&format!("{PATH}?dns=")), 400),
        (get(&format!("{PATH}?dns={good}=")), 400),
        (get(&format!("{PATH}?dns=+/+/")), 400),
        (get(&format!("{PATH}?dns={}", BASE64URL_NOPAD.encode(&question()[..11]))), 400),
        (get(&format!("{PATH}?dns={}", BASE64URL_NOPAD.encode(&answer))), 400),
        (post(MEDIA_TYPE, Vec::new()), 400),
        (post(MEDIA_TYPE, answer), 400),
        (post("application/json", question()), 415),
        (without_type, 415),
        (delete, 405),
    ] {
        let of = format!("{} {}", request.method(), request.uri());
        let response = ask(request, reply(0, &[A])).await.unwrap();
        assert_eq!(response.status(), status, "{of}");
        assert_eq!(response.headers().contains_key(ALLOW), status == 405, "{of}");
        let words = String::from_utf8(octets(response).await).unwrap();
        assert!(words.starts_with(&status.to_string()) && words.ends_with('\n'), "{of}: {words}");
    }
    assert!(ask(post(MEDIA_TYPE, question()), Vec::new()).await.is_none(), "silence has no form");
}

#[tokio::test]
async fn a_question_that_does_not_come_is_not_waited_for() {
    struct Never;
    impl Body for Never {
        type Data = Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            std::task::Poll::Pending
        }
    }
    let request = Request::post(PATH).header(CONTENT_TYPE, MEDIA_TYPE).body(Never).unwrap();
    let response =
        answer(&Told(reply(0, &[A])), request, "127.0.0.1:1".parse().unwrap(), &asking()).await.unwrap();
    assert_eq!(response.status(), 408);
}

#[test]
fn rfc8484_section_5_1_what_is_kept_ends_with_the_record_that_ends_first() {
    let shorter = (0, 1, 60, &[127, 0, 0, 2][..]);
    let (long, short) = (soa(3600), soa(30));
    for (told, seconds) in [
        (reply(0, &[A]), 300),
        (reply(0, &[A, shorter]), 60),
        // There is no such type, or name: RFC 2308 §5.
        (reply(0, &[(1, 6, 300, &long)]), 300),
        (reply(3, &[(1, 6, 300, &short)]), 30),
        (reply(3, &[shorter, (1, 6, 300, &long)]), 60),
        // Nobody says how long.
        (reply(3, &[shorter]), 0),
        (reply(0, &[]), 0),
        // SERVFAIL and REFUSED are of this moment.
        (reply(2, &[A]), 0),
        (reply(5, &[]), 0),
        (b"?".to_vec(), 0),
    ] {
        assert_eq!(freshness(&told), seconds, "{told:02x?}");
    }
}
