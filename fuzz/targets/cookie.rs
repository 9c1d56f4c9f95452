//! Any octets as the data of an OPT: whoever shows a cookie is given one that is known again, and nobody else is.

#![no_main]

use hickory_proto::op::Message;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use libfuzzer_sys::fuzz_target;
use wwwlab_fuzz::ZONES;
use wwwlab_fuzz::dns::types::Rcode;
use wwwlab_fuzz::ground::bind::Transport;
use wwwlab_fuzz::services::authoritative::answer::{Arrival, answer};
use wwwlab_fuzz::services::authoritative::cookies::{Baker, Counter, Policy};

fuzz_target!(|input: (bool, bool, bool, u32, Vec<u8>)| {
    let (requires, over_tcp, only_cookie, now, options) = input;
    let Ok(length) = u16::try_from(options.len()) else { return };
    let transport = if over_tcp { Transport::Tcp } else { Transport::Udp };
    let policy = if requires { Policy::Require } else { Policy::Answer };
    let client = "192.0.2.1".parse().expect("an address");
    let cookies = Some(Counter { policy, baker: Baker::new(b"0123456789abcdef"), client, now });
    let arrival = Arrival { transport, cookies };
    let query = |options: &[u8], length: u16| {
        let question: &[u8] = if only_cookie { b"" } else { b"\x06foobar\x03com\0\0\x02\0\x01" };
        let head = [7, 7, 0, 0, 0, u8::from(!only_cookie), 0, 0, 0, 0, 0, 1];
        [&head[..], question, b"\0\0\x29\x04\xD0\0\0\0\0", &length.to_be_bytes(), options].concat()
    };
    let mut reply = Vec::new();
    let first =
        answer(&ZONES, &query(&options, length), arrival, &mut reply).expect("a question is answered");
    // Nobody guesses a cookie in the time that this runs.
    assert!(!first.knows_asker);
    let Some(given) = given(&reply) else {
        assert!(first.rcode == Rcode::FORMERR || !only_cookie && first.rcode == Rcode::NOERROR);
        return;
    };
    let option = [&[0, 10, 0, 24][..], &given].concat();
    let second = answer(&ZONES, &query(&option, 28), arrival, &mut reply).expect("a question is answered");
    assert_eq!((second.rcode, second.knows_asker), (Rcode::NOERROR, true));
});

/// The cookie that an answer gives, as another decoder reads it: the asker's and the server's.
fn given(reply: &[u8]) -> Option<Vec<u8>> {
    let message = Message::from_vec(reply).unwrap_or_else(|error| panic!("{error}: {reply:02x?}"));
    match message.edns?.option(EdnsCode::Cookie)? {
        EdnsOption::Unknown(_, data) => Some(data.clone()),
        other => panic!("{other:?}"),
    }
}
