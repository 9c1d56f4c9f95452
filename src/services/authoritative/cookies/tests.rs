//! Cookies by RFC section, with the RFC's own numbers.

use super::*;
use data_encoding::HEXLOWER_PERMISSIVE as HEX;

fn octets<const N: usize>(hex: &str) -> [u8; N] {
    HEX.decode(hex.as_bytes()).unwrap().try_into().unwrap()
}

fn cookie(hex: &str) -> Cookie {
    Cookie::read(&HEX.decode(hex.as_bytes()).unwrap()).unwrap()
}

fn counter(secret: &str, client: &str, now: u32) -> Counter {
    let baker = Baker::new(&octets(secret));
    Counter { policy: Policy::Require, baker, client: client.parse().unwrap(), now }
}

fn judge(counter: &Counter, shown: &str) -> (bool, String) {
    let judged = counter.judge(Some(&cookie(shown)), Transport::Udp);
    assert_eq!(judged.is_good, judged.verdict == Verdict::Answered);
    (judged.is_good, HEX.encode(&judged.given.unwrap()))
}

const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

#[test]
fn rfc9018_appendix_a_1_and_a_2_a_cookie_is_learned_and_renewed() {
    let first = counter(SECRET, "198.51.100.100", 1_559_731_985);
    let learned = "010000005cf79f111f8130c3eee29480";
    assert_eq!(judge(&first, "2464c4abcf10c957"), (false, learned.into()));
    let shown = format!("2464c4abcf10c957{learned}");
    assert_eq!(judge(&first, &shown), (true, learned.into()));
    // Forty minutes later it is good still, and renewed.
    let later = Counter { now: 1_559_734_385, ..first };
    assert_eq!(judge(&later, &shown), (true, "010000005cf7a871d4a564a1442aca77".into()));
    let other = Counter { client: "198.51.100.101".parse().unwrap(), ..first };
    assert!(!judge(&other, &shown).0);
}

#[test]
fn rfc9018_appendix_a_3_reserved_octets_are_hashed_as_they_came() {
    let shown = "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5";
    let in_time = counter(SECRET, "203.0.113.203", 1_559_727_985 + 60);
    assert!(judge(&in_time, shown).0);
    // The answer in the RFC is given more than an hour later: with what is good no more, the next is the same.
    let answered = Counter { now: 1_559_734_700, ..in_time };
    assert_eq!(judge(&answered, shown), (false, "010000005cf7a9acf73a7810aca2381e".into()));
}

#[test]
fn rfc9018_appendix_a_4_over_ipv6_with_another_secret() {
    let address = "2001:db8:220:1:59de:d0f4:8769:82b8";
    let shown = "22681ab97d52c298010000005cf7c57926556bd0934c72f8";
    let old = counter("dd3bdf9344b678b185a6f5cb60fca715", address, 1_559_741_961);
    assert!(judge(&old, shown).0);
    let new = counter("445536bcd2513298075a5d379663c962", address, 1_559_741_961);
    assert_eq!(judge(&new, shown), (false, "010000005cf7c609a6bb79d16625507a".into()));
}

#[test]
fn rfc9018_section_4_3_a_cookie_has_its_time_also_where_seconds_begin_anew() {
    for made in [1_559_731_985, 100, u32::MAX - 100] {
        let then = counter(SECRET, "192.0.2.1", made);
        let (_, learned) = judge(&then, "0102030405060708");
        let shown = format!("0102030405060708{learned}");
        for (seconds, good) in [(0, true), (1800, true), (3600, true), (3601, false), (u32::MAX / 2, false)] {
            let now = Counter { now: made.wrapping_add(seconds), ..then };
            assert_eq!(judge(&now, &shown).0, good, "{seconds} s after {made}");
            assert_eq!(judge(&now, &shown).1 == learned, good && seconds <= 1800, "{seconds} s after {made}");
        }
        for (seconds, good) in [(1, true), (300, true), (301, false)] {
            let now = Counter { now: made.wrapping_sub(seconds), ..then };
            assert_eq!(judge(&now, &shown).0, good, "{seconds} s before {made}");
        }
    }
}

#[test]
fn what_is_not_ours_is_not_good() {
    let counter = counter(SECRET, "198.51.100.100", 1_559_731_985);
    let good = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
    for index in 0..good.len() {
        let digit = if good.as_bytes()[index] == b'0' { "1" } else { "0" };
        let mut other = good.to_owned();
        other.replace_range(index..=index, digit);
        assert!(!judge(&counter, &other).0, "{other}");
    }
    assert!(!judge(&counter, &format!("{good}00")).0);
    assert!(!judge(&counter, &good[..good.len() - 2]).0);
}

#[test]
fn policies() {
    let required = counter(SECRET, "198.51.100.100", 1_559_731_985);
    let asker = cookie("2464c4abcf10c957");
    let verdict = |policy, cookie, transport| Counter { policy, ..required }.judge(cookie, transport).verdict;
    assert_eq!(verdict(Policy::Require, Some(&asker), Transport::Udp), Verdict::BadCookie);
    assert_eq!(verdict(Policy::Require, None, Transport::Udp), Verdict::OverTcp);
    assert_eq!(verdict(Policy::Require, None, Transport::Tcp), Verdict::Answered);
    assert_eq!(verdict(Policy::Require, Some(&asker), Transport::Tcp), Verdict::Answered);
    assert_eq!(verdict(Policy::Answer, Some(&asker), Transport::Udp), Verdict::Answered);
    let off = Counter { policy: Policy::Off, ..required }.judge(Some(&asker), Transport::Udp);
    assert_eq!(off, Judged { is_good: false, given: None, verdict: Verdict::Answered });
}
