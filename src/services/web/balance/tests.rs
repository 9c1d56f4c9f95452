//! The balance without a socket.

use std::net::Ipv4Addr;

use super::health::FAILURES_MOST;
use super::*;

const NOW: Duration = Duration::ZERO;

fn of(weights: &[u32], policy: Policy) -> Balance {
    let member =
        |(port, &weight)| Member { address: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port), weight };
    Balance::new(&(3000..).zip(weights).map(member).collect::<Vec<_>>(), policy)
}

fn client(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0A00_0000 | number).into()
}

/// Who gets so many requests, each answered before the next.
fn served(balance: &mut Balance, requests: u32) -> Vec<usize> {
    (0..requests)
        .map(|number| {
            let which = balance.choose(NOW, client(number), Tried::default()).unwrap();
            balance.release(which, true);
            which
        })
        .collect()
}

#[test]
fn in_turn_is_by_weight_and_without_bursts() {
    assert_eq!(served(&mut of(&[1, 1, 1], Policy::RoundRobin), 6), [0, 1, 2, 0, 1, 2]);
    assert_eq!(served(&mut of(&[5, 1, 1], Policy::RoundRobin), 7), [0, 0, 1, 0, 2, 0, 0]);
}

#[test]
fn the_least_busy_is_so_for_its_weight() {
    let mut balance = of(&[1, 2], Policy::LeastConnections);
    let chosen: Vec<usize> =
        (0..6).map(|_| balance.choose(NOW, client(0), Tried::default()).unwrap()).collect();
    assert_eq!(chosen.iter().filter(|which| **which == 1).count(), 4, "{chosen:?}");
    // All of the first one's are done: it is the next.
    for _ in 0..2 {
        balance.release(0, true);
    }
    assert_eq!(balance.choose(NOW, client(0), Tried::default()), Some(0));
    // Equals take turns.
    assert_eq!(served(&mut of(&[1, 1], Policy::LeastConnections), 4), [0, 1, 0, 1]);
}

#[test]
fn a_client_stays_where_it_is_when_another_server_goes() {
    let choose =
        |balance: &mut Balance, number| balance.choose(NOW, client(number), Tried::default()).unwrap();
    let mut balance = of(&[1, 1, 2], Policy::Hash);
    let before: Vec<usize> = (0..4000).map(|number| choose(&mut balance, number)).collect();
    let again: Vec<usize> = (0..4000).map(|number| choose(&mut balance, number)).collect();
    assert_eq!(before, again);
    let share = |which| before.iter().filter(|chosen| **chosen == which).count();
    assert!((850..1150).contains(&share(0)) && (1850..2150).contains(&share(2)), "{} {}", share(0), share(2));
    for _ in 0..FAILURES_MOST {
        balance.failed(1, NOW);
    }
    let after: Vec<usize> = (0..4000).map(|number| choose(&mut balance, number)).collect();
    for (before, after) in before.iter().zip(&after) {
        assert!(*after != 1 && (*before == 1 || before == after));
    }
    let mapped: IpAddr = "::ffff:10.0.0.7".parse().unwrap();
    assert_eq!(balance.choose(NOW, mapped, Tried::default()), Some(after[7]), "the same client");
}

#[test]
fn who_is_out_is_asked_when_nobody_else_is_left() {
    for policy in [Policy::RoundRobin, Policy::LeastConnections, Policy::Hash] {
        let mut balance = of(&[1, 1], policy);
        for _ in 0..FAILURES_MOST {
            balance.failed(0, NOW);
        }
        assert!(served(&mut balance, 8).iter().all(|which| *which == 1));
        let mut tried = Tried::default();
        tried.add(1);
        assert_eq!(balance.choose(NOW, client(0), tried), Some(0));
        tried.add(0);
        assert_eq!(balance.choose(NOW, client(0), tried), None);
    }
}

#[test]
fn what_is_told_adds_up() {
    let mut balance = of(&[3], Policy::RoundRobin);
    assert_eq!(balance.choose(NOW, client(0), Tried::default()), Some(0));
    balance.failed(0, NOW);
    let told = balance.list(NOW);
    let address = "127.0.0.1:3000".parse().unwrap();
    assert_eq!(
        told,
        [Told {
            member: Member { address, weight: 3 },
            state: "in",
            out: None,
            under_way: 1,
            requests: 1,
            failures: 1,
            failures_in_a_row: 1
        }]
    );
    balance.release(0, true);
    balance.release(0, true);
    assert_eq!(balance.list(NOW)[0].under_way, 0);
}

#[test]
fn what_follows_another_knows_what_that_one_did_of_all_but_the_one_that_is_new() {
    let then = Duration::from_secs(100);
    let mut former = of(&[1, 1, 1], Policy::RoundRobin);
    for which in [0, 1] {
        for _ in 0..FAILURES_MOST {
            former.failed(which, then);
        }
    }
    assert!(former.rest(2, then + Duration::from_secs(1)), "others may be tried");
    // Somebody tries the second one, and is not heard of any more where it was not asked.
    former.members[1].health.asked();
    let mut next = of(&[1, 1, 1], Policy::RoundRobin);
    next.follow(&former, 0, (then, NOW));
    let states = |at| next.list(at).into_iter().map(|told| (told.state, told.failures)).collect::<Vec<_>>();
    assert_eq!(states(NOW), [("in", 0), ("out", 3), ("rests", 0)]);
    assert_eq!(states(Duration::from_secs(1)), [("in", 0), ("on trial", 3), ("rests", 0)]);
    assert!(next.members[1].health.is_fit(Duration::from_secs(1)));
    // Of what is under way at one, each tells of its own.
    let mut tried = Tried::default();
    tried.add(1);
    assert_eq!(next.choose(NOW, client(0), tried), Some(0));
    next.leave(next.members[0].member.address);
    assert_eq!(next.choose(NOW, client(0), tried), None);
    assert!(next.release(0, true), "that was the last");
    assert!(!former.release(0, true), "nobody waits for one that does not rest");
}

#[test]
fn who_rests_gets_nothing_while_another_does_and_begins_anew_when_back() {
    for policy in [Policy::RoundRobin, Policy::LeastConnections, Policy::Hash] {
        let mut balance = of(&[1, 1], policy);
        for _ in 0..FAILURES_MOST {
            balance.failed(0, NOW);
        }
        assert!(!balance.rest(1, NOW), "the other one is out: nobody would answer");
        assert!(balance.rest(0, NOW));
        assert!(!balance.rest(1, NOW), "the other one rests");
        assert_eq!(served(&mut balance, 6), [1; 6], "{policy:?}");
        assert_eq!(balance.checked(0, false).or(balance.checked(0, false)), None, "nobody asks for it now");
        let told = balance.list(NOW);
        assert_eq!((told[0].state, told[1].state), ("rests", "in"));
        let mut tried = Tried::default();
        tried.add(1);
        assert_eq!(balance.choose(NOW, client(0), tried), None, "also not where the other one failed");
        balance.resume(0);
        let told = balance.list(NOW);
        assert_eq!(
            (told[0].state, told[0].failures_in_a_row, told[0].failures),
            ("in", 0, FAILURES_MOST.into())
        );
        assert!(served(&mut balance, 40).contains(&0), "{policy:?}");
        assert!(!of(&[1], policy).rest(0, NOW), "who is alone cannot");
    }
}
