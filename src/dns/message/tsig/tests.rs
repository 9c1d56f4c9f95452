use proptest::prelude::*;

use super::*;
use crate::dns::message::asked::plain_query;
use crate::dns::message::question;

const NOW: u64 = 1_795_288_500;

fn key(name: &str, algorithm: Algorithm, secret: &[u8]) -> Arc<Key> {
    Arc::new(Key { name: name.parse().unwrap(), algorithm, secret: secret.into() })
}

fn question_of() -> Vec<u8> {
    plain_query(0x4711, &"foobar.com".parse().unwrap(), RecordType::AXFR, false)
}

fn signed_by(key: &Arc<Key>) -> (Vec<u8>, Signer) {
    let (mut message, mut signer) = (question_of(), Signer::of_question(key.clone()));
    signer.sign(&mut message, NOW);
    (message, signer)
}

fn start_of(message: &[u8]) -> usize {
    question::read(message).unwrap().signature.unwrap()
}

#[test]
fn each_algorithm_signs_and_checks() {
    for algorithm in Algorithm::ALL {
        let key = key("Transfer.foobar.com", algorithm, b"a secret of some length");
        let (message, signer) = signed_by(&key);
        assert!(message.len() - question_of().len() <= signer.longest_signature());
        let mut server =
            check_question(std::slice::from_ref(&key), &message, start_of(&message), NOW + 300).unwrap();
        let mut checker = Checker::of_answer(signer);
        for last in [false, false, true] {
            let mut answer = question_of();
            answer[2] |= 0x80;
            let start = answer.len();
            server.sign(&mut answer, NOW);
            assert_eq!(checker.check(&answer, Some(start), last, NOW), Ok(()), "{algorithm:?}");
        }
    }
}

