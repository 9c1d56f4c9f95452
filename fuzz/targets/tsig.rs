//! Any octets that end with a signature are refused or trusted without a panic, and answered with what another decoder
//! reads; what a signer made is trusted, and no longer is once a bit of it was turned (RFC 8945).

#![no_main]

use std::sync::{Arc, LazyLock};

use hickory_proto::op::{Message, MessageType};
use libfuzzer_sys::fuzz_target;
use wwwlab_fuzz::dns::message::question;
use wwwlab_fuzz::dns::message::tsig::{self, Algorithm, Checker, Key, Refused, Signer};
use wwwlab_fuzz::name;
use wwwlab_fuzz::services::authoritative::answer_signed;

static KEYS: LazyLock<[Arc<Key>; 3]> = LazyLock::new(|| {
    [Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512].map(|algorithm| {
        let name = name(&format!("{}.foobar.com", algorithm.as_str()));
        Arc::new(Key { name, algorithm, secret: Box::from(&b"0123456789abcdef"[..]) })
    })
});

// Nine octets that choose the key, the bit and the time (48 bits of seconds since 1970), then a message.
fuzz_target!(|input: &[u8]| {
    let Some((&[choice, high, low, a, b, c, d, e, f], octets)) = input.split_first_chunk::<9>() else {
        return;
    };
    let turned = u16::from_be_bytes([high, low]);
    let now = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    hear(octets, now);
    let key = &KEYS[usize::from(choice) % KEYS.len()];
    let mut message = octets.to_vec();
    // What is signed is a message without a signature.
    if !matches!(tsig::find(&message), Some(None)) || message.len() > 2048 || message[10..12] == [0xFF; 2] {
        return;
    }
    let start = message.len();
    Signer::of_question(key.clone()).sign(&mut message, now);
    assert_eq!(tsig::find(&message), Some(Some(start)));
    tsig::check_question(&*KEYS, &message, start, now).expect("what was signed is trusted");
    let bit = usize::from(turned) % (message.len() * 8);
    if is_free(&message, start, bit) {
        return;
    }
    message[bit / 8] ^= 1 << (bit % 8);
    if let Some(Some(start)) = tsig::find(&message) {
        assert!(tsig::check_question(&*KEYS, &message, start, now).is_err(), "bit {bit} of {message:02x?}");
    }
    hear(&message, now);
});

/// Whether a signature says nothing of a bit: the message's number, which forwarders change (§5.1: the signature has the
/// original), and the case of the names of key and algorithm (§4.3.3).
fn is_free(message: &[u8], start: usize, bit: usize) -> bool {
    let at = bit / 8;
    let letter = at >= start && message[at].is_ascii_alphabetic() && bit % 8 == 5;
    at < 2 || letter
}

/// What a server makes of `octets` if they are signed.
fn hear(octets: &[u8], now: u64) {
    let Ok(question) = question::read(octets) else { return };
    let Some(start) = question.signature else { return };
    let reply = match tsig::check_question(&*KEYS, octets, start, now) {
        Err(Refused::Malformed) => return,
        Err(Refused::Unknown(fault)) => {
            let mut reply = answer_signed(&question, 384);
            tsig::append_fault(&mut reply, octets, start, fault);
            reply
        }
        Err(Refused::Faulty(fault, mut signer)) => {
            let mut reply = answer_signed(&question, signer.longest_signature());
            signer.sign_fault(&mut reply, now, fault);
            reply
        }
        Ok(mut signer) => {
            let asked = tsig::check_question(&*KEYS, octets, start, now).expect("trusted a moment ago");
            let mut reply = answer_signed(&question, signer.longest_signature());
            signer.sign(&mut reply, now);
            let signed = tsig::find(&reply).expect("our own answer can be read");
            Checker::of_answer(asked).check(&reply, signed, true, now).expect("our own answer is trusted");
            reply
        }
    };
    let message = Message::from_vec(&reply).unwrap_or_else(|error| panic!("{error}: {reply:02x?}"));
    assert_eq!(message.metadata.message_type, MessageType::Response);
}