/// Hmac-SHA-256 of RFC 4231 §4.3, so that codes are right and not only consistent.
#[test]
fn rfc4231_test_case_2() {
    let key = key("k", Algorithm::Sha256, b"Jefe");
    let mut code = Code::begin(&key, None);
    code.add(b"what do ya want for nothing?");
    assert_eq!(
        data_encoding::HEXLOWER.encode(&code.finish()),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
}

#[test]
fn rfc8945_section_5_2_what_is_wrong_is_told_apart() {
    let known = key("k", Algorithm::Sha256, b"secret");
    let keys = [known.clone()];
    let check = |message: &[u8], now| check_question(&keys, message, start_of(message), now);
    let (message, _) = signed_by(&known);
    assert!(check(&message, NOW).is_ok());
    for other in [key("other", Algorithm::Sha256, b"secret"), key("k", Algorithm::Sha512, b"secret")] {
        assert!(matches!(check(&signed_by(&other).0, NOW), Err(Refused::Unknown(Fault::BadKey))));
    }
    let wrong = signed_by(&key("k", Algorithm::Sha256, b"Secret")).0;
    assert!(matches!(check(&wrong, NOW), Err(Refused::Unknown(Fault::BadSig))));
    for now in [NOW - 301, NOW + 301] {
        assert!(matches!(check(&message, now), Err(Refused::Faulty(Fault::BadTime, _))));
    }
    // An octet of the flags, of the question, of the time: all are covered.
    for at in [3, 14, start_of(&message) + 3 + 10 + 13 + 5] {
        let mut changed = message.clone();
        changed[at] ^= 1;
        assert!(matches!(check(&changed, NOW), Err(Refused::Unknown(Fault::BadSig))), "{at}");
    }
}

/// A forwarder may give a message another identifier; the signature has the original one (§5.1).
#[test]
fn the_original_identifier_is_what_is_signed() {
    let known = key("k", Algorithm::Sha256, b"secret");
    let (mut message, _) = signed_by(&known);
    message[0] ^= 1;
    assert!(check_question(&[known], &message, start_of(&message), NOW).is_ok());
}

#[test]
fn rfc8945_section_5_2_2_1_codes_that_are_cut() {
    let known = key("k", Algorithm::Sha256, b"secret");
    let (message, _) = signed_by(&known);
    let start = start_of(&message);
    let cut_to = |length: usize| {
        let whole = Signature::read(&message, start).unwrap();
        let mut cut = message[..start].to_vec();
        cut[11] = 0;
        Signature { code: &whole.code[..length], ..whole }.append(&mut cut);
        check_question(std::slice::from_ref(&known), &cut, start, NOW)
    };
    assert!(matches!(cut_to(31), Err(Refused::Faulty(Fault::BadTrunc, _))));
    assert!(matches!(cut_to(16), Err(Refused::Faulty(Fault::BadTrunc, _))));
    for length in [0, 1, 15] {
        assert!(matches!(cut_to(length), Err(Refused::Malformed)));
    }
}

#[test]
fn rfc8945_section_5_2_3_bad_time_tells_the_servers_time() {
    let known = key("k", Algorithm::Sha256, b"secret");
    let (message, signer) = signed_by(&known);
    let later = NOW + 1_000;
    let refused = check_question(&[known], &message, start_of(&message), later);
    let Err(Refused::Faulty(fault, mut server)) = refused else { panic!("{refused:?}") };
    let mut answer = question_of();
    let start = answer.len();
    server.sign_fault(&mut answer, later, fault);
    let signature = Signature::read(&answer, start).unwrap();
    assert_eq!((signature.time, signature.fault), (NOW, 18));
    assert_eq!(signature.other, &later.to_be_bytes()[2..]);
    let told = Checker::of_answer(signer).check(&answer, Some(start), true, NOW);
    assert_eq!(told, Err(Untrusted::Refused(18)));
}

#[test]
fn rfc8945_section_5_3_1_a_chain_may_leave_signatures_out_but_not_at_its_ends() {
    let known = key("k", Algorithm::Sha384, b"secret");
    let (message, signer) = signed_by(&known);
    let mut server = check_question(std::slice::from_ref(&known), &message, start_of(&message), NOW).unwrap();
    let plain = question_of();
    let mut first = plain.clone();
    server.sign(&mut first, NOW);
    let begin = || {
        let (_, signer) = signed_by(&known);
        let mut checker = Checker::of_answer(signer);
        assert_eq!(checker.check(&first, Some(plain.len()), false, NOW), Ok(()));
        checker
    };
    assert_eq!(Checker::of_answer(signer).check(&plain, None, false, NOW), Err(Untrusted::Unsigned));
    assert_eq!(begin().check(&plain, None, true, NOW), Err(Untrusted::Unsigned));
    let mut many = begin();
    for _ in 0..UNSIGNED_MOST {
        assert_eq!(many.check(&plain, None, false, NOW), Ok(()));
    }
    assert_eq!(many.check(&plain, None, false, NOW), Err(Untrusted::Unsigned));
    // Another message in the place of the first is seen: the chain does not go on from it.
    let mut again = begin();
    assert_eq!(again.check(&first, Some(plain.len()), true, NOW), Err(Untrusted::Wrong));
}

proptest! {
    #[test]
    fn any_octets_are_a_signature_or_none(octets in prop::collection::vec(any::<u8>(), 0..200), start in 0..200_usize) {
        let known = key("k", Algorithm::Sha256, b"secret");
        prop_assert!(check_question(std::slice::from_ref(&known), &octets, start, NOW).is_err());
        let mut checker = Checker::of_answer(Signer::of_question(known));
        prop_assert!(checker.check(&octets, Some(start), true, NOW).is_err());
        let mut reply = question_of();
        append_fault(&mut reply, &octets, start, Fault::BadKey);
    }
}

#[test]
fn rfc8945_section_4_2_a_signature_has_no_ttl() {
    let known = key("k", Algorithm::Sha256, b"secret");
    let (mut message, _) = signed_by(&known);
    let ttl = start_of(&message) + known.name.as_wire().len() + 4;
    assert_eq!(message[ttl..ttl + 4], [0; 4]);
    message[ttl + 2] = 2;
    assert!(matches!(check_question(&[known], &message, start_of(&message), NOW), Err(Refused::Malformed)));
}
